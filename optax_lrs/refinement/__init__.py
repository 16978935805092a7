"""Refinement: from the gradient norms of a run to the schedule that the task wanted."""

from optax_lrs.refinement._fit import PowerFit as PowerFit
from optax_lrs.refinement._fit import fit_warmup_power as fit_warmup_power
from optax_lrs.refinement._norms import ObservedNorms as ObservedNorms
from optax_lrs.refinement._norms import observed_norms as observed_norms
from optax_lrs.refinement._refine import refine as refine
from optax_lrs.refinement._with_refinement import RefinementState as RefinementState
from optax_lrs.refinement._with_refinement import next_run as next_run
from optax_lrs.refinement._with_refinement import with_refinement as with_refinement
