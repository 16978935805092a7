"""Reduce on plateau: a scale on the updates that drops when a metric has stopped improving."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from optax_lrs._states import Roles
from optax_lrs._value.arguments import number, share, whole
from optax_lrs.transforms._metric import MOST, Metric, chosen, scaled

_OWNER = "scale_by_plateau"


class PlateauState(NamedTuple):
    """State of :func:`scale_by_plateau`."""

    scale: jax.Array  # float32, shape (), replicated: the factor of the last update; 1 before the first
    best: jax.Array  # float32, shape (), replicated: the best value (or average) so far; infinite before the first
    bad_count: jax.Array  # int32, shape (), replicated: the number of values in a row that did not improve
    cooldown_count: jax.Array  # int32, shape (), replicated: the number of values still not to count as bad
    mean: jax.Array  # float32, shape (), replicated: the mean of the values in the incomplete average
    mean_count: jax.Array  # int32, shape (), replicated: the number of these values

    roles = Roles(scales="scale", counts=("bad_count", "cooldown_count", "mean_count"))  # type: Roles


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
    r"""Multiplies updates by a scale that drops when a metric has stopped improving.

    .. math:: u_t \leftarrow s_t u_t, \qquad
        s \leftarrow \max(F s, s_{\min}) \ \text{when more than } \textit{patience}\
        \text{values in a row are not}\
        v < v_{\text{best}} - (\textit{rtol}\,|v_{\text{best}}| + \textit{atol})

    Place it after the optimizer in a chain. It works with any schedule: the effective rate is the
    schedule's rate times the scale, and :func:`learning_rates` reports that product. Before Adam it
    would have no effect, because Adam divides a scale out again::

        tx = optax.chain(optax.adamw(schedule), olrs.scale_by_plateau(factor=0.5, patience=5))
        updates, opt_state = tx.update(grads, opt_state, params, value=loss)
        optimizer.update(model, grads, value=loss)  # flax.nnx

    **The extra argument** ``value`` is the metric: a scalar, the same on every device. A value that
    lowers the scale already scales the update that came with it. Updates without a value keep the
    scale. So ``TrainState.apply_gradients``, which passes no extra arguments, trains at the current
    scale; pass the value with
    ``state.tx.update(grads, state.opt_state, state.params, value=loss)``.
    Whether there is a value is decided when the program is traced. Within one
    program, nan stands for "no value" (unless ``nonfinite="bad"``).

    **The state** can be read and changed. ``best`` is infinite until the first value arrives.
    ``optax.tree.set(opt_state, scale=jnp.float32(0.5))`` sets the scale by hand.

    **With** ``optax.MultiSteps``, place it outside. Inside, it would see only the value of the last
    micro-batch, because ``MultiSteps`` drops the states in between. Outside, it sees them all::

        tx = optax.chain(optax.MultiSteps(optax.adamw(schedule), k).gradient_transformation(),
                         olrs.scale_by_plateau(accumulation=k))

    **Cost**: six scalars of state, and one multiplication for each element of the updates.

    Unlike PyTorch: the margin is a fraction of ``|best|``, so that negative metrics work; there is
    a policy for values that are not finite; the floor is relative; and there is no ``eps`` below
    which reductions are ignored, so set ``min_scale`` for long runs. Unlike
    ``optax.contrib.reduce_on_plateau``, whose patience ends one value earlier (``patience=2`` there
    is ``patience=1`` here), the state is float32 whatever the type of the parameters.

    Args:
        factor: multiplies the scale at each reduction; above 0 and below 1.
        patience: the number of values in a row that may fail to improve. The next one reduces the
            scale, as in PyTorch.
        rtol: the improvement that a value must make, as a fraction of ``|best|``; from 0 to 1.
        atol: the improvement that it must make in the unit of the metric, added to the former.
        cooldown: the number of values after a reduction that do not count as bad.
        min_scale: the lowest scale, relative to the schedule; from 0 to 1.
        accumulation: the number of values averaged into the one that counts; averages do not
            overlap. 1 for validation metrics. For the training loss, enough to average its noise
            out.
        mode: ``"min"`` if lower is better, ``"max"`` if higher is.
        nonfinite: what to do with nan and infinity. ``"skip"``: as if no value was passed.
            ``"bad"``: the value does not improve, nor does the average that contains it.

    Returns:
        The transform; its state is a :class:`PlateauState`.

    Raises:
        ValueError: if an argument is out of range; from ``update``, if ``value`` is not a scalar.
        TypeError: if an argument has the wrong type.

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
    factor = number(_OWNER, "factor", factor, above=0.0, below=1.0)
    min_scale = share(_OWNER, "min_scale", min_scale)
    patience = whole(_OWNER, "patience", patience, low=0, high=MOST)
    cooldown = whole(_OWNER, "cooldown", cooldown, low=0, high=MOST)
    metric = Metric(_OWNER, mode, rtol, atol, accumulation, nonfinite)

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
