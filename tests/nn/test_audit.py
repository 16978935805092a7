"""The audit finds exactly the scale-invariant leaves of networks where they are known."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optax_lrs import project_weights
from optax_lrs.nn import scale_invariant_leaves

KEY = jax.random.key(0)


def normals(*shapes, seed=0):
    draws = np.random.default_rng(seed)
    return [
        jnp.asarray(draws.normal(size=shape) / np.sqrt(shape[-2] if len(shape) > 1 else 1), jnp.float32)
        for shape in shapes
    ]


def layer_norm(x, epsilon=1e-6):
    return (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + epsilon)


def rms_norm(x):
    return x / jnp.sqrt(jnp.mean(x * x, -1, keepdims=True) + 1e-6)


def verdicts(audit):
    return {leaf.path: leaf.verdict for leaf in audit.leaves}


def invariant(audit):
    return {leaf.path for leaf in audit.leaves if leaf.verdict == "invariant"}


def together(audit):
    return {frozenset(group.exponents) for group in audit.groups}


X = normals((32, 6), seed=9)[0] * np.sqrt(6)


@pytest.mark.slow
def test_a_plain_network_has_no_invariant_leaf_only_exchanges():
    w1, w2, w3 = normals((6, 8), (8, 8), (8, 3))
    params = {"w1": w1, "b1": jnp.zeros(8), "w2": w2, "w3": w3}
    audit = scale_invariant_leaves(
        lambda p, x: jax.nn.relu(jax.nn.relu(x @ p["w1"] + p["b1"]) @ p["w2"]) @ p["w3"], params, X
    )
    assert set(verdicts(audit).values()) == {"no"}
    assert not any(jax.tree.leaves(audit.mask)) and audit.patterns == () and audit.groups == ()
    # ReLU is homogeneous: (w1, b1), w2 and w3 may be exchanged for each other, two symmetries.
    assert len(audit.exchanges) == 2
    exponents = np.array([[e.exponents.get(name, 0) for name in ("w1", "b1", "w2", "w3")] for e in audit.exchanges])
    assert np.all(exponents[:, 0] == exponents[:, 1]) and np.all(exponents[:, 1:].sum(1) == 0)


@pytest.mark.slow
def test_normalized_layers_biases_at_zero_and_leaves_without_a_scale():
    """A kernel and its bias are invariant together; at a zero bias the kernel alone seems so."""
    w1, w2, w3 = normals((6, 8), (8, 8), (8, 3))
    params = {
        "1": {"kernel": w1, "bias": jnp.zeros(8)},
        "2": {"kernel": w2},
        "head": {"kernel": w3, "bias": jnp.zeros(3)},
        "steps": jnp.arange(3),
        "unused": jnp.ones((2, 2)),
        "shift": jnp.zeros(()),
    }

    def apply(p, x):
        x = jax.nn.gelu(layer_norm(x @ p["1"]["kernel"] + p["1"]["bias"]))
        x = jax.nn.gelu(layer_norm(x @ p["2"]["kernel"] + p["shift"]))  # the normalization removes a mean
        return {"logits": x @ p["head"]["kernel"] + p["head"]["bias"], "count": p["steps"]}

    exact = apply(params, X)["logits"]
    np.testing.assert_allclose(
        apply(params | {"1": {"kernel": 10 * w1, "bias": jnp.zeros(8)}}, X)["logits"], exact, rtol=1e-3
    )
    audit = scale_invariant_leaves(apply, params, X)
    assert verdicts(audit) == {
        "1/kernel": "no",
        "1/bias": "no",
        "2/kernel": "invariant",
        "head/kernel": "no",
        "head/bias": "no",
        "steps": "not floating",
        "unused": "no effect",
        "shift": "no effect",
    }
    assert together(audit) == {frozenset({"1/kernel", "1/bias"})}
    assert audit.mask == jax.tree.map(lambda _: False, params) | {"2": {"kernel": True}}
    assert audit.patterns == ("2/kernel",) and audit.separate == {}  # not [0-9]+/kernel: 1/kernel is not invariant
    assert audit.joint == ()  # a kernel and its bias have no common radius that could be given
    assert jax.tree.structure(audit.mask) == jax.tree.structure(params)
    # By shape and name the paper's choice is both kernels (and the unused leaf).
    wrong = audit.mistakes(audit.paper_default())
    assert set(wrong) == {"1/kernel", "unused"} and "outputs change by" in wrong["1/kernel"]
    assert audit.mistakes(".*/kernel").keys() == {"1/kernel", "head/kernel"}
    assert audit.mistakes(lambda path, leaf: leaf.ndim == 2 and path == "unused").keys() == {"2/kernel", "unused"}
    table = str(audit)
    assert re.search(r"^2/kernel +\(8, 8\) +yes .* whole$", table, re.MULTILINE)
    assert "invariant together: 1/bias · 1/kernel" in table and "1/kernel: projected, although" in table


@pytest.mark.slow
def test_the_audit_works_with_x64_enabled():
    """Outputs are compared in float32; their random combinations must be float32, too."""
    with jax.enable_x64(True):
        w1, w2 = (jnp.asarray(w, jnp.float64) for w in normals((6, 8), (8, 3)))
        params = {"hidden": {"kernel": w1}, "head": {"kernel": w2}}
        x = jnp.asarray(X, jnp.float64)
        audit = scale_invariant_leaves(
            lambda p, x: layer_norm(x @ p["hidden"]["kernel"]) @ p["head"]["kernel"], params, x
        )
    assert verdicts(audit) == {"hidden/kernel": "invariant", "head/kernel": "no"}


@pytest.mark.slow
def test_scale_and_offset_of_a_normalization_are_a_pair_before_a_homogeneous_activation_only():
    w1, w2, w3 = normals((6, 8), (8, 8), (8, 3))
    params = {"w1": w1, "scale": jnp.ones(8), "offset": jnp.zeros(8), "w2": w2, "w3": w3}

    def network(activation):
        def apply(p, x):
            x = activation(layer_norm(x @ p["w1"]) * p["scale"] + p["offset"])
            return jax.nn.relu(layer_norm(x @ p["w2"])) @ p["w3"]

        return scale_invariant_leaves(apply, params, X)

    relu, gelu = network(jax.nn.relu), network(jax.nn.gelu)
    assert invariant(relu) == invariant(gelu) == {"w1", "w2"}
    assert together(relu) == {frozenset({"scale", "offset"})} and together(gelu) == set()
    assert relu.joint == ("offset", "scale") and gelu.joint == ()


@pytest.mark.slow
def test_a_residual_stream_before_and_after():
    """Weights that write to the stream are invariant together; with normalized branches, alone."""
    embed, up, down, head = normals((6, 8), (2, 8, 16), (2, 16, 8), (8, 3))
    params = {"embed": embed, "up": up, "down": down, "head": head}

    def network(branch_norm):
        def apply(p, x):
            x = branch_norm(x @ p["embed"])
            for up, down in zip(p["up"], p["down"]):
                x = x + branch_norm(jax.nn.gelu(rms_norm(rms_norm(x) @ up)) @ down)
            return rms_norm(x) @ p["head"]

        return scale_invariant_leaves(apply, params, X)

    before, after = network(lambda x: x), network(rms_norm)
    tx = project_weights(after.patterns, separate=after.separate)
    grown = jax.tree.map(lambda w: 3 * w * (1 + jnp.arange(len(w))).reshape(-1, 1, 1), params["up"])
    projected = tx.project(params | {"up": grown}, tx.init(params))
    np.testing.assert_allclose(projected["up"], params["up"], rtol=1e-5)
    assert invariant(before) == {"up"} and invariant(after) == {"embed", "up", "down"}
    assert together(before) == {frozenset({"embed", "down"})} and together(after) == set()
    # the layers of a stack are separate matrices
    assert before.separate == {"up": (0,)} and after.separate == {"up": (0,), "down": (0,)}
    assert {leaf.path: leaf.free_axes for leaf in after.leaves} == {"embed": (), "up": (0,), "down": (0,), "head": ()}


@pytest.mark.slow
def test_slices_of_batch_norm_heads_and_tables():
    """Free slices: outputs before a BatchNorm, heads before a norm, rows of an embedding."""
    conv, query, table, head = normals((3, 6, 4), (4, 2, 8), (5, 2, 8), (16, 3))
    params = {"conv": conv, "query": query, "embed": table, "head": head}

    def apply(p, batch):
        x, tokens = batch
        x = jax.lax.conv_general_dilated(x, p["conv"], (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC"))
        x = jax.nn.relu((x - x.mean((0, 1))) / jnp.sqrt(x.var((0, 1)) + 1e-6))
        query = rms_norm(jnp.einsum("bld,dhk->blhk", x, p["query"]))
        keys = rms_norm(p["embed"][tokens])
        mixed = jnp.einsum("blhk,bmhk->blhm", query, keys)
        mixed = jnp.einsum("blhm,bmhk->blhk", jax.nn.softmax(mixed), keys)
        return mixed.reshape(*mixed.shape[:2], -1) @ p["head"]

    batch = normals((4, 5, 6))[0], jax.random.randint(KEY, (4, 5), 0, 5)
    audit = scale_invariant_leaves(apply, params, batch)
    free = {leaf.path: leaf.free_axes for leaf in audit.leaves}
    assert free == {"conv": (2,), "query": (1,), "embed": (0, 1), "head": ()}
    assert invariant(audit) == {"conv", "query", "embed"} and audit.separate == {"embed": (0,)}
    assert audit.mistakes(audit.paper_default()) == {
        "embed": "not projected, although invariant: its effective rate falls as it grows"
    }


@pytest.mark.slow
def test_an_epsilon_that_is_too_large_and_a_leaf_of_little_influence():
    w1, w2, w3 = normals((6, 8), (8, 8), (8, 3))

    def apply(p, x):
        x = jax.nn.gelu(layer_norm(x @ p["w1"], epsilon=1e-3))
        x = jax.nn.gelu(layer_norm(x @ p["w2"], epsilon=2e-3))
        return x @ p["w3"] + 1e-3 * p["small"]

    # The variance in front of the first normalization is far above its epsilon, then below it.
    found = [
        verdicts(scale_invariant_leaves(apply, {"w1": c * w1, "w2": w2, "w3": w3, "small": jnp.zeros(3)}, X))
        for c in (30.0, 0.1)
    ]
    assert [verdict["w1"] for verdict in found] == ["invariant", "no"]
    assert found[0]["w2"] == "nearly"
    # The offset changes outputs by less than a thousandth. That does not make it invariant.
    assert [verdict["small"] for verdict in found] == ["no", "no"]


@pytest.mark.slow
def test_few_outputs_and_a_loss():
    """A scalar has one derivative per point: more directions than points look like symmetries."""
    w1, w2, w3 = normals((6, 8), (8, 8), (8, 3))

    def apply(p, x):
        x = jax.nn.gelu(layer_norm(x @ p["w1"]))
        return jnp.mean(jnp.square(jax.nn.gelu(x @ p["w2"]) @ p["w3"] - 1.0))

    audit = scale_invariant_leaves(apply, {"w1": w1, "w2": w2, "w3": w3}, X)
    assert invariant(audit) == {"w1"} and audit.groups == () and audit.exchanges == ()


@pytest.mark.slow
def test_bfloat16_and_bad_input():
    w1, w2, w3 = normals((6, 8), (8, 8), (8, 3))

    def apply(p, x):
        p = jax.tree.map(lambda w: w.astype(jnp.bfloat16), p)
        x = jax.nn.relu(layer_norm((x.astype(jnp.bfloat16) @ p["w1"]).astype(jnp.float32)))
        return x.astype(jnp.bfloat16) @ p["w2"] @ p["w3"]

    audit = scale_invariant_leaves(apply, {"w1": w1, "w2": w2, "w3": w3}, X)
    assert invariant(audit) == {"w1"} and audit.floor > 1e-3
    with pytest.raises(TypeError, match=r"scale_invariant_leaves: apply must be a function"):
        scale_invariant_leaves({"w1": w1}, apply, X)
    with pytest.raises(ValueError, match="no leaf of a floating type"):
        scale_invariant_leaves(apply, {"n": jnp.arange(3)}, X)
    with pytest.raises(ValueError, match="no floating array"):
        scale_invariant_leaves(lambda p, x: jnp.argmax(x @ p["w1"]), {"w1": w1}, X)
    with pytest.raises(ValueError, match="tolerance must be above 0"):
        scale_invariant_leaves(apply, {"w1": w1}, X, tolerance=0.5)
    with pytest.raises(ValueError, match="matches no path"):
        audit.mistakes("w4")
    with pytest.raises(ValueError, match="must have the structure of the parameters"):
        audit.mistakes({"w1": True})
