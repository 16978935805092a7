"""Derives from a field's type what it holds (leaves, subtrees, structure, a note) and its check."""

from __future__ import annotations

import collections.abc
import dataclasses
import numbers
import sys
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

import jax
import numpy as np

from optax_lrs._value import arguments

T = TypeVar("T")

Note = Annotated[str, "note"]
"""The type of a text that describes a value and has no effect. It is printed, saved and pickled,
and ignored by the pytree's structure, by equality and by the hash: a compiled program is reused for
any note."""


class _Structure:
    def __repr__(self) -> str:
        return "structure"


Static = Annotated[T, _Structure()]
"""``Static[T]`` declares that a field is structure: a hashable value of any type ``T``, compared by
``jax.jit``. Fields of type ``int``, ``bool``, ``str`` or ``Literal``, or tuples of them, are
structure without it."""

UNDERSTOOD = (
    "float, int, bool, str, Literal, jax.Array, np.ndarray, jax.typing.ArrayLike, Note, subclasses of Value "
    "such as Schedule, and tuples, optionals and unions of these that are all leaves or all structure; "
    "Static[T] marks structure of another type"
)


class Subtree:
    """The base class of ``Value``: marks classes whose instances are subtrees of a pytree."""


class Unseen:
    """A note inside a pytree's structure: equal to every other, so that caches ignore it."""

    __slots__ = ("text",)

    def __init__(self, text: str):
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unseen)

    def __hash__(self) -> int:
        return hash(Unseen)


Check = Callable[[str, str, Any], Any]
"""Takes the names of class and field and a value; returns the value to store, or raises."""


@dataclasses.dataclass(frozen=True)
class Kind:
    """The role of a field in the pytree, and the check of its values.

    Args:
        holds: ``"leaves"``, ``"subtrees"``, ``"structure"`` or ``"note"``.
        check: the check of a value given for the field.
        type: the Python type of the field.
    """

    holds: Literal["leaves", "subtrees", "structure", "note"]
    check: Check
    type: Any

    @property
    def is_node(self) -> bool:
        """Whether the field is a child of the pytree."""
        return self.holds in ("leaves", "subtrees")


class _NotUnderstood(Exception):
    """Raised for a type that a field cannot have; the message may add a reason."""


def kind_of(annotation: Any, cls: type, key: str) -> Kind:
    """Returns the kind of the field ``key`` of ``cls`` from its annotation, which may be a string.

    Raises:
        TypeError: if the annotation is not understood; the message lists the known types.
    """
    # typing.get_type_hints would take a third of the time to import the package.
    known = _BY_TEXT.get(annotation) if isinstance(annotation, str) else None
    if known is not None:
        return known
    try:
        return _kind(annotation, lambda text: _evaluated(text, cls))
    except _NotUnderstood as reason:
        shown = annotation if isinstance(annotation, str) else _shown(annotation)
        why = f" ({reason})" if str(reason) else ""
        message = f"{cls.__name__}: the type of the field {key!r}, {shown}, is not understood{why}. Use {UNDERSTOOD}."
    raise TypeError(message)


def _evaluated(text: str, cls: type) -> Any:
    """Evaluates an annotation in the scope of the class: its module, or the function around it."""
    module = sys.modules.get(cls.__module__)
    names = {key: item for key, item in vars(cls).items() if isinstance(item, type)} | {cls.__name__: cls}
    frame: Any = sys._getframe()
    while frame is not None:  # the function that contains the class statement is one of the callers
        if frame.f_globals.get("__name__") == cls.__module__ and frame.f_locals is not frame.f_globals:
            names = {**frame.f_locals, **names}
            break
        frame = frame.f_back
    try:
        return eval(text, vars(module) if module else {}, names)
    except Exception as error:  # the string may raise anything
        raise _NotUnderstood(str(error) or type(error).__name__) from None


