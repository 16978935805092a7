"""Combinators: schedules made of schedules."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from optax_lrs._schedule import Schedule
from optax_lrs.schedules._constant import Constant
from optax_lrs.schedules._linear import Linear


def join(*schedules: Schedule, at: int | Sequence[int]) -> Joined:
    """One schedule after another, each on a clock of its own that starts at 0 when its turn comes (as Optax joins).

    Args:
        *schedules: two or more schedules.
        at: the steps at which the second, third, … begin, not decreasing: one int, or one fewer than there are schedules.

    Raises:
        ValueError: if the steps are not one fewer than the schedules, decrease or are negative.
        TypeError: if a schedule is no :class:`Schedule` or a step is no int.

    Example:
        >>> lr = join(Constant(value=1.0), Linear(peak=0.5, total_steps=10), at=5)
        >>> print(lr.at([4, 5, 10, 15]))
        [1.   0.5  0.25 0.  ]
    """
    return Joined(schedules=schedules, boundaries=_steps(at))


def switch(*schedules: Schedule, at: int | Sequence[int]) -> Switched:
    """One schedule after another, all on the same clock: from ``at`` on the next one's rate at that very step.

    Args:
        *schedules: two or more schedules.
        at: the steps of the switches, not decreasing: one int, or one fewer than there are schedules.

    Raises:
        ValueError: if the steps are not one fewer than the schedules, decrease or are negative.
        TypeError: if a schedule is no :class:`Schedule` or a step is no int.

    Example:
        >>> lr = switch(Constant(value=1.0), Linear(peak=1.0, total_steps=10), at=5)
        >>> print(lr.at([4, 5, 10]))
        [1.  0.5 0. ]
    """
    return Switched(schedules=schedules, boundaries=_steps(at))


def scaled(schedule: Schedule, *, factor: float) -> Scaled:
    """The schedule times a factor, which is a leaf: sweep it, differentiate it, change it without compiling.

    Args:
        schedule: any schedule.
        factor: what the rates are multiplied by; not negative.

    Example:
        >>> print(scaled(Linear(peak=1.0, total_steps=10), factor=3.0).at([0, 5, 10]))
        [3.  1.5 0. ]
    """
    return Scaled(schedule=schedule, factor=factor)


def shifted(schedule: Schedule, *, by: int) -> Shifted:
    """The schedule begun later, or, with a negative ``by``, entered in its middle.

    Before it begins its first rate is held. ``by=-1`` gives the convention of torchtitan, where the first update of a
    warmup is not lost on a rate of zero.

    Args:
        schedule: any schedule.
        by: the step at which it begins; negative: the number of its steps that are skipped.

    Example:
        >>> warmup = Linear(peak=1.0, total_steps=10, warmup_steps=5)
        >>> print(shifted(warmup, by=-1).at([0, 4]), shifted(warmup, by=2).at([0, 3, 7]))
        [0.2 1. ] [0.  0.2 1. ]
    """
    return Shifted(schedule=schedule, by=by)


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


class Joined(Schedule):
    """One schedule after another, each on its own clock: what ``join`` returns."""

    example: ClassVar = dict(
        schedules=(Linear(peak=1.0, total_steps=40, warmup_steps=10), Linear(peak=0.5, total_steps=60, warmup_steps=5)),
        boundaries=(40,),
    )

    schedules: tuple[Schedule, ...]
    boundaries: tuple[int, ...]

    def check(self):
        """Besides the glossary's rules: boundaries that fit the schedules."""
        super().check()
        _check_boundaries(self)

    @property
    def ends_at(self):
        """The end of the last piece."""
        return _plus(self.schedules[-1].ends_at, self.boundaries[-1])

    @property
    def corners(self):
        """The corners of each piece that it lives to see, and the boundaries."""
        own = zip(self.schedules, (0, *self.boundaries), (*self.boundaries, math.inf))
        inside = {start + corner for piece, start, end in own for corner in piece.corners if start + corner <= end}
        return tuple(sorted({0, *self.boundaries, *inside}))

    def decayed_from(self, at, steps=None):
        """The last piece with its decay begun earlier."""
        return _branched(self, at, steps, self.boundaries[-1])

    def rate(self, clock):
        """The formula."""
        pieces = [clock.between(0, self.boundaries[0])]
        for start, end in zip(self.boundaries, (*self.boundaries[1:], None)):
            pieces.append(clock.between(start, end).shift(start))
        return _select(clock, self, pieces)


class Switched(Schedule):
    """One schedule after another, all on one clock: what ``switch`` returns."""

    example: ClassVar = dict(
        schedules=(Constant(value=0.8), Linear(peak=1.0, total_steps=100, warmup_steps=10)), boundaries=(30,)
    )

    schedules: tuple[Schedule, ...]
    boundaries: tuple[int, ...]

    def check(self):
        """Besides the glossary's rules: boundaries that fit the schedules."""
        super().check()
        _check_boundaries(self)

    @property
    def ends_at(self):
        """The end of the last piece, or the last switch if that is later."""
        end = self.schedules[-1].ends_at
        return None if end is None else max(end, self.boundaries[-1])

    @property
    def corners(self):
        """The corners of each piece while it is in force, and the boundaries."""
        own = zip(self.schedules, (0, *self.boundaries), (*self.boundaries, math.inf))
        inside = {corner for piece, start, end in own for corner in piece.corners if start <= corner <= end}
        return tuple(sorted({0, *self.boundaries, *inside}))

    def decayed_from(self, at, steps=None):
        """The last piece with its decay begun earlier."""
        return _branched(self, at, steps, 0)

    def rate(self, clock):
        """The formula."""
        bounds = zip((0, *self.boundaries), (*self.boundaries, None))
        return _select(clock, self, [clock.between(start, end) for start, end in bounds])


