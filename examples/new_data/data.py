"""The new data, and batches that mix old data into it (replay).

There are two shifts away from the source of Python's standard library, from files on this machine:

- weak: the same language by other people, the Python source of the installed packages
- strong: C headers, starting with Python's own; if these are too few, those of the installed
  packages and of the system, and then plain-text documentation

continual.py measures the size of the shifts: it prints the old model's loss on both texts.

Letters in names are axes: B batch, L position.
"""

import fractions
import hashlib
import pathlib
import sysconfig
from collections.abc import Callable, Iterable, Sequence

import grain
import numpy as np
from training.byte_text import ByteText, is_text, read_text, split, windows

MOST = 8_000_000  # bytes of a shift; more than a run of this size reads
ENOUGH = 800_000  # bytes, after which no further place is searched
LEAST = 200_000

File = tuple[str, bytes]


def files_below(root: str | pathlib.Path, *patterns: str) -> Iterable[File]:
    """Text files in the order of a hash of their names: the first ones are a fair sample."""
    root = pathlib.Path(root)
    skipped = {"tests", "test", "__pycache__"}
    paths = {path for pattern in patterns for path in root.rglob(pattern) if path.is_file()}
    inside = [path.relative_to(root) for path in paths]
    names = [path.as_posix() for path in inside if not skipped & set(path.parts)]
    for name in sorted(names, key=lambda name: hashlib.blake2b(name.encode()).digest()):
        try:
            content = (root / name).read_bytes()
        except OSError:
            continue  # unreadable, or deleted by now
        if is_text(content):
            yield name, content


def packages() -> pathlib.Path:
    return pathlib.Path(sysconfig.get_path("purelib"))


# By name: (description, files), in the order in which they are searched.
Place = tuple[str, Callable[[], Iterable[File]]]
SHIFTS: dict[str, list[Place]] = {
    "weak": [
        ("Python source of the installed packages", lambda: files_below(packages(), "*.py")),
    ],
    "strong": [
        ("Python's C headers", lambda: files_below(sysconfig.get_path("include"), "*.h")),
        ("C headers of the installed packages", lambda: files_below(packages(), "*.h", "*.hpp")),
        ("C headers of the system", lambda: files_below("/usr/include", "*.h")),
        ("texts of the installed packages", lambda: files_below(packages(), "*.rst", "*.md", "*.txt", "METADATA")),
        ("documentation of the system", lambda: files_below("/usr/share", "*.txt", "*.html", "*.rst", "copyright")),
    ],
}


def new_text(shift: str) -> ByteText:
    """The data of a shift: a name in SHIFTS, or a file or folder."""
    if shift not in SHIFTS:
        return read_text([shift])
    files: dict[str, bytes] = {}
    taken, size = [], 0
    for what, place in SHIFTS[shift]:
        before = len(files)
        for name, content in place():
            if size >= MOST:
                break
            files.setdefault(f"{what}/{name}", content)
            size += len(content)
        if len(files) > before:
            taken.append(f"{len(files) - before} files of {what}")
        if size >= ENOUGH:
            break
    if size < LEAST:
        places = ", ".join(what for what, _ in SHIFTS[shift])
        raise ValueError(
            f"too little text for the {shift} shift: {size} bytes in {places}; pass other text with --new PATH"
        )
    return split(list(files.items()), " and ".join(taken))


def mixed_batches(
    old: ByteText, new: ByteText, *, replay: float, context: int, batch_size: int, seed: int, rows: Sequence[int]
) -> grain.DatasetIterator:
    """Like byte_text.training_batches, with a share `replay` of old data; 1 is old data alone.

    The number of tokens for each update stays the same: old windows replace new ones, evenly
    spread, so that the first n windows have n × replay old ones, to within one. A batch need not
    have a whole number of them. (grain stores a share as whole numbers, the smaller one 100: 1, 5,
    10, 25, 50% are exact, others to a thousandth.) The two streams are shuffled separately, and
    restart with a new order where they end.
    """
    if not 0 <= replay <= 1:
        raise ValueError(f"replay {replay} is not a share from 0 to 1")
    streams, offset = [], 0
    for text, seed_of_it in ((old, seed + 1_000_003), (new, seed)):
        count = (len(text.train) - 1) // context
        if count < batch_size:
            raise ValueError(
                f"too little text in {text.source}: {len(text.train)} training bytes make {count} windows "
                f"of {context}, a batch takes {batch_size}"
            )
        # A window is identified by its start; new windows come after the old ones.
        starts = grain.MapDataset.range(count).shuffle(seed=seed_of_it).repeat()
        streams.append(starts.map(lambda number, offset=offset: offset + number * context))
        offset += len(text.train)
    everything = np.concatenate([old.train, new.train])
    rows = np.asarray(rows)
    share = fractions.Fraction(replay).limit_denominator(10_000)
    if share == 0 or share == 1:
        mixed = streams[0] if share else streams[1]
    else:
        mixed = grain.MapDataset.mix(streams, weights=[share.numerator, share.denominator - share.numerator])
    batches = mixed.batch(batch_size).map(lambda start_B: windows(everything, start_B[rows], context + 1))
    return iter(batches.to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=4)))
