"""How a law reads a warmup: unchanged, as if at its peak, or in the sum of rates only."""

from __future__ import annotations

from typing import Literal

import numpy as np

Warmup = Literal["counted", "as_peak", "summed"]
WARMUPS = ("counted", "as_peak", "summed")


def warmup_length(lrs: np.ndarray) -> int:
    """The number of steps for which the rate rises at the start."""
    falls = np.flatnonzero(lrs[1:] <= lrs[:-1])
    return int(falls[0]) if len(falls) else len(lrs) - 1


def treated(lrs: np.ndarray, warmup: str) -> tuple[np.ndarray, np.ndarray]:
    """The rates that a law sums, and the rates whose changes it counts.

    ``"counted"``: the true rates for both. ``"as_peak"``: the warmup as if it had been at its last
    rate, for both. ``"summed"``: the true rates in the sum, no changes during the warmup.
    """
    if warmup == "counted":
        return lrs, lrs
    length = warmup_length(lrs)
    flat = np.concatenate([np.full(length, lrs[length]), lrs[length:]])
    return (flat if warmup == "as_peak" else lrs), flat


def slopes_by_rate(by_summed: np.ndarray, by_changed: np.ndarray, lrs: np.ndarray, warmup: str) -> np.ndarray:
    """The derivatives by the true rates, from those by the two arrays that :func:`treated` returns.

    A rate of a warmup that the law replaces by the rate at its end passes its derivative on to that
    rate.
    """
    if warmup == "counted":
        return by_summed + by_changed
    by_changed = _at_the_end_of_the_warmup(by_changed, lrs)
    return by_changed + (_at_the_end_of_the_warmup(by_summed, lrs) if warmup == "as_peak" else by_summed)


def _at_the_end_of_the_warmup(gradient: np.ndarray, lrs: np.ndarray) -> np.ndarray:
    length = warmup_length(lrs)
    gradient = gradient.copy()
    gradient[length] += gradient[:length].sum()
    gradient[:length] = 0.0
    return gradient
