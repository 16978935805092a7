"""The rates that an optimizer applied, read from its state."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from optax_lrs._states.found import Key, optimizer_state, states_in
from optax_lrs._states.typeless import kind_of
from optax_lrs.transforms._counted_rates import Given, with_counted
from optax_lrs.transforms._rate_factors import Factor, covers, domain_of, factors_in, is_part
from optax_lrs.transforms._readable import RATE, readable, split_quantity

_OWNER = "learning_rates"


def learning_rates(opt_state: Any, schedule: Given | None = None) -> dict[str, jax.Array]:
    """Reads the rates that the last update was scaled by, from any optimizer state, by group.

    The states of :func:`scale_by_live_schedule`, ``scale_by_rewarming_schedule``,
    ``with_rates_by_path``, ``with_hyperparams``, ``optax.inject_hyperparams`` and line searches
    hold the applied rate, as does every state that declares ``applied_rates``
    (:class:`optax_lrs.transforms.Roles`). They are found through ``chain``, ``partition``,
    ``masked``, ``MultiSteps``, ``apply_if_finite``, ``nnx.Optimizer`` and any other nesting.

    States that keep only a count, such as that of ``optax.adamw(schedule)``, need ``schedule``: the
    rate is then that of the last step counted. Several of them need one schedule each::

        tx = optax.contrib.muon(fast, adam_learning_rate=slow)
        ...
        rates = olrs.learning_rates(opt_state, {"muon": fast, "adam": slow})

    The result is what was applied, not the rate of the next step and not one rounded to the
    parameters' type. Everything that scales the updates of one chain is multiplied: rates, the
    scale of :func:`scale_by_plateau`, :func:`scale_by_greedy` and
    ``optax.contrib.reduce_on_plateau``, and the estimates of ``prodigy``, ``dadapt_adamw``,
    ``mechanize``, ``dog`` and ``dowg`` of ``optax.contrib``. What acts on a part of the parameters,
    in ``masked`` or ``partition``, has its own entry. ``schedule_free`` reports the highest rate so
    far if its optimizer reports none.

    Three things that no state shows: a constant rate of Optax's own optimizers, which ``schedule``
    may give as a number where the state counts updates; an ``optax.scale``; and the ``eps`` of
    ``dog`` and ``dowg``, for which Optax's default is taken. ``prodigy`` and ``dadapt_adamw`` keep
    the estimate that the next update uses: that of the last one, unless it has just grown.

    Args:
        opt_state: the state of one optimizer; or an ``nnx.Optimizer`` or ``TrainState``, whose
            ``opt_state`` is read.
        schedule: the schedule, or the constant rate, of an optimizer that keeps only a count; or
            several by the name or path of their groups.

    Returns:
        float32 arrays, shape (), by the label of the group, such as ``muon``, or by its pattern;
        ``learning_rate`` for the single rate of an optimizer without groups. Where labels do not
        differ, the whole path is the name. 0 before the first update (``inject_hyperparams``: its
        first rate). They are on the device, and ``float(rate)`` waits for the step that computes
        them. Inside ``jit`` they are tracers, so that a training step can return them with its
        loss.

    Raises:
        ValueError: if the state holds no rate, or one that cannot be known: several states keep
            only a count and there is one schedule, or none; or two states of one chain both turn
            gradients into descent, so that together they climb.

    Example:
        >>> from optax_lrs import Linear
        >>> import jax.numpy as jnp, optax
        >>> lr = Linear(peak=0.5, total_steps=4)
        >>> tx = optax.adamw(lr)
        >>> params = {"w": jnp.ones(2)}
        >>> updates, state = tx.update(params, tx.init(params), params)
        >>> print(learning_rates(state, lr))
        {'learning_rate': Array(0.5, dtype=float32)}
    """
    rates = rates_in(opt_state, schedule)
    if not rates:
        states = states_in(optimizer_state(opt_state))
        unknown = sorted({f"{type(state.node).__name__} at {state.path!r}" for state in states if state.roles is None})
        hint = f". These states declare no roles: {', '.join(unknown)}" if unknown else ""
        raise ValueError(
            f"{_OWNER}: this optimizer state holds no rate; put scale_by_live_schedule at the end of the chain, or"
            f" pass schedule= if the optimizer was given one{hint}"
        )
    return dict(zip(names_of(list(rates)), rates.values()))


def learning_rate(opt_state: Any, schedule: Given | None = None) -> jax.Array:
    """Reads the rate that the last update was scaled by, of an optimizer with a single rate.

    It is the only entry of :func:`learning_rates`, where all that is read is described.

    Args:
        opt_state: as for :func:`learning_rates`.
        schedule: as for :func:`learning_rates`.

    Returns:
        A float32 array, shape (), on the device.

    Raises:
        ValueError: if there are several rates; or as :func:`learning_rates`.

    Example:
        >>> import jax.numpy as jnp
        >>> from optax_lrs import Constant, scale_by_live_schedule
        >>> tx = scale_by_live_schedule(Constant(value=0.5))
        >>> updates, state = tx.update({"w": jnp.ones(2)}, tx.init({}))
        >>> print(learning_rate(state))
        0.5
    """
    rates = learning_rates(opt_state, schedule)
    if len(rates) > 1:
        raise ValueError(
            f"learning_rate: this optimizer has several rates: {', '.join(rates)}; read them with learning_rates"
        )
    return next(iter(rates.values()))


def rates_in(opt_state: Any, schedule: Given | None = None) -> dict[Key, jax.Array]:
    """The rates of :func:`learning_rates` by key; none if the state holds none."""
    tree = optimizer_state(opt_state)
    factors = factors_in(tree)
    rates = with_counted(factors, schedule, _OWNER)
    scales = [factor for factor in factors if factor.kind == "estimate"]
    scales += [factor for factor in factors if factor.kind == "scale" and covers(factor.domain, [*rates, *scales])]
    found: dict[Key, tuple[Key, jax.Array]] = {}  # by key: the domain and the rate
    for domain in dict.fromkeys(factor.domain for factor in [*rates, *scales]):
        here = [rate for rate in rates if rate.domain == domain]
        if not here and any(is_part(rate.domain, domain) for rate in rates):
            continue  # scales around parts that have rates: they multiply those
        acting = [rate for rate in rates if is_part(domain, rate.domain)]
        around = [scale for scale in scales if is_part(domain, scale.domain)]
        _require_descent(acting)
        found |= {key: (domain, rate) for key, rate in _product(acting, here, around).items()}
    divided = {
        state.key: domain_of(state) for state in states_in(tree) if kind_of(type(state.node)) == "PartitionState"
    }
    labels = {key: _parts_with_leaves(tree, key) for key in divided}
    return {
        key: rate
        for key, (domain, rate) in found.items()
        if not any(
            divided[at] == domain and _all_have_rates(labels[at], at, found) for at in divided if not is_part(key, at)
        )
    }


def names_of(keys: Sequence[Key]) -> list[str]:
    """The names of rates: those of their groups, with the kind of rate where it is not clear."""
    split = [split_quantity(key) for key in keys]
    groups = readable([key for key, _ in split]) if len({key for key, _ in split}) == len(split) else None
    if groups is None:
        outer = list(dict.fromkeys(key for key, _ in split))
        by_key = dict(zip(outer, readable(outer)))
        groups = [by_key[key] for key, _ in split]
    return [
        "/".join(filter(None, (label, "" if label and quantity == RATE else quantity)))
        for label, (_, quantity) in zip(groups, split)
    ]


def _product(acting: list[Factor], here: list[Factor], scales: list[Factor]) -> dict[Key, jax.Array]:
    """The rates in a domain: what acts there, multiplied."""
    several = [rate for rate in acting if len(rate.values) > 1]
    if len(several) > 1 or (several and several[0] not in here):
        raise ValueError(
            f"{_OWNER}: {_described(several[0])} holds rates of several groups, and {_described((acting + scales)[-1])}"
            " scales a part of the parameters, so it is not known which groups it scales; put it outside of the mask or"
            " partition, in a chain around the whole optimizer"
        )
    single = [next(iter(factor.values.values())) for factor in [*acting, *scales] if factor not in several]
    if several:
        return {key: math.prod(single, start=rate) for key, rate in several[0].values.items()}
    (key,) = (here or scales)[-1].values
    return {key: math.prod(single[1:], start=single[0])}


def _require_descent(acting: list[Factor]) -> None:
    """Raises if two states turn gradients into descent, because together they ascend."""
    descending = [factor for factor in acting if factor.descends]
    if descending and len(descending) % 2 == 0:
        raise ValueError(
            f"{_OWNER}: {' and '.join(map(_described, descending))} both scale the same updates by a negative rate, so"
            " that the loss climbs; give one of them to an optimizer without a rate, such as optax.scale_by_adam(), or"
            " write a multiple of the rate as optax.scale_by_schedule"
        )


def _described(factor: Factor) -> str:
    return f"{type(factor.state.node).__name__} at {factor.state.path!r}"


def _parts_with_leaves(tree: Any, at: Key) -> list[Key]:
    """The keys of the groups of a partition that have any state."""
    keys = [key for key, _ in jax.tree_util.tree_flatten_with_path(tree)[0] if is_part(key, at)]
    return list(dict.fromkeys(key[: len(at) + 2] for key in keys))


def _all_have_rates(parts: list[Key], at: Key, found: Mapping[Key, Any]) -> bool:
    """Whether all groups of a partition have rates, so that a rate around them is a factor."""
    return any(is_part(key, at) for key in found) and all(any(is_part(key, part) for key in found) for part in parts)
