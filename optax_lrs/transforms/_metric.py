"""What the reactive transforms share: reading, averaging and comparing the values of a metric."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp

from optax_lrs._float32 import on_mesh, wide, wide_dtype
from optax_lrs._value.arguments import number, one_of, share, whole

MOST = 2**31 - 2  # an int32 can count one further


@dataclasses.dataclass(frozen=True)
class Metric:
    """How a reactive transform reads its values. Building one checks the arguments."""

    owner: str  # the transform named in error messages
    mode: str
    rtol: float
    atol: float
    accumulation: int
    nonfinite: str

    def __post_init__(self) -> None:
        one_of(self.owner, "mode", self.mode, ("min", "max"))
        one_of(self.owner, "nonfinite", self.nonfinite, ("skip", "bad"))
        object.__setattr__(self, "rtol", share(self.owner, "rtol", self.rtol))
        object.__setattr__(self, "atol", number(self.owner, "atol", self.atol, low=0.0))
        object.__setattr__(self, "accumulation", whole(self.owner, "accumulation", self.accumulation, low=1, high=MOST))

    @property
    def worst(self) -> float:
        """The initial ``best``: every finite value is better."""
        return math.inf if self.mode == "min" else -math.inf

    def averaged(
        self, value: Any, mean: jax.Array, mean_count: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
        """Adds a value to the running average.

        Returns:
            Whether this value completes the average; the average; and the mean and count to keep.
        """
        require_scalar(self.owner, "value", value)
        value = on_mesh(value)
        taken = jnp.isfinite(value) if self.nonfinite == "skip" else jnp.ones((), bool)
        mean_count = mean_count + taken.astype(jnp.int32)
        # A running mean: a float32 sum would round each new loss to the precision of the sum.
        mean = mean + (jnp.where(taken, value, mean) - mean) / jnp.maximum(mean_count, 1).astype(jnp.float32)
        complete = mean_count >= self.accumulation
        return complete, mean, jnp.where(complete, jnp.float32(0), mean), jnp.where(complete, 0, mean_count)

    def improves(self, value: jax.Array, best: jax.Array) -> jax.Array:
        """Whether a value is finite and better than ``best`` by the margin."""
        known = jnp.isfinite(best)
        # A fraction of |best|: a fraction of a negative best would lie on the wrong side of it.
        margin = jnp.where(known, self.rtol * jnp.abs(jnp.where(known, best, jnp.float32(0))) + self.atol, 0.0)
        better = value < best - margin if self.mode == "min" else value > best + margin
        return jnp.isfinite(value) & better


def require_scalar(owner: str, name: str, value: Any) -> None:
    """Raises ``ValueError``, which names ``owner`` and ``name``, unless the value is a scalar."""
    if jnp.shape(value) != ():
        raise ValueError(
            f"{owner}: {name} must be a scalar, got shape {jnp.shape(value)}; pass the mean over the batch"
        )


def scaled(updates: Any, scale: jax.Array) -> Any:
    """Returns the updates times the scale: multiplied in float32 or wider, rounded once."""
    return jax.tree.map(lambda u: (scale.astype(wide_dtype(u.dtype)) * wide(u)).astype(u.dtype), updates)


def chosen(condition: jax.Array, new: Any, old: Any) -> Any:
    """Returns the new state where the condition holds, else the old one."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b).astype(b.dtype), new, old)
