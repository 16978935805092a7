"""Checks of arguments: every error names the function, the argument, the rule and the value.

Each check takes the function or class to name (``owner``), the argument to name (``name``) and the
value that the caller passed, and returns the value in the form that the package computes with. The
messages read ``Cosine: peak must be a number, got 'x'``."""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Collection
from typing import Any, TypeVar

import jax.core
import jax.numpy as jnp
import numpy as np

T = TypeVar("T")

_LARGEST = float(np.finfo(np.float32).max)
_NO_LIMIT = 2**63 - 1  # the largest int64


def is_traced(*values: Any) -> bool:
    """Whether one of the values is a tracer, whose number is not known while JAX traces."""
    return any(isinstance(value, jax.core.Tracer) for value in values)


def is_concrete(*values: Any) -> bool:
    """Whether all values hold numbers: none is a tracer or a ``ShapeDtypeStruct``."""
    return not any(isinstance(value, (jax.core.Tracer, jax.ShapeDtypeStruct)) for value in values)


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
    """Returns the value as a finite float within bounds.

    Tracers, device arrays and ``ShapeDtypeStruct`` are returned unchanged: their value is unknown,
    or would have to be fetched from the device.

    Args:
        owner: the function or class named in error messages.
        name: the argument named in error messages.
        value: what the caller passed.
        low, high: inclusive bounds; None for no bound.
        above, below: exclusive bounds; None for no bound.

    Raises:
        TypeError: if ``value`` is not a real number.
        ValueError: if it is not finite in float32, or out of bounds.
    """
    of_numpy = isinstance(value, (np.ndarray, np.generic))
    if of_numpy:
        real = value.ndim == 0 and any(jnp.issubdtype(value.dtype, kind) for kind in (np.integer, np.floating))
    else:
        real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not real:
        if hasattr(value, "dtype") and not of_numpy:
            return value
        raise TypeError(f"{owner}: {name} must be a number, got {value!r:.60}")
    rule = _rule(low, high, above, below)
    try:
        found = float(value)  # ints have no gradient
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


def known_number(owner: str, name: str, value: Any, **bounds: float) -> float:
    """Returns the value as a float, as :func:`number` does, for numbers that must be known now.

    Fetches device arrays and raises ``TypeError`` for tracers.
    """
    if not is_concrete(value):
        raise TypeError(f"{owner}: {name} must be a number that is known outside of jit, got {value!r:.60}")
    return number(owner, name, np.asarray(value) if isinstance(value, jax.Array) else value, **bounds)


def positive(owner: str, name: str, value: Any) -> np.ndarray:
    """Returns the number or the array of numbers as float64; all must be positive and finite."""
    try:
        found = np.asarray(float(value) if type(value) is int else value)  # NumPy has no ints beyond 64 bits
    except OverflowError:
        found = np.asarray(np.inf)
    if found.dtype.kind not in "iuf":
        raise TypeError(f"{owner}: {name} must be a number, got {value!r:.60}")
    found = found.astype(np.float64)
    if not np.all(np.isfinite(found) & (found > 0)):
        raise ValueError(f"{owner}: {name} must be positive and finite, got {value!r:.60}")
    return found


def share(owner: str, name: str, value: Any, *, high: float = 1.0) -> Any:
    """Returns the value as a float from 0 to ``high``; errors as for :func:`number`."""
    return number(owner, name, value, low=0.0, high=high)


def whole(owner: str, name: str, value: Any, *, low: int | None = None, high: int = _NO_LIMIT) -> int:
    """Returns the value as an int from ``low`` to ``high``.

    Args:
        owner: the function or class named in error messages.
        name: the argument named in error messages. Arguments named ``…_steps`` are lengths: their
            ``low`` is 0 by default.
        value: what the caller passed.
        low, high: inclusive bounds; int64's by default.

    Raises:
        TypeError: if ``value`` is not an integer. Floats such as ``1e5`` are refused, too.
        ValueError: if it is out of bounds.
    """
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        count = operator.index(value)
    except TypeError:
        raise TypeError(f"{owner}: {name} must be an int, got {value!r:.60}{_as_int(value)}") from None
    low = 0 if low is None and name.endswith("_steps") else low
    if not (-(2**63) if low is None else low) <= count <= high:
        got = f"{count}" if abs(count) < 10**18 else f"an int of {count.bit_length()} bits"
        if count > high and high == _NO_LIMIT:
            raise ValueError(f"{owner}: {name} must be below 2**63, got {got}")
        most = "" if high == _NO_LIMIT else f"at most {high}"
        rule = " and ".join(filter(None, [f"at least {-(2**63) if low is None else low}", most]))
        raise ValueError(f"{owner}: {name} must be {rule}, got {got}")
    return count


def one_of(owner: str, name: str, value: Any, choices: Collection[str]) -> Any:
    """Returns the value, which must be one of the choices.

    Raises ``ValueError`` with the list of the choices otherwise.
    """
    if not (isinstance(value, str) and value in choices):
        raise ValueError(f"{owner}: {name} must be one of {', '.join(map(repr, choices))}, got {value!r:.60}")
    return value


def instance(owner: str, name: str, value: Any, kind: type[T] | tuple[type[T], ...], *, example: str = "") -> T:
    """Returns the value, which must be an instance of ``kind``; raises ``TypeError`` otherwise.

    Args:
        owner: the function or class named in error messages.
        name: the argument named in error messages.
        value: what the caller passed.
        kind: a class, or several of them.
        example: a valid value as the user would write it; shown in the message.
    """
    if not isinstance(value, kind):
        kinds = " or ".join(_with_article(each.__name__) for each in (kind if isinstance(kind, tuple) else (kind,)))
        such = f", such as {example}" if example else ""
        raise TypeError(f"{owner}: {name} must be {kinds}{such}, got {value!r:.80}")
    return value


