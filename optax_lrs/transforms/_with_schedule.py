"""Replaces the live schedules in an optimizer state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from optax_lrs._float32 import on_mesh
from optax_lrs._paths import name as path_name
from optax_lrs._schedule import Schedule
from optax_lrs._states.found import (
    Found,
    boxed,
    held_state,
    is_known_state,
    nodes_in,
    unboxed,
    value_at,
    with_states,
    with_value_at,
)
from optax_lrs._states.typeless import Numbers, with_types, without_types
from optax_lrs._value.arguments import instance, is_traced
from optax_lrs.transforms._readable import RATE, means
from optax_lrs.transforms._readable import group as group_of


def with_schedule(opt_state: Any, schedule: Schedule, *, path: str | None = None) -> Any:
    """Returns the optimizer state with another live schedule; the step and everything else stay.

    Nothing recompiles if the new schedule is of the same class with the same step counts as the old
    one, so a controller on the host may change the rates at every step. Otherwise the next step
    compiles once.

    Without ``path`` all live schedules of the rate are replaced, which must be equal: where they
    differ, as those of groups do, ``path`` says which one is meant. The two schedules of a
    ``scale_by_rewarming_schedule`` are at paths that end in ``live`` and ``again``.

    A state that has lost its types, as in ``nnx.state(optimizer)``, holds only the numbers of a
    schedule. They are replaced by those of the new schedule, which must be of the same class with
    the same step counts.

    Schedules of other hyper-parameters, such as those of :func:`with_hyperparams`, are replaced
    where ``path`` names them: ``with_schedule(state, schedule, path="muon/weight_decay")``.

    Args:
        opt_state: any optimizer state with a :func:`scale_by_live_schedule` in it, at any depth, or
            with a state that declares ``live_schedules`` (:class:`optax_lrs.transforms.Roles`).
        schedule: the new schedule.
        path: change only the live schedules at or below this path; None for all. It is a name of
            :func:`learning_rates` or :func:`log_dict`, such as ``muon``, ``muon/learning_rate`` or
            ``learning_rate/muon``, or the path in the state. A path may leave out keys except the
            last: ``muon/weight_decay`` is the decay of the group ``muon``, wherever that is.

    Returns:
        A new state, placed on devices like the old one.

    Raises:
        ValueError: if there is no live schedule (at that path), live schedules differ and there is
            no path, or a state holds a schedule and does not declare what it is.
        TypeError: if ``schedule`` is not a :class:`Schedule`.

    Example:
        >>> from optax_lrs import Constant, scale_by_live_schedule
        >>> tx = scale_by_live_schedule(Constant(value=0.1))
        >>> state = with_schedule(tx.init({}), Constant(value=0.5))
        >>> print(tx.update({"w": jnp.ones(1)}, state)[0]["w"])
        [-0.5]
    """
    instance("with_schedule", "schedule", schedule, Schedule, example="Constant(value=0.1)")
    if isinstance(opt_state, Mapping) and held_state(opt_state) is not None:
        replaced = with_schedule(held_state(opt_state), schedule, path=path)
        return without_types({**opt_state, "opt_state": replaced}, like=opt_state)
    found: dict[str, Schedule | Numbers] = {}  # the schedules replaced, by path

    def within(name: str) -> bool:
        return not path or name.startswith(f"{path}/") or _means(path, name)

    def change(state: Found) -> Any:
        node = state.node
        if state.roles is None:
            _require_no_schedule(state, within)
            return node
        like = _reference(state)
        for name in (*state.roles.live_schedules, *state.roles.phase_schedules, *state.roles.other_schedules):
            held = value_at(node, name)
            if held is None:
                continue
            others = name in state.roles.other_schedules

            def replace(key: Any, old: Any, name: str = name, others: bool = others) -> Any:
                where = "/".join(filter(None, (state.path, name, path_name(key))))
                meant = _names(path, state, where, others) or (
                    (bool(path) and _means(path, where)) if others else within(where)
                )
                if not isinstance(old, (Schedule, Numbers)) or not meant:
                    return old
                found[where] = old
                new = _placed(schedule, jax.tree.leaves(old)[0] if like is None else like)
                return old.replaced(new, "with_schedule", where) if isinstance(old, Numbers) else new

            is_leaf = lambda node: isinstance(node, (Schedule, Numbers))  # noqa: E731
            new = jax.tree_util.tree_map_with_path(replace, held, is_leaf=is_leaf)
            node = with_value_at(node, name, new)
        return node

    typed = with_types(opt_state)
    replaced = with_states(typed, change)
    if path is None and len(found) > 1:
        _require_equal(found)
    if not found:
        where = f" at {path!r}" if path else ""
        raise ValueError(f"with_schedule: no scale_by_live_schedule in this optimizer state{where}")
    return replaced if typed is opt_state else without_types(replaced, like=opt_state)


def _means(path: str, name: str) -> bool:
    """Whether a path is a name, or leaves out some of its keys, but not the last."""
    *keys, last = path.split("/")
    *others, end = name.split("/")
    rest = iter(others)
    return last == end and all(key in rest for key in keys)


def _names(path: str | None, state: Found, where: str, others: bool) -> bool:
    """Whether a path is the readable name of the hyper-parameter that the schedule gives."""
    if not path or state.roles is None:
        return False
    logged = [name for name in state.roles.logged if len(state.roles.logged) == len(state.roles.other_schedules) == 1]
    last = where.rpartition("/")[2]
    quantity = (logged[0] if logged and last in state.roles.other_schedules else last) if others else RATE
    group = group_of(state.key)
    if not group:
        return path == quantity
    return path in (f"{quantity}/{group}", group if quantity == RATE else None) or (
        path.endswith(f"/{quantity}") and means(path, f"{group}/{quantity}")
    )


def _require_equal(found: Mapping[str, Schedule | Numbers]) -> None:
    """Raises if the live schedules differ, or if that is not known because they are traced."""
    first, *others = found.values()
    traced = is_traced(*jax.tree.leaves(list(found.values())))
    if all(_is_equal(first, other, traced) for other in others):
        return
    why = "are traced, so it is not known whether they are equal" if traced else "differ"
    raise ValueError(
        f"with_schedule: the live schedules in this optimizer state {why}; choose one by path=:"
        f" {', '.join(map(repr, found))}"
    )


def _is_equal(a: Any, b: Any, traced: bool) -> bool:
    if jax.tree.structure(a) != jax.tree.structure(b):
        return False
    leaves = zip(jax.tree.leaves(a), jax.tree.leaves(b))
    return all(x is y if traced else np.array_equal(unboxed(x), unboxed(y)) for x, y in leaves)


def _require_no_schedule(state: Found, within: Any) -> None:
    """Raises if a state without roles holds a schedule: it may be the rate's."""
    stops = lambda node: node is not state.node and (isinstance(node, Schedule) or is_known_state(node))  # noqa: E731
    for key, node in nodes_in(state.node, stops):
        where = path_name((*state.key, *key))
        if isinstance(node, Schedule) and within(where):
            kind = type(state.node).__name__
            raise ValueError(
                f"with_schedule: {kind} holds a schedule at {where!r} and declares no roles, so it is not known whether"
                f" it is the rate's: declare it, {kind}.roles = optax_lrs.transforms.Roles(live_schedules=...) or"
                " Roles(settings=...), or choose other schedules by path="
            )


def _reference(state: Found) -> Any:
    """A replicated scalar of the state, a count or a rate: the schedule is placed as it is."""
    roles = ("rate_steps", "phase_steps", "schedule_steps", "applied_rates")
    found = next((value for role in roles for _, value in state.values(role)), None)
    return next(iter(found.values()), None) if isinstance(found, Mapping) else found


def _placed(schedule: Schedule, like: Any) -> Schedule:
    """The schedule with its numbers placed, committed and boxed as another leaf is."""
    old = unboxed(like)

    def place(leaf: Any) -> Any:
        if is_traced(old, leaf):
            return boxed(on_mesh(leaf), like)
        new: Any = np.asarray(leaf, np.float32)
        if isinstance(old, jax.Array):
            new = jax.device_put(new, old.sharding) if old.committed else jnp.asarray(new)
        return boxed(new, like)

    return jax.tree.map(place, schedule)
