"""Layers and example networks: no output depends on the scale of hidden kernels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as flax_linen
from flax import nnx as flax_nnx
from jax.sharding import PartitionSpec as P
from normalized_networks import linen_layers, linen_networks, linen_transformer, networks, transformer

from optax_lrs import _paths, nn, project_weights
from optax_lrs.nn import LayerConfig

KEY = jax.random.key(0)
PLAIN, FULL = LayerConfig(), LayerConfig(use_scale=True, use_bias=True, activation=jax.nn.gelu)
RMS = LayerConfig(norm="rms", use_scale=True, activation=jax.nn.silu)
VECTORS, IMAGES = jax.random.normal(KEY, (6, 5)), jax.random.normal(KEY, (3, 6, 6, 2))
TOKENS = jax.random.randint(KEY, (2, 7), 0, 11)
SPLITS_RNGS = pytest.mark.skipif(
    not hasattr(flax_nnx.Rngs, "split"), reason="the example's scanned layers need Rngs.split of a newer flax"
)

# A network in nnx, the same in linen, and a batch.
NETWORKS = {
    "mlp": (
        lambda c, rngs: networks.MLP(5, (8, 12), 3, config=c, rngs=rngs),
        lambda c: linen_networks.MLP((8, 12), 3, config=c),
        VECTORS,
    ),
    "resnet": (
        lambda c, rngs: networks.ResNet(2, (4, 6), 3, blocks=1, config=c, rngs=rngs),
        lambda c: linen_networks.ResNet((4, 6), 3, blocks=1, config=c),
        IMAGES,
    ),
    "transformer": (
        lambda c, rngs: transformer.Transformer(11, 8, 1, 2, config=c, rngs=rngs),
        lambda c: linen_transformer.Transformer(11, 8, 1, 2, config=c),
        TOKENS,
    ),
    "scanned": (
        lambda c, rngs: transformer.Transformer(11, 8, 2, 2, gated=True, scan_layers=True, config=c, rngs=rngs),
        lambda c: linen_transformer.Transformer(11, 8, 2, 2, gated=True, scan_layers=True, config=c),
        TOKENS,
    ),
}
CASES = [
    pytest.param("mlp", PLAIN, id="mlp"),
    pytest.param("mlp", FULL, id="mlp-scale-bias"),
    pytest.param("resnet", PLAIN, id="resnet", marks=pytest.mark.slow),
    pytest.param("transformer", FULL, id="transformer-scale-bias", marks=pytest.mark.slow),
    pytest.param("scanned", RMS, id="scanned-gated-rms", marks=[pytest.mark.slow, SPLITS_RNGS]),
]


def built(name, config):
    """The nnx function, its parameters, and the linen module with a template of its parameters."""
    in_nnx, in_linen, batch = NETWORKS[name]
    # Built in one compiled program, in a fifth of the time of building it operation by operation.
    graph, shapes = flax_nnx.split(flax_nnx.eval_shape(lambda: in_nnx(config, flax_nnx.Rngs(0))))
    params = jax.jit(lambda: flax_nnx.state(in_nnx(config, flax_nnx.Rngs(0))))()
    assert jax.tree.structure(params) == jax.tree.structure(shapes)
    module = in_linen(config)
    template = jax.eval_shape(module.init, KEY, batch)["params"]
    return (lambda p, x: flax_nnx.merge(graph, p)(x)), params, module, template, batch


def by_path(params):
    return {_paths.parameter_path(key): leaf for key, leaf in jax.tree_util.tree_flatten_with_path(params)[0]}


def hidden(path):
    return path.endswith("kernel") and not path.startswith("head")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "config"), CASES)
def test_outputs_do_not_depend_on_the_scale_of_hidden_kernels(name, config):
    apply, params, module, template, batch = built(name, config)
    paths = by_path(params)
    keyed, structure = jax.tree_util.tree_flatten_with_path(params)
    assert not [path for path in paths if path.endswith("bias") and "norm" not in path and not path.startswith("head")]
    assert sum(map(hidden, paths)) >= 2

    @jax.jit
    def measured(leaves, scales):
        """The outputs with each kernel scaled in turn, linen's outputs, and random gradients."""
        outputs = lambda leaves: apply(structure.unflatten(leaves), batch)  # noqa: E731
        one = jax.lax.map(lambda row: outputs([row[i] * leaf for i, leaf in enumerate(leaves)]), scales)
        before, backward = jax.vjp(outputs, leaves)
        same = {path.replace("/", "_"): leaf for path, leaf in zip(paths, leaves)}
        theirs = jax.tree_util.tree_map_with_path(
            lambda k, _: same[_paths.parameter_path(k).replace("/", "_")], template
        )
        return one, before, module.apply({"params": theirs}, batch), backward(jax.random.normal(KEY, before.shape))[0]

    # Away from the initial values: scales of one and offsets of zero would hide errors.
    leaves = [leaf + 0.1 * jax.random.normal(KEY, leaf.shape) for _, leaf in keyed]
    where = [i for i, path in enumerate(paths) if hidden(path)]
    scales = np.ones((2 * len(where), len(leaves)), np.float32)
    for row, i in enumerate(where):
        scales[2 * row : 2 * row + 2, i] = 0.5, 7.0
    outputs, before, theirs, grads = measured(leaves, scales)
    assert jax.tree.structure(template) and len(jax.tree.leaves(template)) == len(leaves)
    np.testing.assert_allclose(theirs, before, rtol=1e-5, atol=1e-5)  # linen computes the same
    size = float(jnp.max(jnp.abs(before)))
    np.testing.assert_allclose(outputs, np.broadcast_to(before, outputs.shape), rtol=0, atol=5e-4 * size)
    assert size > 0.05
    for i, (path, grad) in enumerate(zip(paths, grads)):
        weight = leaves[i].astype(jnp.float32)
        cosine = float(
            jnp.vdot(weight, grad) / (jnp.linalg.norm(weight.ravel()) * jnp.linalg.norm(grad.ravel()) + 1e-30)
        )
        if hidden(path):
            assert float(jnp.linalg.norm(grad.ravel())) > 1e-4 and abs(cosine) < 1e-4, path
        if path == "head/kernel":
            assert abs(cosine) > 1e-3


