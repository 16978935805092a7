"""What the reactive transforms share: a metric, its averages, and what counts as better."""

from __future__ import annotations

import dataclasses
import math
import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


@dataclasses.dataclass(frozen=True)
class Metric:
    """How the values that a reactive transform is given are read; checked when built."""

    mode: str
    rtol: float
    atol: float
    accumulation: int
    nonfinite: str

    def __post_init__(self) -> None:
        one_of("mode", self.mode, ("min", "max"))
        one_of("nonfinite", self.nonfinite, ("skip", "bad"))
        object.__setattr__(self, "rtol", number("rtol", self.rtol, 0.0, 1.0))
        object.__setattr__(self, "atol", number("atol", self.atol, 0.0, math.inf))
        object.__setattr__(self, "accumulation", count("accumulation", self.accumulation, 1))

    @property
    def worst(self) -> float:
        """What every finite value is better than: ``best`` before the first value."""
        return math.inf if self.mode == "min" else -math.inf

    def averaged(
        self, value: Any, mean: jax.Array, mean_count: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
        """Whether an average is complete with this value, the average, and the mean and count to keep."""
        if jnp.shape(value) != ():
            raise ValueError(
                f"value must be a scalar, got one of shape {jnp.shape(value)}: pass its mean over the batch"
            )
        # zeros + x is on the mesh in force, as the state is.
        value = jnp.zeros((), jnp.float32) + jnp.asarray(value, jnp.float32)
        taken = jnp.isfinite(value) if self.nonfinite == "skip" else jnp.ones((), bool)
        mean_count = mean_count + taken.astype(jnp.int32)
        # A running mean: a sum of many float32 losses would round each new one to the size of the sum.
        mean = mean + (jnp.where(taken, value, mean) - mean) / jnp.maximum(mean_count, 1).astype(jnp.float32)
        complete = mean_count >= self.accumulation
        return complete, mean, jnp.where(complete, jnp.float32(0), mean), jnp.where(complete, 0, mean_count)

    def improves(self, value: jax.Array, best: jax.Array) -> jax.Array:
        """Whether the value is better than the best by the margin; never so if it is not finite."""
        known = jnp.isfinite(best)
        # The margin is a fraction of |best|: a fraction of a negative best would be on the wrong side of it.
        margin = jnp.where(known, self.rtol * jnp.abs(jnp.where(known, best, jnp.float32(0))) + self.atol, 0.0)
        better = value < best - margin if self.mode == "min" else value > best + margin
        return jnp.isfinite(value) & better


def scaled(updates: Any, scale: jax.Array) -> Any:
    """The updates times the scale, each product taken in float32 or wider and rounded once to the update's type."""

    def product(update):
        wide = jnp.float32 if update.dtype.itemsize < 4 else update.dtype
        return (scale.astype(wide) * update.astype(wide)).astype(update.dtype)

    return jax.tree.map(product, updates)


def chosen(condition: jax.Array, new: Any, old: Any) -> Any:
    """The new state where the condition holds, else the old."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b).astype(b.dtype), new, old)


def one_of(name: str, value: Any, known: tuple[str, ...]) -> None:
    """Raises unless the value is one of the known words."""
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}, got {value!r}")


def number(name: str, value: Any, low: float, high: float, *, without: tuple[float, ...] = ()) -> Any:
    """The value as a float from low to high, ``without`` these ends, else raises. A tracer is not looked into."""
    if isinstance(value, jax.core.Tracer):
        return jnp.asarray(value, jnp.float32)
    try:
        if isinstance(value, (bool, np.bool_, str)) or np.shape(value) != ():
            raise TypeError
        value = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, got {value!r}") from None
    if not low <= value <= high or value in without or not math.isfinite(value):
        least = f"{'above' if low in without else 'at least'} {low:g}"
        most = f"{'below' if high in without else 'at most'} {high:g}" if math.isfinite(high) else "finite"
        raise ValueError(f"{name} must be {least} and {most}, got {value!r}")
    return value


def count(name: str, value: Any, low: int) -> int:
    """The value as an int of at least ``low`` that an int32 can count to and one beyond, else raises."""
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        value = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an int, got {value!r}") from None
    if not low <= value < 2**31 - 1:
        raise ValueError(f"{name} must be at least {low} and less than 2**31 - 1, got {value!r}")
    return value
