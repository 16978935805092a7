"""A schedule that runs slower or faster."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from optax_lrs._clock import Clock
from optax_lrs._schedule import Schedule
from optax_lrs.schedules._linear import Linear


def stretched(schedule: Schedule, *, factor: float) -> Stretched:
    """Slows a schedule down or speeds it up by a factor, which is a leaf.

    At step ``s`` the rate is that of step ``s / factor``. So the horizon of a run becomes a leaf
    that you can sweep, differentiate, and change without recompiling. It is exact for any length up
    to 2³¹ steps of the schedule's own clock. Beyond them, the device reads that clock as a float32.

    Args:
        schedule: any schedule.
        factor: the ratio of the new and the old length; positive. It is rounded to float32 on
            construction, so that host and device agree on the end.

    Returns:
        A :class:`optax_lrs.schedules.Stretched`.

    Raises:
        ValueError: if ``factor`` is not positive, or above 2**31.
        TypeError: if ``schedule`` is not a :class:`Schedule`, or ``factor`` is not a number.

    Example:
        >>> print(stretched(Linear(peak=1.0, total_steps=10), factor=2.0).at([0, 5, 10, 20]))
        [1.   0.75 0.5  0.  ]
    """
    return Stretched(schedule=schedule, factor=factor)


class Stretched(Schedule):
    """A schedule that runs slower or faster; built by ``stretched``.

    Its end and its corners are rounded up to steps.
    """

    example: ClassVar[dict[str, Any]] = dict(schedule=Linear(peak=1.0, total_steps=100, warmup_steps=10), factor=1.5)

    schedule: Schedule
    factor: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if type(self.factor) is float:
            object.__setattr__(self, "factor", float(np.float32(self.factor)))

    def check(self) -> None:
        super().check()
        fits = bool(0 < np.float32(self.factor) <= 2.0**31)
        self.require(fits, "factor must be positive, and at most 2**31", "factor")

    @property
    def ends_at(self) -> int | None:
        return None if self.schedule.ends_at is None else math.ceil(self.schedule.ends_at * self.factor)

    @property
    def corners(self) -> tuple[int, ...]:
        return tuple(sorted({math.ceil(corner * self.factor) for corner in self.schedule.corners}))

    def rate(self, clock: Clock) -> Any:
        return self.schedule.rate(clock.stretch(self.factor))
