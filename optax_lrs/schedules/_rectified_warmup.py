"""RAdam's rectifier as a warmup."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Self

from optax_lrs._clock import Clock
from optax_lrs._schedule import Schedule
from optax_lrs._value.arguments import known_number

# (x/2 coth(x/2) - 1) / x² in powers of x²: Bernoulli numbers over factorials, to 1e-14 at x = 1.
_SERIES = (1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000, 1 / 74724249600)


class RectifiedWarmup(Schedule):
    r"""The rectifier of RAdam as a warmup for Adam, without a number to tune.

    With :math:`\tau` = ``timescale_steps``, :math:`\beta_2 = 1 - 1/\tau`,
    :math:`\rho_\infty = 2\tau - 1` and the update :math:`t = s + 1`,

    .. math::

        \rho_t = \rho_\infty - \frac{2 t \beta_2^t}{1 - \beta_2^t}, \quad
        \eta(s) = \text{peak} \sqrt{\frac{(\rho_t - 4)(\rho_t - 2)\,\rho_\infty}
          {(\rho_\infty - 4)(\rho_\infty - 2)\,\rho_t}} \text{ where } \rho_t > 4, \text{ else } 0

    Use ``RectifiedWarmup.untuned(peak=1e-3, b2=0.999)`` with ``optax.adam(..., b2=0.999)``. Unlike
    the paper, the first updates (four at 0.999), before the variance of Adam's step is finite, have
    rate 0 instead of a step without adaptation; ``optax.radam`` waits for :math:`\rho_t \ge 5`. The
    warmup is close to a linear one of :math:`2\tau` steps: :meth:`LinearWarmup.untuned`.

    Args:
        peak: the rate that is approached.
        timescale_steps: :math:`1/(1 - \beta_2)` of the optimizer, at least 3 (below 3, no update is
            ever rectified).

    Raises:
        ValueError: if ``timescale_steps`` is below 3, or a number is negative.
        TypeError: if a count is not an int or a rate is not a number.

    Example:
        >>> print(RectifiedWarmup.untuned(peak=1.0, b2=0.999).at([0, 3, 4, 99, 999, 9999]))
        [0.         0.         0.0173115  0.21533544 0.64532565 0.9997733 ]

    References:
        Liu et al., On the Variance of the Adaptive Learning Rate and Beyond, arXiv:1908.03265.
    """

    paper: ClassVar[str] = "arXiv:1908.03265"
    example: ClassVar[dict[str, Any]] = dict(peak=1.0, timescale_steps=20)

    peak: float
    timescale_steps: int

    @classmethod
    def untuned(cls, *, peak: float, b2: float = 0.999) -> Self:
        """The warmup for Adam's ``b2``: a timescale of 1 / (1 - b2) steps, rounded.

        Args:
            peak: the rate that is approached.
            b2: the decay of the second moment; 0.999 by default.

        Raises:
            ValueError: if ``b2`` is not in [0, 1), or the timescale is below 3.
        """
        b2 = known_number("RectifiedWarmup", "b2", b2, low=0, below=1)
        return cls(peak=peak, timescale_steps=round(1 / (1 - b2)))

    def check(self) -> None:
        super().check()
        self.require(self.timescale_steps >= 3, "timescale_steps must be at least 3", "timescale_steps")

    def rate(self, clock: Clock) -> Any:
        xp, limit, decay = clock.xp, 2.0 * self.timescale_steps - 1.0, -math.log1p(-1.0 / self.timescale_steps)
        since = clock.since(0)
        x = decay * (since + 1.0)
        early = xp.minimum(x, 1.0)
        # ρ = t - 2 t x S(x²) + 2 u S(u²), u = decay, without a difference of large numbers.
        bend = 2.0 * decay * _series(decay**2) - 2.0 / decay * early**2 * _series(early**2)
        late = 2.0 * (since + 1.0) / xp.expm1(xp.minimum(xp.maximum(x, 1.0), 80.0))

        def beyond(number: float) -> Any:  # ρ - number
            return xp.where(x < 1.0, (since - (number - 1.0)) + bend, (limit - number) - late)

        adapts = beyond(4.0) > 0
        square = beyond(4.0) * beyond(2.0) / beyond(0.0) * (limit / ((limit - 4.0) * (limit - 2.0)))
        return self.peak * xp.where(adapts, xp.sqrt(xp.where(adapts, square, 1.0)), 0.0)


def _series(y: Any) -> Any:
    total = 0.0
    for coefficient in reversed(_SERIES):
        total = total * y + coefficient
    return total
