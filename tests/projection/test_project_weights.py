"""Projected weights against float64 references: goldens, guards and precision."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import optax_lrs as olrs
from oracles import projection as ref

W = np.array([[0.5, -1, 2], [1.5, 0.25, -0.75]])  # ||W|| = 2.85043856275
# Computed independently in float64.
GOLDEN = [[0.248069469178, -0.496138938357, 0.992277876714], [0.744208407535, 0.124034734589, -0.372104203768]]
GOLDEN_ROWS = [[0.218217890236, -0.436435780472, 0.872871560944], [0.884651736929, 0.147441956155, -0.442325868465]]
MODES = ["exact", "deferred", "manual"]


def after(projection, params, updates=None, steps=1):
    """Returns parameters and state after equal updates; without any: the projected parameters."""
    state = projection.init(params)
    updates = jax.tree.map(jnp.zeros_like, params) if updates is None else updates
    for _ in range(steps):
        led, state = projection.update(updates, state, params)
        params = optax.apply_updates(params, led)
    return params, state


# ── goldens ───────────────────────────────────────────────────────────────────────────────────


def test_golden_of_the_references():
    np.testing.assert_allclose(ref.project(W, 2**0.5), GOLDEN, rtol=1e-11)
    np.testing.assert_allclose(ref.project_blocks(W, [1, 1], separate=(0,)), GOLDEN_ROWS, rtol=1e-11)
    factor, scale, offset = ref.project_joint(np.array([1.2, 0.7, 1.1]), np.array([0.3, -0.4, 0.1]))
    np.testing.assert_allclose(factor, 0.939336436628, rtol=1e-11)
    np.testing.assert_allclose(scale, [1.12720372395, 0.657535505639, 1.03327008029], rtol=1e-11)
    np.testing.assert_allclose(offset, [0.281800930988, -0.375734574651, 0.0939336436628], rtol=1e-11)


@pytest.mark.parametrize("mode", ["exact", "deferred"])
def test_golden(mode):
    with jax.enable_x64(True):
        whole = olrs.project_weights("w", radius=2**0.5, mode=mode)
        np.testing.assert_allclose(
            after(whole, {"w": jnp.asarray(W)})[0]["w"], GOLDEN, rtol=5e-8
        )  # the radius: float32
        rows = olrs.project_weights("w", radius=1.0, separate=0, mode=mode)
        np.testing.assert_allclose(
            after(rows, {"w": jnp.asarray(W)})[0]["w"], GOLDEN_ROWS, rtol=1e-11 if mode == "exact" else 1e-7
        )
        norm = {"norm": {"scale": jnp.array([1.2, 0.7, 1.1]), "bias": jnp.array([0.3, -0.4, 0.1])}}
        joint = olrs.project_weights("norm/scale", joint="norm/.*", mode=mode)
        params, state = after(joint, norm)
        np.testing.assert_allclose(params["norm"]["scale"], [1.12720372395, 0.657535505639, 1.03327008029], rtol=5e-8)
        np.testing.assert_allclose(
            params["norm"]["bias"], [0.281800930988, -0.375734574651, 0.0939336436628], rtol=5e-8
        )
        assert state.radii.shape == (1,)


def test_golden_of_the_zoo():
    """A weight that has grown from norm 5; computed independently."""
    projection = olrs.project_weights("w", radius=5.0)
    params, _ = after(projection, {"w": jnp.array([[6.0, 1.0], [2.0, 7.0]])})
    expected = [[3.16227766017, 0.527046276695], [1.05409255339, 3.68932393686]]
    np.testing.assert_allclose(params["w"], expected, rtol=3e-7)


# ── against the references ────────────────────────────────────────────────────────────────────


def run(projection, first, updates):
    """Returns every weight after every update, in float64 or the type of the parameters."""

    @jax.jit
    def step(carry, update):
        params, state = carry
        led, state = projection.update({"w": update}, state, params)
        params = optax.apply_updates(params, led)
        return (params, state), params["w"]

    params = {"w": first}
    return np.asarray(jax.lax.scan(step, (params, projection.init(params)), updates)[1])


def walk(seed, steps, shape=(6, 5), size=0.3):
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape), size * rng.normal(size=(steps, *shape))


def test_exact_and_deferred_are_the_references():
    first, updates = walk(0, 50)
    radius = float(np.float32(2.5))
    with jax.enable_x64(True):
        for projection, expected in [
            (olrs.project_weights("w", radius=radius), ref.exact(first, updates, radius)),
            (olrs.project_weights("w", radius=radius, every_steps=7), ref.exact(first, updates, radius, every=7)),
        ]:
            np.testing.assert_allclose(run(projection, jnp.asarray(first), updates), expected, rtol=1e-10)
        deferred = run(olrs.project_weights("w", radius=radius, mode="deferred"), jnp.asarray(first), updates)
        np.testing.assert_allclose(deferred, ref.deferred(first, updates, radius), rtol=1e-4)  # the scale: float32
    size = np.linalg.norm(updates[-1])
    assert abs(np.linalg.norm(deferred[-1]) - radius) < size  # one update's growth, not fifty


def test_the_radius_follows_a_schedule():
    first, updates = walk(1, 40)
    schedule = olrs.Linear(peak=1.0, total_steps=30, end=0.25)
    with jax.enable_x64(True):
        got = run(olrs.project_weights("w", schedule=schedule), jnp.asarray(first), updates)
    expected = ref.norm(first) * schedule.at(np.arange(40))
    np.testing.assert_allclose([ref.norm(w) for w in got], expected, rtol=3e-7)
    np.testing.assert_allclose(got, ref.exact(first, updates, expected), rtol=1e-4, atol=1e-6)


GRANULARITIES = [
    ((4, 6), dict(separate=()), (), ()),
    ((4, 6), dict(separate=-1), (1,), ()),  # each output neuron
    ((3, 4, 6), dict(separate=0), (0,), ()),  # stacked layers
    ((3, 4, 6), dict(separate=(0, -1)), (0, 2), ()),
    ((4, 2, 3), dict(separate={"w": 1, ".*": 0}), (1,), ()),  # heads with an axis
    ((4, 6), dict(separate=olrs.projection.Heads(axis=-1, count=3)), (), ((1, 3),)),  # heads in an axis
    ((3, 4, 6), dict(separate=[0, olrs.projection.Heads(-1, 2)]), (0,), ((2, 2),)),
    ((3, 3, 4, 6), dict(), (), ()),  # a convolution: the whole kernel
]


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "options", "separate", "heads"), GRANULARITIES, ids=str)
def test_granularity(shape, options, separate, heads):
    rng = np.random.default_rng(2)
    first, update = rng.normal(size=shape), rng.normal(size=shape)
    radii = ref.block_norms(first, separate, heads)
    expected = ref.project_blocks(first + update, radii, separate, heads)
    params = {"w": jnp.asarray(first, jnp.float32), "z": jnp.ones((2, 6))}
    updates = {"w": jnp.asarray(update, jnp.float32), "z": jnp.zeros((2, 6))}
    for mode in MODES:
        projection = olrs.project_weights(mode=mode, **options)
        moved, state = after(projection, params, updates)
        moved = projection.project(moved, state)
        np.testing.assert_allclose(moved["w"], expected, rtol=3e-6, atol=1e-6)
    assert projection.growth(params, state)["w"].size == len(radii)


def test_radii():
    shape = (3, 4, 6)
    params = {"a": {"kernel": jnp.ones(shape)}, "b": {"kernel": jnp.ones((5, 2))}, "c": {"kernel": jnp.ones((2, 2))}}
    rules = {"a/.*": olrs.projection.sqrt_fan_out, "b/.*": 7.0}
    state = olrs.project_weights(radius=rules, separate={"a/.*": 0}).init(params)
    np.testing.assert_allclose(state.radii, [6**0.5] * 3 + [7.0, 2.0], rtol=1e-7)
    assert state.radii.dtype == jnp.float32
    assert olrs.project_weights(radius=olrs.projection.sqrt_fan_in).init(params).radii[1] == np.float32(5**0.5)
    lecun = jax.nn.initializers.lecun_normal()(jax.random.key(0), (4096, 64))
    np.testing.assert_allclose(jnp.linalg.norm(lecun), olrs.projection.sqrt_fan_out((4096, 64)), rtol=0.01)


# ── which weights ─────────────────────────────────────────────────────────────────────────────


def test_hidden_matrices_by_default():
    matrix, vector, stacked = jnp.ones((2, 2)), jnp.ones(2), jnp.ones((3, 2, 2))
    params = {
        "params": {
            "embed": {"embedding": matrix},
            "pos_embedding": matrix,
            "wte": {"embedding": matrix},
            "blocks": {
                "ln_1": {"scale": stacked, "bias": stacked},
                "norm": {"scale": matrix},
                "LayerNorm_0": {"scale": vector},
                "attention": {"query": {"kernel": stacked, "bias": matrix}, "out": {"kernel": stacked}},
                "mlp": {"Dense_0": {"kernel": stacked, "bias": vector}, "output": {"kernel": matrix}},
            },
            "Conv_0": {"kernel": jnp.ones((3, 3, 2, 2))},
            "count": jnp.ones((2, 2), jnp.int32),
            "head": {"kernel": matrix},
            "lm_head": {"kernel": matrix},
            "output": {"kernel": matrix},
        }
    }
    projection = olrs.project_weights()
    chosen = set(projection.growth(params, projection.init(params)))
    assert chosen == {
        "params/Conv_0/kernel",
        "params/blocks/attention/out/kernel",
        "params/blocks/attention/query/kernel",
        "params/blocks/mlp/Dense_0/kernel",
        "params/blocks/mlp/output/kernel",
    }
    fewer = olrs.project_weights(without=["params/Conv.*", ".*/out/kernel"])
    assert len(fewer.growth(params, fewer.init(params))) == 3
    mine = olrs.project_weights(lambda path, leaf: path.endswith("embedding") and leaf.ndim == 2)
    assert len(mine.growth(params, mine.init(params))) == 3


def test_everything_else_passes_to_the_last_bit():
    rng = np.random.default_rng(3)
    params = {"h": {"kernel": jnp.ones((3, 3)), "bias": jnp.ones(3)}, "head": {"kernel": jnp.ones((3, 3))}}
    updates = jax.tree.map(lambda p: jnp.asarray(rng.normal(size=p.shape), jnp.float32), params)
    for mode in MODES:
        projection = olrs.project_weights(mode=mode)
        led, _ = projection.update(updates, projection.init(params), params)
        np.testing.assert_array_equal(led["h"]["bias"], updates["h"]["bias"])
        np.testing.assert_array_equal(led["head"]["kernel"], updates["head"]["kernel"])
        assert (mode == "exact") != np.array_equal(led["h"]["kernel"], updates["h"]["kernel"])


# ── guards ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mode", ["exact", "deferred"])
def test_what_has_no_direction_is_left_alone_and_counted(mode):
    params = {"a": jnp.ones((2, 2)), "zero": jnp.zeros((2, 2))}
    projection = olrs.project_weights(mode=mode)
    updates = {"a": jnp.ones((2, 2)), "zero": jnp.ones((2, 2))}
    led, state = projection.update(updates, projection.init(params), params)
    np.testing.assert_array_equal(led["zero"], updates["zero"])  # a radius of 0
    assert state.skipped == 1
    # It began as zeros. From here on it has a norm to keep.
    state = projection.remeasure(optax.apply_updates(params, led), state)
    np.testing.assert_allclose(state.radii, state.norms)
    assert np.all(state.radii > 0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 3e38])
@pytest.mark.parametrize("mode", ["exact", "deferred"])
def test_nothing_that_is_not_finite_enters_the_rule(mode, bad):
    """The update passes unchanged, for apply_if_finite to see; all else stays finite."""
    params = {"a": jnp.ones((2, 2)), "c": jnp.ones((2, 2))}
    projection = olrs.project_weights(mode=mode)
    state = projection.init(params)
    wrong = {"a": jnp.full((2, 2), bad, jnp.float32), "c": jnp.ones((2, 2))}
    led, state = projection.update(wrong, state, params)
    np.testing.assert_array_equal(led["a"], wrong["a"])
    led, state = projection.update(jax.tree.map(jnp.ones_like, params), state, params)  # the bad step was not taken
    if mode == "deferred":
        assert state.skipped == 1  # what it left was not finite
        led, state = projection.update(jax.tree.map(jnp.ones_like, params), state, params)
    assert state.skipped == 0 and np.all(np.isfinite(led["a"]))
    np.testing.assert_array_equal(state.radii, [2, 2])


def test_a_candidate_of_zero():
    params = {"a": jnp.ones((2, 2))}
    projection = olrs.project_weights()
    led, state = projection.update({"a": -jnp.ones((2, 2))}, projection.init(params), params)
    np.testing.assert_array_equal(led["a"], -1.0)
    assert state.skipped == 1


# ── precision ─────────────────────────────────────────────────────────────────────────────────


def norms_over_time(projection, first, size, steps, dtype, outward=0.0):
    """Returns the true norms at every hundredth step of a long walk of relative steps."""

    def update(key, w):
        noise = jax.random.normal(key, w.shape) * size / np.sqrt(w.size) * jnp.linalg.norm(w.astype(jnp.float32))
        return (noise + outward * w).astype(dtype)

    def step(carry, key):
        params, state = carry
        led, state = projection.update({"w": update(key, params["w"])}, state, params)
        return (optax.apply_updates(params, led), state), None

    def hundred(carry, keys):
        carry, _ = jax.lax.scan(step, carry, keys)
        return carry, carry[0]["w"].astype(jnp.float32)

    params = {"w": jnp.asarray(first, dtype)}
    keys = jax.random.split(jax.random.key(0), (steps // 100, 100))
    _, weights = jax.jit(lambda c: jax.lax.scan(hundred, c, keys))((params, projection.init(params)))
    return np.array([ref.norm(w) for w in weights]) / ref.norm(params["w"].astype(jnp.float32))


@pytest.mark.slow
def test_norms_stay_over_ten_thousand_steps():
    first = np.random.default_rng(4).normal(size=(48, 24))
    exact = norms_over_time(olrs.project_weights("w"), first, 0.03, 10_000, jnp.float32)
    assert np.abs(exact - 1).max() < 1e-6
    deferred = norms_over_time(olrs.project_weights("w", mode="deferred"), first, 0.03, 10_000, jnp.float32)
    growth = 0.03 * 4 / np.sqrt(first.size) + 0.03**2 / 2  # along the weights, four deviations of the noise; and across
    assert np.abs(deferred - 1).max() < growth
    assert np.abs(deferred[-50:] - 1).max() < 1.5 * np.abs(deferred[:50] - 1).max()  # it does not add up
    free = norms_over_time(optax.with_extra_args_support(optax.identity()), first, 0.03, 10_000, jnp.float32)
    assert free[-1] > 10  # which is what there was to hold


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["exact", "deferred"])
@pytest.mark.parametrize(("size", "outward"), [(0.03, 0.0), (0.005, 0.002), (0.0, 0.004), (0.001, -0.002)])
def test_bfloat16_norms_stay_within_its_steps(mode, size, outward):
    """Beyond 2**-8, half of bfloat16's largest step, every weight moves: never a silent no-op."""
    first = np.random.default_rng(5).normal(size=(64, 32))
    norms = norms_over_time(olrs.project_weights("w", mode=mode), first, size, 2_000, jnp.bfloat16, outward)
    assert np.abs(norms - 1).max() < 0.004 + (mode == "deferred") * (size**2 + abs(outward))


