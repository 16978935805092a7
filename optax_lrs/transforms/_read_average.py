"""Reads an average of the parameters from an optimizer state."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from optax_lrs._paths import parameter_path
from optax_lrs._states.found import nodes_in, optimizer_state


def read_average(opt_state: Any, params: optax.Params) -> optax.Params:
    """Reads the average that :func:`average_params` keeps, in the parameters' types.

    It is found through ``chain``, ``partition``, ``masked``, ``MultiSteps``, ``apply_if_finite``,
    ``nnx.Optimizer`` and any other nesting. Any state with a method ``averaged()`` is read
    (:class:`optax_lrs.transforms.Roles`). The result is the parameters themselves before the first
    sample, or if the window of ``weights`` was over before the state began. So are, always,
    parameters that are not averaged: integers, and those that a mask leaves out. Averages of
    several groups (``optax.partition``) make one tree. It works inside ``jit``.

    Args:
        opt_state: the state of one optimizer; or an ``nnx.Optimizer`` or ``TrainState``, whose
            ``opt_state`` is read.
        params: the current parameters, as given to the optimizer.

    Returns:
        A tree like ``params``.

    Raises:
        ValueError: if the state holds no average, two averages of one parameter, or an average of
            other parameters.

    Example:
        >>> from optax_lrs import average_params
        >>> tx = optax.chain(optax.sgd(1.0), average_params(alpha=0.5))
        >>> params = {"w": jnp.zeros(2)}
        >>> print(read_average(tx.init(params), params)["w"])
        [0. 0.]
    """
    states = nodes_in(optimizer_state(opt_state), lambda node: callable(getattr(node, "averaged", None)))
    if not states:
        raise ValueError("read_average: this optimizer state holds no average; put average_params last in the chain")
    found = {}
    for _, state in states:
        average, ready = state.averaged()
        for key, leaf in jax.tree.flatten_with_path(average)[0]:
            path = parameter_path(key)
            if path in found:
                raise ValueError(f"read_average: this optimizer state holds two averages of {path!r}")
            found[path] = (leaf, ready)

    def read(key: Any, p: Any) -> Any:
        average, ready = found.pop(parameter_path(key), (p, None))
        if ready is None:
            return p
        if average.shape != jnp.shape(p):
            raise ValueError(
                f"read_average: the average of {parameter_path(key)!r} has shape {average.shape}, the parameter"
                f" {jnp.shape(p)}"
            )
        return jnp.where(ready, average.astype(p.dtype), p)

    read_all = jax.tree_util.tree_map_with_path(read, params)
    if found:
        raise ValueError(f"read_average: params has no {next(iter(found))!r}, of which the state holds an average")
    return read_all
