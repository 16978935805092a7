"""checkpoint.average of checkpoints that Orbax wrote."""

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
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import optax_lrs as olrs
from optax_lrs import checkpoint, profiles
from optax_lrs.checkpoint._orbax import TEMPORARY


def params(seed, dtype=jnp.float32):
    draw = functools.partial(np.random.default_rng(seed).normal)
    return {
        "layers": [
            {"kernel": jnp.asarray(draw(size=(8, 4)), dtype)},
            {"kernel": jnp.asarray(draw(size=(4,)), jnp.float32)},
        ],
        "seen": jnp.asarray(seed, jnp.int32),
        "empty": {},
    }


def oracle(trees, weights):
    """The average in float64; integers are those of the last tree."""

    def mean(*leaves):
        if jnp.issubdtype(leaves[0].dtype, jnp.integer):
            return np.asarray(leaves[-1])
        return sum(c * np.asarray(leaf, np.float64) for c, leaf in zip(weights, leaves))

    return jax.tree.map(mean, *trees)


def agrees(found, trees, weights):
    """Equal within four roundings of the largest checkpoint, and one to the dtype of the result."""
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
    """A folder of a CheckpointManager with six steps, and the saved trees."""
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
    handler = ocp.PyTreeCheckpointHandler(use_ocdbt=False)  # one folder for each leaf, so that leaves can be deleted
    with ocp.Checkpointer(handler) as checkpointer:
        for number, tree in enumerate(trees):
            checkpointer.save(tmp_path / str(number), args=ocp.args.PyTreeSave(wrapped(tree, how)))
    folders = [tmp_path / "0", tmp_path / "1"]
    others = [folder for folder in tmp_path.glob("*/*") if folder.name.startswith(("opt_state.", "moments.", "0."))]
    for chunk in (file for folder in others for file in folder.rglob("*") if not file.name.startswith(".")):
        chunk.unlink()
    if others:
        with pytest.raises(ValueError, match="cannot read"):  # they are read where they are asked for
            checkpoint.average(folders[:1], wrapped(trees[0], how), weights=[1.0], path="")
    agrees(checkpoint.average(folders, trees[0], weights=[0.25, 0.75], path=PATHS[how]), trees, [0.25, 0.75])


def test_one_item_of_several(tmp_path):
    trees = [params(seed) for seed in range(2)]
    options = ocp.CheckpointManagerOptions(step_prefix="ckpt")
    with ocp.CheckpointManager(tmp_path, options=options) as manager:
        for step, tree in enumerate(trees):
            items = {
                "state": ocp.args.StandardSave({"params": tree}),
                "other": ocp.args.StandardSave({"x": 1}),
                "text": ocp.args.JsonSave({"a": 1}),
            }
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
    """In bfloat16 the average of 256 and 258 would not move."""
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
    specs = {
        "layers": [{"kernel": PartitionSpec("data", "model")}, {"kernel": PartitionSpec("model")}],
        "seen": PartitionSpec(),
        "empty": {},
    }
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


def test_an_unfinished_checkpoint_is_skipped(run, tmp_path):
    folder, trees = run
    shutil.copytree(folder, tmp_path / "run")
    (tmp_path / "run" / "500").rename(tmp_path / "run" / f"500{TEMPORARY}-17")
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
        (
            dict(params=params(0) | {"seen": jnp.zeros(3)}),
            ValueError,
            r"has 'seen' of shape \(\), and params has \(3,\)",
        ),
        (
            dict(params={"seen": jnp.asarray(1)}),
            ValueError,
            "400/default has parameters at 'params' that are not in params: layers",
        ),
    ],
)
def test_mistakes(run, change, error, says):
    folder, trees = run
    with pytest.raises(error, match=f"^checkpoint.average: .*({says})"):
        checkpoint.average(**dict(checkpoints=folder, params=trees[0], weights=[0.5, 0.5]) | change)


def test_folders_that_are_not_checkpoints(run, tmp_path):
    folder, trees = run
    for checkpoints, says in (
        (tmp_path / "nowhere", "nowhere is not a folder"),
        ([tmp_path / "nowhere"], "nowhere is not a folder"),
        ([folder], "is not an Orbax checkpoint of a tree"),
        (folder / "100" / "default", "is one checkpoint, not a folder of steps"),
    ):
        with pytest.raises(ValueError, match=says):
            checkpoint.average(checkpoints, trees[0], weights=[1.0])
    with pytest.raises(ValueError, match="steps needs a folder of steps"):
        checkpoint.average([folder / "100"], trees[0], weights=[1.0], steps=[100])
