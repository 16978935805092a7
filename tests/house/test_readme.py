"""README is true: its code runs, its table and test command are current, and its links exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=[f"block {i}" for i in range(len(BLOCKS))])
def test_the_code_runs(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {})


def test_the_readme_has_code():
    assert len(BLOCKS) >= 4


def test_the_table_lists_the_registry():
    """To update it, paste python -m optax_lrs list --markdown between the markers."""
    table = subprocess.run(
        [sys.executable, "-m", "optax_lrs", "list", "--markdown"], capture_output=True, text=True, check=True
    )
    marked = re.search(r"<!-- schedules -->\n(.*?)<!-- /schedules -->", README, re.DOTALL)
    assert marked and marked.group(1).strip() == table.stdout.strip()


def test_the_test_command_is_that_of_the_ci():
    commands = re.findall(r"```sh\n(.*?)\n```", README, re.DOTALL)
    tests = [command for command in commands if "pytest" in command]
    assert len(tests) == 1 and tests[0] in map(str.strip, (ROOT / ".ci" / "run").read_text().splitlines())
    assert any("examples/pretrain.py" in command for command in commands)


def test_links_within_the_project_exist():
    for target in re.findall(r"\]\((?!https?://|#)([^)]+)\)", README):
        assert (ROOT / target).exists(), target