def _kind(kind: Any, evaluated: Callable[[str], Any]) -> Kind:
    """Returns the kind of a field of this type; ``evaluated`` evaluates string annotations."""
    if isinstance(kind, typing.ForwardRef):
        kind = kind.__forward_arg__
    if isinstance(kind, str):
        return _kind(evaluated(kind), evaluated)
    if hasattr(kind, "__supertype__"):  # NewType
        return _kind(kind.__supertype__, evaluated)
    if type(kind).__name__ == "TypeAliasType":
        return _kind(kind.__value__, evaluated)
    if kind == Note:
        return NOTE
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        marked = any(isinstance(mark, _Structure) for mark in kind.__metadata__)
        return _structure(kind, inner[0], evaluated) if marked else _kind(inner[0], evaluated)
    if isinstance(kind, type) and origin is None:
        return _kind_of_class(kind)
    if origin is np.ndarray:
        return ROW
    if origin is Literal:
        return Kind("structure", _literal(inner), kind)
    if origin in (typing.Union, types.UnionType):
        return _union(kind, inner, evaluated)
    if origin is tuple or origin in _SEQUENCES:
        return _tuple(kind, inner, origin, evaluated)
    raise _NotUnderstood()


def _kind_of_class(kind: type) -> Kind:
    if kind is bool:
        return FLAG
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    if issubclass(kind, np.floating):
        return NUMBER
    if issubclass(kind, Subtree):
        return Kind("subtrees", lambda owner, key, value: arguments.instance(owner, key, value, kind), kind)
    raise _NotUnderstood()


def _structure(kind: Any, inner: Any, evaluated: Callable[[str], Any]) -> Kind:
    """The kind of ``Static[T]``: hashable, and checked as a ``T`` where ``T`` is understood."""
    try:
        check = _kind(inner, evaluated).check
    except _NotUnderstood:
        check = _anything
    return Kind("structure", lambda owner, key, value: _hashable(owner, key, check(owner, key, value)), kind)


def _union(kind: Any, members: tuple[Any, ...], evaluated: Callable[[str], Any]) -> Kind:
    """The kind of a union: numbers, arrays and subtrees, or several kinds of structure, or None."""
    some = [member for member in members if member is not type(None)]
    optional = len(some) < len(members)
    if set(some) >= _ARRAY_LIKE:
        some = [member for member in some if member not in _ARRAY_LIKE]
        kinds = [ARRAY]
    else:
        kinds = []
    kinds += [_kind(member, evaluated) for member in some]
    if any(each.holds == "leaves" for each in kinds):
        kinds = [NUMBER if each.type is int else each for each in kinds]  # int | float: an int becomes a float
    merged = _merged(kind, kinds)
    check = _optional(merged.check) if optional else merged.check
    return Kind(merged.holds, check, kind)


def _merged(kind: Any, kinds: list[Kind]) -> Kind:
    if len(kinds) == 1:
        return kinds[0]
    if all(each.holds == "structure" for each in kinds):
        return Kind("structure", _first_of([each.check for each in kinds], _shown(kind)), kind)
    if not all(each.is_node for each in kinds):
        raise _NotUnderstood("it is a leaf for some values and structure for others")
    leaves = [each for each in kinds if each.holds == "leaves"]
    classes = tuple(each.type for each in kinds if isinstance(each.type, type) and issubclass(each.type, Subtree))
    if len(leaves) + len(classes) < len(kinds) or any(each.type not in _LEAVES for each in leaves):
        raise _NotUnderstood("a tuple cannot be part of a union of leaves")
    if not leaves:
        return Kind("subtrees", lambda owner, key, value: arguments.instance(owner, key, value, classes), kind)
    leaf = leaves[0] if all(each == leaves[0] for each in leaves) else ARRAY
    if not classes:
        return leaf
    return Kind("leaves", _leaf_or_instance(leaf.check, classes), kind)


