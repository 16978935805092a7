"""The learning-rate range test."""

from __future__ import annotations

from typing import Any, ClassVar

from optax_lrs import profiles
from optax_lrs._clock import Clock
from optax_lrs._schedule import Schedule


class RangeTest(Schedule):
    r"""The learning-rate range test: rises from a rate that is too low to one that is too high.

    With :math:`T` = ``total_steps`` and the profile :math:`g`,

    .. math:: \eta(s) = \text{peak} + (\text{start} - \text{peak})\, g(1 - s/T)

    The default profile is linear, as in the paper. :data:`optax_lrs.profiles.exponential` rises by
    a constant ratio and spends equally many steps on each order of magnitude, as common tools do.
    Train for a few hundred steps and plot the loss against the rate. The rate where the loss begins
    to fall is the ``floor`` of :class:`Triangular`; the rate where it becomes ragged is its
    ``peak``. For other schedules, a tenth of the rate at which training diverges is a usual first
    guess (recalled, not verified).

    Args:
        start: the rate at step 0, at most ``peak``.
        peak: the rate from step ``total_steps`` on.
        total_steps: the length of the test.
        rise: the profile, run backwards; :data:`optax_lrs.profiles.linear` by default.

    Raises:
        ValueError: if ``start`` exceeds ``peak``, or is 0 where the profile needs it positive, or a
            number is negative.
        TypeError: if a count is not an int, a rate is not a number, or ``rise`` is not a profile.

    Example:
        >>> from optax_lrs import profiles
        >>> lr = RangeTest(start=1e-6, peak=1.0, total_steps=600, rise=profiles.exponential)
        >>> print(lr.at([0, 100, 300, 600]))
        [1.e-06 1.e-05 1.e-03 1.e+00]

    References:
        Smith, Cyclical Learning Rates for Training Neural Networks, arXiv:1506.01186.
    """

    paper: ClassVar[str] = "arXiv:1506.01186"
    example: ClassVar[dict[str, Any]] = dict(start=0.01, peak=1.0, total_steps=100)

    start: float
    peak: float
    total_steps: int
    rise: profiles.Profile = profiles.linear

    def check(self) -> None:
        super().check()
        self.require(self.start <= self.peak, "start must be at most peak", "start", "peak")
        self.require(self.start > 0 or not self.rise.needs_end, f"{self.rise!r} needs a positive start", "start")

    def rate(self, clock: Clock) -> Any:
        return self.rise.rate(clock.phase(0, self.total_steps).backwards, self.peak, self.start)
