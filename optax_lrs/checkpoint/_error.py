"""What is wrong with a checkpoint."""

from __future__ import annotations


class CheckpointError(ValueError):
    """A checkpoint that is absent, damaged, another program's or of a newer version; it names the folder and the step."""


class MisfitError(CheckpointError):
    """A checkpoint that may be good, but not for this template or this version of the program."""


def brief(error: BaseException) -> str:
    """An error of another package in one line: those of TensorStore run over pages."""
    text = " ".join(str(error).split()).partition(" See full TensorStore details")[0]
    return f"{type(error).__name__}: {text[:200]}{' …' if len(text) > 200 else ''}"
