"""Finds states that have lost their types: restored without a template, or from ``nnx.split``.

Such a state is a dict with the names of its fields. The class is found by these. Whether a state
has its type is a property of that state: in one tree some may have theirs and others not.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np
import optax

from optax_lrs._paths import name as path_name
from optax_lrs._states.optax_states import COMMONEST, OPTAX, RENAMED
from optax_lrs._states.roles import Roles, is_known_state, is_state, roles_of
from optax_lrs._value.value import Value

_NEVER_EMPTY = ("rate_steps", "schedule_steps", "phase_steps", "seen_updates", "updates", "counts", "scales")
"""Roles whose fields always hold an array."""

_SCHEDULES = ("live_schedules", "other_schedules", "phase_schedules")

Types = Mapping[frozenset[str], type]
"""Classes of states by the names of their fields."""


def kind_of(kind: type) -> str:
    """The name of a class of states; one name for those that Optax has renamed."""
    return RENAMED.get(kind.__name__, kind.__name__)


def known_types() -> dict[frozenset[str], type]:
    """Every class of states that can be known by its fields.

    These are Optax's, and all imported classes that declare roles.

    Where several have the same fields, Optax's commonest is meant; of those that declare roles, the
    one imported first. Classes that declare different roles for the same fields are left out, as
    nothing decides between them.
    """
    declared: dict[frozenset[str], list[Any]] = {}
    for kind in tuple.__subclasses__():
        fields = getattr(kind, "_fields", ())
        if fields and isinstance(getattr(kind, "roles", None), Roles) and _is_right(kind):
            declared.setdefault(frozenset(fields), []).append(kind)
    found = {fields: kinds[0] for fields, kinds in declared.items() if len({kind.roles for kind in kinds}) == 1}
    return {**_of_optax(), **{fields: kind for fields, kind in found.items() if fields not in _of_optax()}}


def type_of(fields: frozenset[str], known: Types) -> type | None:
    """The class of states that has these fields; None if there is none.

    Fields without arrays are missing where the tree was saved without them: a field that is None, a
    stateless inner optimizer, a tree of masked parameters. Counts and scales are never missing.
    Where several classes fit, that with the fewest missing fields is meant.
    """
    if fields in known:
        return known[fields]
    missing = {
        kind: len(complete - fields) for complete, kind in known.items() if fields < complete and _fits(fields, kind)
    }
    return min(missing, key=lambda kind: missing[kind], default=None)


def _is_right(kind: type) -> bool:
    """Whether the roles of a class name its fields. One that is wrong must not stop other trees."""
    try:
        return roles_of(kind) is not None
    except TypeError:
        return False


def _fits(fields: frozenset[str], kind: type) -> bool:
    """Whether a class may have lost all fields but these."""
    roles = roles_of(kind)
    if roles is None:
        return False
    always = {name for role in _NEVER_EMPTY for name in getattr(roles, role) if "/" not in name}
    return always <= fields and (len(fields) > 1 or fields <= {*roles.nested})


def type_of_mapping(node: Mapping[Any, Any], known: Types) -> type | None:
    """The class of states whose fields a mapping has; None if it is no state.

    A mapping of states with their types by label, such as ``optax.named_chain`` makes, is none.
    """
    kind = type_of(frozenset(str(key) for key in node), known)
    if kind is None:
        present = frozenset(str(key) for key, child in node.items() if jax.tree.leaves(child))
        kind = type_of(present, known) if present else None
    roles = None if kind is None else roles_of(kind)
    nested = roles.nested if roles else ()
    return None if any(is_known_state(child) for key, child in node.items() if key not in nested) else kind


def are_boxes_dicts(tree: Any) -> bool:
    """Whether each array of a tree is in a dict with the one key "value".

    So Orbax returns the boxes of ``nnx.state`` when it restores without a template.
    """
    keys = [key for key, _ in jax.tree_util.tree_flatten_with_path(tree)[0]]
    is_box = lambda key: bool(key) and isinstance(key[-1], jax.tree_util.DictKey) and key[-1].key == "value"  # noqa: E731
    return bool(keys) and all(map(is_box, keys))


def with_types(tree: Any) -> Any:
    """Returns an optimizer state with every state in its class.

    Fields that the tree lacks are None. Schedules become :class:`Numbers`, as the class of a
    schedule is not in such a tree. Everything that has its type stays the same object.
    """
    return _Typed(tree).tree(tree)


def without_types(tree: Any, like: Any) -> Any:
    """Returns the tree in the form that another one has: the inverse of :func:`with_types`."""
    if tree is like:
        return like
    if isinstance(like, Mapping):
        if set(like) == {"value"} and _child(tree, "value") is None:
            return type(like)({"value": tree})  # pyright: ignore[reportCallIssue] - as every mapping that is a pytree
        children = {key: without_types(_child(tree, key), child) for key, child in like.items()}
        return type(like)(children)  # pyright: ignore[reportCallIssue]
    if isinstance(like, (list, tuple)) and len(like) and not hasattr(like, "_fields"):
        return type(like)(without_types(child, old) for child, old in zip(tree, like))
    if isinstance(like, tuple) and hasattr(like, "_fields"):
        return type(like)(*(without_types(child, old) for child, old in zip(tree, like)))
    return tree


@jax.tree_util.register_pytree_with_keys_class
class Numbers:
    """The numbers of a schedule that has lost its type: a mapping by the names of its fields."""

    def __init__(self, numbers: Any):
        self.numbers = numbers

    def __getitem__(self, key: str) -> Any:
        return self.numbers[key]

    def tree_flatten_with_keys(self) -> tuple[tuple[tuple[Any, Any], ...], None]:
        return ((jax.tree_util.GetAttrKey("numbers"), self.numbers),), None

    @classmethod
    def tree_unflatten(cls, _: None, children: Any) -> Numbers:
        return cls(*children)

    def replaced(self, schedule: Value, owner: str, where: str) -> Numbers:
        """Returns the numbers of another schedule of the same class.

        Raises:
            ValueError: if that schedule has other numbers, so that it is of another class.
        """
        old, new = _by_path(self.numbers), _by_path(_fields_of(schedule))
        if {key: np.shape(leaf) for key, leaf in old.items()} != {key: np.shape(leaf) for key, leaf in new.items()}:
            raise ValueError(
                f"{owner}: this state has lost its types, and of the schedule at {where!r} it keeps only the numbers"
                f" {', '.join(sorted(old))}, which are not those of {type(schedule).__name__}"
                f" ({', '.join(sorted(new))}): give a schedule of the same class and lengths, or replace it in the"
                " optimizer's own state, such as optimizer.opt_state"
            )
        return Numbers(_fields_of(schedule))


class _Typed:
    def __init__(self, tree: Any):
        self.boxed = are_boxes_dicts(tree)

    @functools.cached_property
    def known(self) -> Types:
        return known_types()

    def tree(self, node: Any) -> Any:
        """A node in a place for states."""
        if isinstance(node, Mapping):
            kind = type_of_mapping(node, self.known)
            return self.inner(node) if kind is None else self.state(node, kind)
        if is_state(node):
            return self.inner(node, getattr(roles_of(type(node)), "nested", ()))
        return self.inner(node) if type(node) in (list, tuple) else node

    def inner(self, node: Any, nested: Any = None) -> Any:
        """The same kind of node with its children typed: all of them, or those in nested fields."""
        if isinstance(node, Mapping):
            new = {key: self.tree(child) for key, child in node.items()}
            same = all(new[key] is child for key, child in node.items())
            return node if same else new
        if not isinstance(node, (list, tuple)):
            return node
        names = getattr(node, "_fields", range(len(node)))
        new = [self.tree(child) if nested is None or name in nested else child for name, child in zip(names, node)]
        if all(a is b for a, b in zip(new, node)):
            return node
        return type(node)(*new) if hasattr(node, "_fields") else type(node)(new)

    def state(self, node: Mapping[Any, Any], kind: Any) -> Any:
        roles = roles_of(kind) or Roles()
        fields = {}
        for name in kind._fields:
            child = _child(node, name)
            if name in roles.nested:
                fields[name] = self.tree(child)
            elif any(roles.has(role, name) for role in _SCHEDULES) or any(
                each.startswith(f"{name}/") for role in _SCHEDULES for each in getattr(roles, role)
            ):
                fields[name] = self.schedules(child)
            else:
                fields[name] = self.unboxed(child)
        return kind(**fields)

    def schedules(self, node: Any) -> Any:
        """A field with schedules: one, or several by label."""
        if not isinstance(node, Mapping):
            return node
        if self.boxed and _is_box(node):
            return node["value"]
        if _has_numbers(node):
            return Numbers(self.unboxed(node))
        return {str(key): self.schedules(child) for key, child in node.items()}

    def unboxed(self, node: Any) -> Any:
        """The tree without the dicts that were boxes."""
        if not self.boxed:
            return node
        return jax.tree.map(lambda each: each["value"] if _is_box(each) else each, node, is_leaf=_is_box)


def _is_box(node: Any) -> bool:
    """Whether a node is a dict that was a box of flax.nnx, in a tree where every array has one."""
    return isinstance(node, Mapping) and set(node) == {"value"} and not isinstance(node["value"], Mapping)


def _child(node: Any, name: Any) -> Any:
    """What a node has at a key, a field or an index; None if it has nothing there."""
    if isinstance(node, Numbers):
        return _child(node.numbers, name)
    if isinstance(node, Mapping):
        return next((child for key, child in node.items() if str(key) == str(name)), None)
    if str(name).isdigit() and isinstance(node, (list, tuple)):
        return node[int(name)] if int(name) < len(node) else None
    return getattr(node, str(name), None) if isinstance(node, tuple) else None


def _has_numbers(node: Mapping[Any, Any]) -> bool:
    """Whether a mapping has the fields of a schedule, and of those with numbers at least one."""
    names = {str(key) for key in node}
    return any(names <= set(kind._nodes) and names for _, kind in Value.registry.items())


def _fields_of(node: Any) -> Any:
    """A schedule as the dict of its fields that such a tree keeps."""
    if isinstance(node, Value):
        return {name: _fields_of(getattr(node, name)) for name in node._nodes}
    if isinstance(node, tuple):
        return {str(i): _fields_of(child) for i, child in enumerate(node)}
    return node


def _by_path(node: Any) -> dict[str, Any]:
    """The leaves of nested mappings and lists by path; boxes are leaves."""
    inside = lambda each: isinstance(each, (Mapping, list, tuple)) or each is None  # noqa: E731
    flat = jax.tree_util.tree_flatten_with_path(node, is_leaf=lambda each: not inside(each))[0]
    return {path_name(key): jax.tree.leaves(leaf)[0] for key, leaf in flat if jax.tree.leaves(leaf)}


def types_at(paths: Iterable[str], known: Types) -> dict[str, type]:
    """The classes of the states in a tree without types, by path, from the paths of its leaves."""
    children: dict[str, set[str]] = {}
    for path in paths:
        steps = path.removesuffix("/value").split("/")
        for depth, step in enumerate(steps):
            children.setdefault("/".join(steps[:depth]), set()).add(step)
    found = {path: type_of(frozenset(fields), known) for path, fields in children.items()}
    return {path: kind for path, kind in found.items() if kind is not None}


@functools.cache
def _of_optax() -> dict[frozenset[str], type]:
    public = {**vars(optax.contrib), **vars(optax)}
    private = {kind.__name__: kind for kind in tuple.__subclasses__() if kind.__module__.split(".")[0] == "optax"}
    names = [*COMMONEST, *sorted(public), *sorted(private)]
    found: dict[frozenset[str], type] = {}
    for name in names:
        kind = public.get(name, private.get(name))
        fields = getattr(kind, "_fields", ()) if isinstance(kind, type) else ()
        if fields and (name in OPTAX or (name in public and name.endswith("State") and name[0] != "_")):
            found.setdefault(frozenset(fields), kind)
    return found
