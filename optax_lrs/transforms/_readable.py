"""Readable names for what is in an optimizer state: the labels of its groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax

from optax_lrs._paths import name as path_name
from optax_lrs._states.found import Key

RATE = "learning_rate"
_VALUES = ("hyperparams", "values", "schedules")  # fields that hold values by hyper-parameter


def readable(keys: Sequence[Key]) -> list[str]:
    """The shortest names that differ: labels of groups; then also those of chains; then paths."""
    for shortened in (_groups, _labels, path_name):
        names = [shortened(key) for key in keys]
        if len(set(names)) == len(names):
            break
    return names


def group(key: Key) -> str:
    """The labels of the groups that a state is in, such as ``muon``; "" outside of groups."""
    return _groups(key)


def split_quantity(key: Key) -> tuple[Key, str]:
    """The key of a rate's state, and the rate's name in it: ``learning_rate`` if there is one."""
    for last in key[-1:]:
        field, _, quantity = getattr(last, "name", "").rpartition("/")
        if field in _VALUES:
            return key[:-1], quantity
    return key, RATE


def means(name: str, path: str) -> bool:
    """Whether all segments of a name occur in a path, in this order."""
    rest = iter(path.split("/"))
    return all(segment in rest for segment in name.split("/"))


def _groups(key: Key) -> str:
    return _joined(key, lambda before: isinstance(before, jax.tree_util.GetAttrKey))


def _labels(key: Key) -> str:
    return _joined(key, lambda before: True)


def _joined(key: Key, kept: Callable[[object], bool]) -> str:
    """The keys of dicts: in a field of a state they are labels of groups, elsewhere of a chain."""
    befores = (None, *key[:-1])
    return "/".join(
        str(step.key) for before, step in zip(befores, key) if isinstance(step, jax.tree_util.DictKey) and kept(before)
    )