def test_bfloat16_weights_off_by_more_than_their_steps_come_back():
    first = jnp.asarray(np.random.default_rng(6).normal(size=(64, 32)), jnp.bfloat16)
    projection = olrs.project_weights("w")
    state = projection.init({"w": first})
    for factor in (0.5, 0.99, 1.01, 3.0):
        off = {"w": (first * factor).astype(jnp.bfloat16)}
        led, _ = projection.update(jax.tree.map(jnp.zeros_like, off), state, off)
        for moved in (optax.apply_updates(off, led), projection.project(off, state)):
            assert moved["w"].dtype == jnp.bfloat16
            np.testing.assert_allclose(ref.norm(moved["w"].astype(jnp.float32)), state.radii[0], rtol=0.004)


def test_idempotent_and_direction_kept():
    first = {"w": jnp.asarray(np.random.default_rng(7).normal(size=(32, 16)), jnp.float32)}
    projection = olrs.project_weights("w", radius=3.0)
    state = projection.init(first)
    once = projection.project(first, state)
    np.testing.assert_allclose(projection.project(once, state)["w"], once["w"], rtol=2e-7)
    np.testing.assert_allclose(once["w"] / first["w"], 3.0 / ref.norm(first["w"]), rtol=1e-6)


# ── its purpose ───────────────────────────────────────────────────────────────────────────────


