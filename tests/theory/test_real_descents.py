"""Real subgradient descents stay under the bound, and none beats the best guarantee."""

import math

import numpy as np
import pytest

from matrices.theory_functions import SHAPES, T, close
from optax_lrs import theory
from oracles import theory as ref

RNG = np.random.default_rng(0)


def sum_of_distances(rng):
    goal = rng.normal(size=20)
    return (lambda x: np.abs(x - goal).sum()), (lambda x: np.sign(x - goal)), goal


def largest_of_planes(rng):
    planes = rng.normal(size=(30, 8))
    planes -= planes.mean(0)  # 0 is in their convex hull: the minimum, 0, is at the origin
    return (lambda x: (planes @ x).max()), (lambda x: planes[np.argmax(planes @ x)]), np.zeros(8)


def ill_conditioned_norm(rng):
    scales, goal = 10.0 ** rng.uniform(-2, 1, 10), rng.normal(size=10)
    value = lambda x: np.sqrt(np.sum(scales * (x - goal) ** 2))  # noqa: E731
    return value, (lambda x: scales * (x - goal) / max(value(x), 1e-300)), goal


@pytest.mark.parametrize("problem", [sum_of_distances, largest_of_planes, ill_conditioned_norm])
@pytest.mark.parametrize("shape", ["linear", "constant", "wsd", "cosine", "inverse_sqrt", "warmup"])
def test_descents_stay_under_the_bound(problem, shape):
    shapes = {**SHAPES, "warmup": np.minimum(np.arange(T) / 40, np.arange(T, 0, -1) / 360)}
    for seed in range(3):
        rng = np.random.default_rng(seed)
        value, subgradient, goal = problem(rng)
        start = goal + rng.normal(size=goal.shape)
        distance = np.linalg.norm(start - goal)
        for scale in (0.1, 1.0, 10.0):
            lrs = scale * distance * theory.optimal_rate(shapes[shape]) * shapes[shape]
            points, norms = ref.subgradient_descent(subgradient, start, lrs)
            bounds = theory.bound_along_run(lrs, norms, distance, at=range(T))
            gaps = np.array([value(x) - value(goal) for x in points[:-1]])
            assert np.all(gaps <= bounds * (1 + 1e-12))
            average = np.average(points[:-1], axis=0, weights=lrs)
            assert value(average) - value(goal) <= theory.average_iterate_bound(lrs, norms, distance) * (1 + 1e-12)


def test_linear_decay_keeps_its_guarantee():
    value, subgradient, goal = sum_of_distances(np.random.default_rng(0))
    optimum = theory.worst_case_optimum(total_steps=T, grad_norm=math.sqrt(20), distance=np.linalg.norm(goal))
    ends = [
        value(ref.subgradient_descent(subgradient, np.zeros(20), lrs)[0][T - 1])
        for lrs in (optimum.lrs, np.full(T, optimum.lrs[0]))
    ]
    assert ends[0] < 0.01 < optimum.bound  # far below the constant's
    assert 0.1 < ends[1]


@pytest.mark.parametrize("shape", ["optimum", "linear", "constant", "cosine"])
def test_nothing_has_a_better_guarantee_than_linear_decay(shape):
    """On G max(x), against a resisting subgradient (after Nemirovski).

    A coordinate that has not been seen stays at 0.
    """
    norm, distance = 2.0, 3.0
    optimum = theory.worst_case_optimum(total_steps=T, grad_norm=norm, distance=distance)
    lrs = optimum.lrs if shape == "optimum" else optimum.lrs[0] * SHAPES[shape]
    goal = np.full(T, -distance / math.sqrt(T))  # any point may be compared with

    def resisting(x):
        return norm * np.eye(T)[np.flatnonzero(x == x.max())[0]]

    points, norms = ref.subgradient_descent(resisting, np.zeros(T), lrs)
    gap = norm * (points[T - 1].max() - goal.max())
    assert np.all(norms == norm)
    assert gap >= optimum.bound * (1 - 1e-12)  # for any rates
    if shape == "optimum":
        close(gap, optimum.bound, rtol=1e-12)  # these rates reach it


def test_the_worst_case_optimum():
    lrs, bound = theory.worst_case_optimum(total_steps=200, grad_norm=2.0, distance=3.0)
    close(lrs, [3 / (2 * math.sqrt(200)) * (1 - t / 200) for t in range(1, 201)], rtol=1e-13)
    close(bound, 6 / math.sqrt(200), rtol=1e-14)
    # Eq. (T2): linear decay's weights minimize (D²/2 + Σ w² G²/2) / Σ w.
    weights = np.full(200, 3 / (2 * math.sqrt(200)))
    np.testing.assert_allclose(
        lrs, weights * (weights.sum() - weights.cumsum()) / weights.sum(), rtol=1e-12, atol=1e-15
    )
    for w in (weights, weights * (1 + 0.1 * RNG.normal(size=200))):
        assert (9 / 2 + np.sum(w**2) * 4 / 2) / w.sum() >= bound * (1 - 1e-14)
