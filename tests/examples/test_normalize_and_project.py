"""The example runs, and what it projects keeps its norm."""

import importlib.util
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "normalize_and_project.py"


@pytest.mark.slow
def test_example(capsys):
    pytest.importorskip("sklearn")
    spec = importlib.util.spec_from_file_location("normalize_and_project", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = module.main(["--tasks=2", "--steps=150", "--images=64"])
    assert all(len(accuracies) == 2 and min(accuracies) > 0.9 for accuracies in found.values())
    shown = capsys.readouterr().out
    assert "layers/1/dense/kernel" in shown and "adam, projected: hidden norms grew [1.0, 1.0] times" in shown
