"""Schedules on other clocks: cycles, samples, tokens."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import ClassVar

from optax_lrs._clock import Clock
from optax_lrs._schedule import Schedule
from optax_lrs.schedules._cosine import Cosine
from optax_lrs.schedules._rex import REX


def cycled(schedule: Schedule, *, period_steps: int, cycles: int | None = None) -> Cycled:
    """The schedule over and over: its first ``period_steps`` steps, from its step 0 again and again.

    Step ``period_steps`` is step 0 of the next cycle; the rate that the schedule has there is seen only when ``cycles`` are
    over, and held from then on. For peaks that fall from one cycle to the next, multiply:
    ``product(cycled(lr, period_steps=k), sampled(envelope, every=k))``. On the device cycles are told as far as its own clock
    reads an int32.

    Args:
        schedule: any schedule.
        period_steps: the length of a cycle; at least 1.
        cycles: the number of cycles, at least 1; None (the default): without end.

    Raises:
        ValueError: if ``period_steps`` or ``cycles`` is below 1.
        TypeError: if ``schedule`` is no :class:`Schedule`, or a count is no int.

    Example:
        >>> from optax_lrs import Linear
        >>> print(cycled(Linear(peak=1.0, total_steps=10), period_steps=10, cycles=2).at([0, 5, 9, 10, 15, 19, 20, 99]))
        [1.  0.5 0.1 1.  0.5 0.1 0.  0. ]
    """
    return Cycled(schedule=schedule, period_steps=period_steps, cycles=cycles)


def sampled(schedule: Schedule, *, every: int | None = None, at: Sequence[int] | None = None) -> Sampled | SampledAt:
    r"""The schedule as a staircase: it is looked at now and then, and its rate held in between.

    REX's sampling rate, by which step decay is a profile seen at two or three milestones:
    :math:`\eta(s) = \text{schedule}(\max\{q_j : q_j \le s\})`. For a sampling rate in per cent of the run let a
    :class:`optax_lrs.Horizon` count: ``every=run.fraction(0.1)``, or ``at=[run.fraction(x) for x in (0.5, 0.75)]``.

    Args:
        schedule: any schedule.
        every: the steps from one sample to the next, the first at step 0; at least 1, which changes nothing.
        at: the steps of the samples, increasing and positive; step 0 is always one.

    Raises:
        ValueError: if not exactly one of ``every`` and ``at`` is given, ``every`` is below 1, ``at`` is empty or not
            increasing.
        TypeError: if ``schedule`` is no :class:`Schedule`, or a step is no int.

    Example:
        >>> lr = REX(peak=1.0, total_steps=100)
        >>> print(sampled(lr, every=50).at([0, 49, 50, 100]), sampled(lr, at=[50, 75]).at([49, 50, 74, 75, 100]))
        [1.         1.         0.66666667 0.        ] [1.         0.66666667 0.66666667 0.4        0.4       ]

    References:
        Chen, Wolfe, Kyrillidis, REX: Revisiting Budgeted Training with an Improved Schedule, arXiv:2107.04197 (that it
        studies these sampling rates is recalled, not verified).
    """
    if (every is None) == (at is None):
        raise ValueError(f"sampled: give exactly one of every and at, got {every=}, {at=}")
    if at is None:
        return Sampled(schedule=schedule, period_steps=every)
    return SampledAt(schedule=schedule, milestones=at)


def on_tokens(schedule: Schedule, *, tokens_per_step: int | Sequence[int], at: int | Sequence[int] = ()) -> OnTokens:
    """The schedule on a clock of tokens: its steps are tokens, and an update takes so many of them.

    A batch-size ramp then changes the clock and leaves the schedule alone: give ``tokens_per_step`` for each stage. Exact
    beyond 2³¹ tokens. What is counted may as well be examples or images. The number of updates until the schedule is over is
    its ``ends_at``. Put cycles, samples and stretched schedules outside: *inside* they read the tokens as a float32 on the
    device, which is exact up to 2²⁴ of them.

    Args:
        schedule: any schedule, its lengths in tokens.
        tokens_per_step: the tokens of an update, at least 1; or one number for each stage of a ramp.
        at: the steps at which the second, third, … stage of the ramp begins, not decreasing.

    Raises:
        ValueError: if ``tokens_per_step`` is below 1, or the steps are not one fewer than the stages, decrease or are
            negative.
        TypeError: if ``schedule`` is no :class:`Schedule`, or a count is no int.

    Example:
        >>> from optax_lrs import Linear
        >>> lr = on_tokens(Linear(peak=1.0, total_steps=8000), tokens_per_step=[100, 200], at=20)
        >>> print(lr.at([0, 20, 30, 50]), lr.ends_at)
        [1.   0.75 0.5  0.  ] 50
    """
    return OnTokens(schedule=schedule, tokens_per_step=_listed(tokens_per_step), boundaries=_listed(at))


class Cycled(Schedule):
    """A schedule over and over: what ``cycled`` returns."""

    example: ClassVar = dict(schedule=Cosine(peak=1.0, total_steps=50, warmup_steps=5), period_steps=50, cycles=2)

    schedule: Schedule
    period_steps: int
    cycles: int | None = None

    def check(self):
        """Besides the glossary's rules: a period and a cycle at least."""
        super().check()
        self.require(self.period_steps >= 1, "period_steps must be at least 1", "period_steps")
        self.require(self.cycles is None or self.cycles >= 1, "cycles must be at least 1", "cycles")

    @property
    def ends_at(self):
        """The end of the last cycle."""
        return None if self.cycles is None else self.cycles * self.period_steps

    @property
    def corners(self):
        """The corners of the first two cycles and of the last."""
        inside = {0, *(corner for corner in self.schedule.corners if corner < self.period_steps)}
        last = 1 if self.cycles is None else self.cycles - 1
        starts = {cycle * self.period_steps for cycle in (0, min(1, last), last)}
        end = {(last + 1) * self.period_steps}
        return tuple(sorted({start + corner for start in starts for corner in inside} | end))

    def rate(self, clock):
        """The formula."""
        _, within = clock.cycle(self.period_steps)
        rate = self.schedule.rate(within)
        if self.cycles is None:
            return rate
        end = self.schedule.rate(_stopped(clock, self.period_steps))
        return clock.xp.where(clock.reached(self.ends_at), end, rate)


