"""Run files."""

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


def test_files_that_hold_no_run(tmp_path):
    (tmp_path / "text").write_text("hello")
    np.savez(tmp_path / "other.npz", a=[1])
    np.savez(tmp_path / "pickle.npz", meta=np.array([object()], object))
    for name in ("text", "other.npz", "pickle.npz"):
        with pytest.raises(ValueError, match="holds no run"):
            Run.read(tmp_path / name)
    with pytest.raises(OSError):
        Run.read(tmp_path / "missing.npz")
