"""A triangular wave that halves with every cycle."""

from __future__ import annotations

from typing import Any, ClassVar

from optax_lrs._clock import Clock
from optax_lrs._schedule import Schedule
from optax_lrs.schedules._triangular import between, check_wave, triangle, wave_corners


class Triangular2(Schedule):
    r"""A triangular wave that is half as high in each cycle as in the one before.

    With :math:`P` = ``period_steps``, the cycle :math:`n = \lfloor s/P \rfloor` and the share of it
    that is done, :math:`x = s/P - n`,

    .. math::

        \eta(s) = \text{floor} + (\text{peak} - \text{floor}) \cdot 2^{-n} \cdot 2 \min(x, 1 - x)

    This is the wave of :class:`Triangular`, settling at its floor. Use it where the run should end
    at a low rate, with few cycles: the fourth is an eighth as high as the first. Choose floor, peak
    and period as for :class:`Triangular`.

    Args:
        peak: the rate in the middle of the first cycle.
        period_steps: the length of a cycle, up and down together; at least 1. If it is odd, the
            middle lies between steps.
        floor: the rate at the start of each cycle, at most ``peak``; 0 by default.

    Raises:
        ValueError: if ``period_steps`` is below 1, ``floor`` exceeds ``peak``, or a number is
            negative.
        TypeError: if a count is not an int or a rate is not a number.

    Example:
        >>> lr = Triangular2(peak=6e-3, floor=1e-3, period_steps=4000)
        >>> print(lr.at([0, 2000, 4000, 6000, 8000, 10_000]))
        [0.001   0.006   0.001   0.0035  0.001   0.00225]

    References:
        Smith, Cyclical Learning Rates for Training Neural Networks, arXiv:1506.01186.
    """

    paper: ClassVar[str] = "arXiv:1506.01186"
    example: ClassVar[dict[str, Any]] = dict(peak=1.0, period_steps=40, floor=0.1)

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
