"""python -m optax_lrs refine: from the log of a run to the schedule that the task wanted."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from optax_lrs._parse import parse
from optax_lrs._run import Run
from optax_lrs._schedule import Schedule
from optax_lrs.pictures._refinement import draw_refinement
from optax_lrs.refinement import ObservedNorms, PowerFit, fit_warmup_power, observed_norms, refine
from optax_lrs.theory import optimal_bound


def add(commands: Any) -> None:
    """The command and its arguments."""
    parser = commands.add_parser("refine", help="the schedule that a run's gradient norms ask for")
    parser.add_argument(
        "log", metavar="RUN", help="what Run.write wrote (.npz), or a log with a header line (.csv, .tsv, .txt)"
    )
    parser.add_argument(
        "--for", dest="optimizer", required=True, metavar="OPTIMIZER",
        help="sgd, or adam for AdamW and whatever else works by coordinate",
    )  # fmt: skip
    parser.add_argument("-o", "--output", default="schedule.json", help="where to write it; schedule.json by default")
    parser.add_argument(
        "--picture", help="where to draw it; by default beside the output, as .png; 'none' for no picture"
    )
    parser.add_argument(
        "--csv", nargs="+", default=[], metavar="COLUMN=NAME",
        help="the log's names of the columns, such as grad_norms=train/gnorm steps=iter",
    )  # fmt: skip
    parser.add_argument("--schedule", help="what was run, if the file does not tell: a repr, or a JSON file")
    parser.add_argument("--norm", help="l2: use l2 norms in the place of l1 norms, for logs that have no others")
    parser.add_argument("--peak", type=float, help="the highest rate; by default the run's")
    parser.add_argument("--steps", type=int, help="the length of the schedule; by default the run's")
    parser.add_argument("--floor", type=float, default=0.0, help="the lowest rate; 0 by default")
    parser.add_argument("--knots", type=int, default=1024, help="the most entries of the table; 1024 by default")
    parser.add_argument(
        "--smoothing", type=float, default=0.1, help="the running median's share of the run; 0.1 by default"
    )
    parser.add_argument("--bound", action="store_true", help="minimize the bound, in the place of the closed form")
    parser.add_argument(
        "--fit", action="store_true", help="write the nearest warmup and power decay in the place of the table"
    )
    parser.set_defaults(run=_refine)


def _refine(args: argparse.Namespace) -> int:
    run = _read(args.log, dict(_pair(text) for text in args.csv), args.schedule)
    how = dict(optimizer=args.optimizer, norm=args.norm, smoothing=args.smoothing)
    norms = observed_norms(run, **how)
    method = "bound" if args.bound else "closed_form"
    table = refine(
        run, **how, method=method, peak=args.peak, total_steps=args.steps, floor=args.floor, knots=args.knots
    )
    fit = fit_warmup_power(table) if table.ends_at >= 2 else None
    _tell(run, norms, table, fit)
    written = fit.schedule if args.fit and fit else table
    output = Path(args.output)
    output.write_text(written.to_json() + "\n")
    print(output)
    if args.picture != "none":
        import matplotlib

        matplotlib.use("Agg")
        picture = Path(args.picture) if args.picture else output.with_suffix(".png")
        draw_refinement(run, norms, table, fit=fit if args.fit else None).savefig(picture, dpi=150)
        print(picture)
    return 0


def _read(path: str, columns: dict[str, str], schedule: str | None) -> Run:
    ran = None if schedule is None else _schedule(schedule)
    if Path(path).suffix in (".csv", ".tsv", ".txt") or columns:
        return Run.from_csv(path, columns=columns, schedule=ran)
    run = Run.read(path)
    return run if ran is None else Run(**{**vars(run), "schedule": ran})


def _schedule(text: str) -> Schedule:
    return Schedule.read(text) if text.endswith(".json") else parse(text)


def _pair(text: str) -> tuple[str, str]:
    column, equals, name = text.partition("=")
    if not equals or not column or not name:
        raise ValueError(f"--csv takes COLUMN=NAME, such as grad_norms=train/gnorm, got {text!r}")
    return column, name


def _tell(run: Run, norms: ObservedNorms, table: Schedule, fit: PowerFit | None) -> None:
    end = table.ends_at
    every = "at every step" if norms.spacing == 1 else f"one in {norms.spacing:,.6g} steps"
    print(f"read     {len(run):,} {norms.norm} norms, steps {run.steps[0]:,} to {run.steps[-1]:,}, {every}")
    if norms.left_out:
        print(f"         {norms.left_out:,} of them not finite, left out")
    first, middle, last = norms.smooth[0], np.median(norms.smooth), norms.smooth[-1]
    print(f"norms    smoothed: {first:.4g} at first, {middle:.4g} in the median, {last:.4g} at last")
    at = np.unique(
        np.append(np.linspace(0, end, min(end + 1, 2**16)).astype(np.int64), table.steps or ()).astype(np.int64)
    )
    rates = table.at(at)
    top = int(at[np.argmax(rates)])
    print(f"refined  {end:,} steps, peak {rates.max():.4g} at step {top:,} ({top / end:.1%} of the run)")
    print(f"         mean {rates.mean() / rates.max():.1%} of the peak; last half {_share(rates[len(rates) // 2 :], rates):.1%}"
          f" of the area, last tenth {_share(rates[len(rates) * 9 // 10 :], rates):.2%}")  # fmt: skip
    if fit is not None:
        print(f"formula  warmup {fit.warmup_fraction:.1%}, power {fit.schedule.p:.3g}; misfit {fit.rms_misfit:.1%} (rms),"
              f" {fit.max_misfit:.1%} (most) of the peak")  # fmt: skip
    bounds = ", ".join(f"{name} {bound:.3f}" for name, bound in _bounds(run, norms, table).items())
    print(f"bound    {bounds}; linear decay 1, each at its best peak: lower is better")


def _share(part: np.ndarray, whole: np.ndarray) -> float:
    return float(part.sum() / whole.sum())


def _bounds(run: Run, norms: ObservedNorms, table: Schedule) -> dict[str, float]:
    """The bound on the last iterate under the run's norms, each schedule at its best scale; as shares of linear decay's."""
    count = len(norms.steps)
    share = np.arange(count) / count
    shapes = {"refined": table.at(share * table.ends_at)}
    lrs = run.schedule.at(run.steps) if run.lrs is None and run.schedule is not None else run.lrs
    if lrs is not None and np.any(known := np.isfinite(lrs)):
        shapes = {"as it was run": np.interp(norms.steps, run.steps[known], lrs[known]), **shapes}
    linear = optimal_bound(1 - share, norms.effective)
    return {
        name: float(optimal_bound(rates, norms.effective) / linear) for name, rates in shapes.items() if rates.any()
    }
