"""Weights over checkpoints, and the average that checkpoint.average takes with them."""

import functools
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from flax import nnx
from flax.training.train_state import TrainState
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import optax_lrs as olrs
from optax_lrs import checkpoint, profiles

SIX = 2.0 ** np.arange(6)  # the checkpoints of the golden averages: 1, 2, 4, …, 32
SHAPES = [
    profiles.linear, profiles.cosine, profiles.mirror_cosine, profiles.one_minus_sqrt, profiles.one_minus_square,
    profiles.power(1.5), profiles.rex(), profiles.uba(), profiles.cosine_power(), profiles.shifted_exponential(),
    profiles.inverse_sqrt(), profiles.half_life(0.2),
]  # fmt: skip

# ── weights ───────────────────────────────────────────────────────────────────────────────────

# methods/adaptive_and_zoo.goldens.json, "wsm N=5 …", and section 8 of methods/wsd_continual_laws.md
MERGED = [
    (profiles.linear, [0.2, 0.2, 0.2, 0.2, 0.2]),
    (profiles.one_minus_sqrt,
     [0.44721359549995787, 0.185241936533718, 0.14214113720780752, 0.11983052175843245, 0.10557280900008414]),
    (profiles.cosine, [0.09549150281252627, 0.25, 0.3090169943749474, 0.25, 0.09549150281252633]),
]  # fmt: skip
AVERAGES = [
    (olrs.sma_weights, [0.166666666667] * 6, 10.5),
    (olrs.wma_weights,
     [0.047619047619, 0.0952380952381, 0.142857142857, 0.190476190476, 0.238095238095, 0.285714285714], 15.2857142857),
    (olrs.ema_weights, [0.32768, 0.08192, 0.1024, 0.128, 0.16, 0.2], 10.88512),
]  # fmt: skip


@pytest.mark.parametrize(("decay", "weights"), MERGED)
def test_golden_merge_weights(decay, weights):
    np.testing.assert_allclose(olrs.merge_weights(5, decay=decay), weights, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("of", "weights", "average"), AVERAGES)
def test_golden_moving_averages(of, weights, average):
    np.testing.assert_allclose(of(6), weights, rtol=6e-12)  # printed to twelve digits
    assert of(6) @ SIX == pytest.approx(average, rel=6e-12)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 200), st.sampled_from(SHAPES), st.floats(0, 1), st.floats(1e-3, 1))
def test_weights_are_weights(count, decay, end, alpha):
    for weights in (
        olrs.merge_weights(count, decay=decay), olrs.merge_weights(count, decay=decay, end=end),
        olrs.sma_weights(count), olrs.wma_weights(count), olrs.ema_weights(count, alpha=alpha),
    ):  # fmt: skip
        assert weights.dtype == np.float64 and weights.shape == (count,)
        assert np.all(weights >= 0) and weights.sum() == pytest.approx(1, rel=1e-12)
    if count == 1:
        assert weights.tolist() == [1.0]


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 30),
    st.sampled_from([*SHAPES, profiles.exponential, profiles.inverse]),
    st.floats(0.01, 1),
    st.integers(0, 9),
)
def test_a_merge_is_a_decay_of_the_updates_that_were_made(count, decay, end, seed):
    """sum c_j theta_j = theta_0 + sum w_i u_i with w_i the schedule's own rates, for any path."""
    path = np.random.default_rng(seed).normal(size=(count, 3))
    rates = olrs.WSD(peak=1.0, total_steps=count, decay_steps=count, end=end, decay=decay).at(np.arange(1, count))
    expected = path[0] + rates @ np.diff(path, axis=0)
    merged = olrs.merge_weights(count, decay=decay, end=end) @ path
    np.testing.assert_allclose(merged, expected, rtol=0, atol=1e-13 * np.abs(path).sum())


def test_an_end_is_a_share_of_the_newest():
    whole = olrs.merge_weights(7, decay=profiles.cosine)
    np.testing.assert_allclose(
        olrs.merge_weights(7, decay=profiles.cosine, end=0.25), 0.75 * whole + 0.25 * np.eye(7)[-1], rtol=1e-12
    )
    assert olrs.merge_weights(4, end=1.0).tolist() == [0, 0, 0, 1]
    assert olrs.ema_weights(4, alpha=1).tolist() == [0, 0, 0, 1]
    np.testing.assert_allclose(olrs.merge_weights(9), olrs.sma_weights(9), rtol=1e-12)


