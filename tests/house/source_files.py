"""The source files of the project, taken apart: modules, imports, code lines and prose lines."""

import ast
import io
import tokenize
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "optax_lrs"
FOLDERS = ("optax_lrs", "tests", "benchmarks", "examples")
_NO_CODE = (
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER,
)  # fmt: skip


def python_files(*folders: str) -> list[Path]:
    """Every Python file below these folders of the project."""
    return sorted(file for folder in folders or FOLDERS for file in (ROOT / folder).rglob("*.py"))


def module_name(file: Path) -> str:
    """The dotted name of a file of the package."""
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported_modules(tree: ast.AST, modules: set[str], *, everywhere: bool = True) -> set[str]:
    """The modules that a file imports, functions and ``if TYPE_CHECKING`` included unless
    ``everywhere`` is False.

    ``from package import name`` counts as the module ``package.name`` where that is one of
    ``modules``.
    """
    found = set()
    for node in ast.walk(tree) if everywhere else ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, "relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in modules else node.module)
    return found


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The import circles of a graph, each as its modules in order."""
    found, done = [], set()

    def visit(node: str, path: list[str]) -> None:
        if node in path:
            found.append([*path[path.index(node) :], node])
        elif node not in done:
            for other in sorted(graph.get(node, ())):
                visit(other, [*path, node])
            done.add(node)

    for node in sorted(graph):
        visit(node, [])
    return found


def docstring_lines(tree: ast.AST) -> set[int]:
    """The numbers of the lines that are docstrings, of modules, classes, functions and
    attributes."""
    found: set[int] = set()
    for node in ast.walk(tree):
        for body in (getattr(node, "body", None), getattr(node, "orelse", None)):
            for statement in body if isinstance(body, list) else ():
                value = getattr(statement, "value", None)
                if isinstance(statement, ast.Expr) and isinstance(value, ast.Constant) and isinstance(value.value, str):
                    found |= set(range(statement.lineno, (statement.end_lineno or statement.lineno) + 1))
    return found


def code_lines(text: str) -> set[int]:
    """The numbers of the lines that hold code, without docstrings, comments and blank lines."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    starts = {token.start[0] for token in tokens if token.type not in _NO_CODE}
    return starts - docstring_lines(ast.parse(text))
