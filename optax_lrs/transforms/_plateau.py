"""Reduce on plateau: a factor on the updates that falls when a metric has stopped improving."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from optax_lrs._states import Roles
from optax_lrs.transforms._metric import Metric, chosen, count, number, scaled


class PlateauState(NamedTuple):
    """State of :func:`scale_by_plateau`."""

    scale: jax.Array  # float32, shape (), replicated: what the last update was multiplied by; 1 before the first
    best: jax.Array  # float32, shape (), replicated: the best value (or average) so far; infinite before the first
    bad_count: jax.Array  # int32, shape (), replicated: how many in a row did not improve on it
    cooldown_count: jax.Array  # int32, shape (), replicated: how many more are not counted as bad
    mean: jax.Array  # float32, shape (), replicated: of the values that wait for their average to be complete
    mean_count: jax.Array  # int32, shape (), replicated: how many wait

    roles = Roles(scales="scale", counts=("bad_count", "cooldown_count", "mean_count"))


def scale_by_plateau(
    *,
    factor: float = 0.1,
    patience: int = 10,
    rtol: float = 1e-4,
    atol: float = 0.0,
    cooldown: int = 0,
    min_scale: float = 0.0,
    accumulation: int = 1,
    mode: str = "min",
    nonfinite: str = "skip",
) -> optax.GradientTransformationExtraArgs:
    r"""Multiplies updates by a scale that is reduced when a metric has stopped improving.

    .. math:: u_t \leftarrow s_t u_t, \qquad
        s \leftarrow \max(F s, s_{\min}) \ \text{when more than } \textit{patience}\ \text{values in a row are not}\
        v < v_{\text{best}} - (\textit{rtol}\,|v_{\text{best}}| + \textit{atol})

    It stands after the optimizer in a chain, so that the rate is that of any schedule times the scale::

        tx = optax.chain(optax.adamw(schedule), olrs.scale_by_plateau(factor=0.5, patience=5))
        updates, opt_state = tx.update(grads, opt_state, params, value=loss)
        optimizer.update(model, grads, value=loss)  # flax.nnx

    :func:`learning_rates` reports the product. (Before Adam it would do nothing: Adam divides a scale out again.) The
    scale that a value leads to is already on the update that came with it.

    ``value`` is a scalar, the same on every device. Updates without one hold the scale, so ``TrainState.apply_gradients``,
    which passes no extra arguments, trains at the present scale; pass the value with
    ``state.tx.update(grads, state.opt_state, state.params, value=loss)``. Whether a value is there is decided when
    the program is traced; within one program, nan stands for no value (unless ``nonfinite="bad"``). If ``best`` in the
    state is infinite, no value has arrived. ``optax.tree.set(opt_state, scale=jnp.float32(0.5))`` sets the scale by hand.

    Inside ``optax.MultiSteps`` it would see only the last micro-batch's value, for ``MultiSteps`` drops the states in
    between. Outside it sees them all::

        tx = optax.chain(optax.MultiSteps(optax.adamw(schedule), k).gradient_transformation(),
                         olrs.scale_by_plateau(accumulation=k))

    Unlike PyTorch: the margin is a fraction of ``|best|``, so that negative metrics work too; values that are not
    finite have a policy; the floor is relative; there is no ``eps`` under which reductions are ignored, so give a
    ``min_scale`` to long runs. Unlike ``optax.contrib.reduce_on_plateau``, whose patience ends one value earlier
    (``patience=2`` there is ``patience=1`` here), the state is float32 whatever the parameters' type.

    Args:
        factor: what the scale is multiplied by, above 0 and below 1.
        patience: how many values in a row may fail to improve: the scale is reduced at the one after, as in PyTorch.
        rtol: by which fraction of ``|best|`` a value must be better to be an improvement.
        atol: by how much it must be better, in the metric's unit; added to the former.
        cooldown: for how many values after a reduction none counts as bad.
        min_scale: the lowest scale; from 0 to 1, relative to the schedule.
        accumulation: how many values are averaged into the one that counts, one average after another. 1 for
            validation metrics; for the training loss, enough to average its noise out.
        mode: ``"min"`` if lower is better, ``"max"`` if higher is.
        nonfinite: what a nan or an infinity is: ``"skip"``, as if not passed; ``"bad"``, no improvement (and the average
            that it is in is none either).

    Raises:
        ValueError, TypeError: if an argument is out of its range, when built; if ``value`` is not a scalar, when traced.

    Example:
        >>> tx = scale_by_plateau(factor=0.5, patience=1)
        >>> state = tx.init({})
        >>> for value in (3.0, 2.0, 2.5, 2.5, 2.5):
        ...     updates, state = tx.update({"w": jnp.ones(1)}, state, value=value)
        ...     print(updates["w"])
        [1.]
        [1.]
        [1.]
        [0.5]
        [0.5]

    References:
        The rule is that of PyTorch's ``ReduceLROnPlateau``.
    """
    factor = number("factor", factor, 0.0, 1.0, without=(0.0, 1.0))
    min_scale = number("min_scale", min_scale, 0.0, 1.0)
    patience, cooldown = count("patience", patience, 0), count("cooldown", cooldown, 0)
    metric = Metric(mode, rtol, atol, accumulation, nonfinite)

    def init(params: Any) -> PlateauState:
        del params
        return PlateauState(
            scale=jnp.ones((), jnp.float32),
            best=jnp.full((), metric.worst, jnp.float32),
            bad_count=jnp.zeros((), jnp.int32),
            cooldown_count=jnp.zeros((), jnp.int32),
            mean=jnp.zeros((), jnp.float32),
            mean_count=jnp.zeros((), jnp.int32),
        )

    def counted(state: PlateauState, value: jax.Array) -> PlateauState:
        better = metric.improves(value, state.best)
        cooling = state.cooldown_count > 0
        bad_count = jnp.where(better | cooling, 0, state.bad_count + 1)
        reduce = bad_count > patience
        return state._replace(
            scale=jnp.where(reduce, jnp.maximum(state.scale * factor, min_scale), state.scale),
            best=jnp.where(better, value, state.best),
            bad_count=jnp.where(reduce, 0, bad_count),
            cooldown_count=jnp.where(reduce, cooldown, jnp.maximum(state.cooldown_count - 1, 0)),
        )

    def update(updates, state, params=None, *, value=None, **extra_args):
        del params, extra_args
        if value is not None:
            complete, average, mean, mean_count = metric.averaged(value, state.mean, state.mean_count)
            state = chosen(complete, counted(state, average), state)._replace(mean=mean, mean_count=mean_count)
        return scaled(updates, state.scale), state

    return optax.GradientTransformationExtraArgs(init, update)
