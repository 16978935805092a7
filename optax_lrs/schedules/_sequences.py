"""Arguments that may be one number or several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def is_sequence(values: Any) -> bool:
    """Whether ``values`` is a list, a tuple, a range or a one-dimensional array."""
    return isinstance(values, (list, tuple, range)) or getattr(values, "ndim", 0) == 1


def listed(values: int | Sequence[int]) -> Sequence[int]:
    """The values as a sequence: one number becomes a tuple of one."""
    return values if isinstance(values, Sequence) or hasattr(values, "__iter__") else (values,)
