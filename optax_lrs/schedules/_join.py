"""One schedule after another: on separate clocks, or on one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from optax_lrs._clock import Clock
from optax_lrs._schedule import Schedule
from optax_lrs.schedules._constant import Constant
from optax_lrs.schedules._linear import Linear
from optax_lrs.schedules._sequences import listed


def join(*schedules: Schedule, at: int | Sequence[int]) -> Joined:
    """Runs schedules one after another; each starts at its own step 0, as Optax joins them.

    Args:
        *schedules: two or more schedules.
        at: the steps at which the second, third, … schedule begins, not decreasing: one int, or one
            fewer ints than there are schedules.

    Returns:
        A :class:`optax_lrs.schedules.Joined`.

    Raises:
        ValueError: if the number of steps is not one less than the number of schedules, or the
            steps decrease or are negative.
        TypeError: if a schedule is not a :class:`Schedule` or a step is not an int.

    Example:
        >>> lr = join(Constant(value=1.0), Linear(peak=0.5, total_steps=10), at=5)
        >>> print(lr.at([4, 5, 10, 15]))
        [1.   0.5  0.25 0.  ]
    """
    return Joined(schedules=schedules, boundaries=listed(at))


def switch(*schedules: Schedule, at: int | Sequence[int]) -> Switched:
    """Runs schedules one after another on one clock, which no switch restarts.

    From step ``at`` on, the rate is that of the next schedule at the same step.

    Args:
        *schedules: two or more schedules.
        at: the steps of the switches, not decreasing: one int, or one fewer ints than there are
            schedules.

    Returns:
        A :class:`optax_lrs.schedules.Switched`.

    Raises:
        ValueError: if the number of steps is not one less than the number of schedules, or the
            steps decrease or are negative.
        TypeError: if a schedule is not a :class:`Schedule` or a step is not an int.

    Example:
        >>> lr = switch(Constant(value=1.0), Linear(peak=1.0, total_steps=10), at=5)
        >>> print(lr.at([4, 5, 10]))
        [1.  0.5 0. ]
    """
    return Switched(schedules=schedules, boundaries=listed(at))


class Joined(Schedule):
    """Schedules one after another, each on its own clock; built by ``join``."""

    example: ClassVar[dict[str, Any]] = dict(
        schedules=(Linear(peak=1.0, total_steps=40, warmup_steps=10), Linear(peak=0.5, total_steps=60, warmup_steps=5)),
        boundaries=(40,),
    )

    schedules: tuple[Schedule, ...]
    boundaries: tuple[int, ...]

    def check(self) -> None:
        super().check()
        _check_boundaries(self)

    @property
    def ends_at(self) -> int | None:
        end = self.schedules[-1].ends_at
        return None if end is None else end + self.boundaries[-1]

    @property
    def corners(self) -> tuple[int, ...]:
        own = zip(self.schedules, (0, *self.boundaries), (*self.boundaries, math.inf))
        inside = {start + corner for piece, start, end in own for corner in piece.corners if start + corner <= end}
        return tuple(sorted({0, *self.boundaries, *inside}))

    def decayed_from(self, at: int, steps: int | None = None) -> Schedule:
        return _branched(self, at, steps, self.boundaries[-1])

    def rate(self, clock: Clock) -> Any:
        pieces = [clock.between(0, self.boundaries[0])]
        for start, end in zip(self.boundaries, (*self.boundaries[1:], None)):
            pieces.append(clock.between(start, end).shift(start))
        return _select(clock, self, pieces)


class Switched(Schedule):
    """Schedules one after another on one clock; built by ``switch``."""

    example: ClassVar[dict[str, Any]] = dict(
        schedules=(Constant(value=0.8), Linear(peak=1.0, total_steps=100, warmup_steps=10)), boundaries=(30,)
    )

    schedules: tuple[Schedule, ...]
    boundaries: tuple[int, ...]

    def check(self) -> None:
        super().check()
        _check_boundaries(self)

    @property
    def ends_at(self) -> int | None:
        end = self.schedules[-1].ends_at
        return None if end is None else max(end, self.boundaries[-1])

    @property
    def corners(self) -> tuple[int, ...]:
        own = zip(self.schedules, (0, *self.boundaries), (*self.boundaries, math.inf))
        inside = {corner for piece, start, end in own for corner in piece.corners if start <= corner <= end}
        return tuple(sorted({0, *self.boundaries, *inside}))

    def decayed_from(self, at: int, steps: int | None = None) -> Schedule:
        return _branched(self, at, steps, 0)

    def rate(self, clock: Clock) -> Any:
        bounds = zip((0, *self.boundaries), (*self.boundaries, None))
        return _select(clock, self, [clock.between(start, end) for start, end in bounds])


def _check_boundaries(schedule: Joined | Switched) -> None:
    schedules, boundaries = schedule.schedules, schedule.boundaries
    rule = f"at must have one step fewer than the {len(schedules)} schedules"
    schedule.require(len(schedules) == len(boundaries) + 1 >= 2, rule, "boundaries")
    rising = all(a <= b for a, b in zip((0, *boundaries), boundaries))
    schedule.require(rising, "at must not decrease or be negative", "boundaries")


def _branched(schedule: Joined | Switched, at: int, steps: int | None, origin: int) -> Schedule:
    """Begins the decay of the last piece, whose clock starts at ``origin``, at step ``at``."""
    *others, last = schedule.schedules
    if at < (start := schedule.boundaries[-1]):
        raise ValueError(f"decay_from: at={at} is before the last of the schedules, which begins at {start}")
    return schedule.replace(schedules=(*others, last.decayed_from(at - origin, steps)))


def _select(clock, schedule, clocks):
    """The rate of the piece in force.

    Each piece sees only its own steps, so that a piece undefined elsewhere cannot poison a
    gradient.
    """
    rate = schedule.schedules[0].rate(clocks[0])
    for piece, boundary, own in zip(schedule.schedules[1:], schedule.boundaries, clocks[1:]):
        rate = clock.xp.where(clock.reached(boundary), piece.rate(own), rate)
    return rate
