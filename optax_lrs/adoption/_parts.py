"""A tree taken apart into the optimizer states in it, whether those still have their types or not."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import optax

from optax_lrs._paths import name as path_name
from optax_lrs.adoption._kinds import NESTED, is_state, kind_of, kind_of_fields


@dataclasses.dataclass(eq=False)
class Leaf:
    """One array of a tree."""

    path: str  # in the whole tree, such as 0/mu/layer/kernel
    value: Any
    index: int  # in the flattened tree


@dataclasses.dataclass(eq=False)
class Part:
    """One state: its own arrays, without those of the states inside it."""

    path: str
    kind: str
    fields: frozenset[str]
    around: tuple[Part, ...]  # the states that it is in
    node: Any
    leaves: dict[str, Leaf] = dataclasses.field(default_factory=dict)  # by their path within the state

    @property
    def spread(self) -> set[str]:
        """The leaves that go with parameters: those in a tree, and those that are no scalars."""
        return {key for key, leaf in self.leaves.items() if "/" in key or np.ndim(leaf.value)}

    def __str__(self) -> str:
        return f"{self.path or 'the state itself'} ({self.kind})"


@dataclasses.dataclass(eq=False)
class Parts:
    """All states of a tree in their order, and the arrays that are in none of them (parameters, a step)."""

    states: list[Part]
    loose: Part
    leaves: list[Leaf]
    tree: Any
    raw: bool  # whether the types are lost, as in what Orbax restores without a template
    nested: set[str]

    def kinds(self) -> dict[frozenset[str], str]:
        """The kinds of the states by their fields."""
        return {part.fields: part.kind for part in self.states}


def parts_of(tree: Any, like: Parts | None = None) -> Parts:
    """Takes a tree apart. A raw tree's states are told by their fields, known ones and those that are in ``like``."""
    flat, treedef = jax.tree_util.tree_flatten_with_path(tree)
    index = {key: i for i, (key, _) in enumerate(flat)}
    typed = lambda node: is_state(node) or isinstance(node, (optax.EmptyState, optax.MaskedNode))  # noqa: E731
    raw = not any(map(typed, jax.tree.leaves(tree, is_leaf=typed)))
    boxed = raw and bool(flat) and all(key and _name(key[-1]) == "value" for key, _ in flat)
    also, nested = (like.kinds(), NESTED | like.nested) if like else ({}, NESTED)
    found = Parts([], Part("", "", frozenset(), (), tree), [], treedef, raw, set())
    inside = raw and "opt_state" in _keys(tree)  # then states are looked for in there, and not among the parameters

    def walk(node: Any, key: tuple, names: tuple[str, ...], around: tuple[Part, ...], start: int, look: bool) -> None:
        """``names`` is the key without the boxes that flax.nnx puts around arrays, and ``start`` where the state's begins."""
        kind = kind_of(node) if is_state(node) else None
        if kind is None and look and _keys(node):
            kind = kind_of_fields(frozenset(_keys(node)), also)
        if kind is not None:
            if around:
                found.nested.add(names[start])
            fields = frozenset(node._fields if is_state(node) else _keys(node))
            part = Part("/".join(names), kind, fields, around, node)
            found.states.append(part)
            for step, child in _children(node):
                name = _name(step)
                walk(child, (*key, step), (*names, name), (*around, part), len(names), look and name in nested)
            return
        children = _children(node)
        if children is None:
            leaf = Leaf("/".join(names), node, index[key])
            found.leaves.append(leaf)
            (around[-1] if around else found.loose).leaves["/".join(names[start:])] = leaf
            return
        for step, child in children:
            below = (*names, _name(step)) if not _is_box(node, children, boxed) else names
            walk(child, (*key, step), below, around, start, look or (inside and below == ("opt_state",)))

    walk(tree, (), (), (), 0, raw and not inside)
    return found


def _children(node: Any) -> list[tuple[Any, Any]] | None:
    """A node's children with their keys, None of a leaf; of a list that was saved as a dict, in the order of the list."""
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
    """Whether a node is what flax.nnx puts around an array, or what is left of it in a checkpoint."""
    if len(children) != 1 or _name(children[0][0]) != "value":
        return False
    return boxed or type(node).__module__.startswith("flax.")
