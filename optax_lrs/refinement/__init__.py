"""Refinement: from the gradient norms of a run to the schedule that the task wanted."""

from optax_lrs.refinement._fit import PowerFit as PowerFit
from optax_lrs.refinement._fit import fit_warmup_power as fit_warmup_power
from optax_lrs.refinement._norms import ObservedNorms as ObservedNorms
from optax_lrs.refinement._norms import observed_norms as observed_norms
from optax_lrs.refinement._refine import refine as refine
from optax_lrs.refinement._repeated import RefinedState as RefinedState
from optax_lrs.refinement._repeated import next_run as next_run
from optax_lrs.refinement._repeated import refined as refined
