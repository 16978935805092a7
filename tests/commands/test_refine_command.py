"""The command refine: its inputs, output, file and picture, and one line for bad input."""

import csv
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

import optax_lrs as olrs
from optax_lrs.__main__ import main
from optax_lrs.pictures._refinement import draw_refinement

WSD = olrs.WSD(peak=0.3, total_steps=400, warmup_steps=20, decay_steps=80)


def norms(count=400):
    time = np.arange(count) / count
    return np.exp(0.1 * np.random.default_rng(0).standard_normal(count)) * (1 + 4 * np.exp(-20 * time)) * (1 + time**4)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = olrs.Run(
        steps=range(400), grad_norms=norms(), grad_norms_l1=10 * norms(), schedule=WSD, lrs=WSD.at(range(400))
    )
    run.write("run.npz")
    with open("log.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["iter", "train/gnorm", "loss"])
        rows.writerows(zip(range(10, 4010, 10), norms(), norms()))
    (tmp_path / "wsd.json").write_text(WSD.to_json())
    return tmp_path


def with_refinement(*argv):
    assert main(["refine", *argv]) == 0
    return olrs.Schedule.from_json(Path("schedule.json").read_text())


def test_from_a_run(folder, capsys):
    lr = with_refinement("run.npz", "--for", "adam")
    assert lr == olrs.refine(olrs.Run.read("run.npz"), optimizer="adam") and lr.source.startswith("refined for adam")
    out = capsys.readouterr().out
    at = np.arange(401)
    top = int(np.argmax(lr.at(at)))
    assert "read     400 l1 norms, steps 0 to 399, at every step" in out
    assert f"refined  400 steps, peak 0.3 at step {top} ({top / 400:.1%} of the run)" in out
    fit = olrs.refinement.fit_warmup_power(lr)
    assert f"formula  warmup {fit.warmup_fraction:.1%}, power {fit.schedule.p:.3g}; misfit {fit.rms_misfit:.1%}" in out
    effective = olrs.refinement.prepare_norms(olrs.Run.read("run.npz"), optimizer="adam").smooth ** 0.5
    linear = olrs.theory.optimal_bound(1 - at[:-1] / 400, effective)
    old, new = (olrs.theory.optimal_bound(s.at(at[:-1]), effective) / linear for s in (WSD, lr))
    assert f"bound    as it was run {old:.3f}, refined {new:.3f}; linear decay 1" in out and new < 1 < old
    assert out.splitlines()[-2:] == ["schedule.json", "schedule.png"]
    assert matplotlib.image.imread("schedule.png").shape[:2] == (900, 1200)
    for command in ("show", "plot"):
        assert main([command, "schedule.json"]) == 0


def test_the_options(folder, capsys):
    lr = with_refinement(
        "run.npz",
        "--for",
        "sgd",
        "--steps",
        "9000",
        "--knots",
        "100",
        "--peak",
        "0.01",
        "--floor",
        "1e-4",
        "--bound",
        "--smoothing",
        "0.2",
        "--picture",
        "none",
    )
    same = olrs.refine(
        olrs.Run.read("run.npz"),
        optimizer="sgd",
        total_steps=9000,
        knots=100,
        peak=0.01,
        floor=1e-4,
        method="bound",
        smoothing=0.2,
    )
    assert lr == same and len(lr.lrs) == 100 and not (folder / "schedule.png").exists()
    fitted = with_refinement("run.npz", "--for", "adam", "--norm", "l2", "--fit", "--picture", "seen.svg")
    assert (
        fitted
        == olrs.refinement.fit_warmup_power(olrs.refine(olrs.Run.read("run.npz"), optimizer="adam", norm="l2")).schedule
    )
    assert (folder / "seen.svg").exists()


def test_from_a_log(folder, capsys):
    columns = ["--csv", "steps=iter", "grad_norms=train/gnorm"]
    for schedule in ("wsd.json", repr(WSD)):
        lr = with_refinement("log.csv", "--for", "sgd", *columns, "--schedule", schedule, "--steps", "4000")
        assert lr.ends_at == 4000 and lr.lrs.max() == pytest.approx(0.3, rel=1e-6)
    out = capsys.readouterr().out
    assert "read     400 l2 norms, steps 10 to 4,000, one in 10 steps" in out and "as it was run" in out
    with_refinement("log.csv", "--for", "sgd", *columns, "--peak", "1")  # nothing is known about the rates
    assert "bound    refined" in capsys.readouterr().out
    assert (
        with_refinement("run.npz", "--for", "sgd", "--schedule", "Linear(peak=0.5, total_steps=400)").lrs.max() == 0.3
    )


def test_the_picture():
    run = olrs.Run(steps=range(5000), grad_norms=np.append(norms(4999), 0.0), schedule=WSD)
    seen = olrs.refinement.prepare_norms(run, optimizer="sgd")
    lr = olrs.refine(run, optimizer="sgd")
    above, below = draw_refinement(run, seen, lr, fit=olrs.refinement.fit_warmup_power(lr)).axes
    assert above.get_yscale() == "linear" and [len(ax.lines) for ax in (above, below)] == [2, 3]
    old, new, _ = below.lines
    np.testing.assert_array_equal(old.get_ydata(), WSD.at(range(5000)))
    np.testing.assert_array_equal(new.get_ydata(), lr.at(new.get_xdata()))
    import matplotlib.pyplot as plt

    plt.close(above.figure)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["run.npz"], "--for"),
        (["run.npz", "--for", "adamw"], "optimizer must be 'sgd' or 'adam'"),
        (["nowhere.npz", "--for", "sgd"], "nowhere.npz"),
        (["log.csv", "--for", "sgd"], "run.grad_norms is None"),
        (["log.csv", "--for", "sgd", "--csv", "steps"], "--csv must be COLUMN=NAME"),
        (["log.csv", "--for", "sgd", "--csv", "steps=iter", "grad_norms=train/gnorm"], "peak is needed"),
        (["log.csv", "--for", "adam", "--csv", "steps=iter", "grad_norms=train/gnorm"], "norm='l2'"),
        (["run.npz", "--for", "sgd", "--knots", "1"], "knots must be at least 2"),
        (["run.npz", "--for", "sgd", "--schedule", "Lniear()"], "unknown name 'Lniear'"),
    ],
)
def test_a_mistake_prints_one_line(folder, capsys, argv, message):
    assert main(["refine", *argv]) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1
