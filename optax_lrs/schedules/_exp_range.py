"""A triangular wave that decays exponentially."""

from __future__ import annotations

from typing import Any, ClassVar

from optax_lrs._clock import Clock
from optax_lrs._schedule import Schedule
from optax_lrs.schedules._triangular import between, check_wave, triangle, wave_corners


class ExpRange(Schedule):
    r"""A triangular wave under an exponentially falling envelope.

    With :math:`P` = ``period_steps``, the cycles so far :math:`n = s/P` and
    :math:`x = n - \lfloor n \rfloor`,

    .. math::

        \eta(s) = \text{floor} + (\text{peak} - \text{floor}) \cdot 2^{-n/h} \cdot 2 \min(x, 1 - x)

    Like :class:`Triangular2`, the wave settles at its floor, but at any pace, and it falls within a
    cycle too. The paper writes the envelope as :math:`\gamma^s`, so
    :math:`h = -\ln 2 / (P \ln \gamma)`: the example's 0.99994 (recalled, not verified) with 4,000
    steps per cycle is ``h=2.888``. Half-lives are counted in integers, so the rate is exact in
    float32 however long the run; the remaining error is the rounding of ``h``, 4e-8 per half-life.

    Args:
        peak: the height of the envelope at step 0; the first cycle stays below it.
        period_steps: the length of a cycle, up and down together; at least 1. If it is odd, the
            middle lies between steps.
        h: the number of cycles in which the envelope halves; positive.
        floor: the rate at the start of each cycle, at most ``peak``; 0 by default.

    Raises:
        ValueError: if ``period_steps`` is below 1, ``h`` is not positive, ``floor`` exceeds
            ``peak``, or a number is negative.
        TypeError: if a count is not an int or a rate is not a number.

    Example:
        >>> lr = ExpRange(peak=6e-3, floor=1e-3, period_steps=4000, h=2.0)
        >>> print(lr.at([0, 4000, 6000, 8000, 14_000]))
        [0.001      0.001      0.00397302 0.001      0.00248651]

    References:
        Smith, Cyclical Learning Rates for Training Neural Networks, arXiv:1506.01186.
    """

    paper: ClassVar[str] = "arXiv:1506.01186"
    example: ClassVar[dict[str, Any]] = dict(peak=1.0, period_steps=40, h=1.5, floor=0.1)

    peak: float
    period_steps: int
    h: float
    floor: float = 0.0

    def check(self) -> None:
        super().check()
        check_wave(self)
        self.require(self.h > 0, "h must be positive", "h")

    @property
    def corners(self) -> tuple[int, ...]:
        return wave_corners(self.period_steps)

    def rate(self, clock: Clock) -> Any:
        xp, cycles = clock.xp, clock.stretch(self.period_steps)
        (halvings, part), (_, cycle) = cycles.stretch(self.h).cycle(1), cycles.cycle(1)
        wave = xp.ldexp(xp.power(0.5, part.since(0)) * triangle(cycle, 1), -halvings)
        return between(wave, self.peak, self.floor)
