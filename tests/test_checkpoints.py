"""Checkpoints: what is restored is what was saved, under the schedule that was meant, or an error says why not.

The folders of checkpoints are written once and copied; each kind of damage is then done to a copy.
"""

import json
import pathlib
import shutil
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest

import optax_lrs as olrs
from optax_lrs.checkpoint import CheckpointError, Checkpoints
from optax_lrs.checkpoint._checksum import checksums
from optax_lrs.checkpoint._fingerprint import schedules_in
from optax_lrs.checkpoint._template import converted, placed

LR = olrs.WSD(peak=3e-4, total_steps=100, decay_steps=20)
OTHER_RATE = LR.replace(peak=2e-4)
OTHER_STEPS = LR.replace(total_steps=200)
OTHER_KIND = olrs.Cosine(peak=3e-4, total_steps=100)
OTHERS = {"rate": (OTHER_RATE, "peak"), "steps": (OTHER_STEPS, "total_steps"), "kind": (OTHER_KIND, "type")}
POSITION = {"batch": 7, "of": [1, 2]}

pytestmark = pytest.mark.filterwarnings("ignore:::orbax", "ignore:::tensorstore")


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


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Two checkpoints with a live schedule (steps 10, 20) and two with a plain one."""
    root = tmp_path_factory.mktemp("saved")
    for name, tx in (("live", live(LR)), ("plain", optax.adamw(LR))):
        with Checkpoints(root / name, schedule=LR) as checkpoints:
            for step in (10, 20):
                checkpoints.save(step, trained(tx, steps=step // 10), position=POSITION | {"step": step})
    return root


@pytest.fixture
def folder(saved, tmp_path):
    def copy(name="live"):
        return pathlib.Path(shutil.copytree(saved / name, tmp_path / name))

    return copy


def snapshot(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# ── saving and restoring ───────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_saved_is_restored(saved):
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
def test_the_step_of_a_train_state_is_a_number_of_python_until_it_is_jitted(tmp_path, jitted):
    """It is saved as int64, and the next run may ask for int32: that is no damage. And the other way round."""
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
    """A state of numbers of the host, most of them of 64 bits."""
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
    with pytest.raises(CheckpointError, match=r"x was saved as 0\.1, which is no int"):
        convert(0.1, 0)
    with pytest.raises(CheckpointError, match=r"x was saved as .*, which is no float"):
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
    """Saved on one device, restored on eight; saved there, restored on two of them, and on one: the same checksums."""
    kinds = (getattr(jax.sharding.AxisType, kind),) * 2
    eight, two = (jax.make_mesh(shape, ("a", "b"), axis_types=kinds, devices=jax.devices()[: shape[0] * shape[1]])
                  for shape in ((4, 2), (1, 2)))  # fmt: skip
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
            with pytest.raises(ValueError, match="params/w of the template is sharded over an abstract mesh"):
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


def test_a_save_is_whole_or_not_there(tmp_path):
    """What a kill leaves: a temporary folder, which is no checkpoint, and does not stop the next save of that step."""
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, {"w": jnp.ones(3)})
    shutil.copytree(tmp_path / "1", tmp_path / "2.orbax-checkpoint-tmp")
    (tmp_path / ".deleted" / "0").mkdir(parents=True)  # was being deleted
    assert Checkpoints(tmp_path).steps() == [1]
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(2, {"w": jnp.zeros(3)})
    assert Checkpoints(tmp_path).restore({"w": jnp.ones(3)}).state["w"].tolist() == [0, 0, 0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2"]


# ── checksums ──────────────────────────────────────────────────────────────────────────────────────────────────────


def murmur(words, index):
    """The formula in Python's integers, one by one."""
    total = 0
    for i, w in zip(index, words):
        x = w ^ (i * 0x9E3779B1 % 2**32)
        x = (x ^ (x >> 16)) * 0x85EBCA6B % 2**32
        x = (x ^ (x >> 13)) * 0xC2B2AE35 % 2**32
        total += x ^ (x >> 16)
    return f"{total % 2**32:08x}"