class Sampled(Schedule):
    """A schedule seen once in a period: what ``sampled(schedule, every=...)`` returns."""

    example: ClassVar = dict(schedule=Cosine(peak=1.0, total_steps=100, warmup_steps=10), period_steps=10)

    schedule: Schedule
    period_steps: int

    def check(self):
        """Besides the glossary's rules: a period of a step at least."""
        super().check()
        self.require(self.period_steps >= 1, "every must be at least 1", "period_steps")

    @property
    def ends_at(self):
        """The first sample at or after the end of the schedule."""
        end = self.schedule.ends_at
        return None if end is None else -(-end // self.period_steps) * self.period_steps

    @property
    def corners(self):
        """The first samples, and those after the corners of the schedule."""
        after = {-(-corner // self.period_steps) * self.period_steps for corner in self.schedule.corners}
        return tuple(sorted({0, self.period_steps} | after))

    def rate(self, clock):
        """The formula."""
        return self.schedule.rate(clock.sampled(self.period_steps))


class SampledAt(Schedule):
    """A schedule seen at milestones: what ``sampled(schedule, at=...)`` returns."""

    example: ClassVar = dict(schedule=REX(peak=1.0, total_steps=100), milestones=(50, 75))

    schedule: Schedule
    milestones: tuple[int, ...]

    def check(self):
        """Besides the glossary's rules: increasing milestones."""
        super().check()
        rising = all(a < b for a, b in zip((0, *self.milestones), self.milestones))
        self.require(
            bool(self.milestones) and rising, "at must be increasing, positive steps, one at least", "milestones"
        )

    @property
    def ends_at(self):
        """The last milestone."""
        return self.milestones[-1]

    @property
    def corners(self):
        """The milestones."""
        return (0, *self.milestones)

    def rate(self, clock):
        """The formula."""
        rate = self.schedule.rate(_stopped(clock, 0))
        for step in self.milestones:
            rate = clock.xp.where(clock.reached(step), self.schedule.rate(_stopped(clock, step)), rate)
        return rate


class OnTokens(Schedule):
    """A schedule on a clock of tokens: what ``on_tokens`` returns."""

    example: ClassVar = dict(
        schedule=Cosine(peak=1.0, total_steps=150_000, warmup_steps=10_000),
        tokens_per_step=(1000, 2000),
        boundaries=(50,),
    )

    schedule: Schedule
    tokens_per_step: tuple[int, ...]
    boundaries: tuple[int, ...] = ()

    def check(self):
        """Besides the glossary's rules: stages that fit their boundaries, each with tokens."""
        super().check()
        stages = self.tokens_per_step
        self.require(
            stages and min(stages) >= 1, "tokens_per_step must be one or more counts of at least 1", "tokens_per_step"
        )
        rule = f"at must be one step fewer than tokens_per_step, which are {len(stages)}"
        self.require(len(stages) == len(self.boundaries) + 1, rule, "boundaries")
        rising = all(a <= b for a, b in zip((0, *self.boundaries), self.boundaries))
        self.require(rising, "at must not decrease or be negative", "boundaries")

    @property
    def ends_at(self):
        """The number of updates after which the schedule has had all its tokens."""
        return None if self.schedule.ends_at is None else self._step_of(self.schedule.ends_at)

    @property
    def corners(self):
        """The corners of the schedule in steps, rounded up."""
        return tuple(sorted({0, *self.boundaries, *map(self._step_of, self.schedule.corners)}))

    def decayed_from(self, at, steps=None):
        """The schedule's decay begun earlier, at the tokens seen until the update ``at``."""
        first = self._token_of(at)
        tokens = None if steps is None else self._token_of(at + steps) - first
        return self.replace(schedule=self.schedule.decayed_from(first, tokens))

    def rate(self, clock):
        """The formula."""
        rate = None
        for start, end, per_step, before in self._stages():
            tokens = clock.between(start, end).shift(start).count(per_step).shift(-before)
            stage = self.schedule.rate(tokens)
            rate = stage if rate is None else clock.xp.where(clock.reached(start), stage, rate)
        return rate

    def _stages(self):
        """Start, end, tokens per step and tokens before, of each stage."""
        starts = (0, *self.boundaries)
        lengths = (end - start for start, end in itertools.pairwise(starts))
        before = itertools.accumulate((n * per for n, per in zip(lengths, self.tokens_per_step)), initial=0)
        return zip(starts, (*self.boundaries, None), self.tokens_per_step, before)

    def _token_of(self, step: int) -> int:
        """The tokens seen until a step."""
        *_, (start, _, per_step, before) = (stage for stage in self._stages() if stage[0] <= step)
        return before + (step - start) * per_step

    def _step_of(self, token: int) -> int:
        """The first step at which so many tokens were seen."""
        for start, end, per_step, before in self._stages():
            step = start - (before - token) // per_step
            if end is None or step <= end:
                return max(step, 0)
        raise AssertionError("the last stage has no end")


def _listed(numbers: int | Sequence[int]) -> Sequence[int]:
    return numbers if hasattr(numbers, "__iter__") else (numbers,)


def _stopped(clock: Clock, at: int) -> Clock:
    """The clock that reads ``at`` at every step."""
    return clock.sampled(1).between(0, 0).shift(-at)  # sampled first: then 0 is a whole step of the root
