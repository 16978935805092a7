"""Measures what Normalize-and-Project (NaP) keeps, whether it matches the paper, and what it costs.

    python benchmarks/projection/projection.py [--part NAME] [--quick] [--bars] [--out DIR]

Four parts, each with its own tables, bars and folder of results; ``--part`` runs one of them:

* plasticity: random labels, redrawn 50 times, with and without normalization and projection
* equivalence: other rates instead of a projection; outputs before and after one
* pretrain: pre-training under three schedules, projected and not
* agent: a published agent on changing tasks; needs the extra ``rl``
"""

from __future__ import annotations

import importlib
import pathlib
import sys
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # for what all benchmarks share
sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "examples"))  # for its model, networks and data

from reporting import Bar, conclude, parser, print_table, write_raw

PARTS = {"plasticity": "tasks", "equivalence": "equivalence", "pretrain": "pretrain", "agent": "agent"}
AT_MOST = 40  # longer tables are only written to files


def main(argv: list[str] | None = None) -> int:
    """Runs the benchmark."""
    found = parser(__doc__.splitlines()[0])
    found.add_argument("--part", action="append", choices=PARTS, help="run only this part; may be repeated")
    args, bars = found.parse_args(argv), []
    out = args.out
    for part in args.part or PARTS:
        module = importlib.import_module(PARTS[part])
        result: tuple[dict[str, list[dict[str, Any]]], list[Bar]] = module.suite(args.quick)
        tables, own = result
        for name, rows in tables.items():
            if len(rows) <= AT_MOST:
                print_table(name.replace("_", ", "), rows)
        if out is not None and any(tables.values()):
            args.out = out / part
            write_raw(args, own, **tables)
            if part == "plasticity":
                from picture import draw

                draw(out / part / "plasticity.png", tables["plasticity_tasks"], module.IMAGES, module.STEPS)
        bars += own
    return conclude(args, bars, f"parts: {', '.join(args.part or PARTS)}")


if __name__ == "__main__":
    sys.exit(main())
