"""A damped cosine."""

from __future__ import annotations

from typing import Any, ClassVar

from optax_lrs._clock import Clock
from optax_lrs._schedule import Schedule


class DampedCosine(Schedule):
    r"""Linear warmup, then a cosine that swings between two falling lines.

    With :math:`W` = ``warmup_steps``, :math:`T` = ``total_steps``, :math:`x = (s - W)/(T - W)` and
    :math:`N` = ``cycles``,

    .. math::

        \eta(s) = P(x) \cos^2 \theta + V(x) \sin^2 \theta, \quad
          \theta = \tfrac{\pi}{2} (2N - 1)\, x, \\
        P(x) = \text{peak}\, (1 - (1 - \gamma)\, x), \quad
          V(x) = v\, \text{peak}\, (1 - x) + \text{end}\; x

    This equals the paper's mean of the two lines plus half their difference times
    :math:`\cos 2\theta`. The rate touches the upper line :math:`P` N times and the lower line
    :math:`V` N times, and ends on the lower one. The authors' run (settings of a
    re-implementation): 8e-4 to 8e-5, a warmup of 6%, one cycle, ``gamma=0``. The two lines are that
    re-implementation's reading. Unlike its warmup, ours starts at 0 and reaches the peak at
    :math:`s = W`, not one step earlier.

    Args:
        peak: the rate at the end of the warmup.
        total_steps: the length of the run, warmup included; from this step on the rate is ``end``.
        warmup_steps: the length of the warmup; 0 by default.
        end: the last rate, at most ``peak``; 0 by default.
        cycles: the number of swings, at least 1; each but the last goes down and up again.
        gamma: the share of the peak at the end of the upper line, in [0, 1]; 1 is undamped, 0 the
            default.
        v: the share of the peak at the start of the lower line, in [0, 1]; 0.5 by default.

    Raises:
        ValueError: if the warmup is longer than the run, ``end`` exceeds ``peak``, ``cycles`` is
            below 1, ``gamma`` or ``v`` is not in [0, 1], or a number is negative.
        TypeError: if a count is not an int or a rate is not a number.

    Example:
        >>> lr = DampedCosine(peak=1.0, total_steps=100, end=0.1, cycles=3, gamma=0.2)
        >>> print(lr.at([0, 20, 40, 60, 80, 100]))
        [1.   0.42 0.68 0.26 0.36 0.1 ]

    References:
        Zhao et al., Chinese ModernBERT with Whole-Word Masking, arXiv:2510.12285.
    """

    paper: ClassVar[str] = "arXiv:2510.12285"
    example: ClassVar[dict[str, Any]] = dict(peak=1.0, total_steps=100, warmup_steps=10, end=0.1, cycles=3, gamma=0.2)

    peak: float
    total_steps: int
    warmup_steps: int = 0
    end: float = 0.0
    cycles: int = 1
    gamma: float = 0.0
    v: float = 0.5

    def check(self) -> None:
        super().check()
        self.require(self.cycles >= 1, "cycles must be at least 1", "cycles")
        self.require(0 <= self.gamma <= 1, "gamma must be in [0, 1]", "gamma")
        self.require(0 <= self.v <= 1, "v must be in [0, 1]", "v")

    def rate(self, clock: Clock) -> Any:
        waves, length = 2 * self.cycles - 1, self.total_steps - self.warmup_steps
        # A zigzag from 1 to 0 and back. Each half-wave is a phase, so its ends are exact.
        finer, start = clock.count(waves), waves * self.warmup_steps
        left = [finer.left(start + wave * length, start + (wave + 1) * length) for wave in range(waves)]
        zigzag = left[0]
        for down, up in zip(left[1::2], left[2::2]):
            zigzag = zigzag - down + up
        upper = clock.xp.sin(zigzag * (clock.xp.pi / 2)) ** 2
        x, left = (part(self.warmup_steps, self.total_steps) for part in (clock.done, clock.left))
        high, low = self.peak * (left + self.gamma * x), self.v * self.peak * left + self.end * x
        return clock.done(0, self.warmup_steps) * (high * upper + low * (1.0 - upper))
