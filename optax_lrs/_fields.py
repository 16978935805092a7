"""What a field takes: numbers, arrays, counts; and the type that its annotation names."""

from __future__ import annotations

import math
import numbers
import operator
import sys
from typing import Annotated, Any

import jax
import numpy as np

Note = Annotated[str, "note"]
"""The type of a field that says something of a value and changes nothing: it prints, saves and pickles, but is no part of
the pytree's structure, of equality or of the hash, so that a program compiled for one note serves every other."""

_LARGEST = float(np.finfo(np.float32).max)

_KINDS = {
    "float": float,
    "float | None": float | None,
    "int": int,
    "int | None": int | None,
    "tuple[int, ...]": tuple[int, ...],
    "jax.Array": jax.Array,
    "Note": Note,
}


class Unseen:
    """A note inside a pytree's structure: equal to every other, so that no comparison and no cache sees it."""

    __slots__ = ("text",)

    def __init__(self, text: str):
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unseen)

    def __hash__(self) -> int:
        return hash(Unseen)


def kind_of(annotation: Any, module: str) -> Any:
    """The type that an annotation names: as typing.get_type_hints, which costs a third of the import."""
    if not isinstance(annotation, str):
        return annotation
    return _KINDS.get(annotation) or eval(annotation, vars(sys.modules[module]))


def number(owner: str, key: str, value: Any) -> Any:
    """A finite float, or whatever JAX put there; TypeError and ValueError name the argument."""
    of_numpy = isinstance(value, (np.ndarray, np.generic))  # a whole array is no number; in a sweep JAX puts it there
    if of_numpy:
        real = value.ndim == 0 and any(jax.dtypes.issubdtype(value.dtype, kind) for kind in (np.integer, np.floating))
    else:
        real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not (real or (hasattr(value, "dtype") and not of_numpy)):
        raise TypeError(f"{owner}: {key} must be a number, got {value!r:.60}")
    if real:
        try:
            value = float(value)  # an int would have no gradient
        except OverflowError:
            raise ValueError(f"{owner}: {key} must be finite, got {value!r:.60}") from None
        if not math.isfinite(value):
            raise ValueError(f"{owner}: {key} must be finite, got {value!r}")
        if abs(value) > _LARGEST:
            raise ValueError(f"{owner}: {key} must be finite in float32, got {value!r}")
    return value  # a tracer, an array, a ShapeDtypeStruct


def array(owner: str, key: str, value: Any) -> Any:
    """A read-only copy of a row of finite numbers, or whatever JAX put there."""
    if isinstance(value, (list, tuple, np.ndarray)):
        try:
            if np.asarray(value).dtype.kind not in "iufO":
                raise TypeError
            value = np.array(value, np.float64)  # a copy: what is kept must not change under us
        except OverflowError:
            raise ValueError(f"{owner}: {key} must be finite, got {value!r:.60}") from None
        except (TypeError, ValueError):
            raise TypeError(f"{owner}: {key} must be an array of numbers, got {value!r:.60}") from None
        if value.ndim != 1 or not value.size or not np.all(np.abs(value) <= _LARGEST):
            raise ValueError(f"{owner}: {key} must be one or more finite numbers in a row, got {value!r:.60}")
        value.flags.writeable = False
    elif not hasattr(value, "dtype"):
        raise TypeError(f"{owner}: {key} must be an array of numbers, got {value!r:.60}")
    return value


def count_of(owner: str, key: str, value: Any) -> int:
    """An int below 2**63; lengths are not negative."""
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        count = operator.index(value)
    except TypeError:
        raise TypeError(f"{owner}: {key} must be an int, got {value!r}") from None
    if abs(count) >= 2**63:
        raise ValueError(f"{owner}: {key} must be below 2**63, got {count:.3e}" if abs(count) < 10**300 else
                         f"{owner}: {key} must be below 2**63, got a number of {count.bit_length()} bits")  # fmt: skip
    if key.endswith("_steps") and count < 0:
        raise ValueError(f"{owner}: {key} must be at least 0, got {count}")
    return count


def note(owner: str, key: str, value: Any) -> str:
    """Text."""
    if not isinstance(value, str):
        raise TypeError(f"{owner}: {key} must be text, got {value!r:.60}")
    return str(value)
