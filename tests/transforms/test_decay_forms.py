"""The forms of weight decay against float64: coupled, AdamC, cautious, by path; and AdamH."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optax_lrs as olrs
from matrices import transform_rules as rules
from matrices.transform_rules import Case

LR = olrs.Cosine(peak=1e-3, total_steps=20, warmup_steps=4)
DECAY = olrs.Tabulated(lrs=[0.0, 0.02, 0.3], steps=[0, 5, 10])
NO_DECAY = {".*/bias": 0.0, ".*/kernel": 0.5}


def adamc(learning_rate, weight_decay):
    """The factory in the docstring of decay_weights."""
    decay = olrs.decay_weights(weight_decay, before_rate=True, factors=NO_DECAY, cautious=True)
    return optax.chain(optax.scale_by_adam(), decay, optax.scale_by_learning_rate(learning_rate))


CASES = [
    Case("decay_weights(factors)", lambda: olrs.decay_weights(DECAY, factors=NO_DECAY)),
    Case("decay_weights(cautious)", lambda: olrs.decay_weights(DECAY, cautious=True)),
    Case(
        "decay_weights(before_rate)", lambda: optax.chain(olrs.decay_weights(DECAY, before_rate=True), optax.sgd(0.1))
    ),
    Case("adamc", lambda: olrs.with_hyperparams(adamc, learning_rate=LR, weight_decay=olrs.Coupled(value=0.1))),
]


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_rule(case, rule):
    rule(case)


FORMS = {
    "AdamW": (0.1, lambda eta: 0.1 * eta),
    "AdamC": (olrs.Coupled(value=0.1), lambda eta: 0.1 * eta**2 / 1e-3),
    "AdamC, another peak": (olrs.Coupled(value=0.1, peak=2e-3), lambda eta: 0.1 * eta**2 / 2e-3),
}


@pytest.mark.parametrize("form", FORMS)
def test_share_that_the_weights_lose(form):
    """With zero gradients only the decay moves the weights, also after the rate is replaced."""
    decay, share = FORMS[form]
    tx = olrs.with_hyperparams(optax.adamw, learning_rate=LR, weight_decay=decay)
    update = jax.jit(tx.update)
    params, state = jnp.ones(3), tx.init(jnp.ones(3))
    rate = LR
    for step in range(20):
        if step == 10:
            rate = LR.replace(peak=5e-4)
            state = olrs.with_schedule(state, rate, path="learning_rate")
        updates, state = update(jnp.zeros(3), state, params)
        np.testing.assert_allclose(-np.asarray(updates), share(rate.at(step)), rtol=1e-6)
    assert update._cache_size() == 1


def test_adamc_keeps_the_ratio_of_update_and_weight():
    """At equilibrium |u| / |w| is the square root of 2 lambda / eta_max, at every rate."""
    for eta in (1e-3, 5e-4, 1e-4):
        decay = 0.1 * eta / 1e-3
        norm = eta / np.sqrt(1 - (1 - eta * decay) ** 2)
        np.testing.assert_allclose(1 / norm, 14.1421356237, rtol=1e-4)


def test_a_decay_before_the_rate_follows_what_scales_the_updates():
    """Adam's chain with a group at a tenth of the rate: it decays by a tenth, too."""
    inner = optax.chain(optax.scale_by_adam(), olrs.decay_weights(olrs.Constant(value=0.1), before_rate=True))
    tx = olrs.with_rates_by_path(inner, LR, {"a": 0.1})
    params = {"a": jnp.ones(1), "b": jnp.ones(1)}
    state = tx.init(params)
    for step in range(3):
        updates, state = tx.update(jax.tree.map(jnp.zeros_like, params), state, params)
        np.testing.assert_allclose(
            [-updates["a"][0], -updates["b"][0]], 0.1 * LR.at(step) * np.array([0.1, 1]), rtol=1e-6
        )


