"""Rates for groups of parameters: matching, freezing and reading."""

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import optax_lrs as olrs
from matrices import transform_rules as rules

LR = olrs.WSD(peak=0.1, total_steps=100, warmup_steps=3, decay_steps=20)


def test_equals_an_optimizer_for_each_group():
    """Compares with optax.partition and one adamw per group, each with its own schedule."""
    params = {"a": jnp.ones(3), "b": jnp.full(2, 2.0), "c": jnp.ones(1)}
    share = olrs.Linear(peak=1.0, total_steps=5)
    inner = optax.chain(optax.scale_by_adam(), optax.add_decayed_weights(0.1))
    ours = olrs.with_rates_by_path(inner, LR, {"a": 0.25, "b": share})
    theirs = optax.partition(
        {
            "a": optax.adamw(olrs.scaled(LR, factor=0.25), weight_decay=0.1),
            "c": optax.adamw(LR, weight_decay=0.1),
            "b": optax.adamw(olrs.product(LR, share), weight_decay=0.1),
        },
        {"a": "a", "b": "b", "c": "c"},
    )
    mine, other, states = params, params, [ours.init(params), theirs.init(params)]
    for step in range(6):
        grads = jax.tree.map(lambda p, step=step: p * 0.3 + step, params)
        updates, states[0] = ours.update(grads, states[0], mine)
        mine = optax.apply_updates(mine, updates)
        updates, states[1] = theirs.update(grads, states[1], other)
        other = optax.apply_updates(other, updates)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), mine, other)
    rates = olrs.learning_rates(states[0])
    expected = {"a": 0.25 * LR.at(5), "b": LR.at(5) * share.at(5), "others": LR.at(5)}
    assert rates.keys() == expected.keys()
    for label, rate in expected.items():
        np.testing.assert_allclose(rates[label], rate, rtol=1e-6)


def test_a_factor_of_one_changes_no_bit():
    params, grads = rules.params(), rules.grads()
    plain = optax.chain(optax.scale_by_adam(), olrs.scale_by_live_schedule(LR))
    ours = olrs.with_rates_by_path(optax.scale_by_adam(), LR, {})
    states = [plain.init(params), ours.init(params)]
    for _ in range(3):
        a, states[0] = plain.update(grads, states[0], params)
        b, states[1] = ours.update(grads, states[1], params)
        jax.tree.map(np.testing.assert_array_equal, a, b)


def test_what_is_frozen_has_no_state_and_no_update():
    params = {"body": jnp.ones((1000, 100)), "head": jnp.ones(3)}
    tx = olrs.with_rates_by_path(optax.scale_by_adam(), LR, {"body": 0.0})
    state = tx.init(params)
    assert sum(leaf.size for leaf in jax.tree.leaves(state)) < 20
    grads = jax.tree.map(lambda p: p.at[0].set(jnp.nan), params)  # a frozen gradient may be anything
    updates, state = jax.jit(tx.update)(grads | {"head": jnp.ones(3)}, state, params)
    np.testing.assert_array_equal(updates["body"], 0.0)
    assert "body" not in olrs.learning_rates(state)


def test_the_global_norm_is_taken_over_all_groups():
    params = {"a": jnp.full(1, 3.0), "b": jnp.full(1, 4.0)}
    tx = olrs.with_rates_by_path(optax.clip_by_global_norm(1.0), olrs.Constant(value=1.0), {"a": 2.0})
    updates, _ = tx.update(params, tx.init(params), params)
    np.testing.assert_allclose([updates["a"][0], updates["b"][0]], [-1.2, -0.8], rtol=1e-6)


def test_the_first_pattern_counts_and_matches_the_whole_path():
    params = {"layers": [{"w": jnp.ones(1)} for _ in range(11)], "head": {"w": jnp.ones(1)}}
    tx = olrs.with_rates_by_path(optax.identity(), olrs.Constant(value=1.0), {"layers/1/.*": 2.0, "layers/.*": 3.0})
    updates, _ = tx.update(params, tx.init(params), params)
    assert [-float(layer["w"][0]) for layer in updates["layers"]] == [3.0, 2.0] + 9 * [3.0]
    assert float(updates["head"]["w"][0]) == -1.0


def test_with_schedule_keeps_the_factors():
    params = {"a": jnp.ones(1), "b": jnp.ones(1)}
    tx = olrs.with_rates_by_path(optax.identity(), olrs.Constant(value=1.0), {"a": 0.5})
    update = jax.jit(tx.update)
    state = olrs.with_schedule(tx.init(params), olrs.Constant(value=8.0))
    updates, state = update(params, state, params)
    assert float(updates["a"][0]) == -4.0 and float(updates["b"][0]) == -8.0
    assert {path: float(rate) for path, rate in olrs.learning_rates(state).items()} == {
        "a": 4.0,
        "others": 8.0,
    }


