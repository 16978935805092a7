"""Step decay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import jax
import numpy as np

from optax_lrs._clock import Clock
from optax_lrs._schedule import Schedule


class StepDecay(Schedule):
    r"""Linear warmup, then a constant that drops at milestones.

    With :math:`W` = ``warmup_steps``, the milestones :math:`m_i` and the factors :math:`f_i`,
    :math:`f_0 = 1`,

    .. math:: \eta(s) = \text{peak}\; f_i\, \min(1, s/W), \quad m_i \le s < m_{i+1}

    ``StepDecay.by(factor=0.1, milestones=...)`` divides by ten at each milestone; ResNets use
    epochs 30, 60 and 90 (or 80). DeepSeek LLM's multi-step schedule has ``factors=(0.316, 0.1)`` at
    80% and 90% of the run, after 2,000 steps of warmup; a run to be extended continues from before
    the drop (both recalled, not verified). Unlike timm's, a drop comes at its milestone.

    Args:
        peak: the rate at the end of the warmup.
        milestones: the steps of the drops, increasing.
        factors: the share of the peak from each milestone on, one per milestone, not rising; a
            leaf.
        warmup_steps: the length of the warmup, at most the first milestone; 0 by default.

    Raises:
        ValueError: if the milestones do not increase, lie in the warmup, or differ in number from
            the factors, the factors rise or exceed 1, or a number is negative.
        TypeError: if a count is not an int or a rate is not a number.

    Example:
        >>> lr = StepDecay(peak=1.0, milestones=(80, 90), factors=(0.316, 0.1), warmup_steps=10)
        >>> print(lr.at([5, 79, 80, 90, 1000]))
        [0.5   1.    0.316 0.1   0.1  ]
        >>> StepDecay.by(factor=0.5, peak=0.1, milestones=(30, 60, 90))
        StepDecay(peak=0.1, milestones=(30, 60, 90), factors=[0.5, 0.25, 0.125], warmup_steps=0)

    References:
        Goyal et al., Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour, arXiv:1706.02677.
        DeepSeek LLM, arXiv:2401.02954.
    """

    paper: ClassVar[str] = "arXiv:1706.02677"
    example: ClassVar[dict[str, Any]] = dict(
        peak=1.0, milestones=(30, 60, 90), factors=(0.1, 0.01, 0.001), warmup_steps=5
    )

    peak: float
    milestones: tuple[int, ...]
    factors: jax.Array
    warmup_steps: int = 0

    @classmethod
    def by(cls, *, factor: float, milestones: Sequence[int], **fields: Any) -> Self:
        """Multiplies the rate by the same factor at each milestone.

        Args:
            factor: the factor, in [0, 1].
            milestones: the steps of the drops, increasing.
            **fields: the other fields: ``peak``, ``warmup_steps``.
        """
        factors: Any = [factor ** (i + 1) for i in range(len(milestones))]
        return cls(milestones=tuple(milestones), factors=factors, **fields)

    def check(self) -> None:
        super().check()
        milestones, count = self.milestones, len(self.factors)
        self.require(len(milestones) == count, f"milestones must be {count} steps, one per factor", "milestones")
        rising = all(a < b for a, b in zip((-1, *milestones), milestones))
        self.require(rising, "milestones must be increasing and not negative", "milestones")
        fits = self.warmup_steps <= milestones[0]
        self.require(fits, "the warmup must end before the first milestone", "warmup_steps", "milestones")
        legal = bool(np.all(np.diff([1.0, *self.factors, 0.0]) <= 0))
        self.require(legal, "factors must not rise, from 1 down to 0 at most", "factors")

    @property
    def ends_at(self) -> int:
        return self.milestones[-1]

    @property
    def corners(self) -> tuple[int, ...]:
        return tuple(sorted({0, self.warmup_steps, *self.milestones}))

    def rate(self, clock: Clock) -> Any:
        rate = self.peak
        for index, milestone in enumerate(self.milestones):
            rate = clock.xp.where(clock.reached(milestone), self.peak * self.factors[index], rate)
        return clock.done(0, self.warmup_steps) * rate
