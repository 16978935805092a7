"""Reads the columns of a run from a text table."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Mapping, Sequence

import numpy as np

from optax_lrs._value.arguments import did_you_mean

USUAL = {
    "steps": ("step", "steps", "_step", "global_step", "iteration", "iter"),
    "lrs": ("lr", "lrs", "learning_rate"),
    "losses": ("loss", "losses", "train_loss", "training_loss"),
    "val_losses": ("val_loss", "val_losses", "validation_loss", "eval_loss"),
    "grad_norms": ("grad_norm", "grad_norms", "grad_norm_l2", "gradient_norm", "gnorm"),
    "grad_norms_l1": ("grad_norm_l1", "grad_norms_l1"),
}
"""The usual names of a Run's columns in logs, preferred names first; ``/`` is read as ``_``."""


def read_columns(path: str | os.PathLike[str], names: Mapping[str, str], known: Sequence[str]) -> dict[str, np.ndarray]:
    """Returns a dict from each column's name in a Run to its values, sorted by step.

    If several rows have the same step, the last entry that is not empty is used.

    Raises:
        ValueError: see ``Run.from_csv``.
    """
    for key in names:
        if key not in known:
            raise ValueError(
                f"Run.from_csv: columns must name {', '.join(known)}, got {key!r}. {did_you_mean(key, known)}".rstrip()
            )
    # utf-8-sig: spreadsheets write a byte-order mark before the first name
    with open(path, newline="", encoding="utf-8-sig") as file:
        first = file.readline()
        file.seek(0)
        lines = csv.reader(file, delimiter=max(",;\t", key=first.count))
        header = [name.strip() for name in next(lines, [])]
        at = {key: place for key in known if (place := _place(header, key, names)) is not None}
        if "steps" not in at:
            raise ValueError(
                f"Run.from_csv: {os.fspath(path)} has no column of steps, only {', '.join(header) or 'nothing'}; "
                'name it with columns={"steps": ...}'
            )
        rows: dict[int, dict[str, float]] = {}
        for line in lines:
            if not any(entry.strip() for entry in line):
                continue
            entries = {key: _number(line, place, header, lines.line_num, path) for key, place in at.items()}
            step = entries.pop("steps")
            if not (math.isfinite(step) and step == int(step)):
                raise ValueError(
                    f"Run.from_csv: {os.fspath(path)}, line {lines.line_num}: the step must be an int, got {step}"
                )
            row = rows.setdefault(int(step), {})
            row.update({key: entry for key, entry in entries.items() if not math.isnan(entry)})
    steps = sorted(rows)
    columns = {key: np.array([rows[step].get(key, math.nan) for step in steps], np.float64) for key in at}
    return columns | {"steps": np.array(steps, np.int64)}


def _place(header: list[str], key: str, names: Mapping[str, str]) -> int | None:
    if key in names:
        if names[key] not in header:
            raise ValueError(f"Run.from_csv: no column {names[key]!r} for {key}, only {', '.join(header)}")
        return header.index(names[key])
    plain = [name.lower().replace("/", "_") for name in header]
    return next((plain.index(name) for name in USUAL[key] if name in plain), None)


def _number(line: list[str], place: int, header: list[str], number: int, path: str | os.PathLike[str]) -> float:
    entry = line[place].strip() if place < len(line) else ""
    try:
        return float(entry) if entry else math.nan
    except ValueError:
        where = f"{os.fspath(path)}, line {number}, column {header[place]!r}"
        raise ValueError(f"Run.from_csv: {where}: the entry must be a number, got {entry!r:.40}") from None
