"""The laws, protocols and splits of the published runs that benchmarks/laws/laws.py compares."""

from __future__ import annotations

import pathlib
import warnings
from collections.abc import Callable, Mapping, Sequence

import cooldown_runs
import numpy as np
import published_runs
from reporting import Bar, progress

import optax_lrs as olrs
from optax_lrs import laws

Fit = Callable[[Sequence[olrs.Run]], laws.Law]


def _equal(runs: Sequence[olrs.Run]) -> list[np.ndarray]:
    """Weights that cancel ``late_weight``, so that all points count equally."""
    from optax_lrs.laws._observations import observe

    power = -laws.SublinearPower.late_weight
    return [observe(run, points=1000).steps.astype(np.float64) ** power for run in runs]


LAWS: dict[str, Fit] = {
    "one power": laws.OnePower.fit,
    "annealing": laws.Annealing.fit,
    "annealing, factor fitted": lambda runs: laws.Annealing.fit(runs, fixed={"decay_factor": None}),
    "annealing, warmup as peak": lambda runs: laws.Annealing.fit(runs, warmup="as_peak"),
    "multi-power": laws.MultiPower.fit,
    "multi-power, no prior": lambda runs: laws.MultiPower.fit(runs, prior={}),
    "ours": laws.SublinearPower.fit,
}
ABLATION: dict[str, Fit] = {
    "ours": laws.SublinearPower.fit,
    "ours, p = 1": lambda runs: laws.SublinearPower.fit(runs, lr_power=1.0),
    "ours, p = 0.9": lambda runs: laws.SublinearPower.fit(runs, lr_power=0.9),
    "ours, p = 0.7": lambda runs: laws.SublinearPower.fit(runs, lr_power=0.7),
    "ours, p = 0.6": lambda runs: laws.SublinearPower.fit(runs, lr_power=0.6),
    "ours, points alike": lambda runs: laws.SublinearPower.fit(runs, weights=_equal(runs)),
    "ours, warmup counted": lambda runs: laws.SublinearPower.fit(runs, warmup="counted"),
    "ours, no prior": lambda runs: laws.SublinearPower.fit(runs, prior={}),
}
COMPARED = ("annealing", "multi-power")  # compared with ours where all laws would take too long

# Fitted sets other than the published ones. The power 0.8 was chosen on these.
OTHER_SPLITS = {
    "Luo": (
        ("constant_24000", "cosine_24000"),
        ("constant_24000", "wsdld_20000_24000"),
        ("cosine_24000", "wsd_20000_24000", "wsdcon_3"),
        ("constant_24000", "wsdcon_3", "wsdcon_18"),
        ("cosine_24000", "wsdld_20000_24000", "constant_24000"),
    ),
    "Schaipp": (
        ("stable_50000", "wsd_linear_0.2_25000"),
        ("stable_50000", "wsd_linear_0.8_25000"),
        ("cosine_to_tenth_25000", "wsd_linear_0.6_25000", "stable_50000"),
        ("cosine_to_zero_25000", "wsd_linear_0.4_25000"),
        ("cosine_to_tenth_25000", "stable_50000"),
    ),
}


def held_out(fit: Fit, runs: Mapping[str, olrs.Run], fitted: Sequence[str]) -> dict[str, laws.Metrics]:
    """The errors of a fit on each run that it did not see."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", laws.LawWarning)
        law = fit([runs[name] for name in fitted])
    return {name: law.score(run) for name, run in runs.items() if name not in fitted}


def everything(curves: pathlib.Path) -> dict[str, dict[str, olrs.Run]]:
    """All published runs, by size of the model."""
    return {size: published_runs.load(curves, size) for size in published_runs.PUBLISHED} | {
        "124M": cooldown_runs.load(curves)
    }


def ablation(sizes: Mapping[str, Mapping[str, olrs.Run]], *, quick: bool) -> tuple[list[dict], list[Bar]]:
    """Mean absolute errors on held-out curves, by split and as the mean of unpublished splits."""
    rows, bars = [], []
    fits = {name: LAWS[name] for name in COMPARED} | (dict(list(ABLATION.items())[:2]) if quick else ABLATION)
    for size in progress(list(sizes), "splits"):
        luo = size != "124M"
        published = published_runs.FITTED if luo else cooldown_runs.FITTED
        others = OTHER_SPLITS["Luo" if luo else "Schaipp"]
        for name, fit in fits.items():
            found = []
            for split in (published, *others):
                found.append(float(np.mean([each.mae for each in held_out(fit, sizes[size], split).values()])))
            row = {
                "size": size,
                "law": name,
                "published split": found[0],
                "mean of the others": float(np.mean(found[1:])),
            }
            rows.append(row | {f"split {letter}": one for letter, one in zip("abcde", found[1:])})
        mean = {row["law"]: row["mean of the others"] for row in rows if row["size"] == size}
        for name in COMPARED:
            bars.append(
                Bar(f"{size}, other splits: mean error of ours, of that of {name}", mean["ours"] / mean[name], 1.0)
            )
    return rows, bars


def one_left_out(sizes: Mapping[str, Mapping[str, olrs.Run]]) -> list[dict]:
    """The error on each curve of Luo et al., predicted by a fit to the eight others."""
    rows = []
    for size in published_runs.PUBLISHED:
        for name in progress(list(sizes[size]), f"{size}, one left out"):
            others = [other for other in sizes[size] if other != name]
            row = {"size": size, "left out": name}
            for law in (*COMPARED, "ours"):
                row[law] = held_out(LAWS[law], sizes[size], others)[name].mae
            rows.append(row)
        means = {law: float(np.mean([row[law] for row in rows if row["size"] == size])) for law in (*COMPARED, "ours")}
        rows.append({"size": size, "left out": "mean", **means})
    return rows
