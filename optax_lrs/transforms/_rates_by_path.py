"""Learning rates for groups of parameters by path. Frozen groups have no optimizer state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import jax
import jax.numpy as jnp
import optax

from optax_lrs._float32 import on_mesh
from optax_lrs._paths import checked_pattern, checked_patterns, labelled
from optax_lrs._schedule import Schedule
from optax_lrs._value.arguments import instance, known_number
from optax_lrs.transforms._live_schedule import EXAMPLE, GroupRatesState, advanced, descent, live_state
from optax_lrs.transforms._sign import require_no_rate

_OWNER = "with_rates_by_path"
_OTHERS = "others"  # the label of parameters that match no pattern
_FROZEN = "frozen"


def with_rates_by_path(
    tx: optax.GradientTransformation, schedule: Schedule, factors: Mapping[str, float | Schedule]
) -> optax.GradientTransformationExtraArgs:
    r"""Gives each group of parameters its own multiple of the learning rate.

    .. math:: u_p \leftarrow -f_{g(p)}(t)\,\eta(t)\; u_p

    ``tx`` is the whole optimizer except the learning rate. It sees all parameters that are not
    frozen as one tree, so that a global norm covers them all::

        tx = olrs.with_rates_by_path(
            optax.chain(
                optax.clip_by_global_norm(1.0),
                optax.scale_by_adam(),
                optax.add_decayed_weights(0.1),
            ),
            olrs.Cosine(peak=3e-4, total_steps=10_000),
            {"embed/.*": 0.0, "head/.*": 10.0, ".*/bias": 2.0},
        )

    The path of a parameter is its keys joined by slashes, such as ``params/Dense_0/kernel`` in
    flax.linen and ``layers/0/kernel`` in flax.nnx. A pattern is a regular expression for the
    *whole* path. The first pattern that matches counts; parameters that match none have the factor
    1. A factor of exactly 0.0 freezes parameters: they get no update, and no state in ``tx``.

    The schedule is live: :func:`with_schedule` replaces it and keeps the factors.
    :func:`learning_rates` reports the rate of each group under its pattern. The optimizer needs no
    extra argument beyond those of ``tx``. **Cost**: a few scalars of state, and one multiplication
    for each element of the updates; frozen parameters save their state in ``tx``.

    Args:
        tx: the optimizer without its learning rate, such as ``optax.scale_by_adam()``.
        schedule: the rate at a factor of 1.
        factors: by pattern, a number that is not negative, or a :class:`Schedule` of factors. See
            :func:`layerwise_decay`.

    Returns:
        The whole optimizer. The last part of its state is a :class:`GroupRatesState`.

    Raises:
        ValueError: if a factor is negative or not finite, or a pattern is not a regular expression;
            from ``init``, if a pattern applies to no parameter, or if ``tx`` already has a rate, as
            ``optax.adam(...)`` has. That is known from its state, or from three updates of an array
            with one entry, which are not made where the parameters are traced.
        TypeError: if ``schedule`` is not a :class:`Schedule`, or a factor neither a Schedule nor a
            number.

    Example:
        >>> from optax_lrs import Constant, learning_rates
        >>> params = {"body": {"w": jnp.ones(2)}, "head": {"w": jnp.ones(2)}}
        >>> tx = with_rates_by_path(optax.identity(), Constant(value=0.5), {"body/.*": 0.5})
        >>> updates, state = tx.update(params, tx.init(params), params)
        >>> print(updates["body"]["w"], updates["head"]["w"])
        [-0.25 -0.25] [-0.5 -0.5]
        >>> {path: float(rate) for path, rate in learning_rates(state).items()}
        {'body/.*': 0.25, 'others': 0.5}
    """
    instance(_OWNER, "schedule", schedule, Schedule, example=EXAMPLE)
    instance(_OWNER, "factors", factors, Mapping, example='{"head/.*": 10.0}')
    checked = {_pattern(pattern): _factor(pattern, factor) for pattern, factor in factors.items()}
    patterns = tuple(checked)
    frozen = {pattern for pattern, factor in checked.items() if factor == 0.0}

    def trained(params):
        labels = _labelled(params, patterns)
        return jax.tree.map(lambda label: _FROZEN if label in frozen else _OTHERS, labels)

    shares = {label: factor for label, factor in checked.items() if label not in frozen} | {_OTHERS: 1.0}
    chain = optax.named_chain(
        ("optimizer", optax.partition({_OTHERS: tx, _FROZEN: optax.set_to_zero()}, trained)),
        ("rates", _scale_by_group_rates(schedule, shares, patterns)),
    )

    def init(params: Any) -> dict[str, Any]:
        state: Any = chain.init(params)
        require_no_rate(tx, state["optimizer"], params, _OWNER)
        return dict(state)  # flax.serialization cannot save the OrderedDict of named_chain

    def update(updates: Any, state: Any, params: Any = None, **extra_args: Any) -> tuple[Any, dict[str, Any]]:
        updates, new = chain.update(updates, state, params, **extra_args)
        return updates, dict(cast(Any, new))

    return optax.GradientTransformationExtraArgs(init, update)


def _scale_by_group_rates(
    schedule: Schedule, shares: Mapping[str, float | Schedule], patterns: Sequence[str]
) -> optax.GradientTransformationExtraArgs:
    """Scales updates by the rate of a live schedule times the share of their label.

    Labels without a share are frozen: their updates are zero already.
    """

    def init(params: Any) -> Any:
        del params
        zeros = {label: jnp.zeros((), jnp.float32) for label in shares}
        return GroupRatesState(live_state(schedule), jax.tree.map(on_mesh, shares), zeros)

    def update(updates: Any, state: Any, params: Any = None, **extra_args: Any) -> Any:
        del params, extra_args
        labels = _labelled(updates, patterns)
        rate = state.live.schedule(state.live.count)
        rates = {
            label: rate * (share(state.live.count) if isinstance(share, Schedule) else share)
            for label, share in state.factors.items()
        }

        def scaled(label, node):
            return descent(node, rates[label]) if label in rates else node

        updates = jax.tree.map(scaled, labels, updates)
        return updates, GroupRatesState(advanced(state.live, rate), state.factors, rates)

    return optax.GradientTransformationExtraArgs(init, update)


def layerwise_decay(patterns: Sequence[str], *, factor: float) -> dict[str, float]:
    r"""Makes factors for :func:`with_rates_by_path` that fall from the output to the input.

    .. math:: f_i = \textit{factor}^{\,n - 1 - i}, \qquad i = 0, \dots, n - 1

    Use it for fine-tuning, as in ELECTRA and BEiT, where 0.65 to 0.95 are usual (recalled, not
    verified).

    Args:
        patterns: one for each layer, from the input (the embedding) to the output (the head). The
            output keeps the full rate.
        factor: the ratio of the rates of a layer and the next one; positive.

    Returns:
        The factors by pattern.

    Raises:
        ValueError: if ``factor`` is not positive, or a pattern occurs twice.
        TypeError: if ``factor`` is not a number, or ``patterns`` is one string.

    Example:
        >>> layerwise_decay(["embed/.*", *(f"layers/{i}/.*" for i in range(2)), "head/.*"], factor=0.5)
        {'embed/.*': 0.125, 'layers/0/.*': 0.25, 'layers/1/.*': 0.5, 'head/.*': 1.0}
    """
    owner = "layerwise_decay"
    if isinstance(patterns, str):
        raise TypeError(f"{owner}: patterns must be a sequence of patterns, got {patterns!r:.60}")
    patterns = checked_patterns(tuple(patterns), owner, "patterns")
    factor = known_number(owner, "factor", factor, above=0.0)
    if len(set(patterns)) < len(patterns):
        raise ValueError(f"{owner}: patterns must differ, got {patterns!r}")
    return {pattern: factor ** (len(patterns) - 1 - i) for i, pattern in enumerate(patterns)}


def _factor(pattern: str, factor: Any) -> float | Schedule:
    if isinstance(factor, Schedule):
        return factor
    return known_number(_OWNER, f"factors[{pattern!r}]", factor, low=0.0)


def _pattern(pattern: Any) -> str:
    if pattern == _OTHERS:
        raise ValueError(f"{_OWNER}: {_OTHERS!r} is the name of unmatched parameters; write the pattern as '(others)'")
    return checked_pattern(pattern, _OWNER)


def _labelled(params: Any, patterns: Sequence[str]) -> Any:
    return labelled(params, patterns, others=_OTHERS, owner=_OWNER)
