"""A rate for each group of parameters, found by path; frozen groups have no state."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from optax_lrs._paths import checked_pattern, labelled
from optax_lrs._schedule import Schedule
from optax_lrs.transforms._live_schedule import (
    GroupRatesState,
    _on_the_mesh,
    _require_schedule,
    scale_by_live_schedule,
)

_OTHERS = "others"  # the label of what no pattern matches
_FROZEN = "frozen"


def with_rates_by_path(
    tx: optax.GradientTransformation, schedule: Schedule, factors: Mapping[str, float | Schedule]
) -> optax.GradientTransformationExtraArgs:
    r"""An optimizer in which each group of parameters has its share of the rate.

    .. math:: u_p \leftarrow -f_{g(p)}(t)\,\eta(t)\; u_p

    ``tx`` is everything but the rate, and sees all parameters that are not frozen as one tree (a global norm is taken
    over them all)::

        tx = olrs.with_rates_by_path(
            optax.chain(optax.clip_by_global_norm(1.0), optax.scale_by_adam(), optax.add_decayed_weights(0.1)),
            olrs.Cosine(peak=3e-4, total_steps=10_000),
            {"embed/.*": 0.0, "head/.*": 10.0, ".*/bias": 2.0},
        )

    A parameter's path is its keys with slashes between, such as ``params/Dense_0/kernel`` of flax.linen and
    ``layers/0/kernel`` of flax.nnx. A pattern is a regular expression for the *whole* path; the first that matches counts,
    and what none matches has the factor 1. A factor of exactly 0.0 freezes: no update, and no state in ``tx``.

    The schedule is live: :func:`with_schedule` replaces it and leaves the factors alone. :func:`learning_rates` tells the
    rate of each group, by its pattern.

    Args:
        tx: the optimizer without its rate, such as ``optax.scale_by_adam()``.
        schedule: the rate at a factor of 1.
        factors: by pattern: a number, not negative, or a :class:`Schedule` of shares. See :func:`layerwise_decay`.

    Raises:
        ValueError: if a factor is negative or not finite, or a pattern is no regular expression; and from ``init``, if a
            pattern decides for no parameter.
        TypeError: if ``schedule`` is no :class:`Schedule`, or a factor neither one nor a number.

    Example:
        >>> from optax_lrs import Constant, learning_rates
        >>> params = {"body": {"w": jnp.ones(2)}, "head": {"w": jnp.ones(2)}}
        >>> tx = with_rates_by_path(optax.identity(), Constant(value=0.5), {"body/.*": 0.5})
        >>> updates, state = tx.update(params, tx.init(params), params)
        >>> print(updates["body"]["w"], updates["head"]["w"])
        [-0.25 -0.25] [-0.5 -0.5]
        >>> {path: float(rate) for path, rate in learning_rates(state).items()}
        {'rates/body/.*': 0.25, 'rates/others': 0.5}
    """
    _require_schedule(schedule)
    if not isinstance(factors, Mapping):
        raise TypeError(f"with_rates_by_path: factors must be a mapping from patterns, got {factors!r:.80}")
    factors = {_pattern(pattern): _factor(pattern, factor) for pattern, factor in factors.items()}
    patterns = tuple(factors)
    frozen = {pattern for pattern, factor in factors.items() if factor == 0.0}

    def trained(params):
        labels = _labelled(params, patterns)
        return jax.tree.map(lambda label: _FROZEN if label in frozen else _OTHERS, labels)

    shares = {label: factor for label, factor in factors.items() if label not in frozen} | {_OTHERS: 1.0}
    return optax.with_extra_args_support(
        optax.named_chain(
            ("optimizer", optax.partition({_OTHERS: tx, _FROZEN: optax.set_to_zero()}, trained)),
            ("rates", _scale_by_group_rates(schedule, shares, patterns)),
        )
    )


def _scale_by_group_rates(schedule, shares, patterns):
    """A live schedule, and a share of its rate for each label. Labels without a share are frozen: zero already."""
    live = scale_by_live_schedule(schedule)

    def init(params):
        zeros = {label: jnp.zeros((), jnp.float32) for label in shares}
        return GroupRatesState(live.init(params), _on_the_mesh(shares), zeros)

    def update(updates, state, params=None, **extra_args):
        del params, extra_args
        labels = _labelled(updates, patterns)
        _, after = live.update((), state.live)
        rates = {
            label: after.learning_rate * (share(state.live.count) if isinstance(share, Schedule) else share)
            for label, share in state.factors.items()
        }
        scale = lambda label, g: (-rates[label]).astype(g.dtype) * g if label in rates else g  # noqa: E731
        updates = jax.tree.map(lambda label, node: jax.tree.map(lambda g: scale(label, g), node), labels, updates)
        return updates, GroupRatesState(after, state.factors, rates)

    return optax.GradientTransformationExtraArgs(init, update)


def layerwise_decay(patterns: Sequence[str], *, factor: float) -> dict[str, float]:
    r"""Factors for :func:`with_rates_by_path` that fall from the output to the input: the i-th of n has ``factor`` to the n-1-i.

    For fine-tuning, as in ELECTRA and BEiT, where 0.65 to 0.95 are usual (recalled, not verified).

    Args:
        patterns: one for each layer, from the input (the embedding) to the output (the head), which keeps the full rate.
        factor: from each layer to the one before it; positive.

    Raises:
        ValueError: if ``factor`` is not positive, or a pattern is given twice.
        TypeError: if ``factor`` is no number, or ``patterns`` is one string.

    Example:
        >>> layerwise_decay(["embed/.*", *(f"layers/{i}/.*" for i in range(2)), "head/.*"], factor=0.5)
        {'embed/.*': 0.125, 'layers/0/.*': 0.25, 'layers/1/.*': 0.5, 'head/.*': 1.0}
    """
    if isinstance(patterns, str):
        raise TypeError(f"layerwise_decay: patterns must be a sequence of patterns, got {patterns!r}")
    patterns = tuple(patterns)
    if isinstance(factor, bool) or not isinstance(factor, numbers.Real):
        raise TypeError(f"layerwise_decay: factor must be a number, got {factor!r}")
    if not 0 < factor < math.inf:
        raise ValueError(f"layerwise_decay: factor must be positive and finite, got {factor!r}")
    if len(set(patterns)) < len(patterns):
        raise ValueError(f"layerwise_decay: patterns must differ, got {patterns!r}")
    return {pattern: float(factor) ** (len(patterns) - 1 - i) for i, pattern in enumerate(patterns)}


def _factor(pattern: str, factor: Any) -> float | Schedule:
    if isinstance(factor, Schedule):
        return factor
    if isinstance(factor, bool) or not isinstance(factor, numbers.Real):
        raise TypeError(f"with_rates_by_path: the factor of {pattern!r} must be a number or a Schedule, got {factor!r}")
    if not 0 <= factor < math.inf:
        raise ValueError(f"with_rates_by_path: the factor of {pattern!r} must be finite and not negative, got {factor!r}")
    return float(factor)


def _pattern(pattern: Any) -> str:
    if pattern == _OTHERS:
        raise ValueError(f"with_rates_by_path: {_OTHERS!r} names what no pattern matches; write the pattern as '(others)'")
    return checked_pattern(pattern, "with_rates_by_path")


def _labelled(params: Any, patterns: Sequence[str]) -> Any:
    return labelled(params, patterns, others=_OTHERS, owner="with_rates_by_path")
