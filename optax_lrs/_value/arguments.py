"""The one place where arguments are checked: every error names the function, the argument, the rule and the value."""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Collection
from typing import Any, TypeVar

import jax
import numpy as np

T = TypeVar("T")

_LARGEST = float(np.finfo(np.float32).max)


def number(
    owner: str,
    name: str,
    value: Any,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> Any:
    """The value as a finite float within bounds.

    What JAX puts in the place of a number (a tracer, a device array, a ``ShapeDtypeStruct``) is returned unchanged: its value
    is not known yet, or would have to be fetched.

    Args:
        owner: the function or class named in error messages.
        name: the argument named in error messages.
        value: what the caller passed.
        low, high: inclusive bounds; None for none.
        above, below: exclusive bounds; None for none.

    Raises:
        TypeError: if ``value`` is not a real number.
        ValueError: if it is not finite in float32, or out of bounds.
    """
    of_numpy = isinstance(value, (np.ndarray, np.generic))
    if of_numpy:
        real = value.ndim == 0 and any(jax.dtypes.issubdtype(value.dtype, kind) for kind in (np.integer, np.floating))
    else:
        real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not real:
        if hasattr(value, "dtype") and not of_numpy:
            return value
        raise TypeError(f"{owner}: {name} must be a number, got {value!r:.60}")
    rule = _rule(low, high, above, below)
    try:
        found = float(value)  # an int would have no gradient
    except OverflowError:
        raise ValueError(f"{owner}: {name} must be {rule or 'finite'}, got {value!r:.60}") from None
    if not math.isfinite(found):
        raise ValueError(f"{owner}: {name} must be {rule or 'finite'}, got {value!r:.60}")
    inside = (low is None or found >= low) and (high is None or found <= high)
    if not (inside and (above is None or found > above) and (below is None or found < below)):
        raise ValueError(f"{owner}: {name} must be {rule}, got {value!r:.60}")
    if abs(found) > _LARGEST:
        raise ValueError(f"{owner}: {name} must be finite in float32, got {value!r:.60}")
    return found


def share(owner: str, name: str, value: Any, *, high: float = 1.0) -> Any:
    """The value as a float from 0 to ``high``; errors as for :func:`number`."""
    return number(owner, name, value, low=0.0, high=high)


def whole(owner: str, name: str, value: Any, *, low: int | None = None, high: int = 2**63 - 1) -> int:
    """The value as an int from ``low`` to ``high``; an argument named ``…_steps`` is a length, which is not negative.

    Raises:
        TypeError: if ``value`` is not an integer (floats with an integer value included).
        ValueError: if it is out of bounds.
    """
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        count = operator.index(value)
    except TypeError:
        raise TypeError(f"{owner}: {name} must be an int, got {value!r:.60}") from None
    low = 0 if low is None and name.endswith("_steps") else low
    if not (-(2**63) if low is None else low) <= count <= high:
        got = f"{count}" if abs(count) < 10**18 else f"an int of {count.bit_length()} bits"
        if count > high and high == 2**63 - 1:
            raise ValueError(f"{owner}: {name} must be below 2**63, got {got}")
        most = "" if high == 2**63 - 1 else f"at most {high}"
        rule = " and ".join(filter(None, [f"at least {-(2**63) if low is None else low}", most]))
        raise ValueError(f"{owner}: {name} must be {rule}, got {got}")
    return count


def one_of(owner: str, name: str, value: Any, choices: Collection[str]) -> Any:
    """The value, which must be one of the choices."""
    if not (isinstance(value, str) and value in choices):
        raise ValueError(f"{owner}: {name} must be one of {', '.join(map(repr, choices))}, got {value!r:.60}")
    return value


def instance(owner: str, name: str, value: Any, kind: type[T], *, example: str = "") -> T:
    """The value, which must be an instance of ``kind``; ``example`` shows one in the error message."""
    if not isinstance(value, kind):
        such = f", such as {example}" if example else ""
        raise TypeError(f"{owner}: {name} must be a {kind.__name__}{such}, got {value!r:.80}")
    return value


def row(owner: str, name: str, value: Any) -> Any:
    """The value as a read-only float64 copy of one or more finite numbers in a row; what JAX puts there, unchanged."""
    if isinstance(value, (list, tuple, np.ndarray)):
        try:
            if np.asarray(value).dtype.kind not in "iufO":
                raise TypeError
            value = np.array(value, np.float64)  # a copy: what is kept must not change under us
        except OverflowError:
            raise ValueError(f"{owner}: {name} must be finite, got {value!r:.60}") from None
        except (TypeError, ValueError):
            raise TypeError(f"{owner}: {name} must be an array of numbers, got {value!r:.60}") from None
        if value.ndim != 1 or not value.size or not np.all(np.abs(value) <= _LARGEST):
            raise ValueError(f"{owner}: {name} must be one or more finite numbers in a row, got {value!r:.60}")
        value.flags.writeable = False
    elif not hasattr(value, "dtype"):
        raise TypeError(f"{owner}: {name} must be an array of numbers, got {value!r:.60}")
    return value


def text(owner: str, name: str, value: Any) -> str:
    """The value, which must be a string."""
    if not isinstance(value, str):
        raise TypeError(f"{owner}: {name} must be a str, got {value!r:.60}")
    return str(value)


def _rule(low: float | None, high: float | None, above: float | None, below: float | None) -> str:
    """The bounds in words, such as "above 0 and at most 1"."""
    bounds = (("at least", low), ("above", above), ("at most", high), ("below", below))
    return " and ".join(f"{words} {bound:g}" for words, bound in bounds if bound is not None)
