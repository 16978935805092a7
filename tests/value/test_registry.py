"""The registry: classes of this package have bare names, and classes of others never collide."""

import subprocess
import sys
import textwrap
import types
from pathlib import Path

import pytest

import optax_lrs as olrs
from optax_lrs._value import Value

ROOT = Path(__file__).parents[2]


def python(code, **modules):
    """Runs code in a new interpreter in which ``modules`` can be imported."""
    files = "".join(f"sys.modules['{name}'] = m = types.ModuleType('{name}')\nexec({text!r}, vars(m))\n"
                    for name, text in modules.items())  # fmt: skip
    subprocess.run([sys.executable, "-c", f"import sys, types\n{files}{textwrap.dedent(code)}"], check=True, cwd=ROOT)


ENSEMBLE = """
import optax_lrs as olrs
class Ensemble(olrs.Schedule):
    peak: float
    def rate(self, clock):
        return self.peak
class Steady(Ensemble.__mro__[1]):
    peak: float
    def rate(self, clock):
        return self.peak
"""
ROUND_TRIPS = """
import optax_lrs as olrs
lr = mine.Ensemble(peak=1.0)
assert repr(lr) == "mine.Ensemble(peak=1.0)" and lr.to_dict()["type"] == "mine:Ensemble"
assert olrs.parse(repr(lr)) == olrs.Schedule.from_json(lr.to_json()) == lr
steady = mine.Steady(peak=1.0)
assert repr(steady) == "Steady(peak=1.0)" and steady.to_dict()["type"] == "mine:Steady"
assert olrs.parse("mine.Steady(peak=1.0)") == olrs.Schedule.from_dict({"type": "Steady", "peak": 1}) == steady
from optax_lrs._value import Value
assert Value.registry.find("Ensemble").__module__.startswith("optax_lrs.laws")
assert Value.registry.find("olrs.laws.Ensemble") is Value.registry.find("optax_lrs.laws:Ensemble")
"""


@pytest.mark.parametrize("order", ["import mine, optax_lrs.laws", "import optax_lrs.laws, mine", "import mine"])
def test_a_user_may_reuse_a_name_of_the_package_in_any_order_of_imports(order):
    python(f"{order}{ROUND_TRIPS}", mine=ENSEMBLE)


def test_two_modules_with_the_same_name():
    for module in ("first_user", "second_user"):
        make_schedule(module, "Waves")
    first, second = (Value.registry[f"{module}:Waves"](peak=2.0) for module in ("first_user", "second_user"))
    assert type(first) is not type(second) and repr(first) == "first_user.Waves(peak=2.0)"
    for lr in (first, second):
        assert olrs.parse(repr(lr)) == olrs.Schedule.from_json(lr.to_json()) == lr
    with pytest.raises(ValueError, match="'Waves' is ambiguous; write first_user:Waves or second_user:Waves"):
        olrs.parse("Waves(peak=1.0)")


def test_running_a_cell_again_replaces_its_class():
    old, new = make_schedule("__main__", "Cell"), make_schedule("__main__", "Cell")
    lr = new(peak=1.0)
    assert repr(lr) == "Cell(peak=1.0)" and type(olrs.parse("Cell(peak=1.0)")) is new is not old
    assert olrs.parse("__main__.Cell(peak=1.0)") == lr and lr.to_dict()["type"] == "__main__:Cell"


def test_local_classes_of_the_same_name_in_two_functions():
    def one():
        class Local(olrs.Schedule):
            peak: float

        return Local(peak=1.0)

    def two():
        class Local(olrs.Schedule):
            peak: float

        return Local(peak=1.0)

    for lr in (one(), two()):
        assert "<" not in repr(lr) and olrs.parse(repr(lr)) == olrs.Schedule.from_json(lr.to_json()) == lr
    assert one() != two()


def test_an_unknown_module_is_never_imported():
    with pytest.raises(
        ValueError, match=r"unknown name 'antigravity:Cosine'. If antigravity defines it, import antigravity"
    ):
        olrs.Schedule.from_dict({"type": "antigravity:Cosine"})
    with pytest.raises(ValueError, match="import antigravity first"):
        olrs.parse("antigravity.Cosine(peak=1.0, total_steps=1)")
    assert "antigravity" not in sys.modules


def test_classes_of_the_package_are_found_before_their_module_is_imported():
    python("""
        import sys
        import optax_lrs as olrs
        assert not {"optax_lrs.laws", "optax_lrs.schedules"} & set(sys.modules)
        from optax_lrs._value import Value
        law = Value.registry.find("OnePower")
        assert "optax_lrs.laws" in sys.modules and law.__module__.startswith("optax_lrs.laws")
        assert "Joined" in Value.registry and "Nothing" not in Value.registry
        assert str(olrs.parse("Constant(value=1.0)")) == "Constant(value=1.0)"
    """)


def test_every_class_of_the_package_can_be_found_in_a_new_process():
    import importlib
    import pkgutil

    for module in pkgutil.walk_packages(olrs.__path__, "optax_lrs."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    ours = [key for key in Value.registry if ":" not in key]
    python(f"import optax_lrs\nfrom optax_lrs._value import Value\nfor key in {ours}: Value.registry.find(key)")


def make_schedule(module, name):
    def fill(namespace):
        namespace |= {"__annotations__": {"peak": float}, "__module__": module, "rate": lambda self, clock: self.peak}

    return types.new_class(name, (olrs.Schedule,), exec_body=fill)
