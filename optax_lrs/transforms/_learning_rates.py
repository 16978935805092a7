"""The rates that an optimizer applied, read from its state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from optax_lrs._paths import name as path_name
from optax_lrs._states.found import Found, Key, optimizer_state, states_in, unboxed


def learning_rates(opt_state: Any, schedule: optax.Schedule | None = None) -> dict[str, jax.Array]:
    """Reads the rates that the last update was scaled by, from any optimizer state, by path.

    The states of :func:`scale_by_live_schedule`, ``scale_by_rewarming_schedule``,
    ``with_rates_by_path`` and ``optax.inject_hyperparams`` hold the applied rate, as does every
    state that declares ``applied_rates`` (:class:`optax_lrs.transforms.Roles`). They are found
    through ``chain``, ``partition``, ``masked``, ``MultiSteps``, ``apply_if_finite``,
    ``nnx.Optimizer`` and any other nesting. States that keep only a count, such as that of
    ``optax.adamw(schedule)``, need ``schedule``: the rate is then that of the last step counted.

    The result is what was applied, not the rate of the next step and not one rounded to the
    parameters' type. It includes the scale of every :func:`scale_by_plateau`,
    :func:`scale_by_greedy` and ``optax.contrib.reduce_on_plateau`` in the same chain or in a chain
    around it. (A scale inside a mask or wrapper is left out, as it applies to part of the updates.)

    Args:
        opt_state: the state of one optimizer; or an ``nnx.Optimizer`` or ``TrainState``, whose
            ``opt_state`` is read.
        schedule: the schedule of an optimizer that keeps only a count.

    Returns:
        float32 arrays, shape (), by path, such as ``{"2": ...}`` for the third member of a chain; 0
        before the first update (``inject_hyperparams``: its first rate). They are on the device,
        and ``float(rate)`` waits for the step that computes them. Inside ``jit`` they are tracers,
        so that a training step can return them with its loss.

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
    states = states_in(optimizer_state(opt_state))
    rates: dict[Key, jax.Array] = {}
    scales: list[tuple[Key, jax.Array]] = []
    reported: set[Key] = set()  # states whose rates hide those of the states nested in them
    for state in states:
        scales += [(_chain(state.key), _scalar(scale)) for _, scale in state.values("scales")]
        if any(outer.key in reported for outer in state.around):
            continue
        applied = _applied(state)
        if applied:
            reported.add(state.key)
            rates |= applied
        elif schedule is not None and state.roles and not state.roles.applied_rates:
            for _, count in state.values("rate_steps"):
                rates[state.key] = _last_rate(schedule, _scalar(count, jnp.int32))
    if not rates:
        unknown = sorted({f"{type(state.node).__name__} at {state.path!r}" for state in states if state.roles is None})
        hint = f". These states declare no roles: {', '.join(unknown)}" if unknown else ""
        raise ValueError(
            "learning_rates: this optimizer state holds no rate; put scale_by_live_schedule at the end of the chain, or"
            f" pass schedule= if the optimizer was given one{hint}"
        )
    for chain, scale in scales:
        rates = {key: rate * scale if key[: len(chain)] == chain else rate for key, rate in rates.items()}
    return {path_name(key): rate for key, rate in rates.items()}


def _applied(state: Found) -> dict[Key, jax.Array]:
    """The applied rates of a state: at its own key if there is one, else by field or by label."""
    fields = dict(state.values("applied_rates"))
    found: dict[Key, jax.Array] = {}
    for name, value in fields.items():
        key = state.key if len(fields) == 1 else (*state.key, jax.tree_util.GetAttrKey(name))
        if isinstance(value, Mapping):
            found |= {(*key, jax.tree_util.DictKey(label)): _scalar(rate) for label, rate in value.items()}
        else:
            found[key] = _scalar(value)
    return found


def _last_rate(schedule: optax.Schedule, count: jax.Array) -> jax.Array:
    rate = jnp.where(count > 0, schedule(jnp.maximum(count - 1, 0)), 0)
    return rate.astype(jnp.float32)


def _chain(key: Key) -> Key:
    """The key of the outermost chain of a member: chains are tuples or dicts, not fields."""
    while key and not isinstance(key[-1], jax.tree_util.GetAttrKey):
        key = key[:-1]
    return key


def _scalar(leaf: Any, dtype: Any = jnp.float32) -> jax.Array:
    return jnp.asarray(unboxed(leaf), dtype)
