"""``python -m optax_lrs refine``: writes the schedule that a run's gradient norms imply."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from optax_lrs._run import Run
from optax_lrs.commands._figures import save_figure
from optax_lrs.commands._inputs import RUN_HELP, read_run
from optax_lrs.pictures._refinement import draw_refinement
from optax_lrs.refinement import ObservedNorms, PowerFit, fit_warmup_power, prepare_norms, refine
from optax_lrs.schedules import Tabulated
from optax_lrs.theory import optimal_bound


def add(commands: argparse._SubParsersAction[Any]) -> None:
    """Adds the command and its arguments."""
    parser = commands.add_parser("refine", help="refine the schedule of a run from its gradient norms")
    parser.add_argument("log", metavar="RUN", help=RUN_HELP)
    parser.add_argument(
        "--for",
        dest="optimizer",
        required=True,
        metavar="OPTIMIZER",
        help="sgd, or adam for AdamW and other coordinate-wise optimizers",
    )
    parser.add_argument("-o", "--output", default="schedule.json", help="the file to write; schedule.json by default")
    parser.add_argument("--picture", help="the picture; by default next to the output, as .png; 'none' for none")
    parser.add_argument(
        "--csv",
        nargs="+",
        default=[],
        metavar="COLUMN=NAME",
        help="columns of the log, such as grad_norms=train/gnorm steps=iter",
    )
    parser.add_argument(
        "--schedule", help="the schedule that was run, if the file does not contain it: a repr or a JSON file"
    )
    parser.add_argument("--norm", help="l2: use l2 norms instead of l1 norms, for logs without l1 norms")
    parser.add_argument("--peak", type=float, help="the highest rate; the run's by default")
    parser.add_argument("--steps", type=int, help="the length of the schedule; the run's by default")
    parser.add_argument("--floor", type=float, default=0.0, help="the lowest rate; 0 by default")
    parser.add_argument("--knots", type=int, default=1024, help="the maximal number of table entries; 1024 by default")
    parser.add_argument(
        "--smoothing", type=float, default=0.1, help="the running median's window as a share of the run; 0.1 by default"
    )
    parser.add_argument("--bound", action="store_true", help="minimize the bound instead of using the closed form")
    parser.add_argument(
        "--fit", action="store_true", help="write the nearest warmup and power decay instead of the table"
    )
    parser.set_defaults(run=_refine)


def _refine(args: argparse.Namespace) -> int:
    run = read_run(args.log, columns=args.csv, schedule=args.schedule)
    how = dict(optimizer=args.optimizer, norm=args.norm, smoothing=args.smoothing)
    norms = prepare_norms(run, **how)
    method = "bound" if args.bound else "closed_form"
    table = refine(
        run, **how, method=method, peak=args.peak, total_steps=args.steps, floor=args.floor, knots=args.knots
    )
    fit = fit_warmup_power(table) if table.ends_at >= 2 else None
    _print_report(run, norms, table, fit)
    written = fit.schedule if args.fit and fit else table
    output = Path(args.output)
    written.write(output)
    print(output)
    if args.picture != "none":
        picture = Path(args.picture) if args.picture else output.with_suffix(".png")
        save_figure(lambda: draw_refinement(run, norms, table, fit=fit if args.fit else None), picture)
    return 0


def _print_report(run: Run, norms: ObservedNorms, table: Tabulated, fit: PowerFit | None) -> None:
    end = table.ends_at
    every = "at every step" if norms.spacing == 1 else f"one in {norms.spacing:,.6g} steps"
    print(f"read     {len(run):,} {norms.norm} norms, steps {run.steps[0]:,} to {run.steps[-1]:,}, {every}")
    if norms.left_out:
        print(f"         {norms.left_out:,} of them not finite, left out")
    first, middle, last = norms.smooth[0], np.median(norms.smooth), norms.smooth[-1]
    print(f"norms    smoothed: {first:.4g} at first, {middle:.4g} in the median, {last:.4g} at last")
    even = np.linspace(0, end, min(end + 1, 2**16)).astype(np.int64)
    at = np.union1d(even, np.array(table.steps or (), np.int64))
    rates = table.at(at)
    top = int(at[np.argmax(rates)])
    print(f"refined  {end:,} steps, peak {rates.max():.4g} at step {top:,} ({top / end:.1%} of the run)")
    half, tenth = _share(rates[len(rates) // 2 :], rates), _share(rates[len(rates) * 9 // 10 :], rates)
    mean = rates.mean() / rates.max()
    print(f"         mean {mean:.1%} of the peak; last half {half:.1%} of the area, last tenth {tenth:.2%}")
    if fit is not None:
        misfit = f"misfit {fit.rms_misfit:.1%} (rms), {fit.max_misfit:.1%} (most) of the peak"
        print(f"formula  warmup {fit.warmup_fraction:.1%}, power {fit.schedule.p:.3g}; {misfit}")
    bounds = ", ".join(f"{name} {bound:.3f}" for name, bound in _bounds(run, norms, table).items())
    print(f"bound    {bounds}; linear decay 1, each at its best peak: lower is better")


def _share(part: np.ndarray, whole: np.ndarray) -> float:
    return float(part.sum() / whole.sum())


def _bounds(run: Run, norms: ObservedNorms, table: Tabulated) -> dict[str, float]:
    """The last-iterate bound under the run's norms, relative to linear decay.

    Each schedule is taken at its best scale.
    """
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