class _Rising(profiles.Profile, name="rising_for_a_test"):
    def shape(self, phase):
        return phase.done


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: olrs.merge_weights(0), ValueError, "merge_weights: count must be at least 1, got 0"),
        (lambda: olrs.merge_weights(2.0), TypeError, "merge_weights: count must be an int"),
        (lambda: olrs.merge_weights(3, decay="linear"), TypeError, "merge_weights: decay must be a Profile, such as profiles.linear"),
        (lambda: olrs.merge_weights(3, end=1.1), ValueError, "end must be at least 0 and at most 1, got 1.1"),
        (lambda: olrs.merge_weights(3, decay=profiles.inverse), ValueError, "end must be above 0 because decay is profiles.inverse"),
        (lambda: olrs.merge_weights(3, decay=_Rising()), ValueError, "merge_weights: decay must not rise"),
        (lambda: olrs.sma_weights(-1), ValueError, "sma_weights: count must be at least 1"),
        (lambda: olrs.wma_weights(True), TypeError, "wma_weights: count must be an int"),
        (lambda: olrs.ema_weights(3, alpha=0.0), ValueError, "ema_weights: alpha must be above 0"),
        (lambda: olrs.ema_weights(3, alpha="x"), TypeError, "ema_weights: alpha must be a number"),
    ],
)  # fmt: skip
def test_mistakes_in_weights(make, error, says):
    with pytest.raises(error, match=says):
        make()


def test_the_curriculums_schedule():
    """Section 8: 1 - sqrt from 3e-3, the moderate end 1e-3 and the baseline's 1e-5."""
    steps = [800, 801, 850, 900, 950, 999, 1000]
    for end, rates in (
        (1e-3, [0.003, 0.00285857864376, 0.002, 0.00158578643763, 0.00126794919243, 0.00100500626567, 0.001]),
        (1e-5, [0.003, 0.00278857507243, 0.001505, 0.000885750724252, 0.000410584042685, 1.74843671826e-05, 1e-5]),
    ):
        lr = olrs.WSD(peak=3e-3, total_steps=1000, decay_steps=200, end=end, decay=profiles.one_minus_sqrt)
        np.testing.assert_allclose(lr.at(steps), rates, rtol=6e-12)


# ── checkpoints ───────────────────────────────────────────────────────────────────────────────


def params(seed, dtype=jnp.float32):
    draw = functools.partial(np.random.default_rng(seed).normal)
    return {
        "layers": [{"kernel": jnp.asarray(draw(size=(8, 4)), dtype)}, {"kernel": jnp.asarray(draw(size=(4,)), jnp.float32)}],
        "seen": jnp.asarray(seed, jnp.int32), "empty": {},
    }  # fmt: skip


def oracle(trees, weights):
    """In float64; integers of the last."""

    def mean(*leaves):
        if jnp.issubdtype(leaves[0].dtype, jnp.integer):
            return np.asarray(leaves[-1])
        return sum(c * np.asarray(leaf, np.float64) for c, leaf in zip(weights, leaves))

    return jax.tree.map(mean, *trees)


def agrees(found, trees, weights):
    """To four roundings of the largest checkpoint, and one to the type of the result."""
    assert jax.tree.structure(found) == jax.tree.structure(trees[0])
    largest = jax.tree.map(lambda *leaves: np.max(np.abs([np.asarray(x, np.float64) for x in leaves]), 0), *trees)
    for a, b, most, like in zip(*map(jax.tree.leaves, (found, oracle(trees, weights), largest, trees[0]))):
        assert a.dtype == like.dtype
        bound = 4 * 2.0**-24 * most + (np.abs(b) * 2.0**-8 if like.dtype == jnp.bfloat16 else 0)
        assert np.all(np.abs(np.asarray(a, np.float64) - b) <= bound)


def wrapped(tree, how):
    if how == "train state":
        return TrainState.create(apply_fn=None, params=tree, tx=optax.adam(1e-3))
    moments = jax.tree.map(jnp.zeros_like, tree)
    return {"tuple": (moments, tree), "dict": {"model": {"params": tree}, "moments": moments}, "bare": tree}[how]


