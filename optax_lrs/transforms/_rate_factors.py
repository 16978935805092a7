"""The factors of the rates of an optimizer: each state that scales updates, and what it scales."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from optax_lrs._states.found import Found, Key, states_in, unboxed
from optax_lrs._states.optax_scales import ESTIMATES
from optax_lrs._states.typeless import kind_of

_DESCENDING = (
    "LiveScheduleState",
    "GroupRatesState",
    "RewarmingState",
    "HyperparamsState",
    "InjectStatefulHyperparamsState",
)
"""States whose rate turns gradients into descent: two of them in one chain climb."""
_GIVES_TO_NESTED = ("HyperparamsState", "InjectStatefulHyperparamsState")
"""States that pass their rate as a number to the optimizer nested in them, whose states do not hold
it."""


@dataclasses.dataclass(frozen=True, eq=False)
class Factor:
    """A state that scales the updates of a chain."""

    state: Found
    domain: Key  # the chain: what this state multiplies, with everything nested in it
    kind: str  # "rate", "count" of a schedule, "seen" updates, "scale", "estimate" or "given" rate
    values: Mapping[Key, jax.Array]  # by key: one value, or one for each group; of a count, the count

    @property
    def descends(self) -> bool:
        """Whether the rate of the state turns gradients into descent."""
        return self.kind == "rate" and kind_of(type(self.state.node)) in _DESCENDING


def factors_in(tree: Any) -> list[Factor]:
    """Every state in an optimizer state that scales updates, or counts for a schedule that does."""
    found: list[Factor] = []
    reported: set[Key] = set()  # states whose rates hide those of the states nested in them
    for state in states_in(tree):
        if any(_is_within(state, outer, "unapplied") for outer in state.around):
            continue
        domain = domain_of(state)

        def add(kind: str, values: Mapping[Key, jax.Array], state: Found = state, domain: Key = domain) -> None:
            found.append(Factor(state, domain, kind, values))

        for _, scale in state.values("scales"):
            add("scale", {state.key: scalar(scale)})
        estimate = ESTIMATES.get(type(state.node).__name__)
        if estimate is not None:
            add("estimate", {state.key: scalar(estimate(state.node))})
        if any(outer.key in reported for outer in state.around):
            continue
        applied = _applied(state)
        if applied:
            if kind_of(type(state.node)) not in _GIVES_TO_NESTED:
                reported.add(state.key)
            add("rate", applied)
        elif state.roles is not None and not state.roles.applied_rates:
            for _, count in state.values("rate_steps"):
                add("count", {state.key: scalar(count, jnp.int32)})
        for _, given in state.values("given_rates"):
            add("given", {state.key: scalar(given)})
        for _, count in list(state.values("seen_updates"))[:1]:
            add("seen", {state.key: scalar(count, jnp.int32)})
    return found


def is_part(inner: Key, outer: Key) -> bool:
    """Whether what is at one domain lies in another."""
    return inner[: len(outer)] == outer


def covers(domain: Key, factors: Iterable[Factor]) -> bool:
    """Whether one of the factors applies in all of a domain or in a part of it."""
    return any(is_part(domain, factor.domain) or is_part(factor.domain, domain) for factor in factors)


def scalar(leaf: Any, dtype: Any = jnp.float32) -> jax.Array:
    """Returns a leaf as an array of this dtype, without the box that flax may put around it."""
    return jnp.asarray(unboxed(leaf), dtype)


def _applied(state: Found) -> dict[Key, jax.Array]:
    """The applied rates of a state: at its own key if there is one, else by field or by label."""
    fields = dict(state.values("applied_rates"))
    found: dict[Key, jax.Array] = {}
    for name, value in fields.items():
        attribute = (*state.key, jax.tree_util.GetAttrKey(name))
        if isinstance(value, Mapping):
            found |= {(*attribute, jax.tree_util.DictKey(label)): scalar(rate) for label, rate in value.items()}
        else:
            found[state.key if len(fields) == 1 else attribute] = scalar(value)
    return found


def domain_of(state: Found) -> Key:
    """The part of the updates that a state scales: the innermost mask around it, or ()."""
    for outer in reversed(state.around):
        if outer.roles is None or _is_within(state, outer, "parts"):
            return state.key[: len(outer.key) + 1]
    return ()


def _is_within(state: Found, outer: Found, role: str) -> bool:
    step = state.key[len(outer.key)]
    return getattr(step, "name", getattr(step, "key", None)) in getattr(outer.roles, role, ())
