"""The gradient of the last loss with respect to every rate: exact, in O(T)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from optax_lrs._value.arguments import instance
from optax_lrs.laws._law import Law
from optax_lrs.laws._observations import checked_lrs


def lr_gradient(law: Law, lrs: Sequence[float] | np.ndarray) -> np.ndarray:
    r"""Returns the derivatives of the last loss with respect to every rate.

    .. math:: \frac{\partial L(T-1)}{\partial \eta_s}, \qquad s = 0 \dots T-1

    Rates of zero count as 1e-10, as in the law. If the law replaces the rates of a warmup by the
    rate at its end, their derivatives count for that rate.

    Args:
        law: a law that defines ``rate_slopes``: :class:`OnePower`, :class:`Annealing`,
            :class:`MultiPower`, :class:`SublinearPower`, or your own. For ``SublinearPower`` the
            derivative at a rate of zero, which is infinite, is given as zero.
        lrs: the rate of every step, shape [T].

    Returns:
        The derivatives, float64, shape [T].

    Raises:
        TypeError: if the law defines no ``rate_slopes``.
        ValueError: if the rates are negative, not finite, or all zero.

    Example:
        >>> import optax_lrs as olrs
        >>> law = olrs.laws.Annealing.published()
        >>> lr_gradient(law, [2e-4] * 20_000)[[10_000, -1]].round(3).tolist()  # less would be better only at the end
        [-0.028, 0.383]
    """
    instance("lr_gradient", "law", law, Law)
    if type(law).rate_slopes is Law.rate_slopes:
        raise TypeError(f"lr_gradient: law must define rate_slopes, got a {type(law).__name__}")
    lrs = checked_lrs("lr_gradient", lrs)
    if not lrs.any():
        raise ValueError("lr_gradient: lrs must not be all zero: the loss would be infinite")
    slopes = np.array(law.rate_slopes(lrs), np.float64)
    if slopes.shape != lrs.shape:
        raise ValueError(f"lr_gradient: rate_slopes must have the shape of lrs, {lrs.shape}, got {slopes.shape}")
    return slopes
