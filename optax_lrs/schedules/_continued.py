"""Re-warming: a new warmup and a new decay in a run that continues."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, ClassVar

from optax_lrs import profiles
from optax_lrs._clock import Clock
from optax_lrs._schedule import Schedule
from optax_lrs._value.arguments import instance, whole
from optax_lrs.schedules._cosine import Cosine
from optax_lrs.schedules._sequences import is_sequence, listed


def rewarm(
    schedule: Schedule,
    *,
    at: int | Sequence[int],
    peak: float | Sequence[float],
    warmup_steps: int | Sequence[int],
    decay_steps: int | Sequence[int | None] | None,
    profile: profiles.Profile = profiles.cosine,
    start: float | None = 0.0,
    end: float | Sequence[float] | None = None,
) -> Continued:
    r"""Follows a schedule to a step, then warms up and decays again, for continual pre-training.

    With :math:`a` = ``at``, :math:`W` = ``warmup_steps``, :math:`D` = ``decay_steps`` and the
    profile :math:`g`,

    .. math::

        \eta(s) = \begin{cases} \text{schedule}(s) & s < a \\
        \text{start} + (\text{peak} - \text{start})\,(s - a)/W & a \le s < a + W \\
        \text{end} + (\text{peak} - \text{end})\, g\big((s - a - W)/D\big)
          & a + W \le s < a + W + D \\
        \text{end} & s \ge a + W + D \end{cases}

    Use it when training continues on new data. The defaults follow the papers: start from 0 and
    decay along a cosine to a tenth of the peak, over all of the new data, after a warmup of 1% of
    it. In their runs (405M parameters, 300B tokens, peak 3e-4) the length of the warmup made no
    lasting difference; a higher peak adapts more and forgets more; replaying old data (5% for a
    weak shift, 25% for a strong one) recovers most of what is forgotten. The papers also reset the
    optimizer state at ``at``; this function changes the rate only. :class:`Infinite` is a schedule
    that never needs re-warming.

    The rate jumps at ``at`` from the old rate to ``start``. ``start=None`` begins at the old
    schedule's rate at that step, even if its numbers change at run time. A re-warming that begins
    before the previous one has ended cuts it off.

    Args:
        schedule: the schedule until ``at``; any schedule.
        at: the step of the new warmup's first update: ``step_of`` a restored state. Several
            increasing steps give one cycle each; every other argument except ``profile`` and
            ``start`` is then one value for all cycles or one per cycle.
        peak: the rate at the end of the warmup.
        warmup_steps: the length of the warmup; 0 jumps to the peak.
        decay_steps: the length of the decay; 0 stays at the peak. None, where another re-warming
            follows, decays until that one begins.
        profile: the profile of the decay; :data:`optax_lrs.profiles.cosine` by default.
        start: the rate at ``at``; 0 by default. None for the old schedule's rate.
        end: the last rate, at most ``peak``. None (the default) for a tenth of the peak.

    Returns:
        A :class:`optax_lrs.schedules.Continued`, nested where there are several cycles. It
        evaluates ``schedule`` once per step.

    Raises:
        ValueError: if the steps decrease or are negative, an argument has neither one value nor one
            per cycle, the last ``decay_steps`` is None, no steps are left for a decay before the
            next re-warming, ``end`` exceeds ``peak`` or is 0 where the profile needs it positive,
            or a number is negative.
        TypeError: if ``schedule`` is not a :class:`Schedule`, a count is not an int, a rate is not
            a number, or ``profile`` is not a profile.

    Example:
        >>> old = Cosine(peak=3e-4, total_steps=1000, end=3e-5)
        >>> lr = rewarm(old, at=1000, peak=2e-4, warmup_steps=10, decay_steps=490)
        >>> print(lr.at([999, 1000, 1005, 1010, 1255, 1500]))
        [3.00006662e-05 0.00000000e+00 1.00000000e-04 2.00000000e-04
         1.10000000e-04 2.00000000e-05]

    References:
        Gupta et al., Continual Pre-Training of Large Language Models: How to (re)warm your model?,
        arXiv:2308.04014.
        Ibrahim et al., Simple and Scalable Strategies to Continually Pre-train Large Language
        Models, arXiv:2403.08763.
    """
    steps = tuple(whole("rewarm", "at", step) for step in listed(at))
    instance("rewarm", "schedule", schedule, Schedule)
    instance("rewarm", "profile", profile, profiles.Profile, example="profiles.cosine")
    if not steps:
        raise ValueError(f"rewarm: at must be one step or more, got {at!r}")
    if any(a >= b for a, b in itertools.pairwise(steps)):
        raise ValueError(f"rewarm: at must be increasing, got {steps!r}")
    given = dict(peak=peak, warmup_steps=warmup_steps, decay_steps=decay_steps, end=end)
    cycles = zip(*(_per_cycle(name, values, len(steps)) for name, values in given.items()))
    for boundary, following, (top, warmup, length, last) in zip(steps, (*steps[1:], None), cycles):
        schedule = Continued(
            schedule=schedule,
            boundary=boundary,
            peak=top,
            warmup_steps=warmup,
            decay_steps=_until(boundary, following, warmup) if length is None else length,
            end=_tenth(top) if last is None else last,
            start=start,
            decay=profile,
        )
    assert isinstance(schedule, Continued)
    return schedule


def _per_cycle(name: str, values: Any, count: int) -> Sequence[Any]:
    """One value for each cycle: the values, or a single one repeated."""
    if not is_sequence(values):
        return [values] * count
    if len(values) != count:
        rule = f"must be one value, or one for each of the {count} steps of at"
        raise ValueError(f"rewarm: {name} {rule}, got {values!r}")
    return values


class Continued(Schedule):
    """A schedule followed by a new warmup and a new decay; built by ``rewarm``."""

    paper: ClassVar[str] = "arXiv:2308.04014"
    example: ClassVar[dict[str, Any]] = dict(
        schedule=Cosine(peak=1.0, total_steps=50, warmup_steps=5, end=0.1),
        boundary=50,
        peak=0.8,
        warmup_steps=5,
        decay_steps=45,
        end=0.08,
    )

    schedule: Schedule
    boundary: int
    peak: float
    warmup_steps: int
    decay_steps: int
    end: float
    start: float | None = 0.0
    decay: profiles.Profile = profiles.cosine

    def check(self) -> None:
        super().check()
        self.require(self.boundary >= 0, "at must not be negative", "boundary")
        self.require(self.end > 0 or not self.decay.needs_end, f"{self.decay!r} needs a positive end", "end")

    @property
    def ends_at(self) -> int:
        return self.boundary + self.warmup_steps + self.decay_steps

    @property
    def corners(self) -> tuple[int, ...]:
        old = {corner for corner in self.schedule.corners if corner < self.boundary}
        return tuple(sorted({0, *old, self.boundary, self.boundary + self.warmup_steps, self.ends_at}))

    def rate(self, clock: Clock) -> Any:
        # Held at the boundary: one evaluation gives the old rate and the start of the new warmup.
        old = self.schedule.rate(clock.between(0, self.boundary))
        warm = self.boundary + self.warmup_steps
        rate = self.decay.rate(clock.phase(warm, self.ends_at), self.peak, self.end) if self.decay_steps else self.peak
        start = old if self.start is None else self.start
        rate = start * clock.left(self.boundary, warm) + rate * clock.done(self.boundary, warm)
        return clock.xp.where(clock.reached(self.boundary), rate, old)


def _until(boundary: int, following: int | None, warmup_steps: int) -> int:
    if following is None:
        raise ValueError(f"rewarm: decay_steps must be an int for the last re-warming, at {boundary}, got None")
    if (left := following - boundary - warmup_steps) < 1:
        text = f"between at={boundary} with {warmup_steps=} and the next re-warming at {following}"
        raise ValueError(f"rewarm: decay_steps=None leaves no steps for a decay {text}")
    return left


def _tenth(peak: Any) -> Any:
    return float(f"{peak / 10:.15g}") if isinstance(peak, float) else peak / 10  # 3e-5 for 3e-4, without rounding noise
