"""A projection of weights: the transformation, and what can be done with parameters and its state beside it."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from optax_lrs._float32 import wide
from optax_lrs._states import Roles
from optax_lrs.projection._block_norms import spread
from optax_lrs.projection._blocks import OnBlocks, scale_to, unboxed


class ProjectWeightsState(NamedTuple):
    """State of :func:`project_weights`. The vectors have one entry a block, in the order of the parameters.

    Vectors, and no tree like the parameters': a tool that shards every such tree as the parameters are finds none here.
    """

    count: jax.Array  # int32, shape (), replicated: the step that the next update is given
    radii: jax.Array  # float32, shape (blocks,), replicated: the norms that are kept, at a factor of 1
    factor: jax.Array  # float32, shape (), replicated: the schedule's at the last update; 1 without a schedule
    norms: jax.Array  # float32, shape (blocks,), replicated: "exact": before the last projection; "deferred": now
    skipped: jax.Array  # int32, shape (), replicated: how many blocks the last projection could not scale

    roles = Roles(schedule_steps="count", counts="skipped", measured="radii", derived=("factor", "norms"))


class Projection(OnBlocks):
    """What :func:`project_weights` returns: a gradient transformation, and functions of parameters and optimizer state.

    Keep it to use them::

        projection = olrs.project_weights(mode="deferred")
        tx = optax.chain(optax.adam(schedule), projection)
        ...
        params = projection.project(params, opt_state)  # exactly on the spheres, for an evaluation or a checkpoint

    They take the whole optimizer state, in which there must be one state of a projection, at any depth, or that one
    itself; of an ``nnx.Optimizer``, its ``opt_state``.
    """

    def project(self, params: Any, opt_state: Any) -> Any:
        """The parameters with every chosen block at its radius times the factor in force, to rounding.

        For training loops that add the updates themselves, after ``optax.apply_updates``, with ``mode="manual"``: one pass
        over the parameters less than as an update. Without that, before an evaluation or a checkpoint. Blocks whose norm
        is zero or not finite stay as they are. Parameters of 16 bits are rounded once, and move only where that shows.

        Raises:
            ValueError: if the state holds no projection or several, or one of other parameters.
        """
        state, blocks = self.found(params, opt_state)
        arrays = blocks.chosen()
        targets = blocks.split(unboxed(state.radii) * unboxed(state.factor))
        scales = [scale_to(target, norm) for target, norm in zip(targets, blocks.norms(arrays)[0])]
        new = [scaled.astype(blocks.leaves[p.index].dtype) for p, scaled in
               zip(blocks.pieces, (spread(s, x) * x for s, x in zip(scales, arrays)))]  # fmt: skip
        return blocks.replaced(blocks.leaves, new)

    def growth(self, params: Any, opt_state: Any) -> dict[str, jax.Array]:
        r"""By path, :math:`\lVert W + u\rVert / \rho` in the last update: the norm that it would have left, by the radius.

        Of plain SGD it is at least 1, for the gradient of scale-invariant weights has no part along them. Below 1 in the
        long run means that something pulls them in: weight decay.
        """
        state, blocks = self.found(params, opt_state)
        return blocks.by_path(unboxed(state.norms) / (unboxed(state.radii) * unboxed(state.factor)))

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
            steps: how many updates to look at; inside ``optax.MultiSteps``, of micro-batches.

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
