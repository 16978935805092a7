"""Measures how well loss-curve laws predict held-out schedules, and what a fit costs.

    python benchmarks/laws/laws.py --curves PATH [--runs PATH] [--quick] [--bars] [--out DIR]

PATH holds ``multi_power_law/25M/*.csv`` and ``100M``, the loss curves of Luo et al.'s repository,
and ``schaipp_124M``, those of Schaipp et al. (both MIT license). ``--runs`` is a folder that
examples/pretrain.py wrote, for example with ten schedules. It must contain a constant schedule and
a cosine: the shortest of these are fitted, and the others are predicted.
"""

from __future__ import annotations

import pathlib
import sys
import time
import warnings
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # for what all benchmarks share

import numpy as np
from choices import cooldowns, optima, own_runs
from protocols import LAWS, ablation, everything, one_left_out
from published_runs import FITTED, HELD_OUT, PUBLISHED, load
from reporting import Bar, conclude, parser, print_table, progress, write_raw

import optax_lrs as olrs
from optax_lrs import laws
from optax_lrs.laws import _kernel_sums
from optax_lrs.laws._fit import problem_of
from optax_lrs.laws._observations import observe
from optax_lrs.laws._solve import Problem, huber, solve

OBJECTIVES = {  # the lowest known, found by other optimizers
    ("25M", "annealing"): 2.2631e-4,
    ("25M", "multi-power, no prior"): 1.387e-4,
    ("100M", "annealing"): 1.2888e-4,
    ("100M", "multi-power, no prior"): 2.133e-5,
}
PAPER = {  # means over the held-out curves, from table 1 of Luo et al.
    ("25M", "paper's annealing"): (0.9904, 0.0047, 0.0060, 0.0014, 0.0047),
    ("25M", "paper's multi-power"): (0.9975, 0.0039, 0.0046, 0.0012, 0.0040),
    ("100M", "paper's annealing"): (0.9959, 0.0068, 0.0095, 0.0022, 0.0094),
    ("100M", "paper's multi-power"): (0.9982, 0.0038, 0.0051, 0.0013, 0.0058),
}
AUTHORS = {"25M": (0.9988, 0.00376), "100M": (0.9983, 0.00435)}  # held-out R² and MAE of the authors' parameters
MEMBERS, LEVEL = 20, 0.9


def published_parameters(runs: dict[str, olrs.Run], size: str) -> tuple[list[dict], list[Bar]]:
    """The quality of the authors' parameters on each curve, next to the values in their logs."""
    law, rows, worst = laws.MultiPower.published(size), [], 0.0
    for name, run in runs.items():
        found, (r2, mae) = law.score(run), PUBLISHED[size][name]
        worst = max(worst, abs(found.r2 - r2), abs(found.mae - mae))
        rows.append({"size": size, "curve": name, "R2": found.r2, "R2 logs": r2, "MAE": found.mae, "MAE logs": mae})
    return rows, [Bar(f"{size}: R2 and MAE of the published parameters, against the authors' logs", worst, 1e-6)]


def protocol(runs: dict[str, olrs.Run], size: str, members: int) -> tuple[list[dict], list[dict], list[Bar]]:
    """Fits each law to the published split.

    Returns its quality on each held-out curve, and the means.
    """
    each, means, bars = [], [], []
    for (at, name), figures in PAPER.items():
        if at == size:
            means.append({"size": size, "law": name, **dict(zip(laws.Metrics._fields, figures))})
    authors = [laws.MultiPower.published(size).score(runs[name]) for name in HELD_OUT]
    means.append(
        {"size": size, "law": "authors' parameters", **dict(zip(laws.Metrics._fields, np.mean(authors, axis=0)))}
    )
    for label in progress(list(LAWS), size):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", laws.LawWarning)
            start = time.perf_counter()
            law = LAWS[label]([runs[name] for name in FITTED])
            seconds = time.perf_counter() - start
        found = [law.score(runs[name]) for name in HELD_OUT]
        for name, quality in zip(HELD_OUT, found):
            each.append({"size": size, "law": label, "curve": name, **quality._asdict()})
        mean = dict(zip(laws.Metrics._fields, np.mean(found, axis=0)))
        row = {"size": size, "law": label, **mean, "objective": law.report.objective, "seconds": seconds}
        if label in ("annealing", "annealing, factor fitted", "multi-power", "ours") and members:
            fixed = (
                {}
                if label in ("multi-power", "ours")
                else {"fixed": {"decay_factor": None if "fitted" in label else 0.999}}
            )
            ensemble = laws.bootstrap(law, [runs[name] for name in FITTED], n=members, **fixed)
            row["covered"] = float(np.mean([covered(ensemble, runs[name]) for name in HELD_OUT]))
        means.append(row)
        best = OBJECTIVES.get((size, label))
        if best:
            bars.append(Bar(f"{size}: {label}: objective over the best known", law.report.objective / best, 1.01))
        bars.append(
            Bar(f"{size}: {label}: seconds of the fit", seconds, 1.0 if "annealing" in label else 10.0, timing=True)
        )
    ours = next(row for row in means if row["law"] == "ours")
    least_r2, most_mae = AUTHORS[size]
    bars.append(
        Bar(f"{size}: ours: 1 - R2, of that of the authors' parameters", (1 - ours["r2"]) / (1 - least_r2), 1.0)
    )
    bars.append(Bar(f"{size}: ours: MAE, of that of the authors' parameters", ours["mae"] / most_mae, 1.0))
    bars.append(Bar(f"{size}: ours: MAE, the aim: a tenth lower", ours["mae"] / most_mae, 0.9))
    return each, means, bars


