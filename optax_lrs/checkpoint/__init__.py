"""Checkpoints: saved with their schedule and a checksum, restored on any mesh, averaged."""

from optax_lrs.checkpoint._average import average as average
from optax_lrs.checkpoint._error import CheckpointError as CheckpointError
from optax_lrs.checkpoint._folder import Checkpoints as Checkpoints
from optax_lrs.checkpoint._folder import Restored as Restored
