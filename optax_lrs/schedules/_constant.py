"""A constant rate."""

from __future__ import annotations

from typing import Any, ClassVar

from optax_lrs._clock import Clock
from optax_lrs._schedule import Schedule


class Constant(Schedule):
    r"""The same rate at every step.

    .. math:: \eta(s) = \text{value}

    Use it as a baseline, or as the value that a host controller writes into a live schedule. For a
    warmup before the constant, use ``WSD(decay_steps=0)``.

    Args:
        value: the learning rate, not negative.

    Raises:
        ValueError: if ``value`` is negative or not finite.

    Example:
        >>> lr = Constant(value=3e-4)
        >>> print(lr.at(0), lr.at(10**12))
        0.0003 0.0003
    """

    example: ClassVar[dict[str, Any]] = dict(value=1.0)

    value: float

    @property
    def ends_at(self) -> int:
        return 0

    def rate(self, clock: Clock) -> Any:
        return self.value