def _tuple(kind: Any, members: tuple[Any, ...], origin: Any, evaluated: Callable[[str], Any]) -> Kind:
    """The kind of a tuple, ``Sequence[T]`` or ``list[T]``; the values become tuples."""
    repeated = origin is not tuple or members[-1:] == (Ellipsis,)
    kinds = [_kind(member, evaluated) for member in (members[:1] if repeated else members)]
    holds = {each.holds for each in kinds}
    if not kinds or "note" in holds or ("structure" in holds and len(holds) > 1):
        raise _NotUnderstood("a tuple holds leaves and subtrees, or structure")
    held = "structure" if holds == {"structure"} else "leaves" if "leaves" in holds else "subtrees"
    return Kind(held, _items([each.check for each in kinds], repeated), kind)


# ── checks ────────────────────────────────────────────────────────────────────────────────────


def _flag(owner: str, key: str, value: Any) -> bool:
    return bool(arguments.instance(owner, key, value, (bool, np.bool_), example="True"))


def _anything(owner: str, key: str, value: Any) -> Any:
    return value


def _hashable(owner: str, key: str, value: Any) -> Any:
    try:
        hash(value)
    except TypeError:
        raise TypeError(f"{owner}: {key} is structure and must be hashable, got {value!r:.60}") from None
    return value


def _optional(check: Check) -> Check:
    return lambda owner, key, value: None if value is None else check(owner, key, value)


def _literal(choices: tuple[Any, ...]) -> Check:
    def check(owner: str, key: str, value: Any) -> Any:
        if not any(type(value) is type(choice) and value == choice for choice in choices):
            raise ValueError(f"{owner}: {key} must be one of {', '.join(map(repr, choices))}, got {value!r:.60}")
        return value

    return check


def _first_of(checks: list[Check], kinds: str) -> Check:
    def check(owner: str, key: str, value: Any) -> Any:
        for each in checks:
            try:
                return each(owner, key, value)
            except (TypeError, ValueError):
                pass
        raise TypeError(f"{owner}: {key} must be {kinds}, got {value!r:.60}")

    return check


def _leaf_or_instance(leaf: Check, classes: tuple[type, ...]) -> Check:
    def check(owner: str, key: str, value: Any) -> Any:
        return arguments.instance(owner, key, value, classes) if isinstance(value, Subtree) else leaf(owner, key, value)

    return check


def _items(checks: list[Check], repeated: bool) -> Check:
    def check(owner: str, key: str, value: Any) -> Any:
        unordered = isinstance(value, (str, bytes, collections.abc.Mapping, collections.abc.Set))
        if unordered or not hasattr(value, "__iter__"):
            raise TypeError(f"{owner}: {key} must be a sequence, got {value!r:.60}")
        items = tuple(value)
        if not repeated and len(items) != len(checks):
            raise ValueError(f"{owner}: {key} must have {len(checks)} entries, got {value!r:.60}")
        return tuple(each(owner, key, item) for each, item in zip(checks * len(items) if repeated else checks, items))

    return check


def _shown(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) and typing.get_origin(kind) is None else str(kind)


NUMBER = Kind("leaves", arguments.number, float)
ROW = Kind("leaves", arguments.row, jax.Array)
ARRAY = Kind("leaves", arguments.array, jax.typing.ArrayLike)
COUNT = Kind("structure", arguments.whole, int)
FLAG = Kind("structure", _flag, bool)
TEXT = Kind("structure", arguments.text, str)
NOTE = Kind("note", arguments.text, Note)

_LEAVES = (float, jax.Array, jax.typing.ArrayLike)
_ARRAY_LIKE = set(typing.get_args(jax.typing.ArrayLike))
_SEQUENCES = (list, collections.abc.Sequence)
_SIMPLE = {
    float: NUMBER,
    numbers.Real: NUMBER,
    int: COUNT,
    str: TEXT,
    jax.Array: ROW,
    np.ndarray: ROW,
}
_BY_TEXT = {
    "float": NUMBER,
    "float | None": Kind("leaves", _optional(arguments.number), float | None),
    "int": COUNT,
    "int | None": Kind("structure", _optional(arguments.whole), int | None),
    "bool": FLAG,
    "str": TEXT,
    "tuple[int, ...]": Kind("structure", _items([arguments.whole], True), tuple[int, ...]),
    "jax.Array": ROW,
    "Note": NOTE,
}