def test_cautious_decay_by_hand():
    """Section 6.2 of the methods: w (1, -2, .5), u (.3, .4, -.1), rate .1, decay .5."""
    w, u = jnp.array([1.0, -2.0, 0.5]), jnp.array([0.3, 0.4, -0.1])
    before = optax.chain(olrs.decay_weights(0.5, before_rate=True, cautious=True), optax.scale(-0.1))
    after = optax.chain(optax.scale(-0.1), olrs.decay_weights(olrs.Constant(value=0.05), cautious=True))
    for tx in (before, after):
        updates, _ = tx.update(u, tx.init(w), w)
        np.testing.assert_allclose(w + updates, [0.92, -2.04, 0.51], rtol=1e-6)
    plain = optax.chain(olrs.decay_weights(0.5, before_rate=True), optax.scale(-0.1))
    updates, _ = plain.update(u, plain.init(w), w)
    np.testing.assert_allclose(w + updates, [0.92, -1.94, 0.485], rtol=1e-6)


def test_cautious_decay_of_tiny_numbers_and_of_zero():
    tx = olrs.decay_weights(0.5, before_rate=True, cautious=True)
    w, u = jnp.array([1e-30, -1e-30, 1.0]), jnp.array([1e-30, 1e-30, 0.0])
    updates, _ = tx.update(u, tx.init(w), w)
    np.testing.assert_allclose(updates, [1.5e-30, 1e-30, 0.5], rtol=1e-6)


def test_multipliers_by_path():
    params = {"layer": {"kernel": jnp.ones(2), "bias": jnp.ones(2)}, "head": jnp.ones(2)}
    tx = olrs.decay_weights(DECAY, factors=NO_DECAY)
    state = tx.init(params)
    for step in range(12):
        updates, state = tx.update(jax.tree.map(jnp.zeros_like, params), state, params)
        np.testing.assert_array_equal(updates["layer"]["bias"], 0.0)
        np.testing.assert_allclose(-updates["layer"]["kernel"], 0.5 * DECAY.at(step), rtol=1e-6)
        np.testing.assert_allclose(-updates["head"], DECAY.at(step), rtol=1e-6)
        np.testing.assert_allclose(state.weight_decay, DECAY.at(step), rtol=1e-6)


def test_the_decay_is_replaced_in_a_running_job():
    tx = optax.chain(optax.scale_by_adam(), olrs.scale_by_live_schedule(LR), olrs.decay_weights(DECAY))
    params = jnp.ones(2)
    update, state = jax.jit(tx.update), tx.init(params)
    _, state = update(params, state, params)
    state = olrs.with_schedule(state, LR.replace(peak=2e-3))  # the rate, without a path: the decay stays
    state = olrs.with_schedule(state, DECAY.replace(lrs=[0.5, 0.5, 0.5]), path="2/schedule")
    _, state = update(params, state, params)
    np.testing.assert_allclose(
        [state[1].learning_rate, state[2].weight_decay], [LR.replace(peak=2e-3).at(1), 0.5], rtol=1e-6
    )
    assert update._cache_size() == 1


def test_schedules_of_groups_are_replaced():
    tx = olrs.with_rates_by_path(optax.identity(), LR, {"a": olrs.Constant(value=0.5)})
    params = {"a": jnp.ones(1), "b": jnp.ones(1)}
    update, state = jax.jit(tx.update), tx.init(params)
    _, state = update(params, state, params)
    state = olrs.with_schedule(state, olrs.Constant(value=0.25), path="rates/factors/a")
    _, state = update(params, state, params)
    assert update._cache_size() == 1
    rates = olrs.learning_rates(state)
    np.testing.assert_allclose([rates["a"], rates["others"]], LR.at(1) * np.array([0.25, 1.0]), rtol=1e-6)


