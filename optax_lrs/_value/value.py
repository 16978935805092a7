"""Values: frozen dataclasses that are pytrees, and that print, compare, pickle and save."""

from __future__ import annotations

import dataclasses
import json
import os
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import jax
import numpy as np

from optax_lrs._value import arguments
from optax_lrs._value.fields import Note, Unseen, kind_of

JSON_VERSION = 1
_NUMBERS = (float, float | None, jax.Array)
_REPR_LIMIT = 1000  # entries of an array that repr writes out in full; NumPy's own threshold


@typing.dataclass_transform(frozen_default=True, kw_only_default=True, eq_default=False)
class Value:
    """A frozen dataclass that is a pytree: numbers are its leaves, counts its structure.

    The type of a field says what becomes of it, so that no field needs a marker:

    ==========================  =================================================================
    ``float``, ``jax.Array``    a leaf: traced, swept by ``vmap``, differentiated, never recompiled for
    ``float | None``            the same, or nothing
    a ``Value``, a tuple of them  a subtree
    ``Note``                    text beside the structure: printed and saved, and otherwise without effect
    anything else (``int``, …)  structure: known when a program is traced, compared by ``jit``
    ==========================  =================================================================

    Subclasses are keyword-only frozen dataclasses without a decorator. They are either abstract (``abstract=True``)
    or final: to change a value, wrap it.
    """

    registry: ClassVar[dict[str, type[Value]]] = {}
    """Every concrete class by name: what :func:`optax_lrs.parse` and ``from_json`` may build, and nothing else."""

    _keyword_only: ClassVar[bool] = True
    _nodes: ClassVar[tuple[str, ...]] = ()
    _statics: ClassVar[tuple[str, ...]] = ()
    _notes: ClassVar[tuple[str, ...]] = ()
    _kinds: ClassVar[dict[str, Any]] = {}
    _plain: ClassVar[bool] = False  # whether every number in here is known, on the host; False for what JAX rebuilt

    def __init_subclass__(cls, *, abstract: bool = False, name: str | None = None, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        if abstract:
            return
        for base in cls.__mro__[1:]:
            if base in Value.registry.values():
                raise TypeError(f"{cls.__name__} subclasses {base.__name__}, which is final: wrap it instead")
        dataclasses.dataclass(frozen=True, eq=False, repr=False, kw_only=cls._keyword_only)(cls)
        cls._name = name or cls.__name__
        cls._kinds = {field.name: kind_of(field.type, cls.__module__) for field in dataclasses.fields(cls)}
        cls._nodes = tuple(key for key, kind in cls._kinds.items() if _is_node(kind))
        cls._notes = tuple(key for key, kind in cls._kinds.items() if kind == Note)
        cls._statics = tuple(key for key in cls._kinds if key not in (*cls._nodes, *cls._notes))
        known = Value.registry.get(cls._name)
        if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise TypeError(f"the name {cls._name!r} is taken by {known.__module__}.{known.__qualname__}")
        Value.registry[cls._name] = cls
        jax.tree_util.register_pytree_with_keys(cls, cls._flatten_with_keys, cls._unflatten, cls._flatten)

    # ── construction ──────────────────────────────────────────────────────────────────────────

    def __post_init__(self) -> None:
        for key, kind in self._kinds.items():
            object.__setattr__(self, key, _checked(type(self)._name, key, kind, getattr(self, key)))
        # Inside a transformation a leaf may be a tracer, a PartitionSpec, a ShapeDtypeStruct: nothing to check then.
        if self._is_concrete():
            self.check()
        children = [item for key in self._nodes for item in _items(getattr(self, key)) if isinstance(item, Value)]
        object.__setattr__(self, "_plain", self._is_concrete() and all(child._plain for child in children))

    def check(self) -> None:
        """Raises ``ValueError`` where the fields contradict each other. Called only with plain numbers."""

    def require(self, holds: bool, rule: str, *names: str) -> None:
        """Raises ``ValueError`` with the rule and the offending arguments unless it holds."""
        if not holds:
            raise ValueError(f"{type(self)._name}: {rule}, got {', '.join(f'{n}={getattr(self, n)!r}' for n in names)}")

    def _is_concrete(self) -> bool:
        """Whether every number of this value itself (not of the values inside it) is known, on the host."""
        numbers = (getattr(self, key) for key in self._nodes if self._kinds[key] in _NUMBERS)
        return all(number is None or type(number) in (float, np.ndarray) for number in numbers)

    def replace(self, **changes: Any) -> Self:
        """The same value with some fields changed; checked like a new one."""
        return dataclasses.replace(self, **changes)

    # ── pytree ────────────────────────────────────────────────────────────────────────────────

    def _flatten(self):
        nodes = tuple(getattr(self, key) for key in self._nodes)
        statics = tuple(getattr(self, key) for key in self._statics)
        if not self._notes:
            return nodes, statics
        # A compiled program serves every note, so what it returns has none: that of its first caller may be wrong.
        traced = any(isinstance(item, jax.core.Tracer) for item in nodes)
        return nodes, (*statics, *(Unseen("" if traced else getattr(self, key)) for key in self._notes))

    def _flatten_with_keys(self):
        nodes, statics = self._flatten()
        return tuple((jax.tree_util.GetAttrKey(key), node) for key, node in zip(self._nodes, nodes)), statics

    @classmethod
    def _unflatten(cls, statics, nodes):
        # Not through __init__: what comes here was checked when it was built, and may be anything that JAX puts at a leaf.
        self = object.__new__(cls)
        for key, item in zip((*cls._statics, *cls._notes), statics):
            object.__setattr__(self, key, item.text if type(item) is Unseen else item)
        for key, item in zip(cls._nodes, nodes):
            object.__setattr__(self, key, item)
        return self

    # ── equality: over leaves; hash: over structure, since arrays cannot be hashed ─────────────────

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
        fields = ", ".join(f"{key}={_text(getattr(self, key))}" for key in self._told())
        return f"{type(self)._name}({fields})"

    def _told(self) -> tuple[str, ...]:
        """The fields that are printed and saved: all but empty notes."""
        return tuple(key for key in self._kinds if key not in self._notes or getattr(self, key))

    def to_dict(self) -> dict[str, Any]:
        """The value as a dict of names, numbers, lists and dicts, for YAML and config libraries; ``from_dict`` reads it."""
        return _to_tree(self)

    @classmethod
    def from_dict(cls, tree: Mapping[str, Any]) -> Self:
        """The value that a mapping describes: its class under ``type``, its fields by name, values inside it likewise.

        Builds registered classes only. Fields that have a default may be left out.

        Raises:
            ValueError: if ``tree`` or something inside it has no ``type``, or names an unknown class or field.
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
        """The value as JSON text; ``from_json`` gives it back, equal to the last bit."""
        return json.dumps({"version": JSON_VERSION, **self.to_dict()}, indent=indent, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The value that ``to_json`` wrote. Builds registered classes only; executes nothing.

        Raises:
            ValueError: if the text is not JSON, was written by a newer version, or names an unknown class or field.
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

    def write(self, path: str | os.PathLike) -> None:
        """Writes the value to a JSON file, whole or not at all: what was there stays until the new text is complete."""
        path = Path(path)
        draft = path.with_name(path.name + ".part")
        draft.write_text(self.to_json(indent=1) + "\n", encoding="utf-8")
        os.replace(draft, path)

    @classmethod
    def read(cls, path: str | os.PathLike) -> Self:
        """The value in a JSON file, written by ``write`` or from ``to_json``.

        Raises:
            ValueError: if the file holds none, or one of a newer version; the message names the file.
            OSError: if it cannot be read.
        """
        try:
            return cls.from_json(Path(path).read_text(encoding="utf-8"))
        except (ValueError, TypeError) as error:  # UnicodeDecodeError is a ValueError
            raise ValueError(f"{os.fspath(path)} holds no {cls.__name__.lower()}: {error}") from None


def build(name: str, /, *args: Any, **fields: Any) -> Value:
    """The registered class of that name, built from these fields; every mistake is a ``ValueError`` or ``TypeError``."""
    if name not in Value.registry:
        known = ", ".join(sorted(Value.registry))
        raise ValueError(f"unknown name {name!r}; known are {known}")
    cls = Value.registry[name]
    unknown = [key for key in fields if key not in cls._kinds]
    if unknown:
        raise ValueError(f"{name} has no field {unknown[0]!r}; it has {', '.join(cls._kinds) or 'none'}")
    required = [f.name for f in dataclasses.fields(cls) if f.default is dataclasses.MISSING]
    missing = [key for key in required[len(args) :] if key not in fields]
    if missing:
        raise ValueError(f"{name} lacks the field {missing[0]!r}")
    return cls(*args, **fields)


def _items(node: Any) -> tuple[Any, ...]:
    return node if isinstance(node, tuple) else (node,)


def _is_node(kind: Any) -> bool:
    if kind in _NUMBERS or (isinstance(kind, type) and issubclass(kind, Value)):
        return True
    return typing.get_origin(kind) is tuple and any(_is_node(item) for item in typing.get_args(kind))


def _checked(owner: str, key: str, kind: Any, value: Any) -> Any:
    """The value as its field wants it: floats for numbers, ints for counts, tuples for sequences."""
    if kind is float:
        return arguments.number(owner, key, value)
    if kind is jax.Array:
        return arguments.row(owner, key, value)
    if kind is int:
        return arguments.whole(owner, key, value)
    if kind == Note:
        return arguments.text(owner, key, value)
    if isinstance(kind, type) and issubclass(kind, Value):
        if isinstance(value, kind):
            return value
        raise TypeError(f"{owner}: {key} must be a {kind.__name__}, got {value!r}")
    if isinstance(kind, types.UnionType):  # the only union in use is `X | None`
        (inner,) = (item for item in typing.get_args(kind) if item is not type(None))
        return None if value is None else _checked(owner, key, inner, value)
    if typing.get_origin(kind) is tuple:
        if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
            raise TypeError(f"{owner}: {key} must be a sequence, got {value!r}")
        return tuple(_checked(owner, key, typing.get_args(kind)[0], item) for item in value)
    return value


def _same(a: Any, b: Any) -> bool:
    if a is b:
        return True
    if isinstance(a, jax.core.Tracer) or isinstance(b, jax.core.Tracer):
        return False
    return np.shape(a) == np.shape(b) and bool(np.all(np.asarray(a) == np.asarray(b)))


def _text(item: Any) -> str:
    if isinstance(item, (jax.core.Tracer, jax.ShapeDtypeStruct)) or not hasattr(item, "__array__"):
        return repr(item)
    array = np.asarray(item)
    if array.size > _REPR_LIMIT:
        return f"[{', '.join(map(repr, array[:3].tolist()))}, ..., {array[-1].item()!r}]"
    return repr(array.tolist())


def _to_tree(item: Any) -> Any:
    if isinstance(item, Value):
        return {"type": type(item)._name, **{key: _to_tree(getattr(item, key)) for key in item._told()}}
    if isinstance(item, tuple):
        return [_to_tree(each) for each in item]
    return np.asarray(item).tolist() if hasattr(item, "__array__") else item


def _from_tree(tree: Any) -> Any:
    if isinstance(tree, (list, tuple)):
        return [_from_tree(item) for item in tree]
    if not isinstance(tree, Mapping):
        return tree
    if not isinstance(tree.get("type"), str):
        raise ValueError(f"an object without a 'type': {str(dict(tree))[:80]}")
    return build(tree["type"], **{key: _from_tree(item) for key, item in tree.items() if key != "type"})
