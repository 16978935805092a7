"""Arrays of one state in the place of another's: checked, and laid out as those are."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def mismatch(value: Any, like: Any) -> str | None:
    """What is wrong with an array for a place: its shape, or a type that would lose bits; None if it fits."""
    if np.shape(value) != np.shape(like):
        return f"has shape {np.shape(value)}, not {np.shape(like)}"
    have, want = _dtype(value), _dtype(like)
    if have != want and not _keeps_all(have, want):
        return f"has type {have}, not {want}, which cannot hold it exactly: convert it beforehand"
    return None


def placed(value: Any, like: Any) -> Any:
    """The array with the type, and where it can be known the devices, of another. No copy where none is needed."""
    if not hasattr(like, "dtype"):
        return value  # a Python number, such as the step of a new TrainState, has no type to keep
    want = _dtype(like)
    if _dtype(value) != want:
        value = value.astype(want) if hasattr(value, "astype") else np.asarray(value, want)
    if isinstance(value, jax.core.Tracer) or isinstance(like, jax.core.Tracer):
        return jnp.asarray(value)
    if isinstance(like, jax.ShapeDtypeStruct):
        return jnp.asarray(value) if like.sharding is None else jax.device_put(value, like.sharding)
    if not isinstance(like, jax.Array):
        return np.asarray(value)
    if like.committed:
        return jax.device_put(value, like.sharding)
    if not isinstance(value, jax.Array):
        return jnp.asarray(value)
    if value.ndim == 0 and value.is_fully_replicated and not jax.dtypes.issubdtype(want, jax.dtypes.prng_key):
        return jnp.asarray(np.asarray(value))  # uncommitted, so that it follows the parameters
    there = value.sharding.is_equivalent_to(like.sharding, value.ndim)
    return value if there else jax.device_put(value, like.sharding)


def filled(like: Any, number: Any) -> Any:
    """The number with the shape, the type and the placement of an array."""
    if isinstance(like, jax.core.Tracer) or isinstance(number, jax.Array):
        return jnp.zeros_like(like) + jnp.asarray(number, _dtype(like))
    return placed(np.full(np.shape(like), number, _dtype(like)), like)


def is_abstract(value: Any) -> bool:
    """Whether a leaf is a description of an array only."""
    return isinstance(value, jax.ShapeDtypeStruct)


def is_zero(value: Any) -> bool:
    """Whether all of a concrete array is zero; False of what cannot be known."""
    if isinstance(value, jax.core.Tracer) or is_abstract(value) or _is_key(value):
        return False
    return not bool(jnp.any(jnp.asarray(value) != 0))


def is_counter(value: Any) -> bool:
    """Whether a leaf is a single integer or boolean: bookkeeping."""
    if np.ndim(value) or _is_key(value):
        return False
    return jnp.issubdtype(_dtype(value), np.integer) or jnp.issubdtype(_dtype(value), np.bool_)


def _is_key(value: Any) -> bool:
    return jax.dtypes.issubdtype(_dtype(value), jax.dtypes.prng_key)


def _dtype(value: Any) -> Any:
    return value.dtype if hasattr(value, "dtype") else np.asarray(value).dtype


def _keeps_all(have: Any, want: Any) -> bool:
    """Whether every number of one type is one of the other; integers may change theirs, for a count fits into each."""
    if any(jax.dtypes.issubdtype(each, jax.dtypes.extended) for each in (have, want)):
        return False
    if jnp.issubdtype(have, np.integer) and jnp.issubdtype(want, np.integer):
        return True
    return jnp.promote_types(have, want) == want and jnp.issubdtype(have, np.inexact) == jnp.issubdtype(
        want, np.inexact
    )
