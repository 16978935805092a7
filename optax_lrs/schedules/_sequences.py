"""Arguments that may be one number or several."""

from __future__ import annotations

from typing import Any


def is_sequence(values: Any) -> bool:
    """Whether ``values`` is a list, a tuple, a range or a one-dimensional array."""
    return isinstance(values, (list, tuple, range)) or getattr(values, "ndim", 0) == 1


def listed(values: Any) -> tuple[Any, ...]:
    """The values as a tuple; one number becomes a tuple of one."""
    return tuple(values) if is_sequence(values) else (values,)
