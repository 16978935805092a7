"""The command predict: its inputs, output and picture, and one line for bad input."""

import csv
import re
import warnings
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

import optax_lrs as olrs
from optax_lrs import Run, laws
from optax_lrs.__main__ import main
from optax_lrs.commands.predict import _candidates

T, PEAK = 1500, 1e-3
LAW = laws.Annealing(irreducible=2.6, power_scale=0.5, power_exponent=0.5, drop_scale=0.3, decay_factor=0.999)
CONSTANT = olrs.WSD(peak=PEAK, total_steps=T, warmup_steps=100, decay_steps=0)
COSINE = olrs.Cosine(peak=PEAK, total_steps=T, warmup_steps=100)
WSD = olrs.WSD(peak=PEAK, total_steps=T, warmup_steps=100, decay_steps=400)
LONG = olrs.Cosine(peak=PEAK, total_steps=2 * T, warmup_steps=100)
QUICK = ["--members", "3", "-o", "none", "--law", "annealing"]


def run_of(schedule, seed):
    steps, noise = np.arange(120, T, 20), np.random.default_rng(seed).standard_normal
    losses = LAW.curve(schedule.at(range(T)), steps)
    return Run(steps=steps, losses=losses * np.exp(1e-4 * noise(len(steps))), schedule=schedule)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed, (name, schedule) in enumerate(dict(constant=CONSTANT, cosine=COSINE).items()):
        run = run_of(schedule, seed)
        run.write(f"{name}.npz")
        with open(f"{name}.csv", "w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["step", "lr", "train/ce"])
            rows.writerows(zip(run.steps, schedule.at(run.steps), run.losses))
    (tmp_path / "wsd.json").write_text(WSD.to_json())
    return tmp_path


def predicted(capsys, *argv):
    assert main(["predict", *argv]) == 0
    out, err = capsys.readouterr()
    assert not err
    rows = re.findall(r"^(\S.*?)\s+([\d,]+)\s+(\d\.\d{4})\s+(\d\.\d{4}) –\s+(\d\.\d{4})", out, re.M)
    return out, {name: tuple(map(float, each)) for name, _, *each in rows}


def test_from_runs(folder, capsys):
    out, found = predicted(
        capsys,
        "constant.npz",
        "cosine.npz",
        "--schedule",
        repr(WSD),
        "--schedule",
        f"long = {LONG!r}",
        "--schedule",
        repr(CONSTANT),
        *QUICK,
    )
    runs = [Run.read("constant.npz"), Run.read("cosine.npz")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", laws.LawWarning)
        law = laws.Annealing.fit(runs)
        for name, schedule in {"WSD": WSD, "long": LONG, "WSD 2": CONSTANT}.items():
            loss, low, high = found[name]
            assert (
                loss == pytest.approx(law.final_loss(schedule, steps=schedule.total_steps), abs=6e-5)
                and low < loss < high
            )
            assert loss == pytest.approx(LAW.final_loss(schedule, steps=schedule.total_steps), rel=2e-3)
    assert list(found) == sorted(found, key=lambda name: found[name][0])
    assert f"choice {next(iter(found))}" in out and f"long = {LONG!r}" in out and f"WSD 2 = {CONSTANT!r}" in out
    assert "read   constant.npz: 69 rows, steps 120 to 1,480; the law is off by 0.01%" in out
    assert f"law    Annealing: irreducible {law.irreducible:.4g}, " in out and "Learning Rate Annealing" in out


def test_from_logs(folder, capsys):
    columns = ["--csv", "losses=train/ce"]
    both = ["constant.csv", "cosine.csv"]
    _, known = predicted(
        capsys, *both, "--schedule", "wsd.json", *columns, "--ran", repr(CONSTANT), "--ran", repr(COSINE), *QUICK
    )
    _, runs = predicted(capsys, "constant.npz", "cosine.npz", "--schedule", repr(WSD), *QUICK)
    assert known == runs
    # With the rates between rows, and the warmup given, the result is nearly the same.
    _, read = predicted(capsys, *both, "--schedule", repr(WSD), *columns, "--warmup-steps", "100", *QUICK)
    assert read["WSD"][0] == pytest.approx(runs["WSD"][0], rel=1e-3)
    _, later = predicted(capsys, "constant.npz", "cosine.npz", "--schedule", repr(WSD), "--first-step", "600", *QUICK)
    assert later != runs and later["WSD"][0] == pytest.approx(runs["WSD"][0], rel=5e-3)


def test_steps_and_level(folder, capsys):
    argv = ["constant.npz", "cosine.npz", "--schedule", repr(WSD), *QUICK]
    _, at_end = predicted(capsys, *argv)
    out, wide = predicted(capsys, *argv, "--level", "0.99")
    assert wide["WSD"][1] < at_end["WSD"][1] and wide["WSD"][2] > at_end["WSD"][2] and "99% bounds" in out
    _, longer = predicted(capsys, *argv, "--steps", "2000")
    assert longer["WSD"][0] != at_end["WSD"][0]


@pytest.mark.parametrize("law", ["ours", "multi_power"])
def test_the_other_laws_and_the_picture(folder, capsys, law):
    out, found = predicted(
        capsys,
        "constant.npz",
        "cosine.npz",
        "--schedule",
        repr(WSD),
        "--schedule",
        repr(LONG),
        "--law",
        law,
        "--members",
        "2",
        "-o",
        "seen.png",
    )
    assert out.splitlines()[-1] == "seen.png" and matplotlib.image.imread("seen.png").shape[:2] == (960, 1200)
    assert found["WSD"][0] == pytest.approx(LAW.final_loss(WSD, steps=T), rel=0.01)
    assert ("this law is ours" in out) == (law == "ours")


def test_what_is_drawn(folder):
    import matplotlib.pyplot as plt

    from optax_lrs.pictures._prediction import draw_prediction

    runs = [Run.read("constant.npz"), Run.read("cosine.npz")]
    law = laws.Annealing.fit(runs)
    ensemble = laws.bootstrap(law, runs, n=3)
    choice = laws.choose(ensemble, {"a": WSD, "b": LONG})
    above, below = draw_prediction(ensemble, runs, {"a": WSD, "b": LONG}, choice, labels=["one", "two"]).axes
    drawn = {line.get_label(): line for line in above.lines}
    for name, schedule in (("a", WSD), ("b", LONG)):
        steps, losses = drawn[f"{name}: {choice.losses[name]:.4f}"].get_data()
        assert steps[-1] == schedule.total_steps - 1 and losses[-1] == pytest.approx(choice.losses[name])
    assert {"one, fitted", "two, fitted"} <= set(drawn) and len(below.lines) == 2 and len(above.collections) == 2
    plt.close("all")


def test_names():
    named = _candidates([repr(WSD), f"mine={COSINE!r}", repr(CONSTANT), repr(WSD)])
    assert list(named) == ["WSD", "mine", "WSD 2", "WSD 3"] and named["mine"] == COSINE
    with pytest.raises(ValueError, match="'mine' is given twice"):
        _candidates([f"mine={COSINE!r}", f"mine = {WSD!r}"])


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["constant.npz"], "--schedule"),
        (["nowhere.npz", "--schedule", repr(WSD)], "nowhere.npz"),
        (["constant.npz", "--schedule", repr(WSD)], "the rate is constant in every run"),
        (["constant.npz", "--schedule", "Lniear()"], "unknown name 'Lniear'"),
        (
            ["constant.npz", "cosine.npz", "--schedule", "Constant(value=0.1)"],
            "steps is needed, because the candidate 'Constant'",
        ),
        (
            ["constant.npz", "cosine.npz", "--schedule", repr(WSD), "--law", "straight"],
            "--law must be one of annealing, multi_power, ours, or a class of optax_lrs.laws, got 'straight'",
        ),
        (
            ["constant.npz", "cosine.npz", "--schedule", repr(WSD), "--ran", repr(WSD)],
            "--ran must be given once for each of 2",
        ),
        (["constant.csv", "cosine.csv", "--schedule", repr(WSD)], "without losses"),
        (["constant.csv", "--schedule", repr(WSD), "--csv", "losses"], "--csv must be COLUMN=NAME"),
        (["constant.csv", "cosine.csv", "--schedule", repr(WSD), "--csv", "losses=train/ce"], "warmup_steps"),
        (["constant.npz", "cosine.npz", "--schedule", repr(WSD), "--members", "0"], "n must be at least 1"),
        (
            [
                "constant.npz",
                "cosine.npz",
                "--schedule",
                repr(WSD),
                "--law",
                "annealing",
                "--members",
                "2",
                "--level",
                "2",
            ],
            "level must be",
        ),
    ],
)
def test_a_mistake_prints_one_line(folder, capsys, argv, message):
    assert main(["predict", *argv]) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1
    assert not Path("prediction.png").exists()
