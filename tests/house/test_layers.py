"""The layers hold, names say something, files stay short, and an import costs little."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "optax_lrs"
# Imports go to a lower rank; within a rank to the same package only.
LAYERS = [
    ["_value"], ["_clock", "_paths", "_specs", "_float32"], ["profiles"], ["_schedule"], ["_averaging", "_horizon", "_parse", "_run", "_states"],
    ["schedules", "transforms", "projection", "theory", "nn"],  # 1: bodies of knowledge
    ["refinement", "laws", "rules", "control", "adoption", "continual"], ["checkpoint"],  # 2: from runs to schedules
    ["citations"], ["pictures"], ["__init__"], ["commands"], ["__main__"],  # 3: people
]
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
LATE = {"flax", "orbax", "scipy", "matplotlib", "sklearn", "pandas"}
FLAX = {PACKAGE / "nn" / "linen", PACKAGE / "nn" / "nnx"}  # subclasses of flax's modules, imported on demand
FILES = sorted(PACKAGE.rglob("*.py"))


def part(module: str) -> str:
    names = module.split(".")
    return names[1] if len(names) > 1 else "__init__"


def imports(tree: ast.AST, *, top_level: bool = False):
    for node in ast.iter_child_nodes(tree) if top_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            if node.module == "optax_lrs":
                known = [alias.name for alias in node.names]
                yield from (f"optax_lrs.{name}" if (PACKAGE / f"{name}.py").exists() or (PACKAGE / name).is_dir()
                            else "optax_lrs" for name in known)  # fmt: skip
            else:
                yield node.module


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_imports_go_down(file):
    tree = ast.parse(file.read_text())
    own = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert own in RANK, f"{own} has no layer"
    for module in imports(tree):
        if module.split(".")[0] == "optax_lrs":
            other = part(module)
            assert RANK[other] < RANK[own] or other == own, f"{own} imports {other}"
    for module in imports(tree, top_level=True):
        late = LATE - {"flax"} if file.parent in FLAX else LATE
        assert module.split(".")[0] not in late, f"{module} at the top of {file.name}: import it where it is used"


def test_no_name_says_nothing_and_no_file_is_long():
    for file in [*FILES, *ROOT.glob("tests/**/*.py"), *ROOT.glob("examples/**/*.py"), *ROOT.glob("benchmarks/**/*.py")]:
        assert file.stem not in {"utils", "util", "common", "misc", "core", "helpers"}, file
        if "tests" not in file.parts:
            assert len(file.read_text().splitlines()) <= 320, f"{file} is long: one idea a file"


def test_everything_public_has_a_docstring():
    for file in FILES:
        tree = ast.parse(file.read_text())
        assert ast.get_docstring(tree), file
        for node in tree.body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{file.name}: {node.name}"


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout


def test_import_is_lazy():
    loaded = run("import sys, optax_lrs; print(*{m.split('.')[0] for m in sys.modules})").split()
    assert not LATE & set(loaded)
    loaded = run(
        "import sys, optax_lrs; print('optax_lrs.nn' in sys.modules); import optax_lrs.nn; print(*sys.modules)"
    )
    assert loaded.startswith("False")
    assert not {"flax", "scipy.optimize", "optax_lrs.nn.nnx", "optax_lrs.nn.linen"} & set(loaded.split())


def test_building_and_host_evaluation_start_no_backend():
    run(
        "import optax_lrs as olrs, numpy as np\n"
        "lr = olrs.join(olrs.WSD(peak=1., total_steps=9, decay_steps=3), olrs.Tabulated(lrs=[.5, .1]), at=9)\n"
        "lr = olrs.stretched(olrs.shifted(lr, by=-1), factor=2.)\n"
        "lr.at(3), lr.at(np.arange(50)), repr(lr), olrs.Schedule.from_json(lr.to_json()) == lr, hash(lr), lr.replace()\n"
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
