"""The command line: ``python -m optax_lrs list | show | plot``."""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Sequence
from dataclasses import MISSING, Field, fields
from pathlib import Path

from optax_lrs import parse
from optax_lrs._schedule import Schedule
from optax_lrs._value import Value
from optax_lrs.plot import drawn_steps, plot


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status: 0, or 2 for bad input, which costs one line on stderr."""
    args = _arguments().parse_args(argv)
    try:
        return args.run(args)
    except (ValueError, TypeError, OSError, ImportError) as error:
        print(f"optax_lrs: {error}", file=sys.stderr)
        return 2


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m optax_lrs", description="Learning-rate schedules, seen.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    lists = commands.add_parser("list", help="the schedules and profiles there are")
    lists.add_argument("--markdown", action="store_true", help="as the table of the README")
    lists.set_defaults(run=_list)

    shows = commands.add_parser("show", help="a schedule's numbers: the rates along the run, their sum, the source")
    shows.add_argument("schedule", help='its repr, such as "Cosine(peak=3e-4, total_steps=10_000)", or a JSON file')
    shows.add_argument("--steps", type=int, help="how far; by default just past its end")
    shows.set_defaults(run=_show)

    plots = commands.add_parser("plot", help="a picture of one or several schedules")
    plots.add_argument("schedules", nargs="+", metavar="schedule", help="its repr or a JSON file")
    plots.add_argument("--steps", type=int, help="how far; by default just past the last end")
    plots.add_argument(
        "-o", "--output", default="schedules.png", help="where to write the PNG; schedules.png by default"
    )
    plots.set_defaults(run=_plot)
    return parser


def _list(args: argparse.Namespace) -> int:
    schedules = [cls for cls in Value.registry.values() if issubclass(cls, Schedule)]
    if args.markdown:
        print("| schedule | what it is | arguments | source |\n| --- | --- | --- | --- |")
        for cls in schedules:
            print(
                f"| `{cls._name}` | {_summary(cls)} | {', '.join(map(_argument, fields(cls)))} | {_link(cls.paper)} |"
            )
        return 0
    for cls in [*schedules, *(cls for cls in Value.registry.values() if cls not in schedules)]:
        kind = "schedule" if cls in schedules else "profile"
        print(f"{kind:9} {cls._name:20} {_summary(cls)}")
    return 0


def _argument(field: Field) -> str:
    return f"`{field.name}`" if field.default is MISSING else f"`{field.name}={field.default!r}`"


def _link(paper: str) -> str:
    number = paper.removeprefix("arXiv:")
    return f"[{number}](https://arxiv.org/abs/{number})" if number != paper else paper


def _show(args: argparse.Namespace) -> int:
    schedule = _load(args.schedule)
    steps = _horizon(args.steps, [schedule])
    rows = {*(steps * tenth // 10 for tenth in range(11)), *(at for at in schedule.corners if at <= steps)}
    print(schedule)
    print(f"\n{'step':>14}  {'rate':>12}")
    for at in sorted(rows):
        print(f"{at:>14,}  {schedule.at(at):>12.6g}")
    end = schedule.ends_at
    print(f"\nconstant from step {end:,}" if end is not None else "\nwithout end")
    if schedule.paper:
        print(f"source: {schedule.paper}")
    return 0


def _plot(args: argparse.Namespace) -> int:
    schedules = [_load(text) for text in args.schedules]
    import matplotlib

    matplotlib.use("Agg")
    axes = plot(*schedules, steps=_horizon(args.steps, schedules))
    axes.figure.savefig(args.output, dpi=150)
    print(args.output)
    return 0


def _load(text: str) -> Schedule:
    if text.endswith(".json"):
        return Schedule.from_json(Path(text).read_text())
    return parse(text)


def _horizon(steps: int | None, schedules: Sequence[Schedule]) -> int:
    if steps is None:
        return drawn_steps(schedules)
    if steps < 1:
        raise ValueError(f"--steps must be at least 1, got {steps}")
    return steps


def _summary(cls: type[Value]) -> str:
    return (inspect.getdoc(cls) or "").partition("\n")[0]


if __name__ == "__main__":
    sys.exit(main())
