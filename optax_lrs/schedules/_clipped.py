"""A schedule between a floor and a ceiling."""

from __future__ import annotations

from typing import Any, ClassVar

from optax_lrs._clock import Clock
from optax_lrs._schedule import Schedule
from optax_lrs.schedules._cosine import Cosine


def clipped(schedule: Schedule, *, floor: float | None = None, ceiling: float | None = None) -> Floored | Capped:
    """Keeps a schedule above a floor, below a ceiling, or both.

    The floor applies everywhere, including the warmup and the steps after the end. For a floor
    under the decay only, give the schedule an ``end`` (which moves the whole curve) or write
    ``switch(schedule, clipped(schedule, floor=...), at=warmup_steps)``.

    Args:
        schedule: any schedule.
        floor: the lowest rate; a leaf. None for no floor.
        ceiling: the highest rate, at least ``floor``; a leaf. None for no ceiling.

    Returns:
        A :class:`optax_lrs.schedules.Floored` or :class:`optax_lrs.schedules.Capped`, nested for
        both limits.

    Raises:
        ValueError: if neither limit is given, one is negative, or ``floor`` exceeds ``ceiling``.
        TypeError: if ``schedule`` is not a :class:`Schedule` or a limit is not a number.

    Example:
        >>> from optax_lrs import Linear
        >>> print(clipped(Linear(peak=1.0, total_steps=10), floor=0.2, ceiling=0.75).at([0, 2, 3, 8, 9, 99]))
        [0.75 0.75 0.7  0.2  0.2  0.2 ]
    """
    if floor is None:
        if ceiling is None:
            raise ValueError("clipped: give floor, ceiling or both, got neither")
        return Capped(schedule=schedule, ceiling=ceiling)
    if ceiling is None:
        return Floored(schedule=schedule, floor=floor)
    floored = Floored(schedule=(capped := Capped(schedule=schedule, ceiling=ceiling)), floor=floor)
    if type(floored.floor) is type(capped.ceiling) is float and floored.floor > capped.ceiling:
        raise ValueError(f"clipped: floor must be at most ceiling, got {floor=}, {ceiling=}")
    return floored


class Floored(Schedule):
    """A schedule kept above a floor; built by ``clipped``.

    The corners are those of the schedule. The points where the floor cuts it depend on the rates
    and are not listed.
    """

    example: ClassVar[dict[str, Any]] = dict(schedule=Cosine(peak=1.0, total_steps=100, warmup_steps=10), floor=0.1)

    schedule: Schedule
    floor: float

    @property
    def ends_at(self) -> int | None:
        return self.schedule.ends_at

    @property
    def corners(self) -> tuple[int, ...]:
        return self.schedule.corners

    def rate(self, clock: Clock) -> Any:
        return clock.xp.maximum(self.schedule.rate(clock), self.floor)


class Capped(Schedule):
    """A schedule kept below a ceiling; built by ``clipped``.

    The corners are those of the schedule. The points where the ceiling cuts it depend on the rates
    and are not listed.
    """

    example: ClassVar[dict[str, Any]] = dict(schedule=Cosine(peak=1.0, total_steps=100, warmup_steps=10), ceiling=0.8)

    schedule: Schedule
    ceiling: float

    @property
    def ends_at(self) -> int | None:
        return self.schedule.ends_at

    @property
    def corners(self) -> tuple[int, ...]:
        return self.schedule.corners

    def rate(self, clock: Clock) -> Any:
        return clock.xp.minimum(self.schedule.rate(clock), self.ceiling)
