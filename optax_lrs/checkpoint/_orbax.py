"""Everything this package relies on in Orbax: names of files and items, and the calls it makes.

tests/checkpoint/test_orbax.py checks each of these facts against the installed Orbax. When a
release of Orbax breaks one, change it here; no other module imports Orbax. Orbax is imported when a
function first needs it, because importing it takes seconds."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import jax

DEFAULT_ITEM = "default"
"""The item that a ``CheckpointManager`` writes when a state is saved without naming one."""

RESERVED_ITEMS = (DEFAULT_ITEM, "metrics", "descriptor")
"""Names of items that ``CheckpointManager`` uses itself."""

TEMPORARY = ".orbax-checkpoint-tmp"
"""Part of the name of a checkpoint's folder while it is being written.

On completion Orbax renames the folder.
"""

JSON_FILE = "metadata"
"""The file in an item's folder that ``JsonCheckpointHandler`` writes."""

TREE_FILE = "_METADATA"
"""The file in an item's folder that lists the arrays of a tree."""

ITEMS_FILE = "_CHECKPOINT_METADATA"
"""The file in a step's folder that lists its items, under the key ``item_handlers``."""

SKIP = ...
"""Stands in a tree for a leaf that is not read: ``orbax.checkpoint.PLACEHOLDER``."""


# ── files ─────────────────────────────────────────────────────────────────────────────────────────


def as_path(folder: str | os.PathLike) -> Any:
    """An absolute ``epath.Path``, which Orbax requires.

    Addresses such as ``gs://…`` stay as they are.
    """
    from etils import epath

    text = os.fspath(folder)
    return epath.Path(text if "://" in text else os.path.abspath(text))


def is_finalized(path: Any) -> bool:
    """Whether the checkpoint in this folder is complete."""
    import orbax.checkpoint as ocp

    return ocp.utils.is_checkpoint_finalized(path)


def is_tree(path: Any) -> bool:
    """Whether this folder is an item that holds a tree of arrays."""
    return (path / TREE_FILE).exists()


def is_json(path: Any) -> bool:
    """Whether this folder is an item that holds JSON."""
    return (path / JSON_FILE).is_file()


def read_json(path: Any) -> Any:
    """The JSON of an item's folder.

    ``OSError``, ``ValueError`` or ``RecursionError`` where it cannot be read.
    """
    return json.loads((path / JSON_FILE).read_text())


def listed_items(path: Any) -> Collection[str]:
    """The items that a step lists, whether their folders are there or not.

    Empty if the list cannot be read.
    """
    try:
        return tuple(json.loads((path / ITEMS_FILE).read_text())["item_handlers"])
    except (OSError, ValueError, KeyError, TypeError):
        return ()


# ── saving ────────────────────────────────────────────────────────────────────────────────────────


def manager(
    folder: str, *, keep: int | None, keep_steps: Sequence[int], keep_every: int | None, deleted: str | None
) -> Any:
    """A ``CheckpointManager`` that saves in the background.

    Args:
        folder: the folder of the steps.
        keep: how many of the latest steps it keeps; None for all.
        keep_steps: steps that it keeps for good.
        keep_every: it also keeps every multiple of this; None for no others.
        deleted: the subfolder to which it renames a step that it no longer keeps; None to delete
            the step in place.
    """
    import orbax.checkpoint as ocp
    from orbax.checkpoint import checkpoint_managers as policies

    kept = [policies.LatestN(keep), policies.CustomSteps(keep_steps)]
    if keep_every is not None:
        kept.append(policies.EveryNSteps(keep_every))
    options = ocp.CheckpointManagerOptions(
        preservation_policy=policies.AnyPreservationPolicy(kept),
        enable_async_checkpointing=True,
        todelete_subdir=deleted,
    )
    return ocp.CheckpointManager(folder, options=options)


def save(manager: Any, step: int, state_item: str, state: Any, json_items: Mapping[str, Any]) -> None:
    """Starts saving a step: one item for the state, one for each entry of ``json_items``."""
    import orbax.checkpoint as ocp

    items: dict[str, Any] = {key: ocp.args.JsonSave(item) for key, item in json_items.items()}
    items[state_item] = ocp.args.StandardSave(state)
    # Without force, Orbax silently skips some saves, such as a step before the latest one.
    manager.save(step, args=ocp.args.Composite(**items), force=True)


# ── reading ───────────────────────────────────────────────────────────────────────────────────────


def saved_tree(path: Any) -> Any:
    """The tree in an item's folder, with ``shape`` and ``dtype`` at each leaf.

    Orbax raises errors of many types.
    """
    import orbax.checkpoint as ocp

    # The handler rather than a checkpointer, which warns about the steps of a CheckpointManager.
    return ocp.PyTreeCheckpointHandler(multiprocessing_options=_this_process()).metadata(path).tree


def restore(path: Any, template: Any) -> Any:
    """The tree in an item's folder, laid out as ``template``.

    Orbax and TensorStore raise errors of many types.
    """
    import orbax.checkpoint as ocp

    with ocp.StandardCheckpointer(multiprocessing_options=_this_process()) as reader:
        return reader.restore(path, template)


def restore_part(path: Any, template: Any) -> Any:
    """Like :func:`restore`, but does not read the leaves that are ``SKIP`` in ``template``."""
    import orbax.checkpoint as ocp

    args = ocp.args.PyTreeRestore(item=template, restore_args=ocp.checkpoint_utils.construct_restore_args(template))
    with ocp.PyTreeCheckpointer() as reader:
        return reader.restore(path, args=args)


def _this_process() -> Any:
    """Options for reading without barriers: the others must not wait for a process that fails."""
    import orbax.checkpoint as ocp

    me = jax.process_index()
    return ocp.options.MultiprocessingOptions(
        primary_host=me, active_processes={me}, barrier_sync_key_prefix=f"restore{me}"
    )
