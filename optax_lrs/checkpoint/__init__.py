"""Checkpoints that keep their schedule and a checksum, restore on any mesh, and can be averaged."""

from optax_lrs.checkpoint._average import average as average
from optax_lrs.checkpoint._checkpoints import Checkpoints as Checkpoints
from optax_lrs.checkpoint._error import CheckpointError as CheckpointError
from optax_lrs.checkpoint._restored import Restored as Restored
