"""What a checkpoint says of itself: the JSON item ``about``, and the arrays and items that it must hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from optax_lrs._schedule import Schedule
from optax_lrs.checkpoint._checksum import checksums
from optax_lrs.checkpoint._error import CheckpointError, MisfitError, brief
from optax_lrs.checkpoint._fingerprint import described, digest, schedules_in, stored
from optax_lrs.checkpoint._template import layout
from optax_lrs.checkpoint._unboxed import with_rates_of

FORMAT = 1
ABOUT = "about"
STATE = "state"


class Contents(NamedTuple):
    """What is in one checkpoint, read before its arrays are."""

    item: str  # the name of the item that holds the state
    leaves: dict[str, dict[str, Any]]  # by path: dtype, shape and, where we wrote it, checksum
    extra: dict[str, Any]  # the JSON items
    plain: dict[str, Any] | None  # the schedule that was given when saving
    live: dict[str, dict[str, Any]] | None  # the schedules in the state, by path; None if the checkpoint does not say


def about(step: int, state: Any, extra: Mapping[str, Any], schedule: Schedule | None) -> dict[str, Any]:
    """The item of a checkpoint that is about to be written."""
    sums = checksums(state)
    if schedule is not None:
        schedule = with_rates_of(schedule, state)
    inside = {path: stored(described(node)) for path, (node, _) in schedules_in(state).items()}
    found = {
        "format": FORMAT,
        "step": step,
        "schedule": None if schedule is None else stored(described(schedule)),
        "live_schedules": inside,
        "leaves": {key: leaf | {"checksum": sums[key]} for key, leaf in layout(state).items()},
        "extra": {key: digest(item) for key, item in extra.items()},
    }
    return found | {"digest": digest(found)}


def read(folder: Any, step: int, where: str) -> Contents:
    """Reads everything but the arrays; ``CheckpointError`` where something is missing or not as it was written."""
    path = folder / str(step)
    if not path.is_dir():
        raise CheckpointError(f"{where}: there is no such checkpoint")
    items = sorted(item.name for item in path.iterdir() if item.is_dir())
    if ABOUT not in items:
        if _names_about(path):
            raise CheckpointError(f"{where}: the item {ABOUT!r} is missing")
        return _foreign(path, items, where)
    found = _about(path, where)
    if found["step"] != step:
        raise CheckpointError(f"{where}: it was saved as step {found['step']} and renamed, or copied here")
    extra = {key: _json(path, key, where) for key in found["extra"]}
    for key, item in extra.items():
        if digest(item) != found["extra"][key]:
            raise CheckpointError(f"{where}: {key}/metadata is damaged: it differs from what was saved")
    if STATE not in items:
        raise CheckpointError(f"{where}: the item {STATE!r} is missing")
    return Contents(STATE, found["leaves"], extra, found["schedule"], found["live_schedules"])


def leaves_of(path: Any, where: str) -> dict[str, dict[str, Any]]:
    """Dtype, shape and checksum of each array by path, of a checkpoint's folder; none where Orbax wrote it without us."""
    if _names_about(path) or (path / ABOUT / "metadata").is_file():
        return _about(path, where)["leaves"]
    return {}


def _about(path: Any, where: str) -> dict[str, Any]:
    """The item ``about``, if it is as it was written and of a version that is known."""
    found = _json(path, ABOUT, where)
    if not isinstance(found, dict) or "format" not in found:
        raise CheckpointError(f"{where}: {ABOUT}/metadata is damaged: it has no format")
    if found["format"] != FORMAT:
        raise MisfitError(
            f"{where}: format {found['format']!r}, and this optax_lrs reads {FORMAT}: it was written by a newer version, "
            "restore it with that one"
        )
    if found.get("digest") != digest({key: item for key, item in found.items() if key != "digest"}):
        raise CheckpointError(f"{where}: {ABOUT}/metadata is damaged: it differs from what was saved")
    return found


def _foreign(path: Any, items: list[str], where: str) -> Contents:
    """A checkpoint that Orbax wrote without us: no checksums, and no word about the schedule."""
    import jax
    import orbax.checkpoint as ocp

    from optax_lrs._paths import name

    item = next((key for key in (STATE, "default") if key in items), None)
    if item is None:
        there = ", ".join(items) or "nothing"
        raise CheckpointError(
            f"{where}: not a checkpoint of this kind, it has no item {STATE!r} (in it: {there}); restore it with the "
            "program that wrote it"
        )
    try:
        with ocp.StandardCheckpointer(multiprocessing_options=alone()) as reader:
            tree = reader.metadata(path / item)
        tree = getattr(tree, "item_metadata", tree)
        tree = getattr(tree, "tree", tree)
        leaves = {
            name(key): {"dtype": str(leaf.dtype), "shape": list(getattr(leaf, "shape", None) or ())}
            for key, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]
        }
    except Exception as error:
        raise CheckpointError(f"{where}: {item} is damaged or no state of arrays: {brief(error)}") from error
    if not leaves:
        raise CheckpointError(f"{where}: {item} is damaged or no state of arrays: Orbax finds none in it")
    others = {key for key in items if key != item and (path / key / "metadata").is_file()}
    return Contents(item, leaves, {key: _json(path, key, where) for key in sorted(others)}, None, None)


def _names_about(path: Any) -> bool:
    """Whether Orbax's list of the items has ours: then it is not another program's checkpoint, but a part of one."""
    try:
        return ABOUT in json.loads((path / "_CHECKPOINT_METADATA").read_text())["item_handlers"]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _json(path: Any, item: str, where: str) -> Any:
    try:
        return json.loads((path / item / "metadata").read_text())  # the file of Orbax's JsonCheckpointHandler
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{where}: {item}/metadata is damaged or missing: {brief(error)}") from None


def alone() -> Any:
    """Orbax's options for reading without waiting for other processes: if one cannot read, the others must hear of it."""
    import jax
    import orbax.checkpoint as ocp

    me = jax.process_index()
    return ocp.options.MultiprocessingOptions(
        primary_host=me, active_processes={me}, barrier_sync_key_prefix=f"restore{me}"
    )
