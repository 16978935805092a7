"""Norms of gradients and of groups of leaves: one float32 reduction per leaf, one collective."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from optax_lrs._paths import checked_pattern, labelled, parameter_path
from optax_lrs._specs import axes_of, shards, spec_leaves
from optax_lrs._value.arguments import instance

NORMS = ("l1", "l2")


def columns_of(norms: Sequence[str], groups: Mapping[str, str]) -> list[str]:
    """Returns the names of the columns: norms of all leaves, then of groups, as ``l2_embed``."""
    return [*norms, *(f"{norm}_{group}" for group in groups for norm in norms)]


def checked_groups(groups: Mapping[str, str] | None, owner: str) -> dict[str, str]:
    """Returns the patterns by name; ``owner`` is the function named in error messages."""
    if groups is None:
        return {}
    instance(owner, "groups", groups, Mapping, example='{"embed": "embed/.*"}')
    for name, pattern in groups.items():
        if not isinstance(name, str) or not re.fullmatch(r"\w+", name):
            raise ValueError(f"{owner}: names of groups must be letters, digits and underscores, got {name!r}")
        checked_pattern(pattern, owner)
    return dict(groups)


def require_matches(params: Any, groups: Mapping[str, str], owner: str) -> None:
    """Raises ``ValueError`` if a pattern matches the path of no parameter."""
    for pattern in groups.values():
        labelled(params, [pattern], others=None, owner=owner)


def tree_norms(updates: Any, *, norms: Sequence[str], groups: Mapping[str, str], specs: Any) -> dict[str, jax.Array]:
    """Returns the norms by column, each float32 with shape ().

    Without ``specs`` the arrays are whole, or XLA knows how they are split. Each sum then becomes
    an operand of XLA's own all-reduce, together with those of ``optax.clip_by_global_norm``. With
    ``specs`` the arrays are the local shards in ``shard_map``. A leaf that has a copy on each of k
    devices counts 1/k on each, and one ``psum`` of one small vector adds up everything.
    """
    keyed = jax.tree_util.tree_flatten_with_path(updates)[0]
    axes = () if specs is None else axes_of(specs, "record_grad_norm")
    copies = [1] * len(keyed)  # of each leaf, on all devices together
    if axes:
        split = [axes_of(spec, "record_grad_norm") for spec in spec_leaves(specs, updates)]
        copies = [shards(tuple(axis for axis in axes if axis not in own)) for own in split]
    members: list[Sequence[int]] = [range(len(keyed))]
    for pattern in groups.values():
        members.append([i for i, (key, _) in enumerate(keyed) if re.fullmatch(pattern, parameter_path(key))])

    def local(norm: str) -> list[jax.Array]:
        sums = [_local_sum(leaf, norm) for _, leaf in keyed]
        return [total * (1.0 / n) for total, n in zip(sums, copies)] if axes else sums

    by_norm = {norm: local(norm) for norm in norms}
    sums = [sum((by_norm[norm][i] for i in chosen), jnp.zeros((), jnp.float32)) for chosen in members for norm in norms]
    if axes:
        sums = list(jax.lax.psum(jnp.stack(sums), axes))
    names = columns_of(norms, groups)
    return {name: jnp.sqrt(total) if name.startswith("l2") else total for name, total in zip(names, sums)}


def _local_sum(leaf: Any, norm: str) -> jax.Array:
    """Returns the sum of absolute values or of squares, without reshaping or copying the leaf."""
    leaf = jnp.asarray(leaf)
    if jnp.iscomplexobj(leaf):
        real, imag = leaf.real.astype(jnp.float32), leaf.imag.astype(jnp.float32)
        return jnp.sum(real * real + imag * imag) if norm == "l2" else jnp.sum(jnp.hypot(real, imag))
    leaf = leaf.astype(jnp.float32)
    # x * x as in optax.tree.norm: the same program, which XLA then computes once for both.
    return jnp.sum(leaf * leaf) if norm == "l2" else jnp.sum(jnp.abs(leaf))
