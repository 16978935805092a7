"""A clock that stands still."""

from __future__ import annotations

from optax_lrs._clock import Clock


def stopped(clock: Clock, at: int) -> Clock:
    """The clock that reads ``at`` at every step."""
    # Sampled first, so that 0 is a whole step of the root clock.
    return clock.sampled(1).between(0, 0).shift(-at)
