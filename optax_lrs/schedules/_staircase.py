"""Exponential decay in steps."""

from __future__ import annotations

from typing import Any, ClassVar

from optax_lrs._clock import Clock
from optax_lrs._schedule import Schedule
from optax_lrs.schedules._exponential import check, fallen


class Staircase(Schedule):
    r"""Linear warmup, then a constant that drops by the same factor after every period.

    With :math:`W` = ``warmup_steps``, :math:`f` = ``factor`` and :math:`P` = ``period_steps``,

    .. math:: \eta(s) = \begin{cases} \text{peak}\; s/W & s < W \\
              \max(\text{floor}, \text{peak}\, f^{\lfloor (s - W)/P \rfloor}) & s \ge W \end{cases}

    This is :class:`Exponential` sampled once per period: Optax's with ``staircase=True``, PyTorch's
    ``StepLR``. EfficientNets use ``factor=0.97`` every 2.4 epochs (recalled, not verified). For
    drops at chosen steps, use :class:`StepDecay`.

    Args:
        peak: the rate at the end of the warmup.
        factor: the ratio of the rates after and before a period, in (0, 1].
        period_steps: the length of a period; at least 1.
        warmup_steps: the length of the warmup; 0 by default.
        floor: the lowest rate after the warmup, at most ``peak``; 0 by default.

    Raises:
        ValueError: if ``factor`` is not in (0, 1], ``period_steps`` is 0, ``floor`` exceeds
            ``peak``, or a number is negative.
        TypeError: if a count is not an int or a rate is not a number.

    Example:
        >>> lr = Staircase(peak=1.0, factor=0.1, period_steps=30)
        >>> print(lr.at([0, 29, 30, 60, 90]).round(6))
        [1.    1.    0.1   0.01  0.001]
    """

    example: ClassVar[dict[str, Any]] = dict(peak=1.0, factor=0.5, period_steps=20, warmup_steps=10)

    peak: float
    factor: float
    period_steps: int
    warmup_steps: int = 0
    floor: float = 0.0

    def check(self) -> None:
        super().check()
        check(self)

    def rate(self, clock: Clock) -> Any:
        return fallen(self, clock, 0.0)
