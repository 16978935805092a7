"""A row of the table of examples/coming_from.py, and the words for what a peer does that ours does not."""

from typing import NamedTuple

RISES = "rises again after its end"
DIPS = "falls below its floor after its end"
FALLS = "has no end: goes on falling"
JUMPS = "jumps"
RAISES = "raises after its end"
DIFFERS = "gives another rate at the other steps"


class Row(NamedTuple):
    framework: str
    theirs: str
    ours: str = ""  # if none, the note says why
    note: str = ""
    steps: tuple[int, int | None] = (0, None)  # where the two agree: from, and before
    but: str = ""  # what the peer does at the other steps, one of the words above


PLATEAU = "reacts to a metric: the transform `scale_by_plateau`"


def rows(framework: str, *entries: tuple) -> list[Row]:
    return [Row(framework, *entry) for entry in entries]
