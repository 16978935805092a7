"""Run: what was observed while training."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from optax_lrs._schedule import Schedule

_FORMAT = 1
_COLUMNS = ("lrs", "losses", "val_losses", "grad_norms")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """The record of a run: one row a step, NaN where nothing was observed.

    The counterpart of a :class:`Schedule`: schedules are refined, fitted and chosen from runs. A run is host data in
    float64 and has nothing to do with devices.

    Args:
        steps: the steps observed, shape [n], increasing ints; ``steps[i]`` is the step that update i was given.
        lrs: the rates that were applied, shape [n]; None if not recorded, like the following.
        losses: the training losses before each update, shape [n].
        val_losses: the validation losses, shape [n]; NaN at the steps without an evaluation.
        grad_norms: the norms of the gradients, shape [n].
        schedule: the schedule that was run.
        notes: anything that JSON can hold: model size, seed, data.

    Raises:
        ValueError: if the columns differ in length, or the steps are negative or do not increase.

    Example:
        >>> run = Run(steps=[0, 1, 2], losses=[3.0, 2.5, 2.25])
        >>> len(run), float(run.losses[-1])
        (3, 2.25)
    """

    steps: np.ndarray
    lrs: np.ndarray | None = None
    losses: np.ndarray | None = None
    val_losses: np.ndarray | None = None
    grad_norms: np.ndarray | None = None
    schedule: Schedule | None = None
    notes: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        steps = np.asarray(self.steps)
        if steps.ndim != 1 or not (np.issubdtype(steps.dtype, np.integer) or steps.size == 0):
            raise ValueError(f"Run: steps must be ints in a row, got {steps!r:.60}")
        steps = steps.astype(np.int64)
        if steps.size and (steps[0] < 0 or np.any(np.diff(steps) <= 0)):
            raise ValueError(f"Run: steps must be increasing and not negative, got {steps!r:.60}")
        object.__setattr__(self, "steps", steps)
        for key in _COLUMNS:
            column = getattr(self, key)
            if column is not None:
                column = np.asarray(column, np.float64)
                if column.shape != steps.shape:
                    raise ValueError(f"Run: {key} must have the shape of steps, {steps.shape}, got {column.shape}")
                object.__setattr__(self, key, column)
        if self.schedule is not None and not isinstance(self.schedule, Schedule):
            raise TypeError(f"Run: schedule must be a Schedule, got {self.schedule!r:.60}")

    def __len__(self) -> int:
        return len(self.steps)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Run):
            return NotImplemented
        mine, theirs = self._columns(), other._columns()
        same = mine.keys() == theirs.keys() and all(np.array_equal(mine[k], theirs[k], equal_nan=True) for k in mine)
        return same and self.schedule == other.schedule and dict(self.notes) == dict(other.notes)

    __hash__ = None

    def write(self, path: str | os.PathLike) -> None:
        """Writes the run to one file (NumPy's ``.npz``), whole or not at all."""
        path = Path(path)
        meta = dict(format=_FORMAT, notes=dict(self.notes), schedule=self.schedule and self.schedule.to_json())
        draft = path.with_name(path.name + ".part")
        with open(draft, "wb") as file:
            np.savez_compressed(file, meta=np.array(json.dumps(meta)), **self._columns())
        os.replace(draft, path)

    @classmethod
    def read(cls, path: str | os.PathLike) -> Run:
        """The run that ``write`` wrote. Executes nothing that is in the file.

        Raises:
            ValueError: if the file holds no run, or one of a newer format.
            OSError: if it cannot be read.
        """
        try:
            with np.load(path, allow_pickle=False) as archive:
                columns = {key: archive[key] for key in archive.files}
            meta = json.loads(str(columns.pop("meta")))
        except (ValueError, KeyError, EOFError, AttributeError) as error:
            raise ValueError(f"{os.fspath(path)} holds no run: {error}") from None
        if meta.get("format") != _FORMAT:
            raise ValueError(f"{os.fspath(path)} has format {meta.get('format')!r}: this optax_lrs reads {_FORMAT}")
        schedule = meta["schedule"] and Schedule.from_json(meta["schedule"])
        return cls(**columns, schedule=schedule, notes=meta["notes"])

    def _columns(self) -> dict[str, np.ndarray]:
        columns = {key: getattr(self, key) for key in ("steps", *_COLUMNS)}
        return {key: column for key, column in columns.items() if column is not None}
