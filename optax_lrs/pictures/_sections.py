"""The sections of a schedule between its corners, and the area of each, on the host."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator

import numpy as np

from optax_lrs._schedule import Schedule
from optax_lrs._value import Value

_EVERY = 1 << 24  # up to this many steps every rate is summed, in about a second
_SAMPLES = 1 << 22  # beyond, this many rates are sampled over all sections
_MOST = 1 << 53
_BLOCK = 1 << 20
_TREND_POINTS = 1000
_OPEN_END = 10_000  # the steps shown of schedules without any length


@dataclasses.dataclass(frozen=True)
class Section:
    """The steps from ``start`` to ``stop - 1``, between two corners of a schedule."""

    start: int
    stop: int
    trend: str  # constant, rising, falling or varying
    first: float  # the rate at start
    last: float  # the rate at stop - 1
    peak: float
    area: float  # the sum of the rates
    error: float  # the standard error of the area; 0 if every step was summed


def sections(schedule: Schedule, steps: int) -> list[Section]:
    """The sections of the first ``steps`` steps.

    Up to 2²⁴ steps, every rate is summed. Beyond, two steps are drawn from each of very many cells
    of equal length (always the same steps): an unbiased estimate whatever the schedule does between
    them, with a measured error.
    """
    bounds = edges(schedule, check_steps(steps))
    most = _EVERY if steps <= _EVERY else _SAMPLES // len(bounds)
    return [_section(schedule, start, stop, most) for start, stop in itertools.pairwise(bounds)]


def edges(schedule: Schedule, steps: int) -> list[int]:
    """The first and the last of these steps, and the corners between them."""
    return sorted({0, *(corner for corner in schedule.corners if 0 < corner < steps), steps})


def trend(schedule: Schedule, start: int, stop: int) -> str:
    """Whether the rate is constant, rising, falling or varying from ``start`` to ``stop - 1``."""
    # Random within cells: even spacing would mistake a cycle of that period for a constant.
    at = _drawn(start, stop, min(stop - start, _TREND_POINTS), np.random.default_rng(0))
    rates = schedule.at(np.array([start, *at, stop - 1], np.int64))
    steps, blur = np.diff(rates), 1e-12 * rates.max()
    if np.all(np.abs(steps) <= blur):
        return "constant"
    return "rising" if np.all(steps >= -blur) else "falling" if np.all(steps <= blur) else "varying"


def seen_steps(schedule: Schedule) -> int:
    """The number of steps that shows what a schedule does.

    Up to its end, or for endless schedules several of the longest phases.
    """
    if schedule.ends_at:
        return schedule.ends_at
    phases = max(_lengths(schedule), default=0)
    return max(5 * phases, 5 * max(schedule.corners) // 4) or _OPEN_END


def check_steps(steps: int) -> int:
    """Returns the steps; raises ``ValueError`` for none or more than float64 can distinguish."""
    if not 1 <= steps <= _MOST:
        raise ValueError(f"steps must be from 1 to {_MOST:,}, got {steps:,}")
    return steps


def _lengths(value: Value) -> Iterator[int]:
    for name in value._kinds:
        item = getattr(value, name)
        for part in item if isinstance(item, tuple) else (item,):
            if isinstance(part, Value):
                yield from _lengths(part)
            elif type(part) is int and name.endswith("_steps") and name != "total_steps":
                yield part


def _section(schedule: Schedule, start: int, stop: int, most: int) -> Section:
    first, last = (float(schedule.at(step)) for step in (start, stop - 1))
    area, error, peak = (_summed if stop - start <= most else _sampled)(schedule, start, stop, most)
    return Section(start, stop, trend(schedule, start, stop), first, last, max(peak, first, last), area, error)


def _summed(schedule: Schedule, start: int, stop: int, most: int) -> tuple[float, float, float]:
    blocks = (np.arange(at, min(at + _BLOCK, stop), dtype=np.int64) for at in range(start, stop, _BLOCK))
    rates = [(float(block.sum()), float(block.max())) for block in map(schedule.at, blocks)]
    return math.fsum(area for area, _ in rates), 0.0, max(peak for _, peak in rates)


def _sampled(schedule: Schedule, start: int, stop: int, most: int) -> tuple[float, float, float]:
    draw, cells = np.random.default_rng(0), most // 2
    width = np.diff(_cells(start, stop, cells))
    one, other = (schedule.at(_drawn(start, stop, cells, draw)) for _ in range(2))
    error = math.sqrt(float(np.sum((width * (one - other) / 2) ** 2)))
    return float(np.sum(width * (one + other) / 2)), error, float(max(one.max(), other.max()))


def _drawn(start: int, stop: int, cells: int, draw: np.random.Generator) -> np.ndarray:
    """One step from each cell, increasing."""
    bounds = _cells(start, stop, cells)
    return bounds[:-1] + (draw.random(cells) * np.diff(bounds)).astype(np.int64)


def _cells(start: int, stop: int, cells: int) -> np.ndarray:
    """The bounds of cells whose lengths differ by at most one step.

    Products of a length and a count would overflow, so the remainder is spread separately.
    """
    whole, rest = divmod(stop - start, cells)
    index = np.arange(cells + 1, dtype=np.int64)
    return start + index * whole + index * rest // cells