def test_checksums_are_the_formula_on_devices_and_in_numpy():
    rng = np.random.default_rng(1)
    for dtype, bits in (("float32", "<u4"), ("bfloat16", "<u2"), ("int8", "u1"), ("bool", "u1")):
        x = (rng.normal(size=(3, 5, 2)) * 9).astype(dtype)
        words = [int(word) for word in x.view(bits).ravel()]
        expected = {"x": murmur(words, range(x.size))}
        assert checksums({"x": x}) == checksums({"x": jnp.asarray(x)}) == expected
    with jax.enable_x64(True):
        x = rng.normal(size=(3, 4))
        expected = {"x": murmur([int(word) for word in x.view("<u4").ravel()], range(2 * x.size))}
        assert checksums({"x": x}) == checksums({"x": jnp.asarray(x)}) == expected


def test_checksums_see_what_a_sum_of_bits_does_not():
    x = np.random.default_rng(2).normal(size=(8, 4)).astype(np.float32)
    seen = {checksums(x)[""]}
    for damage in (x[::-1], x.T.reshape(8, 4), -x, np.where(np.arange(4) < 2, -x, x), np.roll(x, 1), x[:, ::-1], 0 * x):
        seen.add(checksums(np.ascontiguousarray(damage))[""])
    for bit in range(32):  # any one bit
        other = x.copy()
        other.view(np.uint32)[3, 2] ^= np.uint32(1 << bit)
        seen.add(checksums(other)[""])
    assert len(seen) == 8 + 32


