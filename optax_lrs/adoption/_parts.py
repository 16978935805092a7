"""Takes a tree apart into the optimizer states in it, with or without their types."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

import optax_lrs.projection
import optax_lrs.transforms  # noqa: F401
from optax_lrs._paths import name as path_name
from optax_lrs._states.found import held_state, is_known_state, is_state
from optax_lrs._states.roles import Roles, roles_of
from optax_lrs._states.typeless import Types, are_boxes_dicts, kind_of, known_types, type_of_mapping
from optax_lrs.adoption._place import is_counter

_STEPS = ("rate_steps", "schedule_steps", "phase_steps")


@dataclasses.dataclass(eq=False)
class Leaf:
    """One array of a tree."""

    path: str  # in the whole tree, such as 0/mu/layer/kernel
    value: Any
    index: int  # in the flattened tree


@dataclasses.dataclass(eq=False)
class Part:
    """One state: its own arrays, without those of the states nested in it."""

    path: str
    kind: str
    type: type | None  # the class of the state; None for the part that is in no state
    fields: frozenset[str]
    around: tuple[Part, ...]  # the states that it is nested in, the outermost first
    node: Any
    typed: bool = True  # whether the tree has the state's class; False where the names of its fields give it
    leaves: dict[str, Leaf] = dataclasses.field(default_factory=dict)  # by their paths within the state
    inside: set[str] = dataclasses.field(default_factory=set)  # the fields in which states with arrays are

    @property
    def roles(self) -> Roles | None:
        """What the class of the state declares."""
        return None if self.type is None else roles_of(self.type)

    @property
    def spread(self) -> set[str]:
        """The leaves that go with parameters: those in a tree, and those that are not scalars."""
        return {key for key, leaf in self.leaves.items() if "/" in key or np.ndim(leaf.value)}

    @property
    def present(self) -> frozenset[str]:
        """The fields with arrays or states in them. Only these are in every form of saved trees."""
        return frozenset({key.split("/")[0] for key in self.leaves} | self.inside)

    def has(self, role: str, key: str) -> bool:
        """Whether a leaf has a role, by the class of the state or by that of a state around it."""
        return any(roles.has(role, path) for roles, path in self._declared(key))

    def steps(self, key: str) -> bool:
        """Whether a leaf counts the steps of a schedule."""
        return any(self.has(role, key) for role in _STEPS)

    def learned_by(self) -> Part | None:
        """The outermost state around this one that has learned the schedules in it."""
        for outer in self.around:
            if outer.roles and outer.roles.has("learned", _below(outer.path, self.path)):
                return outer
        return None

    def unexplained(self) -> list[Leaf]:
        """The integer scalars that may be counts, of which no role says what they count."""
        return [
            leaf
            for key, leaf in self.leaves.items()
            if is_counter(leaf.value)
            and getattr(leaf.value, "dtype", None) != np.bool_
            and not (self.roles and "/" in key)  # in a tree that goes with the parameters
            and not any(roles.explains(path) for roles, path in self._declared(key))
        ]

    def _declared(self, key: str) -> Iterator[tuple[Roles, str]]:
        path = f"{self.path}/{key}".lstrip("/")
        for part in (self, *self.around):
            if part.roles:
                yield part.roles, _below(part.path, path)

    def __str__(self) -> str:
        return f"{self.path or 'the state itself'} ({self.kind})"


@dataclasses.dataclass(eq=False)
class Parts:
    """All states of a tree in order, and the arrays outside of them (parameters, a step)."""

    states: list[Part]
    loose: Part
    leaves: list[Leaf]
    tree: Any
    nested: set[str]  # the fields in which states were found

    @property
    def raw(self) -> bool:
        """Whether a state has lost its type, as in what Orbax restores without a template."""
        return not all(part.typed for part in self.states)

    def types(self) -> dict[frozenset[str], type]:
        """The classes of the states with types, by all their fields and by those with arrays."""
        typed = [(part, part.type) for part in self.states if part.typed and part.type is not None]
        by_present = {part.present: kind for part, kind in typed if part.present}
        return {**by_present, **{part.fields: kind for part, kind in typed}}


def parts_of(tree: Any, like: Parts | None = None) -> Parts:
    """Takes a tree apart.

    States without types are found by the names of their fields, among the classes in ``like`` and
    the known ones.
    """
    flat, treedef = jax.tree_util.tree_flatten_with_path(tree)
    index = {key: i for i, (key, _) in enumerate(flat)}
    held = held_state(tree)
    boxed = are_boxes_dicts(tree)
    types = functools.cache(lambda: {**known_types(), **(like.types() if like else {})})
    nested = like.nested if like else set()
    found = Parts([], Part("", "", None, frozenset(), (), tree), [], treedef, set())

    def walk(node: Any, key: tuple, names: tuple[str, ...], around: tuple[Part, ...], start: int, here: bool) -> None:
        """Adds what is below a node.

        ``names``: the key without the boxes that flax.nnx puts around arrays. ``start``: where the
        state's begin.

        ``here``: this is a place for states, where a class that is not known may be one too.
        """
        kind = type_here(node, names, here)
        if kind is not None:
            if around:
                found.nested.add(names[start])
            fields = frozenset(_field_names(node))
            part = Part("/".join(names), kind_of(kind), kind, fields, around, node, typed=_named_tuple(node))
            found.states.append(part)
            declared = part.roles.nested if part.roles else ()
            for step, child in _children(node) or ():
                name = _name(step)
                inside = name in declared or (not part.typed and name in nested)
                walk(child, (*key, step), (*names, name), (*around, part), len(names), inside)
            return
        children = _children(node)
        if children is None:
            leaf = Leaf("/".join(names), node, index[key])
            found.leaves.append(leaf)
            (around[-1] if around else found.loose).leaves["/".join(names[start:])] = leaf
            for outer in around[:-1]:
                outer.inside.add(_below(outer.path, leaf.path).split("/")[0])
            return
        for step, child in children:
            below = (*names, _name(step)) if not _is_box(node, children, boxed) else names
            begins = held is not None and below == ("opt_state",)
            walk(child, (*key, step), below, around, start, here or begins)

    def type_here(node: Any, names: tuple[str, ...], here: bool) -> type | None:
        if here and isinstance(node, Mapping):
            return type_of_mapping(node, types(), within=names[-2] if len(names) > 1 else "")
        return type(node) if (is_state(node) if here else is_known_state(node)) else None

    walk(tree, (), (), (), 0, held is None)
    return found


def types_of_both(mine: Parts, theirs: Parts) -> Types:
    """The known classes by their fields; those that one of the sides has come first."""
    return {**known_types(), **theirs.types(), **mine.types()}


def _below(outer: str, path: str) -> str:
    return path[len(outer) :].lstrip("/") if outer else path


def _named_tuple(node: Any) -> bool:
    return is_state(node) or (isinstance(node, tuple) and hasattr(node, "_fields"))


def _field_names(node: Any) -> list[str]:
    return _keys(node) or list(getattr(node, "_fields", ())) or [_name(step) for step, _ in _children(node) or ()]


def _children(node: Any) -> list[tuple[Any, Any]] | None:
    """A node's children with their keys, lists saved as dicts in order; None for a leaf."""
    flat, _ = jax.tree_util.tree_flatten_with_path(node, is_leaf=lambda child: child is not node)
    if len(flat) == 1 and not flat[0][0]:
        return None
    children = [(key[0], child) for key, child in flat]
    if children and all(_name(step).isdigit() for step, _ in children):
        children.sort(key=lambda child: int(_name(child[0])))
    return children


def _keys(node: Any) -> list[str]:
    """The names of a mapping's entries: of a dict, or of an ``nnx.State``."""
    return [str(key) for key in node] if isinstance(node, Mapping) else []


def _name(step: Any) -> str:
    return path_name((step,))


def _is_box(node: Any, children: list[tuple[Any, Any]], boxed: bool) -> bool:
    """Whether a node is a box of flax.nnx around an array, or the dict that it became."""
    if len(children) != 1 or _name(children[0][0]) != "value" or _children(children[0][1]) is not None:
        return False
    return boxed or (type(node).__module__.startswith("flax.") and not isinstance(node, Mapping))
