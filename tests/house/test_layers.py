"""The layers hold, no imports go in circles, files stay short, and an import costs little."""

import ast
import subprocess
import sys

import pytest

from house.source_files import (
    PACKAGE,
    ROOT,
    circles,
    code_lines,
    docstring_lines,
    imported_modules,
    module_name,
    python_files,
)

# A part imports parts of earlier lines only, and itself: parts on the same line are independent of
# each other.
LAYERS = [
    # 0: values and time
    ["_value"],
    ["_clock", "_float32", "_paths", "_specs"],
    ["profiles", "_states"],
    ["_schedule"],
    ["_averaging", "_horizon", "_parse", "_run"],
    # 1: bodies of knowledge
    ["schedules", "transforms", "projection", "theory", "nn"],
    # 2: from runs to schedules, on the host
    ["refinement", "laws", "rules", "control", "adoption", "continual"],
    ["checkpoint"],
    # 3: people
    ["citations"],
    ["pictures"],
    ["__init__"],
    ["commands"],
    ["__main__"],
]
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
LATE = {"flax", "orbax", "scipy", "matplotlib", "sklearn", "pandas"}
WITH_FLAX = PACKAGE / "nn" / "nnx"  # its classes are flax modules; imported on demand
MOST_CODE = {"optax_lrs": 250, "benchmarks": 250, "examples": 250, "tests": 400}  # lines a file
SAYS_NOTHING = {"utils", "util", "common", "misc", "core", "helpers", "helper"}

FILES = python_files("optax_lrs")
MODULES = {module_name(file): file for file in FILES}
GRAPH = {name: imported_modules(ast.parse(file.read_text()), set(MODULES)) for name, file in MODULES.items()}


def part(module: str) -> str:
    """The file or folder of the package that a module belongs to."""
    names = module.split(".")
    return names[1] if len(names) > 1 else "__init__"


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down(module):
    own = part(module)
    assert own in RANK, f"{own} has no layer: add it to LAYERS in {__file__}"
    for other in GRAPH[module]:
        if other.split(".")[0] == "optax_lrs" and part(other) != own:
            assert RANK[part(other)] < RANK[own], f"{module} imports {other}, which is not below it"


def test_no_imports_go_in_circles():
    # An __init__ re-exports its own modules, and these may not import from it.
    inside = {name: {other for other in found if other in MODULES} for name, found in GRAPH.items()}
    for name, file in MODULES.items():
        if file.name != "__init__.py":
            assert part(name) not in {part(other) for other in inside[name] if other == f"optax_lrs.{part(name)}"}, (
                f"{name} imports from its own folder's __init__"
            )
    plain = {name: {o for o in found if o != name} for name, found in inside.items() if name in MODULES}
    assert not circles({name: found for name, found in plain.items() if MODULES[name].name != "__init__.py"})


def test_a_circle_would_be_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c", "a"]]
    assert circles({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    tree = ast.parse("def f():\n    from p.q import r\nimport x\n")
    assert imported_modules(tree, {"p.q.r"}) == {"p.q.r", "x"}
    assert imported_modules(tree, {"p.q.r"}, everywhere=False) == {"x"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_optional_packages_are_imported_where_they_are_used(file):
    late = LATE - {"flax"} if WITH_FLAX in file.parents else LATE
    for module in imported_modules(ast.parse(file.read_text()), set(), everywhere=False):
        assert module.split(".")[0] not in late, f"{module} at the top of {file.name}"


@pytest.mark.parametrize("file", python_files(), ids=lambda file: str(file.relative_to(ROOT)))
def test_files_are_short_and_lines_fit(file):
    text = file.read_text()
    assert file.stem not in SAYS_NOTHING, f"{file.name} says nothing of what is in it"
    code, prose = code_lines(text), docstring_lines(ast.parse(text))
    most = MOST_CODE[file.relative_to(ROOT).parts[0]]
    assert len(code) <= most, f"{len(code)} lines of code, at most {most}: one idea a file"
    for number, line in enumerate(text.splitlines(), 1):
        assert len(line) <= 120, f"line {number} has {len(line)} columns, at most 120"
        words = number in prose and not line.lstrip().startswith((">>>", "...", "|", "=")) and "  " not in line.strip()
        comment = number not in prose and line.lstrip().startswith("# ") and not line.lstrip().startswith("# fmt")
        if (words or comment) and "://" not in line:
            assert len(line) <= 100, f"line {number} has {len(line)} columns of prose, at most 100"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_everything_public_has_a_docstring(file):
    tree = ast.parse(file.read_text())
    assert ast.get_docstring(tree), "the module has none"
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{node.name} has none"


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout


def test_import_is_lazy():
    loaded = run("import sys, optax_lrs; print(*{m.split('.')[0] for m in sys.modules})").split()
    assert not LATE & set(loaded)
    loaded = run(
        "import sys, optax_lrs; print('optax_lrs.nn' in sys.modules); import optax_lrs.nn; print(*sys.modules)"
    )
    assert loaded.startswith("False")
    assert not {"flax", "scipy.optimize", "optax_lrs.nn.nnx"} & set(loaded.split())


def test_building_and_host_evaluation_start_no_backend():
    run(
        "import optax_lrs as olrs, numpy as np\n"
        "lr = olrs.join(olrs.WSD(peak=1., total_steps=9, decay_steps=3), olrs.Tabulated(lrs=[.5, .1]), at=9)\n"
        "lr = olrs.stretched(olrs.shifted(lr, by=-1), factor=2.)\n"
        "lr.at(3), lr.at(np.arange(50)), repr(lr), hash(lr), lr.replace()\n"
        "olrs.Schedule.from_json(lr.to_json()) == lr\n"
        "olrs.scale_by_live_schedule(lr)\n"
        "from jax._src import xla_bridge\n"
        "assert not xla_bridge.backends_are_initialized()\n"
    )


def test_host_evaluation_queues_nothing_on_a_device(monkeypatch):
    import jax

    import optax_lrs as olrs

    lr = olrs.Cosine(peak=1.0, total_steps=100)
    lr.at(3)
    with jax.transfer_guard("disallow"):
        monkeypatch.setattr("optax_lrs._schedule._on_device", None)
        assert lr.at(50) == lr.at([50])[0]
