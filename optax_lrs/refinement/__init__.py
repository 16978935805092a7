"""Refinement: computes a better schedule from the gradient norms of a run."""

from optax_lrs.refinement._fit import PowerFit as PowerFit
from optax_lrs.refinement._fit import fit_warmup_power as fit_warmup_power
from optax_lrs.refinement._norms import ObservedNorms as ObservedNorms
from optax_lrs.refinement._norms import prepare_norms as prepare_norms
from optax_lrs.refinement._refine import refine as refine
from optax_lrs.refinement._with_refinement import RefinementState as RefinementState
from optax_lrs.refinement._with_refinement import next_run as next_run
from optax_lrs.refinement._with_refinement import with_refinement as with_refinement
