"""A checkpoint whose optimizer nobody has any more."""

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
    """A new optimizer's state from a raw checkpoint: one that was restored without a template.

    Orbax then gives dicts of fields for NamedTuples, lists for tuples, and None for states without arrays; flax's
    ``to_state_dict`` and ``nnx.to_pure_dict`` give dicts with keys "0", "1", … Optax's states and ours are known by their
    fields, others if the new optimizer has them too::

        raw = checkpointer.restore(path)                 # {"params": ..., "opt_state": [...], "step": ...}
        params = jax.tree.map(jax.device_put, raw["params"], shardings)
        opt_state = olrs.migrate(raw, tx, params)

    It is ``adopt(tx.init(params), restored)``, which see for what goes where, what raises, and the arguments. One thing is
    less sure than with a template: AdaBelief's and Novograd's states have the fields of Adam's. Migrate to the
    optimizer that was used, and from there by ``adopt``.

    Args:
        restored: the checkpoint, or its optimizer's state alone.
        tx: the new optimizer.
        params: the restored parameters, placed as they will be used: the new state is placed alike.
        rename, drop, new, step: as for :func:`adopt`.

    Returns:
        The state of ``tx``.

    Raises:
        ValueError: as :func:`adopt`; and if the checkpoint has ``"params"`` that these do not fit.
        TypeError: if ``tx`` is no gradient transformation.

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
    """Holds the checkpoint's parameters to these, where they have the same paths: another model's are nothing to go on with."""
    shapes = {_path(key): np.shape(leaf) for key, leaf in jax.tree_util.tree_flatten_with_path(restored)[0]}
    for key, leaf in jax.tree_util.tree_flatten_with_path(params)[0]:
        path = _path(key)
        if path in shapes and shapes[path] != np.shape(leaf):
            raise ValueError(f"migrate: params/{path} has shape {np.shape(leaf)}, the checkpoint's {shapes[path]}")


def _path(key: tuple) -> str:
    """The path of a parameter; of one of flax.nnx without its box, of which a checkpoint has made a dict."""
    path = parameter_path(key)
    return path.removesuffix("/value")
