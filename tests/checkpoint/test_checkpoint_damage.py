"""Damaged and foreign checkpoints and files: errors that name them, or earlier checkpoints.

Nothing is overwritten.
"""

import warnings

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optax_lrs as olrs
from matrices.checkpoint_folders import (
    DAMAGE,
    LR,
    OTHER_KIND,
    OTHER_RATE,
    assert_same,
    chunk,
    cut,
    flip,
    live,
    shapes,
    snapshot,
    trained,
)
from optax_lrs.checkpoint import CheckpointError, Checkpoints

pytestmark = pytest.mark.filterwarnings("ignore:::orbax", "ignore:::tensorstore")


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_an_error_that_names_the_place_or_falls_back(folder, kind):
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
def test_a_damaged_checkpoint_in_the_way_is_moved_aside(folder, kind):
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


def test_falling_back_to_another_schedule_reports_the_damage(folder):
    path, state = folder("plain"), trained(optax.adamw(LR))
    with Checkpoints(path, schedule=OTHER_RATE) as checkpoints:
        checkpoints.save(30, state)
    flip(chunk(path / "30"))
    words = r"step 20 was saved with another schedule.* Skipped before it: .*step 30: state is damaged"
    with pytest.raises(ValueError, match=words):
        Checkpoints(path, schedule=OTHER_RATE).restore(shapes(optax.adamw(OTHER_RATE)), fallback=True)


@pytest.mark.parametrize("kind", ["another model's", "of a newer version"])
def test_a_checkpoint_that_does_not_fit_is_not_damaged_and_stays(folder, kind):
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
    """Orbax does not notice it; the checksum does."""
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
        (dict(keep_steps=[-1]), "keep_steps must be at least 0"),
        (dict(keep_steps=["a"]), "keep_steps must be an int"),
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


# ── files of schedules and runs ───────────────────────────────────────────────────────────────────


def test_a_schedule_file(tmp_path):
    path = tmp_path / "lr.json"
    LR.write(path)
    assert olrs.Schedule.read(path) == LR and [each.name for each in tmp_path.iterdir()] == ["lr.json"]
    OTHER_KIND.write(path)
    assert olrs.Schedule.read(path) == OTHER_KIND
    good = path.read_bytes()
    for data in (b"", good[:40], b"\xff\xfe", b"{}", good.replace(b'"version": 1', b'"version": 2'), b"[1]"):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=r"lr\.json is not a saved schedule: "):
            olrs.Schedule.read(path)
        assert path.read_bytes() == data
    with pytest.raises(FileNotFoundError):
        olrs.Schedule.read(tmp_path / "nowhere.json")


def test_a_damaged_record_of_a_run(tmp_path):
    """A cut or changed file gives the same run, or an error that names the file."""
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
            assert "run.npz is not a saved run" in str(error)
