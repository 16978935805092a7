"""The commands list, show, plot, gallery and cite, and one line for bad input."""

import json
import re
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


def test_show_reports_phases_area_mean_and_peak(capsys):
    assert main(["show", "WSD(peak=3e-4, total_steps=10_000, warmup_steps=500, decay_steps=2_000)"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["rising", "0", "500", "0", "0.0002994", "2.9%"] in lines
    assert ["constant", "500", "7,500", "0.0003", "0.0003", "85.7%"] in lines
    assert ["falling", "8,000", "2,000", "0.0003", "1.5e-07", "11.4%"] in lines
    # Trapezoids: half a step of the peak less in the warmup, half a step more in the decay.
    assert ["area", "2.625:"] in [line[:2] for line in lines]
    assert ["mean", "0.0002625,", "87.5%"] in [line[:3] for line in lines]


def test_show_of_a_long_run_samples_and_says_so(capsys):
    assert main(["show", "Cosine(peak=2.0, total_steps=2**31 - 1)"]) == 0
    out = capsys.readouterr().out
    area, error = re.search(r"area  (\S+) \+- (\S+), estimated", out).groups()
    assert abs(float(area) - 2**31) < 5 * float(error) < 1e-5 * 2**31


def test_show_until_a_step(capsys):
    assert main(["show", "Constant(value=0.5)", "--steps", "6"]) == 0
    assert "area  3: the sum of the rates of 6 steps" in capsys.readouterr().out
    assert main(["show", "Triangularly()"]) == 2


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
    with pytest.raises(ValueError, match="at least one schedule"):
        olrs.plot()
    with pytest.raises(ValueError, match="labels must be one per schedule"):
        olrs.plot(olrs.Constant(value=1.0), labels=[])


def test_plot_on_a_logarithmic_scale(tmp_path):
    assert main(["plot", COSINE, "--scale", "log", "-o", str(tmp_path / "rates.svg")]) == 0
    ax = olrs.plot(olrs.parse(COSINE), scale="log")
    low, high = ax.get_ylim()
    assert ax.get_yscale() == "log" and 1e-9 < low < 1e-7 and 3e-4 < high < 6e-4  # four decades, although the end is 0
    assert olrs.plot(olrs.Constant(value=0.0), scale="log").get_yscale() == "linear"
    with pytest.raises(ValueError, match="scale must be one of 'linear', 'log', got 'Log'"):
        olrs.plot(olrs.parse(COSINE), scale="Log")


def test_plot_names_the_phases_of_one_schedule():
    wsd = olrs.WSD(peak=3e-4, total_steps=10_000, warmup_steps=1_000, decay_steps=2_000)
    names = [text.get_text() for text in olrs.plot(wsd).texts]
    assert sorted(names) == ["constant\n7,000", "end", "falling\n2,000", "rising\n1,000"]


def test_plot_marks_the_corners_of_each_of_several():
    ax = olrs.plot(olrs.parse(COSINE), olrs.Linear(peak=1e-4, total_steps=5_000), olrs.Constant(value=2e-4))
    assert not ax.texts and len(ax.lines) == 3
    marks = [collection.get_offsets().tolist() for collection in ax.collections]
    assert marks == [[[500, 3e-4], [10_000, 0.0]], [[5_000, 0.0]]]
    assert len({line.get_color() for line in ax.lines}) == 3


@pytest.mark.parametrize("names", [["InverseSqrt(peak=1.0, warmup_steps=50_000)"], ["Constant(value=1.0)"]])
def test_plot_shows_more_than_the_warmup_of_what_never_ends(names):
    assert olrs.plot(*map(olrs.parse, names)).get_xlim()[1] >= 10_000
    assert olrs.plot(olrs.InverseSqrt(peak=1.0, warmup_steps=50_000)).get_xlim()[1] > 200_000


def test_many_schedules_look_different():
    ax = olrs.plot(*(olrs.Linear(peak=peak, total_steps=10) for peak in np.linspace(1, 2, 20)))
    assert len({(line.get_color(), line.get_linestyle()) for line in ax.lines}) == 20


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "Sinus(peak=1)"],
        ["show", "missing.json"],
        ["plot", "Cosine(peak=1)"],
        ["show", COSINE, "--steps", "0"],
        ["show", "Cosine(peak=-1, total_steps=5)"],
        ["plot", COSINE, "-o", "/no/such/folder/rates.png"],
        ["plot", COSINE, "-o", "rates.nonsense"],
        ["plot", COSINE, "--scale", "cubic"],
        ["gallery", "--scale", "cubic"],
        ["plot", "Cosine(peak=1, total_steps=10**30)"],
        ["show", "Cosine(peak=1, total_steps=10**30)"],
        ["plot"],
        ["cite", "Constant"],
        ["cite", "Sinus"],
        ["cite", "Sinus(peak=1)"],
        ["show", COSINE, "--steps", "ten"],
        ["draw"],
        [],
    ],
)
def test_bad_input_is_one_line_and_status_2(arguments, capsys):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert not captured.out and captured.err.startswith("optax_lrs: ") and captured.err.count("\n") == 1


def test_bad_json_file(tmp_path, capsys):
    (tmp_path / "lr.json").write_text(json.dumps({"version": 1, "type": "Cosine"}))
    assert main(["show", str(tmp_path / "lr.json")]) == 2
    assert "missing arguments 'peak'" in capsys.readouterr().err


def test_as_a_module():
    done = subprocess.run([sys.executable, "-m", "optax_lrs", "list"], capture_output=True, text=True)
    assert done.returncode == 0 and "WSD" in done.stdout
