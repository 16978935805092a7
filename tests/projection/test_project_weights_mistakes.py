"""Arguments of project_weights that are refused, and faulty projections that the rules detect."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optax_lrs as olrs
from oracles import projection as ref

W = np.array([[0.5, -1, 2], [1.5, 0.25, -0.75]])  # ||W|| = 2.85043856275
TREE = {"h": {"kernel": jnp.asarray(W, jnp.bfloat16).astype(jnp.float32), "bias": jnp.ones(3)}}


def trained(tx):
    """Returns the parameters after three updates of ones."""
    params, state = TREE, tx.init(TREE)
    for _ in range(3):
        updates, state = tx.update(jax.tree.map(jnp.ones_like, TREE), state, params)
        params = optax.apply_updates(params, updates)
    return params


def holds_the_norm(tx):
    params = trained(tx)
    np.testing.assert_allclose(ref.norm(params["h"]["kernel"]), ref.norm(TREE["h"]["kernel"]), rtol=1e-6)


def leaves_biases_alone(tx):
    params = trained(tx)
    np.testing.assert_array_equal(params["h"]["bias"], 4.0)


def measures_in_float32(tx):
    params = jax.tree.map(lambda p: p.astype(jnp.bfloat16), TREE)
    (radius,) = tx.init(params).radii
    assert radius.dtype == jnp.float32
    np.testing.assert_allclose(radius, ref.norm(params["h"]["kernel"].astype(jnp.float32)), rtol=1e-6)


def wrong(*, before=False, biases=False, dtype=jnp.float32):
    """Normalize-and-Project with a mistake."""
    norm = lambda w: jnp.sqrt(jnp.sum(w.astype(dtype) ** 2))  # noqa: E731
    is_projected = lambda path: biases or path[-1].key == "kernel"  # noqa: E731

    def init(params):
        leaves = jax.tree_util.tree_leaves_with_path(params)
        radii = [norm(w) for path, w in leaves if is_projected(path)]
        return olrs.projection.ProjectWeightsState(
            None, jnp.stack(radii[-1:] if not biases else radii), None, None, None
        )

    def update(updates, state, params=None, **extra):
        def led(path, u, p):
            if not is_projected(path):
                return u
            radius = state.radii[0 if biases and path[-1].key == "bias" else -1]
            return radius / norm(p) * p + u - p if before else radius / norm(p + u) * (p + u) - p

        return jax.tree_util.tree_map_with_path(led, updates, params), state

    return optax.GradientTransformationExtraArgs(init, update)


RULES = [holds_the_norm, leaves_biases_alone, measures_in_float32]
BROKEN = [
    (dict(before=True), holds_the_norm),  # projects, then adds the update
    (dict(biases=True), leaves_biases_alone),
    (dict(dtype=jnp.bfloat16), measures_in_float32),
    (dict(dtype=jnp.bfloat16), holds_the_norm),
]


@pytest.mark.parametrize("rule", RULES)
def test_rules(rule):
    rule(olrs.project_weights())
    rule(wrong())  # with no mistake in it


@pytest.mark.parametrize(("mistake", "rule"), BROKEN)
def test_the_rules_catch(mistake, rule):
    with pytest.raises(AssertionError):
        rule(wrong(**mistake))


# ── mistakes ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(weights=[3]), "a pattern must be a str, got 3"),
        (dict(weights="("), "is not a regular expression"),
        (dict(weights=3), "weights must be a pattern or a sequence of patterns, got 3"),
        (dict(separate="0"), "separate['.*'] must be an int, got '0'"),
        (dict(separate=True), "separate['.*'] must be an int, got True"),
        (dict(separate=olrs.projection.Heads(0, 0)), "separate['.*'].count must be at least 1, got 0"),
        (dict(radius=0.0), "radius must be above 0, got 0.0"),
        (dict(radius="sqrt"), "radius must be a number"),
        (dict(radius=olrs.Constant(value=1.0)), "pass schedule="),
        (dict(schedule=1.0), "schedule must be callable"),
        (dict(mode="lazy"), "mode must be one of 'exact', 'deferred', 'manual', got 'lazy'"),
        (dict(every_steps=0), "every_steps must be at least 1"),
        (dict(every_steps=2, mode="deferred"), "every_steps needs mode='exact'"),
        (dict(specs="fsdp"), "specs must hold"),
    ],
)
def test_mistakes_when_built(options, message):
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):
        olrs.project_weights(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(), "no parameter of rank 2"),
        (dict(weights=lambda path, leaf: False), "no parameter is chosen"),
        (dict(weights="w"), "'w' matches no path; the paths are bias, count, head/kernel"),
        (dict(weights="count"), "has the type int32"),
        (dict(weights="scalar"), "is a scalar"),
        (dict(weights="head/.*", without="tail"), "'tail' matches no path"),
        (dict(weights="head/.*", separate={"tail": 0}), "'tail' matches no path"),
        (dict(weights="head/.*", separate=2), "separate has the axis 2, but head/kernel has the shape (2, 3)"),
        (
            dict(weights="head/.*", separate=olrs.projection.Heads(-1, 2)),
            "must divide the axis, but head/kernel has the shape (2, 3)",
        ),
        (dict(weights="head/.*", radius={"tail": 1.0}), "'tail' matches no path"),
        (dict(weights="head/.*", joint=["bias", "scale"], separate={"scale": 0}), "are joint, but have"),
    ],
)
def test_mistakes_when_initialized(options, message):
    params = {
        "head": {"kernel": jnp.ones((2, 3))},
        "bias": jnp.ones(2),
        "scale": jnp.ones(2),
        "count": jnp.ones(2, jnp.int32),
        "scalar": jnp.ones(()),
    }
    with pytest.raises(ValueError, match=re.escape(message)):
        olrs.project_weights(**options).init(params)


def test_mistakes_when_used():
    projection = olrs.project_weights()
    params = {"w": jnp.ones((2, 2))}
    state = projection.init(params)
    with pytest.raises(ValueError, match="update needs the parameters"):
        projection.update(params, state)
    with pytest.raises(ValueError, match="holds no ProjectWeightsState"):
        projection.project(params, optax.adam(0.1).init(params))
    with pytest.raises(ValueError, match="holds 2 ProjectWeightsState"):
        projection.project(params, (state, state))