def function(owner: str, name: str, value: Any, *, example: str) -> Any:
    """Returns the value, which must be callable; raises ``TypeError`` otherwise."""
    if not callable(value):
        raise TypeError(f"{owner}: {name} must be callable, such as {example}, got {value!r:.80}")
    return value


def given_params(owner: str, params: Any) -> Any:
    """Returns the parameters given to a transform's ``update``; raises ``ValueError`` for None."""
    if params is None:
        raise ValueError(f"{owner}: update needs the parameters: tx.update(grads, state, params)")
    return params


def row(
    owner: str,
    name: str,
    value: Any,
    *,
    length: int | None = None,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> Any:
    """Returns the value as a read-only float64 copy: a non-empty 1-D array of finite numbers.

    Tracers, device arrays and ``ShapeDtypeStruct`` are returned unchanged.

    Args:
        owner: the function or class named in error messages.
        name: the argument named in error messages.
        value: what the caller passed.
        length: the number of entries; None for any.
        low, high: inclusive bounds of every entry; None for no bound.
        above, below: exclusive bounds; None for no bound.

    Raises:
        TypeError: if ``value`` is not a list, tuple or array of numbers.
        ValueError: if it is empty, has another length or rank, or an entry is not finite or out of
            bounds.
    """
    if not isinstance(value, (list, tuple, np.ndarray)):
        if not hasattr(value, "dtype"):
            raise TypeError(f"{owner}: {name} must be an array of numbers, got {value!r:.60}")
        return value
    array = _float64(owner, name, value)
    if array.ndim != 1 or not array.size or not np.all(np.abs(array) <= _LARGEST):
        raise ValueError(f"{owner}: {name} must be one or more finite numbers in a row, got {value!r:.60}")
    if length is not None and array.size != length:
        raise ValueError(f"{owner}: {name} must have {length} entries, got {array.size}")
    inside = (low is None or np.all(array >= low)) and (high is None or np.all(array <= high))
    if not (inside and (above is None or np.all(array > above)) and (below is None or np.all(array < below))):
        raise ValueError(f"{owner}: every entry of {name} must be {_rule(low, high, above, below)}, got {value!r:.60}")
    return array


def array(owner: str, name: str, value: Any) -> Any:
    """Returns a number as :func:`number` does, an array of any shape as a read-only float64 copy.

    Raises:
        TypeError: if ``value`` is neither a number nor a list, tuple or array of numbers.
        ValueError: if it is empty, or an entry is not finite in float32.
    """
    if not isinstance(value, (list, tuple, np.ndarray)) or np.ndim(value) == 0:
        return number(owner, name, value)
    array = _float64(owner, name, value)
    if not array.size or not np.all(np.abs(array) <= _LARGEST):
        raise ValueError(f"{owner}: {name} must be one or more finite numbers, got {value!r:.60}")
    return array


def _float64(owner: str, name: str, value: Any) -> np.ndarray:
    """Returns the numbers as a read-only copy, safe from later changes to the caller's array."""
    try:
        if np.asarray(value).dtype.kind not in "iufO":
            raise TypeError
        array = np.array(value, np.float64)
    except OverflowError:
        raise ValueError(f"{owner}: {name} must be finite, got {value!r:.60}") from None
    except (TypeError, ValueError):
        raise TypeError(f"{owner}: {name} must be an array of numbers, got {value!r:.60}") from None
    array.flags.writeable = False
    return array


def text(owner: str, name: str, value: Any) -> str:
    """Returns the value, which must be a string; raises ``TypeError`` otherwise."""
    if not isinstance(value, str):
        raise TypeError(f"{owner}: {name} must be a str, got {value!r:.60}")
    return str(value)


def did_you_mean(name: str, known: Collection[str]) -> str:
    """Returns ``Did you mean 'x'?`` with the nearest known name, or "" if none is near."""
    import difflib  # imported here because only an error needs it

    folded: dict[str, list[str]] = {}
    for each in sorted(known):
        folded.setdefault(each.lower().replace("_", ""), []).append(each)
    plain = name.lower().replace("_", "")
    near = [each for each in folded if sorted(each) == sorted(plain)]  # two letters swapped: WDS for WSD
    near = near or difflib.get_close_matches(plain, folded, n=1, cutoff=0.6)
    if not near and len(plain) > 2:  # an abbreviation: warmup for warmup_steps
        near = sorted((each for each in folded if plain in each), key=len)
    if not near:
        return ""
    nearest = max(folded[near[0]], key=lambda each: each[:1].isupper() == name[:1].isupper())
    return f"Did you mean {nearest!r}?"


def _as_int(value: Any) -> str:
    """Returns how to write a float such as 1e5 as an int: "; write 100_000 or int(1e5)"."""
    if not isinstance(value, (float, np.floating)) or not float(value).is_integer() or abs(value) >= 2**63:
        return ""
    digits = str(int(value))
    short = digits.rstrip("0")
    zeros = len(digits) - len(short)
    return f"; write {int(value):_}" + (f" or int({short}e{zeros})" if zeros > 2 else "")


def _with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'AEIOUaeio' else 'a'} {noun}"


def _rule(low: float | None, high: float | None, above: float | None, below: float | None) -> str:
    """The bounds in words, such as "above 0 and at most 1"."""
    bounds = (("at least", low), ("above", above), ("at most", high), ("below", below))
    return " and ".join(f"{words} {bound:g}" for words, bound in bounds if bound is not None)
