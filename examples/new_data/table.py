"""The table of a comparison: losses on both texts, and what was forgotten."""

import csv
import os
import pathlib
from typing import Any


def rows_of(shift: str, pretrained: tuple[float, float], found: dict[str, tuple[float, float]]) -> list[dict[str, Any]]:
    """One row for each way: losses in nats per byte.

    "Forgotten" is the old loss minus that of the pre-trained model.
    """
    all_ends = {"pre-trained": pretrained, **found}
    return [
        {
            "shift": shift,
            "arm": name,
            "old": old,
            "new": new,
            "average": (old + new) / 2,
            "forgotten": old - pretrained[0],
        }
        for name, (old, new) in all_ends.items()
    ]


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as text."""
    width = max(len(row["arm"]) for row in rows)
    lines = [f"{'':{width}}  {'old':>7}  {'new':>7}  {'average':>7}  forgotten"]
    for row in rows:
        losses = f"{row['old']:7.4f}  {row['new']:7.4f}  {row['average']:7.4f}"
        lines.append(f"{row['arm']:{width}}  {losses}  {row['forgotten']:+9.4f}")
    return "\n".join(lines)


def write_table(path: pathlib.Path, rows: list[dict[str, Any]]) -> None:
    """Writes the rows as CSV, in one step: the file is complete or not there."""
    draft = path.with_name(f"{path.name}.tmp")
    with open(draft, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(draft, path)
