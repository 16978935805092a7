"""Linear warmup."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from optax_lrs._clock import Clock
from optax_lrs._schedule import Schedule
from optax_lrs._value.arguments import known_number


class LinearWarmup(Schedule):
    r"""A straight line up, then a constant.

    With :math:`W` = ``warmup_steps``,

    .. math:: \eta(s) = \text{start} + (\text{peak} - \text{start}) \min(s/W, 1)

    Use it with schedules that have no warmup: ``join(LinearWarmup(peak=1e-3, warmup_steps=500),
    SGDR(...), at=500)``. The *untuned* warmup of Adam lasts :math:`2/(1-\beta_2)` steps, 2,000 at
    the usual 0.999: ``LinearWarmup.untuned(peak=1e-3)``. Unlike the paper, where updates count from
    1, the first rate is ``start``; ``shifted(..., by=-1)`` gives the paper's.

    Args:
        peak: the rate from ``warmup_steps`` on.
        warmup_steps: the length of the warmup.
        start: the rate at step 0, at most ``peak``; 0 by default.

    Raises:
        ValueError: if ``start`` exceeds ``peak``, or a number is negative.
        TypeError: if a count is not an int or a rate is not a number.

    Example:
        >>> print(LinearWarmup(peak=1e-3, warmup_steps=100).at([0, 50, 100, 1000]))
        [0.     0.0005 0.001  0.001 ]
        >>> LinearWarmup.untuned(peak=1e-3, b2=0.95)
        LinearWarmup(peak=0.001, warmup_steps=40, start=0.0)

    References:
        Ma, Yarats, On the Adequacy of Untuned Warmup for Adaptive Optimization, arXiv:1910.04209.
    """

    paper: ClassVar[str] = "arXiv:1910.04209"
    example: ClassVar[dict[str, Any]] = dict(peak=1.0, warmup_steps=20)

    peak: float
    warmup_steps: int
    start: float = 0.0

    @classmethod
    def untuned(cls, *, peak: float, b2: float = 0.999) -> Self:
        """The untuned warmup for Adam's ``b2``: 2 / (1 - b2) steps, rounded.

        Args:
            peak: the rate at the end of the warmup.
            b2: the decay of the second moment; 0.999 by default.

        Raises:
            ValueError: if ``b2`` is not in [0, 1).
        """
        b2 = known_number("LinearWarmup", "b2", b2, low=0, below=1)
        return cls(peak=peak, warmup_steps=round(2 / (1 - b2)))

    def check(self) -> None:
        super().check()
        self.require(self.start <= self.peak, "start must be at most peak", "start", "peak")

    @property
    def ends_at(self) -> int:
        return self.warmup_steps

    def rate(self, clock: Clock) -> Any:
        up = clock.phase(0, self.warmup_steps)
        return self.peak * up.done + self.start * up.left
