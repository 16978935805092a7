"""Refuses an optimizer that already has a learning rate: two of them would ascend."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from optax_lrs._value.arguments import is_traced
from optax_lrs.transforms._rate_factors import factors_in

_MOST_LEAVES = 512  # of a tree that is probed as a whole: each leaf costs some calls of the host


def require_no_rate(tx: optax.GradientTransformation, state: Any, params: Any, owner: str) -> None:
    """Raises ``ValueError`` if the updates of ``tx`` descend already.

    The state shows live schedules. For all else, three updates of arrays with one entry decide.
    They are made outside of any compiled step, and not if the parameters are traced or if ``tx``
    needs more than gradients and parameters.
    """
    shown = [factor for factor in factors_in(state) if factor.descends]
    if shown:
        kind, path = type(shown[0].state.node).__name__, shown[0].state.path
        how = f"its state has a {kind} at {path!r}" if path else f"its state is a {kind}"
    elif _descends(tx, params):
        how = "its updates point against the gradients"
    else:
        return
    raise ValueError(
        f"{owner}: tx must not have a learning rate, but {how}; with another rate the loss would rise. Pass an"
        " optimizer without its rate, such as optax.scale_by_adam() and not optax.adam(...)"
    )


def _descends(tx: optax.GradientTransformation, params: Any) -> bool:
    leaves = jax.tree.leaves(params)
    if not leaves or is_traced(*leaves) or not all(hasattr(leaf, "dtype") and hasattr(leaf, "ndim") for leaf in leaves):
        return False
    dtype = next((leaf.dtype for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating)), jnp.float32)
    alone = {"w": jnp.full((1, 1), 0.5, dtype)}
    for probe in (
        lambda: alone,
        lambda: jax.tree.map(lambda leaf: jnp.full((1,) * leaf.ndim, 0.5, leaf.dtype), params),
    ):
        try:
            return _some_fall(tx, probe())
        except Exception:  # a mask or pattern needs the whole tree; an update may need its loss or a mesh axis
            if len(leaves) > _MOST_LEAVES:
                break
    return False


def _some_fall(tx: optax.GradientTransformation, params: Any) -> bool:
    """Whether positive gradients lower an array after the first update, whose rate may be 0."""
    state, fall = tx.init(params), []
    for _ in range(3):
        updates, state = tx.update(params, state, params)
        fall.append([float(jnp.sum(update)) < 0 for update in jax.tree.leaves(updates)])
    return any(second and third for second, third in zip(fall[1], fall[2]))
