"""Live schedules in a state without types, from ``nnx.split``: it keeps the numbers and no more.

The state of a live schedule is then a dict with its fields, found by their names. The step counts
of the schedule are in the graph of the program that merges the state; its rates are leaves here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import jax

import optax_lrs.transforms  # noqa: F401 - states are known by their fields once they are imported
from optax_lrs._paths import name
from optax_lrs._schedule import Schedule
from optax_lrs._states.roles import roles_of
from optax_lrs._states.typeless import known_types, types_at
from optax_lrs.checkpoint._fingerprint import schedules_in
from optax_lrs.checkpoint._template import put


def rates_in(state: Any) -> dict[str, dict[str, Any]]:
    """The rates of each such schedule, by the path of the schedule and the names of its fields."""
    leaves = {name(key): leaf for key, leaf in jax.tree_util.tree_flatten_with_path(state)[0]}
    typed = schedules_in(state)
    found: dict[str, dict[str, Any]] = {}
    for schedule in live_paths(leaves):
        inside = {path: leaf for path, leaf in leaves.items() if path.startswith(f"{schedule}/")}
        if inside and schedule not in typed:
            fields = (path.removeprefix(f"{schedule}/").removesuffix("/value") for path in inside)
            found[schedule] = dict(zip(fields, inside.values()))
    return found


def live_paths(paths: Iterable[str]) -> list[str]:
    """The paths of the live schedules in a state without types, from the paths of its leaves."""
    return [
        "/".join(filter(None, (path, field)))
        for path, kind in types_at(paths, known_types()).items()
        for field in getattr(roles_of(kind), "live_schedules", ())
    ]


def with_rates_of(schedule: Schedule, state: Any) -> Schedule | None:
    """The schedule with the rates that are in such a state; None if there are several.

    Raises:
        ValueError: if the state holds another kind of schedule.
    """
    found = [_put(schedule, rates) for rates in rates_in(state).values()]
    if not found:
        return schedule
    return found[0] if all(other == found[0] for other in found) else None


def with_schedule_in(state: Any, schedule: Schedule) -> Any:
    """The state with the rates of another schedule of the same kind."""
    fields = _fields(schedule)
    rates = rates_in(state)

    def change(key, leaf):
        for path in rates:
            field = name(key).removeprefix(f"{path}/").removesuffix("/value")
            if name(key).startswith(f"{path}/") and field in fields:
                return put(fields[field], leaf)
        return leaf

    return jax.tree_util.tree_map_with_path(change, state) if rates else state


def _put(schedule: Schedule, rates: dict[str, Any]) -> Schedule:
    if _fields(schedule).keys() != rates.keys():
        raise ValueError(
            f"the live schedule in this state has the rates {', '.join(sorted(rates))}, so it is not {schedule}"
        )
    return jax.tree_util.tree_map_with_path(lambda key, _: rates[name(key)], schedule)


def _fields(schedule: Schedule) -> dict[str, Any]:
    return {name(key): leaf for key, leaf in jax.tree_util.tree_flatten_with_path(schedule)[0]}
