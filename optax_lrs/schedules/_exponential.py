"""Exponential decay."""

from __future__ import annotations

from typing import Any, ClassVar

from optax_lrs._clock import Clock
from optax_lrs._schedule import Schedule


class Exponential(Schedule):
    r"""Linear warmup, then a constant ratio per step, without end.

    With :math:`W` = ``warmup_steps``, :math:`f` = ``factor`` and :math:`P` = ``period_steps``,

    .. math:: \eta(s) = \begin{cases} \text{peak}\; s/W & s < W \\
              \max(\text{floor}, \text{peak}\, f^{(s - W)/P}) & s \ge W \end{cases}

    Use it for runs of unknown length. EfficientNets were trained with it in steps:
    :class:`Staircase`. To reach a given rate at a given step, use
    ``WSD(..., decay=profiles.exponential)``, which is exact there. ``optax.exponential_decay`` has
    the same formula. The relative error in float32 grows as the rate falls: 3e-8 per period, the
    precision of the factor in float32, and 1e-7 per halving. Prefer few periods and a factor far
    from 1.

    Args:
        peak: the rate at the end of the warmup.
        factor: the ratio of the rates after and before a period, in (0, 1].
        period_steps: the length of a period; at least 1, the default.
        warmup_steps: the length of the warmup; 0 by default.
        floor: the lowest rate after the warmup, at most ``peak``; 0 by default.

    Raises:
        ValueError: if ``factor`` is not in (0, 1], ``period_steps`` is 0, ``floor`` exceeds
            ``peak``, or a number is negative.
        TypeError: if a count is not an int or a rate is not a number.

    Example:
        >>> lr = Exponential(peak=1.0, factor=0.5, period_steps=100, floor=0.2)
        >>> print(lr.at([0, 50, 100, 200, 300]).round(6))
        [1.       0.707107 0.5      0.25     0.2     ]
    """

    example: ClassVar[dict[str, Any]] = dict(peak=1.0, factor=0.5, period_steps=20, warmup_steps=10)

    peak: float
    factor: float
    period_steps: int = 1
    warmup_steps: int = 0
    floor: float = 0.0

    def check(self) -> None:
        super().check()
        check(self)

    def rate(self, clock: Clock) -> Any:
        _, period = clock.shift(self.warmup_steps).cycle(self.period_steps)
        return fallen(self, clock, period.done(0, self.period_steps))


def check(schedule: Any) -> None:
    """Checks the fields that the smooth decay and the staircase share."""
    schedule.require(0 < schedule.factor <= 1, "factor must be in (0, 1]", "factor")
    schedule.require(schedule.period_steps >= 1, "period_steps must be at least 1", "period_steps")
    schedule.require(schedule.floor <= schedule.peak, "floor must be at most peak", "floor", "peak")


def fallen(schedule: Any, clock: Any, part: Any) -> Any:
    """The rate after all whole periods and ``part`` of one."""
    xp, every = clock.xp, schedule.period_steps
    whole = xp.floor(clock.shift(schedule.warmup_steps).sampled(every).since(0) / every + 0.5)
    ratio = xp.log(schedule.factor)
    # coarse * whole fits a float32, so most of the exponent is exact.
    coarse = xp.floor(ratio * 2048 + 0.5) / 2048
    rate = schedule.peak * xp.exp(coarse * whole + ((ratio - coarse) * whole + ratio * part))
    return clock.done(0, schedule.warmup_steps) * xp.maximum(schedule.floor, rate)
