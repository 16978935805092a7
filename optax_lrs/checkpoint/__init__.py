"""Checkpoints: what a training goes on from."""

from optax_lrs.checkpoint._average import average as average
