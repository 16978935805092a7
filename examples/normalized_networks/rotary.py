"""Rotary positions, for the transformers of both interfaces of flax."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def rotate(x: jax.Array) -> jax.Array:
    """Rotates pairs of channels by position, shape (..., length, heads, channels)."""
    length, channels = x.shape[-3], x.shape[-1]
    speed = 10_000.0 ** -(jnp.arange(channels // 2) / (channels // 2))
    angle = (jnp.arange(length)[:, None] * speed)[:, None, :]
    first, second = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return jnp.concatenate([first * cos - second * sin, first * sin + second * cos], axis=-1).astype(x.dtype)


def checked_heads(features: int, heads: int) -> int:
    """The channels of a head, which must be an even number for rotary positions."""
    if heads < 1 or features % (2 * heads):
        raise ValueError(f"Attention: features must be a multiple of 2 x heads={heads}, got {features}")
    return features // heads
