"""Refinement: golden values, properties, the algorithm around the closed form, mistakes."""

import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import optax_lrs as olrs
from optax_lrs import Run, refine, theory
from optax_lrs.refinement import fit_warmup_power, prepare_norms
from optax_lrs.refinement._bound import minimal_shape
from optax_lrs.refinement._norms import running_median
from oracles import refine as references

# Computed for this project from the paper's formulas, in float64; identical to the authors' closed
# form to 1.2e-16.
GOLDENS = [
    ([4, 2, 1, 1, 2], 2, [0.125, 0.45, 1, 0.2, 0]),
    ([4, 2, 1, 1, 2], 1, [0.5, 0.833333333333, 1, 0.333333333333, 0]),
    ([1, 1, 1, 1, 1], 2, [1, 0.75, 0.5, 0.25, 0]),
    ([1, 1, 1, 1, 1], 1, [1, 0.75, 0.5, 0.25, 0]),
    ([10, 5, 2, 1, 1, 1, 1, 1.5], 2,
     [0.0137451612903, 0.0545161290323, 0.322580645161, 1, 0.709677419355, 0.41935483871, 0.129032258065, 0]),
    ([10, 5, 2, 1, 1, 1, 1, 1.5], 1,
     [0.146363636364, 0.281818181818, 0.636363636364, 1, 0.727272727273, 0.454545454545, 0.181818181818, 0]),
    ([3, 1, 2, 0.5, 0.25], 2, [0.0368923611111, 0.31640625, 0.078125, 1, 0]),
    ([3, 1, 2, 0.5, 0.25], 1, [0.3125, 0.8125, 0.375, 1, 0]),
]  # fmt: skip
TIMES = [1, 100, 250, 500, 750, 900, 1000]
LONG_GOLDENS = [
    (np.arange(1, 1001) ** -0.5, 2, TIMES, 577,
     [0.00259902244677, 0.257280368442, 0.609025395325, 0.97431081096, 0.852440821114, 0.444223415449, 0]),
    (np.arange(1, 1001) ** -1.0, 2, TIMES, 737,
     [3.07112389632e-06, 0.0306801123177, 0.188932601267, 0.671664467343, 0.998350965096, 0.673840404309, 0]),
    (np.append(np.linspace(5, 1, 100), np.ones(900)), 2, [1, 50, 100, 101, 500, 900, 1000], 100,
     [0.0409016301306, 0.111701263603, 1, 0.998888888889, 0.555555555556, 0.111111111111, 0]),
    (np.append(np.linspace(5, 1, 100), np.ones(900)), 1, [1, 50, 100, 101, 500, 900, 1000], 100,
     [0.208941515579, 0.341292183416, 1, 0.998888888889, 0.555555555556, 0.111111111111, 0]),
]  # fmt: skip
NOISY = [5, 9, 4, 4, 3, 8, 2, 2, 7, 1, 1, 1, 6, 1, 1, 1, 0.5, 3, 0.5, 0.4]
SMOOTH = {
    0.1: [5, 5, 4, 4, 4, 3, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 0.5, 0.5, 0.5],
    0.25: [5, 5, 4, 4, 4, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 0.5, 0.5, 0.5],
    0.5: [5, 5, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
}
NOISY_REFINED = [
    0.255641025641, 0.252564102564, 0.310897435897, 0.30608974359, 0.301282051282, 0.393162393162, 0.384615384615,
    0.557692307692, 0.538461538462, 1, 0.923076923077, 0.846153846154, 0.769230769231, 0.692307692308, 0.615384615385,
    0.538461538462, 0.461538461538, 0.615384615385, 0.307692307692, 0,
]  # fmt: skip
# The bound of the refined and of the linear shape at their best rates, the last rate, zero,
# dropped; 400 steps.
BOUNDS = [
    (np.linspace(10, 1, 400), 0.323636, 0.610633),
    (np.append(np.linspace(5, 1, 40), np.ones(360)), 0.105053, 0.140006),
    (np.linspace(1, 2, 400), 0.142197, 0.154321),
]
NORMS = st.lists(st.floats(0.01, 100), min_size=2, max_size=30)


def run_of(norms, **columns):
    return Run(steps=range(len(norms)), grad_norms=norms, **columns)


def noisy(count, seed=0):
    noise = np.exp(0.3 * np.random.default_rng(seed).standard_normal(count))
    time = np.arange(count) / count
    return noise * (1 + 4 * np.exp(-20 * time)) * (1 + time**4)


# ── the closed form ───────────────────────────────────────────────────────────────────────────


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
    np.testing.assert_allclose(rest / rest.max(), tail, rtol=1e-12)  # the past does not count


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
    # Realised norms that differ: a weighted sum of absolute values, one of them switched off in
    # each step.
    rng, x = np.random.default_rng(1), np.zeros(d)
    scales = np.where(np.arange(T) < 100, 5.0, 1.0)
    lrs, bound = theory.refined_rates(scales * np.sqrt(d), np.linalg.norm(target))
    gaps = []
    for seed in range(
        20
    ):  # the gradient's size is independent of its sign: its expectation is that of a scaled problem
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


# ── smoothing ─────────────────────────────────────────────────────────────────────────────────


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


# ── refine ────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=40, deadline=None)
@given(norms=NORMS, tau=st.sampled_from([0, 0.1, 0.5]), total_steps=st.integers(1, 90), adam=st.booleans())
def test_refine_is_the_algorithm_of_the_paper(norms, tau, total_steps, adam):
    run = Run(steps=range(len(norms)), grad_norms_l1=norms) if adam else run_of(norms)
    schedule = refine(run, optimizer="adam" if adam else "sgd", peak=2.0, smoothing=tau, total_steps=total_steps,
                      clamp_fraction=0)  # fmt: skip
    expected = references.table(norms, power=1 if adam else 2, tau=tau, total_steps=total_steps)
    np.testing.assert_allclose(schedule.at(range(total_steps + 1)), 2 * np.array(expected), rtol=1e-9, atol=1e-12)
    assert schedule.ends_at == total_steps and schedule.at(total_steps) == 0 and schedule.at(total_steps - 1) > 0


def test_the_horizon():
    norms = noisy(200)
    same = refine(run_of(norms), optimizer="sgd", peak=1.0)
    assert same.ends_at == 200 and same.steps is None and len(same.lrs) == 201
    twice = refine(run_of(norms), optimizer="sgd", peak=1.0, total_steps=400)
    np.testing.assert_allclose(twice.at(np.arange(0, 401, 2)), same.at(range(201)), rtol=1e-12)
    logged = Run(steps=np.arange(50, 10_050, 50), grad_norms=norms)  # every 50 steps, as most logs
    sparse = refine(logged, optimizer="sgd", peak=1.0, knots=201)
    assert sparse.ends_at == 10_000 and sparse.steps == tuple(range(0, 10_001, 50))
    np.testing.assert_allclose(sparse.lrs, same.lrs, rtol=1e-12)


def test_steps_that_are_not_even_and_norms_that_are_not_there():
    norms = 1 + np.arange(100) / 50
    at = np.array([0, 1, 2, 5, 10, *range(20, 100), 99][:-1])
    holes = norms.copy()
    holes[[7, 8, 50]] = np.nan, np.inf, -np.inf
    whole, some, hole = (refine(run, optimizer="sgd", peak=1.0, smoothing=0.0) for run in (
        run_of(norms), Run(steps=at, grad_norms=norms[at]), run_of(holes)))  # fmt: skip
    np.testing.assert_allclose(some.lrs, whole.lrs, rtol=1e-12)
    np.testing.assert_allclose(hole.lrs, whole.lrs, rtol=1e-12)
    assert "3 not finite left out" in hole.source


@pytest.mark.parametrize(("count", "bins"), [(701, 1792), (701, 8), (5001, 1792)])
def test_what_a_recorder_has_seen(count, bins):
    """The schedule ends where the run does, even if its last row spans fewer steps."""
    import optax

    norms, lr = noisy(count).astype(np.float32), olrs.Linear(peak=0.5, total_steps=count)
    tables = []
    for how in (dict(steps=count), dict(bins=bins)):
        tx = optax.chain(olrs.record_grad_norm(norms=("l1", "l2"), **how), optax.sgd(lr))

        def step(state, norm, tx=tx):
            return tx.update({"w": norm[None]}, state)[1], None

        state, _ = jax.lax.scan(step, tx.init({"w": jnp.zeros(1)}), norms)
        run = Run.from_state(state, schedule=lr)
        tables.append(refine(run, optimizer="sgd"))
        one = refine(run, optimizer="adam")  # of one parameter both norms are the same
        assert one == refine(run, optimizer="adam", norm="l2") and one.ends_at == tables[-1].ends_at == count
    exact, binned = (table.at(np.arange(count + 1)) for table in tables)
    np.testing.assert_allclose(
        exact, refine(run_of(norms, schedule=lr), optimizer="sgd").at(np.arange(count + 1)), atol=1e-6
    )
    if bins == 1792:  # the default
        assert np.max(np.abs(binned - exact)) < 0.02 * 0.5


def test_the_first_norm_decides_the_first_rates():
    norms = noisy(200)
    norms[0] = 0.05  # as the docstring warns: by chance, and it takes it all
    table = refine(run_of(norms), optimizer="sgd", peak=1.0)
    dropped = refine(Run(steps=range(1, 200), grad_norms=norms[1:]), optimizer="sgd", peak=1.0)
    assert table.at(0) == 1.0 and table.at(100) < 0.01 < 0.1 < dropped.at(100)


def test_a_spike_is_smoothed_away():
    norms = np.ones(101)
    norms[50] = 1e6
    assert refine(run_of(norms), optimizer="sgd", peak=1.0) == refine(run_of(np.ones(101)), optimizer="sgd", peak=1.0)


def test_zero_norms_do_not_take_it_all():
    norms = np.ones(50)
    norms[40:] = 0.0
    shape = refine(run_of(norms), optimizer="adam", norm="l2", peak=1.0, smoothing=0.0, clamp_fraction=0.1).at(
        range(51)
    )
    assert np.all(np.isfinite(shape)) and shape[0] > 0.05
    lowest = prepare_norms(run_of(norms), optimizer="sgd", smoothing=0.0).smooth.min()
    assert lowest == 1e-3
    with pytest.raises(ValueError, match="most of the l2 norms are zero"):
        refine(run_of(np.append(1.0, np.zeros(9))), optimizer="sgd", peak=1.0)


def test_the_peak_and_the_floor():
    norms = noisy(300)
    lr = olrs.WSD(peak=0.3, total_steps=300, decay_steps=60, warmup_steps=20)
    by_schedule = refine(run_of(norms, schedule=lr), optimizer="sgd")
    by_rates = refine(run_of(norms, lrs=[np.nan, *lr.at(range(299))], schedule=lr.replace(peak=9.0)), optimizer="sgd")
    assert by_schedule == by_rates == refine(run_of(norms), optimizer="sgd", peak=0.3) and by_schedule.lrs.max() == 0.3
    floored = refine(run_of(norms), optimizer="sgd", peak=0.3, floor=0.05)
    assert floored.lrs.min() == floored.lrs[-1] == 0.05
    np.testing.assert_array_equal(floored.lrs, np.maximum(by_schedule.lrs, 0.05))


@pytest.mark.parametrize(("norms", "within"), [
    (np.arange(1, 100_001) ** -0.5, 0.002), (running_median(noisy(100_000), 0.1), 0.012), (noisy(100_000), None),
], ids=["smooth", "smoothed", "noisy"])  # fmt: skip
def test_a_thousand_knots_are_enough(norms, within):
    whole = refine(run_of(norms), optimizer="sgd", peak=1.0, knots=None)
    table = refine(run_of(norms), optimizer="sgd", peak=1.0)
    assert len(table.lrs) == 1024 and table.ends_at == whole.ends_at == 100_000 and table.lrs.max() == 1.0
    at = np.arange(100_001)
    assert np.max(np.abs(whole.at(at) - table.at(at))) <= (within or 0.012)


def test_tables_replace_each_other_in_a_live_schedule():
    tx = olrs.scale_by_live_schedule(refine(run_of(noisy(5000)), optimizer="sgd", peak=1.0))
    state, step = tx.init({}), jax.jit(lambda state: tx.update({"w": jnp.ones(1)}, state))
    for seed in range(3):
        again = refine(run_of(noisy(5000, seed)), optimizer="sgd", peak=0.5)
        updates, state = step(olrs.with_schedule(state, again))
        np.testing.assert_allclose(-updates["w"][0], again.at(seed), rtol=2e-6)
    assert step._cache_size() == 1


def test_the_source_tells_all():
    lr = olrs.Linear(peak=0.1, total_steps=100)
    run = Run(steps=np.arange(0, 100, 2), grad_norms=noisy(50), schedule=lr, notes={"seed": 3})
    table = refine(run, optimizer="adam", norm="l2", method="bound")
    assert table.source == (
        f"refined for adam from 50 l2 norms, steps 0 to 98 of {lr!r}; by minimizing the bound, running median of 0.1;"
        ' {"seed": 3}'
    )
    assert olrs.Schedule.from_json(table.to_json()).source == olrs.parse(repr(table)).source == table.source
    again = refine(
        Run(steps=range(50), grad_norms=noisy(50), schedule=refine(run, optimizer="sgd", knots=None)), optimizer="sgd"
    )
    assert len(again.source) < 1000


def test_a_million_steps_take_half_a_second():
    norms = noisy(1_000_000)
    refine(run_of(norms[:1000]), optimizer="sgd", peak=1.0)  # imports
    took = []
    for _ in range(3):
        start = time.process_time()
        table = refine(run_of(norms), optimizer="sgd", peak=1.0)
        took.append(time.process_time() - start)
    assert min(took) < 0.5 and table.ends_at == 1_000_000
    np.testing.assert_array_equal(
        prepare_norms(run_of(norms[:2000]), optimizer="sgd").smooth,
        references.running_median(norms[:2000].tolist(), 0.1),
    )


# ── by minimizing the bound ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("norms", [norms for norms, _, _ in BOUNDS] + [noisy(400), np.ones(400)])
def test_minimising_the_bound(norms):
    found = minimal_shape(norms)
    closed = theory.refined_shape(np.append(norms, norms[-1]), power=2)
    linear = 1 - np.arange(len(norms)) / len(norms)
    lowest, of_closed = (references.bound(shape[:-1].tolist(), norms.tolist()) for shape in (found, closed))
    assert lowest <= of_closed <= theory.optimal_bound(linear, norms) * (1 + 1e-12)
    assert found[-1] == 0 and found.max() == 1 and np.all(found[:-1] > 0) and len(found) == len(norms) + 1
    rng = np.random.default_rng(0)  # no step away from it is better: it is a minimum, not only lower
    for _ in range(20):
        near = found[:-1] * np.exp(1e-2 * rng.standard_normal(len(norms)))
        assert theory.optimal_bound(near, norms) > lowest


def test_refine_by_the_bound():
    norms = noisy(3000)
    closed, bound = (
        refine(run_of(norms), optimizer="sgd", peak=1.0, method=m, knots=None) for m in ("closed_form", "bound")
    )
    smooth = running_median(norms, 0.1)
    assert theory.optimal_bound(bound.lrs[:-1], smooth) < theory.optimal_bound(closed.lrs[:-1], smooth)
    assert np.max(np.abs(bound.lrs - closed.lrs)) < 0.3
    # Adam's form is SGD's for the roots of the norms.
    adam = refine(run_of(norms), optimizer="adam", norm="l2", peak=1.0, method="bound", knots=None)
    sgd = refine(run_of(norms**0.5), optimizer="sgd", peak=1.0, method="bound", knots=None)
    np.testing.assert_allclose(adam.lrs, sgd.lrs, atol=1e-6)


def test_minimising_over_many_steps_is_coarse(monkeypatch):
    norms = running_median(noisy(3000), 0.1)
    fine = minimal_shape(norms)
    monkeypatch.setattr(sys.modules["optax_lrs.refinement._bound"], "_MOST", 500)
    coarse = minimal_shape(norms)
    assert len(coarse) == len(fine) and coarse[-1] == 0
    closed = theory.refined_shape(np.append(norms, norms[-1]), power=2)
    best, near, start = (theory.optimal_bound(shape[:-1], norms) for shape in (fine, coarse, closed))
    assert best < near < start


# ── a formula for it ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("warmup", [0.0, 0.01, 0.2, 0.45, 0.9])
@pytest.mark.parametrize("p", [0.5, 0.8, 1.0, 3.0])
def test_the_fit_finds_what_was_drawn(warmup, p):
    drawn = olrs.PowerDecay(peak=0.3, total_steps=10_000, warmup_steps=round(warmup * 10_000), p=p)
    fit = fit_warmup_power(olrs.Tabulated(lrs=drawn.at(range(10_001))))
    assert abs(fit.warmup_fraction - warmup) < 2e-4 and abs(fit.schedule.p - p) < 2e-3 * p
    assert fit.rms_misfit < 1e-3 and fit.max_misfit < 2e-2 and fit.schedule.peak == pytest.approx(0.3, rel=1e-2)


@pytest.mark.parametrize(("warmup", "p"), [(0.2, 0.9), (0.28, 1.0), (0.45, 0.8), (0.4, 0.9), (0.0, 1.5), (0.01, 3.0)])
def test_the_fit_of_schedules_like_the_papers(warmup, p):
    """The fit finds the shapes of the paper's figures again, under noise."""
    drawn = olrs.PowerDecay(peak=1.0, total_steps=5000, warmup_steps=round(warmup * 5000), p=p).at(range(5001))
    noise = 1 + 0.05 * np.random.default_rng(0).uniform(-1, 1, 5001)
    fit = fit_warmup_power(olrs.Tabulated(lrs=drawn * noise))
    assert abs(fit.warmup_fraction - warmup) < 0.02 and abs(fit.schedule.p - p) < 0.12 * p  # the peak is the noise's
    assert 0.01 < fit.rms_misfit < 0.06 and fit.rms_misfit < fit.max_misfit < 0.2
    exact = np.abs(fit.schedule.at(range(5001)) - drawn * noise) / np.max(drawn * noise)
    assert fit.max_misfit == pytest.approx(exact.max(), rel=0.1)
    assert fit.rms_misfit == pytest.approx(np.sqrt(np.mean(exact**2)), rel=0.1)


def test_the_fit_of_what_has_no_such_formula_says_so():
    assert fit_warmup_power(olrs.SGDR(peak=1.0, period_steps=20), total_steps=100).max_misfit > 0.4
    assert fit_warmup_power(olrs.Linear(peak=1.0, total_steps=2)).schedule.total_steps == 2


# ── mistakes ──────────────────────────────────────────────────────────────────────────────────

RUN = run_of([1.0, 2.0, 3.0], lrs=[0.1, 0.1, 0.1])
MISTAKES = [
    (lambda: refine([1.0, 2.0], optimizer="sgd"), TypeError, r"run must be a Run, such as .*, got \[1.0, 2.0\]"),
    (lambda: refine(RUN), TypeError, "optimizer"),
    (lambda: refine(RUN, optimizer="adamw"), ValueError, "optimizer must be 'sgd' or 'adam' .*got 'adamw'"),
    (lambda: refine(RUN, optimizer="adam"), ValueError, "needs l1 norms, run.grad_norms_l1.*norm='l2'"),
    (lambda: refine(RUN, optimizer="sgd", norm="l1"), ValueError, "norm='l1' is for optimizer='adam'"),
    (lambda: refine(RUN, optimizer="adam", norm="l3"), ValueError, "norm must be one of 'l2', 'l1', got 'l3'"),
    (lambda: refine(Run(steps=[0, 1]), optimizer="sgd"), ValueError, "run.grad_norms is None"),
    (lambda: refine(Run(steps=[0, 1]), optimizer="adam"), ValueError, "run.grad_norms_l1 is None"),
    (lambda: refine(RUN, optimizer="sgd", method="newton"), ValueError, "method must be .* got 'newton'"),
    (lambda: refine(RUN, optimizer="sgd", smoothing=1.5), ValueError, "at least 0 and at most 1, got 1.5"),
    (lambda: refine(RUN, optimizer="sgd", smoothing="0.x"), TypeError, "smoothing must be a number"),
    (lambda: refine(RUN, optimizer="sgd", clamp_fraction=0.9), ValueError, "at least 0 and at most 0.5, got 0.9"),
    (lambda: refine(RUN, optimizer="sgd", knots=1), ValueError, "knots must be at least 2, got 1"),
    (lambda: refine(RUN, optimizer="sgd", knots=2.5), TypeError, "knots must be an int, got 2.5"),
    (lambda: refine(RUN, optimizer="sgd", total_steps=0), ValueError, "total_steps must be at least 1, got 0"),
    (lambda: refine(RUN, optimizer="sgd", floor=0.2), ValueError, "got floor=0.2, peak=0.1"),
    (lambda: refine(RUN, optimizer="sgd", peak=0.0), ValueError, "peak=0.0"),
    (lambda: refine(RUN, optimizer="sgd", peak="high"), TypeError, "peak must be a number, got 'high'"),
    (lambda: refine(run_of([1.0, 2.0]), optimizer="sgd"), ValueError, "neither lrs nor a schedule"),
    (lambda: refine(run_of([1.0, np.nan]), optimizer="sgd"), ValueError, "at least two finite norms, got 1 among 2"),
    (lambda: refine(run_of([]), optimizer="sgd"), ValueError, "got 0 among 0"),
    (lambda: refine(run_of([1.0, -2.0]), optimizer="sgd"), ValueError, "got np.float64.-2.0. at step 1"),
    (lambda: theory.refined_shape([1.0], power=2), ValueError, r"array of two or more norms, got shape \(1,\)"),
    (lambda: theory.refined_shape(jnp.ones((2, 2)), power=2), ValueError, r"got shape \(2, 2\)"),
    (lambda: theory.refined_shape([1.0, 0.0], power=2), ValueError, "positive and finite"),
    (lambda: theory.refined_shape([1.0, np.nan], power=2), ValueError, "positive and finite"),
    (lambda: theory.refined_shape(["a", "b"], power=2), TypeError, "real numbers"),
    (lambda: theory.refined_shape([1.0, 1.0], power=0), ValueError, "power must be above 0, got 0"),
    (lambda: fit_warmup_power(lambda step: 0.1), TypeError, "schedule must be a Schedule"),
    (lambda: fit_warmup_power(olrs.InverseSqrt(peak=1.0)), ValueError, "total_steps is needed"),
    (lambda: fit_warmup_power(olrs.Constant(value=1.0), total_steps=1), ValueError, "at least 2, got 1"),
    (lambda: fit_warmup_power(olrs.Constant(value=0.0), total_steps=10), ValueError, "all rates are zero"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "error", "message"), MISTAKES)
def test_mistakes(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_an_old_scipy_would_take_minutes(monkeypatch):
    import scipy

    monkeypatch.setattr(scipy, "__version__", "1.14.1")
    assert refine(run_of(noisy(1000)), optimizer="sgd", peak=1.0).ends_at == 1000
    with pytest.raises(ImportError, match=r"100,000 norms need scipy 1.15 or newer, got 1.14.1: pip install"):
        refine(run_of(noisy(100_000)), optimizer="sgd", peak=1.0)


def test_without_scipy(monkeypatch):
    for module in ("scipy", "scipy.ndimage", "scipy.optimize"):
        monkeypatch.setitem(sys.modules, module, None)
    run = run_of(noisy(100))
    assert refine(run, optimizer="sgd", peak=1.0, smoothing=0.0).ends_at == 100
    for how in (dict(), dict(method="bound", smoothing=0.0)):
        with pytest.raises(ImportError, match=r"needs scipy: pip install 'optax_lrs\[refine\]'"):
            refine(run, optimizer="sgd", peak=1.0, **how)


def test_the_end_is_zero_at_any_horizon():
    """The last entry lies on the last norm exactly: no rounding leaves a rate behind."""
    for total_steps in (1, 7, 47, 90, 1_000, 4_999, 100_003):
        for count in (2, 3, 7, 50, 1_000):
            schedule = refine(run_of([1.0] * count), optimizer="sgd", peak=2.0, total_steps=total_steps)
            assert schedule.at(total_steps) == 0
