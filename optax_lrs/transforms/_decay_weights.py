"""Weight decay on a schedule of its own, decoupled from the rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from optax_lrs._states import Roles


class DecayWeightsState(NamedTuple):
    """State of :func:`decay_weights`."""

    count: jax.Array  # int32, shape (), replicated: the step that the next update is given
    weight_decay: jax.Array  # float32, shape (), replicated: what the last update took away; 0 before the first

    roles = Roles(schedule_steps="count", derived="weight_decay")


def decay_weights(
    schedule: optax.Schedule, *, mask: Any | Callable[[optax.Params], Any] | None = None
) -> optax.GradientTransformationExtraArgs:
    r"""Takes a scheduled share of the weights away in each step, whatever the learning rate is.

    .. math:: u_t \leftarrow u_t - \lambda(t)\,\theta_t, \qquad \theta_{t+1} = (1 - \lambda(t))\,\theta_t + \ldots

    It goes *after* the rate: nothing may scale the updates any more::

        tx = optax.chain(optax.scale_by_adam(), olrs.scale_by_live_schedule(lr), olrs.decay_weights(decay))

    ``optax.add_decayed_weights``, in its place before the rate, takes away :math:`\eta(t)\lambda(t)\theta_t` instead: its
    decay is independent of the gradient's scale, but dies with the rate. To change from that to this keep
    :math:`\eta\lambda`: 0.1 at a rate of 3e-4 is 3e-5 here. The product is taken in float32 and rounded once, to the type
    of the update.

    Args:
        schedule: the share by step, in [0, 1]: a :class:`Schedule` or any ``optax.Schedule``.
        mask: a tree of booleans, or a function from the parameters to one: which parameters decay. None: all.

    Raises:
        TypeError: if ``schedule`` cannot be called (write ``Constant(value=...)`` for a number).
        ValueError: from ``update``, if it is given no parameters.

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
    if not callable(schedule):
        raise TypeError(
            f"decay_weights: schedule must be a schedule, such as Constant(value=1e-5), got {schedule!r:.80}"
        )

    def init(params):
        del params
        return DecayWeightsState(jnp.zeros((), jnp.int32), jnp.zeros((), jnp.float32))

    def update(updates, state, params=None, **extra_args):
        del extra_args
        if params is None:
            raise ValueError("decay_weights: update needs the parameters: tx.update(grads, state, params)")
        decay = jnp.asarray(schedule(state.count), jnp.float32)

        def decayed(u, p):
            if u is None:
                return None
            wide = jnp.promote_types(p.dtype, jnp.float32)
            return (u.astype(wide) - decay.astype(wide) * p.astype(wide)).astype(u.dtype)

        updates = jax.tree.map(decayed, updates, params, is_leaf=lambda leaf: leaf is None)
        return updates, DecayWeightsState(optax.safe_increment(state.count), decay)

    tx = optax.GradientTransformationExtraArgs(init, update)
    return tx if mask is None else optax.masked(tx, mask)
