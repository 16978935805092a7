"""Puts arrays of one state into another: checks that they fit, and places them alike."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from optax_lrs._value.arguments import is_concrete, is_traced


def mismatch(value: Any, like: Any) -> str | None:
    """Why an array cannot replace another: its shape or type; None if it can."""
    if np.shape(value) != np.shape(like):
        return f"has shape {np.shape(value)}, not {np.shape(like)}"
    have, want = _dtype(value), _dtype(like)
    if have != want and not _keeps_all(have, want):
        return f"has type {have}, not {want}, which cannot hold it exactly: convert it first"
    return None


def placed(value: Any, like: Any) -> Any:
    """The array with the type and the known devices of another; a copy only if it needs one."""
    if not hasattr(like, "dtype"):
        return value  # a Python number, such as the step of a new TrainState, has no type to keep
    want = _dtype(like)
    if _dtype(value) != want:
        value = value.astype(want) if hasattr(value, "astype") else np.asarray(value, want)
    if is_traced(value, like):
        return jnp.asarray(value)
    if isinstance(like, jax.ShapeDtypeStruct):
        return jnp.asarray(value) if like.sharding is None else jax.device_put(value, like.sharding)
    if not isinstance(like, jax.Array):
        return np.asarray(value)
    if like.committed:
        return jax.device_put(value, like.sharding)
    if not isinstance(value, jax.Array):
        return jnp.asarray(value)
    if value.ndim == 0 and value.is_fully_replicated and not jnp.issubdtype(want, jax.dtypes.prng_key):
        return jnp.asarray(np.asarray(value))  # uncommitted, so that it follows the parameters
    there = value.sharding.is_equivalent_to(like.sharding, value.ndim)
    return value if there else jax.device_put(value, like.sharding)


def filled(like: Any, number: Any) -> Any:
    """An array of one number, with the shape, type and placement of another."""
    if is_traced(like) or isinstance(number, jax.Array):
        return jnp.zeros_like(like) + jnp.asarray(number, _dtype(like))
    return placed(np.full(np.shape(like), number, _dtype(like)), like)


def is_abstract(value: Any) -> bool:
    """Whether a leaf describes an array and has no values."""
    return isinstance(value, jax.ShapeDtypeStruct)


def is_zero(value: Any) -> bool:
    """Whether an array is zero everywhere; False if its values cannot be read."""
    if not is_concrete(value) or _is_key(value):
        return False
    return not bool(jnp.any(jnp.asarray(value) != 0))


def is_counter(value: Any) -> bool:
    """Whether a leaf is a scalar integer or bool, which counts or flags something."""
    if np.ndim(value) or _is_key(value):
        return False
    return jnp.issubdtype(_dtype(value), np.integer) or jnp.issubdtype(_dtype(value), np.bool_)


def _is_key(value: Any) -> bool:
    return jnp.issubdtype(_dtype(value), jax.dtypes.prng_key)


def _dtype(value: Any) -> Any:
    return value.dtype if hasattr(value, "dtype") else np.asarray(value).dtype


def _keeps_all(have: Any, want: Any) -> bool:
    """Whether one type holds every number of another. A count fits into any integer type."""
    if any(jnp.issubdtype(each, jax.dtypes.extended) for each in (have, want)):
        return False
    if jnp.issubdtype(have, np.integer) and jnp.issubdtype(want, np.integer):
        return True
    return jnp.promote_types(have, want) == want and jnp.issubdtype(have, np.inexact) == jnp.issubdtype(
        want, np.inexact
    )