def normalized(x):
    return (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-12)


def test_a_normalized_network_does_not_feel_it():
    """Without a normalization the function changes; with one, outputs stay."""
    rng = np.random.default_rng(8)
    with jax.enable_x64(True):
        params = {f"Dense_{i}": {"kernel": jnp.asarray(rng.normal(size=(8, 8)))} for i in range(2)}
        params["head"] = {"kernel": jnp.asarray(rng.normal(size=(8, 3)))}
        x = rng.normal(size=(16, 8))

        def network(params, norm):
            hidden = x
            for i in range(2):
                hidden = jax.nn.gelu(norm(hidden @ params[f"Dense_{i}"]["kernel"]))
            return hidden @ params["head"]["kernel"]

        projection = olrs.project_weights(radius=0.7)
        small = projection.project(params, projection.init(params))
        np.testing.assert_allclose(network(small, normalized), network(params, normalized), rtol=1e-8)
        assert not np.allclose(network(small, lambda h: h), network(params, lambda h: h), rtol=0.1)
        np.testing.assert_array_equal(small["head"]["kernel"], params["head"]["kernel"])


@pytest.mark.parametrize("decay", [0.5, 0.0])
@pytest.mark.parametrize("mode", MODES)
def test_weight_decay_is_found(mode, decay):
    params = {
        "hidden": {"kernel": jnp.ones((2, 3))},
        "other": {"kernel": jnp.ones((2, 2))},
        "head": {"kernel": jnp.ones((2, 2))},
    }
    warmup = olrs.Cosine(peak=3e-4, total_steps=10_000, warmup_steps=2_000)
    projection = olrs.project_weights(mode=mode)
    mask = {"hidden": True, "other": False, "head": True}
    tx = optax.apply_if_finite(
        optax.chain(optax.clip(1.0), optax.adamw(warmup, weight_decay=decay, mask=mask), projection), 3
    )
    found = projection.weight_decay(tx, params)
    assert set(found) == ({"hidden/kernel"} if decay else set())
    if decay:
        np.testing.assert_allclose(found["hidden/kernel"], decay * warmup.at(2), rtol=1e-5)


