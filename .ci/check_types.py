"""Checks types: pyright on the package and on every Python block of README and docs, and its public names for completeness.

    .venv/bin/python .ci/check_types.py

Exits 1 on the first error. Blocks are written to a temporary folder as modules, so a message names file and block.
"""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys
import tempfile
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]


def pyright(*arguments: str, cwd: pathlib.Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Runs pyright with this interpreter's packages."""
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


def check(name: str, result: subprocess.CompletedProcess[str]) -> bool:
    """Prints what was found; whether it is clean."""
    print(f"{name}: {'clean' if result.returncode == 0 else 'errors'}")
    if result.returncode:
        print(result.stdout[-8000:], result.stderr[-2000:], sep="\n")
    return result.returncode == 0


def blocks(folder: pathlib.Path) -> int:
    """Writes each Python block of README and docs into a module; returns how many there are."""
    count = 0
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for number, block in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)):
            (folder / f"{page.stem.lower()}_block_{number}.py").write_text(block)
            count += 1
    return count


def incomplete() -> list[str]:
    """Public names whose types pyright does not know, with the reason."""
    result = pyright("--verifytypes", "optax_lrs", "--ignoreexternal", "--outputjson")
    return unknown_names(json.loads(result.stdout)["typeCompleteness"]["symbols"])


def unknown_names(symbols: list[dict[str, Any]]) -> list[str]:
    """Exported names without complete types, except those whose only fault is a base class of Optax.

    Optax has annotations but no ``py.typed``, so ``--verifytypes`` does not know its classes, nor those that derive
    from them, nor what returns one. A class is excused only if all its members have complete types.
    """
    unknown = [each for each in symbols if not each["isTypeKnown"]]
    names = [each["name"] for each in unknown]

    def messages(symbol: dict[str, Any]) -> list[str]:
        return [each["message"] for each in symbol["diagnostics"] if each["severity"] == "error"]

    excused = {
        each["name"].rpartition(".")[2]
        for each in unknown
        if messages(each)
        and all(text.startswith(("Type of metaclass unknown", "Type of base class")) for text in messages(each))
        and not any(name.startswith(f"{each['name']}.") for name in names)
    }

    def is_excused(symbol: dict[str, Any]) -> bool:
        types = [re.search(r'type is "(\w+)"$', text) for text in messages(symbol)]
        name = symbol["name"].rpartition(".")[2]
        return name in excused or (bool(types) and all(found and found[1] in excused for found in types))

    ours = [each for each in unknown if each["isExported"] and not is_excused(each)]
    return [f"{each['name']}: {next(iter(messages(each)), '')}" for each in ours]


def main() -> int:
    """Runs the three checks; 0 if all are clean."""
    fine = check("pyright on the package", pyright())
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        count = blocks(folder)
        (folder / "pyrightconfig.json").write_text(
            json.dumps({"typeCheckingMode": "basic", "extraPaths": [str(ROOT)], "pythonVersion": "3.11"})
        )
        fine = check(f"pyright on {count} blocks of README and docs", pyright("-p", name)) and fine
    unknown = incomplete()
    print(f"public names without complete types: {len(unknown)}")
    print(*unknown[:60], sep="\n")
    return int(not (fine and not unknown))


if __name__ == "__main__":
    sys.exit(main())
