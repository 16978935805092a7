"""What :func:`project_weights` returns: the transform, with methods for its state."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from optax_lrs._float32 import wide
from optax_lrs._states import Roles
from optax_lrs._states.found import unboxed
from optax_lrs.projection._block_norms import spread
from optax_lrs.projection._blocks import OnBlocks, scale_to


class ProjectWeightsState(NamedTuple):
    """State of :func:`project_weights`, with one entry per block in the order of the parameters.

    The norms are vectors, not trees like the parameters, because tools shard such trees as they
    shard parameters.
    """

    count: jax.Array  # int32, shape (), replicated: the step of the next update
    radii: jax.Array  # float32, shape (blocks,), replicated: the radii at a factor of 1
    factor: jax.Array  # float32, shape (), replicated: the value of the schedule at the last update; 1 without one
    norms: jax.Array  # float32, shape (blocks,), replicated; exact: before the last projection; deferred: now
    skipped: jax.Array  # int32, shape (), replicated: the number of blocks that the last projection could not scale

    roles = Roles(
        schedule_steps="count",
        counts="skipped",
        measured="radii",
        derived=("factor", "norms"),
    )  # type: Roles


class Projection(OnBlocks):
    """What :func:`project_weights` returns: a gradient transformation with methods for its state.

    Keep it to call the methods::

        projection = olrs.project_weights(mode="deferred")
        tx = optax.chain(optax.adam(schedule), projection)
        ...
        params = projection.project(params, opt_state)  # exactly on the spheres, for an evaluation or a checkpoint

    The methods take the whole optimizer state, which must contain exactly one state of a
    projection, at any depth; or that state itself. For an ``nnx.Optimizer``, pass its
    ``opt_state``.
    """

    def project(self, params: Any, opt_state: Any) -> Any:
        """Scales every chosen block to its radius times the current factor, exact to rounding.

        Use it before an evaluation or a checkpoint. With ``mode="manual"``, call it in the training
        loop after ``optax.apply_updates``: that saves one pass over the parameters, compared to a
        projection in the update. Blocks whose norm is zero or not finite stay as they are.
        Parameters of 16 bits are rounded once, and change only where the change survives the
        rounding.

        Args:
            params: the parameters.
            opt_state: the optimizer state.

        Returns:
            The projected parameters.

        Raises:
            ValueError: if the state holds no projection or several, or one of other parameters.
        """
        state, blocks = self.found(params, opt_state)
        arrays = blocks.chosen()
        targets = blocks.split(unboxed(state.radii) * unboxed(state.factor))
        scales = [scale_to(target, norm) for target, norm in zip(targets, blocks.norms(arrays)[0])]
        scaled = [spread(scale, x) * x for scale, x in zip(scales, arrays)]
        new = [x.astype(blocks.leaves[piece.index].dtype) for piece, x in zip(blocks.pieces, scaled)]
        return blocks.replaced(blocks.leaves, new)

    def growth(self, params: Any, opt_state: Any) -> dict[str, jax.Array]:
        r"""Returns by path the norm that the last update alone would leave, over the radius.

        .. math:: \lVert W + u\rVert / \rho

        For plain SGD it is at least 1, because the gradient of scale-invariant weights is
        orthogonal to them. If it stays below 1, something shrinks the weights: weight decay.

        Args:
            params: the parameters, for their paths and shapes.
            opt_state: the optimizer state.

        Returns:
            float32 arrays by path; shape () where the leaf is one block.

        Raises:
            ValueError: if the state holds no projection or several, or one of other parameters.
        """
        state, blocks = self.found(params, opt_state)
        return blocks.by_path(unboxed(state.norms) / (unboxed(state.radii) * unboxed(state.factor)))

    def weight_decay(self, tx: optax.GradientTransformation, params: Any, *, steps: int = 3) -> dict[str, float]:
        r"""Finds weight decay on projected weights, where it has no effect or an unintended one.

        With a projection at every step, decay along :math:`W` is undone at once: the schedule alone
        sets the effective rate. With ``every_steps`` decay shrinks the weights in between, which
        raises the rate. Exclude these weights with the ``mask`` of ``optax.adamw`` and
        ``optax.add_decayed_weights``. No transform in a chain can see the others, so check once::

            assert not projection.weight_decay(tx, params)

        It runs a few steps of ``tx`` with gradients of zero. (Several, because a warmup may begin
        at a rate of zero.) It needs the memory of one step; the parameters of a small model with
        the same names will do.

        Args:
            tx: the whole optimizer, with or without this projection.
            params: the parameters.
            steps: the number of updates to run; inside ``optax.MultiSteps``, of micro-batches.

        Returns:
            By path, the largest fraction of the weights that one update removed. Only paths with
            decay are listed: an empty dict means that there is none.

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
            fractions, state = step(zeros, state, params)
            for piece, fraction in zip(blocks.pieces, fractions):
                if -float(fraction) > found.get(piece.path, 0.0):
                    found[piece.path] = -float(fraction)
        return found
