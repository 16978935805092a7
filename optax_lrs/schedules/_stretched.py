"""A schedule that runs slower or faster."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from optax_lrs._clock import Clock
from optax_lrs._schedule import Schedule
from optax_lrs.schedules._linear import Linear


def stretched(schedule: Schedule, *, factor: float) -> Stretched:
    """The schedule run slower: at step ``s`` the rate of step ``s / factor``.

    The way to a horizon that is a leaf: sweep it, differentiate it, change it without compiling. Exact at any length
    up to 2³¹ steps of the schedule's own clock; beyond them, on the device, its reading is a float32's.

    Args:
        schedule: any schedule.
        factor: how many times as long it takes; positive. It is rounded to float32 when built, so that host and device
            agree about where the end is.

    Example:
        >>> print(stretched(Linear(peak=1.0, total_steps=10), factor=2.0).at([0, 5, 10, 20]))
        [1.   0.75 0.5  0.  ]
    """
    return Stretched(schedule=schedule, factor=factor)


class Stretched(Schedule):
    """A schedule run slower: what ``stretched`` returns."""

    example: ClassVar = dict(schedule=Linear(peak=1.0, total_steps=100, warmup_steps=10), factor=1.5)

    schedule: Schedule
    factor: float

    def __post_init__(self):
        super().__post_init__()
        if type(self.factor) is float:
            object.__setattr__(self, "factor", float(np.float32(self.factor)))

    def check(self) -> None:
        super().check()
        self.require(0 < np.float32(self.factor) <= 2.0**31, "factor must be positive, and at most 2**31", "factor")

    @property
    def ends_at(self) -> int | None:
        return None if self.schedule.ends_at is None else math.ceil(self.schedule.ends_at * self.factor)

    @property
    def corners(self) -> tuple[int, ...]:
        return tuple(sorted({math.ceil(corner * self.factor) for corner in self.schedule.corners}))

    def rate(self, clock: Clock) -> Any:
        return self.schedule.rate(clock.stretch(self.factor))
