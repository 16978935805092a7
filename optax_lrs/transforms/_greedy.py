"""GreedyLR: a scale on the updates that rises while a metric improves and falls otherwise."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from optax_lrs._states import Roles
from optax_lrs._value.arguments import number, whole
from optax_lrs.transforms._metric import MOST, Metric, chosen, scaled

_OWNER = "scale_by_greedy"


class GreedyState(NamedTuple):
    """State of :func:`scale_by_greedy`."""

    scale: jax.Array  # float32, shape (), replicated: the factor of the last update; 1 before the first
    best: jax.Array  # float32, shape (), replicated: the best value (or average) so far; infinite before the first
    good_count: jax.Array  # int32, shape (), replicated: the number of values in a row that improved
    bad_count: jax.Array  # int32, shape (), replicated: the number of values in a row that did not
    # int32, shape (), replicated: the number of values still to ignore after a change of the scale
    wait_count: jax.Array
    floor_count: jax.Array  # int32, shape (), replicated: the number of reductions that ended at the lowest scale
    mean: jax.Array  # float32, shape (), replicated: the mean of the values in the incomplete average
    mean_count: jax.Array  # int32, shape (), replicated: the number of these values

    roles = Roles(
        scales="scale",
        counts=("good_count", "bad_count", "wait_count", "floor_count", "mean_count"),
    )  # type: Roles


def scale_by_greedy(
    *,
    min_scale: float,
    max_scale: float,
    factor: float = 0.95,
    patience: int = 10,
    rtol: float = 0.0,
    atol: float = 1e-6,
    cooldown: int = 0,
    warmup: int = 0,
    reset: int = 500,
    accumulation: int = 1,
    mode: str = "min",
    nonfinite: str = "skip",
) -> optax.GradientTransformationExtraArgs:
    r"""Multiplies updates by a scale that rises and falls with a metric (GreedyLR).

    .. math:: u_t \leftarrow s_t u_t, \qquad s \leftarrow \begin{cases}
        \min(s / F, s_{\max}) & \text{more than } \textit{patience}\ \text{improvements in a row} \\
        \max(F s, s_{\min}) & \text{more than } \textit{patience}\ \text{values in a row}\
        \text{that are none}
        \end{cases}

    A value improves if
    :math:`v < v_{\text{best}} - (\textit{rtol}\,|v_{\text{best}}| + \textit{atol})`.
    After ``reset`` reductions that ended at the lowest scale, with no increase
    between them, the rule starts again: scale 1, and no best value.

    Place it after the optimizer in a chain. The effective rate is the schedule's rate times the
    scale::

        tx = optax.chain(optax.adamw(schedule), olrs.scale_by_greedy(min_scale=0.01, max_scale=2.0))
        updates, opt_state = tx.update(grads, opt_state, params, value=loss)

    :func:`scale_by_plateau` explains how to pass ``value``, what happens without it, where the
    transform goes with ``optax.MultiSteps``, and how to read or set the scale.

    **Cost**: eight scalars of state, and one multiplication for each element of the updates.

    Unlike the authors' code (``transformers.GreedyLR``): the scale multiplies a schedule, and its
    bounds are relative. They have no defaults: the code's defaults, rates from 1e-3 to 1, silently
    block every reduction of a rate that is already lower. The margin is a fraction of ``|best|``,
    so that negative metrics work. There is no ``eps`` below which changes are ignored. Averages do
    not overlap; to use a rolling average, pass it as ``value``.

    Args:
        min_scale: the lowest scale, relative to the schedule; above 0 and at most 1.
        max_scale: the highest scale, relative to the schedule; at least 1.
        factor: a reduction multiplies the scale by it, an increase divides by it; above 0 and below
            1.
        patience: the number of improvements, or of failures to improve, in a row that change
            nothing. The next one changes the scale.
        rtol: the improvement that a value must make, as a fraction of ``|best|``; from 0 to 1.
        atol: the improvement that it must make in the unit of the metric, added to the former.
        cooldown: the number of values that are ignored after a reduction.
        warmup: the number of values that are ignored after an increase.
        reset: the number of reductions at the lowest scale after which the rule starts again.
        accumulation: the number of values averaged into the one that counts; averages do not
            overlap.
        mode: ``"min"`` if lower is better, ``"max"`` if higher is.
        nonfinite: what to do with nan and infinity. ``"skip"``: as if no value was passed.
            ``"bad"``: the value does not improve, nor does the average that contains it.

    Returns:
        The transform; its state is a :class:`GreedyState`.

    Raises:
        ValueError: if an argument is out of range; from ``update``, if ``value`` is not a scalar.
        TypeError: if an argument has the wrong type.

    Example:
        >>> tx = scale_by_greedy(min_scale=0.25, max_scale=4.0, factor=0.5, patience=0)
        >>> state = tx.init({})
        >>> for value in (3.0, 2.0, 2.5, 2.5):
        ...     updates, state = tx.update({"w": jnp.ones(1)}, state, value=value)
        ...     print(updates["w"])
        [2.]
        [4.]
        [2.]
        [1.]

    References:
        Subramanian et al., GreedyLR, arXiv:2512.14527. Defaults and order of the rules from the
        authors' implementation; the paper itself was not available.
    """
    factor = number(_OWNER, "factor", factor, above=0.0, below=1.0)
    min_scale = number(_OWNER, "min_scale", min_scale, above=0.0, high=1.0)  # no increase leads away from 0
    max_scale = number(_OWNER, "max_scale", max_scale, low=1.0)
    patience = whole(_OWNER, "patience", patience, low=0, high=MOST)
    cooldown = whole(_OWNER, "cooldown", cooldown, low=0, high=MOST)
    warmup = whole(_OWNER, "warmup", warmup, low=0, high=MOST)
    reset = whole(_OWNER, "reset", reset, low=1, high=MOST)
    metric = Metric(_OWNER, mode, rtol, atol, accumulation, nonfinite)

    def init(params: Any) -> GreedyState:
        del params
        return GreedyState(
            scale=jnp.ones((), jnp.float32),
            best=jnp.full((), metric.worst, jnp.float32),
            good_count=jnp.zeros((), jnp.int32),
            bad_count=jnp.zeros((), jnp.int32),
            wait_count=jnp.zeros((), jnp.int32),
            floor_count=jnp.zeros((), jnp.int32),
            mean=jnp.zeros((), jnp.float32),
            mean_count=jnp.zeros((), jnp.int32),
        )

    def counted(state: GreedyState, value: jax.Array) -> GreedyState:
        better = metric.improves(value, state.best)
        good_count = jnp.where(better, state.good_count + 1, 0)
        bad_count = jnp.where(better, 0, state.bad_count + 1)
        raised, reduced = good_count > patience, bad_count > patience
        lower = jnp.maximum(state.scale * factor, min_scale)
        higher = jnp.minimum(state.scale / factor, max_scale)
        floor_count = jnp.where(reduced & (lower <= min_scale), state.floor_count + 1, state.floor_count)
        restarts = floor_count >= reset
        return state._replace(
            scale=jnp.where(restarts, 1.0, jnp.where(raised, higher, jnp.where(reduced, lower, state.scale))),
            best=jnp.where(restarts, metric.worst, jnp.where(better, value, state.best)),
            good_count=jnp.where(raised, 0, good_count),
            bad_count=jnp.where(reduced, 0, bad_count),
            wait_count=jnp.where(raised, warmup, jnp.where(reduced, cooldown, state.wait_count)),
            floor_count=jnp.where(raised | restarts, 0, floor_count),
        )

    def waited(state: GreedyState) -> GreedyState:
        nothing = jnp.zeros((), jnp.int32)
        return state._replace(good_count=nothing, bad_count=nothing, wait_count=state.wait_count - 1)

    def update(updates, state, params=None, *, value=None, **extra_args):
        del params, extra_args
        if value is not None:
            complete, average, mean, mean_count = metric.averaged(value, state.mean, state.mean_count)
            after = chosen(state.wait_count > 0, waited(state), counted(state, average))
            state = chosen(complete, after, state)._replace(mean=mean, mean_count=mean_count)
        return scaled(updates, state.scale), state

    return optax.GradientTransformationExtraArgs(init, update)
