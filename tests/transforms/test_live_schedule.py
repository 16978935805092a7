"""Live schedules: the rates that they apply, reading them, and replacing them in a running job."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from flax.training.train_state import TrainState

import optax_lrs as olrs

LR = olrs.WSD(peak=0.1, total_steps=100, warmup_steps=7, decay_steps=20)
PARAMS = {"a": jnp.linspace(-1, 1, 6), "b": jnp.ones((2, 3))}


def grads(step, dtype=jnp.float32):
    return jax.tree.map(lambda p: jnp.sin(p * (step + 1)).astype(dtype), PARAMS)


def applied(step):
    return np.float32(LR.at(step))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_updates_are_bit_identical_to_optax(dtype):
    ours = optax.chain(optax.scale_by_adam(), olrs.scale_by_live_schedule(LR))
    theirs = optax.chain(optax.scale_by_adam(), optax.scale_by_learning_rate(LR))
    state, their_state = ours.init(PARAMS), theirs.init(PARAMS)
    our_update, their_update = jax.jit(ours.update), jax.jit(theirs.update)
    for step in range(12):
        updates, state = our_update(grads(step, dtype), state)
        expected, their_state = their_update(grads(step, dtype), their_state)
        for a, b in zip(jax.tree.leaves(updates), jax.tree.leaves(expected)):
            assert a.dtype == b.dtype and np.array_equal(np.asarray(a, np.float32), np.asarray(b, np.float32))


def tail():
    return optax.chain(optax.scale_by_adam(), olrs.scale_by_live_schedule(LR))


TRANSFORMATIONS = {
    "alone": (olrs.scale_by_live_schedule(LR), {"learning_rate"}, None),
    "chain": (optax.chain(optax.clip(1.0), tail()), {"learning_rate"}, None),
    "masked": (optax.masked(tail(), {"a": True, "b": False}), {"learning_rate"}, None),
    "partition": (
        optax.partition(
            {"x": tail(), "y": optax.chain(optax.scale_by_rms(), olrs.scale_by_live_schedule(LR))}, {"a": "x", "b": "y"}
        ),
        {"x", "y"},
        None,
    ),
    "apply_if_finite": (optax.apply_if_finite(tail(), 2), {"learning_rate"}, None),
    "inject_hyperparams": (optax.inject_hyperparams(optax.adamw)(learning_rate=LR), {"learning_rate"}, None),
    "inject in a chain": (
        optax.chain(optax.clip(1.0), optax.inject_hyperparams(optax.sgd)(learning_rate=LR)),
        {"learning_rate"},
        None,
    ),
    "adamw": (optax.adamw(LR), {"learning_rate"}, LR),
    "adamw in partition": (
        optax.partition({"x": optax.adamw(LR), "y": optax.set_to_zero()}, {"a": "x", "b": "y"}),
        {"x"},
        LR,
    ),
}


@pytest.mark.parametrize("name", TRANSFORMATIONS)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_learning_rates_are_those_applied(name, dtype):
    tx, paths, schedule = TRANSFORMATIONS[name]
    params = jax.tree.map(lambda p: p.astype(dtype), PARAMS)
    state = tx.init(params)
    update = jax.jit(lambda g, s: tx.update(g, s, params))
    inside = jax.jit(functools.partial(olrs.learning_rates, schedule=schedule))
    if "inject" not in name:
        assert set(map(float, olrs.learning_rates(state, schedule).values())) == {0.0}
    for step in range(10):
        _, state = update(grads(step, dtype), state)
        rates = olrs.learning_rates(state, schedule)
        assert set(rates) == paths
        assert inside(state).keys() == rates.keys()
        for rate in rates.values():
            assert rate.dtype == jnp.float32 and rate.shape == ()
            np.testing.assert_allclose(rate, applied(step), rtol=2e-7)


@pytest.mark.slow
def test_multi_steps_counts_updates():
    tx = optax.MultiSteps(tail(), every_k_schedule=3)
    state = tx.init(PARAMS)
    for micro in range(9):
        _, state = tx.update(grads(micro), state, PARAMS)
        updates = (micro + 1) // 3
        (rate,) = olrs.learning_rates(state).values()
        np.testing.assert_allclose(rate, applied(updates - 1) if updates else 0.0, rtol=2e-7)


def test_apply_if_finite_stands_still_while_skipping():
    tx = optax.apply_if_finite(tail(), 5)
    state = tx.init(PARAMS)
    for bad in (False, False, True, True, False):
        g = jax.tree.map(lambda x, bad=bad: x * jnp.nan if bad else x, grads(0))
        _, state = tx.update(g, state, PARAMS)
    (rate,) = olrs.learning_rates(state).values()
    np.testing.assert_allclose(rate, applied(2), rtol=2e-7)
    assert int(optax.tree.get(state.inner_state[1], "count")) == 3


class Linear(nnx.Module):
    def __init__(self):
        self.w = nnx.Param(jnp.ones(3))


@pytest.mark.parametrize(("tx", "schedule"), [(tail(), None), (optax.adamw(LR), LR)], ids=["live", "adamw"])
def test_nnx_optimizer(tx, schedule):
    model = Linear()
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)

    @nnx.jit
    def train_step(model, optimizer):
        grads = nnx.grad(lambda m: jnp.sum(m.w[...] ** 2))(model)
        optimizer.update(model, grads)
        return next(iter(olrs.learning_rates(optimizer, schedule).values()))

    for step in range(5):
        inside = train_step(model, optimizer)
        for rates in (olrs.learning_rates(optimizer, schedule), olrs.learning_rates(optimizer.opt_state, schedule)):
            (rate,) = rates.values()
            np.testing.assert_allclose([rate, inside], applied(step), rtol=2e-7)


def test_nnx_optimizer_takes_another_schedule():
    model = Linear()
    optimizer = nnx.Optimizer(model, tail(), wrt=nnx.Param)
    traces = []

    @nnx.jit
    def train_step(model, optimizer):
        traces.append(1)
        optimizer.update(model, nnx.grad(lambda m: jnp.sum(m.w[...] ** 2))(model))

    for peak in (0.1, 0.2, 0.4):
        optimizer.opt_state = nnx.data(olrs.with_schedule(optimizer.opt_state, LR.replace(peak=peak)))
        train_step(model, optimizer)
    assert len(traces) == 1
    (rate,) = olrs.learning_rates(optimizer).values()
    np.testing.assert_allclose(rate, LR.replace(peak=0.4).at(2), rtol=2e-7)


def test_train_state():
    module = nn.Dense(2)
    variables = module.init(jax.random.key(0), jnp.ones((1, 3)))
    state = TrainState.create(apply_fn=module.apply, params=variables["params"], tx=tail())
    state = state.apply_gradients(grads=variables["params"]).apply_gradients(grads=variables["params"])
    (rate,) = olrs.learning_rates(state).values()
    np.testing.assert_allclose(rate, applied(1), rtol=2e-7)


def test_learning_rates_says_what_is_missing():
    for tx in (optax.sgd(0.1), optax.adamw(LR)):
        with pytest.raises(ValueError, match="pass schedule="):
            olrs.learning_rates(tx.init(PARAMS))


@pytest.mark.parametrize("device", [None, 1], ids=["uncommitted", "committed"])
def test_another_schedule_without_compiling(device):
    place = (lambda s: s) if device is None else (lambda s: jax.device_put(s, jax.devices()[device]))
    tx = tail()
    step = jax.jit(lambda state, g: tx.update(g, state))
    state = place(tx.init(PARAMS))
    for i, peak in enumerate((0.1, 0.3, 0.02)):
        _, state = step(olrs.with_schedule(state, LR.replace(peak=peak)), place(grads(i)))
        (rate,) = olrs.learning_rates(state).values()
        np.testing.assert_allclose(rate, LR.replace(peak=peak).at(i), rtol=2e-7)
    assert step._cache_size() == 1
    assert int(state[1].count) == 3, "the count stays"


def test_another_kind_of_schedule_costs_one_compilation():
    tx = tail()
    state = tx.init(PARAMS)
    _, state = tx.update(grads(0), state)
    state = jax.jit(lambda s: olrs.with_schedule(s, olrs.Constant(value=0.25)))(state)
    _, state = tx.update(grads(1), state)
    assert float(olrs.learning_rate(state)) == 0.25 and isinstance(state[1].schedule, olrs.Constant)


def test_eight_peaks_one_compilation():
    traces = []

    @jax.jit
    def train(lr, params):
        traces.append(1)
        tx = optax.adamw(lr)
        return tx.update(grads(0), tx.init(params), params)[0]

    for peak in np.linspace(0.1, 0.8, 8):
        train(LR.replace(peak=peak), PARAMS)
    assert len(traces) == 1


def test_with_schedule_at_a_path():
    tx = optax.partition({"x": tail(), "y": tail()}, {"a": "x", "b": "y"})
    state = olrs.with_schedule(tx.init(PARAMS), olrs.Constant(value=0.5), path="inner_states/y")
    _, state = tx.update(grads(0), state, PARAMS)
    rates = olrs.learning_rates(state)
    assert float(rates["y"]) == 0.5 and float(rates["x"]) == 0.0
    with pytest.raises(ValueError, match="at 'z'"):
        olrs.with_schedule(state, LR, path="z")
    with pytest.raises(ValueError, match="no scale_by_live_schedule"):
        olrs.with_schedule(optax.sgd(0.1).init(PARAMS), LR)
    with pytest.raises(TypeError, match="must be a Schedule"):
        olrs.with_schedule(state, 0.1)


def test_a_path_is_not_a_prefix_of_another_name():
    live = olrs.scale_by_live_schedule(LR)
    tx = optax.chain(*[optax.identity()], live, *[optax.identity()] * 8, live)
    state = olrs.with_schedule(tx.init(PARAMS), olrs.Constant(value=9.0), path="1")
    assert isinstance(state[1].schedule, olrs.Constant) and isinstance(state[10].schedule, olrs.WSD)


def test_a_nan_gradient_leaves_the_state_alone():
    tx = olrs.scale_by_live_schedule(LR)
    _, state = tx.update(jax.tree.map(lambda p: p * jnp.nan, PARAMS), tx.init(PARAMS))
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(state)) and int(state.count) == 1


def test_differentiable_through_training():
    """The derivative of a final loss with respect to the peak, through the state."""

    def final_loss(peak):
        tx = olrs.scale_by_live_schedule(olrs.Cosine(peak=1.0, total_steps=5))
        state = olrs.with_schedule(tx.init(jnp.float32(1.0)), olrs.Cosine(peak=peak, total_steps=5))

        def step(carry, _):
            w, s = carry
            u, s = tx.update(2 * w, s)
            return (w + u, s), None

        (w, _), _ = jax.lax.scan(step, (jnp.float32(1.0), state), length=5)
        return w**2

    slope = (final_loss(0.1 + 1e-3) - final_loss(0.1 - 1e-3)) / 2e-3
    np.testing.assert_allclose(jax.jit(jax.grad(final_loss))(0.1), slope, rtol=1e-3)
