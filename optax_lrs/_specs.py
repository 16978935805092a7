"""PartitionSpecs inside ``shard_map``: which mesh axes split an array, and into how many shards."""

from __future__ import annotations

import math
from typing import Any

import jax
from jax.sharding import PartitionSpec


def axes_by_dimension(spec: PartitionSpec, ndim: int) -> list[tuple[str, ...]]:
    """Returns, for each of ``ndim`` dimensions of an array, the mesh axes that split it."""
    entries = [entry if isinstance(entry, tuple) else (entry,) for entry in (*spec, *[None] * (ndim - len(spec)))]
    return [tuple(axis for axis in entry if isinstance(axis, str)) for entry in entries]


def axes_of(specs: Any, owner: str) -> tuple[str, ...]:
    """Returns the sorted names of all mesh axes in a tree of specs.

    Args:
        specs: a PartitionSpec or a tree of them.
        owner: the function named in error messages.

    Raises:
        TypeError: if a leaf is not a PartitionSpec.
    """
    leaves = jax.tree.leaves(specs, is_leaf=_is_spec)
    for spec in leaves:
        if not _is_spec(spec):
            raise TypeError(f"{owner}: specs must hold jax.sharding.PartitionSpecs, got {spec!r:.60}")
    return tuple(sorted({axis for spec in leaves for axes in axes_by_dimension(spec, len(spec)) for axis in axes}))


def spec_leaves(specs: Any, tree: Any) -> list[PartitionSpec]:
    """Returns the spec of each leaf of ``tree``; ``specs`` is a tree like it, or a prefix."""
    return jax.tree.leaves(jax.tree.broadcast(specs, tree, is_leaf=_is_spec), is_leaf=_is_spec)


def shards(axes: tuple[str, ...]) -> int:
    """Returns the number of devices along these mesh axes together, inside ``shard_map``."""
    return math.prod(jax.lax.axis_size(axis) for axis in axes)


def is_bound(axes: tuple[str, ...]) -> bool:
    """Returns whether the caller is inside a ``shard_map`` over these mesh axes."""
    try:
        return shards(axes) > 0
    except NameError:
        return False


def _is_spec(leaf: Any) -> bool:
    return isinstance(leaf, PartitionSpec)
