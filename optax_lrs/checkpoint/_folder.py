"""The steps in a folder of checkpoints: which are there, and which may be written."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Any

import jax

from optax_lrs._value import arguments
from optax_lrs.checkpoint import _orbax, _retention
from optax_lrs.checkpoint._error import CheckpointError
from optax_lrs.checkpoint._processes import agreed, together


class Folder:
    """A folder with one subfolder a step."""

    def __init__(self, folder: str | os.PathLike):
        self.path = _orbax.as_path(folder)
        self.name = str(folder) if "://" in str(folder) else os.fspath(self.path)

    def steps(self) -> list[int]:
        """The steps of the complete checkpoints, in order."""
        if self.path.exists() and not self.path.is_dir():
            raise CheckpointError(f"{self.name} is a file, not a folder of checkpoints")
        there = [path for path in self.path.iterdir() if path.name.isdigit()] if self.path.exists() else []
        return sorted(int(path.name) for path in there if path.is_dir() and _orbax.is_finalized(path))

    def where(self, step: int) -> str:
        """A checkpoint as error messages name it."""
        return f"{self.name}, step {step}"

    def chosen(self, owner: str, step: Any) -> int:
        """The step, which must be in the folder; the last one if ``step`` is None."""
        there = agreed(self.steps())
        if step is None:
            if not there:
                raise CheckpointError(f"{self.name} holds no checkpoint")
            return there[-1]
        step = arguments.whole(owner, "step", step, low=0)
        if step not in there:
            listed = ", ".join(map(str, there)) or "none"
            raise CheckpointError(f"{self.name} holds no checkpoint of step {step}; those there are: {listed}")
        return step

    def make_way(self, owner: str, step: int, damaged: Collection[int]) -> list[int]:
        """Moves damaged checkpoints aside and returns their steps.

        Raises:
            ValueError: if a good checkpoint, or something else, is in the way of ``step``.
        """
        there = agreed(self.steps())
        good = [other for other in there if other >= step and other not in damaged]
        if good:
            raise ValueError(
                f"{owner}: {self.name} already holds step {good[0]}, so step {step} cannot be saved there. Nothing is "
                "overwritten: continue from the step that is there, or save to another folder"
            )
        if agreed(step not in there and (self.path / str(step)).exists()):
            raise ValueError(
                f"{owner}: {self.name}/{step} is in the way and is not a checkpoint. Nothing is overwritten"
            )
        moved = [other for other in there if other in damaged]
        if moved:
            if jax.process_index() == 0:
                _retention.move_aside(self.path, moved)
            together("moved aside")
        return moved
