"""Reads text files as bytes, and orders them for training.

Letters in names are axes: B batch, L position (one more than the model's context, because inputs
and targets overlap).
"""

import dataclasses
import hashlib
import pathlib
import sysconfig
from collections.abc import Iterable, Sequence

import grain
import numpy as np

SEPARATOR = b"\0"  # between files; no text file contains it
VALIDATION_SHARE = 0.05  # of the bytes, at least


@dataclasses.dataclass(frozen=True)
class ByteText:
    """The training and validation splits, each as one long array of bytes."""

    train: np.ndarray
    validation: np.ndarray
    source: str  # shown to people
    fingerprint: str  # compared by checkpoints: equal if and only if all bytes are

    def unigram_entropy(self) -> float:
        """The loss in nats per byte of the best model without context.

        A trained model must be clearly below it.
        """
        counts = np.bincount(self.validation, minlength=256)
        p = counts[counts > 0] / counts.sum()
        return float(-np.sum(p * np.log(p)))


def standard_library() -> list[tuple[str, bytes]]:
    """The source of Python's standard library: about 12 MB of real text on every machine."""
    root = pathlib.Path(sysconfig.get_path("stdlib"))
    skipped = {"site-packages", "dist-packages", "test", "tests", "__pycache__"}
    paths = [path for path in root.rglob("*.py") if not skipped & set(path.relative_to(root).parts)]
    return [(path.relative_to(root).as_posix(), path.read_bytes()) for path in paths]


def is_text(content: bytes) -> bool:
    if SEPARATOR in content:
        return False
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def texts_in(place: str) -> list[tuple[str, bytes]]:
    """The file, or all text files below the folder, as (name, content)."""
    path = pathlib.Path(place)
    if not path.exists():
        raise ValueError(f"--data {place}: no such file or folder")
    if path.is_file():
        content = path.read_bytes()
        if not is_text(content):
            raise ValueError(f"--data {place}: not a text file (it is not UTF-8, or has NUL bytes)")
        return [(path.name, content)]
    # Hidden files and folders, such as .git, are skipped.
    found = [
        p for p in path.rglob("*") if p.is_file() and not any(s.startswith(".") for s in p.relative_to(path).parts)
    ]
    files = [(p.relative_to(path).as_posix(), p.read_bytes()) for p in found]
    texts = [(name, content) for name, content in files if is_text(content)]
    if not texts:
        what = f"only binary files ({len(files)})" if files else "an empty folder"
        raise ValueError(f"--data {place}: {what}, no text to train on")
    return texts


def read_text(places: Sequence[str] = ()) -> ByteText:
    """All text of `places`, split by file into training and validation.

    Without places it reads the standard library.
    """
    files = [file for place in places for file in texts_in(place)] if places else standard_library()
    return split(files, f"{len(files)} files of " + (", ".join(places) or "Python's standard library"))


def split(files: Sequence[tuple[str, bytes]], source: str) -> ByteText:
    """Splits the files: each one is in training or in validation."""
    # The order of a hash of the name looks shuffled and is the same on every machine, and a file's
    # place does not depend on the other files. The first files become the validation split.
    files = sorted(files, key=lambda file: hashlib.blake2b(file[0].encode()).digest() + file[1])
    texts = [np.frombuffer(content + SEPARATOR, np.uint8) for _, content in files]
    ends = np.cumsum([len(text) for text in texts])
    total = int(ends[-1])
    n = 1 + int(np.searchsorted(ends, VALIDATION_SHARE * total))
    everything = np.concatenate(texts)
    cut = int(ends[n - 1])
    if cut > total // 2:  # too few files to split by file: use the end of the text instead
        cut = round(VALIDATION_SHARE * total)
        train, validation = everything[:-cut], everything[-cut:]
    else:
        train, validation = everything[cut:], everything[:cut]
    return ByteText(
        train=train,
        validation=validation,
        source=source,
        fingerprint=hashlib.blake2b(everything.tobytes(), digest_size=8).hexdigest(),
    )


def windows(text: np.ndarray, starts: Iterable[int], length: int) -> np.ndarray:
    return np.stack([text[start : start + length] for start in starts])


def training_batches(
    text: ByteText, *, context: int, batch_size: int, seed: int, rows: Sequence[int]
) -> grain.DatasetIterator:
    """An endless iterator of uint8 [len(rows), context + 1], whose state is a small JSON value.

    All processes shuffle the same window numbers and group them into the same global batches. Only
    then does each process read the bytes of its rows. So the order does not depend on the number of
    processes.
    """
    count = (len(text.train) - 1) // context
    if count < batch_size:
        raise ValueError(
            f"too little text: {len(text.train)} training bytes make {count} windows of {context}, "
            f"a batch takes {batch_size}"
        )
    rows = np.asarray(rows)
    numbers = grain.MapDataset.range(count).shuffle(seed=seed).repeat().batch(batch_size)
    batches = numbers.map(lambda number_B: windows(text.train, number_B[rows] * context, context + 1))
    return iter(batches.to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=4)))


def validation_batches(text: ByteText, *, context: int, batch_size: int, count: int) -> np.ndarray:
    """Windows spread evenly over the validation text, always the same.

    Their shape is [count, batch_size, context + 1], in uint8.
    """
    room = len(text.validation) - (context + 1)
    if room < 0:
        raise ValueError(
            f"too little text: {len(text.validation)} validation bytes, a window takes {context + 1} (--context)"
        )
    starts = np.linspace(0, room, count * batch_size).astype(int)
    return windows(text.validation, starts, context + 1).reshape(count, batch_size, context + 1)
