"""Checkpoints: what a training goes on from, also when something has changed."""

from optax_lrs.checkpoint._adopt import Adoption as Adoption
from optax_lrs.checkpoint._adopt import adopt as adopt
from optax_lrs.checkpoint._adopt import adoption as adoption
from optax_lrs.checkpoint._average import average as average
from optax_lrs.checkpoint._migrate import migrate as migrate
from optax_lrs.checkpoint._steps import reset_schedule as reset_schedule
from optax_lrs.checkpoint._steps import step_of as step_of
"""Checkpoints: saved with their schedule and a checksum, restored on any mesh, taken over by other optimizers."""

from optax_lrs.checkpoint._error import CheckpointError as CheckpointError
from optax_lrs.checkpoint._folder import Checkpoints as Checkpoints
from optax_lrs.checkpoint._folder import Restored as Restored