class Scaled(Schedule):
    """A schedule times a factor: what ``scaled`` returns."""

    example: ClassVar = dict(schedule=Linear(peak=1.0, total_steps=100, warmup_steps=10), factor=0.5)

    schedule: Schedule
    factor: float

    def check(self):
        """Besides the glossary's rules: the factor is not negative."""
        super().check()
        self.require(self.factor >= 0, "factor must not be negative", "factor")

    @property
    def ends_at(self):
        """The end of the schedule."""
        return self.schedule.ends_at

    @property
    def corners(self):
        """The corners of the schedule."""
        return self.schedule.corners

    def decayed_from(self, at, steps=None):
        """The schedule's decay begun earlier."""
        return self.replace(schedule=self.schedule.decayed_from(at, steps))

    def rate(self, clock):
        """The formula."""
        return self.factor * self.schedule.rate(clock)


class Shifted(Schedule):
    """A schedule begun later, or in its middle: what ``shifted`` returns."""

    example: ClassVar = dict(schedule=Linear(peak=1.0, total_steps=100, warmup_steps=10), by=-1)

    schedule: Schedule
    by: int

    @property
    def ends_at(self):
        """The end of the schedule on the outer clock."""
        end = _plus(self.schedule.ends_at, self.by)
        return None if end is None else max(end, 0)

    @property
    def corners(self):
        """The corners of the schedule on the outer clock."""
        return tuple(sorted({max(corner + self.by, 0) for corner in self.schedule.corners}))

    def decayed_from(self, at, steps=None):
        """The schedule's decay begun earlier."""
        return self.replace(schedule=self.schedule.decayed_from(at - self.by, steps))

    def rate(self, clock):
        """The formula."""
        # Held at its beginning, or a warmup of no steps would have been a jump from zero.
        return self.schedule.rate(clock.between(max(self.by, 0), None).shift(self.by))


class Stretched(Schedule):
    """A schedule run slower: what ``stretched`` returns."""

    example: ClassVar = dict(schedule=Linear(peak=1.0, total_steps=100, warmup_steps=10), factor=1.5)

    schedule: Schedule
    factor: float

    def __post_init__(self):
        super().__post_init__()
        if type(self.factor) is float:
            object.__setattr__(self, "factor", float(np.float32(self.factor)))

    def check(self):
        """Besides the glossary's rules: the factor is positive."""
        super().check()
        self.require(0 < np.float32(self.factor) <= 2.0**31, "factor must be positive, and at most 2**31", "factor")

    @property
    def ends_at(self):
        """The end of the schedule on the outer clock."""
        return None if self.schedule.ends_at is None else math.ceil(self.schedule.ends_at * self.factor)

    @property
    def corners(self):
        """The corners of the schedule on the outer clock, rounded up."""
        return tuple(sorted({math.ceil(corner * self.factor) for corner in self.schedule.corners}))

    def rate(self, clock):
        """The formula."""
        return self.schedule.rate(clock.stretch(self.factor))


def _steps(at: int | Sequence[int]) -> Sequence[int]:
    return at if hasattr(at, "__iter__") else (at,)


def _plus(end: int | None, steps: int) -> int | None:
    return None if end is None else end + steps


def _check_boundaries(schedule: Joined | Switched) -> None:
    schedules, boundaries = schedule.schedules, schedule.boundaries
    rule = f"at must be one step fewer than the schedules, which are {len(schedules)}"
    schedule.require(len(schedules) == len(boundaries) + 1 >= 2, rule, "boundaries")
    rising = all(a <= b for a, b in zip((0, *boundaries), boundaries))
    schedule.require(rising, "at must not decrease or be negative", "boundaries")


def _branched(schedule: Joined | Switched, at: int, steps: int | None, origin: int) -> Schedule:
    """The last piece, whose clock began at ``origin``, with its decay begun earlier."""
    *others, last = schedule.schedules
    if at < (start := schedule.boundaries[-1]):
        raise ValueError(f"decay_from: at={at} is before the last of the schedules, which begins at {start}")
    return schedule.replace(schedules=(*others, last.decayed_from(at - origin, steps)))


def _select(clock, schedule, clocks):
    """The rate of the piece whose turn it is. Each piece sees only its own steps, so that none can poison a gradient."""
    rate = schedule.schedules[0].rate(clocks[0])
    for piece, boundary, own in zip(schedule.schedules[1:], schedule.boundaries, clocks[1:]):
        rate = clock.xp.where(clock.reached(boundary), piece.rate(own), rate)
    return rate
