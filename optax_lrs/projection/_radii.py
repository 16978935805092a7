"""The radii that weights are projected to: their initial norm, a number, or the root of a fan."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from optax_lrs._paths import checked_pattern, labelled
from optax_lrs._schedule import Schedule
from optax_lrs._value.arguments import known_number
from optax_lrs.projection._weight_blocks import Piece, total


def sqrt_fan_in(shape: Sequence[int]) -> float:
    """Returns the square root of the number of inputs of a block.

    For ``radius`` in :func:`project_weights`. Counted as in ``jax.nn.initializers``: the product of
    all axes but the last.

    Args:
        shape: the shape of one block; separate axes have the length 1.

    Example:
        >>> sqrt_fan_in((3, 3, 4, 16))
        6.0
    """
    return math.sqrt(math.prod(shape[:-1]))


def sqrt_fan_out(shape: Sequence[int]) -> float:
    """Returns the square root of the number of outputs of a block.

    For ``radius`` in :func:`project_weights`. Counted as in ``jax.nn.initializers``: the product of
    all axes but the second to last. It is the Frobenius norm that a dense kernel has after a LeCun
    initialization, of variance 1 / fan-in. For single output neurons (``separate=-1``) it is 1.

    Args:
        shape: the shape of one block; separate axes have the length 1.

    Example:
        >>> sqrt_fan_out((512, 16)), sqrt_fan_out((512, 1))
        (4.0, 1.0)
    """
    return math.sqrt(math.prod((*shape[:-2], shape[-1])))


def checked_radius(owner: str, radius: Any) -> Any:
    """Returns the radius or the radii by pattern; raises ``TypeError`` or ``ValueError``."""
    if isinstance(radius, Mapping):
        return {checked_pattern(p, owner): _checked(owner, f"radius[{p!r}]", each) for p, each in radius.items()}
    return _checked(owner, "radius", radius)


def radii_of(radius: Any, params: Any, pieces: Sequence[Piece], norms: jax.Array, owner: str) -> jax.Array:
    """Returns the radius of each block, float32: from ``norms`` where ``radius`` sets none."""
    if isinstance(radius, Mapping) and pieces:
        labelled(params, list(radius), others=None, owner=owner)
    fixed, known = np.zeros(total(pieces), np.float32), np.zeros(total(pieces), bool)
    for piece in pieces:
        value = math.sqrt(math.prod(piece.block_shape)) if piece.joint else _value(radius, piece)
        if value is not None:
            at = slice(piece.start, piece.start + piece.size)
            fixed[at], known[at] = value, True
    # A copy even if all radii are the norms: a donated state must not hold one buffer twice.
    return jnp.where(known, fixed, norms)


def _value(radius: Any, piece: Piece) -> Any:
    if isinstance(radius, Mapping):
        radius = next((value for pattern, value in radius.items() if re.fullmatch(pattern, piece.path)), None)
    return radius(piece.block_shape) if callable(radius) else radius


def _checked(owner: str, name: str, radius: Any) -> Any:
    if isinstance(radius, Schedule):
        raise TypeError(f"{owner}: {name} must not be a Schedule: pass schedule={radius!r:.60}, which multiplies it")
    if radius is None or callable(radius):
        return radius
    return known_number(owner, name, radius, above=0.0)
