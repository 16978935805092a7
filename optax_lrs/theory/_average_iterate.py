"""The bound on the average iterate, the usual one, which does not see how a schedule ends."""

from __future__ import annotations

from typing import Any

import numpy as np

from optax_lrs.theory._arrays import Rates, prepared
from optax_lrs.theory._last_iterate import BoundTerms


def average_iterate_terms(
    lrs: Rates, grad_norms: Any = 1.0, distance: Any = 1.0, *, total_steps: int | None = None
) -> BoundTerms:
    r"""The two terms of the bound on the rate-weighted average iterate, and on the best iterate.

    .. math::

        T_1 = \frac{D^2}{2 \sum_t \eta_t}, \qquad
        T_2 = \frac{\sum_t \eta_t^2 G_t^2}{2 \sum_t \eta_t} .

    Use it for comparison. It ignores the order of the rates: with equal norms a constant is its
    best shape, and a cooldown gains nothing. :func:`last_iterate_terms` sees both, which is why it
    describes training and this bound does not.

    Args:
        lrs: the rates, shape [T]; or any ``optax.Schedule``, with ``total_steps``.
        grad_norms: the norms of the gradients, shape [T], or one number for all; 1 by default.
        distance: the distance from the start to the optimum, a number; 1 by default.
        total_steps: the number of updates; required with a schedule.

    Returns:
        The terms, in NumPy or JAX as those of :func:`last_iterate_terms`.

    Raises:
        ValueError, TypeError: as :func:`last_iterate_terms`.

    Example:
        >>> import numpy as np
        >>> for shape in (np.ones(400), 1 - np.arange(400) / 400):
        ...     print(f"{average_iterate_terms(shape).optimal_bound:.4f}")
        0.0500
        0.0577

    References:
        Schaipp et al., arXiv:2501.18965, where it is the ablation.
    """
    xp, lrs, norms, distance = prepared("average_iterate_terms", lrs, grad_norms, distance, total_steps)
    total = xp.sum(lrs)
    with np.errstate(divide="ignore"):
        distance_term = distance**2 / (2.0 * total)
    # Divided by the sum before squaring, because squares of small rates underflow in float32.
    return BoundTerms(distance_term, xp.sum(lrs * norms * (lrs * norms / xp.where(total > 0, total, 1.0))) / 2.0)


def average_iterate_bound(
    lrs: Rates, grad_norms: Any = 1.0, distance: Any = 1.0, *, total_steps: int | None = None
) -> Any:
    r"""The bound on the average iterate at exactly these rates.

    .. math:: \frac{D^2 + \sum_t \eta_t^2 G_t^2}{2 \sum_t \eta_t}

    Args:
        lrs, grad_norms, distance, total_steps: as for :func:`average_iterate_terms`.

    Returns:
        The bound, in NumPy or JAX as the terms of :func:`last_iterate_terms`.

    Example:
        >>> print(f"{average_iterate_bound([0.1] * 100):.6f}")
        0.100000
    """
    return average_iterate_terms(lrs, grad_norms, distance, total_steps=total_steps).bound()
