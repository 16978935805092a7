"""Which weights are projected: the leaves, and the blocks that each leaf consists of."""

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
    """Describes an axis that packs several heads, so that each head has its own norm.

    For ``separate`` in :func:`project_weights`: ``{".*/query/kernel": Heads(axis=-1, count=12)}``
    for a kernel of shape (width, 12 * head_width). An axis that counts the heads, as in (width, 12,
    head_width), does not need ``Heads``: write ``{".*/query/kernel": 1}``.

    Args:
        axis: the axis; negative numbers count from the end.
        count: the number of heads in the axis; must divide its length.

    Example:
        >>> Heads(axis=-1, count=12)
        Heads(axis=-1, count=12)
    """

    axis: int
    count: int


class Weights(NamedTuple):
    """The checked arguments ``weights``, ``without``, ``separate`` and ``joint``."""

    patterns: tuple[str, ...] | None  # None: is_hidden_matrix decides
    predicate: Callable[[str, Any], bool] | None
    without: tuple[str, ...]
    separate: tuple[tuple[str, tuple[Any, ...]], ...]  # a pattern, and the axes and Heads; the first match counts
    joint: tuple[str, ...]


class Piece(NamedTuple):
    """One leaf that has blocks, and where its blocks are in the vectors over all blocks."""

    index: int  # of the leaf, in the flattened parameters
    path: str
    shape: tuple[int, ...]  # of the whole leaf, on all devices
    grid: tuple[int, ...]  # how many blocks along each axis of the whole leaf
    start: int  # where its blocks begin in the vectors
    joint: bool  # a scale or offset, which shares its blocks with its partner

    @property
    def size(self) -> int:
        """The number of blocks."""
        return math.prod(self.grid)

    @property
    def block_shape(self) -> tuple[int, ...]:
        """The shape of one block; separate axes have the length 1."""
        return tuple(n // blocks for n, blocks in zip(self.shape, self.grid))


def checked_weights(owner: str, weights: Any, without: Any, separate: Any, joint: Any = ()) -> Weights:
    """Returns the arguments as :class:`Weights`; raises ``TypeError`` or ``ValueError``."""
    predicate: Any = weights if callable(weights) else None
    patterns = None if weights is None or predicate else checked_patterns(weights, owner, "weights")
    if not isinstance(separate, Mapping):
        separate = {".*": separate}
    separate = {checked_pattern(p, owner): _axes(owner, p, axes) for p, axes in separate.items()}
    without, joint = checked_patterns(without, owner, "without"), checked_patterns(joint, owner, "joint")
    return Weights(patterns, predicate, without, tuple(separate.items()), joint)


def layout(params: Any, which: Weights, owner: str, whole_shape: Callable[[int, Any], tuple[int, ...]]) -> list[Piece]:
    """Returns the pieces of the chosen leaves, in the order of the parameters.

    Args:
        params: the parameters, or the local shards of them.
        which: which parameters are chosen, and their blocks.
        owner: the function named in error messages.
        whole_shape: from the index of a leaf and the leaf to its shape on all devices.

    Raises:
        ValueError: if no leaf is chosen, a pattern matches none, an axis does not exist or is not
            divisible.
    """
    keyed = jax.tree_util.tree_flatten_with_path(params)[0]
    if not keyed:
        return []
    # A pattern that matches no parameter is a mistake. Patterns may overlap: check each alone.
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
            raise ValueError(f"{owner}: {path} is a scalar: a scalar has no direction to keep")
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.inexact):
            raise ValueError(f"{owner}: {path} has the type {leaf.dtype}; only floating-point weights can be scaled")
        axes = next((axes for pattern, axes in which.separate if re.fullmatch(pattern, path)), ())
        piece = Piece(index, path, shape, _grid(owner, path, shape, axes), end, joint)
        group = path.rpartition("/")[0] if joint else path
        if group in starts:
            first = starts[group]
            if piece.size != first.size:
                raise ValueError(
                    f"{owner}: {first.path} and {path} are joint, but have {first.size} and {piece.size} blocks"
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
            "no parameter of rank 2 or higher has the name of a hidden layer"
            if which.predicate is None and which.patterns is None
            else "no parameter is chosen"
        )
        raise ValueError(f"{owner}: {rule}; choose weights by patterns, weights=[...]; the paths are {some}")
    return pieces


def total(pieces: Sequence[Piece]) -> int:
    """Returns the number of blocks of all pieces: the length of the vectors."""
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
