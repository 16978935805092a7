"""Checkpoints without the optimizer that wrote them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
import optax

from optax_lrs._paths import parameter_path
from optax_lrs.adoption._adopt import adopt


def migrate(
    restored: Any,
    tx: optax.GradientTransformation,
    params: Any,
    *,
    rename: Mapping[str, str] | None = None,
    drop: str | Sequence[str] = (),
    new: str | Sequence[str] = (),
    step: int | None = None,
) -> Any:
    """Makes a new optimizer's state from a raw checkpoint: one restored without a template.

    Orbax then returns dicts of fields for NamedTuples, lists for tuples, and None for states
    without arrays. flax's ``to_state_dict`` and ``nnx.to_pure_dict`` return dicts with keys "0",
    "1", … and ``nnx.state`` leaves out fields without arrays. The states of Optax, of this package,
    and all that declare roles are known by the fields that are there, others if the new optimizer
    has them, too::

        raw = checkpointer.restore(path)  # {"params": ..., "opt_state": [...], "step": ...}
        params = jax.tree.map(jax.device_put, raw["params"], shardings)
        opt_state = olrs.migrate(raw, tx, params)

    It is ``adopt(tx.init(params), restored)``: see :func:`adopt` for what goes where, errors and
    arguments. One thing is less certain than with a template: the states of AdaBelief and Novograd
    have the fields of Adam's. Migrate to the optimizer that was used, and from there by ``adopt``.

    Args:
        restored: the checkpoint, or its optimizer state alone.
        tx: the new optimizer.
        params: the restored parameters, placed as they will be used: the new state is placed alike.
        rename, drop, new, step: as for :func:`adopt`.

    Returns:
        The state of ``tx``.

    Raises:
        ValueError: as :func:`adopt`; and if the checkpoint has ``"params"`` of other shapes.
        TypeError: if ``tx`` is not a gradient transformation.

    Example:
        >>> import jax.numpy as jnp
        >>> from optax_lrs import Constant, scale_by_live_schedule
        >>> params = {"w": jnp.ones(2)}
        >>> moments = {"count": jnp.int32(7), "mu": {"w": jnp.ones(2)}, "nu": {"w": jnp.ones(2)}}
        >>> tx = optax.chain(optax.scale_by_adam(), scale_by_live_schedule(Constant(value=0.1)))
        >>> state = migrate({"params": params, "opt_state": [moments, None, None]}, tx, params)
        >>> print(state[0].count, state[1].count)
        7 7
    """
    if not callable(getattr(tx, "init", None)):
        raise TypeError(f"migrate: tx must be a gradient transformation, got {tx!r:.60}")
    if isinstance(restored, Mapping) and "params" in restored:
        _require_fit(restored["params"], params)
    return adopt(tx.init(params), restored, rename=rename, drop=drop, new=new, step=step)


def _require_fit(restored: Any, params: Any) -> None:
    """Raises if the checkpoint's parameters have other shapes: they are of another model."""
    shapes = {_path(key): np.shape(leaf) for key, leaf in jax.tree_util.tree_flatten_with_path(restored)[0]}
    for key, leaf in jax.tree_util.tree_flatten_with_path(params)[0]:
        path = _path(key)
        if path in shapes and shapes[path] != np.shape(leaf):
            raise ValueError(f"migrate: params/{path} has shape {np.shape(leaf)}, the checkpoint's {shapes[path]}")


def _path(key: tuple) -> str:
    """The path of a parameter, without the box of flax.nnx or the dict that it became."""
    path = parameter_path(key)
    return path.removesuffix("/value")
