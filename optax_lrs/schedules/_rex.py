"""Reflected exponential decay."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from optax_lrs import profiles
from optax_lrs._clock import Clock
from optax_lrs._schedule import Schedule


class REX(Schedule):
    r"""Linear warmup, then the reflected exponential: slow at first, fast at the end.

    With :math:`W` = ``warmup_steps``, :math:`T` = ``total_steps`` and :math:`z = (T - s)/(T - W)`,

    .. math::

        \eta(s) = \text{end} + (\text{peak} - \text{end})\, \frac{z}{(1 - d) + d z}, \quad
          W \le s < T

    Use it for small budgets (1–25% of the usual epochs), where it does as well as linear decay or
    better; ``d=0`` is linear decay. The paper has ``d=0.5`` and no warmup; popular ports use 0.9,
    which stays near the peak for most of the run.

    Args:
        peak: the rate at the end of the warmup.
        total_steps: the length of the run, warmup included; from this step on the rate is ``end``.
        warmup_steps: the length of the warmup; 0 by default. Unlike the paper, which has none.
        end: the last rate, at most ``peak``; 0 by default.
        d: the bend, below 1; 0.5 by default.

    Raises:
        ValueError: if the warmup is longer than the run, ``end`` exceeds ``peak``, ``d`` is 1 or
            more, or a rate or a length is negative.
        TypeError: if a count is not an int or a rate is not a number.

    Example:
        >>> lr = REX(peak=1.0, total_steps=100)
        >>> print(lr.at([0, 10, 50, 75, 100]).round(6))
        [1.       0.947368 0.666667 0.4      0.      ]

    References:
        Chen, Wolfe, Kyrillidis, REX: Revisiting Budgeted Training with an Improved Schedule,
        arXiv:2107.04197.
    """

    paper: ClassVar[str] = "arXiv:2107.04197"
    example: ClassVar[dict[str, Any]] = dict(peak=1.0, total_steps=100, warmup_steps=10)

    peak: float
    total_steps: int
    warmup_steps: int = 0
    end: float = 0.0
    d: float = 0.5

    def check(self) -> None:
        super().check()
        self.require(bool(np.float32(self.d) < 1), "d must be below 1", "d")

    def rate(self, clock: Clock) -> Any:
        decay = clock.phase(self.warmup_steps, self.total_steps)
        return clock.done(0, self.warmup_steps) * profiles.rex(self.d).rate(decay, self.peak, self.end)
