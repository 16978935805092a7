"""The command line: ``python -m optax_lrs COMMAND``. ``--help`` lists the commands."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from optax_lrs.commands import cite, gallery, plot, predict, refine, show, suggest
from optax_lrs.commands import list as list_

COMMANDS = (list_, show, plot, gallery, predict, suggest, cite, refine)
"""In the order of the help text."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status.

    Args:
        argv: the arguments after the program's name; by default those of the process.

    Returns:
        0, or 2 for bad input, which prints one line to stderr.
    """
    try:
        args = _parser().parse_args(argv)
        return args.run(args)
    except (ValueError, TypeError, OverflowError, OSError, ImportError) as error:
        print("optax_lrs:", " ".join(str(error).split()), file=sys.stderr)
        return 2


class _Parser(argparse.ArgumentParser):
    """Reports errors as exceptions, so that each is one line."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message}; see {self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m optax_lrs",
        description="Learning-rate schedules: inspect, draw, predict, refine, suggest, cite.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
