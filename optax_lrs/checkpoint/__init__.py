"""Checkpoints: what a training goes on from, also when something has changed."""

from optax_lrs.checkpoint._adopt import Adoption as Adoption
from optax_lrs.checkpoint._adopt import adopt as adopt
from optax_lrs.checkpoint._adopt import adoption as adoption
from optax_lrs.checkpoint._average import average as average
from optax_lrs.checkpoint._migrate import migrate as migrate
from optax_lrs.checkpoint._steps import reset_schedule as reset_schedule
from optax_lrs.checkpoint._steps import step_of as step_of