@pytest.mark.slow
def test_weight_decay_under_a_projection_changes_no_direction():
    """Weight decay has no effect with a projection at every step, but has with every_steps."""
    first, updates = walk(9, 30, size=0.05)

    def direction(decay, every):
        tx = optax.chain(
            optax.sgd(1.0), olrs.decay_weights(olrs.Constant(value=decay)), olrs.project_weights("w", every_steps=every)
        )

        def step(carry, update):
            w, state = carry
            tangent = update - w["w"] * jnp.vdot(update, w["w"]) / jnp.vdot(w["w"], w["w"])
            led, state = tx.update({"w": tangent}, state, w)
            return (optax.apply_updates(w, led), state), None

        w = {"w": jnp.asarray(first)}
        (w, _), _ = jax.lax.scan(step, (w, tx.init(w)), jnp.asarray(updates))
        return w["w"] / ref.norm(w["w"])

    with jax.enable_x64(True):
        # On (1 - decay) W a tangent turns 1 / (1 - decay) as far: decay changes the rate only.
        turned = [ref.norm(direction(decay, 1) - direction(0.0, 1)) for decay in (0.001, 0.002)]
        between = [ref.norm(direction(decay, 30) - direction(0.0, 30)) for decay in (0.001, 0.002)]
    assert turned[0] < 2e-3 and between[0] > 3 * turned[0]


