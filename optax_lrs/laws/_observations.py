"""What a law is fitted to: the rate at every step of a run, and the losses at some of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from optax_lrs._run import Run

Between = Literal["linear", "hold"]
Warmup = Literal["counted", "as_peak", "summed"]
WARMUPS = ("counted", "as_peak", "summed")


@dataclasses.dataclass(frozen=True, eq=False)
class Observations:
    """One run as a law sees it.

    Attributes:
        lrs: the rate at every step from 0 to the last one observed, shape [T].
        steps: the steps whose loss is known, increasing, shape [n].
        losses: those losses, finite and positive, shape [n].
    """

    lrs: np.ndarray
    steps: np.ndarray
    losses: np.ndarray


def observe(
    run: Run,
    *,
    column: Literal["losses", "val_losses"] | None = None,
    points: int | None = None,
    first_step: int | None = None,
    warmup_steps: int | None = None,
    between: Between = "linear",
) -> Observations:
    """What a law needs of a run: its rate at every step, its loss where there is one.

    The rates are those of ``run.schedule`` if it has one. Otherwise they are read between the rows of ``run.lrs``, and
    before the first row a linear warmup is put in, of ``warmup_steps``, up to the rate of the first row, which is held from
    its end on.

    Args:
        run: the run.
        column: which losses; by default ``val_losses`` if there are any, else ``losses``.
        points: the most to keep, evenly spread; None keeps all.
        first_step: losses before it are left out; by default those of the warmup.
        warmup_steps: the length of a warmup that was not recorded; 0 if there was none. Needed if the rates begin late.
        between: how the rate went between two rows: ``"linear"``, or ``"hold"`` for a staircase.

    Raises:
        ValueError: if the run lacks rates or losses, or nothing says what the rate was before its first row.
    """
    if not isinstance(run, Run):
        raise TypeError(f"runs must be Runs, got {run!r:.60}")
    if points is not None and (isinstance(points, bool) or not isinstance(points, int) or points < 1):
        raise ValueError(f"points must be a positive int or None, got {points!r}")
    if column not in (None, "losses", "val_losses"):
        raise ValueError(f"column must be 'losses' or 'val_losses', got {column!r}")
    if column is None:
        has_val = run.val_losses is not None and bool(np.any(_usable(run.val_losses)))
        column = "val_losses" if has_val else "losses"
    losses = getattr(run, column)
    if losses is None:
        raise ValueError(f"a run without {column}: a law is fitted to losses")
    usable = _usable(losses)
    if not np.any(usable):
        raise ValueError(f"a run of {len(run)} steps has no finite, positive entry in {column}")
    lrs = rates_of(run, int(run.steps[usable][-1]) + 1, warmup_steps=warmup_steps, between=between)
    first_step = warmup_length(lrs) if first_step is None else first_step
    first_step = max(
        first_step, int(np.searchsorted(np.cumsum(lrs), 0.0, side="right"))
    )  # before any rate no law holds
    kept = usable & (run.steps >= first_step)
    steps, losses = run.steps[kept], losses[kept]
    if not len(steps):
        raise ValueError(
            f"a run of {len(run)} steps has no finite, positive entry in {column} from step {first_step} on"
        )
    if points is not None and len(steps) > points:
        chosen = np.linspace(len(steps) - 1, 0, points).astype(np.int64)[::-1]  # with the last one
        steps, losses = steps[chosen], losses[chosen]
    return Observations(lrs, steps, losses)


def tidy(*, steps: Sequence[float] | np.ndarray, schedule: Any = None, **columns: Sequence[float] | np.ndarray) -> Run:
    """A run from columns in any order: rows sorted by step, of equal steps the last, rows without a step left out.

    For files there is ``Run.from_csv``.

    Args:
        steps: the step of each row.
        schedule: the schedule that was run.
        **columns: ``lrs``, ``losses``, ``val_losses``, … as in a :class:`Run`, as many entries as ``steps``.

    Raises:
        ValueError: if a column has another length, or a step is negative or no whole number.

    Example:
        >>> run = tidy(steps=[2, 0, 1, 1], losses=[2.0, 4.0, 9.0, 3.0])
        >>> print(run.steps, run.losses)
        [0 1 2] [4. 3. 2.]
    """
    steps = np.asarray(steps, np.float64)
    arrays = {key: np.asarray(column, np.float64) for key, column in columns.items()}
    for key, column in arrays.items():
        if steps.ndim != 1 or column.shape != steps.shape:
            raise ValueError(f"tidy: {key} must have the shape of steps, {steps.shape}, got {column.shape}")
    known = np.flatnonzero(np.isfinite(steps))
    if np.any(steps[known] != np.floor(steps[known])):
        raise ValueError(f"tidy: steps must be whole numbers, got {steps!r:.60}")
    found, last = np.unique(steps[known][::-1], return_index=True)
    rows = known[::-1][last]
    return Run(steps=found.astype(np.int64), schedule=schedule, **{key: column[rows] for key, column in arrays.items()})


def rates_of(run: Run, count: int, *, warmup_steps: int | None = None, between: Between = "linear") -> np.ndarray:
    """The rate at every step from 0 to ``count - 1``: of the run's schedule, or else read between its rows."""
    if between not in ("linear", "hold"):
        raise ValueError(f"between must be 'linear' or 'hold', got {between!r}")
    every = np.arange(count)
    if run.schedule is not None:
        return np.asarray(run.schedule.at(every), np.float64)
    if run.lrs is None:
        raise ValueError("a run with neither schedule nor lrs: a law needs the rate at every step")
    known = np.isfinite(run.lrs)
    rows, rates = run.steps[known], run.lrs[known]
    if not len(rows):
        raise ValueError("a run whose lrs are all nan: a law needs the rate at every step")
    if np.any(rates < 0):
        raise ValueError(f"lrs must not be negative, got {rates.min()!r}")
    spacing = float(np.median(np.diff(rows))) if len(rows) > 1 else 1.0
    if rows[0] > spacing and warmup_steps is None:
        raise ValueError(
            f"the rates begin at step {rows[0]}, and what came before is not known: give the run its schedule, or "
            "warmup_steps (0 if there was none)"
        )
    if between == "hold":
        lrs = rates[np.maximum(np.searchsorted(rows, every, side="right") - 1, 0)]
    else:
        lrs = np.interp(every, rows, rates)
    warmup_steps = warmup_steps or 0
    if warmup_steps > rows[0]:
        raise ValueError(f"warmup_steps={warmup_steps}, but the rates are recorded from step {rows[0]} on")
    rising = min(warmup_steps, count)
    lrs[:rising] = rates[0] * every[:rising] / max(warmup_steps, 1)
    return lrs


