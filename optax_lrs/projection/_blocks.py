"""The blocks of a tree of parameters: arithmetic on them, and transformations that act on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import jax
import jax.numpy as jnp
import optax

from optax_lrs._float32 import wide
from optax_lrs._specs import axes_of, is_bound, spec_leaves
from optax_lrs._states.found import boxed, nodes_in, unboxed, with_nodes
from optax_lrs._value.arguments import is_concrete
from optax_lrs.projection._block_norms import block_norms, taken, whole_shape
from optax_lrs.projection._weight_blocks import Piece, Weights, layout, total


class Blocks:
    """The blocks of a tree of parameters, and the arithmetic on them."""

    def __init__(self, params: Any, which: Weights, specs: Any, owner: str) -> None:
        self.leaves, self.tree = jax.tree.flatten(params)
        in_shard_map = specs is not None and is_bound(axes_of(specs, owner))
        self.specs = spec_leaves(specs, params) if in_shard_map else None

        def whole(index: int, leaf: Any) -> tuple[int, ...]:
            return whole_shape(leaf, self.specs[index] if self.specs else None)

        self.pieces: list[Piece] = layout(params, which, owner, whole)

    def norms(self, arrays: Sequence[jax.Array]) -> tuple[list[jax.Array], jax.Array]:
        """Returns the norms of the blocks of one array per piece: by piece, and in one vector."""
        return block_norms(arrays, self.pieces, self.specs)

    def chosen(self) -> list[jax.Array]:
        """Returns the leaves that have blocks, in float32 or wider."""
        return [wide(self.leaves[piece.index]) for piece in self.pieces]

    def split(self, vector: jax.Array) -> list[jax.Array]:
        """Returns each piece's part of a vector over all blocks."""
        return [taken(vector, piece, self.specs) for piece in self.pieces]

    def replaced(self, leaves: Sequence[Any], new: Sequence[Any]) -> Any:
        """Returns the tree of these leaves, with those that have blocks replaced by ``new``."""
        leaves = list(leaves)
        for piece, leaf in zip(self.pieces, new):
            leaves[piece.index] = leaf
        return jax.tree.unflatten(self.tree, leaves)

    def by_path(self, vector: jax.Array) -> dict[str, jax.Array]:
        """Returns a vector over all blocks by path; the shape is () where a leaf is one block."""
        parts = {p.path: vector[p.start : p.start + p.size].reshape(p.grid) for p in self.pieces}
        return {path: part.reshape([n for n in part.shape if n > 1]) for path, part in parts.items()}


class OnBlocks(optax.GradientTransformationExtraArgs):
    """A gradient transformation that acts on blocks of weights, and knows which blocks."""

    owner: str
    state_type: type
    blocks: Callable[[Any], Blocks]
    radii: Callable[[Any, Blocks, jax.Array], jax.Array]

    @classmethod
    def of(cls, init: Any, update: Any, **known: Any) -> Self:
        """Returns the transformation with these two functions and these attributes."""
        self = cls(init, update)
        vars(self).update(known)
        return self

    def found(self, params: Any, opt_state: Any) -> tuple[Any, Blocks]:
        """Returns the one state of this kind in an optimizer state, and the parameters' blocks.

        Raises:
            ValueError: if there is no such state or several, or if it does not fit the parameters.
        """
        states = [node for _, node in nodes_in(opt_state, self._is_state)]
        if len(states) != 1:
            raise ValueError(
                f"{self.owner}: this optimizer state holds {len(states) or 'no'} {self.state_type.__name__}"
                f"{'; pass one of them instead' if states else ''}"
            )
        blocks = self.blocks(params)
        mine, theirs = total(blocks.pieces), unboxed(states[0].norms).shape[-1]
        if mine != theirs:
            raise ValueError(
                f"{self.owner}: the state has {theirs} blocks, these parameters have {mine}; under optax.masked or "
                "optax.partition pass the parameters of that part, with optax.MaskedNode() for the others"
            )
        return states[0], blocks

    def remeasure(self, params: Any, opt_state: Any) -> Any:
        """Measures the norms again, after a change of the parameters outside the optimizer.

        Call it after restoring, pruning or averaging parameters. Radii that were initial norms
        become the norms of these parameters. Radii that were given as a number stay, and so does
        everything else.

        Args:
            params: the changed parameters.
            opt_state: the optimizer state, or the state of this transformation itself.

        Returns:
            The optimizer state with new radii and norms.

        Raises:
            ValueError: if the state holds no such state or several, or one of other parameters.
        """
        old, blocks = self.found(params, opt_state)
        norms = blocks.norms(blocks.chosen())[1]
        fresh = old._replace(radii=_like(old.radii, self.radii(params, blocks, norms)), norms=_like(old.norms, norms))
        return with_nodes(opt_state, self._is_state, lambda _: fresh)

    def _is_state(self, node: Any) -> bool:
        return isinstance(node, self.state_type)


def can_scale(target: jax.Array, norm: jax.Array) -> jax.Array:
    """Whether blocks can be scaled to these targets: nothing is zero, infinite or nan."""
    return (target > 0) & (norm > 0) & jnp.isfinite(norm) & jnp.isfinite(target / norm)


def scale_to(target: jax.Array, norm: jax.Array) -> jax.Array:
    """Returns the scale that brings blocks to their targets; 1 where there is none."""
    return jnp.where(can_scale(target, norm), target / norm, jnp.ones_like(norm))


def _like(old: Any, new: jax.Array) -> Any:
    """Returns the new leaf with the placement and the box of the old one."""
    before = unboxed(old)
    if isinstance(before, jax.Array) and is_concrete(before) and before.committed:
        new = jax.device_put(new, before.sharding)
    return boxed(new, like=old)
