"""examples/muon_and_adam.py, run as a user runs it: it logs what the schedules say.

One run is stopped, continued on another number of devices, and has a rate replaced. Every logged
value is compared with a float64 computation on the host that knows only the schedules.
"""

import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

import optax_lrs as olrs
import processes

pytest.importorskip("grain")
pytest.importorskip("tqdm")

STEPS, STOP, REPLACED = 60, 20, 40
TINY = "--width 32 --depth 1 --heads 4 --context 32 --batch-size 8".split()
NEW = olrs.WSD(peak=5e-3, total_steps=STEPS, warmup_steps=STEPS // 20, decay_steps=STEPS // 2)


def run(*arguments):
    command = [sys.executable, str(processes.ROOT / "examples" / "muon_and_adam.py"), *map(str, arguments), *TINY]
    done = subprocess.run(command, env=processes.environment(), text=True, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done


def expected(step):
    """The values of a step, in float64."""
    progress = step / STEPS
    beta = np.interp(step, [0, STEPS // 3], [0.85, 0.95])
    up = min(step / (STEPS // 20), 1.0)
    down = min((STEPS - step) / (STEPS // 2), 1.0)
    peak = 5e-3 if step >= REPLACED else 2e-2
    return {
        "learning_rate/muon": peak * up * down,
        "beta/muon": beta,
        "weight_decay/muon": 0.1 * np.cos(np.pi / 2 * progress) ** 2,
        "learning_rate/adam": 3e-3 * up * down,
        "b2/adam": 0.95,
        "weight_decay/adam": 0.01,
    }


@pytest.mark.slow
@pytest.mark.parametrize("devices", [(1, 8), (8, 1)], ids=["to 8 devices", "to 1 device"])
def test_every_logged_value(devices, tmp_path):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for path in sorted(pathlib.Path(os.__file__).parent.glob("[a-d]*.py"))[:20]:
        shutil.copy(path, corpus)
    out = tmp_path / "run"
    common = ["--steps", STEPS, "--out", out, "--data", corpus]
    run(*common, "--stop-at", STOP, "--virtual-devices", devices[0])
    replace = ["--replace", REPLACED, "muon/learning_rate", NEW]
    done = run(*common, "--resume", "--virtual-devices", devices[1], *replace)
    assert "was compiled" not in done.stderr, "replacing a schedule recompiled the step"
    with np.load(out / "applied.npz") as applied:
        logged = dict(applied)
    assert len(logged["loss"]) == STEPS and np.all(np.isfinite(logged["loss"]))
    assert np.mean(logged["loss"][-5:]) < np.mean(logged["loss"][:5]) - 0.5
    for step in range(STEPS):
        wanted = expected(step)
        assert logged.keys() == {"loss", *wanted}
        for name, value in wanted.items():
            np.testing.assert_allclose(logged[name][step], value, rtol=1e-6, atol=0, err_msg=f"{name} at step {step}")
    assert (out / "muon_and_adam.png").stat().st_size > 10_000
