"""A schedule that begins later, or in its middle."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from optax_lrs._clock import Clock
from optax_lrs._schedule import Schedule
from optax_lrs.schedules._linear import Linear


def shifted(schedule: Schedule, *, by: int) -> Shifted:
    """Starts a schedule later, or with a negative ``by`` in its middle.

    Before it starts, its first rate is held. ``by=-1`` is torchtitan's convention, in which the
    first update of a warmup does not have a rate of zero.

    Args:
        schedule: any schedule.
        by: the step at which the schedule starts; if negative, the number of its steps to skip.

    Returns:
        A :class:`optax_lrs.schedules.Shifted`.

    Raises:
        TypeError: if ``schedule`` is not a :class:`Schedule`, or ``by`` is not an int.

    Example:
        >>> warmup = Linear(peak=1.0, total_steps=10, warmup_steps=5)
        >>> print(shifted(warmup, by=-1).at([0, 4]), shifted(warmup, by=2).at([0, 3, 7]))
        [0.2 1. ] [0.  0.2 1. ]
    """
    return Shifted(schedule=schedule, by=by)


class Shifted(Schedule):
    """A schedule that starts later, or in its middle; built by ``shifted``."""

    example: ClassVar[dict[str, Any]] = dict(schedule=Linear(peak=1.0, total_steps=100, warmup_steps=10), by=-1)

    schedule: Schedule
    by: int

    @property
    def ends_at(self) -> int | None:
        end = self.schedule.ends_at
        return None if end is None else max(end + self.by, 0)

    @property
    def corners(self) -> tuple[int, ...]:
        return tuple(sorted({max(corner + self.by, 0) for corner in self.schedule.corners}))

    def decayed_from(self, at: int, steps: int | None = None) -> Self:
        return self.replace(schedule=self.schedule.decayed_from(at - self.by, steps))

    def rate(self, clock: Clock) -> Any:
        # Held at its first step, or a warmup of no steps would become a jump from zero.
        return self.schedule.rate(clock.between(max(self.by, 0), None).shift(self.by))
