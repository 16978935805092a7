"""The JSON item ``about``: what a checkpoint records of its schedule, arrays and other items."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax

from optax_lrs._paths import name
from optax_lrs._schedule import Schedule
from optax_lrs.checkpoint import _orbax
from optax_lrs.checkpoint._checksum import checksums
from optax_lrs.checkpoint._error import CheckpointError, MisfitError, brief
from optax_lrs.checkpoint._fingerprint import described, digest, schedules_in, stored
from optax_lrs.checkpoint._template import layout
from optax_lrs.checkpoint._unboxed import with_rates_of

FORMAT = 1
ABOUT = "about"
STATE = "state"


class Contents(NamedTuple):
    """What is in one checkpoint, known before its arrays are read."""

    item: str  # the name of the item that holds the state
    leaves: dict[str, dict[str, Any]]  # by path: dtype, shape and, if Checkpoints wrote it, checksum
    extra: dict[str, Any]  # the JSON items
    plain: dict[str, Any] | None  # the schedule given to Checkpoints when it was saved
    live: dict[str, dict[str, Any]] | None  # the schedules in the state, by path; None if it records none


def about(step: int, state: Any, extra: Mapping[str, Any], schedule: Schedule | None) -> dict[str, Any]:
    """The item ``about`` of a checkpoint that is about to be written."""
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
    """Reads everything but the arrays.

    ``CheckpointError`` if something is missing or differs from what was written.
    """
    path = folder / str(step)
    if not path.is_dir():
        raise CheckpointError(f"{where}: this checkpoint does not exist")
    items = sorted(item.name for item in path.iterdir() if item.is_dir())
    if ABOUT not in items:
        if ABOUT in _orbax.listed_items(path):  # not another program's checkpoint, but what is left of one of ours
            raise CheckpointError(f"{where}: the item {ABOUT!r} is missing")
        return _foreign(path, items, where)
    found = _about(path, where)
    if found["step"] != step:
        raise CheckpointError(f"{where}: it was saved as step {found['step']} and then renamed or copied")
    extra = {key: _json(path, key, where) for key in found["extra"]}
    for key, item in extra.items():
        if digest(item) != found["extra"][key]:
            raise CheckpointError(f"{where}: {key}/metadata is damaged: it differs from what was saved")
    if STATE not in items:
        raise CheckpointError(f"{where}: the item {STATE!r} is missing")
    return Contents(STATE, found["leaves"], extra, found["schedule"], found["live_schedules"])


def leaves_of(path: Any, where: str) -> dict[str, dict[str, Any]]:
    """Dtype, shape and checksum of each array by path, from a step's folder.

    Empty if ``Checkpoints`` did not write it.
    """
    if ABOUT in _orbax.listed_items(path) or _orbax.is_json(path / ABOUT):
        return _about(path, where)["leaves"]
    return {}


def _about(path: Any, where: str) -> dict[str, Any]:
    """The item ``about``, which must be undamaged and of a known format."""
    found = _json(path, ABOUT, where)
    if not isinstance(found, dict) or "format" not in found:
        raise CheckpointError(f"{where}: {ABOUT}/metadata is damaged: it names no format")
    if found["format"] != FORMAT:
        raise MisfitError(
            f"{where}: the checkpoint has format {found['format']!r}, and this version of optax_lrs reads format "
            f"{FORMAT}. A newer version wrote it: restore it with that version"
        )
    if found.get("digest") != digest({key: item for key, item in found.items() if key != "digest"}):
        raise CheckpointError(f"{where}: {ABOUT}/metadata is damaged: it differs from what was saved")
    return found


def _foreign(path: Any, items: list[str], where: str) -> Contents:
    """A checkpoint that Orbax wrote alone: it has no checksums and records no schedule."""
    item = next((key for key in (STATE, _orbax.DEFAULT_ITEM) if key in items), None)
    if item is None:
        there = ", ".join(items) or "nothing"
        raise CheckpointError(
            f"{where}: Checkpoints did not write it: it has no item {STATE!r} (in it: {there}). Restore it with the "
            "program that wrote it"
        )
    try:
        leaves = {
            name(key): {"dtype": str(leaf.dtype), "shape": list(getattr(leaf, "shape", None) or ())}
            for key, leaf in jax.tree_util.tree_flatten_with_path(_orbax.saved_tree(path / item))[0]
        }
    except Exception as error:
        raise CheckpointError(f"{where}: {item} is damaged, or not a tree of arrays: {brief(error)}") from error
    if not leaves:
        raise CheckpointError(f"{where}: {item} is damaged, or not a tree of arrays: Orbax finds none in it")
    others = {key for key in items if key != item and _orbax.is_json(path / key)}
    return Contents(item, leaves, {key: _json(path, key, where) for key in sorted(others)}, None, None)


def _json(path: Any, item: str, where: str) -> Any:
    try:
        return _orbax.read_json(path / item)
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{where}: {item}/metadata is damaged or missing: {brief(error)}") from None
