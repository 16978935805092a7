"""Runs: what was observed while training, and the files that hold it."""

from optax_lrs._run.run import Run as Run
