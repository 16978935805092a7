"""The effective learning rate of scale-invariant weights: computed, recorded or applied."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from optax_lrs._float32 import wide
from optax_lrs._specs import axes_of
from optax_lrs._states import Roles
from optax_lrs._states.count import next_step
from optax_lrs._states.found import unboxed
from optax_lrs._value.arguments import function, given_params, whole
from optax_lrs.projection._block_norms import spread
from optax_lrs.projection._blocks import Blocks, OnBlocks, can_scale
from optax_lrs.projection._radii import checked_radius, radii_of
from optax_lrs.projection._weight_blocks import Heads, checked_weights

_Weights = str | Sequence[str] | Callable[[str, Any], bool] | None
_Separate = int | Heads | Sequence[int | Heads] | Mapping[str, Any]


class EffectiveLearningRateState(NamedTuple):
    """State of :func:`record_effective_learning_rate`. Its vectors have one entry per block."""

    count: jax.Array  # int32, shape (), replicated: the step of the next update
    norms: jax.Array  # float32, shape (blocks,), replicated: the norms of the weights before the last update
    rates: jax.Array  # float32, shape (blocks,), replicated: the effective rates of the last update; 0 before the first

    roles = Roles(schedule_steps="count", derived=("norms", "rates"))  # type: Roles


class ScaleByWeightNormState(NamedTuple):
    """State of :func:`scale_by_weight_norm`. Its vectors have one entry per block."""

    radii: jax.Array  # float32, shape (blocks,), replicated: the norms at which updates pass unchanged
    norms: jax.Array  # float32, shape (blocks,), replicated: the norms of the weights before the last update

    roles = Roles(measured="radii", derived="norms")  # type: Roles


class EffectiveRateRecorder(OnBlocks):
    """What :func:`record_effective_learning_rate` returns: a transform that can read its state."""

    def rates(self, params: Any, opt_state: Any) -> dict[str, jax.Array]:
        """Returns the effective rates of the last update by path.

        Args:
            params: the parameters; only their paths and shapes are used.
            opt_state: the optimizer state, or the state of this recorder itself.

        Returns:
            float32 arrays; shape () where the leaf has one norm. 0 before the first update.

        Raises:
            ValueError: if the state holds no such recorder or several, or one of other parameters.
        """
        state, blocks = self.found(params, opt_state)
        return blocks.by_path(unboxed(state.rates))


def effective_learning_rate(
    params: Any,
    learning_rate: Any,
    *,
    power: int,
    weights: _Weights = None,
    without: str | Sequence[str] = (),
    separate: _Separate = (),
) -> dict[str, jax.Array]:
    r"""Computes the effective learning rate of scale-invariant weights, by path.

    .. math:: \eta_{\text{eff}} = \frac{\eta}{\lVert W\rVert^{p}}, \qquad
              p = 2\ \text{(SGD)}, \quad p = 1\ \text{(Adam)}

    If :math:`f(cW) = f(W)`, a step of rate :math:`\eta` at :math:`cW` turns the weights as much as
    one of rate :math:`\eta / c^p` at :math:`W`. Norms that grow lower the rate. (p = 1 is recalled
    and derived, not read: it holds where the size of an update does not depend on the size of the
    gradient.)

    Args:
        params: the parameters.
        learning_rate: the rate :math:`\eta`, a number or an array of shape ().
        power: 2 for SGD, with or without momentum; 1 for Adam, RMSProp, Lion, Muon and others that
            normalize.
        weights: which parameters, as in :func:`project_weights`.
        without: which to exclude, as in :func:`project_weights`.
        separate: the axes along which every slice has its own norm, as in :func:`project_weights`.

    Returns:
        float32 arrays by path; shape () where the leaf has one norm. A norm of zero gives an
        infinite rate.

    Raises:
        ValueError, TypeError: as :func:`project_weights`.

    Example:
        >>> params = {"hidden": {"kernel": jnp.array([[6.0, 1.0], [2.0, 7.0]])}}
        >>> rates = effective_learning_rate(params, 0.9, power=2)
        >>> print({path: round(float(rate), 6) for path, rate in rates.items()})
        {'hidden/kernel': 0.01}

    References:
        Lyle et al., Normalization and Effective Learning Rates in Reinforcement Learning,
        arXiv:2407.01800.
    """
    owner = "effective_learning_rate"
    power = whole(owner, "power", power, low=1, high=2)
    blocks = Blocks(params, checked_weights(owner, weights, without, separate), None, owner)
    _, norms = blocks.norms(blocks.chosen())
    return blocks.by_path(jnp.asarray(learning_rate, jnp.float32) / norms**power)


def record_effective_learning_rate(
    schedule: optax.Schedule,
    *,
    power: int,
    weights: _Weights = None,
    without: str | Sequence[str] = (),
    separate: _Separate = (),
    specs: Any = None,
) -> EffectiveRateRecorder:
    r"""Records the effective learning rate of scale-invariant weights. The updates pass unchanged.

    .. math:: \eta_{\text{eff}}(t) = \eta(t) / \lVert W_t\rVert^{p}

    See :func:`effective_learning_rate`. Place it anywhere in a chain. ``update`` needs the
    parameters, and no extra argument. **Cost**: it reads the parameters, not the updates, in a pass
    that the optimizer makes anyway::

        recorder = olrs.projection.record_effective_learning_rate(schedule, power=1)
        tx = optax.chain(optax.adam(schedule), recorder)
        ...
        for path, rate in recorder.rates(params, opt_state).items(): ...

    Args:
        schedule: the schedule of the optimizer: a :class:`Schedule` or any ``optax.Schedule``.
        power: 2 for SGD, 1 for Adam and its relatives.
        weights: which parameters, as in :func:`project_weights`.
        without: which to exclude, as in :func:`project_weights`.
        separate: the axes along which every slice has its own norm, as in :func:`project_weights`.
        specs: only inside ``shard_map``: the PartitionSpecs of the parameters, as in
            :func:`project_weights`.

    Returns:
        The transform, with the method ``rates``. Its state is an
        :class:`EffectiveLearningRateState`.

    Raises:
        ValueError, TypeError: as :func:`project_weights`.

    Example:
        >>> from optax_lrs import Linear
        >>> recorder = record_effective_learning_rate(Linear(peak=0.5, total_steps=4), power=2)
        >>> params = {"hidden": {"kernel": jnp.ones((2, 2))}}
        >>> updates, state = recorder.update(params, recorder.init(params), params)
        >>> print(recorder.rates(params, state))
        {'hidden/kernel': Array(0.125, dtype=float32)}
    """
    owner = "record_effective_learning_rate"
    power = whole(owner, "power", power, low=1, high=2)
    function(owner, "schedule", schedule, example="Constant(value=0.1)")
    if specs is not None:
        axes_of(specs, owner)
    which = checked_weights(owner, weights, without, separate)
    blocks_of = functools.partial(Blocks, which=which, specs=specs, owner=owner)

    def init(params):
        blocks = blocks_of(params)
        _, norms = blocks.norms(blocks.chosen())
        return EffectiveLearningRateState(jnp.zeros((), jnp.int32), norms, jnp.zeros_like(norms))

    def update(updates, state, params=None, **extra_args):
        del extra_args
        blocks = blocks_of(given_params(owner, params))
        _, norms = blocks.norms(blocks.chosen())
        rates = jnp.asarray(schedule(state.count), jnp.float32) / norms**power
        return updates, EffectiveLearningRateState(next_step(state.count), norms, rates)

    known = dict(owner=owner, state_type=EffectiveLearningRateState, blocks=blocks_of, radii=None)
    return EffectiveRateRecorder.of(init, update, **known)


def scale_by_weight_norm(
    *,
    power: int,
    weights: _Weights = None,
    without: str | Sequence[str] = (),
    separate: _Separate = (),
    radius: Any = None,
    specs: Any = None,
) -> OnBlocks:
    r"""Multiplies updates by a power of the weights' norm: a projection's rates without projecting.

    .. math:: u_t \leftarrow \Big(\frac{\lVert W_t\rVert}{\rho}\Big)^{p} u_t

    Scale-invariant weights then have the directions that :func:`project_weights` would give them,
    while their norms are free. Use it where weights must not be changed, and to find out which part
    of the effect of a projection is that of the rate. ``update`` needs the parameters, and no extra
    argument.

    With SGD, place ``power=2`` after it::

        tx = optax.chain(optax.sgd(schedule), olrs.projection.scale_by_weight_norm(power=2))

    An optimizer with memory sees gradients that shrink as norms grow. To be exact there, scale its
    input as well as its output: the gradient at :math:`W` is the gradient at the projected point
    divided by :math:`\lVert W\rVert / \rho`. So, for *any* optimizer::

        scale = olrs.projection.scale_by_weight_norm(power=1)
        tx = optax.chain(scale, optax.adam(schedule), scale)

    ``power=1`` after Adam alone (the paper's rule) is equal as far as norms change slowly compared
    to Adam's memory. Weights whose norm or radius is zero or not finite keep their update.

    Args:
        power: 2 after SGD; 1 after Adam and its relatives, or before and after any optimizer.
        weights: which parameters, as in :func:`project_weights`.
        without: which to exclude, as in :func:`project_weights`.
        separate: the axes along which every slice has its own norm, as in :func:`project_weights`.
        radius: the norms at which updates pass unchanged, as in :func:`project_weights`. None: the
            norms in ``init``; ``remeasure`` of the returned transform measures them again from
            parameters.
        specs: only inside ``shard_map``: the PartitionSpecs of the parameters, as in
            :func:`project_weights`.

    Returns:
        The transform, with the method ``remeasure``. Its state is a
        :class:`ScaleByWeightNormState`.

    Raises:
        ValueError, TypeError: as :func:`project_weights`.

    Example:
        >>> tx = scale_by_weight_norm(power=2, radius=5.0)
        >>> params = {"hidden": {"kernel": jnp.array([[6.0, 1.0], [2.0, 7.0]])}}
        >>> updates, state = tx.update({"hidden": {"kernel": jnp.ones((2, 2))}}, tx.init(params), params)
        >>> print(updates["hidden"]["kernel"][0, 0].round(5))
        3.6

    References:
        Lyle et al., Normalization and Effective Learning Rates in Reinforcement Learning,
        arXiv:2407.01800. Scaling the gradients too is ours.
    """
    owner = "scale_by_weight_norm"
    power, radius = whole(owner, "power", power, low=1, high=2), checked_radius(owner, radius)
    if specs is not None:
        axes_of(specs, owner)
    which = checked_weights(owner, weights, without, separate)
    blocks_of = functools.partial(Blocks, which=which, specs=specs, owner=owner)

    def radii(params, blocks, norms):
        return radii_of(radius, params, blocks.pieces, norms, owner)

    def init(params):
        blocks = blocks_of(params)
        _, norms = blocks.norms(blocks.chosen())
        return ScaleByWeightNormState(radii(params, blocks, norms), norms)

    def update(updates, state, params=None, **extra_args):
        del extra_args
        blocks = blocks_of(given_params(owner, params))
        us = blocks.tree.flatten_up_to(updates)
        parts, norms = blocks.norms(blocks.chosen())

        def scaled(u, norm, at):
            if u is None:
                return None
            scale = spread(jnp.where(can_scale(at, norm), (norm / at) ** power, jnp.ones_like(norm)), u)
            return (scale * wide(u)).astype(u.dtype)

        new = [scaled(us[p.index], norm, at) for p, norm, at in zip(blocks.pieces, parts, blocks.split(state.radii))]
        return blocks.replaced(us, new), ScaleByWeightNormState(state.radii, norms)

    return OnBlocks.of(init, update, owner=owner, state_type=ScaleByWeightNormState, blocks=blocks_of, radii=radii)
