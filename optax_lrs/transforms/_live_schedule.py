"""Live schedules: a schedule inside the optimizer state, next to the rate that was last applied."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from optax_lrs._float32 import on_mesh
from optax_lrs._schedule import Schedule
from optax_lrs._states import Roles
from optax_lrs._states.count import next_step
from optax_lrs._value.arguments import instance

EXAMPLE = "Constant(value=0.1)"  # of a Schedule, in error messages


class LiveScheduleState(NamedTuple):
    """State of :func:`scale_by_live_schedule`."""

    count: jax.Array  # int32, shape (), replicated: the step of the next update
    schedule: Schedule  # its numbers are float32, replicated
    learning_rate: jax.Array  # float32, shape (), replicated: the rate of the last update; 0 before the first

    roles = Roles(
        rate_steps="count",
        live_schedules="schedule",
        settings="schedule",
        derived="learning_rate",
        applied_rates="learning_rate",
    )  # type: Roles


class GroupRatesState(NamedTuple):
    """State of the last part of :func:`with_rates_by_path`."""

    live: LiveScheduleState
    factors: dict[str, Any]  # by pattern: float32, shape (), or a Schedule whose numbers are float32; replicated
    learning_rates: dict[str, jax.Array]  # by pattern: float32, shape (): the rate of the last update

    roles = Roles(
        nested="live",
        other_schedules="factors",
        settings="factors",
        derived="learning_rates",
        applied_rates="learning_rates",
    )  # type: Roles


class RewarmingState(NamedTuple):
    """State of :func:`scale_by_rewarming_schedule`."""

    live: LiveScheduleState  # counts all updates; its schedule holds until the first boundary
    again: Schedule | None  # after a boundary; its numbers are float32, replicated; None: the live schedule again
    since_count: jax.Array  # int32, shape (), replicated: the updates since the last boundary or the beginning
    boundary_count: jax.Array  # int32, shape (), replicated: the boundaries so far
    detector: Any  # the state of the detector, such as LossShiftState; None without one

    roles = Roles(
        nested=("live", "detector"),
        phase_steps="since_count",
        counts="boundary_count",
        phase_schedules="again",
        settings="again",
        applied_rates="live/learning_rate",
    )  # type: Roles


def scale_by_live_schedule(schedule: Schedule) -> optax.GradientTransformationExtraArgs:
    r"""Scales updates by the negative rate of a schedule that is part of the optimizer state.

    .. math:: u_t \leftarrow -\eta(t)\, u_t

    Place it last in a chain, instead of ``optax.scale_by_learning_rate``, to which it is
    bit-identical::

        tx = optax.chain(
            optax.scale_by_adam(),
            optax.add_decayed_weights(0.1),
            olrs.scale_by_live_schedule(schedule),
        )

    It turns gradients into descent, as every optimizer that has a rate does already: after
    ``optax.adamw(...)`` the loss climbs. No member of a chain sees the others, so that nothing can
    raise before :func:`learning_rates` and :func:`log_dict` read the state; they do, if the other
    rate is in the state too.

    The schedule is then checkpointed with the state, :func:`with_schedule` replaces it in a running
    job without recompiling, and :func:`learning_rates` reports the rate that was applied. It needs
    no extra argument. **Cost**: two scalars of state and the numbers of the schedule.

    Under ``optax.MultiSteps`` the count is of updates, not of micro-batches. Under
    ``optax.apply_if_finite`` it does not advance while updates are skipped.

    Args:
        schedule: a :class:`Schedule`. Its rates become float32 leaves of the state. Its counts of
            steps stay part of the structure of the state.

    Returns:
        The transform; its state is a :class:`LiveScheduleState`.

    Raises:
        TypeError: if ``schedule`` is not a :class:`Schedule` (write ``Constant(value=...)`` for a
            number).

    Example:
        >>> from optax_lrs import Linear
        >>> tx = scale_by_live_schedule(Linear(peak=0.5, total_steps=4))
        >>> state = tx.init({"w": jnp.ones(2)})
        >>> updates, state = tx.update({"w": jnp.ones(2)}, state)
        >>> print(updates["w"], state.learning_rate)
        [-0.5 -0.5] 0.5
    """
    instance("scale_by_live_schedule", "schedule", schedule, Schedule, example=EXAMPLE)

    def init(params: Any) -> Any:
        del params
        return live_state(schedule)

    def update(updates: Any, state: Any, params: Any = None, **extra_args: Any) -> Any:
        del params, extra_args
        rate = state.schedule(state.count)
        return descent(updates, rate), advanced(state, rate)

    return optax.GradientTransformationExtraArgs(init, update)


def live_state(schedule: Schedule) -> LiveScheduleState:
    """Returns the initial state, with a copy of the schedule, because states may be donated."""
    return LiveScheduleState(jnp.zeros((), jnp.int32), jax.tree.map(on_mesh, schedule), jnp.zeros((), jnp.float32))


def advanced(state: LiveScheduleState, rate: jax.Array) -> LiveScheduleState:
    """Returns the state after an update that was scaled by this rate."""
    return state._replace(count=next_step(state.count), learning_rate=rate)


def descent(updates: Any, rate: jax.Array) -> Any:
    """Returns the updates times the negative rate, rounded as in ``scale_by_learning_rate``."""
    return jax.tree.map(lambda g: (-rate).astype(g.dtype) * g, updates)  # negated first, then cast to each type
