"""A decay towards the first values, for the scales and offsets of normalizations."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from optax_lrs._paths import checked_pattern, labelled, parameter_path
from optax_lrs._states import Roles

_OWNER = "decay_to_init"


class DecayToInitState(NamedTuple):
    """State of :func:`decay_to_init`."""

    count: jax.Array  # int32, shape (), replicated: the step that the next update is given
    first: Any  # a tree as the parameters: type, shape and placement of the parameter; None for what does not decay

    roles = Roles(schedule_steps="count", measured="first")


def decay_to_init(
    schedule: optax.Schedule, weights: str | Sequence[str] | None = None
) -> optax.GradientTransformationExtraArgs:
    r"""Takes parameters a scheduled share of the way back to their first values in each step.

    .. math:: u_t \leftarrow u_t - \lambda(t)\,(\theta_t - \theta_0)

    What Normalize-and-Project does with the scales and offsets of normalizations where the activation is not homogeneous, so
    that they cannot be projected (``joint`` of :func:`project_weights`): towards 1 and 0. The coefficient of the paper is not
    verified; 1e-4 to 1e-2 is a range to begin with. It goes after the rate: nothing may scale the updates any more.

    Args:
        schedule: the share by step, in [0, 1]: a :class:`Schedule` or any ``optax.Schedule``.
        weights: patterns of whole paths (see :func:`with_rates_by_path`) of what decays; of these the first values are kept.
            None: every ``scale``, and the ``bias`` beside one, as flax names them; no other layer's bias.

    Raises:
        TypeError: if ``schedule`` cannot be called (write ``Constant(value=...)`` for a number), or ``weights`` is no pattern.
        ValueError: from ``init``, if nothing decays or a pattern matches no path; from ``update``, if it is given no parameters.

    Example:
        >>> from optax_lrs import Constant
        >>> tx = decay_to_init(Constant(value=0.5))
        >>> params = {"norm": {"scale": jnp.ones(2), "bias": jnp.zeros(2)}}
        >>> state = tx.init(params)
        >>> params = {"norm": {"scale": jnp.full(2, 2.0), "bias": jnp.ones(2)}}
        >>> updates, state = tx.update(jax.tree.map(jnp.zeros_like, params), state, params)
        >>> print(updates["norm"]["scale"], updates["norm"]["bias"])
        [-0.5 -0.5] [-0.5 -0.5]

    References:
        Lyle et al., Normalization and Effective Learning Rates in Reinforcement Learning, arXiv:2407.01800 (recalled, not
        verified).
    """
    if not callable(schedule):
        raise TypeError(f"{_OWNER}: schedule must be a schedule, such as Constant(value=1e-3), got {schedule!r:.80}")
    if weights is not None and not isinstance(weights, (str, list, tuple)):
        raise TypeError(f"{_OWNER}: weights must be a pattern or a sequence of patterns, got {weights!r:.60}")
    patterns = [
        checked_pattern(pattern, _OWNER) for pattern in ([weights] if isinstance(weights, str) else weights or [])
    ]

    def init(params):
        for pattern in patterns:
            labelled(params, [pattern], others=None, owner=_OWNER)

        paths = {parameter_path(key) for key, _ in jax.tree_util.tree_flatten_with_path(params)[0]}
        beside = lambda path: re.sub(r"(^|/)bias$", r"\1scale", path)  # noqa: E731

        def decays(path):
            if weights is not None:
                return any(re.fullmatch(pattern, path) for pattern in patterns)
            return bool(re.fullmatch(r"(.*/)?(scale|bias)", path)) and beside(path) in paths

        if paths and not any(map(decays, paths)):
            raise ValueError(f"{_OWNER}: no parameter is called scale; name what decays by patterns, weights=[...]")

        def kept(key, leaf):
            return jnp.copy(leaf) if decays(parameter_path(key)) else None

        return DecayToInitState(jnp.zeros((), jnp.int32), jax.tree_util.tree_map_with_path(kept, params))

    def update(updates, state, params=None, **extra_args):
        del extra_args
        if params is None:
            raise ValueError(f"{_OWNER}: update needs the parameters: tx.update(grads, state, params)")
        share = jnp.asarray(schedule(state.count), jnp.float32)

        def decayed(first, u, p):
            if first is None or u is None:
                return u
            wide = jnp.promote_types(p.dtype, jnp.float32)
            back = share.astype(wide) * (p.astype(wide) - first.astype(wide))
            return (u.astype(wide) - back).astype(u.dtype)

        updates = jax.tree.map(decayed, state.first, updates, params, is_leaf=lambda leaf: leaf is None)
        return updates, DecayToInitState(optax.safe_increment(state.count), state.first)

    return optax.GradientTransformationExtraArgs(init, update)
