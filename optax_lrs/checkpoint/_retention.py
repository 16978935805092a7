"""Which checkpoints are kept, and how the others go."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Sequence
from typing import Any

import jax

OLD = ".deleted"


def options(folder: str, keep: int | None, keep_steps: Sequence[int], keep_every: int | None) -> Any:
    """Orbax's options for a manager that keeps the last ``keep``, these steps, and every so-many-th."""
    import orbax.checkpoint as ocp
    from orbax.checkpoint import checkpoint_managers as policies

    kept = [policies.LatestN(keep), policies.CustomSteps(keep_steps)]
    if keep_every is not None:
        kept.append(policies.EveryNSteps(keep_every))
    # Deleting takes time. A process killed meanwhile would leave half a checkpoint under the name of a whole one, so old
    # ones are renamed first, in one step; object stores cannot rename.
    return ocp.CheckpointManagerOptions(
        preservation_policy=policies.AnyPreservationPolicy(kept),
        enable_async_checkpointing=True,
        todelete_subdir=None if "://" in folder else OLD,
    )


class Sweeper:
    """Deletes what was renamed because it is no longer kept, in a thread of process 0."""

    def __init__(self, folder: str):
        self._path = os.path.join(folder, OLD)
        self._thread: threading.Thread | None = None

    def sweep(self, *, wait: bool) -> None:
        """Starts deleting what is there now; what an earlier process left, too."""
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
    """Renames damaged checkpoints, ``120`` to ``120.damaged``: Orbax no longer lists them, and nothing is lost."""
    for step in steps:
        number = 1
        while (aside := folder / f"{step}.damaged{'' if number == 1 else f'-{number}'}").exists():
            number += 1
        (folder / str(step)).rename(aside)
