"""Transformations of weights block by block: the arithmetic on the blocks, and the state that goes with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from optax_lrs._float32 import wide
from optax_lrs._specs import axes_of, is_bound, spec_leaves
from optax_lrs.projection._block_norms import block_norms, taken, whole_shape
from optax_lrs.projection._weight_blocks import Piece, Weights, layout, total


class Blocks:
    """The blocks of a tree of parameters, and the arithmetic on them."""

    def __init__(self, params: Any, which: Weights, specs: Any, owner: str):
        self.leaves, self.tree = jax.tree.flatten(params)
        in_shard_map = specs is not None and is_bound(axes_of(specs, owner))
        self.specs = spec_leaves(specs, params) if in_shard_map else None
        whole = lambda index, leaf: whole_shape(leaf, self.specs[index] if self.specs else None)  # noqa: E731
        self.pieces: list[Piece] = layout(params, which, owner, whole)

    def norms(self, arrays: Any) -> tuple[list[jax.Array], jax.Array]:
        """Each piece's norms, and all in one vector; of these arrays, one a piece."""
        return block_norms(arrays, self.pieces, self.specs)

    def chosen(self) -> list[jax.Array]:
        """The leaves that have blocks, in float32 or wider."""
        return [wide(self.leaves[piece.index]) for piece in self.pieces]

    def split(self, vector: jax.Array) -> list[jax.Array]:
        """Each piece's part of a vector over all blocks."""
        return [taken(vector, piece, self.specs) for piece in self.pieces]

    def replaced(self, leaves: list[Any], new: list[Any]) -> Any:
        """The tree with these leaves, those that have blocks replaced."""
        leaves = list(leaves)
        for piece, leaf in zip(self.pieces, new):
            leaves[piece.index] = leaf
        return jax.tree.unflatten(self.tree, leaves)

    def by_path(self, vector: jax.Array) -> dict[str, jax.Array]:
        """A vector over all blocks by path; of shape () where a leaf is one block."""
        parts = {p.path: vector[p.start : p.start + p.size].reshape(p.grid) for p in self.pieces}
        return {path: part.reshape([n for n in part.shape if n > 1]) for path, part in parts.items()}


class OnBlocks(optax.GradientTransformationExtraArgs):
    """A gradient transformation that knows which blocks of which parameters it is about."""

    owner: str
    state_type: type
    blocks: Callable[[Any], Blocks]
    radii: Callable[[Any, Blocks, jax.Array], jax.Array]

    @classmethod
    def of(cls, init: Any, update: Any, **known: Any) -> Any:
        """The transformation with these two functions, and what it knows."""
        self = cls(init, update)
        vars(self).update(known)
        return self

    def found(self, params: Any, opt_state: Any) -> tuple[Any, Blocks]:
        """The one state of this kind in an optimizer state, and the blocks of the parameters, which it must fit."""
        is_state = lambda node: isinstance(node, self.state_type)  # noqa: E731
        states = [node for node in jax.tree.leaves(opt_state, is_leaf=is_state) if is_state(node)]
        if len(states) != 1:
            raise ValueError(
                f"{self.owner}: this optimizer state holds {len(states) or 'no'} {self.state_type.__name__}"
                f"{'; pass that one itself' if states else ''}"
            )
        blocks = self.blocks(params)
        mine, theirs = total(blocks.pieces), unboxed(states[0].norms).shape[-1]
        if mine != theirs:
            raise ValueError(
                f"{self.owner}: the state is of {theirs} blocks, these parameters have {mine}; under optax.masked or "
                "optax.partition give the parameters of that part, with optax.MaskedNode() for the others"
            )
        return states[0], blocks

    def remeasure(self, params: Any, opt_state: Any) -> Any:
        """The optimizer state with radii and norms as these parameters have them, where they are what began.

        For parameters that something else than the optimizer has changed: restored, pruned, averaged. A radius that was
        given as a number stays. Everything else stays.

        Raises:
            ValueError: if the state holds no such state or several, or one of other parameters.
        """
        old, blocks = self.found(params, opt_state)
        norms = blocks.norms(blocks.chosen())[1]
        fresh = old._replace(radii=_like(old.radii, self.radii(params, blocks, norms)), norms=_like(old.norms, norms))
        is_state = lambda node: isinstance(node, self.state_type)  # noqa: E731
        return jax.tree.map(lambda node: fresh if is_state(node) else node, opt_state, is_leaf=is_state)


def can_scale(target: jax.Array, norm: jax.Array) -> jax.Array:
    """Whether blocks of these norms can be brought to these targets: nothing is zero, infinite or nan."""
    return (target > 0) & (norm > 0) & jnp.isfinite(norm) & jnp.isfinite(target / norm)


def scale_to(target: jax.Array, norm: jax.Array) -> jax.Array:
    """The scale that brings blocks to their targets; 1 where none does."""
    return jnp.where(can_scale(target, norm), target / norm, jnp.ones_like(norm))


def unboxed(leaf: Any) -> jax.Array:
    """The array at a leaf of a state."""
    (array,) = jax.tree.leaves(leaf)  # flax.nnx boxes each leaf of an optimizer state
    return array


def _like(old: Any, new: jax.Array) -> Any:
    """The new leaf placed and boxed as the old."""
    before = unboxed(old)
    if isinstance(before, jax.Array) and not isinstance(before, jax.core.Tracer) and before.committed:
        new = jax.device_put(new, before.sharding)
    return jax.tree.map(lambda _: new, old)