PATHS = {"train state": "params", "tuple": "1", "dict": "model/params", "bare": ""}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder of a CheckpointManager with six steps, and what was saved."""
    folder = tmp_path_factory.mktemp("run")
    trees = [params(seed) for seed in range(6)]
    with ocp.CheckpointManager(folder) as manager:
        for step, tree in enumerate(trees):
            manager.save(100 * step, args=ocp.args.StandardSave({"params": tree, "step": step}))
    return folder, trees


@pytest.mark.parametrize("weights", [olrs.ema_weights(4), olrs.merge_weights(6, decay=profiles.cosine), [1.0]], ids=len)
def test_the_latest_of_a_folder(run, weights):
    folder, trees = run
    agrees(checkpoint.average(folder, trees[0], weights=weights), trees[-len(weights) :], weights)


def test_chosen_steps_a_manager_and_single_folders(run):
    folder, trees = run
    chosen = [trees[1], trees[4]]
    agrees(checkpoint.average(str(folder), trees[0], weights=[0.3, 0.7], steps=[100, 400]), chosen, [0.3, 0.7])
    singly = [folder / "100", folder / "400" / "default"]
    agrees(checkpoint.average(singly, trees[0], weights=[0.3, 0.7]), chosen, [0.3, 0.7])
    with ocp.CheckpointManager(folder) as manager:
        agrees(checkpoint.average(manager, trees[0], weights=[0.5, 0.5]), trees[-2:], [0.5, 0.5])


@pytest.mark.parametrize("how", PATHS)
def test_the_parameters_wherever_they_are_and_nothing_else_is_read(how, tmp_path):
    trees = [params(seed, jnp.bfloat16) for seed in range(2)]
    handler = ocp.PyTreeCheckpointHandler(use_ocdbt=False)  # a folder a leaf, so that one can be taken away
    with ocp.Checkpointer(handler) as checkpointer:
        for number, tree in enumerate(trees):
            checkpointer.save(tmp_path / str(number), args=ocp.args.PyTreeSave(wrapped(tree, how)))
    folders = [tmp_path / "0", tmp_path / "1"]
    others = [folder for folder in tmp_path.glob("*/*") if folder.name.startswith(("opt_state.", "moments.", "0."))]
    for chunk in (file for folder in others for file in folder.rglob("*") if not file.name.startswith(".")):
        chunk.unlink()
    if others:
        with pytest.raises(ValueError, match="cannot read"):  # they are needed by whom they concern
            checkpoint.average(folders[:1], wrapped(trees[0], how), weights=[1.0], path="")
    agrees(checkpoint.average(folders, trees[0], weights=[0.25, 0.75], path=PATHS[how]), trees, [0.25, 0.75])


def test_one_item_of_several(tmp_path):
    trees = [params(seed) for seed in range(2)]
    options = ocp.CheckpointManagerOptions(step_prefix="ckpt")
    with ocp.CheckpointManager(tmp_path, options=options) as manager:
        for step, tree in enumerate(trees):
            items = {"state": ocp.args.StandardSave({"params": tree}), "other": ocp.args.StandardSave({"x": 1}),
                     "text": ocp.args.JsonSave({"a": 1})}  # fmt: skip
            manager.save(step, args=ocp.args.Composite(**items))
    agrees(checkpoint.average(tmp_path, trees[0], weights=[0.5, 0.5], item="state"), trees, [0.5, 0.5])
    with pytest.raises(ValueError, match=r"ckpt_0 has several items, choose one with item=: \['other', 'state'\]"):
        checkpoint.average(tmp_path, trees[0], weights=[0.5, 0.5])
    with pytest.raises(ValueError, match="ckpt_0 has no item 'text' that holds a tree"):
        checkpoint.average(tmp_path, trees[0], weights=[0.5, 0.5], item="text")


def test_equal_checkpoints_are_a_fixed_point_and_types_are_those_asked_for(tmp_path):
    tree = {"w": jnp.asarray(np.random.default_rng(0).normal(size=1000), jnp.bfloat16)}
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "a", tree)
    same = checkpoint.average([tmp_path / "a"] * 7, tree, weights=olrs.wma_weights(7), path="")
    np.testing.assert_array_equal(same["w"], tree["w"])
    wide = checkpoint.average(
        [tmp_path / "a"], {"w": jax.ShapeDtypeStruct((1000,), jnp.float32)}, weights=[1.0], path=""
    )
    assert wide["w"].dtype == jnp.float32
    np.testing.assert_array_equal(wide["w"], tree["w"].astype(jnp.float32))


def test_bfloat16_checkpoints_are_summed_in_float32(tmp_path):
    """In bfloat16 the average of 256 and 257s would stay where it is."""
    with ocp.StandardCheckpointer() as checkpointer:
        for number in range(8):
            checkpointer.save(tmp_path / str(number), {"w": jnp.full(3, 256 + 2 * (number > 0), jnp.bfloat16)})
    like = {"w": jax.ShapeDtypeStruct((3,), jnp.float32)}
    found = checkpoint.average(
        [tmp_path / str(n) for n in range(8)], like, weights=olrs.ema_weights(8, alpha=0.01), path=""
    )
    np.testing.assert_allclose(found["w"], 256 + 2 * (1 - 0.99**7), rtol=2e-7)


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
def test_sharded_as_asked_on_another_mesh(kind, run):
    folder, trees = run
    mesh = jax.make_mesh((4, 2), ("data", "model"), axis_types=(kind, kind))
    specs = {"layers": [{"kernel": PartitionSpec("data", "model")}, {"kernel": PartitionSpec("model")}],
             "seen": PartitionSpec(), "empty": {}}  # fmt: skip
    like = jax.tree.map(
        lambda x, spec: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=NamedSharding(mesh, spec)), trees[0], specs
    )
    with jax.set_mesh(mesh):
        found = checkpoint.average(folder, like, weights=olrs.wma_weights(3))
    for leaf, wanted in zip(jax.tree.leaves(found), jax.tree.leaves(like)):
        assert leaf.sharding.is_equivalent_to(wanted.sharding, leaf.ndim)
    agrees(jax.device_get(found), trees[-3:], olrs.wma_weights(3))


def test_an_nnx_state(tmp_path):
    states = [nnx.state(nnx.Linear(3, 2, rngs=nnx.Rngs(seed))) for seed in range(2)]
    with ocp.StandardCheckpointer() as checkpointer:
        for number, state in enumerate(states):
            checkpointer.save(tmp_path / str(number), {"params": state})
    agrees(checkpoint.average([tmp_path / "0", tmp_path / "1"], states[0], weights=[0.5, 0.5]), states, [0.5, 0.5])


def test_a_checkpoint_that_is_being_written_is_none(run, tmp_path):
    folder, trees = run
    shutil.copytree(folder, tmp_path / "run")
    (tmp_path / "run" / "500").rename(tmp_path / "run" / "500.orbax-checkpoint-tmp-17")
    agrees(checkpoint.average(tmp_path / "run", trees[0], weights=[1.0]), trees[4:5], [1.0])
    with pytest.raises(ValueError, match=r"has no finished checkpoint of step 500, only of \[0, 100, 200, 300, 400\]"):
        checkpoint.average(tmp_path / "run", trees[0], weights=[1.0], steps=[500])


def test_a_torn_checkpoint_is_named(run, tmp_path):
    folder, trees = run
    shutil.copytree(folder, tmp_path / "run")
    (tmp_path / "run" / "500" / "default" / "_METADATA").write_text("{")
    with pytest.raises(ValueError, match=r"cannot read the checkpoint .*/500/default"):
        checkpoint.average(tmp_path / "run", trees[0], weights=[1.0])
    for torn in (tmp_path / "run" / "400" / "default" / "d").iterdir():
        torn.write_bytes(torn.read_bytes()[:5])
    with pytest.raises(ValueError, match=r"cannot read the checkpoint .*/400/default"):
        checkpoint.average(tmp_path / "run", trees[0], weights=[1.0], steps=[400])


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (dict(weights=[0.5, 0.6]), ValueError, "weights must be .* with sum 1"),
        (dict(weights=[1.5, -0.5]), ValueError, "weights must be non-negative"),
        (dict(weights=[np.nan, 1]), ValueError, "weights must be"),
        (dict(weights=[]), ValueError, "weights must be one or more"),
        (dict(weights="sma"), TypeError, "weights must be an array of numbers"),
        (dict(weights=[0.1] * 10), ValueError, "10 weights need 10 checkpoints; .* has 6"),
        (dict(steps=[100, 350]), ValueError, "has no finished checkpoint of step 350"),
        (dict(steps=[100, 200, 300]), ValueError, "one number for each checkpoint, got 2 for 3"),
        (dict(steps=[200, 100]), ValueError, "steps must increase"),
        (dict(path="parms"), ValueError, "400/default has no 'parms': instead of 'parms' it has"),
        (dict(path="params/layers/7"), ValueError, "has no 'params/layers/7': instead of '7' it has 2 entries"),
        (dict(checkpoints=17), TypeError, "checkpoints must be a folder, Checkpoints, a CheckpointManager or a list"),
        (dict(params={"other": jnp.zeros(1)}), ValueError, "400/default has no parameter 'other' at 'params'; it has"),
        (dict(params=params(0) | {"seen": jnp.zeros(3)}), ValueError, r"has 'seen' of shape \(\), and params has \(3,\)"),
        (dict(params={"seen": jnp.asarray(1)}), ValueError, "400/default has parameters at 'params' that are not in params: layers"),
    ],
)  # fmt: skip
def test_mistakes(run, change, error, says):
    folder, trees = run
    with pytest.raises(error, match=f"^checkpoint.average: .*({says})"):
        checkpoint.average(**dict(checkpoints=folder, params=trees[0], weights=[0.5, 0.5]) | change)


def test_folders_that_are_none(run, tmp_path):
    folder, trees = run
    for checkpoints, says in (
        (tmp_path / "nowhere", "nowhere is not a folder"), ([tmp_path / "nowhere"], "nowhere is not a folder"),
        ([folder], "is not an Orbax checkpoint of a tree"), (folder / "100" / "default", "is one checkpoint, not a folder of steps"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=says):
            checkpoint.average(checkpoints, trees[0], weights=[1.0])
    with pytest.raises(ValueError, match="steps needs a folder of steps"):
        checkpoint.average([folder / "100"], trees[0], weights=[1.0], steps=[100])
