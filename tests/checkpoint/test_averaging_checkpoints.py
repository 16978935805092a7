"""checkpoint.average finds, verifies and averages the checkpoints of Checkpoints."""

import json
import os
import shutil
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from flax.training.train_state import TrainState

import optax_lrs as olrs
from optax_lrs import checkpoint

STEPS = [10, 20, 30, 40]
LR = olrs.WSD(peak=1e-3, total_steps=100, warmup_steps=5, decay_steps=20)


class Training(NamedTuple):
    params: Any
    opt_state: Any


def params(step):
    draw = np.random.default_rng(step).normal(size=(64, 64))
    return {
        "layer": {"w": jnp.asarray(draw, jnp.float32)},
        "b": jnp.full(4, float(step), jnp.bfloat16),
        "n": jnp.int32(step),
    }


def state(step, how="dict"):
    tx = optax.chain(optax.scale_by_adam(), olrs.scale_by_live_schedule(LR))
    tree = params(step)
    return {
        "dict": lambda: {"params": tree, "opt_state": tx.init(tree)},
        "named tuple": lambda: Training(tree, tx.init(tree)),
        "train state": lambda: TrainState.create(apply_fn=None, params=tree, tx=tx),
    }[how]()


def save(folder, how="dict", steps=STEPS):
    with checkpoint.Checkpoints(folder, schedule=LR, keep=None) as checkpoints:
        for step in steps:
            checkpoints.save(step, state(step, how), position={"batch": step})
    return folder


def flip(step):
    """Flips one bit in the middle of the file with the largest array."""
    path = max((file for file in step.rglob("*") if file.is_file()), key=lambda file: file.stat().st_size)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 16
    path.write_bytes(data)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return save(tmp_path_factory.mktemp("ours"))


def agrees(found, steps=(30, 40)):
    wanted = np.mean([np.asarray(params(step)["layer"]["w"], np.float64) for step in steps], axis=0)
    np.testing.assert_allclose(found["layer"]["w"], wanted, rtol=0, atol=5e-7)
    assert found["b"].tolist() == [np.mean(steps)] * 4 and found["n"] == steps[-1]


def test_no_item_must_be_named(run):
    agrees(checkpoint.average(run, params(0), weights=[0.5, 0.5]))
    agrees(checkpoint.average(run, params(0), weights=olrs.merge_weights(4)), STEPS)


@pytest.mark.parametrize("how", ["named tuple", "train state"])
def test_inside_other_states_and_compared_there_too(how, tmp_path):
    save(tmp_path, how, STEPS[-1:])
    agrees(checkpoint.average(tmp_path, params(0), weights=[1.0]), STEPS[-1:])
    flip(tmp_path / "40" / "state")
    with pytest.raises(checkpoint.CheckpointError, match=r"40/state is damaged: 1 of 3 arrays differ"):
        checkpoint.average(tmp_path, params(0), weights=[1.0])


def test_an_nnx_state_is_compared_too(tmp_path):
    model = nnx.State({"kernel": nnx.Param(params(0)["layer"]["w"]), "bias": nnx.Param(jnp.zeros(64))})
    with checkpoint.Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, {"params": model})
    found = checkpoint.average(tmp_path, model, weights=[1.0])
    assert all(map(np.array_equal, jax.tree.leaves(found), jax.tree.leaves(model)))
    flip(tmp_path / "1" / "state")
    with pytest.raises(checkpoint.CheckpointError, match=r"1/state is damaged: 1 of 2 arrays differ .*kernel"):
        checkpoint.average(tmp_path, model, weights=[1.0])


def test_relative_folders(run, monkeypatch):
    monkeypatch.chdir(run.parent)
    agrees(checkpoint.average(run.name, params(0), weights=[0.5, 0.5]))
    singly = [f"{run.name}/30", os.path.join(run.name, "40", "state")]
    agrees(checkpoint.average(singly, params(0), weights=[0.5, 0.5]))


def test_checkpoints_themselves_and_their_running_save(tmp_path):
    with checkpoint.Checkpoints(tmp_path, schedule=LR) as checkpoints:
        for step in (30, 40):
            checkpoints.save(step, state(step))
        agrees(checkpoint.average(checkpoints, params(0), weights=[0.5, 0.5]))  # the second is still being written


def test_a_changed_bit_is_noticed_unless_verify_is_off(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    flip(tmp_path / "run" / "40" / "state")
    for checkpoints in (tmp_path / "run", [tmp_path / "run" / "30", tmp_path / "run" / "40" / "state"]):
        with pytest.raises(checkpoint.CheckpointError, match=r"40/state is damaged: .* from what was saved: layer/w$"):
            checkpoint.average(checkpoints, params(0), weights=[0.5, 0.5])
    found = checkpoint.average(tmp_path / "run", params(0), weights=[0.5, 0.5], verify=False)
    assert jax.tree.structure(found) == jax.tree.structure(params(0))
    agrees(checkpoint.average(tmp_path / "run", params(0), weights=[0.5, 0.5], steps=[10, 20]), (10, 20))


def test_the_checksums_themselves_must_be_there(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    about = tmp_path / "run" / "40" / "about" / "metadata"
    about.write_text(json.dumps(json.loads(about.read_text()) | {"step": 41}))
    with pytest.raises(checkpoint.CheckpointError, match=r"run/40: about/metadata is damaged"):
        checkpoint.average(tmp_path / "run", params(0), weights=[0.5, 0.5])
    shutil.rmtree(about.parent)
    with pytest.raises(checkpoint.CheckpointError, match=r"run/40: about/metadata is damaged or missing"):
        checkpoint.average(tmp_path / "run", params(0), weights=[0.5, 0.5])
    agrees(checkpoint.average(tmp_path / "run", params(0), weights=[0.5, 0.5], verify=False))


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype")
def test_64_bits_that_are_read_as_32_are_not_damage(tmp_path):
    assert not jax.config.jax_enable_x64
    tree = {"w": np.linspace(0, 1, 7), "n": 5, "v": np.ones(3, np.float32)}
    like = {"w": jnp.zeros(7), "n": jnp.int32(0), "v": jnp.zeros(3)}
    with checkpoint.Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, {"params": tree})
    found = checkpoint.average(tmp_path, like, weights=[1.0])
    np.testing.assert_allclose(found["w"], tree["w"], rtol=1e-7)
    assert found["n"] == 5
    with jax.enable_x64(True):
        checkpoint.average(tmp_path, tree, weights=[1.0])


def test_the_latest_must_be_evenly_spaced(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "20")
    says = r"latest 3 .* not evenly spaced: \[10, 30, 40\].* steps= .* \[10, 30, 40\]"
    with pytest.raises(ValueError, match=says):
        checkpoint.average(tmp_path / "run", params(0), weights=olrs.merge_weights(3))
    agrees(checkpoint.average(tmp_path / "run", params(0), weights=[0.5, 0.5]))
    weights = [0.25, 0.5, 0.25]
    found = checkpoint.average(tmp_path / "run", params(0), weights=weights, steps=[10, 30, 40])
    assert found["b"].tolist() == [27.5] * 4
