"""Value: a frozen dataclass that is a pytree, and that prints, compares, pickles and saves."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import jax
import numpy as np

from optax_lrs._value import flax_serialization
from optax_lrs._value.arguments import did_you_mean, is_traced
from optax_lrs._value.fields import Kind, Subtree, Unseen, kind_of
from optax_lrs._value.files import write_whole
from optax_lrs._value.registry import Registry

JSON_VERSION = 1
_REPR_LIMIT = 1000  # the largest array that repr prints in full; NumPy uses the same limit


@typing.dataclass_transform(frozen_default=True, kw_only_default=True, eq_default=False)
class Value(Subtree):
    """A frozen dataclass that is a pytree: numbers are its leaves, counts its structure.

    The type of a field decides what it is, so no field needs a marker:

    ==========================================  =========================================================
    ``float``, ``jax.Array``, ``np.ndarray``,   a leaf: traced, swept by ``vmap``, differentiated; a new
    ``jax.typing.ArrayLike``                    number does not recompile
    a ``Value`` such as ``Schedule``            a subtree
    ``int``, ``bool``, ``str``, ``Literal``     structure: known when a program is traced, compared by ``jit``
    ``tuple[T, ...]``, ``tuple[T, T]``          as ``T``; a list becomes a tuple
    ``T | None``, ``T | U``                     as ``T`` and ``U``, which are both leaves and subtrees, or both
                                                structure
    ``Static[T]``                               structure, of any hashable type
    ``Note``                                    text that is printed and saved and otherwise has no effect
    ==========================================  =========================================================

    A number given for a ``float`` becomes a float. ``jax.Array`` and ``np.ndarray`` mean a 1-D
    array of numbers, ``ArrayLike`` a number or an array of any shape. ``int | float`` is a
    ``float``. Any other type is a ``TypeError`` when the class is defined.

    Subclasses are keyword-only frozen dataclasses without a decorator. They are either abstract
    (``abstract=True``) or final: to change a value, wrap it."""

    registry: ClassVar[Registry] = Registry()
    """All concrete classes by name; :func:`optax_lrs.parse` and ``from_json`` build only these."""

    _keyword_only: ClassVar[bool] = True
    _name: ClassVar[str] = ""  # in error messages
    _key: ClassVar[str] = ""  # in the registry and in JSON
    _kinds: ClassVar[dict[str, Kind]] = {}
    _nodes: ClassVar[tuple[str, ...]] = ()
    _statics: ClassVar[tuple[str, ...]] = ()
    _notes: ClassVar[tuple[str, ...]] = ()
    if TYPE_CHECKING:  # what the decorator adds to every subclass
        __dataclass_fields__: ClassVar[dict[str, Any]]
    _plain: ClassVar[bool] = False  # whether all numbers are known on the host; False for values that JAX rebuilt

    def __init_subclass__(cls, *, abstract: bool = False, name: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if abstract:
            return
        for base in cls.__mro__[1:]:
            if "_key" in vars(base) and base is not Value:
                raise TypeError(f"{cls.__name__} subclasses {base.__name__}, which is final: wrap it instead")
        dataclasses.dataclass(frozen=True, eq=False, repr=False, kw_only=cls._keyword_only)(cls)
        cls._kinds = {field.name: kind_of(field.type, cls, field.name) for field in dataclasses.fields(cls)}
        cls._nodes = tuple(key for key, kind in cls._kinds.items() if kind.is_node)
        cls._notes = tuple(key for key, kind in cls._kinds.items() if kind.holds == "note")
        cls._statics = tuple(key for key, kind in cls._kinds.items() if kind.holds == "structure")
        cls._name = name or cls.__name__
        cls._key = Value.registry.add(cls, cls._name)
        _explain_wrong_arguments(cls)
        flax_serialization.offer(cls)
        jax.tree_util.register_pytree_with_keys(cls, cls._flatten_with_keys, cls._unflatten, cls._flatten)

    # ── construction ──────────────────────────────────────────────────────────────────────────

    def __post_init__(self) -> None:
        flax_serialization.register()
        for key, kind in self._kinds.items():
            object.__setattr__(self, key, kind.check(self._name, key, getattr(self, key)))
        items = [item for key in self._nodes for item in _items(getattr(self, key))]
        # Inside a transformation a leaf may be a tracer, a PartitionSpec or a ShapeDtypeStruct.
        # These cannot be checked.
        known = all(isinstance(item, Value) or item is None or type(item) in (float, np.ndarray) for item in items)
        if known:
            self.check()
        plain = known and all(item._plain for item in items if isinstance(item, Value))
        object.__setattr__(self, "_plain", plain)

    def check(self) -> None:
        """Raises ``ValueError`` if the fields contradict each other.

        It is called when a value is built from plain numbers, but not inside a transformation,
        where numbers are unknown."""

    def require(self, holds: Any, rule: str, *names: str) -> None:
        """Raises ``ValueError`` with the rule and the named arguments, unless ``holds``."""
        if not holds:
            raise ValueError(f"{self._name}: {rule}, got {', '.join(f'{n}={getattr(self, n)!r}' for n in names)}")

    def replace(self, **changes: Any) -> Self:
        """Returns a copy with some fields changed; it is checked like a new value."""
        return dataclasses.replace(self, **changes)

    if not TYPE_CHECKING:  # a type checker would accept every attribute

        def __getattr__(self, name):
            message = f"{type(self).__name__!r} object has no attribute {name!r}"
            if not name.startswith("_"):
                hint = did_you_mean(name, [each for each in [*dir(type(self)), *self._kinds] if each[0] != "_"])
                message += f". {hint}" if hint else ""
            raise AttributeError(message, name=name, obj=None)  # an obj would make Python suggest a second time

    # ── pytree ────────────────────────────────────────────────────────────────────────────────

    def _flatten(self) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        flax_serialization.register()
        nodes = tuple(getattr(self, key) for key in self._nodes)
        statics = tuple(getattr(self, key) for key in self._statics)
        if not self._notes:
            return nodes, statics
        # A compiled program is reused for any note, so its results have none: the note of the first
        # caller would be wrong for the next one.
        traced = is_traced(*nodes)
        return nodes, (*statics, *(Unseen("" if traced else getattr(self, key)) for key in self._notes))

    def _flatten_with_keys(self) -> tuple[tuple[tuple[Any, Any], ...], tuple[Any, ...]]:
        nodes, statics = self._flatten()
        return tuple((jax.tree_util.GetAttrKey(key), node) for key, node in zip(self._nodes, nodes)), statics

    @classmethod
    def _unflatten(cls, statics: Iterable[Any], nodes: Iterable[Any]) -> Self:
        flax_serialization.register()
        # Without __init__: the fields were checked when the value was built, and JAX may have
        # replaced a leaf with any object.
        self = object.__new__(cls)
        for key, item in zip((*cls._statics, *cls._notes), statics):
            object.__setattr__(self, key, item.text if type(item) is Unseen else item)
        for key, item in zip(cls._nodes, nodes):
            object.__setattr__(self, key, item)
        return self

    # ── equality over leaves, hash over structure: arrays cannot be hashed ─────────────────────

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(self) is not type(other):
            return NotImplemented
        mine, structure = jax.tree.flatten(self)
        theirs, other_structure = jax.tree.flatten(other)
        return structure == other_structure and all(_same(a, b) for a, b in zip(mine, theirs))

    def __hash__(self) -> int:
        return hash((type(self), *(getattr(self, key) for key in self._statics)))

    # ── text ──────────────────────────────────────────────────────────────────────────────────

    def __repr__(self) -> str:
        fields = ", ".join(f"{key}={_text(getattr(self, key))}" for key in self._shown())
        return f"{self.registry.shown(type(self), self._name)}({fields})"

    def _shown(self) -> tuple[str, ...]:
        """Returns the fields that are printed and saved: all but empty notes."""
        return tuple(key for key in self._kinds if key not in self._notes or getattr(self, key))

    def to_dict(self) -> dict[str, Any]:
        """Returns the value as nested dicts and lists, for YAML and config libraries.

        :meth:`from_dict` reads it. A class of this package is written by its bare name, any other
        as ``module:Name``.

        Raises:
            TypeError: if a field of type ``Static[...]`` cannot be written as JSON.
        """
        return _to_tree(self)

    @classmethod
    def from_dict(cls, tree: Mapping[str, Any]) -> Self:
        """Builds a value from a mapping with its class under ``type`` and its fields by name.

        Values inside it are mappings, too. Only registered classes are built: import the module of
        your class first. Its bare name is enough if no other class has it. Fields that have a
        default may be left out.

        Raises:
            ValueError: if ``tree`` or a mapping inside it has no ``type``, or names an unknown
                class or field.
            TypeError: if a field has the wrong type.

        Example:
            >>> from optax_lrs import Schedule
            >>> Schedule.from_dict({"type": "Cosine", "peak": 3e-4, "total_steps": 10_000})
            Cosine(peak=0.0003, total_steps=10000, warmup_steps=0, end=0.0)
        """
        value = _from_tree(tree)
        if not isinstance(value, cls):
            raise ValueError(f"expected a {cls.__name__}, got {value!r}")
        return value

    def to_json(self, *, indent: int | None = None) -> str:
        """Returns the value as JSON text; :meth:`from_json` restores it to the last bit."""
        return json.dumps({"version": JSON_VERSION, **self.to_dict()}, indent=indent, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Returns the value that :meth:`to_json` wrote.

        Only registered classes are built, and no code from the text is executed.

        Raises:
            ValueError: if the text is not JSON, was written by a newer version, or names an unknown
                class or field.
            TypeError: if a field has the wrong type.
        """
        try:
            tree = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"not JSON: {error}") from None
        except RecursionError:
            raise ValueError("not a saved schedule: nested too deeply") from None
        if not isinstance(tree, dict) or "version" not in tree:
            raise ValueError(
                f"not a saved {cls.__name__}: expected an object with 'version' and 'type', got {text[:60]!r}"
            )
        version = tree.pop("version")
        if type(version) is not int or version != JSON_VERSION:
            raise ValueError(f"version={version!r}: this optax_lrs reads version {JSON_VERSION}")
        return cls.from_dict(tree)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Writes the value to a JSON file; an old file is replaced only by a complete new one."""
        write_whole(path, f"{self.to_json(indent=1)}\n".encode())

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """Reads the value from a JSON file that holds the text of :meth:`to_json`.

        Raises:
            ValueError: if the file does not hold such a value, or was written by a newer version;
                the message names the file.
            OSError: if it cannot be read.
        """
        try:
            return cls.from_json(Path(path).read_text(encoding="utf-8"))
        except (ValueError, TypeError) as error:  # UnicodeDecodeError is a ValueError
            raise ValueError(f"{os.fspath(path)} is not a saved {cls.__name__.lower()}: {error}") from None


def build(name: str, /, *args: Any, **fields: Any) -> Value:
    """Builds an instance of the registered class of that name.

    Raises:
        ValueError: if the name is unknown or ambiguous, or the class does not take the arguments.
        TypeError: if a field has the wrong type.
    """
    cls = Value.registry.find(name)
    wrong = _wrong_arguments(cls, args, fields)
    if wrong:
        raise ValueError(wrong)
    return cls(*args, **fields)


# ── wrong arguments ───────────────────────────────────────────────────────────────────────────


def _explain_wrong_arguments(cls: type[Value]) -> None:
    """Replaces Python's ``TypeError`` for wrong arguments by one that lists the right ones."""
    generated = cls.__init__

    @functools.wraps(generated)
    def __init__(self: Value, *args: Any, **fields: Any) -> None:
        try:
            generated(self, *args, **fields)
        except TypeError:
            wrong = _wrong_arguments(cls, args, fields)
            if not wrong:
                raise
            raise TypeError(wrong) from None

    setattr(cls, "__init__", __init__)  # noqa: B010 - type checkers reject the assignment


