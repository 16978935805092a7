"""Counts of steps in states."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax


def next_step(count: jax.Array) -> jax.Array:
    """Returns the count plus one; a count at the maximum of its type stays there."""
    return jnp.asarray(optax.safe_increment(count))
