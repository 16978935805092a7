"""Loads the inputs of commands: schedules and runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from optax_lrs._parse import parse
from optax_lrs._run import Run
from optax_lrs._schedule import Schedule

_LOGS = (".csv", ".tsv", ".txt")

RUN_HELP = "a run: a file from Run.write (.npz), or a log with a header line (.csv, .tsv, .txt)"
SCHEDULE_HELP = 'its repr, such as "Cosine(peak=3e-4, total_steps=10_000)", or a JSON file'


def read_schedule(text: str) -> Schedule:
    """Reads a schedule from its repr, or from a file whose name ends in ``.json``.

    Raises:
        ValueError, TypeError: if the text or the file does not describe a schedule.
        OSError: if the file cannot be read.
    """
    text = text.strip()
    return Schedule.read(text) if text.endswith(".json") else parse(text)


def read_run(path: str, *, columns: Sequence[str] = (), schedule: str | None = None) -> Run:
    """Reads a run from a file of ``Run.write`` or from a log.

    Args:
        path: the file.
        columns: names of the log's columns, each as ``COLUMN=NAME``. If any is given, the file is
            read as a log.
        schedule: the schedule that was run, if the file does not contain it: a repr or a JSON file.

    Raises:
        ValueError, TypeError: if the file is not a run, or an argument is malformed.
        OSError: if the file cannot be read.
    """
    names = dict(_column(text) for text in columns)
    ran = None if schedule is None else read_schedule(schedule)
    if names or Path(path).suffix in _LOGS:
        return Run.from_csv(path, columns=names, schedule=ran)
    run = Run.read(path)
    return run if ran is None else Run(**{**vars(run), "schedule": ran})


def _column(text: str) -> tuple[str, str]:
    column, equals, name = text.partition("=")
    if not (equals and column and name):
        raise ValueError(f"--csv must be COLUMN=NAME, such as losses=train/ce, got {text!r}")
    return column, name