def test_every_step_counts_from_one():
    params = {"w": jnp.ones((2, 2))}
    projection = olrs.project_weights("w", every_steps=3)
    state, norms = projection.init(params), []
    for _ in range(7):
        led, state = projection.update({"w": jnp.ones((2, 2))}, state, params)
        params = optax.apply_updates(params, led)
        norms.append(float(jnp.linalg.norm(params["w"])))
    np.testing.assert_allclose(norms, [4, 6, 2, 4, 6, 2, 4], rtol=1e-6)


# ── where it lives ────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_nnx_optimizer():
    model = nnx.Sequential(
        nnx.Linear(3, 4, rngs=nnx.Rngs(0)), nnx.LayerNorm(4, rngs=nnx.Rngs(0)), nnx.Linear(4, 2, rngs=nnx.Rngs(1))
    )
    for mode in MODES:
        projection = olrs.project_weights(without=r"layers/2/.*", mode=mode)
        tx = optax.chain(optax.adam(0.1), olrs.decay_to_init(olrs.Constant(value=0.1)), projection)
        optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
        before = float(jnp.linalg.norm(model.layers[0].kernel[...]))

        @nnx.jit
        def step(model, optimizer):
            optimizer.update(model, nnx.grad(lambda m: jnp.sum(m(jnp.ones((1, 3))) ** 2))(model))

        for _ in range(3):
            step(model, optimizer)
        params = projection.project(nnx.state(model, nnx.Param), optimizer.opt_state)
        nnx.update(model, params)
        np.testing.assert_allclose(jnp.linalg.norm(model.layers[0].kernel[...]), before, rtol=1e-6)
        assert list(projection.growth(params, optimizer.opt_state)) == ["layers/0/kernel"]
        structure = jax.tree.structure(optimizer.opt_state)
        optimizer.opt_state = nnx.data(projection.remeasure(params, optimizer.opt_state))
        assert jax.tree.structure(optimizer.opt_state) == structure
        step(model, optimizer)


