"""Runs: the records of training runs, and their files."""

from optax_lrs._run.run import Run as Run