def _wrong_arguments(cls: type[Value], args: Sequence[Any], fields: Mapping[str, Any]) -> str:
    """Describes in one line what is wrong with the arguments of a class; "" if they fit."""
    known = list(cls._kinds)
    has = f"Arguments: {', '.join(known)}." if known else "It takes no arguments."
    unknown = [key for key in fields if key not in known]
    if unknown:
        hint = did_you_mean(unknown[0], known) or _in_other_case(cls, fields)
        return f"{cls._name}: unknown argument {unknown[0]!r}. {hint + ' ' if hint else ''}{has}"
    if args and cls._keyword_only:
        hint = f" Write {known[0]}={args[0]!r:.40}." if known and known[0] not in fields else ""
        return f"{cls._name}: arguments are given by name, got {args[0]!r:.40}.{hint} {has}"
    if len(args) > len(known):
        return f"{cls._name}: got {len(args)} arguments by position, at most {len(known)} fit. {has}"
    twice = [key for key in known[: len(args)] if key in fields]
    if twice:
        return f"{cls._name}: the argument {twice[0]!r} is given by position and by name. {has}"
    defaults = (dataclasses.MISSING, dataclasses.MISSING)
    required = [field.name for field in dataclasses.fields(cls) if (field.default, field.default_factory) == defaults]
    missing = [repr(key) for key in required if key not in known[: len(args)] and key not in fields]
    if missing:
        return f"{cls._name}: missing argument{'s' if len(missing) > 1 else ''} {', '.join(missing)}. {has}"
    return ""


