"""The root: every public name is in dir, help and completion, and that imports nothing heavy."""

import copy
import importlib
import inspect
import pickle
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import optax_lrs as olrs

ROOT = Path(__file__).parents[2]
HEAVY = {"flax", "orbax", "scipy", "matplotlib", "sklearn", "pandas"}


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout


def test_dir_and_all_agree_and_every_name_is_there():
    assert set(olrs.__all__) <= set(dir(olrs)) and len(olrs.__all__) == len(set(olrs.__all__))
    for name in olrs.__all__:
        assert getattr(olrs, name) is not None
    assert not [name for name in dir(olrs) if name.startswith("_") and not name.startswith("__")]


@pytest.mark.parametrize(
    "code",
    [
        "import optax_lrs; dir(optax_lrs)",
        "from optax_lrs import *; WSD, laws, cite",
        "import pydoc, optax_lrs; text = pydoc.render_doc(optax_lrs); assert 'scale_by_live_schedule' in text",
        "import rlcompleter, optax_lrs; found = rlcompleter.Completer({'o': optax_lrs}).attr_matches('o.Cos'); "
        "assert {text.rstrip('()') for text in found} == {'o.Cosine', 'o.CosinePower'}, found",
    ],
)
def test_nothing_heavy_is_imported(code):
    loaded = run(f"import sys; {code}; print(*{{name.partition('.')[0] for name in sys.modules}})")
    assert not HEAVY & set(loaded.split()), HEAVY & set(loaded.split())


def test_the_package_costs_little_to_import():
    """Only values and the table of names are imported; everything else when it is first used."""
    loaded = run("import sys, optax_lrs; print(*(name for name in sys.modules if name.startswith('optax_lrs')))")
    assert {name.split(".")[1] for name in loaded.split() if "." in name} == {"_value"}


def test_lazily_loaded_names_pickle_and_copy():
    lr = pickle.loads(pickle.dumps(olrs.WSD(peak=1.0, total_steps=10, decay_steps=5)))
    assert copy.deepcopy(lr) == lr and pickle.loads(pickle.dumps(olrs.WSD)) is olrs.WSD is copy.deepcopy(olrs.WSD)
    assert pickle.loads(pickle.dumps(olrs.join)) is olrs.join


def test_no_module_is_eclipsed_by_a_function_of_its_name():
    for module in pkgutil.walk_packages(olrs.__path__, "optax_lrs."):
        package, _, name = module.name.rpartition(".")
        if name != "__main__":
            importlib.import_module(module.name)
            found = getattr(importlib.import_module(package), name)
            assert inspect.ismodule(found) and found.__name__ == module.name, module.name


def test_the_table_is_in_the_wheel():
    assert (Path(olrs.__file__).parent / "__init__.pyi").exists()
