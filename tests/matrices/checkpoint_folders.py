"""Folders of checkpoints, ways to damage them, and comparisons, for tests of ``Checkpoints``."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax

import optax_lrs as olrs
from optax_lrs.checkpoint import Checkpoints

LR = olrs.WSD(peak=3e-4, total_steps=100, decay_steps=20)
OTHER_RATE = LR.replace(peak=2e-4)
OTHER_STEPS = LR.replace(total_steps=200)
OTHER_KIND = olrs.Cosine(peak=3e-4, total_steps=100)
OTHERS = {"rate": (OTHER_RATE, "peak"), "steps": (OTHER_STEPS, "total_steps"), "kind": (OTHER_KIND, "type")}
POSITION = {"batch": 7, "of": [1, 2]}


def live(schedule):
    return optax.chain(optax.scale_by_adam(), olrs.scale_by_live_schedule(schedule))


def make_init(tx, width=16):
    def init():
        w = jax.random.normal(jax.random.key(0), (32, width))
        params = {"w": w, "b": jnp.full(3, 0.1, jnp.bfloat16)}
        return {"params": params, "opt_state": tx.init(params)}

    return init


def trained(tx, steps=3):
    state = make_init(tx)()
    for _ in range(steps):
        updates, opt_state = tx.update(
            jax.tree.map(jnp.ones_like, state["params"]), state["opt_state"], state["params"]
        )
        state = {"params": optax.apply_updates(state["params"], updates), "opt_state": opt_state}
    return state


def shapes(tx, **options):
    return jax.eval_shape(make_init(tx, **options))


def assert_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b)):
        assert x.dtype == y.dtype and np.asarray(x).tobytes() == np.asarray(y).tobytes()


def written(root):
    """Two checkpoints with a live schedule (steps 10, 20) and two with a plain one."""
    for name, tx in (("live", live(LR)), ("plain", optax.adamw(LR))):
        with Checkpoints(root / name, schedule=LR) as checkpoints:
            for step in (10, 20):
                checkpoints.save(step, trained(tx, steps=step // 10), position=POSITION | {"step": step})
    return root


def snapshot(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# ── damage ────────────────────────────────────────────────────────────────────────────────────────


def flip(path, at=0.5, bit=4):
    data = bytearray(path.read_bytes())
    data[int(len(data) * at)] ^= bit
    path.write_bytes(data)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def chunk(step):
    """The file with the parameters, which is the largest."""
    return max((step / "state" / "ocdbt.process_0" / "d").iterdir(), key=lambda path: path.stat().st_size)


def forge(step, change):
    """Changes the item ``about`` and its digest, as another version would write it."""
    from optax_lrs.checkpoint._fingerprint import digest

    path = step / "about" / "metadata"
    about = json.loads(path.read_text())
    del about["digest"]
    change(about)
    path.write_text(json.dumps(about | {"digest": digest(about)}))


def empty_folder(step):
    shutil.rmtree(step)
    step.mkdir()


def another_program(step):
    empty_folder(step)
    (step / "model.safetensors").write_bytes(b"\0" * 100)


def another_model(step):
    shutil.rmtree(step)
    with Checkpoints(step.parent.parent / "elsewhere", schedule=LR) as checkpoints:
        checkpoints.save(20, make_init(live(LR), width=8)(), position=POSITION)
    shutil.copytree(step.parent.parent / "elsewhere" / "20", step)


def zeroed(step):
    path = chunk(step)
    path.write_bytes(bytes(path.stat().st_size))


def digit(step):
    path = step / "position" / "metadata"
    path.write_text(path.read_text().replace("7", "8"))


DAMAGE = {
    "a bit of an array": (lambda step: flip(chunk(step)), "state is damaged"),
    "an array cut": (lambda step: cut(chunk(step)), "state is damaged"),
    "an array zeroed": (zeroed, "state is damaged"),
    "an array emptied": (lambda step: chunk(step).write_bytes(b""), "state is damaged"),
    "an array gone": (lambda step: chunk(step).unlink(), "state is damaged"),
    "a bit of the index": (lambda step: flip(step / "state" / "manifest.ocdbt"), "state is damaged"),
    "the index cut": (lambda step: cut(step / "state" / "manifest.ocdbt"), "state is damaged"),
    "the index gone": (lambda step: (step / "state" / "manifest.ocdbt").unlink(), "state is damaged"),
    "the tree cut": (lambda step: cut(step / "state" / "_METADATA"), "state is damaged"),
    "a digit of an item": (digit, "position/metadata is damaged"),
    "an item cut": (lambda step: cut(step / "position" / "metadata"), "position/metadata is damaged"),
    "an item gone": (lambda step: shutil.rmtree(step / "position"), "position/metadata is damaged or missing"),
    "a bit of the record": (lambda step: flip(step / "about" / "metadata", 0.9), "about/metadata is damaged"),
    "the record emptied": (lambda step: (step / "about" / "metadata").write_bytes(b""), "about/metadata is damaged"),
    "the record gone": (lambda step: shutil.rmtree(step / "about"), "'about' is missing"),
    "the state gone": (lambda step: shutil.rmtree(step / "state"), "'state' is missing"),
    "everything gone": (empty_folder, "no item 'state' (in it: nothing)"),
    "another program's": (another_program, "no item 'state'"),
    "another model's": (another_model, "params/w ([32, 8] there, [32, 16] here)"),
    "of a newer version": (lambda step: forge(step, lambda about: about.update(format=2)), "format 2"),
    "of another step": (lambda step: forge(step, lambda about: about.update(step=30)), "saved as step 30"),
}  # fmt: skip
