"""``python -m optax_lrs cite``: BibTeX for the papers behind schedules."""

from __future__ import annotations

import argparse
from typing import Any

from optax_lrs._value import Value
from optax_lrs.citations import WORKS, bibtex, papers
from optax_lrs.commands._inputs import read_schedule


def add(commands: argparse._SubParsersAction[Any]) -> None:
    """Adds the command and its arguments."""
    parser = commands.add_parser("cite", help="print BibTeX for the schedules you use")
    parser.add_argument(
        "used",
        nargs="*",
        help="names, reprs or JSON files of schedules, or arXiv numbers; by default everything with a paper",
    )
    parser.set_defaults(run=_cite)


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
    return papers(Value.registry[text] if text in Value.registry else read_schedule(text))
