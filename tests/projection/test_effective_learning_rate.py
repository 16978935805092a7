"""Effective learning rates: computed, recorded, and applied with and without a projection."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optax_lrs as olrs
from oracles import projection as ref

PARAMS = {
    "hidden": {"kernel": jnp.array([[6.0, 1.0], [2.0, 7.0]]), "bias": jnp.ones(2)},
    "head": {"kernel": jnp.ones((2, 2))},
}


@pytest.mark.parametrize("power", [1, 2])
def test_effective_learning_rate(power):
    found = olrs.projection.effective_learning_rate(PARAMS, 0.3, power=power)
    assert list(found) == ["hidden/kernel"] and found["hidden/kernel"].dtype == jnp.float32
    expected = ref.effective_rate(0.3, np.asarray(PARAMS["hidden"]["kernel"]), power)
    np.testing.assert_allclose(found["hidden/kernel"], expected, rtol=2e-7)
    rows = olrs.projection.effective_learning_rate(PARAMS, 0.3, power=power, separate=0)["hidden/kernel"]
    expected = [ref.effective_rate(0.3, row, power) for row in np.asarray(PARAMS["hidden"]["kernel"])]
    np.testing.assert_allclose(rows, expected, rtol=2e-7)


def test_the_recorder_passes_updates_to_the_last_bit_and_keeps_the_rates():
    schedule = olrs.Linear(peak=0.5, total_steps=4)
    recorder = olrs.projection.record_effective_learning_rate(schedule, power=2)
    tx = optax.chain(optax.sgd(schedule), recorder)
    plain = optax.sgd(schedule)
    params, state, other = PARAMS, tx.init(PARAMS), plain.init(PARAMS)
    for step in range(3):
        grads = jax.tree.map(lambda p, step=step: 0.1 * p + step, params)
        expected, other = plain.update(grads, other, params)
        updates, state = tx.update(grads, state, params)
        jax.tree.map(np.testing.assert_array_equal, updates, expected)
        rate = recorder.rates(params, state)["hidden/kernel"]
        np.testing.assert_allclose(
            rate, ref.effective_rate(schedule.at(step), params["hidden"]["kernel"], 2), rtol=3e-7
        )
        params = optax.apply_updates(params, updates)


def test_golden_multipliers():
    """A weight of norm 9.48683298051 that began with 5; computed independently in float64."""
    for power, expected in [(2, 3.6), (1, 1.89736659610)]:
        tx = olrs.projection.scale_by_weight_norm(power=power, radius=5.0)
        updates, _ = tx.update(jax.tree.map(jnp.ones_like, PARAMS), tx.init(PARAMS), PARAMS)
        np.testing.assert_allclose(updates["hidden"]["kernel"], expected, rtol=2e-7)
        np.testing.assert_array_equal(updates["hidden"]["bias"], 1.0)


# ── the equivalence ───────────────────────────────────────────────────────────────────────────


def golden_problem():
    rng = np.random.RandomState(0)
    return rng.randn(20, 4), rng.randn(20), np.array([1, -0.5, 0.3, 2])


@pytest.mark.parametrize("c", [1, 2, 10])
def test_golden_direction(c):
    """A step of rate eta c^2 at c theta turns the weights as much as one of rate eta at theta."""
    x, y, theta = golden_problem()
    _, slope = ref.invariant_loss(c * theta, x, y)
    moved = c * theta - 0.05 * c**2 * slope
    golden = [0.426452995209, -0.219178759541, 0.132298302018, 0.867522722196]
    np.testing.assert_allclose(moved / ref.norm(moved), golden, rtol=1e-11)


def test_golden_growth():
    """50 steps of SGD at 0.5: the norm grows 1.0704 times, by Pythagoras; directions are equal."""
    x, y, theta = golden_problem()
    free, held, radius, grown = theta, theta, ref.norm(theta), 0.0
    for _ in range(50):
        _, slope = ref.invariant_loss(free, x, y)
        _, at_held = ref.invariant_loss(held, x, y)
        held = ref.project(held - 0.5 * (radius / ref.norm(free)) ** 2 * at_held, radius)
        free, grown = free - 0.5 * slope, grown + 0.25 * slope @ slope
    np.testing.assert_allclose(free / ref.norm(free), held / radius, rtol=1e-13)
    np.testing.assert_allclose(ref.norm(free) / radius, 1.0704, rtol=5e-5)
    np.testing.assert_allclose(ref.norm(free) ** 2, radius**2 + grown, rtol=1e-13)


def two_layers():
    """A loss that is invariant to the norms of two layers, which grow at different speeds."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(32, 6)), rng.normal(size=(32, 2))
    params = {"first": jnp.asarray(0.2 * rng.normal(size=(6, 5))), "second": jnp.asarray(rng.normal(size=(5, 2)))}

    def loss(params):
        u, v = (w / jnp.sqrt(jnp.sum(w * w)) for w in (params["first"], params["second"]))
        return jnp.mean((jnp.tanh(3 * x @ u) @ v * 2 - y) ** 2)

    return loss, params


