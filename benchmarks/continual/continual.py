"""Runs the arms of examples/continual.py over seeds and checks the papers' claims.

    python benchmarks/continual/continual.py [--quick] [--bars] [--out DIR]
    python benchmarks/continual/continual.py --again benchmarks/results/2026-11-21-continual

Training takes half an hour on two idle cores. ``--again`` computes the tables of finished runs.
"""

from __future__ import annotations

import csv
import functools
import pathlib
import sys
from collections.abc import Sequence

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # for what all benchmarks share
sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "examples"))  # for its model and data

import reporting
from claims import Table, bars, claims, summary
from curves import draw


def read(path: pathlib.Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def main(argv: Sequence[str] | None = None) -> int:
    parser = reporting.parser(__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, metavar="N", help="(default: 3, or 1 with --quick)")
    parser.add_argument(
        "--again", type=pathlib.Path, metavar="DIR", help="compute the tables of the runs in DIR, without training"
    )
    args = parser.parse_args(argv)
    write = functools.partial(reporting.write_raw, args)
    if args.again is not None:
        runs, curves = read(args.again / "runs.csv"), read(args.again / "curves.csv")
    else:
        from runs import NO_SHIFT, train

        seeds = args.seeds or (1 if args.quick else 3)
        runs, curves = train(args.quick, seeds, ["weak", "strong", NO_SHIFT], functools.partial(write, []))
    table = Table(runs, curves)
    ends, verdicts = summary(table), claims(table)
    for shift in table.shifts:
        reporting.print_table(f"{shift} shift: nats per byte", (row for row in ends if row["shift"] == shift))
    reporting.print_table("Claims", verdicts)
    held = [] if args.quick else bars(verdicts)  # too few steps to show anything
    write(held, runs=runs, curves=curves, table=ends, claims=verdicts)
    if args.out is not None:
        draw(args.out / "continual.png", table)
    asked = [row["as claimed"] for row in verdicts if row["as claimed"]]
    counts = f"{sum(one.startswith('yes') for one in asked)} of {len(asked)} questions are answered as claimed"
    return reporting.conclude(args, held, f"{counts}, {sum('noise' in one for one in asked)} within the noise")


if __name__ == "__main__":
    sys.exit(main())
