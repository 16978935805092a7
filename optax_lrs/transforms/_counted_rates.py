"""Rates of states that keep only a count: those of the schedules that the caller gives."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from optax_lrs.transforms._rate_factors import Factor, covers
from optax_lrs.transforms._readable import means, readable

Given = optax.ScalarOrSchedule | Mapping[str, optax.ScalarOrSchedule]


def with_counted(factors: Sequence[Factor], schedule: Given | None, owner: str) -> list[Factor]:
    """The factors that are rates, with those of counts computed from what the caller gave.

    A count of a schedule needs its schedule. Where nothing reports or counts a rate, a count of
    updates or an estimate takes one that is given.
    """
    counts = [factor for factor in factors if factor.kind == "count"]
    known = [factor for factor in factors if factor.kind in ("rate", "count")]
    targets = [*counts, *_without_rates(factors, known)]
    names = dict(zip(targets, readable([target.state.key for target in targets])))
    if isinstance(schedule, Mapping):
        given = _by_name(factors, names, schedule, owner)
    elif schedule is not None and len(targets) == 1:
        given = {targets[0]: schedule}
    else:
        given = {}
    missing = [names[target] or target.state.path for target in targets if target not in given]
    if schedule is not None and not isinstance(schedule, Mapping) and len(targets) > 1:
        raise ValueError(
            f"{owner}: several states keep only a count, so it is not known which of them the schedule is of; pass one"
            f" for each: schedule={_example(missing)}"
        )
    if any(target not in given for target in counts):
        single = len(targets) == 1
        where = "" if single else f" for {', '.join(names[target] for target in counts if target not in given)}"
        raise ValueError(
            f"{owner}: this optimizer state holds no rate{where}, only a count of steps; pass"
            f" schedule={'' if single else _example(missing)}, the {'schedule' if single else 'schedules'} of the"
            " optimizer, or put scale_by_live_schedule at the end of the chain"
        )
    rates = [dataclasses.replace(target, kind="rate", values=_last_rate(target, each, owner))
             for target, each in given.items()]  # fmt: skip
    rates += [factor for factor in factors if factor.kind == "rate"]
    rates += [factor for factor in factors if factor.kind == "given" and not covers(factor.domain, rates)]
    order = {factor.state.key: index for index, factor in enumerate(factors)}
    return sorted(rates, key=lambda rate: order[rate.state.key])


def _without_rates(factors: Sequence[Factor], known: Sequence[Factor]) -> list[Factor]:
    """One count of updates, or else one estimate, of every domain without a rate."""
    found: dict[Any, Factor] = {}
    for kind in ("seen", "estimate"):
        for factor in factors:
            if factor.kind == kind and not covers(factor.domain, known):
                found.setdefault(factor.domain, factor)
    return list(found.values())


def _by_name(
    factors: Sequence[Factor], names: Mapping[Factor, str], schedules: Mapping[str, Any], owner: str
) -> dict[Factor, Any]:
    """The schedule of each factor: under its name or path, else under the longest key that fits."""
    unknown = [name for name in schedules if not any(_fits(name, factor.state.path, "") for factor in factors)]
    if unknown:
        known = ", ".join(name or "learning_rate" for name in names.values()) or "none"
        raise ValueError(f"{owner}: schedule has {unknown[0]!r}, which is not a group of this state. Groups: {known}")
    given: dict[Factor, Any] = {}
    for factor, name in names.items():
        path = factor.state.path
        exact = [key for key in schedules if key in (name or "learning_rate", path)]
        fitting = exact or [key for key in schedules if _fits(key, path, name)]
        longest = [key for key in fitting if key.count("/") == max(each.count("/") for each in fitting)]
        if len(longest) > 1:
            raise ValueError(f"{owner}: schedule has {' and '.join(map(repr, longest))}, which both fit {path!r}")
        if longest:
            given[factor] = schedules[longest[0]]
    return given


def _fits(key: str, path: str, name: str) -> bool:
    return (key == "learning_rate" and not name) or means(key, path)


def _last_rate(factor: Factor, schedule: Any, owner: str) -> dict[Any, jax.Array]:
    (key, count), = factor.values.items()  # fmt: skip
    if factor.kind == "estimate":
        if callable(schedule):
            raise ValueError(
                f"{owner}: the state at {factor.state.path!r} keeps no count, so the step of its schedule is not known;"
                " pass the constant rate"
            )
        return {key: jnp.asarray(schedule, jnp.float32)}
    rate: Any = schedule(jnp.maximum(count - 1, 0)) if callable(schedule) else schedule
    return {key: jnp.where(count > 0, rate, 0).astype(jnp.float32)}


def _example(names: Sequence[str]) -> str:
    return "{" + ", ".join(f"{name!r}: ..." for name in names) + "}"
