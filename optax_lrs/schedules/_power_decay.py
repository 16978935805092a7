"""Power decay."""

from __future__ import annotations

from typing import Any, ClassVar

from optax_lrs import profiles
from optax_lrs._clock import Clock
from optax_lrs._schedule import Schedule


class PowerDecay(Schedule):
    r"""Linear warmup, then a power of the share of the decay that is left.

    Optax and Hugging Face transformers call it polynomial decay. With :math:`W` = ``warmup_steps``
    and :math:`T` = ``total_steps``,

    .. math::

        \eta(s) = \text{end} + (\text{peak} - \text{end}) \Big(\frac{T - s}{T - W}\Big)^p, \quad
          W \le s < T

    ``p=1`` is linear; 0.9 is usual for segmentation (recalled, not verified). For tasks of capacity
    exponent :math:`b > 1` the paper derives ``p = 2b - 1``: over the whole run if the task is easy,
    otherwise after a plateau, as ``WSD(..., decay=profiles.power(2 * b - 1))``, with a share of the
    run that shrinks as the run gets longer. Unlike Hugging Face's, ``end`` is a rate, not a share
    of the peak.

    Args:
        peak: the rate at the end of the warmup.
        total_steps: the length of the run, warmup included; from this step on the rate is ``end``.
        warmup_steps: the length of the warmup; 0 by default.
        end: the last rate, at most ``peak``; 0 by default.
        p: the exponent, positive; 1 by default.

    Raises:
        ValueError: if the warmup is longer than the run, ``end`` exceeds ``peak``, ``p`` is not
            positive, or a number is negative.
        TypeError: if a count is not an int or a rate is not a number.

    Example:
        >>> lr = PowerDecay(peak=1.0, total_steps=100, p=2.0)
        >>> print(lr.at([0, 25, 50, 75, 100]))
        [1.     0.5625 0.25   0.0625 0.    ]

    References:
        Li et al., arXiv:2602.06797.
    """

    paper: ClassVar[str] = "arXiv:2602.06797"
    example: ClassVar[dict[str, Any]] = dict(peak=1.0, total_steps=100, warmup_steps=10, p=2.0)

    peak: float
    total_steps: int
    warmup_steps: int = 0
    end: float = 0.0
    p: float = 1.0

    def check(self) -> None:
        super().check()
        self.require(self.p > 0, "p must be positive", "p")

    def rate(self, clock: Clock) -> Any:
        decay = clock.phase(self.warmup_steps, self.total_steps)
        return clock.done(0, self.warmup_steps) * profiles.power(self.p).rate(decay, self.peak, self.end)
