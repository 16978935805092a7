"""The training that benchmarks/faults/faults.py kills: examples/pretrain.py with a tiny model.

Its checkpoints are watched from outside the process.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import warnings
from typing import Any

import numpy as np

import optax_lrs as olrs
from optax_lrs.checkpoint import CheckpointError, Checkpoints
from optax_lrs.checkpoint._orbax import TEMPORARY

ROOT = pathlib.Path(__file__).resolve().parents[2]
STEPS, EVERY = 90, 5
# A small peak, because this benchmark does not ask how rounding errors grow.
SCHEDULE = olrs.WSD(peak=1e-3, total_steps=STEPS, decay_steps=20, warmup_steps=10)
OPTIONS = dict(width=32, depth=1, heads=4, context=32)
TIMEOUT = 300  # seconds; a run takes about 10


@dataclasses.dataclass(frozen=True)
class Place:
    """The folder of all runs of this benchmark."""

    path: pathlib.Path

    @property
    def corpus(self) -> pathlib.Path:
        return self.path / "corpus"

    def make(self) -> None:
        """Copies forty modules of the standard library to train on."""
        self.corpus.mkdir(parents=True)
        for path in sorted(pathlib.Path(os.__file__).parent.glob("[a-d]*.py"))[:40]:
            shutil.copy(path, self.corpus)

    def start(self, name: str, devices: int, *arguments: str) -> subprocess.Popen:
        """Starts the example in its own process, on that many virtual devices."""
        environment = {key: value for key, value in os.environ.items() if key not in ("XLA_FLAGS", "PYTHONWARNINGS")}
        environment |= {
            "JAX_PLATFORMS": "cpu",
            "PYTHONPATH": str(ROOT),
            "JAX_COMPILATION_CACHE_DIR": str(self.path / "compiled"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
        }
        command = [sys.executable, "-W", "ignore", str(ROOT / "examples" / "pretrain.py")]
        command += ["--data", str(self.corpus), "--out", str(self.path / name), "--steps", str(STEPS)]
        command += ["--checkpoint-every", str(EVERY), "--batch-size", "8", "--eval-every", "50", "--eval-batches", "2"]
        command += [word for key, value in OPTIONS.items() for word in (f"--{key}", str(value))]
        command += ["--virtual-devices", str(devices), *arguments, "--schedule", repr(SCHEDULE)]
        return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, name: str, devices: int, *arguments: str) -> tuple[int, str]:
        """Runs the example to its end; returns the exit status and its stderr."""
        process = self.start(name, devices, *arguments)
        try:
            _, err = process.communicate(timeout=TIMEOUT)
        finally:
            process.kill()
        return process.returncode, err

    def folder(self, name: str) -> pathlib.Path:
        return self.path / name / "wsd" / "checkpoints"


def seen(folder: pathlib.Path) -> tuple[list[int], dict[int, int]]:
    """The steps of complete checkpoints, and of those being written with their inodes.

    The inode distinguishes a folder from an older one of the same step.
    """
    names = os.listdir(folder) if folder.is_dir() else []
    writing = {}
    for name in names:
        if TEMPORARY in name and name.split(".")[0].isdigit():
            with contextlib.suppress(FileNotFoundError):  # it is complete by now
                writing[int(name.split(".")[0])] = (folder / name).stat().st_ino
    return sorted(int(name) for name in names if name.isdigit()), writing


@dataclasses.dataclass(frozen=True)
class Moment:
    """When to kill: ``delay`` seconds after a save of this or a later step is seen (0: at once)."""

    step: int
    delay: float
    aim: str


def kill(process: subprocess.Popen, folder: pathlib.Path, moment: Moment) -> dict[str, Any] | None:
    """Kills the process at that moment.

    Returns what was there just before and after; None if the process ended before.
    """
    at_start = seen(folder)
    already = max(at_start[0], default=0)
    deadline = time.monotonic() + TIMEOUT
    while moment.step and process.poll() is None and time.monotonic() < deadline:
        complete, writing = seen(folder)
        fresh = [step for step in complete if step > already] + new(writing, at_start[1])
        if any(step >= min(moment.step, STEPS) for step in fresh) or (moment.step <= already and fresh):
            break
        time.sleep(0.001)
    time.sleep(moment.delay)
    before, _ = seen(folder)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=TIMEOUT)
    if process.returncode != -signal.SIGKILL:
        return None
    complete, writing = seen(folder)
    old = folder / ".deleted"
    return {
        "complete before": before,
        "complete after": complete,
        "being written": new(writing, at_start[1]),
        "being deleted": len(os.listdir(old)) if old.is_dir() else 0,
    }


def new(writing: dict[int, int], old: dict[int, int]) -> list[int]:
    """The saves that this process has started, without those that an earlier kill left."""
    return sorted(step for step, inode in writing.items() if old.get(step) != inode)


class Reader:
    """Restores the checkpoints of the example in this process, on one device."""

    def __init__(self):
        import jax

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other packages, while they are imported
            from training.sharded_step import Model, make_mesh, make_training
            from training.transformer import Size

        self.mesh = make_mesh({})
        with jax.set_mesh(self.mesh):
            self.template = make_training(Model(Size(**OPTIONS), self.mesh, 0), SCHEDULE, STEPS).shapes

    def restore(self, folder: pathlib.Path, **options: Any) -> Any:
        with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Checkpoints(folder, schedule=SCHEDULE).restore(self.template, **options)

    def unreadable(self, folder: pathlib.Path) -> list[str]:
        """The complete checkpoints that cannot be restored, or differ, and why."""
        found = []
        for step in Checkpoints(folder).steps():
            try:
                self.restore(folder, step=step)
            except CheckpointError as error:
                found.append(f"{step}: {error}")
        return found

    def checksums(self, folder: pathlib.Path, step: int) -> dict[str, Any]:
        """The recorded checksums of the whole state, the record of the run included."""
        return json.loads((folder / str(step) / "about" / "metadata").read_text())["leaves"]

    def params(self, folder: pathlib.Path, step: int | None = None) -> np.ndarray:
        """All parameters of a checkpoint (the last one by default) in one vector."""
        import jax

        leaves = jax.tree.leaves(self.restore(folder, step=step).state.params)
        return np.concatenate([np.asarray(leaf).ravel() for leaf in leaves])
