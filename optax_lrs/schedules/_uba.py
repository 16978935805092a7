"""Unified budget-aware decay."""

from __future__ import annotations

from typing import Any, ClassVar

from optax_lrs import profiles
from optax_lrs._clock import Clock
from optax_lrs._schedule import Schedule
from optax_lrs.schedules._shifted import shifted
from optax_lrs.schedules._stretched import Stretched, stretched


class UBA(Schedule):
    r"""Linear warmup, then unified budget-aware decay: a cosine bent up or down by one number.

    With :math:`W` = ``warmup_steps``, :math:`T` = ``total_steps`` and
    :math:`u = \sin^2(\tfrac{\pi}{2} (T - s)/(T - W))`,

    .. math::

        \eta(s) = \text{end} + (\text{peak} - \text{end})\,\frac{2u}{\varphi + (2 - \varphi) u},
          \quad W \le s < T

    ``phi=2`` is a cosine. Below 2 the rate stays up longer; above 2 it falls earlier. Halfway the
    share :math:`2/(2 + \varphi)` is left, and the mean share over the decay is
    :math:`2/(2 + \sqrt{2\varphi})`. The paper ties phi to the condition number of the problem. Its
    recommended values were not verified, so sweep 0.25, 0.5, 1, 2, 5, 10. Several phases with
    separate rates (recalled) are ``join(UBA(...), UBA(...), at=...)``.

    It was not verified either whether the paper's cosine is of :math:`\pi s/T`, as here, or of the
    middle of each step, :math:`\pi (2s + 1)/(2T)`, like Chebyshev's nodes. ``at_midpoints`` is the
    other reading; it works up to :math:`2^{30}` steps, and can be joined as well.

    Args:
        peak: the rate at the end of the warmup.
        total_steps: the length of the run, warmup included; from this step on the rate is ``end``.
        warmup_steps: the length of the warmup; 0 by default. Unlike the paper, which has none.
        end: the last rate, at most ``peak``; 0 by default (our choice).
        phi: the shape, positive; 1 by default.

    Raises:
        ValueError: if the warmup is longer than the run, ``end`` exceeds ``peak``, ``phi`` is not
            positive, or a number is negative.
        TypeError: if a count is not an int or a rate is not a number.

    Example:
        >>> lr = UBA(peak=1.0, total_steps=100, phi=1.0)
        >>> print(lr.at([0, 25, 50, 75, 100]).round(6))
        [1.       0.920991 0.666667 0.255479 0.      ]

        >>> print(UBA.at_midpoints(peak=1.0, total_steps=10).at([0, 4, 5, 9, 10]).round(6))
        [0.996913 0.732747 0.593315 0.012236 0.      ]

    References:
        Tang et al., Stepsize anything: A unified learning rate schedule for budgeted-iteration
        training, arXiv:2505.24452. That the cosine's argument is :math:`\pi x` is a
        re-implementation's reading of the paper.
    """

    paper: ClassVar[str] = "arXiv:2505.24452"
    example: ClassVar[dict[str, Any]] = dict(peak=1.0, total_steps=100, warmup_steps=10)

    peak: float
    total_steps: int
    warmup_steps: int = 0
    end: float = 0.0
    phi: float = 1.0

    @classmethod
    def at_midpoints(cls, *, peak: float, total_steps: int, end: float = 0.0, phi: float = 1.0) -> Stretched:
        """The decay read at the middle of each step.

        It is every other step of a decay of twice the length.

        Args:
            peak: the rate at the start of the decay.
            total_steps: the length of the run.
            end: the last rate, at most ``peak``; 0 by default.
            phi: the shape, positive; 1 by default.
        """
        halves = cls(peak=peak, total_steps=2 * total_steps, end=end, phi=phi)
        return stretched(shifted(halves, by=-1), factor=0.5)

    def check(self) -> None:
        super().check()
        self.require(self.phi > 0, "phi must be positive", "phi")

    def rate(self, clock: Clock) -> Any:
        decay = clock.phase(self.warmup_steps, self.total_steps)
        return clock.done(0, self.warmup_steps) * profiles.uba(self.phi).rate(decay, self.peak, self.end)