def warmup_length(lrs: np.ndarray) -> int:
    """How many steps the rate rises for at the start: the index of the first rate that the next does not exceed."""
    falls = np.flatnonzero(lrs[1:] <= lrs[:-1])
    return int(falls[0]) if len(falls) else len(lrs) - 1


def treated(lrs: np.ndarray, warmup: Warmup) -> tuple[np.ndarray, np.ndarray]:
    """The rates that a law sums, and those whose changes it sees.

    ``"counted"``: the true rates in both. ``"as_peak"``: the warmup as if it had been at its last rate, in both.
    ``"summed"``: the true rates in the sum, no changes during the warmup.
    """
    if warmup == "counted":
        return lrs, lrs
    length = warmup_length(lrs)
    flat = np.concatenate([np.full(length, lrs[length]), lrs[length:]])
    return (flat if warmup == "as_peak" else lrs), flat


def checked_lrs(lrs: np.ndarray) -> np.ndarray:
    """Rates in a row, finite and not negative, in float64."""
    lrs = np.asarray(lrs, np.float64)
    if lrs.ndim != 1 or not lrs.size or not np.all(np.isfinite(lrs)) or np.any(lrs < 0):
        raise ValueError(f"lrs must be finite rates in a row, not negative, one for each step, got {lrs!r:.80}")
    return lrs


def checked_steps(steps: np.ndarray | Sequence[int] | None, count: int) -> np.ndarray:
    """Steps among the first ``count``; by default all of them."""
    if steps is None:
        return np.arange(count)
    steps = np.asarray(steps)
    if not steps.size:
        return steps.astype(np.int64)
    if not np.issubdtype(steps.dtype, np.integer) or not 0 <= steps.min() <= steps.max() < count:
        raise ValueError(f"steps must be ints from 0 to {count - 1}, got {steps!r:.80}")
    return steps


def _usable(losses: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.isfinite(losses) & (losses > 0)
