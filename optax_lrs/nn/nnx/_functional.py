"""An nnx model as a function of its parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from flax import nnx


def functional(model: nnx.Module) -> tuple[Callable[[Any, Any], Any], nnx.State]:
    """The model as ``apply(params, batch)`` and its parameters, such as ``scale_invariant_leaves`` takes them.

    Everything else in the model (statistics of a BatchNorm, the counters of its random streams) is as it is now, in
    every call: the same dropout each time, and no call changes the model.

    Args:
        model: any module whose ``__call__`` takes the batch. Its mode, ``model.train()`` or ``model.eval()``, is kept.

    Example:
        >>> from optax_lrs.nn import nnx as layers, scale_invariant_leaves
        >>> apply, params = functional(layers.MLP(4, (32,), 2, rngs=nnx.Rngs(0)))
        >>> scale_invariant_leaves(apply, params, jax.random.normal(jax.random.key(1), (8, 4))).patterns
        ('layers/[0-9]+/dense/kernel',)
    """
    graph, params, rest = nnx.split(model, nnx.Param, ...)

    def apply(params: Any, batch: Any) -> Any:
        # Variables of this call's own: those of the model may not change within a transformation, nor by a call.
        own = jax.tree.map(lambda leaf: leaf, (params, rest))
        return nnx.merge(graph, *own)(batch)

    return apply, params
