"""Continual pre-training: the arms of examples/continual.py over seeds, and the papers' claims checked one by one.

python benchmarks/continual.py --out benchmarks/results/2026-11-21-continual      (half an hour on two quiet cores)
python benchmarks/continual.py --again benchmarks/results/2026-11-21-continual    (the tables of finished runs)
"""

from __future__ import annotations


import functools
import pathlib
import sys
from collections.abc import Sequence

import reporting


def main(argv: Sequence[str] | None = None) -> int:
    parser = reporting.parser(__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, metavar="N", help="(default: 3, with --quick 1)")
    parser.add_argument(
        "--again", type=pathlib.Path, metavar="DIR", help="the tables of the runs in DIR; nothing is trained"
    )
    args = parser.parse_args(argv)
    if args.again is None:
        from continual_runs import NO_SHIFT, train

        seeds = args.seeds or (1 if args.quick else 3)
        write = functools.partial(reporting.write_raw, args, [])
        runs, curves = train(args.quick, seeds, ["weak", "strong", NO_SHIFT], write)
        write(runs=runs, curves=curves)
    return 0


if __name__ == "__main__":
    sys.exit(main())
