"""Arithmetic on schedules: products, sums, floors and ceilings."""

from __future__ import annotations

import math
from typing import ClassVar

from optax_lrs._schedule import Schedule
from optax_lrs.schedules._cosine import Cosine
from optax_lrs.schedules._inverse_sqrt import InverseSqrt
from optax_lrs.schedules._linear import Linear
from optax_lrs.schedules._wsd import WSD


def product(*schedules: Schedule) -> Product:
    """The product of schedules, step by step: one of them a rate, the others shares of it.

    The framing of T5X and big_vision, in which a rate is multiplied by a warmup and a cooldown. Unlike ``scaled``, whose
    factor is one number, each factor moves.

    Args:
        *schedules: two or more schedules.

    Raises:
        ValueError: if there are fewer than two.
        TypeError: if one is no :class:`Schedule`.

    Example:
        >>> cooldown = WSD(peak=1.0, total_steps=500, decay_steps=100)
        >>> print(product(InverseSqrt(peak=1e-2, warmup_steps=100), cooldown).at([50, 100, 400, 450, 500]))
        [0.005      0.01       0.005      0.00235702 0.        ]
    """
    return Product(schedules=schedules)


def summed(*schedules: Schedule) -> Summed:
    """The sum of schedules, step by step: a bump on a base, or a decay above a moving floor.

    Args:
        *schedules: two or more schedules.

    Raises:
        ValueError: if there are fewer than two.
        TypeError: if one is no :class:`Schedule`.

    Example:
        >>> print(summed(Cosine(peak=0.9, total_steps=100), Linear(peak=0.1, total_steps=200)).at([0, 50, 100, 200]))
        [1.    0.525 0.05  0.   ]
    """
    return Summed(schedules=schedules)


def clipped(schedule: Schedule, *, floor: float | None = None, ceiling: float | None = None) -> Floored | Capped:
    """The schedule held above a floor, below a ceiling, or both.

    A floor holds everywhere, in the warmup and after the end too. For a floor under the decay alone give the schedule an
    ``end`` (which moves the whole curve) or write ``switch(schedule, clipped(schedule, floor=...), at=warmup_steps)``.

    Args:
        schedule: any schedule.
        floor: the lowest rate; a leaf. None: no floor.
        ceiling: the highest rate, at least ``floor``; a leaf. None: no ceiling.

    Raises:
        ValueError: if neither is given, one is negative, or ``floor`` exceeds ``ceiling``.
        TypeError: if ``schedule`` is no :class:`Schedule` or a limit is no number.

    Example:
        >>> print(clipped(Linear(peak=1.0, total_steps=10), floor=0.2, ceiling=0.75).at([0, 2, 3, 8, 9, 99]))
        [0.75 0.75 0.7  0.2  0.2  0.2 ]
    """
    if floor is None and ceiling is None:
        raise ValueError("clipped: give floor or ceiling or both, got neither")
    capped = schedule if ceiling is None else Capped(schedule=schedule, ceiling=ceiling)
    if floor is None:
        return capped
    floored = Floored(schedule=capped, floor=floor)
    if ceiling is not None and type(floored.floor) is type(capped.ceiling) is float and floored.floor > capped.ceiling:
        raise ValueError(f"clipped: floor must be at most ceiling, got {floor=}, {ceiling=}")
    return floored


class Product(Schedule):
    """The product of schedules: what ``product`` returns."""

    example: ClassVar = dict(
        schedules=(InverseSqrt(peak=1.0, warmup_steps=10), WSD(peak=1.0, total_steps=100, decay_steps=20))
    )

    schedules: tuple[Schedule, ...]

    def check(self):
        """Besides the glossary's rules: two schedules at least."""
        super().check()
        self.require(len(self.schedules) >= 2, "schedules must be two or more", "schedules")

    @property
    def ends_at(self):
        """The last of their ends."""
        return _last_end(self.schedules)

    @property
    def corners(self):
        """The corners of all."""
        return tuple(sorted({corner for schedule in self.schedules for corner in schedule.corners}))

    def rate(self, clock):
        """The formula."""
        return math.prod((schedule.rate(clock) for schedule in self.schedules[1:]), start=self.schedules[0].rate(clock))


class Summed(Schedule):
    """The sum of schedules: what ``summed`` returns."""

    example: ClassVar = dict(
        schedules=(Cosine(peak=0.9, total_steps=50, warmup_steps=5), Linear(peak=0.1, total_steps=100))
    )

    schedules: tuple[Schedule, ...]

    def check(self):
        """Besides the glossary's rules: two schedules at least."""
        super().check()
        self.require(len(self.schedules) >= 2, "schedules must be two or more", "schedules")

    @property
    def ends_at(self):
        """The last of their ends."""
        return _last_end(self.schedules)

    @property
    def corners(self):
        """The corners of all."""
        return tuple(sorted({corner for schedule in self.schedules for corner in schedule.corners}))

    def rate(self, clock):
        """The formula."""
        return sum((schedule.rate(clock) for schedule in self.schedules[1:]), start=self.schedules[0].rate(clock))


class Floored(Schedule):
    """A schedule held above a floor: what ``clipped`` returns."""

    example: ClassVar = dict(schedule=Cosine(peak=1.0, total_steps=100, warmup_steps=10), floor=0.1)

    schedule: Schedule
    floor: float

    @property
    def ends_at(self):
        """The end of the schedule."""
        return self.schedule.ends_at

    @property
    def corners(self):
        """The corners of the schedule; not where the floor cuts it, which depends on the rates."""
        return self.schedule.corners

    def rate(self, clock):
        """The formula."""
        return clock.xp.maximum(self.schedule.rate(clock), self.floor)


class Capped(Schedule):
    """A schedule held below a ceiling: what ``clipped`` returns."""

    example: ClassVar = dict(schedule=Cosine(peak=1.0, total_steps=100, warmup_steps=10), ceiling=0.8)

    schedule: Schedule
    ceiling: float

    @property
    def ends_at(self):
        """The end of the schedule."""
        return self.schedule.ends_at

    @property
    def corners(self):
        """The corners of the schedule; not where the ceiling cuts it, which depends on the rates."""
        return self.schedule.corners

    def rate(self, clock):
        """The formula."""
        return clock.xp.minimum(self.schedule.rate(clock), self.ceiling)


def _last_end(schedules: tuple[Schedule, ...]) -> int | None:
    ends = [schedule.ends_at for schedule in schedules]
    return None if None in ends else max(ends)
