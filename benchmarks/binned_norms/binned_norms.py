"""Compares refining from binned gradient norms with refining from the norm of every step.

    python benchmarks/binned_norms/binned_norms.py [--quick] [--bars] [--out DIR] [--curves CURVES]

The question is what a bin should become in a Run. ``record_grad_norm`` records each trace on the
device; the figure is the largest difference between the refined schedules at any step, in percent
of their peak. CURVES is a folder of files ``gradnorm_*.csv`` with columns step and grad_norm,
logged by real runs: each row becomes as many steps as it stands for, at the local median times
residuals drawn from nearby rows. Without it, only synthetic traces are used.
"""

from __future__ import annotations

import pathlib
import sys
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # for what all benchmarks share

import jax
import jax.numpy as jnp
import numpy as np
import reporting
from scipy.ndimage import median_filter

import optax_lrs as olrs
from optax_lrs import Run

BINS = 1816  # as many as fit into 64 KiB for both norms
ROWS_AROUND = 20
ONE_ROW = ("mean", "mean without the extremes", "geometric mean", "median")
LIMIT = 1.0  # percent of the peak; holds on traces as logged, and is missed if a bin has many steps
LONG = 300  # rows; shorter files are the ends of runs


def with_refinement(norms: np.ndarray, power: int) -> np.ndarray:
    """The shape of Defazio et al.: a median over 10% of the run, its end padded by reflection."""
    width = 2 * (int(0.1 * len(norms)) // 2) + 1
    padded = np.pad(norms, (0, 2 * width), mode="reflect")
    weights = median_filter(padded, width, mode="nearest")[: len(norms)] ** -float(power)
    shape = weights * (np.cumsum(weights[::-1])[::-1] - weights)
    return shape / shape.max()


def recorded(trace: np.ndarray, **kwargs) -> Run:
    """The Run of a recorder after the trace."""
    tx = olrs.record_grad_norm(**kwargs)
    step = lambda state, norm: (tx.update({"w": norm[None]}, state)[1], None)  # noqa: E731
    train = jax.jit(lambda state, norms: jax.lax.scan(step, state, norms)[0])
    return Run.from_state(train(tx.init({}), jnp.asarray(trace, jnp.float32)))


def as_logged(folder: pathlib.Path) -> dict[str, Run]:
    """The logged runs in a folder, by name."""
    paths = sorted(folder.rglob("gradnorm_*.csv"))
    return {path.stem.removeprefix("gradnorm_"): Run.from_csv(path) for path in paths}


def resampled(runs: dict[str, Run], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Traces with a norm for each step, drawn to resemble the logged runs."""
    traces = {}
    for name, run in runs.items():
        if len(run) < LONG:
            continue
        rows, every = len(run), int(np.diff(run.steps).min())
        smooth = median_filter(run.grad_norms, ROWS_AROUND + 1, mode="nearest")
        at = np.arange(rows * every) / every - 0.5
        near = np.round(at).astype(int) + rng.integers(-ROWS_AROUND, ROWS_AROUND + 1, len(at))
        residual = (run.grad_norms / smooth)[np.clip(near, 0, rows - 1)]
        traces[name] = np.interp(at, np.arange(rows), smooth) * residual
    return traces


def synthetic_traces(length: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Norms that first fall and then grow slowly, with common and with rare kinds of noise."""
    x = np.arange(length) / length
    trend, normal = (1 + 4 * np.exp(-40 * x)) * (1 + 0.5 * x), rng.standard_normal
    bursts = np.ones(length)
    for start in rng.integers(0, length, 40):
        bursts[start : start + rng.integers(5, 200)] *= 10 ** rng.uniform(0.5, 2)
    late = (x > 0.5) & (rng.random(length) < 0.05)
    noises = {
        "lognormal, 30%": np.exp(0.3 * normal(length)),
        "Pareto spikes in 2% of the steps": np.exp(0.15 * normal(length))
        * (1 + (rng.random(length) < 0.02) * 5 * rng.pareto(1.0, length)),
        "Student's t, 2.5": np.exp(0.2 * rng.standard_t(2.5, length)),
        "spikes of 10 to 100 in 5%, late": np.exp(0.15 * normal(length))
        * np.where(late, 10 ** rng.uniform(1, 2, length), 1),
        "40 bursts": bursts * np.exp(0.15 * normal(length)),
        "lognormal, 10% to 70%": np.exp((0.1 + 0.6 * x) * normal(length)),
    }
    return {name: trend * noise for name, noise in noises.items()}


def candidates(trace: np.ndarray, bins: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Steps and norms of the rows that the bins of a trace could become, by name."""
    span = 1
    while span * bins < len(trace):
        span *= 2
    table = np.full(-(-len(trace) // span) * span, np.nan)
    table[: len(trace)] = trace
    table = table.reshape(-1, span)
    middle = np.arange(len(table)) * span + (span - 1) / 2
    count, low, high = np.sum(~np.isnan(table), 1), np.nanmin(table, 1), np.nanmax(table, 1)
    trimmed = np.where(count > 2, (np.nansum(table, 1) - low - high) / np.maximum(count - 2, 1), np.nanmean(table, 1))
    every = max(span // 4, 1)
    run, larger = recorded(trace, bins=bins), recorded(trace)
    other = run.grad_norms.copy()
    other[0] = np.exp(np.nanmean(np.log(table[0])))
    return {
        "mean": (middle, np.nanmean(table, 1)),
        "mean without the extremes": (middle, trimmed),
        "geometric mean": (middle, np.exp(np.nanmean(np.log(table), 1))),
        "median": (middle, np.nanmedian(table, 1)),
        "four of its steps": (np.arange(0, len(trace), every) + (every - 1) / 2, trace[::every]),
        "record_grad_norm": (run.steps, run.grad_norms),
        "record_grad_norm, other first row": (run.steps, other),
        "record_grad_norm, one norm's bins": (larger.steps, larger.grad_norms),
    }


def main() -> int:
    parser = reporting.parser(__doc__.splitlines()[0])
    parser.add_argument("--curves", type=pathlib.Path, metavar="CURVES", help="a folder of gradnorm_*.csv")
    args = parser.parse_args()
    warnings.simplefilter("ignore", RuntimeWarning)  # the mean of an empty last bin
    seeds = [0] if args.quick else [0, 1, 2]
    logged, rows = as_logged(args.curves) if args.curves else {}, []
    for seed in reporting.progress(seeds, "seeds"):
        rng = np.random.default_rng(seed)
        for name, trace in (resampled(logged, rng) | synthetic_traces(50_000, rng)).items():
            trace = trace.astype(np.float32).astype(np.float64)
            exact = {power: with_refinement(trace, power) for power in (1, 2)}
            for candidate, (steps, norms) in candidates(trace, BINS).items():
                for power, expected in exact.items():
                    shape = np.interp(np.arange(len(trace)), steps, with_refinement(norms, power))
                    off = 100 * np.abs(shape - expected)
                    rows.append(
                        {
                            "trace": name,
                            "seed": seed,
                            "a bin becomes": candidate,
                            "power": -power,
                            "worst": float(off.max()),
                            "99% of steps": float(np.quantile(off, 0.99)),
                        }
                    )
    chosen = dict.fromkeys(row["a bin becomes"] for row in rows)
    table = []
    for candidate in chosen:
        for power in (-1, -2):
            worst = [row["worst"] for row in rows if (row["a bin becomes"], row["power"]) == (candidate, power)]
            most = [row["99% of steps"] for row in rows if (row["a bin becomes"], row["power"]) == (candidate, power)]
            table.append(
                {
                    "a bin becomes": candidate,
                    "power": power,
                    "median": float(np.median(worst)),
                    "worst": max(worst),
                    "99% of steps": max(most),
                }
            )
    reporting.print_table("Largest difference from refining the norms of every step, percent of the peak", table)
    bars = []
    for name, run in logged.items():  # as logged: each of up to a thousand rows has its own bin
        binned = recorded(run.grad_norms).grad_norms
        off = max(100 * np.abs(with_refinement(binned, p) - with_refinement(run.grad_norms, p)).max() for p in (1, 2))
        bars.append(reporting.Bar(f"{name}, as logged, percent of the peak", float(off), LIMIT))
    for key in ("median", "worst"):
        for power in (-1, -2):
            of = {row["a bin becomes"]: row[key] for row in table if row["power"] == power}
            ours, one_row = of["record_grad_norm"], min(of[name] for name in ONE_ROW)
            bars.append(reporting.Bar(f"{key}, power {power}, to the best single row a bin", ours / one_row, 1 / 3))
            bars.append(reporting.Bar(f"{key}, power {power}, percent of the peak", ours, LIMIT))
    reporting.write_raw(args, bars, summary=table, traces=rows)
    return reporting.conclude(args, bars, f"{len({row['trace'] for row in rows})} traces, {len(seeds)} seeds")


if __name__ == "__main__":
    sys.exit(main())
