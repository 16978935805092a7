"""``python -m optax_lrs plot``: draws one or several schedules."""

from __future__ import annotations

import argparse
from typing import Any

from optax_lrs.commands._figures import save_figure
from optax_lrs.commands._inputs import SCHEDULE_HELP, read_schedule
from optax_lrs.pictures import plot


def add(commands: argparse._SubParsersAction[Any]) -> None:
    """Adds the command and its arguments."""
    parser = commands.add_parser("plot", help="draw one or several schedules")
    parser.add_argument("schedules", nargs="+", metavar="schedule", help=SCHEDULE_HELP)
    parser.add_argument("--steps", type=int, help="the last step drawn; by default just past the last end")
    parser.add_argument("--scale", default="linear", help="the axis of the rates: linear (the default) or log")
    parser.add_argument(
        "-o", "--output", default="schedules.png", help="the picture: .png, .svg or .pdf; schedules.png by default"
    )
    parser.set_defaults(run=_plot)


def _plot(args: argparse.Namespace) -> int:
    schedules = [read_schedule(text) for text in args.schedules]
    save_figure(lambda: plot(*schedules, steps=args.steps, scale=args.scale).figure, args.output)
    return 0
