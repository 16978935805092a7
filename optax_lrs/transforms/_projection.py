"""A projection of weights: the transformation, and what can be done with parameters and its state beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from optax_lrs.transforms._block_norms import block_norms, spec_leaves, spread, taken, whole_shape
from optax_lrs.transforms._weight_blocks import Piece, Weights, layout, total

_OWNER = "project_weights"


class ProjectWeightsState(NamedTuple):
    """State of :func:`project_weights`. The vectors have one entry a block, in the order of the parameters.

    Vectors, and no tree like the parameters': a tool that shards every such tree as the parameters are finds none here.
    """

    count: jax.Array  # int32, shape (), replicated: the step that the next update is given
    radii: jax.Array  # float32, shape (blocks,), replicated: the norms that are kept, at a factor of 1
    factor: jax.Array  # float32, shape (), replicated: the schedule's at the last update; 1 without a schedule
    norms: jax.Array  # float32, shape (blocks,), replicated: "exact": before the last projection; "deferred": now
    skipped: jax.Array  # int32, shape (), replicated: how many blocks the last projection could not scale


class Blocks:
    """The blocks of a tree of parameters, and the arithmetic on them."""

    def __init__(self, params: Any, which: Weights, specs: Any, owner: str):
        self.leaves, self.tree = jax.tree.flatten(params)
        self.specs = spec_leaves(specs, params)
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


class Projection(optax.GradientTransformationExtraArgs):
    """What :func:`project_weights` returns: a gradient transformation, and functions of parameters and optimizer state.

    Keep it to use them::

        projection = olrs.project_weights(mode="deferred")
        tx = optax.chain(optax.adam(schedule), projection)
        ...
        params = projection.project(params, opt_state)  # exactly on the spheres, for an evaluation or a checkpoint

    They take the whole optimizer state, in which there must be one state of a projection, at any depth, or that one
    itself; of an ``nnx.Optimizer``, its ``opt_state``.
    """

    blocks: Callable[[Any], Blocks]
    radii: Callable[[Any, Blocks, jax.Array], jax.Array]

    @classmethod
    def of(cls, init: Any, update: Any, blocks: Any, radii: Any) -> Projection:
        """The transformation with these two functions, where ``blocks`` and ``radii`` say what it keeps."""
        self = cls(init, update)
        self.blocks, self.radii = blocks, radii
        return self

    def project(self, params: Any, opt_state: Any) -> Any:
        """The parameters with every chosen block at its radius times the factor in force, to rounding.

        For training loops that add the updates themselves, after ``optax.apply_updates``, with ``mode="manual"``: one pass
        over the parameters less than as an update. Without that, before an evaluation or a checkpoint. Blocks whose norm
        is zero or not finite stay as they are. Parameters of 16 bits are rounded once, and move only where that shows.

        Raises:
            ValueError: if the state holds no projection or several, or one of other parameters.
        """
        state, blocks = self._state(opt_state), self.blocks(params)
        _require_size(state, blocks)
        arrays = blocks.chosen()
        targets = blocks.split(_plain(state.radii) * _plain(state.factor))
        scales = [scale_to(target, norm) for target, norm in zip(targets, blocks.norms(arrays)[0])]
        new = [scaled.astype(blocks.leaves[p.index].dtype) for p, scaled in
               zip(blocks.pieces, (spread(s, x) * x for s, x in zip(scales, arrays)))]  # fmt: skip
        return blocks.replaced(blocks.leaves, new)

    def remeasure(self, params: Any, opt_state: Any) -> Any:
        """The optimizer state with radii and norms as these parameters have them, where they are what began.

        For parameters that something else than the optimizer has changed: restored, pruned, averaged. A radius that was
        given as a number stays. Everything else stays.

        Raises:
            ValueError: if the state holds no projection or several.
        """
        fresh, blocks = self._state(opt_state), self.blocks(params)
        norms = blocks.norms(blocks.chosen())[1]
        fresh = fresh._replace(
            radii=_like(fresh.radii, self.radii(params, blocks, norms)), norms=_like(fresh.norms, norms)
        )
        replace = lambda node: fresh if isinstance(node, ProjectWeightsState) else node  # noqa: E731
        return jax.tree.map(replace, opt_state, is_leaf=lambda node: isinstance(node, ProjectWeightsState))

    def growth(self, params: Any, opt_state: Any) -> dict[str, jax.Array]:
        r"""By path, :math:`\lVert W + u\rVert / \rho` in the last update: the norm that it would have left, by the radius.

        Of plain SGD it is at least 1, for the gradient of scale-invariant weights has no part along them. Below 1 in the
        long run means that something pulls them in: weight decay.
        """
        state, blocks = self._state(opt_state), self.blocks(params)
        _require_size(state, blocks)
        return blocks.by_path(_plain(state.norms) / (_plain(state.radii) * _plain(state.factor)))

    def weight_decay(self, tx: optax.GradientTransformation, params: Any, *, steps: int = 3) -> dict[str, float]:
        r"""By path, what an optimizer takes off projected weights without a gradient: weight decay, which does nothing there.

        Projected at every step, decay along :math:`W` is undone at once; the schedule alone sets the effective rate. With
        ``every_steps`` it shrinks the weights in between and raises the rate. Leave these weights out of it: the ``mask`` of
        ``optax.adamw`` and ``optax.add_decayed_weights``. No member of a chain sees the others, so ask, once::

            assert not projection.weight_decay(tx, params)

        It runs a few steps of ``tx`` with gradients of zero (a few, for a warmup begins at a rate of zero), and needs the
        memory of one; parameters of a small model with the same names will do.

        Args:
            tx: the whole optimizer, this projection included or not.
            params: the parameters.
            steps: how many updates to look at.

        Returns:
            The largest share of the weights that one update took away, where there was any; an empty dict is good news.

        Example:
            >>> from optax_lrs import project_weights
            >>> params = {"hidden": {"kernel": jnp.ones((2, 2))}, "head": {"kernel": jnp.ones((2, 2))}}
            >>> projection = project_weights()
            >>> tx = optax.chain(optax.adamw(0.125, weight_decay=0.5), projection)
            >>> projection.weight_decay(tx, params)
            {'hidden/kernel': 0.0625}
        """
        update = optax.with_extra_args_support(tx).update
        blocks, zeros = self.blocks(params), jax.tree.map(jnp.zeros_like, params)
        state, found = tx.init(params), {}

        @jax.jit
        def step(zeros, state, params):
            updates, state = update(zeros, state, params, project_weights=False)
            ps, us = jax.tree.leaves(params), jax.tree.leaves(updates)
            pairs = [(wide(ps[piece.index]), wide(us[piece.index])) for piece in blocks.pieces]
            return [jnp.sum(p * u) / jnp.sum(p * p) for p, u in pairs], state

        for _ in range(steps):
            shares, state = step(zeros, state, params)
            for piece, share in zip(blocks.pieces, shares):
                if -float(share) > found.get(piece.path, 0.0):
                    found[piece.path] = -float(share)
        return found

    def _state(self, opt_state: Any) -> ProjectWeightsState:
        is_state = lambda node: isinstance(node, ProjectWeightsState)  # noqa: E731
        found = [node for node in jax.tree.leaves(opt_state, is_leaf=is_state) if is_state(node)]
        if len(found) != 1:
            raise ValueError(
                f"{_OWNER}: this optimizer state holds {len(found) or 'no'} states of a projection; it takes one"
            )
        return found[0]


def wide(x: jax.Array) -> jax.Array:
    """The array in float32, or in its own type if that is wider."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def can_scale(target: jax.Array, norm: jax.Array) -> jax.Array:
    """Whether blocks of these norms can be brought to these targets: nothing is zero, infinite or nan."""
    return (target > 0) & (norm > 0) & jnp.isfinite(norm) & jnp.isfinite(target / norm)


def scale_to(target: jax.Array, norm: jax.Array) -> jax.Array:
    """The scale that brings blocks to their targets; 1 where none does."""
    return jnp.where(can_scale(target, norm), target / norm, jnp.ones_like(norm))


def _require_size(state: ProjectWeightsState, blocks: Blocks) -> None:
    mine, theirs = total(blocks.pieces), _plain(state.radii).shape[-1]
    if mine != theirs:
        raise ValueError(f"{_OWNER}: the state is of {theirs} blocks, these parameters have {mine}; under optax.masked or "
                         "optax.partition give the parameters of that part")  # fmt: skip


def _plain(leaf: Any) -> jax.Array:
    (array,) = jax.tree.leaves(leaf)  # flax.nnx boxes each leaf of an optimizer state
    return array


def _like(old: Any, new: jax.Array) -> Any:
    """The new leaf placed and boxed as the old."""
    before = _plain(old)
    if isinstance(before, jax.Array) and not isinstance(before, jax.core.Tracer) and before.committed:
        new = jax.device_put(new, before.sharding)
    return jax.tree.map(lambda _: new, old)
