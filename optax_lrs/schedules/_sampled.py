"""A schedule as a staircase."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from optax_lrs._clock import Clock
from optax_lrs._schedule import Schedule
from optax_lrs.schedules._cosine import Cosine
from optax_lrs.schedules._rex import REX
from optax_lrs.schedules._stopped import stopped


def sampled(schedule: Schedule, *, every: int | None = None, at: Sequence[int] | None = None) -> Sampled | SampledAt:
    r"""Turns a schedule into a staircase: reads it at some steps and holds the rate between.

    This is REX's sampling rate; step decay is a profile sampled at two or three milestones:
    :math:`\eta(s) = \text{schedule}(\max\{q_j : q_j \le s\})`. For a sampling rate in percent of
    the run, let a :class:`optax_lrs.Horizon` count: ``every=run.fraction(0.1)``, or
    ``at=[run.fraction(x) for x in (0.5, 0.75)]``.

    Args:
        schedule: any schedule.
        every: the steps between samples, the first at step 0; at least 1, which changes nothing.
        at: the steps of the samples, increasing and positive; step 0 is always one.

    Returns:
        A :class:`optax_lrs.schedules.Sampled`, or with ``at`` a
        :class:`optax_lrs.schedules.SampledAt`.

    Raises:
        ValueError: if not exactly one of ``every`` and ``at`` is given, ``every`` is below 1, or
            ``at`` is empty or not increasing.
        TypeError: if ``schedule`` is not a :class:`Schedule`, or a step is not an int.

    Example:
        >>> lr = REX(peak=1.0, total_steps=100)
        >>> print(sampled(lr, every=50).at([0, 49, 50, 100]), sampled(lr, at=[50, 75]).at([49, 50, 74, 75, 100]))
        [1.         1.         0.66666667 0.        ] [1.         0.66666667 0.66666667 0.4        0.4       ]

    References:
        Chen, Wolfe, Kyrillidis, REX: Revisiting Budgeted Training with an Improved Schedule,
        arXiv:2107.04197 (that it studies these sampling rates is recalled, not verified).
    """
    if (every is None) == (at is None):
        raise ValueError(f"sampled: give exactly one of every and at, got {every=}, {at=}")
    if every is not None:
        return Sampled(schedule=schedule, period_steps=every)
    milestones: Any = at  # the field turns any sequence into a tuple
    return SampledAt(schedule=schedule, milestones=milestones)


class Sampled(Schedule):
    """A schedule read once per period; built by ``sampled(schedule, every=...)``.

    It ends at the first sample at or after the end of the schedule. Its corners are the first
    samples and those after the corners of the schedule.
    """

    example: ClassVar[dict[str, Any]] = dict(
        schedule=Cosine(peak=1.0, total_steps=100, warmup_steps=10), period_steps=10
    )

    schedule: Schedule
    period_steps: int

    def check(self) -> None:
        super().check()
        self.require(self.period_steps >= 1, "every must be at least 1", "period_steps")

    @property
    def ends_at(self) -> int | None:
        end = self.schedule.ends_at
        return None if end is None else -(-end // self.period_steps) * self.period_steps

    @property
    def corners(self) -> tuple[int, ...]:
        after = {-(-corner // self.period_steps) * self.period_steps for corner in self.schedule.corners}
        return tuple(sorted({0, self.period_steps} | after))

    def rate(self, clock: Clock) -> Any:
        return self.schedule.rate(clock.sampled(self.period_steps))


class SampledAt(Schedule):
    """A schedule read at milestones; built by ``sampled(schedule, at=...)``."""

    example: ClassVar[dict[str, Any]] = dict(schedule=REX(peak=1.0, total_steps=100), milestones=(50, 75))

    schedule: Schedule
    milestones: tuple[int, ...]

    def check(self) -> None:
        super().check()
        rising = all(a < b for a, b in zip((0, *self.milestones), self.milestones))
        self.require(
            bool(self.milestones) and rising, "at must be increasing, positive steps, one at least", "milestones"
        )

    @property
    def ends_at(self) -> int:
        return self.milestones[-1]

    @property
    def corners(self) -> tuple[int, ...]:
        return (0, *self.milestones)

    def rate(self, clock: Clock) -> Any:
        rate = self.schedule.rate(stopped(clock, 0))
        for step in self.milestones:
            rate = clock.xp.where(clock.reached(step), self.schedule.rate(stopped(clock, step)), rate)
        return rate
