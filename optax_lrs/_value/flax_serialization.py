"""Lets ``flax.serialization`` save values, once it is imported; this package does not import it.

``to_bytes`` and ``to_state_dict`` look up each node's class in a registry of flax. A value is
written as a dict of its numbers and of the values in it. Its structure, such as step counts, comes
from the template at ``from_bytes``, as it does for every pytree that flax restores.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

_MODULE = "flax.serialization"


ToDict = Callable[[Any], Any]
FromDict = Callable[[Any, Any], Any]

_waiting: list[tuple[Any, ToDict, FromDict]] = []
"""Classes that flax does not know yet."""


def offer(kind: Any, to_dict: ToDict | None = None, from_dict: FromDict | None = None) -> None:
    """Registers a class of nodes with flax: now, or at the first :func:`register` after its import.

    Args:
        kind: a class of values, or with the two functions any other class.
        to_dict: returns what to save of a node.
        from_dict: returns a node from the template's and what was saved.
    """
    _waiting.append((kind, to_dict or _to_dict, from_dict or _from_dict))
    register()


def offer_structure(kind: Any) -> None:
    """Registers a class of nodes without arrays: nothing is saved; the template's node is kept."""
    offer(kind, lambda node: {}, lambda node, saved: node)


def register() -> None:
    """Registers all classes that flax does not know yet, if flax is imported.

    Called wherever a value is made or taken apart: nothing else happens between the import of flax
    and the moment when it must know the classes.
    A state that was made before that import is known from the first step, or tree operation, on.
    """
    if not _waiting or _MODULE not in sys.modules:
        return
    add = getattr(sys.modules[_MODULE], "register_serialization_state", None)
    if add is None:  # flax is being imported
        return
    while _waiting:
        kind, to_dict, from_dict = _waiting.pop()
        add(kind, to_dict, from_dict, override=True)


def _to_dict(value: Any) -> dict[str, Any]:
    to_state_dict = sys.modules[_MODULE].to_state_dict
    return {name: to_state_dict(getattr(value, name)) for name in value._nodes}


def _from_dict(value: Any, saved: Any) -> Any:
    """The value with the numbers that were saved.

    Raises:
        ValueError: if they are those of another class, or of another length.
    """
    flax: Any = sys.modules[_MODULE]
    where, kind = flax.current_path(), type(value)
    names = set(saved) if isinstance(saved, dict) else set()
    if names != set(value._nodes):
        raise ValueError(
            f"{where} holds the numbers {', '.join(sorted(names)) or 'of no schedule'}, and the template has"
            f" {kind.__name__} ({', '.join(value._nodes)}): restore with the schedule that was saved, then replace it"
            " by with_schedule"
        )
    nodes = []
    for name in value._nodes:
        old = getattr(value, name)
        new = flax.from_state_dict(old, saved[name], name=name)
        if isinstance(getattr(old, "shape", None), tuple) and np.shape(new) != np.shape(old):
            raise ValueError(
                f"{where}/{name} has shape {np.shape(new)}, and that of the template's {kind.__name__} has"
                f" {np.shape(old)}: restore with the schedule that was saved, then replace it by with_schedule"
            )
        nodes.append(new)
    return kind._unflatten(value._flatten()[1], nodes)
