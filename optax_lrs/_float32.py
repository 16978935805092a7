"""The arithmetic of the transforms: in float32 or wider, with scalars on the mesh in force."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def wide_dtype(dtype: Any) -> np.dtype:
    """Returns float32, or the type itself if it is float64 or complex."""
    dtype = np.dtype(dtype)
    # Not jnp.promote_types: it refuses types of one byte, and all others under strict promotion.
    return dtype if jnp.issubdtype(dtype, jnp.inexact) and dtype.itemsize >= 4 else np.dtype(np.float32)


def wide(x: jax.Array) -> jax.Array:
    """Returns the array in float32, or unchanged if it is float64 or complex."""
    return x.astype(wide_dtype(x.dtype))


def on_mesh(x: Any) -> jax.Array:
    """Returns a float32 copy of a number or an array on the mesh in force, where states lie."""
    return jnp.zeros(jnp.shape(x), jnp.float32) + jnp.asarray(x, jnp.float32)
