"""The closed form of a refined schedule and the smoothing of norms: goldens and properties."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import optax_lrs as olrs
from matrices.refinement_cases import BOUNDS, run_of
from optax_lrs import refine, theory
from optax_lrs.refinement._norms import running_median
from oracles import refine as references

NORMS = st.lists(st.floats(0.01, 100), min_size=2, max_size=30)
# Computed for this project from the paper's formulas, in float64; identical to the authors' closed
# form to 1.2e-16.
GOLDENS = [
    ([4, 2, 1, 1, 2], 2, [0.125, 0.45, 1, 0.2, 0]),
    ([4, 2, 1, 1, 2], 1, [0.5, 0.833333333333, 1, 0.333333333333, 0]),
    ([1, 1, 1, 1, 1], 2, [1, 0.75, 0.5, 0.25, 0]),
    ([1, 1, 1, 1, 1], 1, [1, 0.75, 0.5, 0.25, 0]),
    (
        [10, 5, 2, 1, 1, 1, 1, 1.5],
        2,
        [0.0137451612903, 0.0545161290323, 0.322580645161, 1, 0.709677419355, 0.41935483871, 0.129032258065, 0],
    ),
    (
        [10, 5, 2, 1, 1, 1, 1, 1.5],
        1,
        [0.146363636364, 0.281818181818, 0.636363636364, 1, 0.727272727273, 0.454545454545, 0.181818181818, 0],
    ),
    ([3, 1, 2, 0.5, 0.25], 2, [0.0368923611111, 0.31640625, 0.078125, 1, 0]),
    ([3, 1, 2, 0.5, 0.25], 1, [0.3125, 0.8125, 0.375, 1, 0]),
]
TIMES = [1, 100, 250, 500, 750, 900, 1000]
LONG_GOLDENS = [
    (
        np.arange(1, 1001) ** -0.5,
        2,
        TIMES,
        577,
        [0.00259902244677, 0.257280368442, 0.609025395325, 0.97431081096, 0.852440821114, 0.444223415449, 0],
    ),
    (
        np.arange(1, 1001) ** -1.0,
        2,
        TIMES,
        737,
        [3.07112389632e-06, 0.0306801123177, 0.188932601267, 0.671664467343, 0.998350965096, 0.673840404309, 0],
    ),
    (
        np.append(np.linspace(5, 1, 100), np.ones(900)),
        2,
        [1, 50, 100, 101, 500, 900, 1000],
        100,
        [0.0409016301306, 0.111701263603, 1, 0.998888888889, 0.555555555556, 0.111111111111, 0],
    ),
    (
        np.append(np.linspace(5, 1, 100), np.ones(900)),
        1,
        [1, 50, 100, 101, 500, 900, 1000],
        100,
        [0.208941515579, 0.341292183416, 1, 0.998888888889, 0.555555555556, 0.111111111111, 0],
    ),
]
NOISY = [5, 9, 4, 4, 3, 8, 2, 2, 7, 1, 1, 1, 6, 1, 1, 1, 0.5, 3, 0.5, 0.4]
SMOOTH = {
    0.1: [5, 5, 4, 4, 4, 3, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 0.5, 0.5, 0.5],
    0.25: [5, 5, 4, 4, 4, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 0.5, 0.5, 0.5],
    0.5: [5, 5, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
}
NOISY_REFINED = [
    0.255641025641,
    0.252564102564,
    0.310897435897,
    0.30608974359,
    0.301282051282,
    0.393162393162,
    0.384615384615,
    0.557692307692,
    0.538461538462,
    1,
    0.923076923077,
    0.846153846154,
    0.769230769231,
    0.692307692308,
    0.615384615385,
    0.538461538462,
    0.461538461538,
    0.615384615385,
    0.307692307692,
    0,
]


@pytest.mark.parametrize(("norms", "power", "expected"), GOLDENS)
def test_goldens(norms, power, expected):
    np.testing.assert_allclose(theory.refined_shape(norms, power=power), expected, rtol=1e-11, atol=0)
    with jax.enable_x64(True):
        device = theory.refined_shape(jnp.asarray(norms, jnp.float64), power=power)
        np.testing.assert_allclose(device, expected, rtol=1e-11, atol=0)
    np.testing.assert_allclose(theory.refined_shape(jnp.asarray(norms, float), power=power), expected, rtol=2e-6)


@pytest.mark.parametrize(("norms", "power", "times", "highest", "expected"), LONG_GOLDENS)
def test_long_goldens(norms, power, times, highest, expected):
    shape = theory.refined_shape(norms, power=power)
    np.testing.assert_allclose(shape[np.array(times) - 1], expected, rtol=1e-11, atol=0)
    assert np.argmax(shape) + 1 == highest
    np.testing.assert_allclose(shape, references.shape(norms.tolist(), power), rtol=1e-12)


def test_absolute_goldens():
    lrs, bound = theory.refined_rates([4, 2, 1, 1, 2], distance=3)
    np.testing.assert_allclose(
        lrs, [0.114273484309, 0.411384543511, 0.91418787447, 0.182837574894, 0], rtol=1e-11, atol=0
    )
    np.testing.assert_allclose(bound, 1.87408514266, rtol=1e-11)
    expected, expected_bound = references.refined([4, 2, 1, 1, 2], 2, distance=3)
    np.testing.assert_allclose([*lrs, bound], [*expected, expected_bound], rtol=1e-14)
    device = theory.refined_rates(jnp.asarray([4.0, 2, 1, 1, 2]), 3.0)
    np.testing.assert_allclose([*device.lrs, device.bound], [*lrs, bound], rtol=1e-6)


@settings(max_examples=60, deadline=None)
@given(norms=NORMS, scale=st.floats(1e-150, 1e150), power=st.sampled_from([1, 2]))
def test_properties(norms, scale, power):
    norms = np.array(norms)
    shape = theory.refined_shape(norms, power=power)
    np.testing.assert_allclose(shape, references.shape(norms.tolist(), power), rtol=1e-12)
    assert shape[-1] == 0 and shape.max() == 1 and np.all(shape >= 0)
    np.testing.assert_allclose(theory.refined_shape(scale * norms, power=power), shape, rtol=1e-12)
    np.testing.assert_allclose(
        theory.refined_shape(norms**2, power=1), theory.refined_shape(norms, power=2), rtol=1e-12
    )
    tail = theory.refined_shape(norms[len(norms) // 2 :], power=power) if len(norms) > 3 else shape
    rest = shape[-len(tail) :]
    np.testing.assert_allclose(rest / rest.max(), tail, rtol=1e-12)  # the past has no effect


@pytest.mark.parametrize("count", [2, 3, 1000])
def test_constant_norms_are_exactly_linear(count):
    linear = np.arange(count - 1, -1, -1) / (count - 1)
    np.testing.assert_allclose(theory.refined_shape(np.full(count, 3.7), power=2), linear, rtol=1e-15)
    schedule = refine(run_of(np.full(count, 3.7)), optimizer="sgd", peak=0.3)
    assert (
        np.max(np.abs(schedule.at(range(count + 1)) - olrs.Linear(peak=0.3, total_steps=count).at(range(count + 1))))
        < 1e-16
    )


@pytest.mark.parametrize(("a", "peak"), [(0.5, 3**-0.5), (1.0, 0.4 ** (1 / 3))])
def test_power_laws_reach_their_limit(a, peak):
    norms = np.arange(1, 200_001.0) ** -a
    time = np.arange(1, 200_001) / 200_000
    limit = time ** (2 * a) * (1 - time ** (2 * a + 1))
    shape = theory.refined_shape(norms, power=2)
    np.testing.assert_allclose(shape, limit / limit.max(), atol=2e-5)
    assert abs(time[np.argmax(shape)] - peak) < 1e-4


def test_the_bound_holds_on_a_convex_problem():
    """Least absolute values: subgradients have norm sqrt(d) except at the optimum."""
    d, T = 20, 400
    target, x = np.random.default_rng(0).standard_normal(d), np.zeros(d)
    lrs, bound = theory.refined_rates(np.full(T, np.sqrt(d)), np.linalg.norm(target))
    for rate in lrs:
        gap = np.abs(x - target).sum()
        x = x - rate * np.sign(x - target)
    assert gap <= bound and np.isclose(bound, np.linalg.norm(target) * np.sqrt(d / T), rtol=1e-12)
    # Norms that differ from step to step: the gradients have noise, which vanishes after 100 steps.
    rng, x = np.random.default_rng(1), np.zeros(d)
    scales = np.where(np.arange(T) < 100, 5.0, 1.0)
    lrs, bound = theory.refined_rates(scales * np.sqrt(d), np.linalg.norm(target))
    gaps = []
    for seed in range(20):  # the noise is independent of the sign, so the expected gradient is that of the problem
        rng, x = np.random.default_rng(seed), np.zeros(d)
        for rate, scale in zip(lrs, scales):
            noise = rng.permutation(np.where(np.arange(d) % 2, 1.0, -1.0)) * np.sqrt(scale**2 - 1)
            gaps.append(np.abs(x - target).sum()) if rate == lrs[-1] else None
            x = x - rate * (np.sign(x - target) + noise)
    assert len(gaps) == 20 and np.mean(gaps) <= bound


@pytest.mark.parametrize(("norms", "refined", "linear"), BOUNDS)
def test_the_refined_shape_has_the_lower_bound(norms, refined, linear):
    shape = theory.refined_shape(norms, power=2)[:-1]
    straight = 1 - np.arange(399) / 399
    for rates, expected in ((shape, refined), (straight, linear)):
        assert abs(theory.optimal_bound(rates, norms[:-1]) - expected) < 5e-7
        assert abs(references.bound(rates.tolist(), norms[:-1].tolist()) - expected) < 5e-7


@pytest.mark.slow
def test_gradients():
    norms = jnp.asarray([3.0, 1.0, 2.0, 0.5, 0.25])
    with jax.enable_x64(True):
        norms = jnp.asarray(norms, jnp.float64)
        weights = jnp.arange(5.0)
        area = lambda g: weights @ theory.refined_shape(g, power=2)  # noqa: E731
        rates = lambda g: weights @ theory.refined_rates(g, 2.0).lrs + theory.refined_rates(g, 2.0).bound  # noqa: E731
        for f in (area, rates):
            numeric = [(f(norms.at[i].add(1e-6)) - f(norms.at[i].add(-1e-6))) / 2e-6 for i in range(5)]
            np.testing.assert_allclose(jax.grad(f)(norms), numeric, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("tau", SMOOTH)
def test_smoothing_goldens(tau):
    assert running_median(np.array(NOISY), tau).tolist() == SMOOTH[tau] == references.running_median(NOISY, tau)


def test_smoothed_and_refined_golden():
    shape = theory.refined_shape(running_median(np.array(NOISY), 0.25), power=1)
    np.testing.assert_allclose(shape, NOISY_REFINED, rtol=1e-11, atol=0)


@settings(max_examples=60, deadline=None)
@given(norms=NORMS, tau=st.floats(0, 1))
def test_smoothing_of_short_runs(norms, tau):
    assert running_median(np.array(norms), tau).tolist() == references.running_median(norms, tau)
