"""A row of the tables of examples/coming_from.py, and phrases for what only the peer does."""

from typing import NamedTuple

RISES = "rises again after its end"
DIPS = "falls below its floor after its end"
FALLS = "never ends and keeps falling"
JUMPS = "jumps"
RAISES = "raises after its end"
DIFFERS = "gives another rate at the other steps"


class Row(NamedTuple):
    """A framework's schedule and ours."""

    framework: str
    theirs: str
    ours: str = ""  # if empty, the note says why
    note: str = ""
    steps: tuple[int, int | None] = (0, None)  # the two agree from the first step to before the last
    but: str = ""  # what the peer does at the other steps: one of the phrases above


PLATEAU = "reacts to a metric: the transform `scale_by_plateau`"


def rows(framework: str, *entries: tuple) -> list[Row]:
    """The rows of one framework; each entry holds the other fields in order."""
    return [Row(framework, *entry) for entry in entries]
