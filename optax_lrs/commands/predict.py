"""python -m optax_lrs predict: from the logs of one or several runs to the final loss of other schedules."""

from __future__ import annotations

import argparse
import re
import warnings
from pathlib import Path
from typing import Any

from optax_lrs._parse import parse
from optax_lrs._run import Run
from optax_lrs._schedule import Schedule
from optax_lrs.citations._cite import reference
from optax_lrs.pictures._prediction import draw_prediction

_LAWS = {"annealing": "Annealing", "multi_power": "MultiPower", "ours": "SublinearPower"}


def add(commands: Any) -> None:
    """The command and its arguments."""
    parser = commands.add_parser("predict", help="the final loss of other schedules, from the curves of runs")
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="what Run.write wrote (.npz), or a log with a header line (.csv, .tsv, .txt)",
    )
    parser.add_argument(
        "--schedule", action="append", required=True, metavar="SCHEDULE",
        help='a candidate: a repr or a JSON file, with a name if you like: "short=WSD(...)"; give it once for each',
    )  # fmt: skip
    parser.add_argument(
        "--law", default="ours", choices=list(_LAWS), help="which law; ours (SublinearPower) by default"
    )
    parser.add_argument("--steps", type=int, help="the length of the runs to predict; by default each schedule's own")
    parser.add_argument(
        "--csv",
        nargs="+",
        default=[],
        metavar="COLUMN=NAME",
        help="the logs' names of columns, such as losses=train/ce",
    )
    parser.add_argument(
        "--ran", action="append", default=[], metavar="SCHEDULE",
        help="what a run was run with, if its file does not tell; once for each run, in their order",
    )  # fmt: skip
    parser.add_argument("--warmup-steps", type=int, help="the length of a warmup that the logs do not show")
    parser.add_argument("--first-step", type=int, help="losses before it are left out; by default those of the warmup")
    parser.add_argument("--level", type=float, default=0.9, help="of the bounds; 0.9 by default")
    parser.add_argument("--members", type=int, default=40, help="fits of the bootstrap; 40 by default")
    parser.add_argument(
        "-o",
        "--output",
        default="prediction.png",
        help="where to draw it; prediction.png by default, 'none' for no picture",
    )
    parser.set_defaults(run=_predict)


def _predict(args: argparse.Namespace) -> int:
    from optax_lrs import laws  # the other commands need none
    from optax_lrs.laws._choose import run_length

    candidates = _candidates(args.schedule)
    for name, schedule in candidates.items():  # before the fit, which takes seconds
        run_length(name, schedule, args.steps)
    runs = _runs(args)
    how = dict(warmup_steps=args.warmup_steps, first_step=args.first_step)
    cls = getattr(laws, _LAWS[args.law])
    with warnings.catch_warnings():  # what is doubtful is printed
        warnings.simplefilter("ignore", laws.LawWarning)
        law = cls.fit(runs, **how)
        ensemble = law.bootstrap(runs, n=args.members, **how)
        choice = laws.choose(ensemble, candidates, steps=args.steps, level=args.level)
    for path, run in zip(args.runs, runs):
        quality = law.quality(run, **how)
        print(f"read   {path}: {len(run):,} rows, steps {run.steps[0]:,} to {run.steps[-1]:,};"
              f" the law is off by {quality.pred_error:.2%} in the mean, {quality.worst_error:.2%} at most")  # fmt: skip
    numbers = ", ".join(f"{name} {value:.4g}" for name, value in law.parameters.items())
    print(f"law    {cls.__name__}: {numbers}")
    for name, schedule in candidates.items():
        print(f"{'':6} {name} = {schedule!r}")
    print(f"\n{choice}\n")
    others = [name for name in choice.tied() if name != choice.best]
    print(f"choice {choice.best}" + (f"; not told apart from it: {', '.join(others)}" if others else ""))
    print(f"paper  {reference(cls.paper)}" if cls.paper else "paper  none: this law is ours")
    if args.output != "none":
        import matplotlib

        matplotlib.use("Agg")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", laws.LawWarning)
            figure = draw_prediction(
                ensemble, runs, candidates, choice, labels=[Path(path).stem for path in args.runs], **how
            )
        figure.savefig(args.output, dpi=150)
        print(args.output)
    return 0


def _runs(args: argparse.Namespace) -> list[Run]:
    if args.ran and len(args.ran) != len(args.runs):
        raise ValueError(f"--ran must be given once for each of {len(args.runs)} runs, got {len(args.ran)}")
    columns = dict(_pair(text) for text in args.csv)
    ran = [_schedule(text) for text in args.ran] or [None] * len(args.runs)
    return [_read(path, columns, schedule) for path, schedule in zip(args.runs, ran)]


def _read(path: str, columns: dict[str, str], schedule: Schedule | None) -> Run:
    if Path(path).suffix in (".csv", ".tsv", ".txt") or columns:
        return Run.from_csv(path, columns=columns, schedule=schedule)
    run = Run.read(path)
    return run if schedule is None else Run(**{**vars(run), "schedule": schedule})


def _candidates(texts: list[str]) -> dict[str, Schedule]:
    """By the names given, or else those of their classes, numbered where they would be the same."""
    named: dict[str, Schedule] = {}
    for text in texts:
        match = re.match(r"\s*([^=(]+?)\s*=\s*(?=[^=])", text)
        schedule = _schedule(text[match.end() :] if match else text)
        name = match[1] if match else type(schedule).__name__
        if match and name in named:
            raise ValueError(f"--schedule: the name {name!r} is given twice")
        count = sum(other == name or other.startswith(f"{name} ") for other in named)
        named[f"{name} {count + 1}" if count else name] = schedule
    return named


def _schedule(text: str) -> Schedule:
    if not text.strip().endswith(".json"):
        return parse(text)
    return Schedule.read(text.strip())


def _pair(text: str) -> tuple[str, str]:
    column, equals, name = text.partition("=")
    if not equals or not column or not name:
        raise ValueError(f"--csv takes COLUMN=NAME, such as losses=train/ce, got {text!r}")
    return column, name
