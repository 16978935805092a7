"""What the package relies on in Orbax, checked against the installed release.

Each message says what to change in optax_lrs/checkpoint/_orbax.py when a release of Orbax breaks
it.
"""

import json
import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from orbax.checkpoint import checkpoint_manager

from optax_lrs.checkpoint import _orbax

pytestmark = pytest.mark.filterwarnings("ignore:::orbax", "ignore:::tensorstore")
PACKAGE = pathlib.Path(_orbax.__file__).parents[1]
STATE = {"w": jnp.arange(6.0).reshape(2, 3), "b": jnp.ones(2, jnp.bfloat16), "n": 7}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Steps 1 to 4 of a manager, which keeps 2 (every second), 3 (listed) and 4 (latest)."""
    folder = _orbax.as_path(tmp_path_factory.mktemp("run"))
    with _orbax.manager(str(folder), keep=1, keep_steps=[3], keep_every=2, deleted=".gone") as manager:
        for step in (1, 2, 3, 4):
            _orbax.save(manager, step, "state", STATE, {"position": {"batch": step}})
            manager.wait_until_finished()
    return folder


def test_one_module_imports_orbax():
    for file in PACKAGE.rglob("*.py"):
        code = re.sub(r'"""[\s\S]*?"""', "", file.read_text())
        found = re.findall(r"^ *(?:import|from) (?:orbax|etils)\b.*", code, re.M)
        late = all(line.startswith(" ") for line in found)
        assert late, f"{file}: import Orbax inside a function: importing it takes seconds"
        assert not found or file.name == "_orbax.py", f"{file}: what is needed of Orbax belongs to _orbax.py: {found}"


def test_the_policies_keep_what_was_asked_for_and_move_the_rest(run):
    names = sorted(path.name for path in run.iterdir() if path.name.isdigit())
    assert names == ["2", "3", "4"], f"manager(): Orbax kept {names}; its preservation policies have changed"
    gone = sorted(path.name for path in (run / ".gone").iterdir())
    assert gone == ["1"], f"manager(): todelete_subdir holds {gone}; the Sweeper deletes what is moved there"


def test_names_of_files(run):
    step = run / "4"
    items = sorted(path.name for path in step.iterdir() if path.is_dir())
    assert items == ["position", "state"], f"save(): a step holds {items}; each item is a folder named like it"
    tree, listed, text = (
        step / "state" / _orbax.TREE_FILE,
        step / _orbax.ITEMS_FILE,
        step / "position" / _orbax.JSON_FILE,
    )
    assert tree.exists(), "TREE_FILE: the file that lists a tree's arrays has another name"
    assert listed.exists(), "ITEMS_FILE: the file that lists a step's items has another name"
    assert text.exists(), "JSON_FILE: the file of a JSON item has another name"
    assert json.loads(text.read_text()) == {"batch": 4}, "read_json(): a JSON item is no longer plain JSON"
    assert _orbax.is_tree(step / "state") and not _orbax.is_tree(step / "position") and not _orbax.is_tree(step)
    assert _orbax.is_json(step / "position") and not _orbax.is_json(step / "state")
    assert _orbax.read_json(step / "position") == {"batch": 4}
    found = set(_orbax.listed_items(step))
    assert found == {"state", "position"}, (
        f"listed_items(): the list of items is laid out differently, it reads {found}"
    )


def test_what_cannot_be_listed_has_no_items(tmp_path):
    for text in (None, "", "{", "[]", "{}", '{"item_handlers": 3}'):
        if text is not None:
            (tmp_path / _orbax.ITEMS_FILE).write_text(text)
        assert _orbax.listed_items(tmp_path) == ()


def test_names_of_items(tmp_path):
    with ocp.CheckpointManager(tmp_path) as manager:
        manager.save(1, args=ocp.args.StandardSave(STATE))
    items = [path.name for path in (tmp_path / "1").iterdir() if path.is_dir()]
    assert items == [_orbax.DEFAULT_ITEM], f"DEFAULT_ITEM: Orbax calls an unnamed item {items}"
    own = {checkpoint_manager.DEFAULT_ITEM_NAME, checkpoint_manager.METRIC_ITEM_NAME, "descriptor"}
    more = own | set(checkpoint_manager.RESERVED_ITEM_NAMES)
    assert more == set(_orbax.RESERVED_ITEMS), f"RESERVED_ITEMS: the manager uses {more}"


def test_a_step_is_finalized_once_it_is_renamed(run, tmp_path):
    assert _orbax.is_finalized(run / "4"), "is_finalized(): a complete step is not recognized"
    suffix = ocp.utils.TMP_DIR_SUFFIX
    assert suffix == _orbax.TEMPORARY, f"TEMPORARY: Orbax names an unfinished folder with {suffix}"
    unfinished = _orbax.as_path(tmp_path / f"5{_orbax.TEMPORARY}-1")
    unfinished.mkdir()
    assert not _orbax.is_finalized(unfinished), "is_finalized(): an unfinished step passes for a complete one"


def test_the_tree_of_a_checkpoint_is_known_before_its_arrays(run):
    tree = _orbax.saved_tree(run / "4" / "state")
    assert isinstance(tree, dict) and set(tree) == set(STATE), f"saved_tree(): expected a dict of leaves, got {tree}"
    shape, dtype = tuple(tree["w"].shape), np.dtype(tree["b"].dtype)
    assert shape == (2, 3) and dtype == jnp.bfloat16, f"saved_tree(): leaves have shape {shape} and dtype {dtype}"
    with pytest.raises(Exception):  # noqa: B017 - which type is Orbax's own affair; callers catch all of them
        _orbax.saved_tree(run / "4" / "position")


def test_a_state_is_restored_as_the_template_says(run):
    template = {"w": jax.ShapeDtypeStruct((2, 3), jnp.float32), "b": jax.ShapeDtypeStruct((2,), jnp.bfloat16), "n": 0}
    found = _orbax.restore(run / "4" / "state", template)
    np.testing.assert_array_equal(found["w"], STATE["w"], "restore(): values differ from what was saved")
    assert isinstance(found["w"], jax.Array) and found["b"].dtype == jnp.bfloat16, "restore(): types of leaves differ"
    assert found["n"] == 7, "restore(): a Python number is restored differently"


def test_a_part_is_restored_without_the_rest(run):
    assert ocp.PLACEHOLDER is _orbax.SKIP, f"SKIP: Orbax marks a leaf that is not read with {ocp.PLACEHOLDER!r}"
    place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    template = {"w": jax.ShapeDtypeStruct((2, 3), jnp.float32, sharding=place), "b": _orbax.SKIP, "n": _orbax.SKIP}
    found = _orbax.restore_part(run / "4" / "state", template)
    np.testing.assert_array_equal(found["w"], STATE["w"], "restore_part(): values differ from what was saved")
    assert not isinstance(found["b"], jax.Array), "restore_part(): a skipped leaf was read"


def test_a_save_before_the_latest_step_is_made(tmp_path):
    with _orbax.manager(str(tmp_path), keep=None, keep_steps=(), keep_every=None, deleted=None) as manager:
        for step in (5, 3):
            _orbax.save(manager, step, "state", STATE, {})
    steps = sorted(path.name for path in tmp_path.iterdir() if path.name.isdigit())
    assert steps == ["3", "5"], f"save(): with force=True Orbax still skips a save; steps on disk: {steps}"


def test_paths():
    assert str(_orbax.as_path("gs://bucket/run")) == "gs://bucket/run"
    assert str(_orbax.as_path("run")) == str(pathlib.Path("run").absolute())
