"""Public names: listed once, about 75 at the root, and none that differs from another by an ending
only."""

import importlib
import itertools
import pkgutil
import re
import subprocess
import sys
import types

import pytest

import optax_lrs as olrs

FOLDERS = [info.name for info in pkgutil.iter_modules(olrs.__path__) if info.ispkg and info.name[0] != "_"]
ENDINGS = (
    "ations",
    "ation",
    "ings",
    "ing",
    "ions",
    "ion",
    "ments",
    "ment",
    "ers",
    "er",
    "ors",
    "or",
    "ed",
    "es",
    "s",
    "e",
)

ONE_AND_ALL = {("learning_rate", "learning_rates")}  # the rate of an optimizer, and those of all its groups


def public(module):
    """The names of a module that are its own: no modules, nothing with an underscore in front."""
    return [name for name in dir(module) if name[0] != "_" and not isinstance(getattr(module, name), types.ModuleType)]


def stem(name):
    """The words of a name without case and endings: ``Rewarmed``, ``rewarming`` and ``rewarm`` have
    one stem.

    Acronyms, such as ``WSD`` and ``WSDS``, are names that papers gave: they are left as they are.
    """
    if name.isupper():
        return name
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)
    return " ".join(_stem_of_word(word.lower()) for word in words)


def _stem_of_word(word):
    fitting = (end for end in ENDINGS if word.endswith(end) and len(word) > len(end) + 2)
    shorter = word.removesuffix(next(fitting, ""))
    return re.sub(r"(.)\1$", r"\1", shorter)  # begin, beginning


def look_alikes(names):
    """Pairs of different names with one stem."""
    return [(a, b) for a, b in itertools.combinations(sorted(names), 2) if stem(a) == stem(b)]


def test_stems():
    assert look_alikes(["rewarm", "Rewarmed", "rewarming"]) and look_alikes(["adopt", "Adoption"])
    assert look_alikes(["refine", "refined"]) and look_alikes(["BoundTerms", "bound_terms"])
    assert look_alikes(["average_params", "averaged_params"])
    assert not look_alikes(["WSD", "WSDC", "WSDS", "Linear", "LinearWarmup", "Triangular", "Triangular2"])


@pytest.mark.parametrize("folder", ["", *FOLDERS])
def test_no_two_public_names_differ_by_an_ending_only(folder):
    module = importlib.import_module(f"optax_lrs.{folder}") if folder else olrs
    assert set(look_alikes(public(module))) <= ONE_AND_ALL


def test_the_root_has_few_names():
    names = public(olrs)
    assert len(names) <= 86, f"{len(names)} names: keep what most programs write, the rest lives in its folder"
    assert set(names) | set(FOLDERS) - {"commands"} == set(olrs.__all__) - {"__version__"}


def test_no_state_and_no_class_of_a_combinator_is_at_the_root():
    for name in public(olrs):
        assert not name.endswith("State"), f"{name} belongs to its folder"


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_module_is_eclipsed(folder):
    """A function or class never hides a module of the same name."""
    package = importlib.import_module(f"optax_lrs.{folder}")
    for info in pkgutil.iter_modules(package.__path__):
        assert isinstance(getattr(package, info.name, types.ModuleType("")), types.ModuleType), f"{folder}.{info.name}"


def test_transforms_are_named_as_optax_names_them():
    """What scales updates is ``scale_by_…``, a wrapper of an optimizer or state ``with_…``, a
    reader ``read_…``."""
    verbs = ("scale_by_", "with_", "read_", "record_", "project_", "decay_", "average_", "partition_")
    nouns = {"learning_rate", "learning_rates", "log_dict", "effective_learning_rate", "layerwise_decay"}
    for module in (olrs.transforms, olrs.projection):
        for name in public(module):
            if isinstance(getattr(module, name), types.FunctionType):
                assert name.startswith(verbs) or name in nouns or name.startswith("sqrt_fan_"), name


def test_completion_and_help_import_nothing_heavy():
    code = (
        "import sys, optax_lrs, rlcompleter\n"
        "found = set(dir(optax_lrs))\n"
        "assert found == set(optax_lrs.__all__) | {n for n in found if n[0] == '_'}, found ^ set(optax_lrs.__all__)\n"
        "rlcompleter.Completer({'olrs': optax_lrs}).attr_matches('olrs.re')\n"
        "import pydoc; pydoc.render_doc(optax_lrs)\n"
        "print(*{'flax', 'orbax', 'scipy.optimize', 'matplotlib', 'sklearn'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == []
