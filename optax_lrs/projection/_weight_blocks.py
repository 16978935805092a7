"""Which weights have a norm of their own: the leaves, and the blocks that each of them is made of."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from optax_lrs._paths import checked_pattern, checked_patterns, is_hidden_matrix, labelled, parameter_path
from optax_lrs._value.arguments import whole


class Heads(NamedTuple):
    """An axis that packs several heads one after another: each is a matrix of its own.

    For ``separate`` in :func:`optax_lrs.project_weights`: ``{".*/query/kernel": Heads(axis=-1, count=12)}`` for a kernel
    of shape (width, 12 * head_width). An axis that counts the heads, as in (width, 12, head_width), needs no ``Heads``: it
    is ``{".*/query/kernel": 1}``.

    Args:
        axis: the axis, from the front or (negative) from the end.
        count: how many heads it holds; must divide its length.

    Example:
        >>> Heads(axis=-1, count=12)
        Heads(axis=-1, count=12)
    """

    axis: int
    count: int


class Weights(NamedTuple):
    """What the arguments ``weights``, ``without``, ``separate`` and ``joint`` say, checked."""

    patterns: tuple[str, ...] | None  # None: by is_hidden_matrix
    predicate: Callable[[str, Any], bool] | None
    without: tuple[str, ...]
    separate: tuple[tuple[str, tuple[Any, ...]], ...]  # a pattern, and the axes and Heads; the first match counts
    joint: tuple[str, ...]


class Piece(NamedTuple):
    """One leaf's part in a layout."""

    index: int  # of the leaf, in the flattened parameters
    path: str
    shape: tuple[int, ...]  # of the whole leaf, on all devices
    grid: tuple[int, ...]  # how many blocks along each axis of the whole leaf
    start: int  # where its blocks begin in the vectors of norms
    joint: bool  # a scale or offset, which shares its blocks with its partner

    @property
    def size(self) -> int:
        """How many blocks it has."""
        return math.prod(self.grid)

    @property
    def block_shape(self) -> tuple[int, ...]:
        """The shape of one block; separate axes have the length 1."""
        return tuple(n // blocks for n, blocks in zip(self.shape, self.grid))


def checked_weights(owner: str, weights: Any, without: Any, separate: Any, joint: Any = ()) -> Weights:
    """The arguments as :class:`Weights`; TypeError and ValueError name the one that is wrong."""
    predicate = weights if callable(weights) else None
    patterns = None if weights is None or predicate else checked_patterns(weights, owner, "weights")
    if not isinstance(separate, Mapping):
        separate = {".*": separate}
    separate = {checked_pattern(p, owner): _axes(owner, p, axes) for p, axes in separate.items()}
    without, joint = checked_patterns(without, owner, "without"), checked_patterns(joint, owner, "joint")
    return Weights(patterns, predicate, without, tuple(separate.items()), joint)


def layout(params: Any, which: Weights, owner: str, whole_shape: Callable[[int, Any], tuple[int, ...]]) -> list[Piece]:
    """The pieces of the leaves that are chosen, in the order of the parameters.

    Raises:
        ValueError: if nothing, or nothing for one of the patterns, is chosen; if an axis is not there or not divisible.
    """
    keyed = jax.tree_util.tree_flatten_with_path(params)[0]
    if not keyed:
        return []
    # A pattern that decides for no parameter is a mistake. Each kind by itself: they may overlap.
    for patterns in (which.patterns or (), which.without, which.joint):
        for pattern in patterns:
            labelled(params, [pattern], others=None, owner=owner)
    given = [pattern for pattern, _ in which.separate]
    if given not in ([], [".*"]):
        labelled(params, given, others=None, owner=owner)

    pieces, starts, end = [], {}, 0
    for index, (key, leaf) in enumerate(keyed):
        path = parameter_path(key)
        joint = _matches(path, which.joint)
        if not joint and not _chosen(path, leaf, which):
            continue
        shape = whole_shape(index, leaf)
        if not shape:
            raise ValueError(f"{owner}: {path} is a scalar, which has no direction to keep")
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.inexact):
            raise ValueError(
                f"{owner}: {path} has the type {leaf.dtype}, and only floating-point weights can be scaled"
            )
        axes = next((axes for pattern, axes in which.separate if re.fullmatch(pattern, path)), ())
        piece = Piece(index, path, shape, _grid(owner, path, shape, axes), end, joint)
        group = path.rpartition("/")[0] if joint else path
        if group in starts:
            first = starts[group]
            if piece.size != first.size:
                raise ValueError(
                    f"{owner}: {first.path} and {path} are joint, but of {first.size} and {piece.size} blocks"
                )
            piece = piece._replace(start=first.start)
        else:
            starts[group] = piece
            end += piece.size
        pieces.append(piece)
    if not pieces:
        paths = [parameter_path(key) for key, _ in keyed]
        some = ", ".join(paths[:8]) + (", …" if len(paths) > 8 else "")
        rule = (
            "no parameter is of rank 2 or higher with the name of a hidden layer"
            if which.predicate is None and which.patterns is None
            else "nothing is chosen"
        )
        raise ValueError(f"{owner}: {rule}; name the weights by patterns, weights=[...]; the paths are {some}")
    return pieces


def total(pieces: Sequence[Piece]) -> int:
    """The length of the vectors of norms."""
    return max((piece.start + piece.size for piece in pieces), default=0)


def _chosen(path: str, leaf: Any, which: Weights) -> bool:
    if _matches(path, which.without):
        return False
    if which.patterns is not None:
        return _matches(path, which.patterns)
    return bool(which.predicate(path, leaf)) if which.predicate else is_hidden_matrix(path, leaf)


def _matches(path: str, patterns: Sequence[str]) -> bool:
    return any(re.fullmatch(pattern, path) for pattern in patterns)


def _grid(owner: str, path: str, shape: tuple[int, ...], axes: tuple[Any, ...]) -> tuple[int, ...]:
    grid = [1] * len(shape)
    for item in axes:
        axis = item.axis if isinstance(item, Heads) else item
        if not -len(shape) <= axis < len(shape):
            raise ValueError(f"{owner}: separate has the axis {axis}, but {path} has the shape {shape}")
        blocks = item.count if isinstance(item, Heads) else shape[axis]
        if shape[axis] % max(blocks, 1):
            raise ValueError(f"{owner}: {item} must divide the axis, but {path} has the shape {shape}")
        grid[axis] = blocks
    return tuple(grid)


def _axes(owner: str, pattern: str, axes: Any) -> tuple[Any, ...]:
    if isinstance(axes, Heads) or not isinstance(axes, (tuple, list)):
        axes = (axes,)
    name = f"separate[{pattern!r}]"
    return tuple(_heads(owner, name, item) if isinstance(item, Heads) else whole(owner, name, item) for item in axes)


def _heads(owner: str, name: str, heads: Heads) -> Heads:
    return Heads(whole(owner, f"{name}.axis", heads.axis), whole(owner, f"{name}.count", heads.count, low=1))
