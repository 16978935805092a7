"""Run: what was observed while training."""

from __future__ import annotations

import dataclasses
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from optax_lrs._paths import name as path_name
from optax_lrs._run.csv_columns import read_columns
from optax_lrs._schedule import Schedule
from optax_lrs._states.found import nodes_in, optimizer_state

_FORMAT = 2  # 2 added grad_norms_l1
_READABLE = (1, 2)
_COLUMNS = ("lrs", "losses", "val_losses", "grad_norms", "grad_norms_l1")
_ADDED = ("skipped_steps", "unrecorded_steps")  # notes that count something


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
        grad_norms: the l2 norms of the gradients before clipping, shape [n].
        grad_norms_l1: their l1 norms, shape [n].
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
    grad_norms_l1: np.ndarray | None = None
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

    @classmethod
    def from_state(
        cls,
        opt_state: Any,
        *,
        schedule: Schedule | None = None,
        group: str | None = None,
        path: str | None = None,
        at: int = 0,
    ) -> Run:
        """The run that a recorder in an optimizer state has seen, such as :func:`optax_lrs.record_grad_norm`.

        The recorder is found through ``chain``, ``masked``, ``partition``, ``MultiSteps``, ``apply_if_finite``,
        ``inject_hyperparams``, ``nnx.Optimizer`` and whatever else nests states. This waits for the device and copies the
        buffers to the host: call it at the end of a run or at a checkpoint, not at each step.

        Rows span equally many steps: one, or ``notes["row_steps"]`` if the recorder had bins and those are full; then a
        row's step is the middle of its span, and its norm one of the bin's distribution (see ``record_grad_norm``).
        ``notes`` also has ``skipped_steps`` (nan or infinite, left out: nan in the rows) and ``unrecorded_steps`` (beyond the
        recorder's length), if there are any.

        Args:
            opt_state: the state of one optimizer; or an ``nnx.Optimizer`` or ``TrainState``, of which the ``opt_state`` is taken.
            schedule: the schedule that was run; fills ``lrs``.
            group: the name of a group of parameters that was recorded; None for all parameters.
            path: where the recorder is, such as ``"0"`` for the first member of a chain; needed if there are several.
            at: the step of the recorder's first row: of a recorder that was new in a resumed run.

        Raises:
            ValueError: if there is no recorder (at that path), or several, or it has no such group.
        """
        recorders = nodes_in(optimizer_state(opt_state), lambda node: callable(getattr(node, "observed", None)))
        found = {path_name(key): node for key, node in recorders}
        if path is not None:
            found = {name: node for name, node in found.items() if name == path or name.startswith(f"{path}/")}
        if len(found) != 1:
            where = "" if path is None else f" at {path!r}"
            many = f"several recorders{where}, at {sorted(found)}: choose one by path="
            none = f"no recorder{where}: put record_grad_norm() at the start of the chain"
            raise ValueError(f"Run.from_state: this optimizer state holds {many if found else none}")
        columns = next(iter(found.values())).observed(group)
        columns["notes"] = {key: value for key, value in columns["notes"].items() if value}
        columns["steps"] = columns["steps"] + at
        lrs = None if schedule is None else schedule.at(columns["steps"])
        return cls(**columns, lrs=lrs, schedule=schedule)

    @classmethod
    def from_csv(
        cls,
        path: str | os.PathLike,
        *,
        columns: Mapping[str, str] | None = None,
        schedule: Schedule | None = None,
        notes: Mapping[str, Any] | None = None,
    ) -> Run:
        """The run that a table of text tells of: a log of your own, or an export of an experiment tracker.

        The first line names the columns; they are separated by commas, semicolons or tabs. Without ``columns`` the usual
        names are found: step, lr, loss, val_loss, grad_norm, grad_norm_l1 and the like; what is not found is None.
        Rows are sorted by step. Of rows with the same step the last entry counts that is not empty, column by column:
        so a log that was continued after a resume, and a tracker that writes losses and norms in rows of their own, read as
        they should. Empty entries are nan; columns that nobody asked for are left alone.

        Args:
            path: the file.
            columns: the names in the file by the names in a Run, such as ``{"grad_norms": "train/gnorm"}``.
            schedule: the schedule that was run; fills ``lrs`` if the file has none.
            notes: anything that JSON can hold.

        Raises:
            ValueError: if there is no column of steps, or one of ``columns`` is missing, or an entry is no number.
            OSError: if the file cannot be read.
        """
        found = read_columns(path, columns or {}, ("steps", *_COLUMNS))
        if schedule is not None and "lrs" not in found:
            found["lrs"] = schedule.at(found["steps"])
        return cls(**found, schedule=schedule, notes=dict(notes or {}))

    @classmethod
    def concatenate(cls, runs: Sequence[Run]) -> Run:
        """One run from those of a job that was stopped and resumed, in the order in which they ran.

        Where steps overlap the later run counts: the rows of a run from the first step of the next on are dropped, for
        nothing came of those steps. A column that only some have is nan in the others' rows. The schedule and the notes
        are the last ones given; counts of skipped and unrecorded steps are added.

        Raises:
            ValueError: if there are no runs.

        Example:
            >>> first, resumed = Run(steps=[0, 1, 2], losses=[3.0, 2.0, 1.5]), Run(steps=[2, 3], losses=[1.6, 1.2])
            >>> print(Run.concatenate([first, resumed]).losses)
            [3.  2.  1.6 1.2]
        """
        runs = list(runs)
        if not runs or not all(isinstance(run, Run) for run in runs):
            raise ValueError(f"Run.concatenate: needs one Run or more, got {runs!r:.60}")
        pieces, limit = [], np.inf
        for run in reversed(runs):
            keep = run.steps < limit
            pieces.insert(0, {key: column[keep] for key, column in run._columns().items()})
            limit = min(limit, run.steps[0]) if len(run) else limit
        keys = [key for key in ("steps", *_COLUMNS) if any(key in piece for piece in pieces)]
        columns = {
            key: np.concatenate([piece.get(key, np.full(len(piece["steps"]), np.nan)) for piece in pieces])
            for key in keys
        }
        notes = {key: value for run in runs for key, value in run.notes.items()}
        notes |= {key: sum(run.notes.get(key, 0) for run in runs) for key in _ADDED if key in notes}
        schedules = [run.schedule for run in runs if run.schedule is not None]
        return cls(**columns, schedule=schedules[-1] if schedules else None, notes=notes)

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
        # Who knows only format 1 can still read what has nothing new in it.
        known = 1 if self.grad_norms_l1 is None else _FORMAT
        meta = dict(format=known, notes=dict(self.notes), schedule=self.schedule and self.schedule.to_json())
        meta["columns"] = sorted(self._columns())
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
        data = Path(path).read_bytes()
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                columns = {key: archive[key] for key in archive.files}
            meta = json.loads(str(columns.pop("meta")))
            if meta["format"] not in _READABLE:
                raise ValueError(f"format {meta['format']!r}: this optax_lrs reads {_READABLE}")
            if sorted(columns) != meta.get("columns", sorted(columns)):  # files of old do not say which they have
                raise ValueError(f"of the columns {meta['columns']} it has {sorted(columns)}")
            schedule = meta["schedule"] and Schedule.from_json(meta["schedule"])
            return cls(**columns, schedule=schedule, notes=meta["notes"])
        # zipfile, zlib, struct, NumPy and json each have errors of their own for bytes that are not theirs.
        except Exception as error:
            raise ValueError(f"{os.fspath(path)} holds no run: {type(error).__name__}: {error}") from None

    def _columns(self) -> dict[str, np.ndarray]:
        columns = {key: getattr(self, key) for key in ("steps", *_COLUMNS)}
        return {key: column for key, column in columns.items() if column is not None}
