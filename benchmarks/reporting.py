"""What all benchmarks share: command line, progress, tables, bars and result files."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import importlib.metadata
import json
import os
import pathlib
import platform
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

QUICK_SLACK = 5.0  # with --quick, a timing fails only if it misses its bar by more than this factor


def parser(description: str) -> argparse.ArgumentParser:
    """A parser with the arguments of every benchmark, to which a benchmark adds its own."""
    found = argparse.ArgumentParser(description=description)
    found.add_argument(
        "--quick",
        action="store_true",
        help="run fewer cases, to check that the benchmark works; timings fail only beyond 5x",
    )
    found.add_argument("--bars", action="store_true", help="exit with status 1 if a bar does not hold")
    found.add_argument("--out", type=pathlib.Path, metavar="DIR", help="write the raw results to this folder")
    return found


def parse_args(description: str, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parses the arguments of every benchmark."""
    return parser(description).parse_args(argv)


def progress(items: Sequence[Any], label: str) -> Iterator[Any]:
    """Yields the items and counts them on stderr.

    A terminal shows one line that is updated in place; a log gets ten lines.
    """
    live, total = sys.stderr.isatty(), len(items)
    for number, item in enumerate(items, 1):
        yield item
        if live or number == total or number * 10 // total != (number - 1) * 10 // total:
            line = f"{label}: {number}/{total}"
            print(
                f"\r{line}" if live and number < total else f"\r{line}\n" if live else line,
                end="" if live else "\n",
                file=sys.stderr,
                flush=True,
            )


def print_table(title: str, rows: Iterable[dict[str, Any]]) -> None:
    """Prints rows under a title, in columns as wide as their widest cell."""
    rows = list(rows)
    if not rows:
        return
    cells = [[_text(item) for item in row.values()] for row in rows]
    lines = [list(rows[0]), *cells]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    print(f"\n{title}")
    for line in lines:
        first, *others = (
            cell.ljust(width) if not column else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths))
        )
        print("  ".join((first, *others)).rstrip())
    sys.stdout.flush()


def _text(item: Any) -> str:
    if isinstance(item, float):
        return f"{item:.3g}" if abs(item) < 1e4 else f"{item:.4e}"
    return "" if item is None else str(item)


@dataclasses.dataclass(frozen=True)
class Bar:
    """A measured figure and its upper limit."""

    name: str
    figure: float
    limit: float
    timing: bool = (
        False  # measured by a clock, so a loaded machine can spoil it; other figures are the same in each run
    )

    def holds(self, quick: bool) -> bool:
        """Whether the figure is at most the limit. A nan does not hold."""
        return self.figure <= self.limit * (QUICK_SLACK if quick and self.timing else 1.0)


def conclude(args: argparse.Namespace, bars: Sequence[Bar], summary: str) -> int:
    """Prints the bars that do not hold and then the summary; returns the exit status."""
    short = [bar for bar in bars if not bar.holds(args.quick)]
    late = [bar for bar in bars if bar.holds(args.quick) and not bar.holds(False)]
    print()
    for bar in late:
        print(f"slow, but within the slack of --quick: {bar.name}: {bar.figure:.4g}, limit {bar.limit:.4g}")
    for bar in short:
        print(f"DOES NOT HOLD: {bar.name}: {bar.figure:.4g}, limit {bar.limit:.4g}")
    print(f"{len(bars) - len(short)} of {len(bars)} bars hold; {summary}")
    return int(args.bars and bool(short))


def versions() -> dict[str, str | None]:
    """Versions of packages and Python, the platform and the command line."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in ("jax", "jaxlib", "libtpu", "optax", "numpy"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    here = pathlib.Path(__file__).resolve().parent.parent
    script = pathlib.Path(sys.argv[0]).resolve()
    command = script.relative_to(here) if script.is_relative_to(here) else script.name
    return found | {
        "platform": f"{platform.system()} {platform.machine()}",
        "cores": str(os.cpu_count()),
        "command": " ".join(["python", str(command), *sys.argv[1:]]),
    }


def write_raw(args: argparse.Namespace, bars: Sequence[Bar], **tables: Sequence[dict[str, Any]]) -> None:
    """Writes one CSV file for each table, ``bars.csv``, and ``run.json`` with the versions."""
    if args.out is None:
        return
    args.out.mkdir(parents=True, exist_ok=True)
    held = [dataclasses.asdict(bar) | {"holds": bar.holds(False)} for bar in bars]
    for name, rows in (tables | {"bars": held}).items():
        if not rows:
            continue
        with open(args.out / f"{name}.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    (args.out / "run.json").write_text(json.dumps(versions(), indent=1) + "\n")
    print(f"raw results in {args.out}", file=sys.stderr)
