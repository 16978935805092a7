"""The data that a law is fitted to: the rate of every step of a run, and losses at some steps."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from optax_lrs._run import Run
from optax_lrs._schedule import Schedule
from optax_lrs._value.arguments import one_of, whole
from optax_lrs.laws._warmup import warmup_length

Between = Literal["linear", "hold"]
Column = Literal["losses", "val_losses"]


@dataclasses.dataclass(frozen=True, eq=False)
class Observations:
    """The rates and losses of one run.

    Attributes:
        lrs: the rate at every step from 0 to the last one observed, shape [T].
        steps: the steps whose loss is known, increasing, shape [n].
        losses: the losses at those steps, finite and positive, shape [n].
    """

    lrs: np.ndarray
    steps: np.ndarray
    losses: np.ndarray


def observe(
    run: Run,
    *,
    column: Column | None = None,
    points: int | None = None,
    first_step: int | None = None,
    warmup_steps: int | None = None,
    between: Between = "linear",
    owner: str = "fit",
) -> Observations:
    """The rate at every step of a run, and its losses.

    The rates are those of ``run.schedule`` if it has one. Otherwise they are interpolated between
    the rows of ``run.lrs``. Before the first row a linear warmup of ``warmup_steps`` is assumed; it
    ends at the rate of the first row, which then holds up to that row.

    Args:
        run: the run.
        column: the losses to use; by default ``val_losses`` if there are any, else ``losses``.
        points: the largest number of losses to keep, evenly spread; None for all.
        first_step: losses before this step are left out; by default those of the warmup.
        warmup_steps: the length of a warmup that was not recorded; 0 if there was none. Needed if
            the rates begin late.
        between: the rate between two rows: ``"linear"``, or ``"hold"`` for a staircase.
        owner: the function named in error messages.

    Raises:
        ValueError: if the run lacks rates or losses, or the rates before its first row are unknown.
    """
    if not isinstance(run, Run):
        raise TypeError(f"{owner}: runs must be a Run or Runs, got {run!r:.60}")
    points = None if points is None else whole(owner, "points", points, low=1)
    if column is None:
        has_val = run.val_losses is not None and bool(np.any(_usable(run.val_losses)))
        column = "val_losses" if has_val else "losses"
    one_of(owner, "column", column, ("losses", "val_losses"))
    losses = getattr(run, column)
    if losses is None:
        raise ValueError(f"{owner}: every run must have {column}, got a run without {column}")
    usable = _usable(losses)
    if not np.any(usable):
        raise ValueError(f"{owner}: a run of {len(run)} steps has no finite, positive entry in {column}")
    last = int(run.steps[usable][-1])
    lrs = rates_of(run, last + 1, warmup_steps=warmup_steps, between=between, owner=owner)
    first_step = warmup_length(lrs) if first_step is None else whole(owner, "first_step", first_step)
    first_step = max(first_step, int(np.searchsorted(np.cumsum(lrs), 0.0, side="right")))  # rates of 0 train nothing
    kept = usable & (run.steps >= first_step)
    steps, losses = run.steps[kept], losses[kept]
    if not len(steps):
        entries = f"no finite, positive entry in {column} from step {first_step} on"
        raise ValueError(f"{owner}: a run of {len(run)} steps has {entries}")
    if points is not None and len(steps) > points:
        chosen = np.linspace(len(steps) - 1, 0, points).astype(np.int64)[::-1]  # the last one included
        steps, losses = steps[chosen], losses[chosen]
    return Observations(lrs, steps, losses)


def tidy(
    *,
    steps: Sequence[float] | np.ndarray,
    schedule: Schedule | None = None,
    **columns: Sequence[float] | np.ndarray,
) -> Run:
    """Makes a run from columns in any order.

    Rows are sorted by step. If several rows have the same step, the last is kept. Rows without a
    step are dropped. To read a file, use ``Run.from_csv``.

    Args:
        steps: the step of each row, shape [n].
        schedule: the schedule that the run used.
        **columns: ``lrs``, ``losses``, ``val_losses``, … as in a :class:`Run`, shape [n] each.

    Raises:
        ValueError: if a column has another length, or a step is negative or not a whole number.

    Example:
        >>> run = tidy(steps=[2, 0, 1, 1], losses=[2.0, 4.0, 9.0, 3.0])
        >>> print(run.steps, run.losses)
        [0 1 2] [4. 3. 2.]
    """
    steps = np.asarray(steps, np.float64)
    arrays: dict[str, Any] = {key: np.asarray(column, np.float64) for key, column in columns.items()}
    for key, column in arrays.items():
        if steps.ndim != 1 or column.shape != steps.shape:
            raise ValueError(f"tidy: {key} must have the shape of steps, {steps.shape}, got {column.shape}")
    known = np.flatnonzero(np.isfinite(steps))
    if np.any(steps[known] != np.floor(steps[known])):
        raise ValueError(f"tidy: steps must be whole numbers, got {steps!r:.60}")
    found, last = np.unique(steps[known][::-1], return_index=True)
    rows = known[::-1][last]
    return Run(steps=found.astype(np.int64), schedule=schedule, **{key: column[rows] for key, column in arrays.items()})


def rates_of(
    run: Run, count: int, *, warmup_steps: int | None = None, between: Between = "linear", owner: str = "fit"
) -> np.ndarray:
    """The rate at the first ``count`` steps: of the schedule, or interpolated between the rows."""
    one_of(owner, "between", between, ("linear", "hold"))
    every = np.arange(count)
    if run.schedule is not None:
        return np.asarray(run.schedule.at(every), np.float64)
    if run.lrs is None:
        raise ValueError(f"{owner}: every run must have a schedule or lrs, got a run with neither schedule nor lrs")
    known = np.isfinite(run.lrs)
    rows, rates = run.steps[known], run.lrs[known]
    if not len(rows):
        raise ValueError(f"{owner}: a run must have finite lrs, got lrs that are all nan")
    if np.any(rates < 0):
        raise ValueError(f"{owner}: lrs must not be negative, got {rates.min()!r}")
    spacing = float(np.median(np.diff(rows))) if len(rows) > 1 else 1.0
    if rows[0] > spacing and warmup_steps is None:
        raise ValueError(
            f"{owner}: the rates begin at step {rows[0]}, and the earlier ones are unknown: "
            "give the run its schedule, or pass warmup_steps (0 if there was none)"
        )
    if between == "hold":
        lrs = rates[np.maximum(np.searchsorted(rows, every, side="right") - 1, 0)]
    else:
        lrs = np.interp(every, rows, rates)
    warmup_steps = whole(owner, "warmup_steps", warmup_steps or 0)
    if warmup_steps > rows[0]:
        recorded = f"the rates are recorded from step {rows[0]} on"
        raise ValueError(f"{owner}: warmup_steps must be at most {rows[0]}, for {recorded}, got {warmup_steps}")
    rising = min(warmup_steps, count)
    lrs[:rising] = rates[0] * every[:rising] / max(warmup_steps, 1)
    return lrs


def listed(runs: Run | Sequence[Run]) -> list[Run]:
    """Returns the runs as a list; a single run may be passed directly."""
    return [runs] if isinstance(runs, Run) else list(runs)


def checked_lrs(owner: str, lrs: Sequence[float] | np.ndarray) -> np.ndarray:
    """The rates in float64: finite, not negative, in a row."""
    lrs = np.asarray(lrs, np.float64)
    if lrs.ndim != 1 or not lrs.size or not np.all(np.isfinite(lrs)) or np.any(lrs < 0):
        raise ValueError(
            f"{owner}: lrs must be finite rates in a row, not negative, one for each step, got {lrs!r:.80}"
        )
    return lrs


def checked_steps(owner: str, steps: np.ndarray | Sequence[int] | None, count: int) -> np.ndarray:
    """Steps among the first ``count``; by default all of them."""
    if steps is None:
        return np.arange(count)
    steps = np.asarray(steps)
    if not steps.size:
        return steps.astype(np.int64)
    if not np.issubdtype(steps.dtype, np.integer) or not 0 <= steps.min() <= steps.max() < count:
        raise ValueError(f"{owner}: steps must be ints from 0 to {count - 1}, got {steps!r:.80}")
    return steps


def _usable(losses: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.isfinite(losses) & (losses > 0)
