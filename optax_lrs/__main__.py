"""The command line: ``python -m optax_lrs list | show | plot | gallery | predict | refine | suggest | cite``."""

from __future__ import annotations

import argparse
import inspect
import math
import sys
from collections.abc import Sequence
from dataclasses import MISSING, Field, fields
from typing import Any, NoReturn

from optax_lrs import parse
from optax_lrs._schedule import Schedule
from optax_lrs._value import Value
from optax_lrs.citations._bibliography import WORKS
from optax_lrs.citations._cite import bibtex, papers, reference
from optax_lrs.commands import predict, refine, suggest
from optax_lrs.pictures._gallery import gallery
from optax_lrs.pictures._schedules import plot
from optax_lrs.pictures._sections import Section, check_steps, sections, seen_steps
from optax_lrs.profiles import Profile

_MOST_SECTIONS = 20


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status: 0, or 2 for bad input, which costs one line on stderr."""
    try:
        args = _arguments().parse_args(argv)
        return args.run(args)
    except (ValueError, TypeError, OverflowError, OSError, ImportError) as error:
        print("optax_lrs:", " ".join(str(error).split()), file=sys.stderr)
        return 2


class _Parser(argparse.ArgumentParser):
    """One whose complaints are one line too."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message}; see {self.prog} --help")


def _arguments() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m optax_lrs", description="Learning-rate schedules, seen.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    lists = commands.add_parser("list", help="the schedules and profiles there are")
    lists.add_argument("--markdown", action="store_true", help="as the table of the README")
    lists.set_defaults(run=_list)

    shows = commands.add_parser("show", help="a schedule's numbers: rates along the run, phases, area, the source")
    shows.add_argument("schedule", help='its repr, such as "Cosine(peak=3e-4, total_steps=10_000)", or a JSON file')
    shows.add_argument("--steps", type=int, help="how many steps; by default up to its end")
    shows.set_defaults(run=_show)

    plots = commands.add_parser("plot", help="a picture of one or several schedules")
    plots.add_argument("schedules", nargs="+", metavar="schedule", help="its repr or a JSON file")
    plots.add_argument("--steps", type=int, help="how far; by default just past the last end")
    plots.set_defaults(run=_plot)

    galleries = commands.add_parser("gallery", help="one picture of all schedules and profiles")
    galleries.set_defaults(run=_gallery)
    for draws, output in ((plots, "schedules.png"), (galleries, "gallery.png")):
        draws.add_argument("--scale", default="linear", help="of the rates: linear (the default) or log")
        draws.add_argument(
            "-o", "--output", default=output, help=f"where to write the picture: .png, .svg, .pdf; {output} by default"
        )

    predict.add(commands)
    suggest.add(commands)

    cites = commands.add_parser("cite", help="BibTeX for what you use")
    cites.add_argument(
        "used", nargs="*", help="names, reprs or JSON files of schedules, or arXiv numbers; by default all there are"
    )
    cites.set_defaults(run=_cite)
    refine.add(commands)
    return parser


def _list(args: argparse.Namespace) -> int:
    schedules = [cls for cls in Value.registry.values() if issubclass(cls, Schedule)]
    schedules.sort(key=lambda cls: (bool({"schedule", "schedules"} & cls._kinds.keys()), cls._name.lower()))
    if args.markdown:
        print("| schedule | what it is | arguments | source |\n| --- | --- | --- | --- |")
        for cls in schedules:
            arguments = ", ".join(_argument(field) for field in fields(cls) if field.name not in cls._notes)
            print(f"| `{cls._name}` | {_summary(cls)} | {arguments} | {_link(cls.paper)} |")
        return 0
    for cls in [*schedules, *(cls for cls in Value.registry.values() if cls not in schedules)]:
        kind = "schedule" if cls in schedules else "profile" if issubclass(cls, Profile) else "law"
        print(f"{kind:9} {cls._name:20} {_summary(cls)}")
    return 0


def _argument(field: Field) -> str:
    return f"`{field.name}`" if field.default is MISSING else f"`{field.name}={field.default!r}`"


def _link(paper: str) -> str:
    number = paper.removeprefix("arXiv:")
    return f"[{number}](https://arxiv.org/abs/{number})" if number != paper else paper


def _show(args: argparse.Namespace) -> int:
    schedule = _load(args.schedule)
    steps = check_steps(seen_steps(schedule) if args.steps is None else args.steps)
    rows = {*(steps * tenth // 10 for tenth in range(11)), *(at for at in schedule.corners if at <= steps)}
    print(schedule)
    print(f"\n{'step':>14}  {'rate':>12}")
    for at in sorted(rows):
        print(f"{at:>14,}  {schedule.at(at):>12.6g}")
    found = sections(schedule, steps)
    _print_sections(found)
    area = sum(section.area for section in found)
    error = math.hypot(*(section.error for section in found))
    peak = max(section.peak for section in found)
    about = f" +- {error:.1g}, estimated from a sample" if error else ""
    print(f"\narea  {area:.10g}{about}: the sum of the rates of {steps:,} steps")
    print(f"mean  {area / steps:.6g}, {_percent(area / steps, peak)} of the peak, {peak:.6g}")
    end = schedule.ends_at
    print(f"end   constant from step {end:,} at {schedule.at(end):.6g}" if end is not None else "end   without end")
    for paper in papers(schedule):
        print(f"paper {reference(paper)}")
    return 0


def _print_sections(found: Sequence[Section]) -> None:
    print(f"\n{'phase':>9}  {'from':>14}  {'steps':>14}  {'first rate':>12}  {'last rate':>12}  {'area':>7}")
    area = sum(section.area for section in found)
    for one in found[:_MOST_SECTIONS]:
        print(
            f"{one.trend:>9}  {one.start:>14,}  {one.stop - one.start:>14,}  {one.first:>12.6g}  {one.last:>12.6g}"
            f"  {_percent(one.area, area):>7}"
        )
    if len(found) > _MOST_SECTIONS:
        print(f"and {len(found) - _MOST_SECTIONS} more")


def _percent(part: float, whole: float) -> str:
    return f"{part / whole:.1%}" if whole else "0.0%"


def _plot(args: argparse.Namespace) -> int:
    schedules = [_load(text) for text in args.schedules]
    _use_no_display()
    return _save(plot(*schedules, steps=args.steps, scale=args.scale).figure, args.output)


def _gallery(args: argparse.Namespace) -> int:
    _use_no_display()
    return _save(gallery(scale=args.scale), args.output)


def _use_no_display() -> None:
    import matplotlib

    matplotlib.use("Agg")


def _save(figure: Any, output: str) -> int:
    figure.savefig(output, dpi=150)
    print(output)
    return 0


def _cite(args: argparse.Namespace) -> int:
    used = args.used or [name for name, cls in Value.registry.items() if getattr(cls, "paper", "")]
    cited = list(dict.fromkeys(paper for text in used for paper in _papers(text)))
    if not cited:
        raise ValueError(f"no paper is known for {', '.join(used)}")
    print("\n\n".join(map(bibtex, cited)))
    return 0


def _papers(text: str) -> list[str]:
    number = text.removeprefix("arXiv:")
    if number in WORKS:
        return [f"arXiv:{number}"]
    return papers(Value.registry[text] if text in Value.registry else _load(text))


def _load(text: str) -> Schedule:
    if text.endswith(".json"):
        return Schedule.read(text)
    return parse(text)


def _summary(cls: type[Value]) -> str:
    return (inspect.getdoc(cls) or "").partition("\n")[0]


if __name__ == "__main__":
    sys.exit(main())
