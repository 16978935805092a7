"""How checkpoints that are no longer kept, or are damaged, leave the folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Sequence
from typing import Any

import jax

_DELETED = ".deleted"


def deleted_subfolder(folder: str) -> str | None:
    """Where Orbax moves a step that is no longer kept; None in object stores, which cannot rename.

    Deleting takes time, and a process killed meanwhile would leave half a checkpoint under the name
    of a whole one. A rename is atomic."""
    return None if "://" in folder else _DELETED


class Sweeper:
    """Deletes the steps that Orbax moved to the subfolder, in a thread of process 0."""

    def __init__(self, folder: str):
        self._path = os.path.join(folder, _DELETED)
        self._thread: threading.Thread | None = None

    def sweep(self, *, wait: bool) -> None:
        """Starts deleting what is there now, including what an earlier process left."""
        if self._thread is not None:
            self._thread.join()
        if jax.process_index() != 0 or not os.path.isdir(self._path):
            return
        paths = [os.path.join(self._path, name) for name in os.listdir(self._path)]
        self._thread = threading.Thread(target=lambda: [shutil.rmtree(path, ignore_errors=True) for path in paths])
        self._thread.start()
        if wait:
            self._thread.join()
            with contextlib.suppress(OSError):  # another process may be saving here
                os.rmdir(self._path)


def move_aside(folder: Any, steps: Sequence[int]) -> None:
    """Renames damaged checkpoints, such as ``120`` to ``120.damaged``.

    Orbax no longer lists them, and nothing is lost.
    """
    for step in steps:
        number = 1
        while (aside := folder / f"{step}.damaged{'' if number == 1 else f'-{number}'}").exists():
            number += 1
        (folder / str(step)).rename(aside)