def _in_other_case(cls: type[Value], fields: Mapping[str, Any]) -> str:
    """Returns a hint for ``cosine(peak=...)``: the class of that name in another case."""
    for key, other in Value.registry.items():
        if key.lower() == cls._name.lower() and other is not cls and set(fields) <= set(other._kinds):
            return f"Did you mean {other._name!r}?"
    return ""


# ── trees and text ────────────────────────────────────────────────────────────────────────────


def _items(node: Any) -> tuple[Any, ...]:
    """Returns the leaves and values in a field: the field itself, or the entries of its tuples."""
    return tuple(item for each in node for item in _items(each)) if isinstance(node, tuple) else (node,)


def _same(a: Any, b: Any) -> bool:
    if a is b:
        return True
    if is_traced(a, b):
        return False
    return np.shape(a) == np.shape(b) and bool(np.all(np.asarray(a) == np.asarray(b)))


def _text(item: Any) -> str:
    if is_traced(item) or isinstance(item, jax.ShapeDtypeStruct) or not hasattr(item, "__array__"):
        return repr(item)
    array = np.asarray(item)
    if array.size > _REPR_LIMIT:
        flat = array.ravel()
        return f"[{', '.join(map(repr, flat[:3].tolist()))}, ..., {flat[-1].item()!r}]"
    return repr(array.tolist())


def _to_tree(item: Any) -> Any:
    if isinstance(item, Value):
        return {"type": item._key, **{key: _to_tree(getattr(item, key)) for key in item._shown()}}
    if isinstance(item, tuple):
        return [_to_tree(each) for each in item]
    if hasattr(item, "__array__"):
        return np.asarray(item).tolist()
    if item is None or isinstance(item, (bool, int, float, str)):
        return item
    raise TypeError(f"cannot be written as JSON: {item!r:.60}")


def _from_tree(tree: Any) -> Any:
    if isinstance(tree, (list, tuple)):
        return [_from_tree(item) for item in tree]
    if not isinstance(tree, Mapping):
        return tree
    if not isinstance(tree.get("type"), str):
        raise ValueError(f"tree must have a 'type', got {str(dict(tree))[:80]}")
    return build(tree["type"], **{key: _from_tree(item) for key, item in tree.items() if key != "type"})
