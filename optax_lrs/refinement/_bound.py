"""Refinement by minimizing the bound on the last iterate, which the closed form approximates."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from optax_lrs.theory import last_iterate_terms_and_gradient, refined_shape

_MOST = 100_000  # unknowns; longer runs correct the closed form on lines between so many nodes
_MOST_ITERATIONS = 500


def minimal_shape(norms: np.ndarray) -> np.ndarray:
    r"""The rates that minimize the optimally scaled bound on the last iterate.

    Minimizes :math:`\log T_1 + \log T_2` over the logarithms of the rates (so that they stay
    positive; the scale falls out) by L-BFGS-B with the exact gradient, starting from the closed
    form.

    Args:
        norms: l2 norms or their equivalents, shape [n], positive, n at least 1.

    Returns:
        The rates as a share of their peak, shape [n + 1]: one for each norm, and the zero after the
        last.
    """
    try:
        from scipy.optimize import minimize
    except ImportError:
        raise ImportError("refine: method='bound' needs scipy: pip install 'optax_lrs[refine]'") from None

    closed = np.log(refined_shape(np.append(norms, norms[-1]), power=2)[:-1])
    spread, gathered = _lines(min(len(norms), _MOST), len(norms))

    def rates_of(correction: np.ndarray) -> np.ndarray:
        logarithms = closed + spread(correction)
        return np.exp(logarithms - logarithms.max())

    def objective(correction: np.ndarray) -> tuple[float, np.ndarray]:
        rates = rates_of(correction)
        terms, slopes = last_iterate_terms_and_gradient(rates, norms)
        value = np.log(terms.distance_term) + np.log(terms.gradient_term)
        slope = slopes.distance_term / terms.distance_term + slopes.gradient_term / terms.gradient_term
        return float(value), gathered(slope * rates)

    start = np.zeros(min(len(norms), _MOST))
    # A component of the gradient is about 1/n: the usual threshold would stop long runs at once.
    options = dict(maxiter=_MOST_ITERATIONS, maxfun=2 * _MOST_ITERATIONS, maxcor=20, ftol=1e-14, gtol=1e-7 / len(start))
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
    return np.append(rates_of(found.x if found.fun <= objective(start)[0] else start), 0.0)


def _lines(nodes: int, points: int) -> tuple[Callable, Callable]:
    """Functions from values at nodes to ``points`` on the lines between them, and the transpose."""
    if nodes == points:
        return (lambda values: values), (lambda slopes: slopes)
    at = np.linspace(0, nodes - 1, points)
    low = np.minimum(at.astype(np.int64), nodes - 2)
    part = at - low

    def gathered(slopes: np.ndarray) -> np.ndarray:
        return np.bincount(low, slopes * (1 - part), nodes) + np.bincount(low + 1, slopes * part, nodes)

    return (lambda values: values[low] * (1 - part) + values[low + 1] * part), gathered