def covered(ensemble: laws.Ensemble, run: olrs.Run) -> float:
    """The share of a run's losses that lie in the interval."""
    seen = observe(run)
    low, high = ensemble.interval(seen.lrs, seen.steps, level=LEVEL)
    return float(np.mean((low <= seen.losses) & (seen.losses <= high)))


def speed(runs: dict[str, olrs.Run]) -> list[dict]:
    """Times one fit from one start.

    Ours, ours with sums over all drops, and scipy with a numerical gradient.
    """
    seen = [observe(runs[name]) for name in FITTED]
    how = dict(weights=None, settings=dict(warmup="counted"), delta=1e-3, fixed=None, bounds=None, prior={})
    rows = []
    for cls in (laws.Annealing, laws.MultiPower):
        problem = problem_of(cls, seen, **how)
        leaf, _kernel_sums._LEAF = _kernel_sums._LEAF, 10**9
        direct = problem_of(cls, seen, **how)
        _kernel_sums._LEAF = leaf
        ways = [("ours", _ours, problem), ("scipy L-BFGS-B, numerical gradient", _numerical, problem)]
        ways += [("ours, sums over all drops", _ours, direct)] if cls is laws.MultiPower else []
        for way, fit, posed in ways:
            start = time.perf_counter()
            reached = fit(cls, posed)
            rows.append({"law": cls.__name__, "fit": way, "seconds": time.perf_counter() - start, "objective": reached})
    return rows


def speed_bars(rows: list[dict]) -> list[Bar]:
    """Bars on the time of our fit and on its objective, relative to the others."""
    bars = []
    for ours in (row for row in rows if row["fit"] == "ours"):
        for other in (row for row in rows if row["law"] == ours["law"] and row is not ours):
            name = f"{ours['law']}: time of a fit, of that of {other['fit']}"
            bars.append(Bar(name, ours["seconds"] / other["seconds"], 0.5, timing=True))
            name = f"{ours['law']}: objective, of that of {other['fit']}"
            bars.append(Bar(name, ours["objective"] / other["objective"], 1.001))
    return bars


def _ours(cls: type[laws.Law], problem: Problem) -> float:
    return solve(problem, cls.starts[:1]).objective


def _numerical(cls: type[laws.Law], problem: Problem) -> float:
    from scipy.optimize import minimize

    def objective(logs):
        values = {**problem.fixed, **dict(zip(problem.free, np.exp(logs)))}
        predicted = problem.basis(values)[0] @ [values[name] for name in problem.linear]
        return float(huber(np.log(np.maximum(predicted, 1e-12)) - np.log(problem.losses)).sum())

    first = solve(problem, cls.starts[:1], most_steps=1)  # the start, with its linear parameters
    logs = np.log([first.parameters[name] for name in problem.free])
    return float(minimize(objective, logs, method="L-BFGS-B").fun)


def _shown(rows: list[dict]) -> list[dict]:
    """The rows with enough digits of R² to see differences."""
    return [{key: f"{item:.5f}" if key[:2].lower() == "r2" else item for key, item in row.items()} for row in rows]


def main(argv: list[str] | None = None) -> int:
    """Runs the benchmark."""
    own = parser(__doc__.splitlines()[0])
    own.add_argument("--curves", type=pathlib.Path, metavar="PATH", required=True, help="the published loss curves")
    own.add_argument("--runs", type=pathlib.Path, metavar="PATH", help="runs of examples/pretrain.py")
    args = own.parse_args(argv)
    tables: dict[str, list[Any]] = {"published": [], "held_out": [], "means": []}
    bars: list[Bar] = []
    for size in PUBLISHED:
        runs = load(args.curves, size)
        rows, held = published_parameters(runs, size)
        each, means, more = protocol(runs, size, 0 if args.quick else MEMBERS)
        for name, found in zip(tables, (rows, each, means)):
            tables[name] += found
        bars += held + more
    columns = ["size", "law", *laws.Metrics._fields, "objective", "seconds", "covered"]
    tables["means"] = [{key: row.get(key) for key in columns} for row in tables["means"]]
    tables["speed"] = speed(load(args.curves, "25M"))
    bars += speed_bars(tables["speed"])
    sizes = everything(args.curves)
    tables["ablation"], more = ablation(sizes, quick=args.quick)
    bars += more
    tables["cooldowns"], tables["cooldown_curves"], more = cooldowns(sizes["124M"], 0 if args.quick else MEMBERS)
    bars += more
    tables["optima"], more = optima(quick=args.quick)
    bars += more
    if not args.quick:
        tables["one_left_out"] = one_left_out(sizes)
    if args.runs is not None:
        tables["own_runs"] = own_runs(args.runs)
    print_table("The authors' parameters", _shown(tables["published"]))
    if not args.quick:
        print_table("Held-out curves", _shown(tables["held_out"]))
    print_table("Means over the six held-out curves", _shown(tables["means"]))
    print_table("Mean absolute errors on held-out curves, by fitted set", tables["ablation"])
    print_table("Mean absolute error on one held-out curve", tables.get("one_left_out", []))
    print_table("124M, fitted to a stable run and a cosine of half the length", tables["cooldowns"])
    print_table("124M by curve", tables["cooldown_curves"])
    print_table("Optima", tables["optima"])
    print_table("Runs of examples/pretrain.py", tables.get("own_runs", []))
    print_table("One fit from one start, 25M", tables["speed"])
    write_raw(args, bars, **tables)
    return conclude(args, bars, f"{len(LAWS)} laws at {len(PUBLISHED)} sizes")


if __name__ == "__main__":
    sys.exit(main())
