"""Runs that go on: longer horizons, and several budgets from one stable run."""

from optax_lrs.continual._branches import Branch as Branch
from optax_lrs.continual._branches import Branches as Branches
from optax_lrs.continual._branches import branches as branches
from optax_lrs.continual._extend import extend as extend
