"""A triangular wave that halves with every cycle."""

from __future__ import annotations

from typing import Any, ClassVar

from optax_lrs._clock import Clock
from optax_lrs._schedule import Schedule
from optax_lrs.schedules._triangular import between, check_wave, triangle, wave_corners


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

    def check(self) -> None:
        super().check()
        check_wave(self)

    @property
    def corners(self) -> tuple[int, ...]:
        return wave_corners(self.period_steps)

    def rate(self, clock: Clock) -> Any:
        index, cycle = clock.stretch(self.period_steps).cycle(1)
        return between(clock.xp.ldexp(triangle(cycle, 1), -index), self.peak, self.floor)
