"""A decay towards initial values, for the scales and offsets of normalizations."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from optax_lrs._float32 import wide_dtype
from optax_lrs._paths import checked_patterns, labelled, parameter_path
from optax_lrs._states import Roles
from optax_lrs._states.count import next_step
from optax_lrs._value.arguments import function, given_params

_OWNER = "decay_to_init"


class DecayToInitState(NamedTuple):
    """State of :func:`decay_to_init`."""

    count: jax.Array  # int32, shape (), replicated: the step of the next update
    first: Any  # like the parameters: type, shape and placement of the parameter; None where it does not decay

    roles = Roles(schedule_steps="count", measured="first")  # type: Roles


def decay_to_init(
    schedule: optax.Schedule, weights: str | Sequence[str] | None = None
) -> optax.GradientTransformationExtraArgs:
    r"""Pulls parameters back towards their initial values by a scheduled fraction.

    .. math:: u_t \leftarrow u_t - \lambda(t)\,(\theta_t - \theta_0)

    In each step a fraction of the distance is taken back. Use it for the scales and offsets of
    normalizations when the activation is not homogeneous, so that they cannot be projected (see
    ``joint`` of :func:`project_weights`). Normalize-and-Project does the same, towards 1 and 0. The
    coefficient of the paper is not verified; 1e-4 to 1e-2 is a range to begin with.

    Place it after the learning rate: nothing after it may scale the updates. ``update`` needs the
    parameters, and no extra argument. **Cost**: one copy of the parameters that decay, in their own
    type.

    Args:
        schedule: the fraction by step, in [0, 1]: a :class:`Schedule` or any ``optax.Schedule``.
        weights: patterns of the whole paths (see :func:`with_rates_by_path`) of the parameters that
            decay. None: every ``scale``, and the ``bias`` next to it, by their names in flax; the
            ``bias`` of other layers does not decay.

    Returns:
        The transform; its state is a :class:`DecayToInitState`.

    Raises:
        TypeError: if ``schedule`` is not callable (write ``Constant(value=...)`` for a number), or
            ``weights`` is not a pattern or a sequence of patterns.
        ValueError: from ``init``, if no parameter decays or a pattern matches no path; from
            ``update``, if it gets no parameters.

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
        Lyle et al., Normalization and Effective Learning Rates in Reinforcement Learning,
        arXiv:2407.01800 (recalled, not verified).
    """
    function(_OWNER, "schedule", schedule, example="Constant(value=1e-3)")
    patterns = None if weights is None else checked_patterns(weights, _OWNER, "weights")

    def init(params):
        for pattern in patterns or ():
            labelled(params, [pattern], others=None, owner=_OWNER)

        paths = {parameter_path(key) for key, _ in jax.tree_util.tree_flatten_with_path(params)[0]}

        def decays(path):
            if patterns is not None:
                return any(re.fullmatch(pattern, path) for pattern in patterns)
            scale = re.sub(r"(^|/)bias$", r"\1scale", path)
            return bool(re.fullmatch(r"(.*/)?(scale|bias)", path)) and scale in paths

        if paths and not any(map(decays, paths)):
            raise ValueError(f"{_OWNER}: no parameter is named scale; pass patterns, such as weights=['.*/gain']")

        def kept(key, leaf):
            return jnp.copy(leaf) if decays(parameter_path(key)) else None

        return DecayToInitState(jnp.zeros((), jnp.int32), jax.tree_util.tree_map_with_path(kept, params))

    def update(updates, state, params=None, **extra_args):
        del extra_args
        params = given_params(_OWNER, params)
        fraction = jnp.asarray(schedule(state.count), jnp.float32)

        def decayed(first, u, p):
            if first is None or u is None:
                return u
            dtype = wide_dtype(p.dtype)
            back = fraction.astype(dtype) * (p.astype(dtype) - first.astype(dtype))
            return (u.astype(dtype) - back).astype(u.dtype)

        updates = jax.tree.map(decayed, state.first, updates, params, is_leaf=lambda leaf: leaf is None)
        return updates, DecayToInitState(next_step(state.count), state.first)

    return optax.GradientTransformationExtraArgs(init, update)
