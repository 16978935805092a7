"""Paths of parameters, and the regular expressions that select them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from optax_lrs._value.arguments import text

_NO_HIDDEN_LAYER = re.compile(
    r".*embed.*|wte|wpe|pos|cls|.*norm.*|ln(_.*|\d+)?|bn\d*|(.*_)?head|(.*_)?logits|readout|classifier", re.IGNORECASE
)
"""Names, at any place in a path, of embeddings, norms and last layers."""
_NO_MATRIX = re.compile(r".*bias|b|(.*_)?scale|offset|gamma|beta", re.IGNORECASE)
"""Names, at the end of a path, of biases and of the scales and offsets of norms."""
_LAST = re.compile(r"(params/)?(out|output|output_layer|final|final_layer|fc_out)(/.*)?", re.IGNORECASE)
"""Names of the last layer, at the top of a tree only; further down, an attention or a block has
such an output."""


def name(key: tuple[Any, ...]) -> str:
    """Returns a key path as text, with slashes between its keys: ``layers/0/kernel``."""
    return jax.tree_util.keystr(key, simple=True, separator="/")


def parameter_path(key: tuple[Any, ...]) -> str:
    """Returns the path of a parameter, without the ``value`` at the end of an ``nnx.Variable``."""
    inside = bool(key) and isinstance(key[-1], jax.tree_util.GetAttrKey) and key[-1].name == "value"
    return name(key[:-1] if inside else key)


def checked_pattern(pattern: Any, owner: str) -> str:
    """Returns the pattern; raises ``ValueError`` if it is not a regular expression.

    Args:
        pattern: what the caller passed.
        owner: the function named in error messages.
    """
    text(owner, "a pattern", pattern)
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{owner}: the pattern {pattern!r} is not a regular expression: {error}") from None
    return pattern


def checked_patterns(patterns: Any, owner: str, name: str) -> tuple[str, ...]:
    """Returns one pattern or a sequence of patterns as a tuple.

    Args:
        patterns: what the caller passed as the argument ``name`` of ``owner``.
        owner, name: named in error messages.

    Raises:
        TypeError: if ``patterns`` is neither.
        ValueError: if one of them is not a regular expression.
    """
    if isinstance(patterns, str):
        patterns = (patterns,)
    if not isinstance(patterns, Sequence):
        raise TypeError(f"{owner}: {name} must be a pattern or a sequence of patterns, got {patterns!r:.60}")
    return tuple(checked_pattern(pattern, owner) for pattern in patterns)


def labelled(params: Any, patterns: Sequence[str], *, others: Any, owner: str) -> Any:
    """Returns a tree of labels: for each parameter the first pattern that matches its whole path.

    Args:
        params: the parameters.
        patterns: regular expressions, the first ones first.
        others: the label of parameters that no pattern matches.
        owner: the function named in error messages.

    Raises:
        ValueError: if a pattern labels no parameter.
    """
    # A parameter that an outer mask removed keeps its label: a pattern for it alone is valid.
    is_leaf = lambda node: isinstance(node, optax.MaskedNode)  # noqa: E731
    paths = [parameter_path(key) for key, _ in jax.tree_util.tree_flatten_with_path(params, is_leaf=is_leaf)[0]]
    found = [next((p for p in patterns if re.fullmatch(p, path)), others) for path in paths]
    idle = [pattern for pattern in patterns if pattern not in found]
    if idle and paths:  # an empty tree has nothing to match
        some = ", ".join(paths[:8]) + (", …" if len(paths) > 8 else "")
        why = "is preceded by others" if any(re.fullmatch(idle[0], path) for path in paths) else "matches no path"
        raise ValueError(f"{owner}: the pattern {idle[0]!r} {why}; the paths are {some}")
    return jax.tree.unflatten(jax.tree.structure(params, is_leaf=is_leaf), found)


def is_hidden_matrix(path: str, leaf: Any) -> bool:
    """Returns whether a leaf is, by rank and name, a hidden layer's matrix: those are projected by
    default."""
    *_, name = names = path.split("/")
    named_otherwise = _LAST.fullmatch(path) or _NO_MATRIX.fullmatch(name) or any(map(_NO_HIDDEN_LAYER.fullmatch, names))
    return jnp.ndim(leaf) >= 2 and jnp.issubdtype(jnp.result_type(leaf), jnp.inexact) and not named_otherwise
