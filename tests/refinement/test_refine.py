"""refine: the algorithm of the paper, its inputs and its options."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import optax_lrs as olrs
from matrices.refinement_cases import noisy, run_of
from optax_lrs import Run, refine
from optax_lrs.refinement import prepare_norms
from optax_lrs.refinement._norms import running_median
from oracles import refine as references

NORMS = st.lists(st.floats(0.01, 100), min_size=2, max_size=30)


@settings(max_examples=40, deadline=None)
@given(norms=NORMS, tau=st.sampled_from([0, 0.1, 0.5]), total_steps=st.integers(1, 90), adam=st.booleans())
def test_refine_is_the_algorithm_of_the_paper(norms, tau, total_steps, adam):
    run = Run(steps=range(len(norms)), grad_norms_l1=norms) if adam else run_of(norms)
    schedule = refine(
        run, optimizer="adam" if adam else "sgd", peak=2.0, smoothing=tau, total_steps=total_steps, clamp_fraction=0
    )
    expected = references.table(norms, power=1 if adam else 2, tau=tau, total_steps=total_steps)
    np.testing.assert_allclose(schedule.at(range(total_steps + 1)), 2 * np.array(expected), rtol=1e-9, atol=1e-12)
    assert schedule.ends_at == total_steps and schedule.at(total_steps) == 0 and schedule.at(total_steps - 1) > 0


def test_the_horizon():
    norms = noisy(200)
    same = refine(run_of(norms), optimizer="sgd", peak=1.0)
    assert same.ends_at == 200 and same.steps is None and len(same.lrs) == 201
    twice = refine(run_of(norms), optimizer="sgd", peak=1.0, total_steps=400)
    np.testing.assert_allclose(twice.at(np.arange(0, 401, 2)), same.at(range(201)), rtol=1e-12)
    logged = Run(steps=np.arange(50, 10_050, 50), grad_norms=norms)  # a row every 50 steps, as in most logs
    sparse = refine(logged, optimizer="sgd", peak=1.0, knots=201)
    assert sparse.ends_at == 10_000 and sparse.steps == tuple(range(0, 10_001, 50))
    np.testing.assert_allclose(sparse.lrs, same.lrs, rtol=1e-12)


def test_uneven_steps_and_missing_norms():
    norms = 1 + np.arange(100) / 50
    at = np.array([0, 1, 2, 5, 10, *range(20, 100), 99][:-1])
    holes = norms.copy()
    holes[[7, 8, 50]] = np.nan, np.inf, -np.inf
    whole, some, hole = (
        refine(run, optimizer="sgd", peak=1.0, smoothing=0.0)
        for run in (run_of(norms), Run(steps=at, grad_norms=norms[at]), run_of(holes))
    )
    np.testing.assert_allclose(some.lrs, whole.lrs, rtol=1e-12)
    np.testing.assert_allclose(hole.lrs, whole.lrs, rtol=1e-12)
    assert "3 not finite left out" in hole.source


@pytest.mark.parametrize(("count", "bins"), [(701, 1792), (701, 8), (5001, 1792)])
def test_the_norms_of_a_recorder(count, bins):
    """The schedule ends where the run ends, even if its last row spans fewer steps."""
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
        one = refine(run, optimizer="adam")  # with one parameter both norms are equal
        assert one == refine(run, optimizer="adam", norm="l2") and one.ends_at == tables[-1].ends_at == count
    exact, binned = (table.at(np.arange(count + 1)) for table in tables)
    np.testing.assert_allclose(
        exact, refine(run_of(norms, schedule=lr), optimizer="sgd").at(np.arange(count + 1)), atol=1e-6
    )
    if bins == 1792:  # the default
        assert np.max(np.abs(binned - exact)) < 0.02 * 0.5


def test_the_first_norm_decides_the_first_rates():
    norms = noisy(200)
    norms[0] = 0.05  # small by chance; as the docstring warns, the first rate then dominates
    table = refine(run_of(norms), optimizer="sgd", peak=1.0)
    dropped = refine(Run(steps=range(1, 200), grad_norms=norms[1:]), optimizer="sgd", peak=1.0)
    assert table.at(0) == 1.0 and table.at(100) < 0.01 < 0.1 < dropped.at(100)


def test_a_spike_is_smoothed_away():
    norms = np.ones(101)
    norms[50] = 1e6
    assert refine(run_of(norms), optimizer="sgd", peak=1.0) == refine(run_of(np.ones(101)), optimizer="sgd", peak=1.0)


def test_zero_norms_do_not_dominate():
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


@pytest.mark.parametrize(
    ("norms", "within"),
    [
        (np.arange(1, 100_001) ** -0.5, 0.002),
        (running_median(noisy(100_000), 0.1), 0.012),
        (noisy(100_000), None),
    ],
    ids=["smooth", "smoothed", "noisy"],
)
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


def test_the_source_names_run_and_method():
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


def test_the_end_is_zero_at_any_horizon():
    """The last entry is at the last norm exactly, so rounding leaves no positive rate."""
    for total_steps in (1, 7, 47, 90, 1_000, 4_999, 100_003):
        for count in (2, 3, 7, 50, 1_000):
            schedule = refine(run_of([1.0] * count), optimizer="sgd", peak=2.0, total_steps=total_steps)
            assert schedule.at(total_steps) == 0