def test_wrappers():
    """MultiSteps projects when it updates; masked and partition pass a part of the parameters."""
    params = {"a": {"kernel": jnp.ones((2, 2))}, "b": {"kernel": jnp.ones((2, 2))}}
    ones = jax.tree.map(jnp.ones_like, params)
    projection = olrs.project_weights()
    steps = optax.MultiSteps(optax.chain(optax.sgd(1.0), projection), 2)
    state, mine = steps.init(params), params
    for _ in range(4):
        updates, state = steps.update(ones, state, mine)
        mine = optax.apply_updates(mine, updates)
    assert projection.found(params, state)[0].count == 2

    masked = optax.masked(projection, {"a": True, "b": False})
    state = masked.init(params)
    led, state = masked.update(ones, state, params)
    np.testing.assert_allclose(led["a"]["kernel"], 0.0, atol=1e-7)
    np.testing.assert_array_equal(led["b"]["kernel"], 1.0)
    with pytest.raises(ValueError, match="has 1 blocks, these parameters have 2"):
        projection.project(params, state)
    part = projection.project({"a": params["a"], "b": optax.MaskedNode()}, state)
    np.testing.assert_allclose(part["a"]["kernel"], 1.0, rtol=1e-6)


def test_remeasured_radii_are_those_of_restored_weights():
    params = {"w": jnp.ones((2, 2)), "v": jnp.ones((2, 2))}
    projection = olrs.project_weights(radius={"v": 5.0}, mode="deferred")
    tx = optax.chain(optax.adam(0.1), projection)
    state = tx.init(params)
    restored = jax.tree.map(lambda p: 3 * p, params)
    state = projection.remeasure(restored, state)
    np.testing.assert_allclose(state[1].radii, [5.0, 6.0])
    np.testing.assert_allclose(state[1].norms, [6.0, 6.0])
    updates, _ = tx.update(jax.tree.map(jnp.zeros_like, params), state, restored)
    np.testing.assert_allclose(updates["w"], 0.0, atol=1e-7)


def test_edited_parameters_heal_within_a_step():
    """After an edit of the parameters deferred norms are stale for one step, then measured."""
    projection = olrs.project_weights("w", mode="deferred")
    params = {"w": jnp.ones((2, 2))}
    state, zero = projection.init(params), {"w": jnp.zeros((2, 2))}
    params = {"w": jnp.full((2, 2), 7.0)}
    for _ in range(2):
        led, state = projection.update(zero, state, params)
        params = optax.apply_updates(params, led)
    np.testing.assert_allclose(params["w"], 1.0, rtol=1e-6)


def test_updates_that_are_none_and_extra_arguments():
    params = {"a": jnp.ones((2, 2)), "b": jnp.ones((2, 2))}
    for mode in ("exact", "deferred"):
        projection = olrs.project_weights(mode=mode)
        led, _ = projection.update({"a": None, "b": jnp.ones((2, 2))}, projection.init(params), params)
        assert led["a"] is None
        led, state = projection.update(params, projection.init(params), params, project_weights=False)
        assert led["a"] is params["a"] and state.count == 1


def test_specs_of_the_state_by_map_params():
    """The vectors are not a tree like the parameters, so tools do not shard them as parameters."""
    params = {"w": jnp.ones((2, 2)), "b": jnp.ones(2)}
    tx = optax.chain(optax.adam(0.1), olrs.project_weights(separate=0))
    mapped = optax.tree.map_params(
        tx, lambda _: "like a parameter", tx.init(params), transform_non_params=lambda _: "whole"
    )
    assert mapped[1] == olrs.projection.ProjectWeightsState(*["whole"] * 5)
