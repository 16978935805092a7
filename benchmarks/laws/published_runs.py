"""The published runs of Luo et al. (MIT license, arXiv:2503.12811).

Rates come from their formulas, losses from their files.
"""

from __future__ import annotations

import pathlib

import numpy as np

import optax_lrs as olrs

FITTED = ("cosine_24000", "constant_24000", "wsdcon_9")  # the published split
HELD_OUT = ("constant_72000", "cosine_72000", "wsd_20000_24000", "wsdld_20000_24000", "wsdcon_3", "wsdcon_18")
PEAK, END, WARMUP = 3e-4, 3e-5, 2160

# R² and MAE of the authors' parameters on each curve, from their logs.
PUBLISHED = {
    "25M": {
        "cosine_24000": (0.998507, 0.004428),
        "constant_24000": (0.998674, 0.003762),
        "wsdcon_9": (0.999471, 0.002926),
        "constant_72000": (0.999755, 0.001580),
        "cosine_72000": (0.996623, 0.007445),
        "wsd_20000_24000": (0.999217, 0.003408),
        "wsdld_20000_24000": (0.999359, 0.003136),
        "wsdcon_3": (0.998253, 0.004487),
        "wsdcon_18": (0.999606, 0.002505),
    },
    "100M": {
        "cosine_24000": (0.999337, 0.003278),
        "constant_24000": (0.999814, 0.001849),
        "wsdcon_9": (0.998641, 0.004935),
        "constant_72000": (0.997959, 0.004776),
        "cosine_72000": (0.996987, 0.007265),
        "wsd_20000_24000": (0.998668, 0.003748),
        "wsdld_20000_24000": (0.999044, 0.003248),
        "wsdcon_3": (0.997281, 0.005669),
        "wsdcon_18": (0.999866, 0.001382),
    },
}


def rates_of(name: str, count: int) -> np.ndarray:
    """The rate at each step.

    Their warmup reaches the peak at its last step, one step earlier than ours.
    """
    shape, total, steps = name.split("_")[0], int(name.split("_")[-1]), np.arange(count)
    lrs = np.full(count, PEAK)
    if shape == "cosine":
        done = (steps - WARMUP) / (total - WARMUP)
        lrs = END + (PEAK - END) * (1 + np.cos(np.pi * done)) / 2
    elif shape in ("wsd", "wsdld"):
        done = np.maximum(steps - 20_000, 0) / (total - 20_000)
        lrs = PEAK * (END / PEAK) ** done if shape == "wsd" else PEAK + (END - PEAK) * done
    elif shape == "wsdcon":
        lrs[8000:] = total * 1e-5
    lrs[:WARMUP] = np.linspace(0, PEAK, WARMUP)
    return lrs


def load(curves: pathlib.Path, size: str) -> dict[str, olrs.Run]:
    """The nine runs of one size, by name."""
    runs = {}
    for name in (*FITTED, *HELD_OUT):
        run = olrs.Run.from_csv(curves / "multi_power_law" / size / f"{name}.csv", columns={"val_losses": "loss"})
        lrs = rates_of(name, int(run.steps[-1]) + 1)
        if np.abs(lrs[run.steps] - run.lrs).max() > 1e-12:
            raise ValueError(f"{size}/{name}: the rates in the file differ from the formula")
        runs[name] = olrs.Run(
            steps=run.steps,
            lrs=run.lrs,
            val_losses=run.val_losses,
            schedule=olrs.Tabulated(lrs=lrs),
            notes={"name": name},
        )
    return runs
