"""The command line: list, show, plot, and one line for bad input."""

import json
import subprocess
import sys

import matplotlib.image
import numpy as np
import pytest

import optax_lrs as olrs
from optax_lrs.__main__ import main

COSINE = "Cosine(peak=3e-4, total_steps=10_000, warmup_steps=500)"


def test_list(capsys):
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    for cls in olrs.Schedule.registry.values():
        if cls.__module__.startswith("optax_lrs."):
            assert cls._name in out


def test_show(capsys, tmp_path):
    assert main(["show", COSINE]) == 0
    out = capsys.readouterr().out
    assert repr(olrs.parse(COSINE)) in out and "constant from step 10,000" in out and "arXiv:1608.03983" in out
    assert any(line.split() == ["500", "0.0003"] for line in out.splitlines())
    (tmp_path / "lr.json").write_text(olrs.parse(COSINE).to_json())
    assert main(["show", str(tmp_path / "lr.json")]) == 0 and capsys.readouterr().out == out
    assert main(["show", "InverseSqrt(peak=1e-3)"]) == 0 and "without end" in capsys.readouterr().out


def test_plot(capsys, tmp_path):
    target = tmp_path / "rates.png"
    wsd = "WSD(peak=3e-4, total_steps=10_000, decay_steps=2_000, decay=one_minus_sqrt)"
    assert main(["plot", COSINE, wsd, "-o", str(target)]) == 0
    assert capsys.readouterr().out.strip() == str(target)
    picture = matplotlib.image.imread(target)
    assert picture.shape[0] > 300 and len(np.unique(picture.reshape(-1, picture.shape[-1]), axis=0)) > 50


def test_plot_draws_every_jump():
    ax = olrs.plot(olrs.switch(olrs.Constant(value=1.0), olrs.Constant(value=0.5), at=54_321), steps=1_000_000)
    steps, rates = ax.lines[0].get_data()
    jump = int(np.argmax(rates == 0.5))
    assert steps[jump] == 54_321 and steps[jump - 1] == 54_320
    with pytest.raises(ValueError, match="one schedule at least"):
        olrs.plot()
    with pytest.raises(ValueError, match="as many labels"):
        olrs.plot(olrs.Constant(value=1.0), labels=[])


@pytest.mark.parametrize(
    "arguments",
    [["show", "Sinus(peak=1)"], ["show", "missing.json"], ["plot", "Cosine(peak=1)"], ["show", COSINE, "--steps", "0"],
     ["show", "Cosine(peak=-1, total_steps=5)"], ["plot", COSINE, "-o", "/no/such/folder/rates.png"]],
)  # fmt: skip
def test_bad_input_is_one_line_and_status_2(arguments, capsys):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("optax_lrs: ") and captured.err.count("\n") == 1


def test_bad_json_file(tmp_path, capsys):
    (tmp_path / "lr.json").write_text(json.dumps({"version": 1, "type": "Cosine"}))
    assert main(["show", str(tmp_path / "lr.json")]) == 2
    assert "lacks the field 'peak'" in capsys.readouterr().err


def test_as_a_module():
    done = subprocess.run([sys.executable, "-m", "optax_lrs", "list"], capture_output=True, text=True)
    assert done.returncode == 0 and "WSD" in done.stdout
