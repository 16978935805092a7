"""Joint scalings that change no output: simple vectors in a null space.

If scaling each leaf :math:`i` by :math:`c^{p_i}` changes no output, then :math:`\\sum_i p_i\\,
\\partial f / \\partial \\log s_i = 0` for every output: the exponents :math:`p` are in the null
space of the derivatives with respect to the logarithms of the scales.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np


def null_exponents(derivatives: np.ndarray, tolerance: float) -> list[np.ndarray]:
    """A basis of the null space in reduced echelon form, rounded to small fractions.

    Args:
        derivatives: shape (probes, leaves), with more probes than leaves and no column of zeros.
        tolerance: singular values below it count as zero, after scaling the columns to unit norm.
    """
    if not derivatives.shape[1]:
        return []
    norms = np.linalg.norm(derivatives, axis=0)
    _, values, rows = np.linalg.svd(derivatives / norms, full_matrices=False)
    basis = [*(rows[values < tolerance] / norms)]
    found: list[np.ndarray] = []
    for index in range(len(basis)):
        pivot = int(np.argmax(np.abs(basis[index] * norms)))
        basis[index] = basis[index] / basis[index][pivot]
        for other in range(len(basis)):
            if other != index:
                basis[other] = basis[other] - basis[other][pivot] * basis[index]
    for row in basis:
        simple = rounded(row)
        if np.count_nonzero(simple) > 1:
            found.append(simple)
    return found


def groups(basis: list[np.ndarray], costs: np.ndarray) -> list[np.ndarray]:
    """For each leaf, the cheapest combination with exponents 0 and 1 that contains it, if any."""
    from scipy import optimize

    columns = np.stack(basis, axis=1)
    leaves, free = columns.shape
    # Variables: the exponents p, 0 or 1, and y with p = columns y.
    link = optimize.LinearConstraint(np.hstack([np.eye(leaves), -columns]), 0.0, 0.0)
    cost, whole = np.r_[costs, np.zeros(free)], np.r_[np.ones(leaves), np.zeros(free)]
    found: list[np.ndarray] = []
    for leaf in np.argsort(costs, kind="stable"):
        if not columns[leaf].any() or any(group[leaf] for group in found):
            continue
        low, high = np.r_[np.zeros(leaves), np.full(free, -np.inf)], np.r_[np.ones(leaves), np.full(free, np.inf)]
        low[leaf] = 1.0
        best = optimize.milp(
            cost, integrality=whole, bounds=optimize.Bounds(low, high), constraints=link, options={"time_limit": 5.0}
        )
        if best.x is not None:
            found.append(np.round(best.x[:leaves]))
    return found


def rounded(exponents: np.ndarray) -> np.ndarray:
    """Rounds exponents to small fractions.

    If all are multiples of the smallest, that one becomes 1 or -1.
    """
    simple = np.array([float(Fraction(float(x)).limit_denominator(6)) for x in exponents])
    smallest = np.min(np.abs(simple[simple != 0]), initial=np.inf)
    if np.isfinite(smallest) and np.allclose(simple / smallest, np.round(simple / smallest), atol=1e-6):
        simple = np.round(simple / smallest)
        simple = simple * np.sign(simple[np.flatnonzero(simple)[0]])
    return simple
