"""Checkpoints restore what was saved, on any mesh, in any kind of array."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from matrices.checkpoint_folders import LR, POSITION, assert_same, live, make_init, shapes, snapshot, trained
from optax_lrs.checkpoint import CheckpointError, Checkpoints
from optax_lrs.checkpoint._template import converted, placed

pytestmark = pytest.mark.filterwarnings("ignore:::orbax", "ignore:::tensorstore")


def test_a_state_is_restored_as_saved(saved):
    checkpoints = Checkpoints(saved / "live", schedule=LR)
    assert checkpoints.steps() == [10, 20] and checkpoints.latest == 20
    for step in (None, 10):
        before = snapshot(saved / "live")
        restored = checkpoints.restore(shapes(live(LR)), step=step)
        assert snapshot(saved / "live") == before
        number = step or 20
        assert restored.step == number and restored.skipped == {}
        assert restored.extra == {"position": POSITION | {"step": number}} and restored.schedule == LR
        assert_same(restored.state, trained(live(LR), steps=number // 10))
    assert checkpoints.schedule_at() == checkpoints.schedule_at(10) == LR


@pytest.mark.slow
def test_every_type_of_array(tmp_path):
    rng = np.random.default_rng(0)
    types = "float32 bfloat16 float16 float8_e4m3fn float8_e5m2 int32 int16 int8 int4 uint8 uint32 bool complex64"
    state = {name: jnp.asarray((rng.normal(size=(4, 6)) * 5).astype(name)) for name in types.split()}
    state |= {"key": jax.random.key(3), "raw_key": jax.random.PRNGKey(4), "int": 5, "float": 0.1, "none": None}
    state |= {"numpy": np.arange(3, dtype=np.int64), "scalar": jnp.float32(2), "list": [jnp.ones(2), (jnp.zeros(1),)]}
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(0, state)
        checkpoints.wait()
        restored = checkpoints.restore(state).state
        shapes = jax.tree.map(
            lambda x: x if isinstance(x, (int, float, np.ndarray)) else jax.eval_shape(lambda: x), state
        )
        again = checkpoints.restore(shapes).state
    for found in (restored, again):
        assert jax.tree.structure(found) == jax.tree.structure(state)
        assert jax.random.key_data(found.pop("key")).tolist() == jax.random.key_data(state["key"]).tolist()
        for key, leaf in found.items():
            assert_same(np.asarray(leaf), np.asarray(state[key])) if key != "list" else assert_same(leaf, state[key])
        assert type(found["int"]) is int and type(found["float"]) is float


def test_another_dtype_is_converted_after_it_was_verified(folder):
    template = shapes(live(LR))
    template["params"]["w"] = jax.ShapeDtypeStruct((32, 16), jnp.bfloat16)
    restored = Checkpoints(folder(), schedule=LR).restore(template).state
    expected = trained(live(LR), steps=2)["params"]["w"].astype(jnp.bfloat16)
    assert_same(restored["params"]["w"], expected)


@pytest.mark.parametrize("jitted", [False, True])
def test_the_step_of_a_train_state_is_a_python_number_until_it_is_jitted(tmp_path, jitted):
    """It is saved as int64, and the next run may ask for int32, or the reverse.

    Neither is damage.
    """
    train_state = pytest.importorskip("flax.training.train_state")
    tx = optax.adamw(LR)
    created = train_state.TrainState.create(apply_fn=None, params={"w": jnp.ones(3)}, tx=tx)
    after = jax.jit(lambda state: state.apply_gradients(grads={"w": jnp.ones(3)}))(created)
    assert type(created.step) is int and after.step.dtype == jnp.int32
    state = after if jitted else created
    with Checkpoints(tmp_path, schedule=LR) as checkpoints:
        checkpoints.save(1, state)
        checkpoints.wait()
        for template in (created, after, jax.eval_shape(lambda: created)):
            found = checkpoints.restore(template).state
            assert found.step == int(jitted)
            assert type(found.step) is int if template is created else found.step.dtype == jnp.int32
            assert isinstance(found.step, jax.Array) == (template is not created)
            assert_same((found.params, found.opt_state), (state.params, state.opt_state))


HOST = {
    "int": 4,
    "float": 0.1,
    "bool": True,
    "complex": np.complex128(1 + 2j),
    "int64": np.int64(4),
    "float64": np.float64(0.1),
    "int32": np.int32(-4),
    "ints": np.arange(3),
    "floats": np.linspace(0, 1, 3),
    "float32": np.float32(0.5),
    "beyond int32": 2**40,
}


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """A state of host numbers, most of them with 64 bits."""
    folder = tmp_path_factory.mktemp("host")
    with Checkpoints(folder) as checkpoints:
        checkpoints.save(1, HOST)
    return folder


@pytest.mark.parametrize("x64", [False, True])
def test_numbers_of_the_host_come_back_as_the_template_has_them(host, x64):
    fits = {key: leaf for key, leaf in HOST.items() if key != "beyond int32"}
    rest = {"beyond int32": HOST["beyond int32"]}
    with jax.enable_x64(x64):
        found = Checkpoints(host).restore(HOST).state
        for key, leaf in HOST.items():
            assert type(found[key]) is type(leaf) and np.array_equal(found[key], leaf), key
            assert np.asarray(found[key]).dtype == np.asarray(leaf).dtype
        arrays = {key: jnp.asarray(leaf) for key, leaf in fits.items()}
        for template in (arrays, jax.eval_shape(lambda: arrays)):
            found = Checkpoints(host).restore(template | rest).state
            assert all(isinstance(found[key], jax.Array) for key in arrays)
            assert_same({key: found[key] for key in arrays}, arrays)
        narrow = {key: np.asarray(leaf).astype(arrays[key].dtype) for key, leaf in fits.items()}
        found = Checkpoints(host).restore(narrow | rest).state
        assert all(type(found[key]) is np.ndarray for key in narrow)
        assert_same({key: found[key] for key in narrow}, narrow)
        asked = fits | {"beyond int32": jax.ShapeDtypeStruct((), np.int64)}
        if x64:
            assert int(Checkpoints(host).restore(asked).state["beyond int32"]) == 2**40
        else:
            with pytest.raises(CheckpointError, match=r"template: beyond int32 .* int32 cannot hold"):
                Checkpoints(host).restore(asked)


def test_an_integer_that_would_change_is_an_error():
    def convert(value, leaf):
        return converted({"x": np.asarray(value)}, placed({"x": leaf}), "here")["x"]

    for leaf in (jnp.int32(0), np.int32(0), np.zeros((), np.int32), jax.ShapeDtypeStruct((), np.int32)):
        with pytest.raises(CheckpointError, match="x was saved as int64 with values that int32 cannot hold"):
            convert(2**40, leaf)
        assert convert(4, leaf) == 4 and convert(4, leaf).dtype == np.int32
    with pytest.raises(CheckpointError, match="x was saved as int32 with values that uint32 cannot hold"):
        convert(np.int32(-4), jnp.uint32(0))  # wraps there and back
    with pytest.raises(CheckpointError, match=r"x was saved as 0\.1, which is not a valid int"):
        convert(0.1, 0)
    with pytest.raises(CheckpointError, match=r"x was saved as .*, which is not a valid float"):
        convert(1 + 2j, 0.0)
    with jax.enable_x64(True), pytest.raises(CheckpointError, match="int32 cannot hold"):
        converted({"x": jnp.int64(2**40)}, placed({"x": jnp.int32(0)}), "here")  # on the device
    assert convert(4, 0.0) == 4.0 and type(convert(4, 0.0)) is float
    assert convert(2**63, 0) == 2**63 and convert(np.nan, jnp.float32(0)).dtype == jnp.float32


def test_doubles_of_a_device_are_read_without_x64(tmp_path):
    with jax.enable_x64(True), Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, {"w": jnp.linspace(0, 1, 7, dtype=jnp.float64), "step": jnp.int64(3)})
    shape = {"w": jax.ShapeDtypeStruct((7,), np.float32), "step": jax.ShapeDtypeStruct((), np.int32)}
    found = Checkpoints(tmp_path).restore(shape).state
    assert_same(found, {"w": jnp.asarray(np.linspace(0, 1, 7), jnp.float32), "step": jnp.int32(3)})
    with jax.enable_x64(True):
        exact = Checkpoints(tmp_path).restore({"w": jnp.zeros(7, jnp.float64), "step": 0}).state
        assert exact["w"].dtype == jnp.float64 and exact["step"] == 3
        assert np.asarray(exact["w"]).tobytes() == np.asarray(jnp.linspace(0, 1, 7, dtype=jnp.float64)).tobytes()


def place(state, mesh, spec):
    def put(leaf):
        sharding = jax.NamedSharding(mesh, spec if leaf.ndim == 2 else jax.P())
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)

    return jax.tree.map(put, state)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Auto", "Explicit"])
def test_meshes(saved, tmp_path, kind):
    """Saved on one device, restored on eight, then on two and on one.

    The checksums stay the same.
    """
    kinds = (getattr(jax.sharding.AxisType, kind),) * 2
    eight, two = (
        jax.make_mesh(shape, ("a", "b"), axis_types=kinds, devices=jax.devices()[: shape[0] * shape[1]])
        for shape in ((4, 2), (1, 2))
    )
    expected, template = trained(live(LR), steps=2), shapes(live(LR))
    on_eight = Checkpoints(saved / "live", schedule=LR).restore(place(template, eight, jax.P("a", "b"))).state
    assert_same(on_eight, expected)
    w = on_eight["params"]["w"]
    assert w.sharding.spec == jax.P("a", "b") and w.addressable_shards[0].data.shape == (8, 8)
    with Checkpoints(tmp_path, schedule=LR) as checkpoints:
        checkpoints.save(1, on_eight)
        checkpoints.wait()
        assert_same(checkpoints.restore(place(template, two, jax.P("b"))).state, expected)
        assert_same(checkpoints.restore(template).state, expected)
        with jax.set_mesh(eight):  # shapes without a place come to the mesh in force
            found = checkpoints.restore(jax.eval_shape(make_init(live(LR)))).state
            assert_same(found, expected)
            assert found["params"]["w"].sharding.mesh == eight
            if kind == "Explicit":
                on_a = jax.eval_shape(lambda w: w, jax.ShapeDtypeStruct((32, 16), jnp.float32, sharding=jax.P("a")))
                assert isinstance(on_a.sharding.mesh, jax.sharding.AbstractMesh)
                template["params"]["w"] = on_a
                assert checkpoints.restore(template).state["params"]["w"].addressable_shards[0].data.shape == (8, 16)
        if kind == "Explicit":
            with pytest.raises(ValueError, match="template has params/w sharded over an abstract mesh"):
                checkpoints.restore(template)
    a, b = (json.loads((path / "about" / "metadata").read_text()) for path in (saved / "live" / "20", tmp_path / "1"))
    assert a["leaves"] == b["leaves"]


def test_which_are_kept(tmp_path):
    state = {"w": jnp.ones(3)}
    with Checkpoints(tmp_path, keep=2, keep_steps=[3], keep_every=4) as checkpoints:
        for step in (1, 2, 3, 4, 5, 7, 8, 9):
            checkpoints.save(step, state)
    assert sorted(int(path.name) for path in tmp_path.iterdir()) == [3, 4, 8, 9]
    with Checkpoints(tmp_path, keep=None) as checkpoints:
        checkpoints.save(10, state)
    assert Checkpoints(tmp_path).steps() == [3, 4, 8, 9, 10]


def test_a_save_is_complete_or_absent(tmp_path):
    """A kill leaves a temporary folder.

    It is not a checkpoint, and does not prevent the next save of that step.
    """
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, {"w": jnp.ones(3)})
    shutil.copytree(tmp_path / "1", tmp_path / "2.orbax-checkpoint-tmp")
    (tmp_path / ".deleted" / "0").mkdir(parents=True)  # was being deleted
    assert Checkpoints(tmp_path).steps() == [1]
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(2, {"w": jnp.zeros(3)})
    assert Checkpoints(tmp_path).restore({"w": jnp.ones(3)}).state["w"].tolist() == [0, 0, 0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2"]
