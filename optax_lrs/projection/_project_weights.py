"""Normalize-and-Project: the norms of hidden weights stay where they began."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from optax_lrs._float32 import on_mesh, wide
from optax_lrs._specs import axes_of
from optax_lrs._value.arguments import function, given_params, one_of, whole
from optax_lrs.projection._block_norms import spread
from optax_lrs.projection._blocks import Blocks, can_scale, scale_to
from optax_lrs.projection._projection import Projection, ProjectWeightsState
from optax_lrs.projection._radii import checked_radius, radii_of
from optax_lrs.projection._weight_blocks import Heads, checked_weights

_OWNER = "project_weights"


def project_weights(
    weights: str | Sequence[str] | Callable[[str, Any], bool] | None = None,
    *,
    without: str | Sequence[str] = (),
    separate: int | Heads | Sequence[int | Heads] | Mapping[str, Any] = (),
    joint: str | Sequence[str] = (),
    radius: float | Callable[[tuple[int, ...]], float] | Mapping[str, Any] | None = None,
    schedule: optax.Schedule | None = None,
    mode: str = "exact",
    every_steps: int = 1,
    specs: Any = None,
) -> Projection:
    r"""Scales hidden weights back to a fixed norm after each update (Normalize-and-Project, NaP).

    .. math:: W_{t+1} = \rho\, f(t)\, \frac{W_t + u_t}{\lVert W_t + u_t \rVert}

    Where a normalization follows, a network does not feel the norm of the weights before it, but the effective rate
    does: :math:`\eta / \lVert W\rVert^2` for SGD, :math:`\eta / \lVert W\rVert` for Adam. Norms grow, so the rate decays
    unseen, until a network that has learnt for long cannot learn any more. With the norm held, the schedule that is written
    is the schedule that the network feels. Use it for continual and reinforcement learning, for long training at a
    constant rate, and wherever rates are to be compared. It needs the parameters, and goes last: it projects what the
    others propose::

        tx = optax.chain(optax.adam(schedule), olrs.project_weights())

    Without a LayerNorm or RMSNorm before every nonlinearity it *changes the function*. Biases before a normalization are
    redundant: drop them.

    **Which weights.** By default what is of rank 2 or more and is not named as an embedding, a norm's parameter, a bias or
    a last layer: embed, wte, wpe, pos, cls, norm, ln, bn, head, logits, readout or classifier at any place in the path (also as
    in ``pos_embedding``, ``lm_head``, ``ln_1``), bias, b, scale, offset, gamma or beta at its end, and out, output or final
    at the top of the tree. A last layer called ``Dense_3`` cannot be known: ``without="params/Dense_3/.*"``. Nor can a
    stacked bias called ``shift``. After ``init``, ``projection.growth(params, state)`` lists what was chosen; if in doubt
    give ``weights``.

    **When.** ``"exact"``: each update leads onto the sphere. Norms must be known before the weights are scaled, which is
    one more pass over weights and updates (1.375x the memory traffic of clip and AdamW on a TPU; 1.25x as ``"manual"``).
    ``"deferred"``: the scale that one update calls for is part of the next one. No pass at all (1.00x); norms are off by
    one update's growth, which does not add up. The best choice for large models; before an evaluation or a checkpoint
    ``projection.project(params, opt_state)`` is exact. ``"manual"``: the updates pass, and the training loop calls
    ``projection.project`` after ``optax.apply_updates``. ``every_steps=1000`` did as well as 1 for the authors (Rainbow;
    read in an independent audit), but deferred is both cheaper and closer.

    **Weight decay** along weights that are projected does nothing, or with ``every_steps`` something unintended.
    ``projection.weight_decay(tx, params)`` finds it. Momentum keeps the part along the weights: harmless.

    **Precision.** Norms, products and radii are float32 (or wider, as the weights are), rounded once. Weights of 16 bits:
    bfloat16 has steps of 1/128 to 1/256, so that a projection moves no weight until the scale leaves 1 by 0.2%, and
    every weight beyond 0.4%. Norms are therefore sure to stay within 0.4% of the radius (deferred: and one update's
    growth), not nearer. Nothing is lost in between: the norm
    of the rounded weights is measured anew in every step, and ``projection.growth`` tells it.

    **What cannot be projected** is left as the update has it and counted in ``skipped``: a norm that is zero, infinite or
    nan (beyond 1.8e19 or below 1e-19 squares leave float32), and weights that began as zeros.

    **Sharding.** Sums are taken where the weights lie and ride in as many all-reduces as there are different shardings
    (of at most 256 leaves each); no weight is gathered. With a norm for each output neuron and outputs that are
    split, the norms themselves, a vector, are. In ``shard_map`` give ``specs``: then it is one ``psum`` for everything.

    The extra argument ``project_weights=False`` of an update leaves it as it is.

    Args:
        weights: patterns of whole paths (see :func:`with_rates_by_path`), or a function of the path and the parameter that says
            whether it is projected. None: as above.
        without: patterns of what is not, although ``weights`` would have it.
        separate: the axes along which every slice has a norm of its own; for all weights, or by pattern (the first that
            matches counts). (): the whole matrix or kernel, as in the paper. 0: each layer of parameters stacked as
            [layers, ...]; ``-1``: each output neuron of a kernel [..., outputs]; ``(0, -1)``: both. The axis of the heads:
            each head; :class:`Heads` where an axis packs several.
        joint: patterns of the scales and offsets of normalizations, such as ``".*norm.*/(scale|bias)"`` (and of no other
            biases): those of one module are one vector of norm :math:`\sqrt n`, n the width, as with a scale of 1 and an
            offset of 0 (recalled, not verified; a published reimplementation has :math:`\sqrt 2`). For homogeneous
            activations such as ReLU only; :func:`decay_to_init` is for others.
        radius: the norm at a factor of 1: a number, a function of a block's shape (:func:`sqrt_fan_in`,
            :func:`sqrt_fan_out`), or either by pattern. None: the norm that the parameters have in ``init``.
        schedule: a factor of the radius by step: a :class:`Schedule` or any ``optax.Schedule``. Norms that rise by a
            factor c are rates that fall by c squared (SGD) or c (Adam).
        mode: ``"exact"``, ``"deferred"`` or ``"manual"``.
        every_steps: in how many updates one projects; for ``mode="exact"``.
        specs: only inside ``shard_map``: the PartitionSpecs of the parameters, a tree or a prefix of it, as given to
            ``shard_map``. ``init`` may be called inside or outside.

    Returns:
        A :class:`Projection`: the transformation, and ``project``, ``remeasure``, ``growth`` and ``weight_decay``.

    Raises:
        ValueError, TypeError: if an argument is out of its range, when built; from ``init``, if no parameter is chosen or
            a pattern matches none; from ``update``, if it is given no parameters.

    Example:
        >>> projection = project_weights()
        >>> tx = optax.chain(optax.sgd(1.0), projection)
        >>> params = {"hidden": {"kernel": jnp.array([[3.0, 0.0], [0.0, 4.0]]), "bias": jnp.zeros(2)}}
        >>> state = tx.init(params)
        >>> grads = {"hidden": {"kernel": jnp.array([[-3.0, 0.0], [0.0, -4.0]]), "bias": -jnp.ones(2)}}
        >>> updates, state = tx.update(grads, state, params)
        >>> print(optax.apply_updates(params, updates))
        {'hidden': {'bias': Array([1., 1.], dtype=float32), 'kernel': Array([[3., 0.],
               [0., 4.]], dtype=float32)}}
        >>> projection.growth(params, state)
        {'hidden/kernel': Array(2., dtype=float32)}

    References:
        Lyle, Zheng, Khetarpal, Martens, van Hasselt, Pascanu, Dabney, Normalization and Effective Learning Rates in
        Reinforcement Learning, arXiv:2407.01800. Details from summaries and an independent audit; the text was not at hand.
    """
    which = checked_weights(_OWNER, weights, without, separate, joint)
    radius = checked_radius(_OWNER, radius)
    one_of(_OWNER, "mode", mode, ("exact", "deferred", "manual"))
    every_steps = whole(_OWNER, "every_steps", every_steps, low=1, high=2**31 - 2)
    if every_steps > 1 and mode != "exact":
        raise ValueError(f"{_OWNER}: every_steps is for mode='exact', got every_steps={every_steps} with mode={mode!r}")
    if schedule is not None:
        function(_OWNER, "schedule", schedule, example="Constant(value=1.0)")
    if specs is not None:
        axes_of(specs, _OWNER)
    blocks_of = functools.partial(Blocks, which=which, specs=specs, owner=_OWNER)

    def radii(params, blocks, norms):
        return radii_of(radius, params, blocks.pieces, norms, _OWNER)

    def init(params):
        blocks = blocks_of(params)
        _, norms = blocks.norms(blocks.chosen())
        return ProjectWeightsState(
            count=jnp.zeros((), jnp.int32),
            radii=radii(params, blocks, norms),
            factor=jnp.ones((), jnp.float32),
            norms=norms,
            skipped=jnp.zeros((), jnp.int32),
        )

    def update(updates, state, params=None, *, project_weights=True, **extra_args):
        del extra_args
        blocks = blocks_of(given_params(_OWNER, params))
        factor = state.factor
        if schedule is not None:
            factor = on_mesh(schedule(state.count))
        after = state._replace(count=optax.safe_increment(state.count), factor=factor)
        if not project_weights or mode == "manual" or not blocks.pieces:
            return updates, after
        all_us = blocks.tree.flatten_up_to(updates)
        ps, us = [blocks.leaves[p.index] for p in blocks.pieces], [all_us[p.index] for p in blocks.pieces]
        step = functools.partial(_deferred if mode == "deferred" else _exact, blocks, ps, state.radii * factor)
        if every_steps == 1:
            us, norms, skipped = step(us, state.norms)
        else:
            due = (state.count + 1) % every_steps == 0
            us, norms, skipped = jax.lax.cond(due, step, lambda us, norms: (us, norms, state.skipped), us, state.norms)
        return blocks.replaced(all_us, us), after._replace(norms=norms, skipped=skipped)

    return Projection.of(init, update, owner=_OWNER, state_type=ProjectWeightsState, blocks=blocks_of, radii=radii)


def _exact(
    blocks: Blocks, ps: list, targets: jax.Array, us: list, norms: jax.Array
) -> tuple[list, jax.Array, jax.Array]:
    """The updates that lead onto the spheres: scale (p + u) - p. Two passes: the norms are known after the first."""
    del norms
    # Not s u + (s - 1) p, which is the same on paper: that loses the small difference of two large numbers.
    candidates = [wide(p) if u is None else wide(p) + wide(u) for p, u in zip(ps, us)]
    norms, vector = blocks.norms(candidates)

    def led(p, u, candidate, norm, target):
        if u is None:
            return None
        moved = spread(scale_to(target, norm), p) * candidate - wide(p)
        return jnp.where(spread(can_scale(target, norm), p), moved.astype(u.dtype), u)

    us = [led(*each) for each in zip(ps, us, candidates, norms, blocks.split(targets))]
    return us, vector, jnp.sum(~can_scale(targets, vector), dtype=jnp.int32)


def _deferred(
    blocks: Blocks, ps: list, targets: jax.Array, us: list, norms: jax.Array
) -> tuple[list, jax.Array, jax.Array]:
    """The updates with the scale that the last step's norms ask for; and the norms that they leave, in the same pass."""
    skipped = jnp.sum(~can_scale(targets, norms), dtype=jnp.int32)
    # No condition on an element: where nothing can be scaled the scale is 1, and u + 0 p is u.
    changes = blocks.split(scale_to(targets, norms) - 1)
    us = [u if u is None else (wide(u) + spread(c, p) * wide(p)).astype(u.dtype) for p, u, c in zip(ps, us, changes)]
    # As optax.apply_updates adds them and rounds: what is measured is what will be there.
    after = [wide(p) if u is None else wide((p + u).astype(p.dtype)) for p, u in zip(ps, us)]
    return us, blocks.norms(after)[1], skipped