def test_epsilon_changes_the_outputs_as_documented():
    """The relative change is epsilon / (2 variance), times 1 - 1/c²."""
    layer = linen_layers.NormDense(256, config=LayerConfig(norm="rms", epsilon=1e-2), linear=True)
    x = jax.random.normal(KEY, (4, 64))
    params = layer.init(KEY, x)
    variance = jnp.mean(jnp.square(x @ params["params"]["dense"]["kernel"]), axis=-1)
    before, after = layer.apply(params, x), layer.apply(jax.tree.map(lambda p: 3 * p, params), x)
    expected = 1 + 1e-2 / (2 * variance) * (1 - 1 / 9)
    np.testing.assert_allclose(after[:, 0] / before[:, 0], expected, rtol=1e-4)


@pytest.mark.parametrize("scan_layers", [pytest.param(True, marks=SPLITS_RNGS), False])
def test_partition_specs_are_those_of_flax(scan_layers):
    axes = {"embed": "data", "mlp": "model", "heads": "model", "vocab": "model", "layers": None}
    config, first = LayerConfig(axes=axes), (None,) if scan_layers else ()
    wanted = {
        "attention/query/kernel": P(*first, "data", "model", None),
        "attention/out/kernel": P(*first, "model", None, "data"),
        "forward/up/dense/kernel": P(*first, "data", "model"),
        "forward/down/dense/kernel": P(*first, "model", "data"),
    }
    module = linen_transformer.Transformer(16, 8, 2, 2, scan_layers=scan_layers, config=config)
    specs = flax_linen.get_partition_spec(jax.eval_shape(module.init, KEY, TOKENS))["params"]
    specs = {
        _paths.name(k): s for k, s in jax.tree_util.tree_flatten_with_path(specs, is_leaf=lambda x: isinstance(x, P))[0]
    }
    prefix = "blocks/" if scan_layers else "blocks_1/"
    assert wanted.items() <= {path.removeprefix(prefix): spec for path, spec in specs.items()}.items()
    assert specs["embed/embedding"] == P("model", "data") and specs["head/kernel"] == P("data", "model")

    mesh = jax.make_mesh((2, 2), ("data", "model"), axis_types=(jax.sharding.AxisType.Auto,) * 2)
    with jax.set_mesh(mesh):
        model = flax_nnx.eval_shape(
            lambda: transformer.Transformer(16, 8, 2, 2, scan_layers=scan_layers, config=config, rngs=flax_nnx.Rngs(0))
        )
        found = flax_nnx.get_partition_spec(flax_nnx.state(model))
    found = {
        _paths.parameter_path(k): s
        for k, s in jax.tree_util.tree_flatten_with_path(found, is_leaf=lambda x: isinstance(x, P))[0]
    }
    prefix = "blocks/" if scan_layers else "blocks/1/"
    assert wanted.items() <= {path.removeprefix(prefix): spec for path, spec in found.items()}.items()
    assert found["embed/embedding"] == P("model", "data")


