"""Weight decay with its own schedule, decoupled from the learning rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from optax_lrs._float32 import wide_dtype
from optax_lrs._states import Roles
from optax_lrs._states.count import next_step
from optax_lrs._value.arguments import function, given_params

_OWNER = "decay_weights"


class DecayWeightsState(NamedTuple):
    """State of :func:`decay_weights`."""

    count: jax.Array  # int32, shape (), replicated: the step of the next update
    weight_decay: jax.Array  # float32, shape (), replicated: the fraction of the last update; 0 before the first

    roles = Roles(schedule_steps="count", derived="weight_decay")


def decay_weights(
    schedule: optax.Schedule, *, mask: Any | Callable[[optax.Params], Any] | None = None
) -> optax.GradientTransformationExtraArgs:
    r"""Decays weights by a scheduled fraction each step, independent of the learning rate.

    .. math:: u_t \leftarrow u_t - \lambda(t)\,\theta_t, \qquad
              \theta_{t+1} = (1 - \lambda(t))\,\theta_t + \ldots

    Place it *after* the learning rate: nothing after it may scale the updates. ``update`` needs the
    parameters, and no extra argument::

        tx = optax.chain(
            optax.scale_by_adam(), olrs.scale_by_live_schedule(lr), olrs.decay_weights(decay)
        )

    ``optax.add_decayed_weights``, which goes before the learning rate, subtracts
    :math:`\eta(t)\lambda(t)\theta_t` instead. Its decay is independent of the gradient's scale, but
    vanishes with the rate. To convert from that to this, keep :math:`\eta\lambda`: 0.1 at a rate of
    3e-4 is 3e-5 here.

    **Cost**: two scalars of state. The product is computed in float32 and rounded once, to the type
    of the update.

    Args:
        schedule: the fraction by step, in [0, 1]: a :class:`Schedule` or any ``optax.Schedule``.
        mask: which parameters decay: a tree of booleans, or a function from the parameters to one.
            None: all.

    Returns:
        The transform; its state is a :class:`DecayWeightsState`, inside ``optax.MaskedState`` with
        a mask.

    Raises:
        TypeError: if ``schedule`` is not callable (write ``Constant(value=...)`` for a number).
        ValueError: from ``update``, if it gets no parameters.

    Example:
        >>> from optax_lrs import Linear
        >>> tx = decay_weights(Linear(peak=0.5, total_steps=4))
        >>> params = {"w": jnp.full(2, 8.0)}
        >>> updates, state = tx.update({"w": jnp.zeros(2)}, tx.init(params), params)
        >>> print(updates["w"], state.weight_decay)
        [-4. -4.] 0.5

    References:
        Loshchilov, Hutter, Decoupled Weight Decay Regularization, arXiv:1711.05101.
    """
    function(_OWNER, "schedule", schedule, example="Constant(value=1e-5)")

    def init(params):
        del params
        return DecayWeightsState(jnp.zeros((), jnp.int32), jnp.zeros((), jnp.float32))

    def update(updates, state, params=None, **extra_args):
        del extra_args
        params = given_params(_OWNER, params)
        decay = jnp.asarray(schedule(state.count), jnp.float32)

        def decayed(u, p):
            if u is None:
                return None
            dtype = wide_dtype(p.dtype)
            return (u.astype(dtype) - decay.astype(dtype) * p.astype(dtype)).astype(u.dtype)

        updates = jax.tree.map(decayed, updates, params, is_leaf=lambda leaf: leaf is None)
        return updates, DecayWeightsState(next_step(state.count), decay)

    tx = optax.GradientTransformationExtraArgs(init, update)
    return tx if mask is None else optax.masked(tx, mask)
