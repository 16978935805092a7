"""An optimizer for each group of parameters, found by path; frozen groups have no state."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import jax
import optax

from optax_lrs._paths import checked_patterns, labelled, parameter_path

_OWNER = "partition_by_path"


def partition_by_path(
    **groups: tuple[Any, optax.GradientTransformation | None],
) -> optax.GradientTransformationExtraArgs:
    r"""Gives each group of parameters an optimizer, by patterns of their paths.

    Each group is ``label=(pattern, optimizer)``. The first group whose pattern matches counts::

        muon = olrs.with_hyperparams(optax.contrib.muon, learning_rate=slow, weight_decay=0.1)
        adam = olrs.with_hyperparams(optax.adamw, learning_rate=fast, weight_decay=0.0)
        tx = optax.chain(
            optax.clip_by_global_norm(1.0),
            olrs.partition_by_path(
                frozen=("embed/.*", None),
                adam=(".*(head|norm|bias).*", adam),
                muon=(".*", muon),
            ),
        )

    The path of a parameter is its keys with slashes between them: ``params/Dense_0/kernel`` in
    flax.linen, ``layers/0/kernel`` in flax.nnx. A pattern is a regular expression for the *whole*
    path. Every parameter must be matched, and every pattern must decide for at least one, so that a
    misspelled pattern is an error and not another training.

    It is ``optax.partition`` with labels by path, so each optimizer sees its own group only: a
    global norm over all parameters goes before it, in the chain. For one optimizer with several
    rates see :func:`with_rates_by_path`.

    Args:
        **groups: by label: a pattern, or a sequence of patterns, and the optimizer. The optimizer
            None freezes the group: its updates are 0 and it has no state.

    Returns:
        A gradient transformation. It passes extra arguments on to every optimizer.

    Raises:
        TypeError: if a group is not a pair of patterns and an optimizer.
        ValueError: if there is no group or a pattern is not a regular expression; and from
            ``init``, if a pattern decides for no parameter or no pattern matches a parameter.

    Example:
        >>> import jax.numpy as jnp
        >>> params = {"body": {"w": jnp.ones(2)}, "head": {"w": jnp.ones(2)}}
        >>> tx = partition_by_path(frozen=("body/.*", None), sgd=(".*", optax.sgd(0.5)))
        >>> updates, state = tx.update(params, tx.init(params), params)
        >>> print(updates["body"]["w"], updates["head"]["w"])
        [0. 0.] [-0.5 -0.5]
    """
    if not groups:
        raise ValueError(f"{_OWNER}: there must be at least one group: label=(pattern, optimizer)")
    optimizers: dict[Hashable, optax.GradientTransformation] = {}
    patterns: dict[str, str] = {}  # to labels
    for label, group in groups.items():
        if not isinstance(group, tuple) or len(group) != 2 or _is_optimizer(group):
            raise TypeError(f"{_OWNER}: {label} must be a pair (pattern, optimizer), got {group!r:.80}")
        names, optimizer = group
        if not (optimizer is None or _is_optimizer(optimizer)):
            rule = "must be a gradient transformation or None"
            raise TypeError(f"{_OWNER}: the optimizer of {label} {rule}, got {optimizer!r:.80}")
        for pattern in checked_patterns(names, _OWNER, f"the pattern of {label}"):
            if pattern in patterns:
                raise ValueError(f"{_OWNER}: the pattern {pattern!r} is in two groups, {patterns[pattern]} and {label}")
            patterns[pattern] = label
        optimizers[label] = optax.set_to_zero() if optimizer is None else optimizer

    def labels(params):
        found = labelled(params, tuple(patterns), others="", owner=_OWNER)
        without = [
            parameter_path(key) for key, pattern in jax.tree_util.tree_flatten_with_path(found)[0] if not pattern
        ]
        if without:
            some = ", ".join(without[:8]) + (f" and {len(without) - 8} more" if len(without) > 8 else "")
            raise ValueError(
                f"{_OWNER}: no pattern matches {some}; add a group for what is left, such as others=('.*', optimizer),"
                " or others=('.*', None) to freeze it"
            )
        return jax.tree.map(lambda pattern: patterns[pattern], found)

    return optax.with_extra_args_support(optax.partition(optimizers, labels))


def _is_optimizer(node: Any) -> bool:
    return hasattr(node, "init") and hasattr(node, "update")
