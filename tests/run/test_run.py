"""Runs: checks, files, text tables, and joining."""

import json

import numpy as np
import pytest

import optax_lrs as olrs
from optax_lrs import Run


def test_round_trip(tmp_path):
    lr = olrs.WSD(peak=1.0, total_steps=10, decay_steps=3, decay=olrs.profiles.power(1.5))
    run = Run(steps=range(10), lrs=lr.at(range(10)), losses=np.linspace(3, 2, 10), val_losses=[np.nan] * 9 + [2.5],
              schedule=lr, notes={"seed": 3, "data": ["a", "b"]})  # fmt: skip
    run.write(tmp_path / "run.npz")
    again = Run.read(tmp_path / "run.npz")
    assert again == run and again.schedule == lr and again.grad_norms is None and len(again) == 10
    assert again != Run(steps=range(10)) and [p.name for p in tmp_path.iterdir()] == ["run.npz"]


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    Run(steps=[0]).write(tmp_path / "run.npz")
    monkeypatch.setattr(np, "savez_compressed", lambda *a, **k: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        Run(steps=[0, 1]).write(tmp_path / "run.npz")
    assert len(Run.read(tmp_path / "run.npz")) == 1


def test_an_empty_run(tmp_path):
    Run(steps=[], losses=[]).write(tmp_path / "run.npz")
    assert len(Run.read(tmp_path / "run.npz")) == 0


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        (dict(steps=[0, 1], losses=[1.0]), ValueError, r"losses must have the shape of steps, \(2,\), got \(1,\)"),
        (dict(steps=[1, 1]), ValueError, "steps must be increasing"),
        (dict(steps=[-1, 1]), ValueError, "not negative"),
        (dict(steps=[0.5]), ValueError, "steps must be ints"),
        (dict(steps=3), ValueError, "steps must be ints"),
        (dict(steps=[0], schedule=0.1), TypeError, "schedule must be a Schedule"),
    ],
)
def test_mistakes(fields, error, message):
    with pytest.raises(error, match=message):
        Run(**fields)


def test_files_without_a_run(tmp_path):
    (tmp_path / "text").write_text("hello")
    np.savez(tmp_path / "other.npz", a=[1])
    np.savez(tmp_path / "pickle.npz", meta=np.array([object()], object))
    for name in ("text", "other.npz", "pickle.npz"):
        with pytest.raises(ValueError, match="is not a saved run"):
            Run.read(tmp_path / name)
    with pytest.raises(OSError):
        Run.read(tmp_path / "missing.npz")


# ── from text ────────────────────────────────────────────────────────────────────────────────


def table(tmp_path, text):
    (tmp_path / "log.csv").write_text(text, encoding="utf-8")
    return tmp_path / "log.csv"


def test_from_csv(tmp_path):
    path = table(tmp_path, "step,lr,train_loss,grad_norm,other\n50,1e-4,8.1,1.4,x\n100,2e-4,6.5,0.8,y\n")
    run = Run.from_csv(path, notes={"seed": 1})
    assert run == Run(steps=[50, 100], lrs=[1e-4, 2e-4], losses=[8.1, 6.5], grad_norms=[1.4, 0.8], notes={"seed": 1})
    assert Run.from_csv(path, columns={"losses": "grad_norm"}).losses.tolist() == [1.4, 0.8]


