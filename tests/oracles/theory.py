"""The bounds as the paper writes them: double sums, step by step, in float64.

Paper time t = 1 … T is index t - 1.
"""

import math

import numpy as np


def sums(lrs, norms, distance):
    """T1 and T2 (arXiv:2501.18965), with the sum over k as written."""
    lrs, norms = np.asarray(lrs, np.float64), np.broadcast_to(np.asarray(norms, np.float64), np.shape(lrs))
    steps, squares = len(lrs), lrs**2 * norms**2
    first = distance**2 / (2 * math.fsum(lrs))
    second = math.fsum(squares) / (2 * math.fsum(lrs))
    for k in range(1, steps):
        after, since = math.fsum(lrs[k:]), math.fsum(lrs[k - 1 :])  # η_{k+1:T}, η_{k:T}
        second += 0.5 * (lrs[k - 1] / after) * math.fsum(squares[k - 1 :]) / since
    return first, second


def standard_bound(lrs, norms, distance):
    """The bound on the average iterate."""
    lrs = np.asarray(lrs, np.float64)
    return (distance**2 + math.fsum(lrs**2 * norms**2)) / (2 * math.fsum(lrs))


def harmonic(n):
    return math.fsum(1 / k for k in range(1, n + 1))


def constant_optimum(steps):
    """The best rate and bound of a constant for D = G = 1."""
    log = 1 + harmonic(steps - 1)
    return 1 / math.sqrt(steps * log), math.sqrt(log / steps)


def wsd_theorem(steps, start):
    """The paper's upper bound on WSD's optimum, with cooldown from T0 = start; D = G = 1."""
    T, T0 = steps, start
    A = (
        2 / 3
        + (T + 2 * T0) / (3 * (T + T0))
        + harmonic(T + T0 - 2)
        - harmonic(T - T0 + 1)
        - (T - T0) * (T0 - 1) / (3 * (T - T0 + 2) * (T + T0))
        + 1 / (T - T0) ** 2
        + harmonic(T - T0 - 1) / (T - T0 + 1)
    )
    return math.sqrt(4 / (T + T0) * A)


def cooldown_steps(steps, share):
    """d = int(c (T + 1)), at most T."""
    return min(int(share * (steps + 1)), steps)


def wsd(steps, share, shape="linear"):
    """The rates of T steps; the rate would be 0 at T + 1."""
    d = cooldown_steps(steps, share)
    start = steps + 1 - d
    done = [(t - start) / d for t in range(start + 1, steps + 1)]
    return np.array([1.0] * start + [1 - x if shape == "linear" else 1 - math.sqrt(x) for x in done])


def cosine(steps):
    return np.array([0.5 * (1 + math.cos(math.pi * (t - 1) / steps)) for t in range(1, steps + 1)])


def inverse_sqrt(steps):
    return np.array([t**-0.5 for t in range(1, steps + 1)])


def two_stage(steps, share, new_steps, factor):
    """WSD of the new length, its rates times the factor after iteration int((1 - c) T)."""
    lrs = wsd(new_steps, share)
    lrs[round((1 - share) * steps) :] *= factor
    return lrs


def refined(norms):
    """The refined shape of norms (arXiv:2310.07831, p = 2), not normalized."""
    weights = np.asarray(norms, np.float64) ** -2
    return np.array([w * weights[t + 1 :].sum() for t, w in enumerate(weights)])


def subgradient_descent(subgradient, start, lrs):
    """The points x_1 … x_{T+1} and the norms of the T subgradients."""
    points, norms = [np.array(start, np.float64)], []
    for lr in lrs:
        g = subgradient(points[-1])
        norms.append(np.linalg.norm(g))
        points.append(points[-1] - lr * g)
    return points, np.array(norms)
