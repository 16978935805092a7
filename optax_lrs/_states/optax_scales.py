"""The scales of updates that Optax's own states keep, by class name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from optax_lrs._states.found import unboxed

_DOG_EPS = 1e-8  # Optax's default, which the state does not keep
_DOWG_EPS = 1e-4


def _estimate(state: Any) -> jax.Array:
    return jnp.asarray(unboxed(state.estim_lr))


def _mechanic(state: Any) -> jax.Array:
    return jnp.sum(unboxed(state.s))


def _dog(state: Any) -> jax.Array:
    distance, squares = unboxed(state.max_dist), unboxed(state.sum_sq_norm_grads)
    rate = distance / jnp.sqrt(squares + _DOG_EPS)
    # A distance of 0 after an update: the first rate was given as a number, which the state does
    # not keep.
    return jnp.where(unboxed(state.is_init_step), 0.0, jnp.where(distance > 0, rate, jnp.nan))


def _dowg(state: Any) -> jax.Array:
    squares = unboxed(state.weighted_sq_norm_grads)
    return jnp.where(squares > 0, unboxed(state.estim_sq_dist) / (jnp.sqrt(squares) + _DOWG_EPS), 0.0)


ESTIMATES: dict[str, Callable[[Any], jax.Array]] = {
    "DAdaptAdamWState": _estimate,
    "DoGState": _dog,
    "DoWGState": _dowg,
    "MechanicState": _mechanic,
    "ProdigyState": _estimate,
}
"""Scales that an optimizer estimates; times the rate it was given, they are its rate.

D-Adaptation and Prodigy keep the estimate that the *next* update uses, which is that of the last
one unless it has just grown.
"""
