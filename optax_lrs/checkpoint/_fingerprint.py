"""Describes schedules as JSON, for a checkpoint, and compares them."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import jax
import numpy as np

from optax_lrs._paths import name
from optax_lrs._schedule import Schedule
from optax_lrs._states.found import nodes_in, states_in, unboxed
from optax_lrs._value import JSON_VERSION, Value
from optax_lrs._value.arguments import is_concrete

UNKNOWN = "?"
"""Stands for a rate that is not known, because a template has only shapes."""


def described(schedule: Value) -> dict[str, Any]:
    """A schedule as JSON.

    Float32 numbers, such as those of a live schedule, have as few digits as they need, so that a
    rate of 3e-4 is 0.0003 again.
    """
    fields = {key: _described(getattr(schedule, key)) for key in schedule._shown()}
    return {"type": schedule._key, **fields}


def _described(item: Any) -> Any:
    if isinstance(item, Value):
        return described(item)
    if isinstance(item, tuple):
        return [_described(each) for each in item]
    if isinstance(item, (bool, int, float, str)) or item is None:
        return item if not isinstance(item, float) or math.isfinite(item) else repr(item)
    leaf = unboxed(item)
    if not is_concrete(leaf):
        return np.full(leaf.shape, UNKNOWN, object).tolist()
    array = np.asarray(leaf)
    numbers = [float(str(number)) for number in array.reshape(-1)]  # the shortest text in its dtype
    numbers = [number if math.isfinite(number) else repr(number) for number in numbers]
    return np.asarray(numbers, object).reshape(array.shape).tolist()


def digest(tree: Any) -> str:
    """Twelve hexadecimal digits that identify JSON data; the order of keys does not matter."""
    text = json.dumps(tree, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def without_notes(tree: Any) -> Any:
    """The description of a schedule without its notes, which change nothing."""
    if isinstance(tree, list):
        return [without_notes(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    cls = Value.registry.get(tree["type"]) if isinstance(tree.get("type"), str) else None
    return {key: without_notes(item) for key, item in tree.items() if cls is None or key not in cls._notes}


def parsed(tree: dict[str, Any], version: int) -> Schedule:
    """The schedule of a description; ``ValueError`` if this program cannot build it."""
    return Schedule.from_json(json.dumps({"version": version, **tree}))


def stored(tree: dict[str, Any]) -> dict[str, Any]:
    """Returns the stored form of a description: with its version and a digest to compare by eye."""
    return {"version": JSON_VERSION, "digest": digest(without_notes(tree)), **tree}


def difference(there: Any, here: Any, *, float32: bool, path: str = "") -> tuple[str, Any, Any] | None:
    """The first difference of two descriptions: its path and both values; None if they agree.

    An unknown rate agrees with any rate.
    """
    if isinstance(there, dict) and isinstance(here, dict):
        if there.get("type") != here.get("type"):
            return path or "type", there.get("type"), here.get("type")
        for key in (*there, *(key for key in here if key not in there)):
            pair = there.get(key), here.get(key)
            found = difference(*pair, float32=float32, path=f"{path}.{key}" if path else key)
            if found:
                return found
        return None
    if isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        pairs = enumerate(zip(there, here))
        found = (difference(a, b, float32=float32, path=f"{path}[{number}]") for number, (a, b) in pairs)
        return next((item for item in found if item), None)
    if UNKNOWN in (there, here) and all(item == UNKNOWN or type(item) is float for item in (there, here)):
        return None
    return None if _same(there, here, float32) else (path, there, here)


def _same(a: Any, b: Any, float32: bool) -> bool:
    if type(a) is float and type(b) is float:
        return np.float32(a) == np.float32(b) if float32 else a == b
    return type(a) is type(b) and a == b


def same_structure(there: Any, here: Any) -> bool:
    """Whether two schedules differ in their rates only, so that the arrays of one fit the other."""
    return difference(_unknown_rates(there), _unknown_rates(here), float32=True) is None


def _unknown_rates(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _unknown_rates(item) for key, item in without_notes(tree).items()}
    if isinstance(tree, list):
        return [_unknown_rates(item) for item in tree]
    return UNKNOWN if isinstance(tree, float) else tree


def schedules_in(state: Any) -> dict[str, tuple[Schedule, bool]]:
    """Every schedule in a state by path, and whether it is the live one of a rate."""
    live = {
        "/".join(filter(None, (found.path, field)))
        for found in states_in(state)
        for field, _ in found.values("live_schedules")
    }
    schedules = {name(key): node for key, node in nodes_in(state, lambda node: isinstance(node, Schedule))}
    return {path: (node, path in live) for path, node in schedules.items()}


def with_schedules(state: Any, schedules: dict[str, Schedule]) -> Any:
    """The state with other schedules at these paths, whose leaves are not converted."""
    is_leaf = lambda node: isinstance(node, Schedule)  # noqa: E731
    return jax.tree_util.tree_map_with_path(
        lambda key, node: schedules.get(name(key), node) if is_leaf(node) else node, state, is_leaf=is_leaf
    )
