"""Norms of whole gradients and of groups of them: one reduction a leaf, in float32, and one collective for all."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from optax_lrs._paths import checked_pattern, labelled, parameter_path

NORMS = ("l1", "l2")


def columns_of(norms: Sequence[str], groups: Mapping[str, str]) -> list[str]:
    """The names of what is recorded: each norm of the whole tree, then of each group, as ``l2_embed``."""
    return [*norms, *(f"{norm}_{group}" for group in groups for norm in norms)]


def checked_groups(groups: Mapping[str, str] | None, owner: str) -> dict[str, str]:
    """The patterns by name; ``owner`` is who says so if they are none."""
    if groups is None:
        return {}
    if not isinstance(groups, Mapping):
        raise TypeError(f"{owner}: groups must be a mapping from names to patterns of paths, got {groups!r:.60}")
    for name, pattern in groups.items():
        if not isinstance(name, str) or not re.fullmatch(r"\w+", name):
            raise ValueError(f"{owner}: the name of a group must be letters, digits and underscores, got {name!r}")
        checked_pattern(pattern, owner)
    return dict(groups)


def require_matches(params: Any, groups: Mapping[str, str], owner: str) -> None:
    """Raises ``ValueError`` if a pattern matches the path of no parameter."""
    for pattern in groups.values():
        labelled(params, [pattern], others=None, owner=owner)


def axes_of(specs: Any, owner: str) -> tuple[str, ...]:
    """The names of all mesh axes that a spec of ``specs`` splits a leaf over."""
    leaves = jax.tree.leaves(specs, is_leaf=lambda leaf: isinstance(leaf, PartitionSpec))
    for spec in leaves:
        if not isinstance(spec, PartitionSpec):
            raise TypeError(f"{owner}: specs must hold jax.sharding.PartitionSpecs, got {spec!r:.60}")
    return tuple(sorted({axis for spec in leaves for axis in _axes(spec)}))


def tree_norms(updates: Any, *, norms: Sequence[str], groups: Mapping[str, str], specs: Any) -> dict[str, jax.Array]:
    """The norms by column, each float32 of shape ().

    Without ``specs`` the arrays are whole (or XLA knows how they are split) and each sum becomes an operand of XLA's own
    all-reduce, with those of ``optax.clip_by_global_norm``. With ``specs`` they are the local shards in ``shard_map``: a
    leaf that has a copy on each of k devices counts one k-th on each, and one ``psum`` of one small vector adds up all.
    """
    keyed = jax.tree_util.tree_flatten_with_path(updates)[0]
    axes = () if specs is None else axes_of(specs, "record_grad_norm")
    shares = [1.0] * len(keyed)
    if axes:
        is_spec = lambda leaf: isinstance(leaf, PartitionSpec)  # noqa: E731
        whole = jax.tree.leaves(jax.tree.broadcast(specs, updates, is_leaf=is_spec), is_leaf=is_spec)
        shares = [1.0 / math.prod(jax.lax.axis_size(axis) for axis in axes if axis not in _axes(s)) for s in whole]
    members = [range(len(keyed))]
    for pattern in groups.values():
        members.append([i for i, (key, _) in enumerate(keyed) if re.fullmatch(pattern, parameter_path(key))])
    local = {norm: [_local_sum(leaf, norm) * share if axes else _local_sum(leaf, norm)
                    for (_, leaf), share in zip(keyed, shares)] for norm in norms}  # fmt: skip
    sums = [sum((local[norm][i] for i in chosen), jnp.zeros((), jnp.float32)) for chosen in members for norm in norms]
    if axes:
        sums = list(jax.lax.psum(jnp.stack(sums), axes))
    names = columns_of(norms, groups)
    return {name: jnp.sqrt(total) if name.startswith("l2") else total for name, total in zip(names, sums)}


def _local_sum(leaf: Any, norm: str) -> jax.Array:
    """The sum of the absolute values or of their squares, over the leaf as it lies: no reshape, no copy."""
    leaf = jnp.asarray(leaf)
    if jnp.iscomplexobj(leaf):
        real, imag = leaf.real.astype(jnp.float32), leaf.imag.astype(jnp.float32)
        return jnp.sum(real * real + imag * imag) if norm == "l2" else jnp.sum(jnp.hypot(real, imag))
    leaf = leaf.astype(jnp.float32)
    # x * x as optax.tree.norm has it: the same program, which XLA then computes once for both.
    return jnp.sum(leaf * leaf) if norm == "l2" else jnp.sum(jnp.abs(leaf))


def _axes(spec: PartitionSpec) -> list[str]:
    entries = [entry if isinstance(entry, tuple) else (entry,) for entry in spec]
    return [axis for entry in entries for axis in entry if isinstance(axis, str)]
