"""Normalize-and-Project: does it keep a network able to learn, is it what the paper says, what does it cost or buy.

Four parts, each with its own tables, bars and folder of results:

* plasticity: random labels, redrawn 50 times, with and without normalization and projection
  (tasks.py)
* equivalence: other rates instead of a projection; outputs before and after one (equivalence.py)
* pretrain: the main job under three schedules, projected and not (pretrain.py)
* agent: a published agent on changing tasks (agent.py); needs the extra ``rl``

    python benchmarks/projection/projection.py --out benchmarks/results/2026-11-21-projection

``--part NAME`` runs one of them.
"""

from __future__ import annotations

import importlib
import pathlib
import sys
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # for what all benchmarks share

from reporting import Bar, conclude, parser, print_table, write_raw

PARTS = {"plasticity": "tasks", "equivalence": "equivalence", "pretrain": "pretrain", "agent": "agent"}  # fmt: skip
AT_MOST = 40  # rows that are printed; the others are in the files


def main(argv: list[str] | None = None) -> int:
    """Runs it."""
    found = parser(__doc__.splitlines()[0])
    found.add_argument("--part", action="append", choices=PARTS, help="only this one; may be repeated")
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
