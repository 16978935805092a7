"""``python -m optax_lrs predict``: the final loss of other schedules, from runs."""

from __future__ import annotations

import argparse
import re
import warnings
from pathlib import Path
from typing import Any

from optax_lrs._run import Run
from optax_lrs._schedule import Schedule
from optax_lrs.citations import reference
from optax_lrs.commands._figures import save_figure
from optax_lrs.commands._inputs import RUN_HELP, read_run, read_schedule
from optax_lrs.pictures._prediction import draw_prediction

_LAWS = {"annealing": "Annealing", "multi_power": "MultiPower", "ours": "SublinearPower"}


def add(commands: argparse._SubParsersAction[Any]) -> None:
    """Adds the command and its arguments."""
    parser = commands.add_parser("predict", help="predict the final loss of other schedules from the losses of runs")
    parser.add_argument("runs", nargs="+", metavar="RUN", help=RUN_HELP)
    parser.add_argument(
        "--schedule",
        action="append",
        required=True,
        metavar="SCHEDULE",
        help='a candidate: a repr or a JSON file, optionally named: "short=WSD(...)"; repeat for each candidate',
    )
    parser.add_argument(
        "--law",
        default="ours",
        help=f"the law to fit: {', '.join(_LAWS)}, or a class of optax_lrs.laws; ours (SublinearPower) by default",
    )
    parser.add_argument("--steps", type=int, help="the length of the predicted runs; each schedule's own by default")
    parser.add_argument(
        "--csv", nargs="+", default=[], metavar="COLUMN=NAME", help="columns of the logs, such as losses=train/ce"
    )
    parser.add_argument(
        "--ran",
        action="append",
        default=[],
        metavar="SCHEDULE",
        help="the schedule of a run, if its file does not contain it; once for each run, in order",
    )
    parser.add_argument("--warmup-steps", type=int, help="the length of a warmup that the logs do not show")
    parser.add_argument("--first-step", type=int, help="ignore losses before this step; by default those of the warmup")
    parser.add_argument("--level", type=float, default=0.9, help="the level of the bounds; 0.9 by default")
    parser.add_argument("--members", type=int, default=40, help="the number of bootstrap fits; 40 by default")
    parser.add_argument(
        "-o", "--output", default="prediction.png", help="the picture; prediction.png by default, 'none' for none"
    )
    parser.set_defaults(run=_predict)


def _predict(args: argparse.Namespace) -> int:
    from optax_lrs import laws  # the other commands do not need the laws
    from optax_lrs.laws._choose import run_length

    candidates = _candidates(args.schedule)
    for name, schedule in candidates.items():  # before the fit, which takes seconds
        run_length(name, schedule, args.steps)
    runs = _runs(args)
    how = dict(warmup_steps=args.warmup_steps, first_step=args.first_step)
    wanted: str = args.law
    cls = getattr(laws, _LAWS.get(wanted, wanted), None)
    if not (isinstance(cls, type) and issubclass(cls, laws.Law)):
        raise ValueError(f"--law must be one of {', '.join(_LAWS)}, or a class of optax_lrs.laws, got {args.law!r}")
    with warnings.catch_warnings():  # the output states every doubt
        warnings.simplefilter("ignore", laws.LawWarning)
        law = cls.fit(runs, **how)
        ensemble = laws.bootstrap(law, runs, n=args.members, **how)
        choice = laws.choose(ensemble, candidates, steps=args.steps, level=args.level)
    for path, run in zip(args.runs, runs):
        errors = law.score(run, **how)
        rows = f"read   {path}: {len(run):,} rows, steps {run.steps[0]:,} to {run.steps[-1]:,}"
        print(f"{rows}; the law is off by {errors.pred_error:.2%} in the mean, {errors.worst_error:.2%} at most")
    numbers = ", ".join(f"{name} {value:.4g}" for name, value in law.parameters.items())
    print(f"law    {cls.__name__}: {numbers}")
    for name, schedule in candidates.items():
        print(f"{'':6} {name} = {schedule!r}")
    print(f"\n{choice}\n")
    others = [name for name in choice.tied() if name != choice.best]
    print(f"choice {choice.best}" + (f"; indistinguishable from it: {', '.join(others)}" if others else ""))
    print(f"paper  {reference(cls.paper)}" if cls.paper else "paper  none: this law is ours")
    if args.output != "none":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", laws.LawWarning)
            labels = [Path(path).stem for path in args.runs]
            save_figure(lambda: draw_prediction(ensemble, runs, candidates, choice, labels=labels, **how), args.output)
    return 0


def _runs(args: argparse.Namespace) -> list[Run]:
    if args.ran and len(args.ran) != len(args.runs):
        raise ValueError(f"--ran must be given once for each of {len(args.runs)} runs, got {len(args.ran)}")
    ran = args.ran or [None] * len(args.runs)
    return [read_run(path, columns=args.csv, schedule=schedule) for path, schedule in zip(args.runs, ran)]


def _candidates(texts: list[str]) -> dict[str, Schedule]:
    """The schedules by name: the name given, or else the class's, numbered where classes repeat."""
    named: dict[str, Schedule] = {}
    for text in texts:
        match = re.match(r"\s*([^=(]+?)\s*=\s*(?=[^=])", text)
        schedule = read_schedule(text[match.end() :] if match else text)
        name = match[1] if match else type(schedule).__name__
        if match and name in named:
            raise ValueError(f"--schedule: the name {name!r} is given twice")
        count = sum(other == name or other.startswith(f"{name} ") for other in named)
        named[f"{name} {count + 1}" if count else name] = schedule
    return named
