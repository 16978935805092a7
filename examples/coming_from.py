"""Schedules of other frameworks and their equals here: PyTorch, Transformers, timm, Optax, ...

    python examples/coming_from.py            print everything
    python examples/coming_from.py timm       print one framework
    python examples/coming_from.py --markdown print the tables of docs/coming_from.md

Every line runs: `tests/house/test_coming_from.py` evaluates both sides and compares them step by
step, past the end too. The optimizer's rate is 1e-3 wherever a framework takes it from the
optimizer (`optimizer`), and `f` is any function of the step. Steps count from 0, and the rate at
step 0 is that of the first update. Our lines assume `from optax_lrs import *` and
`from math import *`.

Some frameworks rise after the end, fall below the floor, or jump. Ours does not, and the row says
so. The rows are in `peers`, one framework a file.
"""

import itertools
import sys
from typing import NamedTuple

from peers import ROWS
from peers.row import DIFFERS, Row


class Convention(NamedTuple):
    """The first and last rates of a run of 40 steps: 4 of warmup, and 8 of decay to zero."""

    first: str  # the first rate, as a share of the peak
    last: str  # the last rate that is applied
    who: str
    ours: str


CONVENTIONS = [
    Convention(
        "0",
        "1/8",
        "the default here; Optax, Transformers, timm, Keras, Levanter, AXLearn, Megatron-LM, big_vision",
        "WSD(peak=1e-3, total_steps=40, warmup_steps=4, decay_steps=8)",
    ),
    Convention(
        "1/4",
        "1/8",
        "torchtitan: no update has rate zero",
        "shifted(WSD(peak=1e-3, total_steps=41, warmup_steps=4, decay_steps=8), by=-1)",
    ),
    Convention(
        "0",
        "0",
        "MaxText, PyTorch's `OneCycleLR`: the last update uses the end rate",
        "WSD(peak=1e-3, total_steps=39, warmup_steps=4, decay_steps=7)",
    ),
]


def remark(row: Row) -> str:
    parts = [row.note, row.but and row.but != DIFFERS and f"theirs {row.but}"]
    return "; ".join(part for part in parts if part)


def text(rows: list[Row]) -> str:
    blocks = []
    for framework, group in itertools.groupby(rows, lambda row: row.framework):
        lines = [f"── {framework} " + "─" * (60 - len(framework))]
        for row in group:
            lines += [f"  {row.theirs}", f"    {row.ours or '—'}"] + ([f"    # {remark(row)}"] if remark(row) else [])
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def markdown(rows: list[Row]) -> str:
    def table(head: tuple[str, ...], body: list[tuple[str, ...]]) -> str:
        return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ("---",) * len(head), *body))

    conventions = [(c.first, c.last, c.who, f"`{c.ours}`") for c in CONVENTIONS]
    blocks = [table(("first rate", "last rate", "who", "40 steps, 4 of warmup, 8 of decay"), conventions)]
    for framework, group in itertools.groupby(rows, lambda row: row.framework):
        body = [(f"`{row.theirs}`", f"`{row.ours}`" if row.ours else "–", remark(row)) for row in group]
        rendered = table((framework, "ours", "remarks"), body)
        blocks.append(f"## {framework}\n\n{rendered}")
    return "\n\n".join(blocks)


def main(args: list[str]) -> None:
    if args == ["--markdown"]:
        print(markdown(ROWS))
        return
    known = list(dict.fromkeys(row.framework for row in ROWS))
    unknown = [arg for arg in args if arg.lower() not in map(str.lower, known)]
    if unknown:
        sys.exit(f"unknown framework {unknown[0]!r}; known are {', '.join(known)}")
    wanted = [arg.lower() for arg in args] or [name.lower() for name in known]
    print(text([row for row in ROWS if row.framework.lower() in wanted]))


if __name__ == "__main__":
    main(sys.argv[1:])
