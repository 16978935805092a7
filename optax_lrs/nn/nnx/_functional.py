"""An nnx model as a function of its parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from flax import nnx


def functional(model: nnx.Module) -> tuple[Callable[[Any, Any], Any], nnx.State]:
    """Splits a model into ``apply(params, batch)`` and its parameters, for an audit.

    Everything else in the model (statistics of a BatchNorm, the counters of its random streams)
    keeps its present state in every call: dropout is the same each time, and no call changes the
    model.

    Args:
        model: any module whose ``__call__`` takes the batch. Its mode, ``model.train()`` or
            ``model.eval()``, is kept.

    Example:
        >>> from optax_lrs.nn import nnx as layers, scale_invariant_leaves
        >>> rngs = nnx.Rngs(0)
        >>> model = nnx.Sequential(layers.NormDense(4, 32, rngs=rngs), nnx.Linear(32, 2, rngs=rngs))
        >>> apply, params = functional(model)
        >>> scale_invariant_leaves(apply, params, jax.random.normal(jax.random.key(1), (8, 4))).patterns
        ('layers/[0-9]+/dense/kernel',)
    """
    graph, params, rest = nnx.split(model, nnx.Param, ...)

    def apply(params: Any, batch: Any) -> Any:
        # Fresh variables for each call: those of the model must not change inside a transformation,
        # nor by a call.
        own = jax.tree.map(lambda leaf: leaf, (params, rest))
        return nnx.merge(graph, *own)(batch)

    return apply, params
