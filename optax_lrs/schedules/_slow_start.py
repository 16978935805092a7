"""Slow start, fast decay."""

from __future__ import annotations

from typing import Any, ClassVar

from optax_lrs import profiles
from optax_lrs._clock import Clock
from optax_lrs._schedule import Schedule


class SlowStartFastDecay(Schedule):
    r"""A rise that starts slowly, then a decay that starts fast.

    With :math:`W` = ``warmup_steps``, :math:`T` = ``total_steps`` and the profile :math:`g`,

    .. math::

        \eta(s) = \begin{cases} \text{start} + (\text{peak} - \text{start})\, (s/W)^q & s < W \\
        \text{end} + (\text{peak} - \text{end})\, g\big((s - W)/(T - W)\big) & W \le s < T \\
        \text{end} & s \ge T \end{cases}

    Use it for adversarial fine-tuning of a naturally trained network, for about ten epochs. Only
    the abstract of the paper was read. It names the shape; the formula and its numbers (``q=2``, an
    exponential of steepness 6, W in the middle) are our parameterization.

    Args:
        peak: the highest rate.
        total_steps: the length of the run, rise included; from this step on the rate is ``end``.
        warmup_steps: the length of the rise.
        start: the rate at step 0, at most ``peak``; 0 by default.
        end: the last rate, at most ``peak``; 0 by default.
        q: the power of the rise, positive; 2 by default. Above 1 it starts slowly.
        decay: the profile of the decay; ``profiles.shifted_exponential(6)`` by default.

    Raises:
        ValueError: if the rise is longer than the run, ``start`` or ``end`` exceeds ``peak``, ``q``
            is not positive, or a number is negative.
        TypeError: if a count is not an int, a rate is not a number, or ``decay`` is not a profile.

    Example:
        >>> lr = SlowStartFastDecay(peak=1.0, start=0.01, end=0.01, total_steps=100, warmup_steps=50)
        >>> print(lr.at([0, 25, 50, 60, 75, 100]).round(4))
        [0.01   0.2575 1.     0.3065 0.057  0.01  ]

    References:
        Jeddi, Shafiee, Wong, A Simple Fine-tuning Is All You Need: Towards Robust Deep Learning Via
        Adversarial Fine-tuning, arXiv:2012.13628.
    """

    paper: ClassVar[str] = "arXiv:2012.13628"
    example: ClassVar[dict[str, Any]] = dict(peak=1.0, start=0.01, end=0.01, total_steps=100, warmup_steps=50)

    peak: float
    total_steps: int
    warmup_steps: int
    start: float = 0.0
    end: float = 0.0
    q: float = 2.0
    decay: profiles.Profile = profiles.shifted_exponential(6.0)

    def check(self) -> None:
        super().check()
        self.require(self.start <= self.peak, "start must be at most peak", "start", "peak")
        self.require(self.q > 0, "q must be positive", "q")
        self.require(self.end > 0 or not self.decay.needs_end, f"{self.decay!r} needs a positive end", "end")

    def rate(self, clock: Clock) -> Any:
        share = clock.xp.power(clock.done(0, self.warmup_steps), self.q)
        rise = self.peak * share + self.start * (1.0 - share)
        decay = self.decay.rate(clock.phase(self.warmup_steps, self.total_steps), self.peak, self.end)
        return clock.xp.where(clock.reached(self.warmup_steps), decay, rise)
