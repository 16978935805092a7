"""Whatever is public has its rows: in the matrices of the tests, and in README or docs.

Each test finds the public things by itself and reports the missing rows, with the file to add them
to. The searches are tested too, on a module with a transform, a law, a rule and a command that have
none.
"""

import importlib
import inspect
import pkgutil
import re
import types
from pathlib import Path

import optax
import pytest

import optax_lrs as olrs
from matrices import law_cases, transform_cases
from optax_lrs import __main__ as program
from optax_lrs import laws, rules

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXT = "\n".join(page.read_text() for page in PAGES)
TESTS = {file: file.read_text() for file in sorted((ROOT / "tests").rglob("test_*.py")) if file != Path(__file__)}
FOLDERS = [info.name for info in pkgutil.iter_modules(olrs.__path__) if info.ispkg and info.name[0] != "_"]
MODULES = [olrs, *(importlib.import_module(f"optax_lrs.{name}") for name in FOLDERS)]


# ── what is public ────────────────────────────────────────────────────────────────────────────


def returned(function):
    """The class that a function's annotation says it returns; None where it is not a class."""
    annotation = function.__annotations__.get("return")
    if isinstance(annotation, str):
        try:
            annotation = eval(annotation, function.__globals__)
        except NameError:  # imported for type checkers only
            return None
    return annotation if inspect.isclass(annotation) else None


def transforms(modules):
    """The public functions that return a gradient transformation."""
    found = {name: item for module in modules for name, item in vars_of(module) if inspect.isfunction(item)}
    return {name for name, item in found.items() if issubclass(returned(item) or object, optax.GradientTransformation)}


def subclasses(module, base):
    """The public classes of a module that derive from ``base``."""
    return {name for name, item in vars_of(module)
            if inspect.isclass(item) and issubclass(item, base) and item is not base}  # fmt: skip


def commands(modules):
    """The names of the program's commands."""
    return {module.__name__.rpartition(".")[2] for module in modules}


def vars_of(module):
    return [(name, getattr(module, name)) for name in dir(module) if name[0] != "_"]


# ── what is missing ───────────────────────────────────────────────────────────────────────────


def require_rows(names, rows, kind, file):
    missing = sorted(set(names) - set(rows))
    assert not missing, f"{kind} without a row: {', '.join(missing)}. Add one to {file}."
    unknown = sorted(set(rows) - set(names))
    assert not unknown, f"{file} has rows that are not a public {kind}: {', '.join(unknown)}. Remove them."


def require_mention(names, kind, pattern=r"\b{}\b", text=TEXT):
    missing = sorted(name for name in names if not re.search(pattern.format(re.escape(name)), text))
    assert not missing, f"{kind} that neither README.md nor docs/ mentions: {', '.join(missing)}. Add it to README.md."


def require_command_tests(names, tests=TESTS):
    for name in sorted(names):
        called = re.compile(rf"main\(\[\"{name}\"|[\"']{name}[\"'],|[\"']{name}[\"']\]|[\"']{name} ")
        assert any(called.search(text) for text in tests.values()), (
            f"command without a test: {name}. Add tests/commands/test_{name}.py, which calls main(['{name}', ...])."
        )


def test_transforms_have_rows():
    require_rows(transforms(MODULES), transform_cases.ROWS, "transform", "tests/matrices/transform_cases.py")


def test_transforms_are_documented():
    require_mention(transforms(MODULES), "transform")


@pytest.mark.parametrize("name", transform_cases.ROWS)
def test_rows_make_the_transform_that_they_are_listed_under(name, monkeypatch):
    called = []
    home = next(module for module in MODULES if hasattr(module, name))  # the root looks names up there
    original = getattr(home, name)
    monkeypatch.setattr(home, name, lambda *args, **options: called.append(name) or original(*args, **options))
    for case in transform_cases.ROWS[name]:
        called.clear()
        case.make()
        assert called, f"the row {case} of {name} does not call {name}"


def test_laws_have_rows():
    require_rows(subclasses(laws, laws.Law), law_cases.LAWS, "law", "LAWS of tests/matrices/law_cases.py")


def test_rules_have_rows():
    require_rows(subclasses(rules, rules.Rule), law_cases.RULES, "rule", "RULES of tests/matrices/law_cases.py")


def test_laws_and_rules_are_documented():
    require_mention(subclasses(laws, laws.Law), "law")
    require_mention(subclasses(rules, rules.Rule), "rule")


def test_commands_are_tested_and_documented():
    names = commands(program.COMMANDS)
    require_command_tests(names)
    require_mention(names, "command", pattern=r"optax_lrs {}\b")


# ── the searches find what is missing ─────────────────────────────────────────────────────────


def scale_by_nothing() -> optax.GradientTransformation:
    return optax.identity()


def read_nothing(state) -> float:
    return 0.0


class ConstantLaw(laws.OnePower, abstract=True):
    pass


class ConstantRule(rules.StepLawRule, abstract=True):
    pass


FORGOTTEN = types.ModuleType("forgotten")
for item in (scale_by_nothing, read_nothing, ConstantLaw, ConstantRule):
    setattr(FORGOTTEN, item.__name__, item)


def test_a_forgotten_transform_is_reported():
    assert transforms([FORGOTTEN]) == {"scale_by_nothing"}
    names = transforms([*MODULES, FORGOTTEN])
    with pytest.raises(AssertionError, match=r"transform without a row: scale_by_nothing.*transform_cases\.py"):
        require_rows(names, transform_cases.ROWS, "transform", "tests/matrices/transform_cases.py")
    with pytest.raises(AssertionError, match=r"mentions: scale_by_nothing\. Add it to README\.md"):
        require_mention(names, "transform")


@pytest.mark.parametrize(("base", "rows", "name"), [(laws.Law, law_cases.LAWS, "ConstantLaw"),
                                                    (rules.Rule, law_cases.RULES, "ConstantRule")])  # fmt: skip
def test_a_forgotten_law_or_rule_is_reported(base, rows, name):
    with pytest.raises(AssertionError, match=rf"without a row: {name}.*law_cases\.py"):
        require_rows({*rows, *subclasses(FORGOTTEN, base)}, rows, "law", "tests/matrices/law_cases.py")
    with pytest.raises(AssertionError, match=name):
        require_mention(subclasses(FORGOTTEN, base), "law")


def test_a_forgotten_command_is_reported():
    names = commands([types.ModuleType("optax_lrs.commands.explain")])
    with pytest.raises(AssertionError, match=r"command without a test: explain.*test_explain\.py"):
        require_command_tests(names)
    with pytest.raises(AssertionError, match="mentions: explain"):
        require_mention(names, "command", pattern=r"optax_lrs {}\b")


def test_a_row_of_something_that_is_gone_is_reported():
    with pytest.raises(AssertionError, match="not a public transform: scale_by_former"):
        require_rows({"scale_by_live_schedule"}, ["scale_by_live_schedule", "scale_by_former"], "transform", "file")
