"""``python -m optax_lrs show``: a schedule's rates, phases, area and sources."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import Any

from optax_lrs.citations import papers, reference
from optax_lrs.commands._inputs import SCHEDULE_HELP, read_schedule
from optax_lrs.pictures._sections import Section, check_steps, sections, seen_steps

_MOST_SECTIONS = 20


def add(commands: argparse._SubParsersAction[Any]) -> None:
    """Adds the command and its arguments."""
    parser = commands.add_parser("show", help="print a schedule's rates, phases, area and sources")
    parser.add_argument("schedule", help=SCHEDULE_HELP)
    parser.add_argument("--steps", type=int, help="the number of steps; by default up to the schedule's end")
    parser.set_defaults(run=_show)


def _show(args: argparse.Namespace) -> int:
    schedule = read_schedule(args.schedule)
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
