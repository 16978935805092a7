"""A triangular wave around a rate."""

from __future__ import annotations

from typing import Any, ClassVar

from optax_lrs._clock import Clock
from optax_lrs._schedule import Schedule


class CyclicReflex(Schedule):
    r"""A triangular wave around a mean rate: the wave of CyclicReflex.

    With :math:`C` = ``period_steps`` and the share of the current cycle that is done,
    :math:`x = (s \bmod C)/C`,

    .. math:: \eta(s) = \text{value} + \text{amplitude} \cdot \begin{cases} 4x & x < 1/4 \\
              2 - 4x & 1/4 \le x < 3/4 \\ 4x - 4 & x \ge 3/4 \end{cases}

    Unlike the paper, which adds the wave to the scores of the tokens that make a language model
    reflect, this is a learning rate, so it swings around a positive ``value``. There are no
    published numbers for that use. The mean is ``value``, so unlike :class:`Triangular` it can
    replace a constant rate without changing the total. The paper's ``shift`` of the phase is
    ``shifted(CyclicReflex(...), by=...)``.

    Args:
        value: the mean rate, reached at the start of each cycle.
        amplitude: how far the rate swings to either side; at most ``value``.
        period_steps: the length of a cycle; at least 1. If it is not a multiple of 4, the corners
            lie between steps.

    Raises:
        ValueError: if ``period_steps`` is below 1, ``amplitude`` exceeds ``value``, or a number is
            negative.
        TypeError: if a count is not an int or a rate is not a number.

    Example:
        >>> lr = CyclicReflex(value=3e-4, amplitude=1e-4, period_steps=1200)
        >>> print(lr.at([0, 150, 300, 600, 900, 1200]))
        [0.0003  0.00035 0.0004  0.0003  0.0002  0.0003 ]

    References:
        Fan et al., CyclicReflex: Improving Large Reasoning Models via Cyclical Reflection Token
        Scheduling,
        arXiv:2506.11077; the formula is that of the authors' code.
    """

    paper: ClassVar[str] = "arXiv:2506.11077"
    example: ClassVar[dict[str, Any]] = dict(value=0.6, amplitude=0.4, period_steps=40)

    value: float
    amplitude: float
    period_steps: int

    def check(self) -> None:
        super().check()
        self.require(self.period_steps >= 1, "period_steps must be at least 1", "period_steps")
        self.require(self.amplitude <= self.value, "amplitude must be at most value", "amplitude", "value")

    @property
    def corners(self) -> tuple[int, ...]:
        period = self.period_steps
        return tuple(sorted({(start + quarter) * period // 4 for start in (0, 4) for quarter in (0, 1, 3, 4)}))

    def rate(self, clock: Clock) -> Any:
        period = self.period_steps
        _, cycle = clock.cycle(period)
        cycle = cycle.count(4)  # in quarters of a step: the corners are integers then
        # The height above the trough, from 0 to 1: up from 1/2, down to 0, up to 1/2. Each part is
        # exact where it is small.
        height = cycle.done(-period, period) * cycle.left(period, 3 * period) + cycle.done(3 * period, 5 * period)
        return (self.value + self.amplitude) * height + (self.value - self.amplitude) * (1.0 - height)
