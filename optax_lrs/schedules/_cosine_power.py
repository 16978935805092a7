"""Cosine power annealing."""

from __future__ import annotations

from typing import Any, ClassVar

from optax_lrs import profiles
from optax_lrs._clock import Clock
from optax_lrs._schedule import Schedule


class CosinePower(Schedule):
    r"""Linear warmup, then a cosine in the exponent: a fast first drop and a long, low tail.

    With :math:`W` = ``warmup_steps``, :math:`T` = ``total_steps`` and
    :math:`u = \sin^2(\tfrac{\pi}{2} (T - s)/(T - W))`,

    .. math::

        \eta(s) = \text{end} + (\text{peak} - \text{end})\,\frac{p^u - 1}{p - 1}, \quad W \le s < T

    ``p=1`` is a cosine. Halfway, the rate is the share :math:`1/(1 + \sqrt p)` of the way from
    ``end`` to ``peak``. The authors train CIFAR-10 with ``p=2`` from 0.025 to 1e-8 over 2,000
    epochs, 5 of them warmup, and ImageNet with ``p=10`` from 0.1 to 7.5e-4 over 300 epochs, 10 of
    them warmup.

    Unlike the authors' code, which counts epochs from 1 and warms up from ``end``, steps count from
    0 and the warmup starts at 0. Their schedule, with :math:`w` epochs of warmup and
    ``decay = CosinePower(total_steps=T - w, ...)``, is ``switch(Tabulated(lrs=[end + (peak -
    end)/(w + 1), peak], steps=[0, w]), shifted(decay, by=w - 1), at=w + 1)``.

    Args:
        peak: the rate at the end of the warmup.
        total_steps: the length of the run, warmup included; from this step on the rate is ``end``.
        warmup_steps: the length of the warmup; 0 by default.
        end: the last rate, at most ``peak``; 0 by default.
        p: the base, positive; 10 by default.

    Raises:
        ValueError: if the warmup is longer than the run, ``end`` exceeds ``peak``, ``p`` is not
            positive, or a number is negative.
        TypeError: if a count is not an int or a rate is not a number.

    Example:
        >>> lr = CosinePower(peak=0.1, total_steps=100, end=1e-4)
        >>> print(lr.at([0, 25, 50, 100]).round(6))
        [0.1      0.068228 0.024101 0.0001  ]

    References:
        Hundt, Jain, Hager, sharpDARTS: Faster and More Accurate Differentiable Architecture Search,
        arXiv:1903.09900.
    """

    paper: ClassVar[str] = "arXiv:1903.09900"
    example: ClassVar[dict[str, Any]] = dict(peak=1.0, total_steps=100, warmup_steps=10)

    peak: float
    total_steps: int
    warmup_steps: int = 0
    end: float = 0.0
    p: float = 10.0

    def check(self) -> None:
        super().check()
        self.require(self.p > 0, "p must be positive", "p")

    def rate(self, clock: Clock) -> Any:
        decay = clock.phase(self.warmup_steps, self.total_steps)
        return clock.done(0, self.warmup_steps) * profiles.cosine_power(self.p).rate(decay, self.peak, self.end)