def train(tx, loss, params, steps, state=None):
    def step(carry, _):
        params, state = carry
        updates, state = tx.update(jax.grad(loss)(params), state, params)
        return (optax.apply_updates(params, updates), state), None

    carry = (params, tx.init(params) if state is None else state)
    return jax.jit(lambda carry: jax.lax.scan(step, carry, length=steps)[0])(carry)[0]


def directions(params):
    return {name: np.asarray(w) / ref.norm(w) for name, w in params.items()}


SCHEDULE = olrs.Cosine(peak=0.5, total_steps=1_000, end=0.05)
OPTIMIZERS = {
    "SGD": (functools.partial(optax.sgd, SCHEDULE), (), 2),
    "SGD, both sides": (functools.partial(optax.sgd, SCHEDULE), (1,), 1),
    "momentum": (functools.partial(optax.sgd, SCHEDULE, momentum=0.9), (1,), 1),
    "Adam": (lambda: optax.adam(olrs.Cosine(peak=0.05, total_steps=1_000), eps=1e-30), (1,), 1),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_unprojected_with_rates_per_layer_is_projected(name):
    """Equal directions to 1e-12 after 1,000 steps in float64.

    SGD is scaled as in the paper, other optimizers on both sides.
    """
    make, before, after = OPTIMIZERS[name]
    with jax.enable_x64(True):
        loss, params = two_layers()
        projection = olrs.project_weights("first|second")
        params = projection.project(params, projection.init(params))  # at the very radius, which is float32
        held = train(optax.chain(make(), projection), loss, params, 1_000)
        scale = functools.partial(olrs.projection.scale_by_weight_norm, weights="first|second")
        tx = optax.chain(*(scale(power=p) for p in before), make(), scale(power=after))
        free = train(tx, loss, params, 1_000)
        alone = train(make(), loss, params, 1_000)
        growth = {name: ref.norm(free[name]) / ref.norm(held[name]) for name in free}
        ours, theirs, neither = directions(free), directions(held), directions(alone)
        for layer in ours:
            assert np.abs(ours[layer] - theirs[layer]).max() < 1e-12
            np.testing.assert_allclose(ref.norm(held[layer]), ref.norm(params[layer]), rtol=1e-7)
    assert max(abs(each - 1) for each in growth.values()) > 0.05  # there was something to undo
    assert max(np.abs(neither[layer] - theirs[layer]).max() for layer in ours) > 1e-6  # and it makes a difference


def test_the_papers_rule_the_other_way():
    """Unprojected SGD is projected SGD with rates eta (rho / ||W||)^2 per layer, not one rate."""
    steps = 1_000
    with jax.enable_x64(True):
        loss, params = two_layers()
        free, radii = params, {name: jnp.sqrt(jnp.sum(w * w)) for name, w in params.items()}
        size = lambda w: jnp.sqrt(jnp.sum(w * w))  # noqa: E731

        def step(carry, _):
            free, held, one = carry
            shrunk = {name: (radii[name] / size(w)) ** 2 for name, w in free.items()}
            whole = (jnp.hypot(*radii.values()) / jnp.hypot(*map(size, free.values()))) ** 2
            held = {n: held[n] - 0.5 * shrunk[n] * g for n, g in jax.grad(loss)(held).items()}
            one = {n: one[n] - 0.5 * whole * g for n, g in jax.grad(loss)(one).items()}
            held, one = ({n: w * radii[n] / size(w) for n, w in tree.items()} for tree in (held, one))
            return (jax.tree.map(lambda w, g: w - 0.5 * g, free, jax.grad(loss)(free)), held, one), None

        free, held, one = jax.lax.scan(step, (free, params, params), length=steps)[0]
        free, held, one = directions(free), directions(held), directions(one)
    for layer in free:
        assert np.abs(free[layer] - held[layer]).max() < 1e-12
    assert max(np.abs(free[layer] - one[layer]).max() for layer in free) > 1e-6


@pytest.mark.slow
def test_under_a_projection_the_effective_rate_is_the_schedule():
    with jax.enable_x64(True):
        loss, params = two_layers()
        schedule = olrs.Cosine(peak=0.05, total_steps=100, end=0.005)
        recorder = olrs.projection.record_effective_learning_rate(schedule, power=2, weights="first|second")
        projection = olrs.project_weights("first|second", radius=2.0, mode="deferred")
        tx = optax.chain(optax.sgd(schedule), recorder, projection)
        state, rates = tx.init(params), []
        for _ in range(3):
            updates, state = tx.update(jax.grad(loss)(params), state, params)
            params = optax.apply_updates(params, updates)
            rates.append(recorder.rates(params, state)["first"])
    np.testing.assert_allclose(rates[1:], schedule.at([1, 2]) / 4, rtol=0.01)  # one update's growth
    assert not np.isclose(rates[0], 0.05 / 4, rtol=0.05)  # before the first projection


# ── guards and mistakes ───────────────────────────────────────────────────────────────────────


def test_weights_without_a_norm_keep_their_update():
    params = {"a": jnp.zeros((2, 2)), "c": jnp.full((2, 2), jnp.inf), "d": jnp.ones((2, 2))}
    tx = olrs.projection.scale_by_weight_norm(power=2, radius=1.0)
    updates, state = tx.update(jax.tree.map(jnp.ones_like, params), tx.init(params), params)
    np.testing.assert_array_equal(updates["a"], 1.0)
    np.testing.assert_array_equal(updates["c"], 1.0)
    np.testing.assert_array_equal(updates["d"], 4.0)
    back = tx.remeasure(params, state)
    np.testing.assert_array_equal(back.radii, [1.0, 1.0, 1.0])  # given as a number
    tx = olrs.projection.scale_by_weight_norm(power=2)
    state = tx.remeasure({"d": jnp.full((2, 2), 3.0)}, tx.init({"d": jnp.ones((2, 2))}))
    np.testing.assert_array_equal(state.radii, [6.0])


def test_infinite_rates_are_told():
    rates = olrs.projection.effective_learning_rate({"a": jnp.zeros((2, 2))}, 0.1, power=1)
    assert np.isinf(rates["a"])


def test_decay_to_init():
    params = {"n": {"scale": jnp.ones(3), "bias": jnp.zeros(3)}, "w": jnp.ones(3), "bias": jnp.ones(3)}
    tx = optax.chain(optax.sgd(0.1), olrs.decay_to_init(olrs.Constant(value=0.25)))
    state = tx.init(params)
    mine = jax.tree.map(lambda p: p + 2.0, params)
    for _ in range(3):
        updates, state = tx.update(jax.tree.map(jnp.zeros_like, mine), state, mine)
        mine = optax.apply_updates(mine, updates)
    np.testing.assert_allclose(mine["n"]["scale"], 1 + 2 * 0.75**3, rtol=1e-6)
    np.testing.assert_allclose(mine["n"]["bias"], 2 * 0.75**3, rtol=1e-6)
    np.testing.assert_array_equal(mine["w"], 3.0)
    np.testing.assert_array_equal(mine["bias"], 3.0)  # no scale next to it: the bias of a layer
    with pytest.raises(ValueError, match="no parameter is named scale"):
        olrs.decay_to_init(olrs.Constant(value=0.1)).init({"w": jnp.ones(3)})
    with pytest.raises(ValueError, match="matches no path"):
        olrs.decay_to_init(olrs.Constant(value=0.1), "x").init(params)
    with pytest.raises(TypeError, match="decay_to_init: schedule must be callable"):
        olrs.decay_to_init(0.1)
    with pytest.raises(ValueError, match="needs the parameters"):
        tx.update(mine, state)


@pytest.mark.parametrize("power", [0, 3, True, 1.5, "SGD"])
def test_mistakes_in_the_power(power):
    for make in (
        lambda: olrs.projection.effective_learning_rate(PARAMS, 0.1, power=power),
        lambda: olrs.projection.record_effective_learning_rate(olrs.Constant(value=0.1), power=power),
        lambda: olrs.projection.scale_by_weight_norm(power=power),
    ):
        whole = isinstance(power, int) and not isinstance(power, bool)
        rule = "power must be at least 1 and at most 2" if whole else "power must be an int"
        with pytest.raises(ValueError if whole else TypeError, match=rule):
            make()


def test_mistakes():
    with pytest.raises(TypeError, match="record_effective_learning_rate: schedule must be callable"):
        olrs.projection.record_effective_learning_rate(0.1, power=1)
    recorder = olrs.projection.record_effective_learning_rate(olrs.Constant(value=0.1), power=1)
    with pytest.raises(ValueError, match="needs the parameters"):
        recorder.update(PARAMS, recorder.init(PARAMS))
    with pytest.raises(ValueError, match="holds no EffectiveLearningRateState"):
        recorder.rates(PARAMS, optax.adam(0.1).init(PARAMS))
    scale = olrs.projection.scale_by_weight_norm(power=1)
    with pytest.raises(ValueError, match="needs the parameters"):
        scale.update(PARAMS, scale.init(PARAMS))
