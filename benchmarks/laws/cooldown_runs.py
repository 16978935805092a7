"""The published 124M runs of Schaipp et al. (MIT license, arXiv:2501.18965).

Rates come from their formulas, losses from their files.
"""

from __future__ import annotations

import csv
import pathlib

import numpy as np

import optax_lrs as olrs

PEAK, WARMUP = 1e-3, 300
FITTED = ("stable_50000", "cosine_to_zero_25000")
FIRST_STEP = 1000  # of the points that are fitted and tested; no law holds before it


def rates_of(name: str, shape: str, total: int, share: float) -> np.ndarray:
    """The rate at each step.

    A warmup from a hundredth of the peak, then a plateau and a decay, or a cosine.
    """
    steps, kind = np.arange(total + 1), name.split("_")[0]
    risen = np.minimum(steps / WARMUP, 1.0)
    if kind == "cosine":
        end = PEAK / 10 if "tenth" in name else 0.0
        done = np.clip((steps - WARMUP) / (total - WARMUP), 0, 1)
        lrs = end + (PEAK - end) * (1 + np.cos(np.pi * done)) / 2
        warm = PEAK / 100 + (PEAK - PEAK / 100) * (1 - np.cos(np.pi * risen)) / 2
    else:
        decay = int(share * total)
        left = np.clip((total - steps) / decay, 0, 1) if decay else np.ones(total + 1)
        lrs = PEAK * (left if shape == "linear" else 1 - np.sqrt(1 - left))
        warm = PEAK * (risen + (1 - risen) / 100)
    return np.where(steps < WARMUP, warm, lrs)


def load(curves: pathlib.Path) -> dict[str, olrs.Run]:
    """The runs by name, without their first 1,000 steps.

    ``notes`` has the final loss on the whole validation set.
    """
    runs, folder = {}, curves / "schaipp_124M"
    with open(folder / "INDEX.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if not row["file"].startswith("gradnorm")]
    for row in rows:
        name, total = row["file"].removesuffix(".csv"), int(row["total_steps"])
        lrs = rates_of(name, row["decay_shape"], total, float(row["decay_fraction"]))
        run = olrs.Run.from_csv(folder / row["file"])
        kept = run.steps >= FIRST_STEP
        notes = dict(name=name, final=float(row["final_full_val_loss"]), total=total)
        runs[name] = olrs.Run(
            steps=run.steps[kept], val_losses=run.val_losses[kept], schedule=olrs.Tabulated(lrs=lrs), notes=notes
        )
    return runs
