"""Finds the checkpoints that ``average`` reads: the folders of their trees, oldest first."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Sequence
from typing import Any

from optax_lrs.checkpoint import _orbax
from optax_lrs.checkpoint._checkpoints import Checkpoints

_OWNER = "checkpoint.average"


def tree_folders(checkpoints: Any, count: int, steps: Sequence[int] | None, item: str | None) -> list[Any]:
    """The folders of the checkpoints' trees, oldest first."""
    if isinstance(checkpoints, (list, tuple)):
        if steps is not None:
            raise ValueError(f"{_OWNER}: steps needs a folder of steps, got a list of folders, which is used unchanged")
        return [_tree_folder(_orbax.as_path(folder), item) for folder in checkpoints]
    if isinstance(checkpoints, Checkpoints):
        checkpoints.wait()
        checkpoints = checkpoints.folder
    checkpoints = getattr(checkpoints, "directory", checkpoints)
    if not isinstance(checkpoints, (str, os.PathLike)):
        raise TypeError(
            f"{_OWNER}: checkpoints must be a folder, Checkpoints, a CheckpointManager or a list of folders, "
            f"got {checkpoints!r:.80}"
        )
    root = _orbax.as_path(checkpoints)
    there = _steps(root)
    if steps is None:
        if len(there) < count:
            raise ValueError(
                f"{_OWNER}: {count} weights need {count} checkpoints; {root} has {len(there)}: {sorted(there)}"
            )
        steps = sorted(there)[len(there) - count :]
        if len({after - before for before, after in itertools.pairwise(steps)}) > 1:
            raise ValueError(
                f"{_OWNER}: the latest {count} checkpoints of {root} are not evenly spaced: {steps}. The weights "
                f"assume equal distances, so choose the checkpoints with steps= from {sorted(there)}"
            )
    missing = [step for step in steps if step not in there]
    if missing:
        raise ValueError(f"{_OWNER}: {root} has no finished checkpoint of step {missing[0]}, only of {sorted(there)}")
    if list(steps) != sorted(set(steps)):
        raise ValueError(f"{_OWNER}: steps must increase, since weights start with the oldest, got {list(steps)}")
    return [_tree_folder(there[step], item) for step in steps]


def _steps(root: Any) -> dict[int, Any]:
    """The folders of finished steps: 100, 00100 or ckpt_100.

    Lists them only: a manager would delete leftovers.
    """
    if not root.is_dir():
        raise ValueError(f"{_OWNER}: {root} is not a folder")
    if _orbax.is_tree(root):
        raise ValueError(f"{_OWNER}: {root} is one checkpoint, not a folder of steps: pass a list of checkpoints")
    found: dict[int, Any] = {}
    for folder in root.iterdir():
        match = re.fullmatch(r"(?:.*_)?(\d+)", folder.name)
        if match and folder.is_dir() and _orbax.is_finalized(folder):
            step = int(match[1])
            if step in found:
                raise ValueError(f"{_OWNER}: {found[step]} and {folder} are both step {step}: pass a list of folders")
            found[step] = folder
    return found


def _tree_folder(folder: Any, item: str | None) -> Any:
    """The folder that holds the tree: the checkpoint itself, or one of its items."""
    if not folder.is_dir():
        raise ValueError(f"{_OWNER}: {folder} is not a folder")
    if item is not None:
        if not _orbax.is_tree(folder / item):
            raise ValueError(f"{_OWNER}: {folder} has no item {item!r} that holds a tree")
        return folder / item
    if _orbax.is_tree(folder):
        return folder
    items = sorted(inside.name for inside in folder.iterdir() if inside.is_dir() and _orbax.is_tree(inside))
    if not items:
        raise ValueError(f"{_OWNER}: {folder} is not an Orbax checkpoint of a tree")
    if len(items) > 1:
        raise ValueError(f"{_OWNER}: {folder} has several items, choose one with item=: {items}")
    return folder / items[0]
