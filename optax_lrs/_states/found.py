"""Finds the states inside an optimizer state at any depth, reads their roles, and replaces them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax

from optax_lrs._paths import name as path_name
from optax_lrs._states.roles import Roles, is_known_state, is_state, roles_of
from optax_lrs._states.typeless import known_types, type_of_mapping, with_types

Key = tuple[Any, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Found:
    """A state in a tree."""

    key: Key  # where it is
    node: Any
    around: tuple[Found, ...] = ()  # the states that it is nested in, the outermost first

    @property
    def path(self) -> str:
        """Where the state is, such as ``inner_states/a/0``."""
        return path_name(self.key)

    @property
    def roles(self) -> Roles | None:
        """What its class declares."""
        return roles_of(type(self.node))

    def values(self, role: str) -> Iterator[tuple[str, Any]]:
        """The names and contents of the fields with a role; without those that are None."""
        for name in getattr(self.roles, role, ()):
            value = value_at(self.node, name)
            if value is not None:
                yield name, value


def states_in(tree: Any) -> list[Found]:
    """Every state in an optimizer state; a state comes before those that are nested in it.

    Through ``chain``, ``partition``, ``masked``, ``MultiSteps``, ``apply_if_finite``,
    ``inject_hyperparams``, ``nnx.Optimizer`` and any other nesting of states.
    """
    found: list[Found] = []

    def note(state: Found) -> Any:
        found.append(state)
        return state.node

    with_states(tree, note)
    return found


def with_states(tree: Any, change: Callable[[Found], Any]) -> Any:
    """The optimizer state with every state replaced by what ``change`` returns, outermost first."""
    return _with_states(tree, change, (), (), True)


def _with_states(tree: Any, change: Callable[[Found], Any], key: Key, around: tuple[Found, ...], expected: bool) -> Any:
    """``expected``: this is a place for states, where any NamedTuple is one."""
    is_leaf = is_state if expected else is_known_state

    def visit(below: Key, node: Any) -> Any:
        if not is_leaf(node):
            return node
        found = Found((*key, *below), node, around)
        found = dataclasses.replace(found, node=change(found))
        nested = found.roles.nested if found.roles else ()
        children, structure = jax.tree_util.tree_flatten_with_path(
            found.node, is_leaf=lambda child: child is not found.node
        )
        new = [
            _with_states(child, change, (*found.key, *step), (*around, found), path_name(step) in nested)
            for step, child in children
        ]
        same = all(a is b for a, (_, b) in zip(new, children))
        return found.node if same else jax.tree.unflatten(structure, new)

    leaves, structure = jax.tree_util.tree_flatten_with_path(tree, is_leaf=is_leaf)
    new = [visit(below, node) for below, node in leaves]
    same = all(a is b for a, (_, b) in zip(new, leaves))
    return tree if same else jax.tree.unflatten(structure, new)


def nodes_in(tree: Any, where: Callable[[Any], bool]) -> list[tuple[Key, Any]]:
    """The outermost nodes of a tree of which ``where`` is true, with their keys."""
    return [(key, node) for key, node in jax.tree_util.tree_flatten_with_path(tree, is_leaf=where)[0] if where(node)]


def with_nodes(tree: Any, where: Callable[[Any], bool], change: Callable[[Any], Any]) -> Any:
    """The tree with the nodes of :func:`nodes_in` replaced by what ``change`` returns."""
    return jax.tree.map(lambda node: change(node) if where(node) else node, tree, is_leaf=where)


def held_state(tree: Any) -> Any:
    """The ``opt_state`` of a ``TrainState``, ``nnx.Optimizer``, ``nnx.state`` or dict; or None."""
    if isinstance(tree, Mapping):
        # A state with a field of this name, such as that of SAM, does not hold the optimizer's.
        held = tree.get("opt_state")
        return None if held is None or type_of_mapping(tree, known_types()) is not None else held
    return None if isinstance(tree, tuple) else getattr(tree, "opt_state", None)


def optimizer_state(tree: Any) -> Any:
    """The optimizer state in a ``TrainState``, ``nnx.Optimizer`` or ``nnx.state``, to be read.

    Any other tree is returned unchanged. States that have lost their types get them back: trees of
    ``nnx.state`` and ``nnx.to_pure_dict``, and those that Orbax and msgpack restore without a
    template.
    """
    held = held_state(tree)
    return with_types(tree if held is None else held)


def value_at(node: Any, name: str) -> Any:
    """What is at a name such as ``live/learning_rate`` in a state; None if there is nothing."""
    for step in name.split("/"):
        if isinstance(node, Mapping):
            node = node.get(step)
        else:
            node = getattr(node, step, None)
    return node


def with_value_at(node: Any, name: str, value: Any) -> Any:
    """The state with another value at a name."""
    step, _, rest = name.partition("/")
    value = with_value_at(value_at(node, step), rest, value) if rest else value
    if isinstance(node, Mapping):
        return type(node)({**node, step: value})  # pyright: ignore[reportCallIssue] - as every mapping that is a pytree
    return node._replace(**{step: value}) if hasattr(node, "_replace") else dataclasses.replace(node, **{step: value})


def unboxed(leaf: Any) -> Any:
    """The array at a leaf of a state, without the box that ``flax.nnx`` puts around each."""
    (array,) = jax.tree.leaves(leaf)
    return array


def boxed(array: Any, like: Any) -> Any:
    """The array in the box that another leaf has, if it has one."""
    return jax.tree.map(lambda _: array, like)
