"""Repeated training: the schedule of the next run, refined on the device."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType

import optax_lrs as olrs
from matrices import transform_rules
from oracles import refine as references

PARAMS = {"w": jnp.zeros(3)}


def plain(rate):
    return rate


def noisy(count, seed=0):
    rng = np.random.default_rng(seed)
    time = np.arange(count) / count
    norms = np.exp(0.3 * rng.standard_normal(count)) * (1 + 4 * np.exp(-20 * time)) * (1 + time**4)
    return norms.astype(np.float32)


@functools.partial(jax.jit, static_argnums=0)
def trained(tx, state, norms):
    """The state after a run with these l2 norms, and l1 norms sqrt(3) times as large."""

    def step(state, norm):
        updates, state = tx.update({"w": jnp.full(3, norm / jnp.sqrt(3.0))}, state, PARAMS)
        return state, updates["w"][0]

    return jax.lax.scan(step, state, norms)


def transformation(total_steps, *, optimizer="sgd", make=plain, schedule=None, **how):
    schedule = olrs.Linear(peak=0.5, total_steps=total_steps) if schedule is None else schedule
    return olrs.with_refinement(make, schedule, optimizer=optimizer, total_steps=total_steps, **how)


def with_norms(tx, norms):
    """The state after such a run, complete enough for ``next_run``."""
    state = tx.init(PARAMS)
    (column,) = state.record.store.norms
    store = state.record.store._replace(norms={column: jnp.asarray(norms)})
    return state._replace(record=state.record._replace(count=jnp.int32(len(norms)), store=store))


def next_run(tx):
    return jax.jit(functools.partial(olrs.refinement.next_run, tx))


def schedule_of(state):
    found = jax.tree.leaves(state, is_leaf=lambda x: isinstance(x, olrs.transforms.LiveScheduleState))
    return next(node.schedule for node in found if isinstance(node, olrs.transforms.LiveScheduleState))


@pytest.mark.parametrize(
    ("optimizer", "count", "how"),
    [
        ("sgd", 2, {}),
        ("adam", 5, dict(smoothing=0.0)),
        ("sgd", 30, dict(smoothing=1.0)),
        ("adam", 1023, dict(floor=0.1)),
    ],
)
def test_next_run_agrees_with_refine_on_the_host(optimizer, count, how):
    tx = transformation(count, optimizer=optimizer, **how)
    state = with_norms(tx, noisy(count))
    run = olrs.Run.from_state(state)
    state = next_run(tx)(state, PARAMS)
    expected = olrs.refine(run, optimizer=optimizer, peak=0.5, **how)
    np.testing.assert_allclose(schedule_of(state).lrs, expected.lrs, rtol=2e-5, atol=1e-6)
    assert schedule_of(state) is not None and schedule_of(state).steps == expected.steps
    oracle = references.table(
        noisy(count).tolist(), power=2 if optimizer == "sgd" else 1, tau=how.get("smoothing", 0.1), total_steps=count
    )
    np.testing.assert_allclose(
        schedule_of(state).lrs, np.maximum(0.5 * np.array(oracle), how.get("floor", 0)), rtol=2e-5, atol=1e-6
    )


@pytest.mark.slow
@pytest.mark.parametrize(("count", "within"), [(4096, 1e-5), (20_000, 0.01)])
def test_long_runs(count, within):
    tx = transformation(count, knots=257)
    norms = noisy(count)
    norms[[5, 77, count // 2]] = np.nan
    norms[count // 3 : count // 3 + 30] = np.nan
    state = with_norms(tx, norms)
    table = schedule_of(next_run(tx)(state, PARAMS))
    expected = olrs.refine(olrs.Run.from_state(state), optimizer="sgd", peak=0.5, knots=257)
    assert table.steps == expected.steps and len(table.lrs) == 257
    assert np.max(np.abs(table.lrs - expected.lrs)) < within * 0.5  # of the peak


def test_norms_that_are_missing():
    tx = transformation(200, smoothing=0.2)
    restart = next_run(tx)
    norms = noisy(200)
    norms[[0, 1, 50, 51, 120]] = np.nan
    stopped = noisy(200)
    stopped[150:] = np.nan  # the last norm is repeated to the end
    for each in (norms, stopped):
        expected = olrs.refine(olrs.Run(steps=range(200), grad_norms=each), optimizer="sgd", peak=0.5, smoothing=0.2)
        lrs = schedule_of(restart(with_norms(tx, each), PARAMS)).lrs
        np.testing.assert_allclose(lrs, expected.lrs, rtol=2e-5, atol=1e-6)


def test_a_run_without_usable_norms_keeps_its_schedule():
    tx = transformation(20)
    restart = next_run(tx)
    for norms in (np.full(20, np.nan), np.append(1.0, np.full(19, np.nan)), np.zeros(20)):
        state = with_norms(tx, norms)
        restarted = restart(state, PARAMS)
        np.testing.assert_array_equal(schedule_of(restarted).lrs, schedule_of(state).lrs)
        assert restarted.finished_runs == 1
    np.testing.assert_array_equal(schedule_of(restart(tx.init(PARAMS), PARAMS)).lrs, schedule_of(state).lrs)


def test_the_next_run_is_fresh_and_compiles_nothing():
    make = lambda rate: optax.chain(optax.clip_by_global_norm(1.0), optax.scale_by_adam(), rate)  # noqa: E731
    tx = transformation(50, optimizer="adam", make=make)
    restart = next_run(tx)
    state, _ = trained(tx, tx.init(PARAMS), noisy(50))
    size = trained._cache_size()
    for runs in (1, 2, 3):
        state = restart(state, PARAMS)
        fresh = tx.init(PARAMS)
        assert jax.tree.structure(state) == jax.tree.structure(fresh) and state.finished_runs == runs
        same = jax.tree.map(lambda a, b: bool(np.array_equal(a, b, equal_nan=True)), state, fresh)
        assert all(jax.tree.leaves(same.record)) and all(jax.tree.leaves(same.inner[:2]))
        assert not same.inner[2].schedule.lrs and same.inner[2].count
        table = schedule_of(state)
        state, updates = trained(tx, state, noisy(50, seed=runs))
        # Adam's first update is minus the sign times the rate, which is now the refined one.
        np.testing.assert_allclose(updates[0], -table.at(0), rtol=1e-4)
        assert olrs.learning_rate(state) == table(49)
    assert restart._cache_size() == 1 and trained._cache_size() == size


@pytest.mark.slow
def test_vmap_over_seeds_and_peaks():
    tx = transformation(40)
    peaks = jnp.array([0.1, 0.5, 2.0])
    starts = jax.vmap(
        lambda peak: olrs.with_schedule(tx.init(PARAMS), olrs.Tabulated(lrs=peak * jnp.linspace(1, 0, 41)))
    )(peaks)
    norms = np.stack([noisy(40, seed) for seed in range(3)])
    states, _ = jax.vmap(functools.partial(trained, tx))(starts, norms)
    params = jax.tree.map(lambda p: jnp.stack([p] * 3), PARAMS)
    states = jax.jit(jax.vmap(functools.partial(olrs.refinement.next_run, tx)))(states, params)
    for seed, peak in enumerate((0.1, 0.5, 2.0)):
        expected = olrs.refine(olrs.Run(steps=range(40), grad_norms=norms[seed]), optimizer="sgd", peak=peak)
        np.testing.assert_allclose(schedule_of(states).lrs[seed], expected.lrs, rtol=3e-5, atol=2e-6)


@pytest.mark.slow
def test_nested_transforms_are_refined_separately():
    a, b = transformation(30), transformation(30, optimizer="adam")
    labels = {"u": "a", "v": "b"}
    tx = optax.chain(optax.identity(), optax.partition({"a": a, "b": b}, labels))
    params = {"u": jnp.zeros(1), "v": jnp.zeros(2)}
    state = tx.init(params)
    norms = noisy(30), noisy(30, 1)
    update = jax.jit(tx.update)
    for x, y in zip(*norms):
        _, state = update({"u": jnp.full(1, x), "v": jnp.full(2, y / 2)}, state, params)
    state = next_run(tx)(state, params)
    found = [
        node
        for node in jax.tree.leaves(state, is_leaf=lambda x: isinstance(x, olrs.refinement.RefinementState))
        if isinstance(node, olrs.refinement.RefinementState)
    ]
    runs = [olrs.Run(steps=range(30), grad_norms=norms[0]), olrs.Run(steps=range(30), grad_norms_l1=norms[1])]
    for node, run, optimizer in zip(found, runs, ("sgd", "adam")):
        expected = olrs.refine(run, optimizer=optimizer, peak=0.5)
        np.testing.assert_allclose(schedule_of(node).lrs, expected.lrs, rtol=2e-5, atol=1e-6)
    every = optax.MultiSteps(transformation(4), every_k_schedule=2).gradient_transformation()
    state, update = every.init(PARAMS), jax.jit(every.update)
    for norm in (1.0, 3.0, 4.0, 0.0, 1.0, 1.0, 0.5, 1.5):
        _, state = update({"w": jnp.array([norm, 0.0, 0.0])}, state, PARAMS)
    np.testing.assert_allclose(olrs.Run.from_state(state).grad_norms, [2, 2, 1, 1])  # of the averaged gradients
    expected = olrs.refine(olrs.Run.from_state(state), optimizer="sgd", peak=0.5)
    np.testing.assert_allclose(schedule_of(next_run(every)(state, PARAMS)).lrs, expected.lrs, atol=1e-6)


@pytest.mark.slow
def test_on_a_mesh():
    expected = None
    for kind in (AxisType.Explicit, AxisType.Auto):
        mesh = jax.make_mesh((4, 2), ("data", "model"), axis_types=(kind, kind))
        with jax.set_mesh(mesh):
            params = transform_rules.placed(mesh, transform_rules.params())
            tx = transformation(12)
            state, update = tx.init(params), jax.jit(tx.update)
            for norm in noisy(12):
                grads = transform_rules.placed(mesh, transform_rules.grads(scale=float(norm)))
                _, state = update(grads, state, params)
            started = next_run(tx)(state, params)
            assert transform_rules.described(started) == transform_rules.described(tx.init(params))
            lrs = np.asarray(schedule_of(started).lrs)
        host = olrs.refine(olrs.Run(steps=range(12), grad_norms=noisy(12)), optimizer="sgd", peak=0.5)
        np.testing.assert_allclose(lrs, host.lrs, rtol=2e-5, atol=1e-6)
        assert expected is None or np.array_equal(lrs, expected)
        expected = lrs


def test_the_updates_are_those_of_the_optimizer():
    lr = olrs.WSD(peak=0.1, total_steps=20, warmup_steps=3, decay_steps=5)
    tx = transformation(20, make=lambda rate: optax.chain(optax.scale_by_adam(), rate), schedule=lr, optimizer="adam")
    known = optax.adam(lr)
    state, expected = tx.init(PARAMS), known.init(PARAMS)
    update = jax.jit(tx.update)
    for norm in noisy(20):
        updates, state = update({"w": jnp.full(3, norm)}, state, PARAMS)
        same, expected = known.update({"w": jnp.full(3, norm)}, expected, PARAMS)
        np.testing.assert_allclose(updates["w"], same["w"], rtol=1e-6)


@pytest.mark.slow
def test_the_second_run_ends_lower():
    """With noisy gradients a constant rate stays above a noise floor; the refined one anneals."""
    tx = transformation(300, schedule=olrs.Constant(value=0.05))

    def run(state, key):
        def step(carry, key):
            x, state = carry
            updates, state = tx.update({"w": jnp.sign(x) + 2 * jax.random.normal(key, (50,))}, state, {"w": x})
            return (x + updates["w"], state), None

        (x, state), _ = jax.lax.scan(step, (jnp.full(50, 2.0), state), jax.random.split(key, 300))
        return jnp.sum(jnp.abs(x)), olrs.refinement.next_run(tx, state, PARAMS)

    runs = jax.jit(jax.vmap(run))
    fresh = jax.tree.map(lambda leaf: jnp.stack([leaf] * 20), tx.init(PARAMS))
    losses, states = runs(fresh, jax.random.split(jax.random.key(0), 20))
    again, _ = runs(states, jax.random.split(jax.random.key(1), 20))
    assert np.mean(again) < 0.5 * np.mean(losses)


LINEAR = olrs.Linear(peak=0.5, total_steps=10)
MISTAKES = [
    (
        lambda: olrs.with_refinement(plain, LINEAR, optimizer="adamw", total_steps=10),
        ValueError,
        "'sgd' or 'adam' .*, got 'adamw'",
    ),
    (
        lambda: olrs.with_refinement(plain, 0.1, optimizer="sgd", total_steps=10),
        TypeError,
        "schedule must be a Schedule",
    ),
    (
        lambda: olrs.with_refinement(plain, LINEAR, optimizer="sgd", total_steps=1),
        ValueError,
        "total_steps must be at least 2",
    ),
    (
        lambda: olrs.with_refinement(plain, LINEAR, optimizer="sgd", total_steps=10, knots=2),
        ValueError,
        "knots must be at least 3, got 2",
    ),
    (
        lambda: olrs.with_refinement(plain, LINEAR, optimizer="sgd", total_steps=1.5),
        TypeError,
        "total_steps must be an int",
    ),
    (
        lambda: olrs.with_refinement(plain, LINEAR, optimizer="sgd", total_steps=10, floor=0.6),
        ValueError,
        "floor <= peak",
    ),
    (
        lambda: olrs.with_refinement(plain, LINEAR, optimizer="sgd", total_steps=10, smoothing=2),
        ValueError,
        "smoothing must be",
    ),
    (
        lambda: olrs.with_refinement(plain, olrs.Constant(value=0.0), optimizer="sgd", total_steps=10),
        ValueError,
        "a peak of 0",
    ),
    (
        lambda: olrs.refinement.next_run(optax.sgd(0.1), optax.sgd(0.1).init(PARAMS), PARAMS),
        ValueError,
        "there is no with_refinement",
    ),
]


@pytest.mark.parametrize(("make", "error", "message"), MISTAKES)
def test_mistakes(make, error, message):
    with pytest.raises(error, match=message):
        make()
