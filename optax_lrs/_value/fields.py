"""What a field takes: numbers, arrays, counts; and the type that its annotation names."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import jax

Note = Annotated[str, "note"]
"""The type of a field that says something of a value and changes nothing: it prints, saves and pickles, but is no part of
the pytree's structure, of equality or of the hash, so that a program compiled for one note serves every other."""

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
