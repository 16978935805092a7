"""Normalize-and-Project: keeps the norms of hidden weights constant."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from optax_lrs._float32 import on_mesh, wide
from optax_lrs._specs import axes_of
from optax_lrs._states.count import next_step
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

    If a normalization follows a layer, the output of the network does not depend on the norm of the
    layer's weights. The effective learning rate does: it is :math:`\eta / \lVert W\rVert^2` for SGD
    and :math:`\eta / \lVert W\rVert` for Adam. Norms grow during training, so the effective rate
    decays unnoticed, until a network that has trained for long cannot learn any more. With constant
    norms, the schedule that you write is the schedule that takes effect.

    Use it for continual and reinforcement learning, for long training at a constant rate, and
    wherever you compare rates. Place it last in a chain: it projects the updates of the transforms
    before it. ``update`` needs the parameters::

        tx = optax.chain(optax.adam(schedule), olrs.project_weights())

    Without a LayerNorm or RMSNorm before every nonlinearity it *changes the function*. Biases
    before a normalization are redundant: remove them.

    **Which weights.** By default, parameters of rank 2 or more that do not have the name of an
    embedding, a parameter of a norm, a bias or a last layer: embed, wte, wpe, pos, cls, norm, ln,
    bn, head, logits, readout or classifier anywhere in the path (also as in ``pos_embedding``,
    ``lm_head``, ``ln_1``); bias, b, scale, offset, gamma or beta at its end; and out, output or
    final at the top of the tree. A last layer named ``Dense_3`` is not recognized: pass
    ``without="params/Dense_3/.*"``. Nor is a stacked bias named ``shift``. After ``init``,
    ``projection.growth(params, state)`` lists the chosen parameters; if in doubt, pass ``weights``.

    **When** (``mode``).

    - ``"exact"``: each update ends on the sphere. The norms must be known before the weights are
      scaled, which takes one more pass over weights and updates: 1.375x the memory traffic of
      clipping and AdamW on a TPU; 1.25x as ``"manual"``.
    - ``"deferred"``: the scale that one update requires is applied with the next update. It takes
      no additional pass (1.00x). Norms are off by the growth of one update, which does not
      accumulate. The best choice for large models; before an evaluation or a checkpoint,
      ``projection.project(params, opt_state)`` is exact.
    - ``"manual"``: updates pass unchanged, and the training loop calls ``projection.project`` after
      ``optax.apply_updates``.

    ``every_steps=1000`` did as well as 1 for the authors (Rainbow; read in an independent audit),
    but deferred is both cheaper and closer.

    **Weight decay** along projected weights has no effect, or with ``every_steps`` an unintended
    one. ``projection.weight_decay(tx, params)`` finds it. Momentum keeps a component along the
    weights, which is harmless.

    **Precision.** Norms, products and radii are float32 (or wider, if the weights are), rounded
    once. Weights of 16 bits: bfloat16 has steps of 1/128 to 1/256, so that a projection changes no
    weight until the scale differs from 1 by 0.2%, and every weight beyond 0.4%. So norms stay
    within 0.4% of the radius (deferred: and the growth of one update), but not closer. Nothing is
    lost in between: every step measures the norm of the rounded weights, and ``projection.growth``
    reports it.

    **What cannot be projected** keeps its update and is counted in ``skipped``: blocks whose norm
    is zero, infinite or nan (the square of a norm beyond 1.8e19 or below 1e-19 leaves the range of
    float32), and weights that were initialized to zero.

    **Sharding.** Sums are computed where the weights lie, and use as many all-reduces as there are
    different shardings (of at most 256 leaves each). No weights are gathered. With a norm for each
    output neuron and sharded outputs, the norms themselves, a vector, are gathered. In
    ``shard_map`` pass ``specs``; then there is one ``psum`` for everything.

    **AdamH, or Hyperball** is a chain with this transform. It scales each update to the norm of its
    matrix, multiplies by the rate, and returns the weights to their sphere::

        def to_norm_of_weights(u, w):
            norm = lambda x: jnp.sqrt(jnp.sum(jnp.square(x), axis=(-2, -1), keepdims=True))
            return u * norm(w) / jnp.maximum(norm(u), 1e-10)

        tx = optax.chain(
            optax.scale_by_adam(b2=0.95),
            optax.stateless_with_tree_map(to_norm_of_weights),
            olrs.scale_by_live_schedule(lr),
            olrs.project_weights(".*", separate=0),  # [layers, rows, columns]; without separate: [rows, columns]
        )

    The rate is then the tangent of the angle by which an update at right angles to the weights
    turns them, and weight decay has no effect. To convert from AdamW with rate :math:`\eta` and
    decay :math:`\lambda`, the source takes :math:`\sqrt{\eta\lambda}`; the rotation of AdamW at
    equilibrium is :math:`\sqrt{2\eta\lambda}` (inferred, not measured). For 1e-3 and 0.1 these are
    0.01 and 0.014. The chain is for matrices: put them in a group of :func:`partition_by_path`, and
    everything else in another.

    **The extra argument** ``project_weights=False`` of ``update`` leaves that update unchanged.

    Args:
        weights: patterns of whole paths (see :func:`with_rates_by_path`), or a function of the path
            and the parameter that returns whether to project it. None: as above.
        without: patterns of parameters to exclude from ``weights``.
        separate: the axes along which every slice has its own norm: for all weights, or by pattern
            (the first that matches counts). (): one norm for the whole matrix or kernel, as in the
            paper. 0: for each layer of parameters stacked as [layers, ...]; ``-1``: for each output
            neuron of a kernel [..., outputs]; ``(0, -1)``: both. The axis of the heads: for each
            head; :class:`Heads` where an axis packs several.
        joint: patterns of the scales and offsets of normalizations, such as
            ``".*norm.*/(scale|bias)"`` (and of no other biases). Those of one module form one
            vector of norm :math:`\sqrt n`, where n is the width, as with a scale of 1 and an offset
            of 0 (recalled, not verified; a published reimplementation has :math:`\sqrt 2`). Only
            for homogeneous activations such as ReLU; for others use :func:`decay_to_init`.
        radius: the norm at a factor of 1: a number, a function of the shape of a block
            (:func:`sqrt_fan_in`, :func:`sqrt_fan_out`), or either by pattern. None: the norm that
            the parameters have in ``init``.
        schedule: a factor of the radius by step: a :class:`Schedule` or any ``optax.Schedule``.
            Norms that grow by a factor c lower the effective rate by c squared (SGD) or c (Adam).
        mode: ``"exact"``, ``"deferred"`` or ``"manual"``, as above.
        every_steps: the number of updates per projection; for ``mode="exact"``.
        specs: only inside ``shard_map``: the PartitionSpecs of the parameters, a tree or a prefix
            of it, as given to ``shard_map``. ``init`` may be called inside or outside.

    Returns:
        A :class:`Projection`: the transform, with the methods ``project``, ``remeasure``,
        ``growth`` and ``weight_decay``. Its state is a :class:`ProjectWeightsState`.

    Raises:
        ValueError: if an argument is out of range; from ``init``, if no parameter is chosen or a
            pattern matches none; from ``update``, if it gets no parameters.
        TypeError: if an argument has the wrong type.

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

        AdamH's steps with a rate of 0.1 and the direction (1, 0) keep the norm 5 of the weights:

        >>> from optax_lrs import Constant, scale_by_live_schedule
        >>> def to_norm_of_weights(u, w):
        ...     norm = lambda x: jnp.sqrt(jnp.sum(jnp.square(x), axis=(-2, -1), keepdims=True))
        ...     return u * norm(w) / jnp.maximum(norm(u), 1e-10)
        >>> scaled = optax.stateless_with_tree_map(to_norm_of_weights)
        >>> tx = optax.chain(scaled, scale_by_live_schedule(Constant(value=0.1)), project_weights(".*"))
        >>> params = {"w": jnp.array([[3.0, 4.0]])}
        >>> updates, _ = tx.update({"w": jnp.array([[1.0, 0.0]])}, tx.init(params), params)
        >>> [round(float(w), 4) for w in optax.apply_updates(params, updates)["w"][0]]
        [2.65, 4.24]

    References:
        Lyle, Zheng, Khetarpal, Martens, van Hasselt, Pascanu, Dabney, Normalization and Effective
        Learning Rates in Reinforcement Learning, arXiv:2407.01800. Details from summaries and an
        independent audit; the text was not available.
        AdamH: ``adamh.py`` of Levanter (Apache-2.0), read as code.
    """
    which = checked_weights(_OWNER, weights, without, separate, joint)
    radius = checked_radius(_OWNER, radius)
    one_of(_OWNER, "mode", mode, ("exact", "deferred", "manual"))
    every_steps = whole(_OWNER, "every_steps", every_steps, low=1, high=2**31 - 2)
    if every_steps > 1 and mode != "exact":
        raise ValueError(f"{_OWNER}: every_steps needs mode='exact', got every_steps={every_steps} with mode={mode!r}")
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
        after = state._replace(count=next_step(state.count), factor=factor)
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
    blocks: Blocks, ps: list[Any], targets: jax.Array, us: list[Any], norms: jax.Array
) -> tuple[list[Any], jax.Array, jax.Array]:
    """Returns updates that end on the spheres, scale (p + u) - p; a first pass finds the norms."""
    del norms
    # Not s u + (s - 1) p, the same on paper: it loses the small difference of two large numbers.
    candidates = [wide(p) if u is None else wide(p) + wide(u) for p, u in zip(ps, us)]
    parts, vector = blocks.norms(candidates)

    def led(p, u, candidate, norm, target):
        if u is None:
            return None
        moved = spread(scale_to(target, norm), p) * candidate - wide(p)
        return jnp.where(spread(can_scale(target, norm), p), moved.astype(u.dtype), u)

    us = [led(*each) for each in zip(ps, us, candidates, parts, blocks.split(targets))]
    return us, vector, jnp.sum(~can_scale(targets, vector), dtype=jnp.int32)


def _deferred(
    blocks: Blocks, ps: list[Any], targets: jax.Array, us: list[Any], norms: jax.Array
) -> tuple[list[Any], jax.Array, jax.Array]:
    """Returns updates scaled for the last step's norms, and the norms after them, in one pass."""
    skipped = jnp.sum(~can_scale(targets, norms), dtype=jnp.int32)
    # No condition per element: where a block cannot be scaled the scale is 1, and u + 0 p is u.
    changes = blocks.split(scale_to(targets, norms) - 1)
    us = [u if u is None else (wide(u) + spread(c, p) * wide(p)).astype(u.dtype) for p, u, c in zip(ps, us, changes)]
    # Added and rounded as by optax.apply_updates, so that the norms are those of the new weights.
    after = [wide(p) if u is None else wide((p + u).astype(p.dtype)) for p, u in zip(ps, us)]
    return us, blocks.norms(after)[1], skipped
