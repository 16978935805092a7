"""Run: the record of a training run, which can be saved to a file."""

from __future__ import annotations

import dataclasses
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from optax_lrs._paths import name as path_name
from optax_lrs._run.csv_columns import read_columns
from optax_lrs._schedule import Schedule
from optax_lrs._states.found import nodes_in, optimizer_state
from optax_lrs._value.arguments import instance
from optax_lrs._value.files import write_whole

_FORMAT = 2  # 2 added grad_norms_l1
_READABLE = (1, 2)
_COLUMNS = ("lrs", "losses", "val_losses", "grad_norms", "grad_norms_l1")
_ADDED = ("skipped_steps", "unrecorded_steps")  # notes that count something


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """The record of a training run: one row per observed step, NaN where a column has no value.

    ``refine``, the laws and ``choose`` work on runs. A run holds float64 NumPy arrays on the host.

    Args:
        steps: the observed steps, shape [n], increasing ints; row i belongs to the update made at
            ``steps[i]``.
        lrs: the applied rates, shape [n]; None if they were not recorded. The same holds for all
            columns below.
        losses: the training loss before each update, shape [n].
        val_losses: the validation loss, shape [n]; NaN at steps without an evaluation.
        grad_norms: the l2 norm of each gradient before clipping, shape [n].
        grad_norms_l1: the l1 norm of each gradient, shape [n].
        schedule: the schedule of the run.
        notes: any data that JSON can hold: model size, seed, data set.

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

    def __post_init__(self) -> None:
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
        if self.schedule is not None:
            instance("Run", "schedule", self.schedule, Schedule)

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
        """Returns the run that a recorder in an optimizer state observed.

        A recorder is the state of :func:`optax_lrs.record_grad_norm`. It is found inside ``chain``,
        ``masked``, ``partition``, ``MultiSteps``, ``apply_if_finite``, ``inject_hyperparams``,
        ``nnx.Optimizer`` and any other nesting of states. This function waits for the device and
        copies the buffers to the host: call it at the end of a run or at a checkpoint, not at every
        step.

        All rows span the same number of steps: one, or ``notes["row_steps"]`` if the recorder had
        bins and they were full. The step of such a row is the middle of its span, and its norm is
        drawn from the distribution of the bin (see ``record_grad_norm``). ``notes`` also counts the
        ``skipped_steps`` (nan or infinite norms, which are nan in the rows) and the
        ``unrecorded_steps`` (beyond the recorder's length), unless the count is zero.

        Args:
            opt_state: the state of one optimizer; or an ``nnx.Optimizer`` or ``TrainState``, whose
                ``opt_state`` is used.
            schedule: the schedule of the run; its rates become ``lrs``.
            group: the name of a recorded group of parameters; None for all parameters.
            path: the path of the recorder, such as ``"0"`` for the first member of a chain; needed
                if there are several.
            at: the step of the recorder's first row; above 0 if the recorder was added when a run
                was resumed.

        Raises:
            ValueError: if there is no recorder (at that path), if there are several, or if the
                recorder has no group of that name.
        """
        recorders = nodes_in(optimizer_state(opt_state), lambda node: callable(getattr(node, "observed", None)))
        found = {path_name(key): node for key, node in recorders}
        if path is not None:
            found = {name: node for name, node in found.items() if name == path or name.startswith(f"{path}/")}
        if len(found) != 1:
            where = "" if path is None else f" at {path!r}"
            many = f"several recorders{where}, at {sorted(found)}: choose one by path="
            none = f"no recorder{where}: put record_grad_norm() at the start of the chain"
            raise ValueError(f"Run.from_state: this optimizer state has {many if found else none}")
        columns = next(iter(found.values())).observed(group)
        columns["notes"] = {key: value for key, value in columns["notes"].items() if value}
        columns["steps"] = columns["steps"] + at
        lrs = None if schedule is None else schedule.at(columns["steps"])
        return cls(**columns, lrs=lrs, schedule=schedule)

    @classmethod
    def from_csv(
        cls,
        path: str | os.PathLike[str],
        *,
        columns: Mapping[str, str] | None = None,
        schedule: Schedule | None = None,
        notes: Mapping[str, Any] | None = None,
    ) -> Run:
        """Reads a run from a text table: your log, or the export of an experiment tracker.

        The first line names the columns, separated by commas, semicolons or tabs. Without
        ``columns`` the usual names are recognized: step, lr, loss, val_loss, grad_norm,
        grad_norm_l1 and similar ones; a column that is not found is None. Rows are sorted by step.
        If several rows have the same step, the last entry that is not empty is used, column by
        column. So logs that continue after a resume can be read, and those of trackers that write
        losses and norms in separate rows. Empty entries are nan; other columns are ignored.

        Args:
            path: the file.
            columns: a dict from the name in a Run to the name in the file, such as
                ``{"grad_norms": "train/gnorm"}``.
            schedule: the schedule of the run; its rates become ``lrs`` if the file has none.
            notes: any data that JSON can hold.

        Raises:
            ValueError: if the table has no column of steps, one of ``columns`` is missing, or an
                entry is not a number.
            OSError: if the file cannot be read.
        """
        found = read_columns(path, columns or {}, ("steps", *_COLUMNS))
        if schedule is not None and "lrs" not in found:
            found["lrs"] = schedule.at(found["steps"])
        return cls(**found, schedule=schedule, notes=dict(notes or {}))

    @classmethod
    def concatenate(cls, runs: Sequence[Run]) -> Run:
        """Joins the runs of a job that was stopped and resumed, in the order in which they ran.

        Where steps overlap, the later run is used: rows at or after the first step of the next run
        are dropped, because those steps were repeated. A column that only some runs have is nan in
        the rows of the others. The last schedule is kept, and the last entry of each note; the
        counts of skipped and unrecorded steps are added.

        Raises:
            ValueError: if ``runs`` is empty or not a sequence of runs.

        Example:
            >>> first, resumed = Run(steps=[0, 1, 2], losses=[3.0, 2.0, 1.5]), Run(steps=[2, 3], losses=[1.6, 1.2])
            >>> print(Run.concatenate([first, resumed]).losses)
            [3.  2.  1.6 1.2]
        """
        runs = list(runs)
        if not runs or not all(isinstance(run, Run) for run in runs):
            raise ValueError(f"Run.concatenate: runs must be one or more Runs, got {runs!r:.60}")
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

    __hash__: ClassVar[None] = None  # pyright: ignore[reportIncompatibleMethodOverride] - arrays are not hashable

    def write(self, path: str | os.PathLike[str]) -> None:
        """Writes the run to one file in NumPy's ``.npz`` format, whole or not at all."""
        # Releases that only know format 1 can read files without the columns of format 2.
        known = 1 if self.grad_norms_l1 is None else _FORMAT
        schedule = self.schedule and self.schedule.to_json()
        meta = dict(format=known, notes=dict(self.notes), schedule=schedule, columns=sorted(self._columns()))
        arrays: dict[str, Any] = {"meta": np.array(json.dumps(meta)), **self._columns()}
        file = io.BytesIO()
        np.savez_compressed(file, **arrays)
        write_whole(path, file.getvalue())

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Run:
        """Returns the run that :meth:`write` wrote. Executes no code from the file.

        Raises:
            ValueError: if the file is not a saved run, or has a newer format.
            OSError: if it cannot be read.
        """
        data = Path(path).read_bytes()
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                columns = {key: archive[key] for key in archive.files}
            meta = json.loads(str(columns.pop("meta")))
            if meta["format"] not in _READABLE:
                raise ValueError(f"format {meta['format']!r}: this optax_lrs reads {_READABLE}")
            if sorted(columns) != meta.get("columns", sorted(columns)):  # old files do not list them
                raise ValueError(f"of the columns {meta['columns']} only {sorted(columns)} are there")
            schedule = meta["schedule"] and Schedule.from_json(meta["schedule"])
            return cls(**columns, schedule=schedule, notes=meta["notes"])
        # zipfile, zlib, struct, NumPy and json raise different errors for bytes they cannot read.
        except Exception as error:
            raise ValueError(f"{os.fspath(path)} is not a saved run: {type(error).__name__}: {error}") from None

    def _columns(self) -> dict[str, np.ndarray]:
        columns = {key: getattr(self, key) for key in ("steps", *_COLUMNS)}
        return {key: column for key, column in columns.items() if column is not None}