def test_from_csv_of_an_experiment_tracker(tmp_path):
    """A byte-order mark, semicolons, slashes, quotes, blank lines, separate rows, a resume."""
    text = (
        '\ufeff"Step";"train/loss";"train/gnorm";val/loss\n'
        "0;3.0;;\n0;;9.5;\n\n2;2.0;;2.5\n1.0;2.5;8.5\n2;1.9;inf;\n3;nan;7;\n"
    )
    lr = olrs.Linear(peak=1.0, total_steps=4)
    run = Run.from_csv(table(tmp_path, text), columns={"grad_norms": "train/gnorm"}, schedule=lr)
    nan = np.nan
    assert run == Run(steps=[0, 1, 2, 3], losses=[3, 2.5, 1.9, nan], grad_norms=[9.5, 8.5, np.inf, 7],
                      val_losses=[nan, nan, 2.5, nan], lrs=lr.at(range(4)), schedule=lr)  # fmt: skip
    assert len(Run.from_csv(table(tmp_path, "iter\tlr\n"))) == 0


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("a,b\n1,2\n", {}, "has no column of steps, only a, b; name it"),
        ("", {}, "has no column of steps, only nothing"),
        ("step,b\n1,2\n", {"losses": "c"}, "no column 'c' for losses, only step, b"),
        ("step\n1\n", {"loss": "step"}, "columns must name steps, lrs, .*, got 'loss'. Did you mean 'losses'"),
        ("step,loss\n1,2\n2,x\n", {}, "line 3, column 'loss': the entry must be a number, got 'x'"),
        ("step,loss\n1.5,2\n", {}, "line 2: the step must be an int, got 1.5"),
        ("step,loss\n,2\n", {}, "line 2: the step must be an int, got nan"),
        ("step,loss\n-1,2\n", {}, "not negative"),
    ],
)
def test_bad_tables(tmp_path, text, columns, message):
    with pytest.raises(ValueError, match=message):
        Run.from_csv(table(tmp_path, text), columns=columns)


# ── after a resume ───────────────────────────────────────────────────────────────────────────


def test_concatenate():
    lr, other = olrs.Constant(value=0.1), olrs.Constant(value=0.2)
    a = Run(steps=range(6), losses=range(6), schedule=lr, notes={"skipped_steps": 1, "seed": 1})
    b = Run(steps=[3, 4, 5, 6], grad_norms=[1, 2, 3, 4], schedule=other, notes={"skipped_steps": 2})
    c = Run(steps=[5, 8], losses=[50, 80], grad_norms_l1=[7, 8])
    nan = np.nan
    assert Run.concatenate([a, b, c]) == Run(
        steps=[0, 1, 2, 3, 4, 5, 8], losses=[0, 1, 2, nan, nan, 50, 80], grad_norms=[nan, nan, nan, 1, 2, nan, nan],
        grad_norms_l1=[nan] * 5 + [7, 8], schedule=other, notes={"skipped_steps": 3, "seed": 1},
    )  # fmt: skip
    assert Run.concatenate([a]) == a and Run.concatenate([a, Run(steps=[])]) == a
    assert Run.concatenate([b, Run(steps=[0])]).steps.tolist() == [0]  # a run that started again at 0
    assert Run.concatenate([a, Run(steps=[4]), Run(steps=[2])]).steps.tolist() == [0, 1, 2]
    for runs in ([], [None]):
        with pytest.raises(ValueError, match="runs must be one or more Runs"):
            Run.concatenate(runs)


# ── the format ───────────────────────────────────────────────────────────────────────────────


def formats(path):
    with np.load(path) as archive:
        return json.loads(str(archive["meta"]))["format"]


def test_the_format_number_rises_only_for_new_columns(tmp_path):
    """A release that knows format 1 reads files without the new columns and refuses the others."""
    path = tmp_path / "run.npz"
    for column, number in (("grad_norms", 1), ("grad_norms_l1", 2)):
        run = Run(steps=[0, 1], **{column: [1.0, np.nan]})
        run.write(path)
        assert formats(path) == number and Run.read(path) == run
    np.savez(path, steps=[0, 1], losses=[2.0, 1.0], meta=json.dumps({"format": 1, "notes": {"a": 1}, "schedule": None}))
    assert Run.read(path) == Run(steps=[0, 1], losses=[2.0, 1.0], notes={"a": 1})
    np.savez(path, steps=[0], meta=json.dumps({"format": 3, "notes": {}, "schedule": None}))
    with pytest.raises(ValueError, match=r"format 3: this optax_lrs reads \(1, 2\)"):
        Run.read(path)