MISTAKES = [
    (lambda: olrs.decay_weights(0.1), TypeError, "schedule must be callable"),
    (lambda: olrs.decay_weights(DECAY, factors={"a": -1.0}), ValueError, "the factor of 'a' must be at least 0"),
    (lambda: olrs.decay_weights(DECAY, factors=[("a", 1.0)]), TypeError, "factors must be a"),
    (lambda: olrs.decay_weights(DECAY, factors={"x": 0.0}).init(rules.params()), ValueError, "'x' matches no path"),
]


@pytest.mark.parametrize(("build", "error", "message"), MISTAKES, ids=lambda x: x if isinstance(x, str) else "")
def test_mistakes(build, error, message):
    with pytest.raises(error) as caught:
        build()
    assert message in str(caught.value)


# ── AdamH, or Hyperball: weights stay on a sphere; the rate is the tangent of a step's angle ──


def to_norm_of_weights(u, w):
    """The update with the norm of its weights: of each matrix, where layers are stacked."""
    axes = tuple(range(max(w.ndim - 2, 0), w.ndim))
    norm = lambda x: jnp.sqrt(jnp.sum(jnp.square(x), axis=axes, keepdims=True))  # noqa: E731
    return u * norm(w) / jnp.maximum(norm(u), 1e-10)


def hyperball(schedule, direction, **projection):
    """A direction, scaled to the norm of the weights, times the rate; then back to the sphere."""
    return optax.chain(
        direction,
        optax.stateless_with_tree_map(to_norm_of_weights),
        olrs.scale_by_live_schedule(schedule),
        olrs.project_weights("w", **projection),
    )


BY_HAND = [
    (0.01, (2.96771072592, 4.02401454362)),
    (0.1, (2.64999470002, 4.23999152003)),
    (0.5, (0.620173672946, 4.96138938357)),
]


@pytest.mark.parametrize(("eta", "expected"), BY_HAND)
def test_hyperball_by_hand(eta, expected):
    """Section 6.4 of the methods: weights (3, 4), direction (1, 0)."""
    tx = hyperball(olrs.Constant(value=eta), optax.identity())
    params = {"w": jnp.array([[3.0, 4.0]])}
    updates, _ = tx.update({"w": jnp.array([[1.0, 0.0]])}, tx.init(params), params)
    np.testing.assert_allclose((params["w"] + updates["w"])[0], expected, rtol=2e-6)


def test_adamh_with_stacked_layers_in_numpy():
    """Three layers of 4 x 5, whose norms differ: each keeps its own."""
    tx = hyperball(LR.replace(peak=0.1), optax.scale_by_adam(b1=0.9, b2=0.95), separate=0)
    generator = np.random.default_rng(0)
    start = generator.normal(size=(3, 4, 5)) * np.array([1.0, 3.0, 10.0])[:, None, None]
    norm = lambda x: np.sqrt(np.sum(x**2, axis=(1, 2), keepdims=True))  # noqa: E731
    weights, m, v = start, 0.0, 0.0
    params = {"w": jnp.asarray(start, jnp.float32)}
    update, state = jax.jit(tx.update), tx.init(params)
    for step in range(12):
        gradient = generator.normal(size=start.shape)
        updates, state = update({"w": jnp.asarray(gradient, jnp.float32)}, state, params)
        params = optax.apply_updates(params, updates)
        m, v = 0.9 * m + 0.1 * gradient, 0.95 * v + 0.05 * gradient**2
        u = (m / (1 - 0.9 ** (step + 1))) / (np.sqrt(v / (1 - 0.95 ** (step + 1))) + 1e-8)
        moved = weights - LR.replace(peak=0.1).at(step) * u * norm(weights) / np.maximum(norm(u), 1e-10)
        weights = moved * norm(weights) / norm(moved)
        np.testing.assert_allclose(params["w"], weights, rtol=1e-4, atol=2e-5)
    np.testing.assert_allclose(norm(np.asarray(params["w"], np.float64)), norm(start), rtol=2e-6)
