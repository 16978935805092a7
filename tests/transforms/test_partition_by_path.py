"""An optimizer for each group of parameters, by path: matches, frozen groups, mistakes."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import optax_lrs as olrs

LR = olrs.WSD(peak=0.1, total_steps=100, warmup_steps=3, decay_steps=20)


def adam(peak=0.1, **hyperparams):
    return olrs.with_hyperparams(optax.adamw, learning_rate=LR.replace(peak=peak), **hyperparams)


def params():
    return {"embed": jnp.ones((4, 2)), "layers": [{"w": jnp.ones((2, 2)), "norm": jnp.ones(2)} for _ in range(2)]}


def test_equals_optax_partition_with_optax_schedules():
    """Muon and Adam with their own rates and decays, to the bit."""
    decay = olrs.Cosine(peak=0.1, total_steps=10)
    muon = olrs.with_hyperparams(optax.contrib.muon, learning_rate=LR, weight_decay=decay)
    ours = olrs.partition_by_path(adam=("embed|.*/norm", adam(0.01, weight_decay=decay)), muon=(".*", muon))
    labels = {"embed": "adam", "layers": [{"w": "muon", "norm": "adam"}] * 2}
    theirs = optax.partition(
        {
            "adam": optax.adamw(LR.replace(peak=0.01), weight_decay=decay),
            "muon": optax.contrib.muon(LR, weight_decay=decay),
        },
        labels,
    )
    states, now = [ours.init(params()), theirs.init(params())], [params(), params()]
    for step in range(4):
        for i, tx in enumerate((ours, theirs)):
            grads = jax.tree.map(lambda p, step=step: jnp.sin(step + jnp.arange(p.size)).reshape(p.shape), now[i])
            updates, states[i] = jax.jit(tx.update)(grads, states[i], now[i])
            now[i] = optax.apply_updates(now[i], updates)
    jax.tree.map(np.testing.assert_array_equal, *now)


def test_the_first_match_counts():
    tx = olrs.partition_by_path(a=("layers/1/.*", optax.sgd(1.0)), b=(["layers/.*", "embed"], optax.sgd(2.0)))
    updates, _ = tx.update(params(), tx.init(params()), params())
    assert float(updates["layers"][1]["w"][0, 0]) == -1.0
    assert float(updates["layers"][0]["w"][0, 0]) == float(updates["embed"][0, 0]) == -2.0


def test_a_frozen_group_has_no_state_and_no_update():
    tx = olrs.partition_by_path(frozen=("embed", None), adam=(".*", optax.adam(0.1)))
    state = tx.init(params())
    assert sum(leaf.size for leaf in jax.tree.leaves(state.inner_states["frozen"])) == 0
    assert not any(leaf.shape == (4, 2) for leaf in jax.tree.leaves(state))
    grads = params() | {"embed": jnp.full((4, 2), jnp.nan)}
    updates, _ = jax.jit(tx.update)(grads, state, params())
    np.testing.assert_array_equal(updates["embed"], 0.0)


def test_one_group_gets_another_schedule():
    tx = olrs.partition_by_path(a=("embed", adam(weight_decay=0.1)), b=(".*", adam(weight_decay=0.1)))
    outer = optax.chain(optax.clip_by_global_norm(1.0), tx)
    update = jax.jit(outer.update)
    state = outer.init(params())
    _, state = update(params(), state, params())
    for number, path in enumerate(("a/weight_decay", "1/inner_states/a/inner_state/schedules/weight_decay")):
        state = olrs.with_schedule(state, olrs.Constant(value=0.5 + number), path=path)
        _, state = update(params(), state, params())
        groups = {label: masked.inner_state.hyperparams for label, masked in state[1].inner_states.items()}
        assert float(groups["a"]["weight_decay"]) == 0.5 + number
        assert float(groups["b"]["weight_decay"]) == np.float32(0.1)
        np.testing.assert_allclose(groups["a"]["learning_rate"], LR.at(number + 1), rtol=1e-6)
    assert update._cache_size() == 1
    with pytest.raises(ValueError, match="at 'c/weight_decay'"):
        olrs.with_schedule(state, olrs.Constant(value=0.5), path="c/weight_decay")


def test_paths_of_nnx():
    model = nnx.Sequential(nnx.Linear(2, 3, rngs=nnx.Rngs(0)), nnx.Linear(3, 2, rngs=nnx.Rngs(0)))
    tx = olrs.partition_by_path(frozen=("layers/0/.*", None), adam=(".*", adam()))
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    before = jax.tree.map(np.array, nnx.to_pure_dict(nnx.state(model, nnx.Param)))

    @nnx.jit
    def step(model, optimizer):
        optimizer.update(model, nnx.grad(lambda m: jnp.sum(m(jnp.ones((1, 2))) ** 2))(model))

    for _ in range(2):
        step(model, optimizer)
    after = nnx.to_pure_dict(nnx.state(model, nnx.Param))
    np.testing.assert_array_equal(before["layers"][0]["kernel"], after["layers"][0]["kernel"])
    assert np.all(before["layers"][1]["kernel"] != np.asarray(after["layers"][1]["kernel"]))


SGD = optax.sgd(0.1)
MISTAKES = [
    (lambda: olrs.partition_by_path(), ValueError, "there must be at least one group"),
    (lambda: olrs.partition_by_path(a=SGD), TypeError, "a must be a pair (pattern, optimizer)"),
    (
        lambda: olrs.partition_by_path(a=("x", "y")),
        TypeError,
        "the optimizer of a must be a gradient transformation or None",
    ),
    (lambda: olrs.partition_by_path(a=("x(", SGD)), ValueError, "'x('"),
    (
        lambda: olrs.partition_by_path(a=(3, SGD)),
        TypeError,
        "the pattern of a must be a pattern or a sequence of patterns",
    ),
    (
        lambda: olrs.partition_by_path(a=("x", SGD), b=("x", SGD)),
        ValueError,
        "the pattern 'x' is in two groups, a and b",
    ),
    (
        lambda: olrs.partition_by_path(a=("x", SGD), b=(".*", SGD)).init(params()),
        ValueError,
        "the pattern 'x' matches no path",
    ),
    (
        lambda: olrs.partition_by_path(a=("embed", SGD)).init(params()),
        ValueError,
        "no pattern matches layers/0/norm, layers/0/w, layers/1/norm, layers/1/w; add a group for what is left",
    ),
]


@pytest.mark.parametrize(("build", "error", "message"), MISTAKES, ids=lambda x: x if isinstance(x, str) else "")
def test_mistakes(build, error, message):
    with pytest.raises(error) as caught:
        build()
    assert message in str(caught.value)
