"""A triangular wave that halves with every cycle."""

from __future__ import annotations

from typing import ClassVar

from optax_lrs._schedule import Schedule


class Triangular2(Schedule):
    r"""Up and down in straight lines, each cycle half as high as the one before.

    With :math:`P` = ``period_steps``, the cycle :math:`n = \lfloor s/P \rfloor` and :math:`x = s/P - n`, what is done of it,

    .. math:: \eta(s) = \text{floor} + (\text{peak} - \text{floor}) \cdot 2^{-n} \cdot 2 \min(x, 1 - x)

    The wave of :class:`Triangular` that settles at its floor: choose it where the run should end at a low rate, and give it
    few cycles: the fourth is an eighth as high as the first. Floor, peak and period as there.

    Args:
        peak: the rate in the middle of the first cycle.
        period_steps: the length of a cycle, up and down together; at least 1. Where it is odd the middle lies between steps.
        floor: the rate at the start of each cycle, at most ``peak``; 0 by default.

    Raises:
        ValueError: if ``period_steps`` is below 1, ``floor`` exceeds ``peak``, or a number is negative.
        TypeError: if a count is no int or a rate is no number.

    Example:
        >>> lr = Triangular2(peak=6e-3, floor=1e-3, period_steps=4000)
        >>> print(lr.at([0, 2000, 4000, 6000, 8000, 10_000]))
        [0.001   0.006   0.001   0.0035  0.001   0.00225]

    References:
        Smith, Cyclical Learning Rates for Training Neural Networks, arXiv:1506.01186.
    """

    paper: ClassVar = "arXiv:1506.01186"
    example: ClassVar = dict(peak=1.0, period_steps=40, floor=0.1)

    peak: float
    period_steps: int
    floor: float = 0.0

    def check(self):
        """Besides the glossary's rules: a cycle of a step at least, and a floor below the peak."""
        super().check()
        self.require(self.period_steps >= 1, "period_steps must be at least 1", "period_steps")
        self.require(self.floor <= self.peak, "floor must be at most peak", "floor", "peak")

    @property
    def corners(self):
        """Those of the first two cycles."""
        half, period = self.period_steps // 2, self.period_steps
        return tuple(sorted({0, half, period, period + half, 2 * period}))

    def rate(self, clock):
        """The formula."""
        index, cycle = clock.stretch(self.period_steps).cycle(1)
        wave = clock.xp.ldexp(2.0 * clock.xp.minimum(cycle.done(0, 1), cycle.left(0, 1)), -index)
        return self.peak * wave + self.floor * (1.0 - wave)
