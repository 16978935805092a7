"""Live schedules: a schedule inside the optimizer state, next to the rate that was last applied."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from optax_lrs._float32 import on_mesh
from optax_lrs._paths import name as path_name
from optax_lrs._schedule import Schedule
from optax_lrs._states import Roles
from optax_lrs._value.arguments import instance, is_traced
from optax_lrs.transforms._greedy import GreedyState
from optax_lrs.transforms._plateau import PlateauState

EXAMPLE = "Constant(value=0.1)"  # of a Schedule, in error messages
_FACTORS = (PlateauState, GreedyState, optax.contrib.ReduceLROnPlateauState)


class LiveScheduleState(NamedTuple):
    """State of :func:`scale_by_live_schedule`."""

    count: jax.Array  # int32, shape (), replicated: the step that the next update is given
    schedule: Schedule  # its numbers float32, replicated
    learning_rate: jax.Array  # float32, shape (), replicated: what the last update was scaled by; 0 before the first

    roles = Roles(
        rate_steps="count",
        live_schedules="schedule",
        settings="schedule",
        derived="learning_rate",
        applied_rates="learning_rate",
    )


class GroupRatesState(NamedTuple):
    """State of the rates in :func:`optax_lrs.with_rates_by_path`."""

    live: LiveScheduleState
    factors: dict[str, Any]  # by pattern: float32, shape (), or a Schedule with its numbers float32; replicated
    learning_rates: dict[str, jax.Array]  # by pattern: float32, shape (): what the last update was scaled by

    roles = Roles(nested="live", settings="factors", derived="learning_rates", applied_rates="learning_rates")


class RewarmingState(NamedTuple):
    """State of :func:`optax_lrs.scale_by_rewarming_schedule`."""

    live: LiveScheduleState  # its count: of all updates; its schedule: until the first boundary; its rate: whichever's
    again: Schedule | None  # since a boundary: its numbers float32, replicated; None: the live schedule again
    since_count: jax.Array  # int32, shape (), replicated: the updates since the last boundary, or the beginning
    boundary_count: jax.Array  # int32, shape (), replicated: the boundaries so far
    detector: Any  # what the detector of boundaries remembers, such as LossShiftState; None without one

    roles = Roles(
        nested=("live", "detector"),
        phase_steps="since_count",
        counts="boundary_count",
        phase_schedules="again",
        settings="again",
        applied_rates="live/learning_rate",
    )


def scale_by_live_schedule(schedule: Schedule) -> optax.GradientTransformationExtraArgs:
    r"""Scales updates by the negative rate of a schedule that is part of the optimizer state.

    .. math:: u_t \leftarrow -\eta(t)\, u_t

    Place it last in a chain, instead of ``optax.scale_by_learning_rate``, to which it is bit-identical::

        tx = optax.chain(optax.scale_by_adam(), optax.add_decayed_weights(0.1), olrs.scale_by_live_schedule(schedule))

    The schedule is then checkpointed with the state, :func:`with_schedule` replaces it in a running job
    without recompiling, and :func:`learning_rates` reports the rate that was applied. It needs no extra
    argument. **Cost**: two scalars of state and the numbers of the schedule.

    Under ``optax.MultiSteps`` the count is of updates, not of micro-batches. Under ``optax.apply_if_finite``
    it does not advance while updates are skipped.

    Args:
        schedule: a :class:`Schedule`. Its rates become float32 leaves of the state. Its counts of steps stay
            part of the structure of the state.

    Returns:
        The transform; its state is a :class:`LiveScheduleState`.

    Raises:
        TypeError: if ``schedule`` is not a :class:`Schedule` (write ``Constant(value=...)`` for a number).

    Example:
        >>> from optax_lrs import Linear
        >>> tx = scale_by_live_schedule(Linear(peak=0.5, total_steps=4))
        >>> state = tx.init({"w": jnp.ones(2)})
        >>> updates, state = tx.update({"w": jnp.ones(2)}, state)
        >>> print(updates["w"], state.learning_rate)
        [-0.5 -0.5] 0.5
    """
    instance("scale_by_live_schedule", "schedule", schedule, Schedule, example=EXAMPLE)

    def init(params):
        del params
        # A copy of the schedule's numbers: donating the state must not delete the caller's.
        return LiveScheduleState(jnp.zeros((), jnp.int32), jax.tree.map(on_mesh, schedule), jnp.zeros((), jnp.float32))

    def update(updates, state, params=None, **extra_args):
        del params, extra_args
        rate = state.schedule(state.count)
        return descent(updates, rate), LiveScheduleState(optax.safe_increment(state.count), state.schedule, rate)

    return optax.GradientTransformationExtraArgs(init, update)


def descent(updates: Any, rate: jax.Array) -> Any:
    """Returns the updates times the negative rate, to the bit as ``optax.scale_by_learning_rate``."""
    return jax.tree.map(lambda g: (-rate).astype(g.dtype) * g, updates)  # negated first, then cast to each type


def with_schedule(opt_state: Any, schedule: Schedule, *, path: str | None = None) -> Any:
    """The optimizer state with another live schedule in it; the step count and everything else stay.

    If the new schedule is of the same kind and the same counts as the old one, nothing is compiled anew: a controller on
    the host may change the rates at every step. Otherwise the next step compiles once.

    Of a ``scale_by_rewarming_schedule`` both schedules are replaced, or the one whose path is given: that ends in ``live`` or ``again``.

    Args:
        opt_state: any optimizer state with a :func:`scale_by_live_schedule` in it, at any depth.
        schedule: the new schedule.
        path: change only the live schedules at or below this path, as :func:`learning_rates` names it; None for all.

    Returns:
        A new state; placed on devices like the old.

    Raises:
        ValueError: if there is no live schedule (at that path).
        TypeError: if ``schedule`` is no :class:`Schedule`.

    Example:
        >>> from optax_lrs import Constant
        >>> tx = scale_by_live_schedule(Constant(value=0.1))
        >>> state = with_schedule(tx.init({}), Constant(value=0.5))
        >>> print(tx.update({"w": jnp.ones(1)}, state)[0]["w"])
        [-0.5]
    """
    instance("with_schedule", "schedule", schedule, Schedule, example=EXAMPLE)
    found = []

    def within(name):
        here = not path or name == path or name.startswith(f"{path}/")
        found.extend([name] if here else [])
        return here

    def replace(key, node):
        name = path_name(key)
        if isinstance(node, RewarmingState):
            node = node._replace(live=replace((*key, jax.tree_util.GetAttrKey("live")), node.live))
            again = node.again is not None and within(f"{name}/again".lstrip("/"))
            return node._replace(again=_placed(schedule, node.live.count)) if again else node
        if not isinstance(node, LiveScheduleState) or not within(name):
            return node
        return node._replace(schedule=_placed(schedule, node.count))

    holds = lambda node: isinstance(node, (LiveScheduleState, RewarmingState))  # noqa: E731
    replaced = jax.tree_util.tree_map_with_path(replace, opt_state, is_leaf=holds)
    if not found:
        where = f" at {path!r}" if path else ""
        raise ValueError(f"with_schedule: no scale_by_live_schedule in this optimizer state{where}")
    return replaced


def learning_rates(opt_state: Any, schedule: optax.Schedule | None = None) -> dict[str, jax.Array]:
    """The rates that the last update was scaled by, from any optimizer state, by path.

    Reads the states of :func:`scale_by_live_schedule`, ``scale_by_rewarming_schedule``, ``with_rates_by_path`` and ``optax.inject_hyperparams``, through
    ``chain``, ``partition``, ``masked``, ``MultiSteps``, ``apply_if_finite``, ``nnx.Optimizer`` and whatever else nests states.
    States that keep only a count, as ``optax.adamw(schedule)`` does, need the schedule: then the rate is the schedule's
    at the last step counted. What comes back is what was applied: neither the next step's rate nor one rounded to the
    parameters' type, and with the scale of every :func:`scale_by_plateau`, :func:`scale_by_greedy` and
    ``optax.contrib.reduce_on_plateau`` in the same chain, or in a chain around it, multiplied in. (Not that of one
    inside a mask or wrapper of its own, which the rate's updates go through only in part.)

    Args:
        opt_state: the state of one optimizer; or an ``nnx.Optimizer`` or ``TrainState``, of which the ``opt_state`` is taken.
        schedule: the schedule of an optimizer that keeps only a count.

    Returns:
        float32 arrays, shape (), by path, such as ``{"2": ...}`` for the third member of a chain; 0 before the first
        update (``inject_hyperparams``: its first rate). They are on the device: ``float(rate)`` waits for the step that
        computes it. Inside ``jit`` they are tracers, so that a training step can return them with its loss.

    Raises:
        ValueError: if the state holds no rate.

    Example:
        >>> from optax_lrs import Linear
        >>> lr = Linear(peak=0.5, total_steps=4)
        >>> tx = optax.adamw(lr)
        >>> params = {"w": jnp.ones(2)}
        >>> updates, state = tx.update(params, tx.init(params), params)
        >>> print(learning_rates(state, lr))
        {'2': Array(0.5, dtype=float32)}
    """
    opt_state = getattr(opt_state, "opt_state", opt_state)
    rates, factors = {}, []
    for key, node in jax.tree_util.tree_flatten_with_path(opt_state, is_leaf=_holds_rate)[0]:
        if isinstance(node, _FACTORS):
            factors.append((_chain(key), _scalar(node.scale)))
        elif isinstance(node, (LiveScheduleState, RewarmingState)):
            rates[key] = _scalar(getattr(node, "live", node).learning_rate)
        elif isinstance(node, GroupRatesState):
            groups = node.learning_rates.items()
            rates |= {(*key, jax.tree_util.DictKey(label)): _scalar(rate) for label, rate in groups}
        elif isinstance(node, optax.ScaleByScheduleState):
            if schedule is not None:
                count = _scalar(node.count, jnp.int32)
                rates[key] = jnp.where(count > 0, schedule(jnp.maximum(count - 1, 0)), 0).astype(jnp.float32)
        elif _holds_rate(node):
            rates[key] = _scalar(node.hyperparams["learning_rate"])
    for chain, scale in factors:
        rates = {key: rate * scale if key[: len(chain)] == chain else rate for key, rate in rates.items()}
    if not rates:
        raise ValueError(
            "learning_rates: this optimizer state holds no rate; put scale_by_live_schedule at the end of the chain, or"
            " pass schedule= if the optimizer was given one"
        )
    return {path_name(key): rate for key, rate in rates.items()}


def _holds_rate(node: Any) -> bool:
    hyperparams = getattr(node, "hyperparams", None)
    known = (LiveScheduleState, GroupRatesState, RewarmingState, optax.ScaleByScheduleState, *_FACTORS)
    return isinstance(node, known) or (isinstance(hyperparams, dict) and "learning_rate" in hyperparams)


def _chain(key: tuple[Any, ...]) -> tuple[Any, ...]:
    """The path of the outermost chain that a member is in: chains are tuples or dicts, wrappers have named fields."""
    while key and not isinstance(key[-1], jax.tree_util.GetAttrKey):
        key = key[:-1]
    return key


def _scalar(leaf: Any, dtype: Any = jnp.float32) -> jax.Array:
    (array,) = jax.tree.leaves(leaf)  # flax.nnx boxes each leaf of an optimizer state
    return jnp.asarray(array, dtype)


def _placed(schedule: Schedule, count: Any) -> Schedule:
    """The schedule with its numbers placed, committed and boxed as the state's count is: so nothing compiles anew."""
    (old,) = jax.tree.leaves(count)

    def place(leaf):
        if is_traced(old, leaf):
            new = on_mesh(leaf)
        else:
            new = np.asarray(leaf, np.float32)
            if isinstance(old, jax.Array):
                new = jax.device_put(new, old.sharding) if old.committed else jnp.asarray(new)
        return jax.tree.map(lambda _: new, count)

    return jax.tree.map(place, schedule)
