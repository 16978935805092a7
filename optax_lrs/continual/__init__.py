"""Runs that continue: longer horizons, and several budgets from one stable run."""

from optax_lrs.continual._branches import Branch as Branch
from optax_lrs.continual._branches import BranchPlan as BranchPlan
from optax_lrs.continual._branches import plan_branches as plan_branches
from optax_lrs.continual._extend import extend as extend