def test_paths_of_linen_and_nnx():
    module = flax.linen.Dense(2)
    params = module.init(jax.random.key(0), jnp.ones((1, 3)))
    tx = olrs.with_rates_by_path(optax.scale_by_adam(), LR, {"params/kernel": 0.1, "params/bias": 0.0})
    tx.update(params, tx.init(params), params)

    model = nnx.Sequential(nnx.Linear(2, 3, rngs=nnx.Rngs(0)), nnx.Linear(3, 2, rngs=nnx.Rngs(0)))
    factors = {"layers/0/kernel": 0.0, ".*/bias": 0.5}
    optimizer = nnx.Optimizer(
        model, olrs.with_rates_by_path(optax.scale_by_adam(), olrs.Constant(value=0.1), factors), wrt=nnx.Param
    )
    before = jax.tree.map(np.array, nnx.to_pure_dict(nnx.state(model, nnx.Param)))

    @nnx.jit
    def step(model, optimizer):
        optimizer.update(model, nnx.grad(lambda m: jnp.sum(m(jnp.ones((1, 2))) ** 2))(model))

    for _ in range(2):
        step(model, optimizer)
    after = nnx.to_pure_dict(nnx.state(model, nnx.Param))
    np.testing.assert_array_equal(before["layers"][0]["kernel"], after["layers"][0]["kernel"])
    assert np.all(before["layers"][1]["kernel"] != np.asarray(after["layers"][1]["kernel"]))
    rates = olrs.learning_rates(optimizer)
    assert sorted(map(float, rates.values())) == pytest.approx([0.05, 0.1])


def test_layerwise_decay():
    params = {
        "embed": {"w": jnp.ones(1)},
        "layers": [{"w": jnp.ones(1)} for _ in range(12)],
        "head": {"w": jnp.ones(1)},
    }
    factors = olrs.layerwise_decay(["embed/.*", *(f"layers/{i}/.*" for i in range(12)), "head/.*"], factor=0.75)
    tx = olrs.with_rates_by_path(optax.identity(), olrs.Constant(value=1.0), factors)
    updates, _ = tx.update(params, tx.init(params), params)
    assert float(updates["embed"]["w"][0]) == pytest.approx(-(0.75**13), rel=1e-6)
    assert float(updates["layers"][11]["w"][0]) == pytest.approx(-0.75, rel=1e-6)
    assert float(updates["head"]["w"][0]) == -1.0


ADAM, ONE = optax.scale_by_adam(), olrs.Constant(value=1.0)
MISTAKES = [
    (lambda: olrs.with_rates_by_path(ADAM, 0.1, {}), TypeError, "schedule must be a Schedule"),
    (lambda: olrs.with_rates_by_path(ADAM, ONE, {"a": -1.0}), ValueError, "factors['a'] must be at least 0, got -1.0"),
    (
        lambda: olrs.with_rates_by_path(ADAM, ONE, {"a": float("nan")}),
        ValueError,
        "factors['a'] must be at least 0, got nan",
    ),
    (lambda: olrs.with_rates_by_path(ADAM, ONE, {"a": "0.1"}), TypeError, "factors['a'] must be a number, got '0.1'"),
    (lambda: olrs.with_rates_by_path(ADAM, ONE, {"a": True}), TypeError, "factors['a'] must be a number, got True"),
    (lambda: olrs.with_rates_by_path(ADAM, ONE, [("a", 1.0)]), TypeError, "factors must be a Mapping, such as"),
    (lambda: olrs.with_rates_by_path(ADAM, ONE, {"a(": 1.0}), ValueError, "'a(' is not a regular expression"),
    (lambda: olrs.with_rates_by_path(ADAM, ONE, {1: 1.0}), TypeError, "a pattern must be a str, got 1"),
    (
        lambda: olrs.with_rates_by_path(ADAM, ONE, {"others": 1.0}),
        ValueError,
        "'others' is the name of unmatched parameters",
    ),
    (
        lambda: olrs.with_rates_by_path(ADAM, ONE, {"kernel": 1.0}).init(rules.params()),
        ValueError,
        "the pattern 'kernel' matches no path; the paths are layer/bias, layer/kernel",
    ),
    (
        lambda: olrs.with_rates_by_path(ADAM, ONE, {".*": 1.0, "layer/bias": 0.0}).init(rules.params()),
        ValueError,
        "the pattern 'layer/bias' is preceded by others",
    ),
    (lambda: olrs.layerwise_decay("abc", factor=0.5), TypeError, "patterns must be a sequence"),
    (lambda: olrs.layerwise_decay(["a", "a"], factor=0.5), ValueError, "patterns must differ"),
    (lambda: olrs.layerwise_decay(["a", "b"], factor=0.0), ValueError, "factor must be above 0, got 0.0"),
    (lambda: olrs.layerwise_decay(["a", "b"], factor="x"), TypeError, "factor must be a number, got 'x'"),
]


@pytest.mark.parametrize(("build", "error", "message"), MISTAKES, ids=lambda x: x if isinstance(x, str) else "")
def test_mistakes(build, error, message):
    with pytest.raises(error) as caught:
        build()
    assert message in str(caught.value)