def test_bfloat16_computes_and_float32_stores():
    config = LayerConfig(dtype=jnp.bfloat16)
    layer = linen_layers.NormDense(16, config=config)
    x = jax.random.normal(KEY, (8, 4))
    params = layer.init(KEY, x)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    y = layer.apply(params, x)
    assert y.dtype == jnp.bfloat16
    # Scaling by a power of two leaves the rounding in front of the normalization unchanged.
    np.testing.assert_array_equal(layer.apply(jax.tree.map(lambda p: 4 * p, params), x), y)
    abstract = flax_nnx.eval_shape(
        lambda: networks.MLP(4, (8,), 2, config=LayerConfig(param_dtype=jnp.bfloat16), rngs=flax_nnx.Rngs(0))
    )
    assert {leaf.dtype for leaf in jax.tree.leaves(flax_nnx.state(abstract))} == {jnp.dtype("bfloat16")}


def test_functional_fixes_all_other_state():
    class Dropped(flax_nnx.Module):
        def __init__(self, rngs):
            self.layer = nn.nnx.NormDense(4, 32, rngs=rngs)
            self.dropout = flax_nnx.Dropout(0.5, rngs=rngs)

        def __call__(self, x):
            return self.dropout(self.layer(x))

    model, x = Dropped(flax_nnx.Rngs(0)), jnp.ones((2, 4))
    apply, params = nn.nnx.functional(model)
    assert list(by_path(params)) == ["layer/dense/kernel"]
    np.testing.assert_array_equal(apply(params, x), jax.jit(apply)(params, x))  # the same units are dropped each time
    assert 0 < float(jnp.mean(apply(params, x) == 0)) < 1


class Small(flax_linen.Module):
    """A user's linen model: a normalized layer without bias, and a head."""

    @flax_linen.compact
    def __call__(self, x):
        x = flax_linen.Dense(16, use_bias=False, name="hidden")(x)
        return flax_linen.Dense(3, name="head")(jax.nn.relu(flax_linen.LayerNorm(use_scale=False, name="norm")(x)))


def test_linen_parameters_are_audited_and_projected():
    model = Small()
    params = jax.jit(model.init)(KEY, VECTORS)
    audit = nn.scale_invariant_leaves(model.apply, params, VECTORS)
    assert audit.patterns == ("params/hidden/kernel",)
    tx = project_weights(audit.patterns, separate=audit.separate)
    grown = jax.tree.map(lambda p: 3 * p, params)
    projected = tx.project(grown, tx.init(params))
    np.testing.assert_allclose(projected["params"]["hidden"]["kernel"], params["params"]["hidden"]["kernel"], rtol=1e-5)
    np.testing.assert_array_equal(projected["params"]["head"]["kernel"], grown["params"]["head"]["kernel"])
    np.testing.assert_allclose(
        jnp.linalg.norm(projected["params"]["hidden"]["kernel"]), jnp.linalg.norm(params["params"]["hidden"]["kernel"])
    )


def test_functional_takes_a_linen_model_through_the_bridge():
    model = flax_nnx.bridge.ToNNX(Small(), rngs=flax_nnx.Rngs(0)).lazy_init(VECTORS)
    apply, params = nn.nnx.functional(model)
    np.testing.assert_allclose(apply(params, VECTORS), model(VECTORS), rtol=1e-6)
    assert nn.scale_invariant_leaves(apply, params, VECTORS).patterns == ("hidden/kernel",)


def test_bad_input():
    with pytest.raises(ValueError, match="norm must be 'layer' or 'rms', got 'batch'"):
        LayerConfig(norm="batch")
    with pytest.raises(ValueError, match="epsilon must be at least 0, got -1"):
        LayerConfig(epsilon=-1)
    with pytest.raises(ValueError, match="use_bias=True needs norm='layer'"):
        LayerConfig(norm="rms", use_bias=True)
    with pytest.raises(TypeError, match="activation must be a function, got 'relu'"):
        LayerConfig(activation="relu")
    with pytest.raises(ValueError, match="features must be a multiple of 2 x heads=3, got 8"):
        transformer.Attention(8, 3, rngs=flax_nnx.Rngs(0))
    with pytest.raises(ValueError, match="depth must be at least 1"):
        transformer.Transformer(8, 8, 0, 2, rngs=flax_nnx.Rngs(0))
    with pytest.raises(ValueError, match="needs a stage"):
        linen_networks.ResNet((), 3).init(KEY, IMAGES)
    with pytest.raises(AttributeError, match="no attribute 'haiku'"):
        nn.haiku
