"""Weight decay with its own schedule, independent of the learning rate or proportional to it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from optax_lrs._float32 import on_mesh, wide_dtype
from optax_lrs._paths import checked_patterns, labelled
from optax_lrs._schedule import Schedule
from optax_lrs._states import Roles
from optax_lrs._states.count import next_step
from optax_lrs._value.arguments import function, given_params, instance, number

_OWNER = "decay_weights"
_OTHERS = ""  # the label of what no pattern matches


class DecayWeightsState(NamedTuple):
    """State of :func:`decay_weights`."""

    count: jax.Array  # int32, shape (), replicated: the step that the next update is given
    weight_decay: jax.Array  # float32, shape (), replicated: of the last update; 0 before the first
    schedule: Schedule | None = None  # float32, replicated; None for a function or an array

    roles = Roles(
        schedule_steps="count",
        other_schedules="schedule",
        settings="schedule",
        derived="weight_decay",
        logged="weight_decay",
    )  # type: Roles


def decay_weights(
    schedule: optax.Schedule | jax.typing.ArrayLike,
    *,
    factors: Mapping[str, float] | None = None,
    cautious: bool = False,
    before_rate: bool = False,
    mask: Any | Callable[[optax.Params], Any] | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Decays weights by a scheduled fraction each step, independent of the rate or times the rate.

    .. math:: u_t \leftarrow u_t - f_p\,\lambda(t)\,\theta_t, \qquad
              \theta_{t+1} = (1 - f_p\,\lambda(t))\,\theta_t + \ldots

    **Independent of the rate**, the default. Place it *after* the learning rate: nothing after it
    may scale the updates. ``update`` needs the parameters, and no extra argument::

        tx = optax.chain(
            optax.scale_by_adam(), olrs.scale_by_live_schedule(lr), olrs.decay_weights(decay)
        )

    **Proportional to the rate**, as AdamW: ``before_rate=True``, and place it *before* the rate. It
    then adds :math:`f_p\lambda(t)\theta_t` to the direction, so that the weights lose :math:`\eta
    f_p\lambda(t)` of themselves, :math:`\eta` being the rate that is applied, with the factors of
    groups and plateaus. For AdamC's form, :math:`\eta^2/\eta_\text{max}`, write the chain as a
    factory and couple the decay (:class:`Coupled`)::

        def adamc(learning_rate, weight_decay):
            factors = {".*(bias|norm).*": 0.0}
            decay = olrs.decay_weights(weight_decay, before_rate=True, factors=factors)
            rate = optax.scale_by_learning_rate(learning_rate)
            return optax.chain(optax.scale_by_adam(), decay, rate)

        tx = olrs.with_hyperparams(adamc, learning_rate=lr, weight_decay=olrs.Coupled(value=0.1))

    To convert a decay from the second form to the first, keep :math:`\eta\lambda`: 0.1 at a rate of
    3e-4 is 3e-5.

    The schedule is live: ``with_schedule(state, schedule, path="schedule")`` replaces it.

    **Cost**: the numbers of the schedule and two scalars of state. The product is computed in
    float32 and rounded once, to the type of the update.

    Args:
        schedule: the fraction by step, in [0, 1]: a :class:`Schedule`, which is live, or any
            ``optax.Schedule``; or a scalar array, for factories that :func:`with_hyperparams`
            calls.
        factors: multipliers of the decay by pattern of the whole path (see
            :func:`with_rates_by_path`), not negative: ``{".*(bias|norm).*": 0.0}``. The first match
            counts; the others have the factor 1.
        cautious: decay only where update and weight agree in sign, which is where the update
            shrinks the weight, or where one of them is 0: :math:`\mathbb 1[d \odot \theta \ge 0]`
            with the direction :math:`d` that is subtracted. Implementations differ at 0: Muon's
            have >=, as here, modded-nanogpt's Adam has >.
        before_rate: whether the transform stands before the rate in its chain. Numbers are then
            accepted for ``schedule``, too.
        mask: which parameters decay: a tree of booleans, or a function from the parameters to one.
            None: all.

    Returns:
        The transform; its state is a :class:`DecayWeightsState`, inside ``optax.MaskedState`` with
        a mask.

    Raises:
        TypeError: if ``schedule`` is not callable (write ``Constant(value=...)`` for a number).
        ValueError: if a factor is negative; from ``init`` and ``update``, if a pattern decides for
            no parameter; from ``update``, if it gets no parameters.

    Example:
        >>> from optax_lrs import Linear
        >>> tx = decay_weights(Linear(peak=0.5, total_steps=4))
        >>> params = {"w": jnp.full(2, 8.0)}
        >>> updates, state = tx.update({"w": jnp.zeros(2)}, tx.init(params), params)
        >>> print(updates["w"], state.weight_decay)
        [-4. -4.] 0.5

    References:
        Loshchilov, Hutter, Decoupled Weight Decay Regularization, arXiv:1711.05101. Chen et al.,
        Cautious Weight Decay, arXiv:2510.12402.
    """
    is_number = isinstance(schedule, (jax.Array, np.ndarray)) or (before_rate and isinstance(schedule, (int, float)))
    if not is_number:
        function(_OWNER, "schedule", schedule, example="Constant(value=1e-5)")
    factors = dict(instance(_OWNER, "factors", {} if factors is None else factors, Mapping))
    patterns = checked_patterns(tuple(factors), _OWNER, "factors")
    factors = {pattern: number(_OWNER, f"the factor of {pattern!r}", factors[pattern], low=0.0) for pattern in patterns}
    sign = 1.0 if before_rate else -1.0  # of the direction that is subtracted in the updates

    def init(params: Any) -> Any:
        labelled(params, patterns, others=_OTHERS, owner=_OWNER)
        live = jax.tree.map(on_mesh, schedule) if isinstance(schedule, Schedule) else None
        return DecayWeightsState(jnp.zeros((), jnp.int32), jnp.zeros((), jnp.float32), live)

    def update(updates: Any, state: Any, params: Any = None, **extra_args: Any) -> Any:
        del extra_args
        params = given_params(_OWNER, params)
        found = schedule if state.schedule is None else state.schedule
        decay = jnp.asarray(found(state.count) if callable(found) else found, jnp.float32)

        def decayed(factor, u, p):
            if u is None or factor == 0.0:
                return u
            dtype = wide_dtype(p.dtype)
            share = (decay if factor == 1.0 else factor * decay).astype(dtype)
            lost = share * p.astype(dtype)
            if cautious:
                # By signs, as the product of two small numbers may underflow.
                agree = jnp.real(jnp.sign(u.astype(dtype)) * jnp.conj(jnp.sign(p.astype(dtype)))) * sign >= 0
                lost = jnp.where(agree, lost, jnp.zeros_like(lost))
            return (u.astype(dtype) + sign * lost).astype(u.dtype)

        def of_parameter(label, u, p):
            of_leaf = functools.partial(decayed, factors.get(label, 1.0))
            return jax.tree.map(of_leaf, u, p, is_leaf=lambda leaf: leaf is None)

        labels = labelled(params, patterns, others=_OTHERS, owner=_OWNER)
        updates = jax.tree.map(of_parameter, labels, updates, params)
        return updates, DecayWeightsState(next_step(state.count), decay, state.schedule)

    tx = optax.GradientTransformationExtraArgs(init, update)
    return tx if mask is None else optax.masked(tx, mask)