def test_checksums_move_no_arrays():
    """On the compiled program: every device sums its own shards, and one collective adds the sums of all leaves."""
    from optax_lrs.checkpoint._checksum import _on_device

    mesh = jax.make_mesh((8,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    types = (jnp.float32, jnp.bfloat16, jnp.int32)
    shapes = [jax.ShapeDtypeStruct((64, 8), dtype, sharding=jax.NamedSharding(mesh, jax.P("d"))) for dtype in types]
    text = _on_device.lower(shapes).compile().as_text()
    collectives = [text.count(f" {name}(") for name in ("all-reduce", "all-gather", "all-to-all", "collective-permute")]
    assert collectives == [1, 0, 0, 0]


# ── another schedule ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("kind", ["live", "plain"])
def test_another_schedule_is_a_choice(saved, kind, other):
    new, field = OTHERS[other]
    tx = live(new) if kind == "live" else optax.adamw(new)
    checkpoints = Checkpoints(saved / kind, schedule=new)
    with pytest.raises(ValueError) as caught:
        checkpoints.restore(shapes(tx), fallback=True)  # no damage: nothing to fall back from
    message = str(caught.value)
    assert not isinstance(caught.value, CheckpointError)
    for part in (str(saved / kind), "step 20", f"{field} is", repr(LR), repr(new), "keep", "override", "error"):
        assert part in message
    expected = trained(live(LR) if kind == "live" else optax.adamw(LR), steps=2)

    with warnings.catch_warnings() if kind == "live" else pytest.warns(UserWarning, match="Build it with `.schedule`"):
        kept = checkpoints.restore(shapes(tx), on_mismatch="keep")
    assert kept.schedule == LR == checkpoints.schedule_at() == checkpoints.schedule
    assert_same(kept.state, expected)  # of a live schedule the structure, too

    taken = checkpoints.restore(shapes(tx), on_mismatch="override")
    assert taken.schedule == new == checkpoints.schedule
    if kind == "live":
        assert_same(taken.state, expected | {"opt_state": olrs.with_schedule(expected["opt_state"], new)})
    else:
        assert_same(taken.state, expected)
    grads = jax.tree.map(jnp.ones_like, expected["params"])
    _, after = tx.update(grads, taken.state["opt_state"], taken.state["params"])
    (rate,) = olrs.learning_rates(after, new).values()
    assert rate == new(2)


def test_the_live_schedule_that_a_controller_put_there_counts(tmp_path):
    state = trained(live(LR))
    state["opt_state"] = olrs.with_schedule(state["opt_state"], OTHER_RATE)
    with Checkpoints(tmp_path, schedule=LR) as checkpoints:
        checkpoints.save(3, state)
        checkpoints.wait()
        with pytest.raises(ValueError, match=r"peak is 0\.0002 there and 0\.0003 here"):
            checkpoints.restore(shapes(live(LR)))
        assert checkpoints.schedule_at() == OTHER_RATE
        assert checkpoints.restore(shapes(live(LR)), on_mismatch="keep").schedule == OTHER_RATE
        assert Checkpoints(tmp_path, schedule=OTHER_RATE).restore(shapes(live(OTHER_RATE))).schedule == OTHER_RATE


def test_shapes_alone_cannot_be_compared_and_a_state_can(saved):
    checkpoints = Checkpoints(saved / "live")
    with pytest.raises(ValueError, match="say which schedule this program runs"):
        checkpoints.restore(shapes(live(LR)))
    with pytest.raises(ValueError, match="say which schedule this program runs"):
        checkpoints.restore(shapes(live(LR)), on_mismatch="override")
    assert checkpoints.restore(shapes(live(OTHER_STEPS)), on_mismatch="keep").schedule == LR
    assert checkpoints.restore(trained(live(LR))).step == 20
    with pytest.raises(ValueError, match=r"peak is 0\.0003 there and 0\.0002"):
        checkpoints.restore(trained(live(OTHER_RATE)))
    found = checkpoints.restore(trained(live(OTHER_RATE)), on_mismatch="override").state
    assert float(found["opt_state"][1].schedule.peak) == np.float32(2e-4)
    with pytest.raises(ValueError, match="schedule= is not the live schedule of the template"):
        Checkpoints(saved / "live", schedule=OTHER_STEPS).restore(shapes(live(LR)))


def test_a_schedule_that_was_kept_is_what_later_saves_store(folder):
    path, tx = folder("plain"), optax.adamw(OTHER_RATE)
    with Checkpoints(path, schedule=OTHER_RATE) as checkpoints:
        with pytest.warns(
            UserWarning, match="step 20: its schedule is kept, WSD.*0003.* goes on with its own, WSD.*0002"
        ):
            state = checkpoints.restore(shapes(tx), on_mismatch="keep").state
        checkpoints.save(21, state)
    next_start = Checkpoints(path, schedule=OTHER_RATE)
    assert next_start.schedule_at(21) == LR
    with pytest.raises(ValueError, match=r"step 21 was saved with another schedule: peak is 0\.0003 there and 0\.0002"):
        next_start.restore(shapes(tx))
    with Checkpoints(path, schedule=OTHER_RATE) as checkpoints:
        state = checkpoints.restore(shapes(tx), on_mismatch="override").state
        checkpoints.save(22, state)
    assert next_start.restore(shapes(tx)).schedule == OTHER_RATE


def factored(factor):
    return olrs.rates_by_path(optax.identity(), LR, {"w": factor, ".*": 1.0})


AGAIN = olrs.Linear(peak=2e-4, total_steps=50)


@pytest.mark.parametrize("kind", ["rewarming", "factors"])
def test_a_schedule_in_the_state_that_is_not_the_live_one(tmp_path, kind):
    """Its shapes cannot be compared, and schedule= does not tell of it; a state can, and keep needs no comparing."""

    def make(inner):
        tx = olrs.rewarming(LR, again=inner) if kind == "rewarming" else factored(inner)
        return lambda: {"opt_state": tx.init({"w": jnp.ones(2), "b": jnp.ones(2)})}

    def inner(state):
        (peak,) = (float(node.peak) for node, is_live in schedules_in(state).values() if not is_live)
        return peak

    with Checkpoints(tmp_path, schedule=LR) as checkpoints:
        checkpoints.save(1, make(AGAIN)())
    assert checkpoints.schedule_at() == LR
    other = make(AGAIN.replace(peak=9e-4))
    for choice in ("error", "override"):
        with pytest.raises(ValueError, match=r"has a schedule at .*, Linear.*Give a template with numbers"):
            checkpoints.restore(jax.eval_shape(other), on_mismatch=choice)
    kept = checkpoints.restore(jax.eval_shape(other), on_mismatch="keep")
    assert kept.schedule == LR and inner(kept.state) == inner(make(AGAIN)()) == np.float32(2e-4)
    assert_same(checkpoints.restore(make(AGAIN)()).state, make(AGAIN)())
    with pytest.raises(ValueError, match=r"peak is 0\.0002 there and 0\.0009 here"):
        checkpoints.restore(other())
    assert inner(checkpoints.restore(other(), on_mismatch="override").state) == inner(other())


def test_rewarming_and_factors_without_a_schedule_of_their_own(tmp_path):
    for name, tx in (("a", olrs.rewarming(LR)), ("b", factored(0.5))):
        init = lambda: tx.init({"w": jnp.ones(2), "b": jnp.ones(2)})  # noqa: B023, E731
        with Checkpoints(tmp_path / name, schedule=LR) as checkpoints:
            checkpoints.save(1, init())
        assert_same(checkpoints.restore(jax.eval_shape(init)).state, init())
        assert checkpoints.schedule_at() == LR


def test_several_live_schedules_are_not_made_one(tmp_path):
    def init(*schedules):
        rates = {str(i): olrs.scale_by_live_schedule(schedule) for i, schedule in enumerate(schedules)}
        tx = optax.partition(rates, {"a": "0", "b": "1"})
        return lambda: tx.init({"a": jnp.ones(2), "b": jnp.ones(3)})

    two, same = init(LR, OTHER_RATE), init(LR, LR)
    for name, state in (("two", two()), ("same", same())):
        with Checkpoints(tmp_path / name, schedule=LR) as checkpoints:
            checkpoints.save(1, state)
    for schedule, choice in ((LR, "error"), (LR, "override"), (None, "error"), (None, "override")):
        with pytest.raises(ValueError, match=r"only the shapes of 2 live schedules .* give a template with numbers"):
            Checkpoints(tmp_path / "two", schedule=schedule).restore(jax.eval_shape(two), on_mismatch=choice)
    unsaid = Checkpoints(tmp_path / "two")
    assert unsaid.schedule_at() is None
    assert_same(unsaid.restore(two()).state, two())
    assert_same(unsaid.restore(jax.eval_shape(two), on_mismatch="keep").state, two())
    assert_same(unsaid.restore(init(LR, AGAIN)(), on_mismatch="override").state, init(LR, AGAIN)())
    found = Checkpoints(tmp_path / "same", schedule=LR).restore(jax.eval_shape(same))
    assert found.schedule == LR and Checkpoints(tmp_path / "same").schedule_at() == LR
    with ocp.CheckpointManager(tmp_path / "orbax") as manager:
        manager.save(1, args=ocp.args.StandardSave(two()))
    with pytest.raises(ValueError, match="only the shapes of 2 live schedules"):
        Checkpoints(tmp_path / "orbax", schedule=LR).restore(jax.eval_shape(two), on_mismatch="override")


@pytest.mark.slow
def test_the_state_of_an_nnx_optimizer(tmp_path):
    """nnx.split takes the types away: the rates are found by their names, the counts are in the graph."""
    from flax import nnx

    def make(schedule):
        model = nnx.Linear(4, 4, rngs=nnx.Rngs(0))
        return model, nnx.Optimizer(model, live(schedule), wrt=nnx.Param)

    def restored(schedule, **options):
        graph, shapes = nnx.split(nnx.eval_shape(lambda: make(schedule)))
        found = Checkpoints(tmp_path, schedule=schedule).restore(shapes, **options)
        return found.schedule, nnx.merge(graph, found.state)[1].opt_state[1].schedule

    with Checkpoints(tmp_path, schedule=LR) as checkpoints:
        state = nnx.split(make(OTHER_RATE))[1]  # a controller has changed the rate meanwhile
        checkpoints.save(1, state)
    assert checkpoints.schedule_at() == OTHER_RATE
    with pytest.raises(ValueError, match=r"peak is 0\.0002 there and 0\.0003 here"):
        restored(LR)
    for schedule, inside in (restored(OTHER_RATE), restored(LR, on_mismatch="keep")):
        assert schedule == OTHER_RATE and np.float32(inside.peak) == np.float32(2e-4)
    schedule, inside = restored(OTHER_STEPS, on_mismatch="override")
    assert schedule == OTHER_STEPS and np.float32(inside.peak) == np.float32(3e-4) and inside.total_steps == 200
    with pytest.raises(ValueError, match=r"build the optimizer with checkpoints\.schedule_at"):
        restored(OTHER_STEPS, on_mismatch="keep")
    with pytest.raises(ValueError, match="say which schedule this program runs"):
        Checkpoints(tmp_path).restore(state)
    with pytest.raises(ValueError, match="the live schedule in this state has the rates end, peak"):
        Checkpoints(tmp_path, schedule=olrs.Constant(value=0.1)).save(2, state)


def test_a_schedule_that_was_never_named(tmp_path):
    tx = optax.adamw(LR)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, trained(tx))
    assert Checkpoints(tmp_path).restore(shapes(tx)).schedule is None
    asked = Checkpoints(tmp_path, schedule=LR)
    for choice in ("error", "keep"):
        with pytest.raises(ValueError, match="does not say its schedule"):
            asked.restore(shapes(tx), on_mismatch=choice)
    assert asked.restore(shapes(tx), on_mismatch="override").schedule == LR


def test_notes_do_not_count_and_digits_do(tmp_path):
    noted = olrs.Tabulated(lrs=[0.1, 0.2])
    tx = optax.adamw(noted)
    with Checkpoints(tmp_path, schedule=noted) as checkpoints:
        checkpoints.save(1, trained(tx))
    assert Checkpoints(tmp_path, schedule=noted).restore(shapes(tx)).schedule == noted
    with pytest.raises(ValueError, match=r"lrs\[1\] is 0\.2 there and 0\.2000000\d+ here"):
        Checkpoints(tmp_path, schedule=olrs.Tabulated(lrs=[0.1, 0.20000001])).restore(shapes(tx))


def test_an_error_about_a_table_is_short(tmp_path):
    table = olrs.Tabulated(lrs=np.linspace(1, 0.5, 900))
    with Checkpoints(tmp_path, schedule=table) as checkpoints:
        checkpoints.save(1, {"w": jnp.ones(2)})
    with pytest.raises(ValueError, match="type is 'Tabulated' there and 'WSD' here") as caught:
        Checkpoints(tmp_path, schedule=LR).restore({"w": jnp.ones(2)})
    assert len(str(caught.value)) < 1000


def test_a_schedule_class_that_is_not_imported(folder):
    path = folder("plain")
    forge(path / "20", lambda about: about["schedule"].update(type="Sawtooth"))
    checkpoints = Checkpoints(path, schedule=LR)
    with pytest.raises(ValueError, match="type is 'Sawtooth' there and 'WSD' here"):
        checkpoints.restore(shapes(optax.adamw(LR)))
    with pytest.raises(ValueError, match="import its module"):
        checkpoints.restore(shapes(optax.adamw(LR)), on_mismatch="keep")
    assert checkpoints.restore(shapes(optax.adamw(LR)), on_mismatch="override").schedule == LR
    assert Checkpoints(path).restore(shapes(optax.adamw(LR))).schedule is None


def test_a_checkpoint_of_orbax_alone(tmp_path):
    state = trained(live(LR))
    with ocp.CheckpointManager(tmp_path) as manager:
        manager.save(3, args=ocp.args.StandardSave(state))
    checkpoints, tx = Checkpoints(tmp_path, schedule=OTHER_RATE), live(OTHER_RATE)
    with pytest.raises(ValueError, match="does not say which schedule its arrays at opt_state/1/schedule belong to"):
        checkpoints.restore(shapes(tx))
    kept = checkpoints.restore(shapes(tx), on_mismatch="keep")
    assert_same(kept.state, state)
    assert kept.schedule is None
    taken = checkpoints.restore(shapes(tx), on_mismatch="override")
    assert_same(taken.state["opt_state"], olrs.with_schedule(state["opt_state"], OTHER_RATE))
    with pytest.raises(CheckpointError, match=r"params/w \(\[32, 16\] there, \[32, 8\] here\)"):
        checkpoints.restore(shapes(tx, width=8), on_mismatch="keep")


# ── damage ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def flip(path, at=0.5, bit=4):
    data = bytearray(path.read_bytes())
    data[int(len(data) * at)] ^= bit
    path.write_bytes(data)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def chunk(step):
    """The file with the parameters: the largest."""
    return max((step / "state" / "ocdbt.process_0" / "d").iterdir(), key=lambda path: path.stat().st_size)


def forge(step, change):
    """Changes what a checkpoint says of itself, with the right digest: as another version would write it."""
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
    "a bit of what it says": (lambda step: flip(step / "about" / "metadata", 0.9), "about/metadata is damaged"),
    "what it says emptied": (lambda step: (step / "about" / "metadata").write_bytes(b""), "about/metadata is damaged"),
    "what it says gone": (lambda step: shutil.rmtree(step / "about"), "'about' is missing"),
    "the state gone": (lambda step: shutil.rmtree(step / "state"), "'state' is missing"),
    "everything gone": (empty_folder, "no item 'state' (in it: nothing)"),
    "another program's": (another_program, "no item 'state'"),
    "another model's": (another_model, "params/w ([32, 8] there, [32, 16] here)"),
    "of a newer version": (lambda step: forge(step, lambda about: about.update(format=2)), "format 2"),
    "of another step": (lambda step: forge(step, lambda about: about.update(step=30)), "saved as step 30"),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_an_error_that_says_where_or_falls_back(folder, kind):
    damage, words = DAMAGE[kind]
    path = folder()
    damage(path / "20")
    before = snapshot(path)
    checkpoints = Checkpoints(path, schedule=LR)
    with pytest.raises(CheckpointError) as caught:
        checkpoints.restore(shapes(live(LR)))
    message = str(caught.value)
    assert f"{path}, step 20" in message and words in message and "Earlier ones: 10" in message
    assert len(message) < 700
    with pytest.warns(UserWarning, match="fell back to step 10 from step 20"):
        restored = checkpoints.restore(shapes(live(LR)), fallback=True)
    assert restored.step == 10 and list(restored.skipped) == [20] and words in restored.skipped[20]
    assert_same(restored.state, trained(live(LR), steps=1))
    assert snapshot(path) == before  # reading changes nothing


@pytest.mark.parametrize("kind", ["an array cut", "everything gone", "another program's"])
def test_what_is_damaged_is_moved_aside_when_it_is_in_the_way(folder, kind):
    path = folder()
    DAMAGE[kind][0](path / "20")
    before = {str(file.relative_to(path / "20")): data for file, data in snapshot(path / "20").items()}
    with Checkpoints(path, schedule=LR) as checkpoints:
        with pytest.warns(UserWarning, match="fell back"):
            restored = checkpoints.restore(shapes(live(LR)), fallback=True)
        checkpoints.save(15, restored.state, position={})  # Orbax would skip it: there is a later one
        checkpoints.save(20, restored.state, position={})
    assert checkpoints.steps() == [10, 15, 20] and checkpoints.restore(shapes(live(LR))).step == 20
    aside = path / "20.damaged"
    assert {str(file.relative_to(aside)): data for file, data in snapshot(aside).items()} == before


def test_falling_back_to_another_schedule_tells_of_the_damage(folder):
    path, state = folder("plain"), trained(optax.adamw(LR))
    with Checkpoints(path, schedule=OTHER_RATE) as checkpoints:
        checkpoints.save(30, state)
    flip(chunk(path / "30"))
    words = r"step 20 was saved with another schedule.* Skipped before it: .*step 30: state is damaged"
    with pytest.raises(ValueError, match=words):
        Checkpoints(path, schedule=OTHER_RATE).restore(shapes(optax.adamw(OTHER_RATE)), fallback=True)


@pytest.mark.parametrize("kind", ["another model's", "of a newer version"])
def test_what_only_does_not_fit_is_no_damage_and_stays(folder, kind):
    path = folder()
    DAMAGE[kind][0](path / "20")
    before = snapshot(path)
    with Checkpoints(path, schedule=LR) as checkpoints:
        with pytest.raises(CheckpointError, match="fallback=True takes the last that can be restored"):
            checkpoints.restore(shapes(live(LR)))
        with pytest.warns(UserWarning, match="fell back"):
            restored = checkpoints.restore(shapes(live(LR)), fallback=True)
        assert restored.step == 10
        for step in (15, 20):
            with pytest.raises(ValueError, match="already holds step 20"):
                checkpoints.save(step, restored.state)
    assert snapshot(path) == before


def test_without_verifying_a_changed_bit_passes(folder):
    """Orbax does not notice it: this is what the checksum is for."""
    path = folder()
    flip(chunk(path / "20"))
    try:
        restored = Checkpoints(path, schedule=LR).restore(shapes(live(LR)), verify=False)
    except CheckpointError:
        pytest.skip("the bit broke the compression, which Orbax notices")
    with pytest.raises(AssertionError):
        assert_same(restored.state, trained(live(LR), steps=2))


def test_nothing_left_to_fall_back_to(folder):
    path = folder()
    for step in ("10", "20"):
        cut(path / step / "about" / "metadata")
    with pytest.raises(CheckpointError, match=r"no checkpoint of .* can be restored.*step 20.*step 10"):
        Checkpoints(path, schedule=LR).restore(shapes(live(LR)), fallback=True)
    with pytest.raises(CheckpointError, match="holds no checkpoint of step 15; those there are: 10, 20"):
        Checkpoints(path, schedule=LR).restore(shapes(live(LR)), step=15)
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        Checkpoints(path / "nowhere").restore(shapes(live(LR)))
    assert Checkpoints(path / "nowhere").latest is None and not (path / "nowhere").exists()
    (path / "file").write_text("")
    with pytest.raises(CheckpointError, match="is a file"):
        Checkpoints(path / "file").restore(shapes(live(LR)))


def test_nothing_is_overwritten(folder):
    path = folder()
    before = snapshot(path)
    state = trained(live(LR))
    with Checkpoints(path, schedule=LR) as checkpoints:
        for step in (10, 15, 20):  # Orbax's manager would skip all three and say nothing
            with pytest.raises(ValueError, match="already holds step"):
                checkpoints.save(step, state)
        (path / "30").write_text("a thesis")
        with pytest.raises(ValueError, match="30 is in the way"):
            checkpoints.save(30, state)
        (path / "30").unlink()
        assert snapshot(path) == before
        checkpoints.save(30, state)
        with pytest.raises(ValueError, match="already holds step 30"):
            checkpoints.save(30, state)  # while it may still be written


@pytest.mark.parametrize(
    "arguments, words",
    [
        (dict(schedule=lambda step: 0.1), "schedule must be a Schedule"),
        (dict(keep=0), "keep must be at least 1"),
        (dict(keep_every=0), "keep_every must be at least 1"),
        (dict(keep_steps=[-1]), "step must be at least 0"),
        (dict(keep_steps=["a"]), "step must be an int"),
    ],
)
def test_mistakes(tmp_path, arguments, words):
    with pytest.raises((ValueError, TypeError), match=words):
        Checkpoints(tmp_path, **arguments)


def test_mistakes_in_calls(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for extra, words in [
        ({"state2": {1, 2}}, "state2 must be"),
        ({"about": 1}, "'about'"),
        ({"x": np.nan}, "x must be"),
    ]:
        with pytest.raises(ValueError, match=words):
            checkpoints.save(1, {"w": jnp.ones(1)}, **extra)
    with pytest.raises(ValueError, match="on_mismatch must be one of"):
        checkpoints.restore({}, on_mismatch="ignore")
    assert list(tmp_path.iterdir()) == []


# ── files of schedules and runs ────────────────────────────────────────────────────────────────────────────────────


def test_a_schedule_file(tmp_path):
    path = tmp_path / "lr.json"
    LR.write(path)
    assert olrs.Schedule.read(path) == LR and [each.name for each in tmp_path.iterdir()] == ["lr.json"]
    OTHER_KIND.write(path)
    assert olrs.Schedule.read(path) == OTHER_KIND
    good = path.read_bytes()
    for data in (b"", good[:40], b"\xff\xfe", b"{}", good.replace(b'"version": 1', b'"version": 2'), b"[1]"):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=r"lr\.json holds no schedule: "):
            olrs.Schedule.read(path)
        assert path.read_bytes() == data
    with pytest.raises(FileNotFoundError):
        olrs.Schedule.read(tmp_path / "nowhere.json")


def test_a_damaged_record_of_a_run(tmp_path):
    """Cut anywhere, or with any byte changed: the same run, or an error that names the file."""
    path = tmp_path / "run.npz"
    run = olrs.Run(steps=range(5), losses=np.arange(5.0), schedule=LR, notes={"a": 1})
    run.write(path)
    good = path.read_bytes()
    damaged = [good[:length] for length in range(0, len(good), 20)]
    for at in range(0, len(good), 3):
        data = bytearray(good)
        data[at] ^= 1 << at % 8
        damaged.append(bytes(data))
    for data in damaged:
        path.write_bytes(data)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                assert olrs.Run.read(path) == run
        except ValueError as error:
            assert "run.npz holds no run" in str(error)


# ── several processes ──────────────────────────────────────────────────────────────────────────────────────────────

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
pathlib.Path(f"{folder}.{me}.txt").write_text("\\n".join(said))  # Gloo writes in between the lines of stdout
"""


def processes(count, folder, task):
    import os
    import socket
    import subprocess
    import sys

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {key: value for key, value in os.environ.items() if key not in ("XLA_FLAGS", "PYTHONWARNINGS")}
    environment["PYTHONPATH"] = str(pathlib.Path(__file__).parents[1])
    command = [sys.executable, "-W", "ignore", "-c", WORKER, str(port), str(count)]
    running = [
        subprocess.Popen([*command, str(me), str(folder), task], env=environment, text=True, stdout=-1, stderr=-1)
        for me in range(count)
    ]
    try:
        ended = [process.communicate(timeout=120) for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0] * count, ended
    return [pathlib.Path(f"{folder}.{me}.txt").read_text().splitlines() for me in range(count)]


@pytest.mark.slow
def test_another_number_of_hosts(tmp_path):
    """Saved by two processes, restored by one and saved again; that by two, with an array cut."""
    folder = tmp_path / "run"
    assert processes(2, folder, "save") == [["2 3"], ["2 3"]]
    assert processes(1, folder, "restore") == [["3 4"]]
    file = max((folder / "4" / "state" / "ocdbt.process_0" / "d").iterdir(), key=lambda path: path.stat().st_size)
    cut(file)
    for error, steps in processes(2, folder, "damaged"):
        assert "step 4: state is damaged" in error and steps == "3 5"
    assert (folder / "4.damaged").is_dir()
