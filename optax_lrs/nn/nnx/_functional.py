"""An nnx model as a function of its parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from flax import nnx


def functional(model: nnx.Module) -> tuple[Callable[[Any, Any], Any], nnx.State[Any, Any]]:
    """Splits a model into ``apply(params, batch)`` and its parameters, for an audit.

    Everything else in the model (the statistics of a BatchNorm, the counters of random streams) is
    fixed at its present state: dropout is the same in every call, and no call changes the model.

    Args:
        model: any module whose ``__call__`` takes the batch. Its mode, ``model.train()`` or
            ``model.eval()``, is kept.

    Returns:
        The function and the state of the model's ``nnx.Param`` variables.

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
        # New variables for each call: neither a call nor a transformation may change the model.
        own = jax.tree.map(lambda leaf: leaf, (params, rest))
        return nnx.merge(graph, *own)(batch)

    return apply, params
