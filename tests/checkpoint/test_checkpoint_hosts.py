"""Checkpoints of several processes, restored by another number of them."""

import pathlib

import pytest

import processes
from matrices.checkpoint_folders import cut

pytestmark = pytest.mark.filterwarnings("ignore:::orbax", "ignore:::tensorstore")


WORKER = """
import pathlib, sys, jax, jax.numpy as jnp, numpy as np
said, port, count, me, folder, task = [], sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 2)
if count > 1:
    jax.distributed.initialize(f"127.0.0.1:{port}", count, me)
import optax, optax_lrs as olrs
from optax_lrs.checkpoint import CheckpointError, Checkpoints
lr = olrs.WSD(peak=3e-4, total_steps=100, decay_steps=20)
tx = optax.chain(optax.scale_by_adam(), olrs.scale_by_live_schedule(lr))
mesh = jax.make_mesh((jax.device_count(),), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
cut, whole = (jax.NamedSharding(mesh, spec) for spec in (jax.P("d"), jax.P()))
def init():
    params = {"w": jnp.arange(32768.0).reshape(8, 4096)}
    return {"params": params, "opt_state": tx.init(params)}
shapes = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=cut if x.ndim == 2 else whole), jax.eval_shape(init))
state = jax.jit(init, out_shardings=jax.tree.map(lambda x: x.sharding, shapes))()
with Checkpoints(folder, schedule=lr, keep=2) as checkpoints:
    if task == "save":
        for step in (1, 2, 3):
            checkpoints.save(step, state, position={"step": step})
    else:
        try:
            checkpoints.restore(shapes)
            assert task == "restore"
        except CheckpointError as error:
            assert task == "damaged", error
            said.append(str(error))
        found = checkpoints.restore(shapes, fallback=task == "damaged")
        assert found.step == 3 and found.extra == {"position": {"step": found.step}}
        assert found.schedule == lr and found.state["params"]["w"].sharding == cut
        for shard in found.state["params"]["w"].addressable_shards:
            np.testing.assert_array_equal(shard.data, np.arange(32768.0).reshape(8, 4096)[shard.index])
        checkpoints.save(5 if task == "damaged" else 4, found.state, position={})
    checkpoints.wait()
    said.append(" ".join(map(str, checkpoints.steps())))
pathlib.Path(f"{folder}.{me}.txt").write_text("\\n".join(said))  # Gloo writes to stdout in between
"""


def hosts(count, folder, task):
    import socket
    import subprocess
    import sys

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-c", WORKER, str(port), str(count)]
    running = [
        subprocess.Popen(
            [*command, str(me), str(folder), task], env=processes.environment(), text=True, stdout=-1, stderr=-1
        )
        for me in range(count)
    ]
    try:
        ended = [process.communicate(timeout=900) for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0] * count, ended
    return [pathlib.Path(f"{folder}.{me}.txt").read_text().splitlines() for me in range(count)]


@pytest.mark.slow
def test_another_number_of_hosts(tmp_path):
    """Two processes save, one restores and saves again, and two restore that, with an array cut."""
    folder = tmp_path / "run"
    assert hosts(2, folder, "save") == [["2 3"], ["2 3"]]
    assert hosts(1, folder, "restore") == [["3 4"]]
    file = max((folder / "4" / "state" / "ocdbt.process_0" / "d").iterdir(), key=lambda path: path.stat().st_size)
    cut(file)
    for error, steps in hosts(2, folder, "damaged"):
        assert "step 4: state is damaged" in error and steps == "3 5"
    assert (folder / "4.damaged").is_dir()
