"""Where the checkpoints are that are averaged: the folders of their trees, oldest first."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Sequence
from typing import Any

from optax_lrs.checkpoint._folder import Checkpoints

_OWNER = "checkpoint.average"


def tree_folders(checkpoints: Any, count: int, steps: Sequence[int] | None, item: str | None) -> list[Any]:
    """The folders of the checkpoints' trees, oldest first."""
    if isinstance(checkpoints, (list, tuple)):
        if steps is not None:
            raise ValueError(f"{_OWNER}: steps are for a folder of steps; a list of folders is taken as it is")
        return [_tree_folder(_absolute(folder), item) for folder in checkpoints]
    if isinstance(checkpoints, Checkpoints):
        checkpoints.wait()
        checkpoints = checkpoints.folder
    checkpoints = getattr(checkpoints, "directory", checkpoints)
    if not isinstance(checkpoints, (str, os.PathLike)):
        raise TypeError(
            f"{_OWNER}: checkpoints must be a folder, Checkpoints, a CheckpointManager or a list of folders, "
            f"got {checkpoints!r:.80}"
        )
    root = _absolute(checkpoints)
    there = _steps(root)
    if steps is None:
        if len(there) < count:
            raise ValueError(
                f"{_OWNER}: {count} weights need {count} checkpoints; {root} has {len(there)}: {sorted(there)}"
            )
        steps = sorted(there)[len(there) - count :]
        if len({after - before for before, after in itertools.pairwise(steps)}) > 1:
            raise ValueError(
                f"{_OWNER}: the latest {count} checkpoints of {root} are not evenly spaced: {steps}; the weights are for "
                f"checkpoints at even distances, so say with steps= which of them to average: there are {sorted(there)}"
            )
    missing = [step for step in steps if step not in there]
    if missing:
        raise ValueError(f"{_OWNER}: {root} has no finished checkpoint of step {missing[0]}, only of {sorted(there)}")
    if list(steps) != sorted(set(steps)):
        raise ValueError(f"{_OWNER}: steps must increase, as the weights are oldest first, got {list(steps)}")
    return [_tree_folder(there[step], item) for step in steps]


def _absolute(folder: Any) -> Any:
    """Orbax takes no other; addresses such as gs://… are left as they are."""
    from etils import epath

    text = os.fspath(folder)
    return epath.Path(text if "://" in text else os.path.abspath(text))


def _steps(root: Any) -> dict[int, Any]:
    """The folders of finished steps: 100, 00100 or ckpt_100. Only listed: opening a manager here would tidy up there."""
    import orbax.checkpoint as ocp

    if not root.is_dir():
        raise ValueError(f"{_OWNER}: {root} is no folder")
    if (root / "_METADATA").exists():
        raise ValueError(f"{_OWNER}: {root} is one checkpoint, no folder of steps: give a list of checkpoints")
    found: dict[int, Any] = {}
    for folder in root.iterdir():
        match = re.fullmatch(r"(?:.*_)?(\d+)", folder.name)
        if match and folder.is_dir() and ocp.utils.is_checkpoint_finalized(folder):
            step = int(match[1])
            if step in found:
                raise ValueError(f"{_OWNER}: {found[step]} and {folder} are both step {step}: give a list of folders")
            found[step] = folder
    return found


def _tree_folder(folder: Any, item: str | None) -> Any:
    """The folder with the tree itself: the checkpoint's, or that of one item in it."""
    if not folder.is_dir():
        raise ValueError(f"{_OWNER}: {folder} is no folder")
    is_tree = lambda folder: (folder / "_METADATA").exists()  # noqa: E731
    if item is not None:
        if not is_tree(folder / item):
            raise ValueError(f"{_OWNER}: {folder} has no item {item!r} with a tree in it")
        return folder / item
    if is_tree(folder):
        return folder
    items = sorted(inside.name for inside in folder.iterdir() if inside.is_dir() and is_tree(inside))
    if len(items) != 1:
        raise ValueError(
            f"{_OWNER}: {folder} has several items, choose one with item=: {items}"
            if items
            else f"{_OWNER}: {folder} is no Orbax checkpoint of a tree"
        )
    return folder / items[0]
