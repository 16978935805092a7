"""Cosine with warm restarts."""

from __future__ import annotations

import functools
from typing import Any, ClassVar

from optax_lrs._clock import Clock
from optax_lrs._schedule import Schedule


class SGDR(Schedule):
    r"""Cosine decay with warm restarts.

    With :math:`r` steps into cycle :math:`i`, :math:`W` = ``warmup_steps`` and :math:`P_i` =
    ``growth**i * period_steps``,

    .. math:: \eta = \text{floor} + (\text{peak} - \text{floor}) \begin{cases} r/W & r < W \\
              \tfrac12 \big(1 + \cos(\pi (r - W)/(P_i - W))\big) & r \ge W \end{cases}

    Every cycle ends in a usable model. Use it for runs that may stop at several times, and for
    ensembles. AlgoPerf's "Cyclic LR" is one or two ``cycles`` with ``warmup_steps``; Hugging Face's
    restarts are ``join(LinearWarmup(...), SGDR(...), at=...)``.

    Args:
        peak: the rate from which each cycle decays.
        period_steps: the length of the first cycle, its warmup included; at least 1.
        growth: the ratio of the lengths of a cycle and the one before (the paper's T_mult); 1 by
            default.
        warmup_steps: the length of each cycle's warmup, shorter than the first cycle; 0 by default,
            so that a restart is a jump.
        cycles: the number of cycles; the rate is ``floor`` after the last. None (the default) never
            ends.
        floor: the rate at the end of each cycle and at the start of its warmup; at most ``peak``; 0
            by default.

    Raises:
        ValueError: if a count is below 1, the warmup is not shorter than the first cycle, or
            ``floor`` is negative or above ``peak``.
        TypeError: if a count is not an int or a rate is not a number.

    Example:
        >>> print(SGDR(peak=1e-3, period_steps=10, growth=2).at([0, 5, 10, 20, 30, 50, 70]))
        [0.001  0.0005 0.001  0.0005 0.001  0.0005 0.001 ]

    References:
        Loshchilov, Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, arXiv:1608.03983.
    """

    paper: ClassVar[str] = "arXiv:1608.03983"
    example: ClassVar[dict[str, Any]] = dict(peak=1.0, period_steps=15, growth=2, warmup_steps=3, cycles=3)

    peak: float
    period_steps: int
    growth: int = 1
    warmup_steps: int = 0
    cycles: int | None = None
    floor: float = 0.0

    def check(self) -> None:
        super().check()
        for key in ("period_steps", "growth", "cycles"):
            self.require(getattr(self, key) is None or getattr(self, key) >= 1, f"{key} must be at least 1", key)
        short = self.warmup_steps < self.period_steps
        self.require(short, "the warmup must be shorter than the first cycle", "warmup_steps", "period_steps")
        self.require(self.floor <= self.peak, "floor must be at most peak", "floor", "peak")

    @property
    def ends_at(self) -> int | None:
        return self.cycles and (self.period_steps * self.cycles if self.growth == 1 else self.corners[-1])

    @property
    def corners(self) -> tuple[int, ...]:
        return _knots(self.period_steps, self.growth, self.warmup_steps, min(self.cycles or 2, 64))

    def rate(self, clock: Clock) -> Any:
        xp, warmup, period = clock.xp, self.warmup_steps, self.period_steps
        if self.growth == 1:
            _, cycle = clock.cycle(period)
            shape = cycle.done(0, warmup) * xp.sin(cycle.left(warmup, period) * (xp.pi / 2)) ** 2
            if self.cycles:
                shape = xp.where(clock.reached(period * self.cycles), 0.0, shape)
        else:
            index, done, left = clock.segment(_knots(period, self.growth, warmup, self.cycles or 64))
            shape = xp.where((index % 2 == 1) | (not warmup), xp.sin(left * (xp.pi / 2)) ** 2, done)
        return self.peak * shape + self.floor * (1.0 - shape)


@functools.lru_cache
def _knots(period: int, growth: int, warmup: int, cycles: int) -> tuple[int, ...]:
    """The steps at which warmups and decays start, and the end of the last cycle.

    Growing cycles soon exceed the integers: knots stop at 2**62.
    """
    starts, length = [0], period
    while len(starts) <= cycles and (starts[-1] + length < 2**62 or len(starts) == 1):
        starts, length = [*starts, starts[-1] + length], length * growth
    return tuple(sorted({*starts, *(start + warmup for start in starts[:-1])}))
