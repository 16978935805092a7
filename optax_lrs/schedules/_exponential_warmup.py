"""Exponential warmup."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from optax_lrs._clock import Clock
from optax_lrs._schedule import Schedule
from optax_lrs._value.arguments import known_number


class ExponentialWarmup(Schedule):
    r"""Rises to a rate as a capacitor charges: fast at first, and without a corner.

    With :math:`\tau` = ``timescale_steps``,

    .. math:: \eta(s) = \text{peak}\, (1 - e^{-s/\tau})

    The *untuned* warmup of Adam has :math:`\tau = 1/(1-\beta_2)`, 1,000 steps at the usual 0.999:
    ``ExponentialWarmup.untuned(peak=1e-3)``. The paper finds it as good as the linear warmup and as
    RAdam, and recommends the linear one, which is simpler: :meth:`LinearWarmup.untuned`. Unlike the
    paper, where updates count from 1, the first rate is 0; ``shifted(..., by=-1)`` gives the
    paper's. After 14 timescales the rate is within 1e-6 of the peak.

    Args:
        peak: the rate that is approached.
        timescale_steps: the steps in which the distance to ``peak`` falls to 1/e; at least 1.

    Raises:
        ValueError: if ``timescale_steps`` is below 1, or a number is negative.
        TypeError: if a count is not an int or a rate is not a number.

    Example:
        >>> print(ExponentialWarmup(peak=1e-3, timescale_steps=100).at([0, 1, 100, 1400]))
        [0.00000000e+00 9.95016625e-06 6.32120559e-04 9.99999168e-04]
        >>> ExponentialWarmup.untuned(peak=1e-3, b2=0.95)
        ExponentialWarmup(peak=0.001, timescale_steps=20)

    References:
        Ma, Yarats, On the Adequacy of Untuned Warmup for Adaptive Optimization, arXiv:1910.04209.
    """

    paper: ClassVar[str] = "arXiv:1910.04209"
    example: ClassVar[dict[str, Any]] = dict(peak=1.0, timescale_steps=20)

    peak: float
    timescale_steps: int

    @classmethod
    def untuned(cls, *, peak: float, b2: float = 0.999) -> Self:
        """The untuned warmup for Adam's ``b2``: a timescale of 1 / (1 - b2) steps, rounded.

        Args:
            peak: the rate that is approached.
            b2: the decay of the second moment; 0.999 by default.

        Raises:
            ValueError: if ``b2`` is not in [0, 1).
        """
        b2 = known_number("ExponentialWarmup", "b2", b2, low=0, below=1)
        return cls(peak=peak, timescale_steps=round(1 / (1 - b2)))

    def check(self) -> None:
        super().check()
        self.require(self.timescale_steps >= 1, "timescale_steps must be at least 1", "timescale_steps")

    def rate(self, clock: Clock) -> Any:
        return self.peak * -clock.xp.expm1(-clock.since(0) / float(self.timescale_steps))
