"""Norms of blocks of weights, in float32 or wider: of arrays, or of shards in ``shard_map``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, PartitionSpec

from optax_lrs._specs import axes_by_dimension, axes_of, shards
from optax_lrs.projection._weight_blocks import Piece, total

_OWNER = "specs"  # in error messages: the specs were checked before


def whole_shape(leaf: Any, spec: PartitionSpec | None) -> tuple[int, ...]:
    """Returns the shape of a leaf on all devices together."""
    shape = jnp.shape(leaf)
    if spec is None:
        return shape
    return tuple(n * shards(axes) for n, axes in zip(shape, axes_by_dimension(spec, len(shape))))


def block_norms(
    arrays: Sequence[jax.Array], pieces: Sequence[Piece], specs: list[PartitionSpec] | None
) -> tuple[list[jax.Array], jax.Array]:
    """Computes the norms of all blocks.

    Without specs XLA reduces each sum where its leaf lies, and combines the all-reduces itself: as
    many as there are different shardings. With specs the sums are local, and one ``psum`` of one
    vector adds them up.

    Returns:
        For each piece the norms of its blocks, with the shape of its (local) grid; and all norms in
        one vector, float32.
    """
    if not pieces:
        return [], jnp.zeros(0, jnp.float32)
    sums = [_sum_of_squares(x, _local(piece, specs)[0]) for x, piece in zip(arrays, pieces)]
    if specs is not None:
        axes = axes_of(specs, _OWNER)
        squares = jnp.zeros(total(pieces), jnp.result_type(*sums))
        for part, piece in zip(sums, pieces):
            own = axes_of(specs[piece.index], _OWNER)
            copies = shards(tuple(axis for axis in axes if axis not in own))
            part = (part / copies).astype(squares.dtype)
            if part.shape != piece.grid:
                part = jax.lax.dynamic_update_slice(jnp.zeros(piece.grid, part.dtype), part, _local(piece, specs)[1])
            squares = squares.at[piece.start : piece.start + piece.size].add(part.reshape(-1))
        vector = jnp.sqrt(jax.lax.psum(squares, axes))
        return [taken(vector, piece, specs) for piece in pieces], vector.astype(jnp.float32)
    joint: dict[int, jax.Array] = {}
    for part, piece in zip(sums, pieces):
        if piece.joint:
            joint[piece.start] = joint.get(piece.start, 0.0) + _replicated(part).reshape(-1)
    sums = [joint[p.start].reshape(p.grid) if p.joint else part for part, p in zip(sums, pieces)]
    norms = [jnp.sqrt(part) for part in sums]
    # Each norm once: the members of a joint block have the same norm.
    once = {piece.start: norm for norm, piece in zip(norms, pieces)}
    return norms, jnp.concatenate([_replicated(once[start].astype(jnp.float32)).reshape(-1) for start in sorted(once)])


def taken(vector: jax.Array, piece: Piece, specs: list[PartitionSpec] | None) -> jax.Array:
    """Returns a piece's part of a vector over all blocks, in the shape of its (local) grid."""
    part = vector[piece.start : piece.start + piece.size].reshape(piece.grid)
    grid, at = _local(piece, specs)
    return part if grid == piece.grid else jax.lax.dynamic_slice(part, at, grid)


def spread(part: jax.Array, x: jax.Array) -> jax.Array:
    """Broadcasts one number per block over the elements of the block."""
    for axis, (blocks, n) in enumerate(zip(part.shape, x.shape)):
        if 1 < blocks < n:
            lies = _explicit(x)
            spec = lies and PartitionSpec(*(entry if m > 1 else None for entry, m in zip(lies, part.shape)))
            part = jnp.repeat(part, n // blocks, axis=axis, total_repeat_length=n, out_sharding=spec)
    return part


def _sum_of_squares(x: jax.Array, grid: tuple[int, ...]) -> jax.Array:
    """Returns the sum of squares of each block; reshapes only axes that pack several heads."""
    squares = x.real * x.real + x.imag * x.imag if jnp.iscomplexobj(x) else x * x
    if all(blocks in (1, n) for blocks, n in zip(grid, x.shape)):
        return jnp.sum(squares, axis=[i for i, blocks in enumerate(grid) if blocks == 1], keepdims=True)
    split, spec, inside = [], [], []  # the shape with packed axes split in two, its spec, and the axes to sum over
    for blocks, n, entry in zip(grid, x.shape, _explicit(x) or [None] * x.ndim):
        packs = 1 < blocks < n
        inside += [len(split) + 1] if packs else [len(split)] if blocks == 1 else []
        split += [blocks, n // blocks] if packs else [n]
        spec += [entry, None] if packs else [entry]
    squares = squares.reshape(split, out_sharding=PartitionSpec(*spec) if _explicit(x) else None)
    return jnp.sum(squares, axis=inside).reshape(grid)


def _local(piece: Piece, specs: list[PartitionSpec] | None) -> tuple[tuple[int, ...], list[Any]]:
    """Returns how many blocks of each axis lie on this device, and where they begin in the grid."""
    if specs is None:
        return piece.grid, []
    grid, at = [], []
    for blocks, n, axes in zip(piece.grid, piece.shape, axes_by_dimension(specs[piece.index], len(piece.shape))):
        devices = shards(axes) if blocks > 1 else 1
        if blocks % devices:
            raise ValueError(
                f"specs: {piece.path} has {blocks} blocks of {n // blocks} along an axis that {devices} devices share"
            )
        grid.append(blocks // devices)
        at.append(jax.lax.axis_index(axes) * (blocks // devices) if devices > 1 else 0)
    return tuple(grid), at


def _explicit(x: jax.Array) -> PartitionSpec | None:
    """Returns the spec of an array split over an explicit mesh; None where XLA decides."""
    sharding = jax.typeof(x).sharding
    return sharding.spec if AxisType.Explicit in sharding.mesh.axis_types and any(sharding.spec) else None


def _replicated(x: jax.Array) -> jax.Array:
    """Returns the array replicated on every device, as states are."""
    return jax.sharding.reshard(x, PartitionSpec()) if _explicit(x) else x
