"""Inputs of the theory as arrays, all of NumPy in float64 or all of JAX."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from optax_lrs._value.arguments import is_traced, whole

Rates = jax.typing.ArrayLike | Callable[[Any], Any]
"""Rates, one a step, or an Optax schedule."""


class Inputs(NamedTuple):
    """The inputs of a bound, in one array namespace and one dtype."""

    xp: ModuleType  # numpy, or jax.numpy if one input is JAX's
    lrs: Any  # [steps]
    grad_norms: Any  # [steps]
    distance: Any  # []


def prepared(owner: str, lrs: Rates, grad_norms: Any, distance: Any, total_steps: int | None) -> Inputs:
    """Turns the inputs into arrays.

    NumPy inputs become float64 and are checked. If one input is a JAX array, all become JAX arrays
    of its precision, at least float32, and only their shapes are checked.
    """
    if callable(lrs):
        lrs = _sampled(owner, lrs, total_steps)
    elif total_steps is not None and np.shape(lrs) != (total_steps,):
        raise ValueError(
            f"{owner}: total_steps={total_steps!r} must be the length of lrs, whose shape is {np.shape(lrs)}"
        )
    given: dict[str, Any] = dict(lrs=lrs, grad_norms=grad_norms, distance=distance)
    if any(isinstance(value, jax.Array) for value in given.values()):
        xp, dtype = jnp, _float_type(owner, given)
        given = {key: jnp.asarray(value).astype(dtype) for key, value in given.items()}
    else:
        xp = np
        given = {key: _checked(owner, key, value) for key, value in given.items()}
    steps = given["lrs"].shape
    if len(steps) != 1 or steps == (0,):
        raise ValueError(
            f"{owner}: lrs must be a 1-D array of one or more rates, or a schedule with total_steps, got shape {steps}"
        )
    if given["grad_norms"].shape not in ((), steps):
        raise ValueError(
            f"{owner}: grad_norms must be a number or have the shape of lrs, {steps}, got {given['grad_norms'].shape}"
        )
    if given["distance"].shape != ():
        raise ValueError(f"{owner}: distance must be a number, got shape {given['distance'].shape}")
    if xp is np and not given["lrs"].any():
        raise ValueError(f"{owner}: lrs must have a positive rate, got {steps[0]} zeros")
    given["grad_norms"] = xp.broadcast_to(given["grad_norms"], steps)
    return Inputs(xp, **given)


def _sampled(owner: str, schedule: Callable, total_steps: int | None) -> Any:
    """The rates of a schedule, on the host in float64 unless the schedule is traced."""
    if total_steps is None:
        raise ValueError(f"{owner}: total_steps must be given with a schedule, got None")
    total_steps = whole(owner, "total_steps", total_steps)
    on_host = getattr(schedule, "at", None)
    if on_host is not None and not is_traced(*jax.tree.leaves(schedule)):
        return on_host(np.arange(total_steps))
    rates = jax.vmap(schedule)(jnp.arange(total_steps))
    return rates if is_traced(rates) else np.asarray(rates, np.float64)


def _float_type(owner: str, given: dict[str, Any]) -> Any:
    arrays = [value for value in given.values() if isinstance(value, jax.Array)]
    with jax.numpy_dtype_promotion("standard"):  # promoted explicitly, for strict promotion
        dtype = jnp.promote_types(jnp.result_type(*arrays), jnp.float32)
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(f"{owner}: lrs, grad_norms and distance must be real numbers, got {dtype}")
    return dtype


def _checked(owner: str, key: str, value: Any) -> np.ndarray:
    value = np.asarray(value)
    if value.dtype.kind not in "iuf":
        raise TypeError(f"{owner}: {key} must be real numbers, got {value!r:.60}")
    value = value.astype(np.float64)
    if not np.all((value >= 0) & (value < np.inf)):
        raise ValueError(f"{owner}: {key} must be finite and not negative, got {value!r:.60}")
    return value
