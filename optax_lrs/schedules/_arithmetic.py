"""Products and sums of schedules."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from optax_lrs._clock import Clock
from optax_lrs._schedule import Schedule
from optax_lrs.schedules._cosine import Cosine
from optax_lrs.schedules._inverse_sqrt import InverseSqrt
from optax_lrs.schedules._linear import Linear
from optax_lrs.schedules._wsd import WSD


def product(*schedules: Schedule) -> Product:
    """Multiplies schedules step by step: one is a rate, the others are shares of it.

    T5X and big_vision write schedules this way: a rate times a warmup times a cooldown. ``scaled``
    multiplies by a constant; here every factor is a schedule.

    Args:
        *schedules: two or more schedules.

    Returns:
        A :class:`optax_lrs.schedules.Product`.

    Raises:
        ValueError: if there are fewer than two schedules.
        TypeError: if an argument is not a :class:`Schedule`.

    Example:
        >>> cooldown = WSD(peak=1.0, total_steps=500, decay_steps=100)
        >>> print(product(InverseSqrt(peak=1e-2, warmup_steps=100), cooldown).at([50, 100, 400, 450, 500]))
        [0.005      0.01       0.005      0.00235702 0.        ]
    """
    return Product(schedules=schedules)


def summed(*schedules: Schedule) -> Summed:
    """Adds schedules step by step, for a bump on a base rate or a decay above a moving floor.

    Args:
        *schedules: two or more schedules.

    Returns:
        A :class:`optax_lrs.schedules.Summed`.

    Raises:
        ValueError: if there are fewer than two schedules.
        TypeError: if an argument is not a :class:`Schedule`.

    Example:
        >>> print(summed(Cosine(peak=0.9, total_steps=100), Linear(peak=0.1, total_steps=200)).at([0, 50, 100, 200]))
        [1.    0.525 0.05  0.   ]
    """
    return Summed(schedules=schedules)


class Product(Schedule):
    """The product of schedules; built by ``product``."""

    example: ClassVar[dict[str, Any]] = dict(
        schedules=(InverseSqrt(peak=1.0, warmup_steps=10), WSD(peak=1.0, total_steps=100, decay_steps=20))
    )

    schedules: tuple[Schedule, ...]

    def check(self) -> None:
        super().check()
        self.require(len(self.schedules) >= 2, "schedules must be two or more", "schedules")

    @property
    def ends_at(self) -> int | None:
        return _last_end(self.schedules)

    @property
    def corners(self) -> tuple[int, ...]:
        return tuple(sorted({corner for schedule in self.schedules for corner in schedule.corners}))

    def rate(self, clock: Clock) -> Any:
        return math.prod((schedule.rate(clock) for schedule in self.schedules[1:]), start=self.schedules[0].rate(clock))


class Summed(Schedule):
    """The sum of schedules; built by ``summed``."""

    example: ClassVar[dict[str, Any]] = dict(
        schedules=(Cosine(peak=0.9, total_steps=50, warmup_steps=5), Linear(peak=0.1, total_steps=100))
    )

    schedules: tuple[Schedule, ...]

    def check(self) -> None:
        super().check()
        self.require(len(self.schedules) >= 2, "schedules must be two or more", "schedules")

    @property
    def ends_at(self) -> int | None:
        return _last_end(self.schedules)

    @property
    def corners(self) -> tuple[int, ...]:
        return tuple(sorted({corner for schedule in self.schedules for corner in schedule.corners}))

    def rate(self, clock: Clock) -> Any:
        return sum((schedule.rate(clock) for schedule in self.schedules[1:]), start=self.schedules[0].rate(clock))


def _last_end(schedules: tuple[Schedule, ...]) -> int | None:
    ends = [schedule.ends_at for schedule in schedules if schedule.ends_at is not None]
    return max(ends) if len(ends) == len(schedules) else None
