"""A schedule times a factor."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from optax_lrs._clock import Clock
from optax_lrs._schedule import Schedule
from optax_lrs.schedules._linear import Linear


def scaled(schedule: Schedule, *, factor: float) -> Scaled:
    """Multiplies a schedule by a factor, which is a leaf.

    You can sweep the factor, differentiate it, and change it without recompiling.

    Args:
        schedule: any schedule.
        factor: multiplies the rates; not negative.

    Returns:
        A :class:`optax_lrs.schedules.Scaled`.

    Raises:
        ValueError: if ``factor`` is negative.
        TypeError: if ``schedule`` is not a :class:`Schedule`, or ``factor`` is not a number.

    Example:
        >>> print(scaled(Linear(peak=1.0, total_steps=10), factor=3.0).at([0, 5, 10]))
        [3.  1.5 0. ]
    """
    return Scaled(schedule=schedule, factor=factor)


class Scaled(Schedule):
    """A schedule times a factor; built by ``scaled``."""

    example: ClassVar[dict[str, Any]] = dict(schedule=Linear(peak=1.0, total_steps=100, warmup_steps=10), factor=0.5)

    schedule: Schedule
    factor: float

    def check(self) -> None:
        super().check()
        self.require(self.factor >= 0, "factor must not be negative", "factor")

    @property
    def ends_at(self) -> int | None:
        return self.schedule.ends_at

    @property
    def corners(self) -> tuple[int, ...]:
        return self.schedule.corners

    def decayed_from(self, at: int, steps: int | None = None) -> Self:
        return self.replace(schedule=self.schedule.decayed_from(at, steps))

    def rate(self, clock: Clock) -> Any:
        return self.factor * self.schedule.rate(clock)
