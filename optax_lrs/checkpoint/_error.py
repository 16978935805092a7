"""The errors of damaged and unsuitable checkpoints."""

from __future__ import annotations


class CheckpointError(ValueError):
    """A checkpoint is missing, damaged, of another program or of a newer version.

    The message names the folder and the step.
    """


class MisfitError(CheckpointError):
    """A checkpoint may be good, but does not fit this template or this version of the program."""


def brief(error: BaseException) -> str:
    """An error of another package in one line: those of TensorStore are pages long."""
    text = " ".join(str(error).split()).partition(" See full TensorStore details")[0]
    return f"{type(error).__name__}: {text[:200]}{' …' if len(text) > 200 else ''}"
