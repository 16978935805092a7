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
from optax_lrs._states.optax_states import COMMONEST, OPTAX, RENAMED, WITHIN
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


def type_of_mapping(node: Mapping[Any, Any], known: Types, *, within: str = "") -> type | None:
    """The class of states whose fields a mapping has; None if it is no state.

    A mapping of states with their types by label, such as ``optax.named_chain`` makes, is none.
    ``within`` is the field that the mapping is in, by a label.
    """
    fields = frozenset(str(key) for key in node)
    only = _optax_classes().get(WITHIN.get(within, ""))
    if only is not None and fields == frozenset(only._fields):
        return only
    kind = type_of(fields, known)
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
    return bool(keys) and all(bool(key) and key[-1] == jax.tree_util.DictKey("value") for key in keys)


def with_types(tree: Any) -> Any:
    """Returns an optimizer state with every state in its class.

    Fields that the tree lacks are None. Schedules become :class:`Numbers`, as the class of a
    schedule is not in such a tree. Everything that has its type stays the same object.
    """
    return _Typed(tree).tree(tree)


def without_types(tree: Any, like: Any) -> Any:
    """Returns the tree in the form that another one has: the inverse of :func:`with_types`."""
    is_leaf = lambda node: isinstance(node, Value)  # noqa: E731
    new = {path_name(key): leaf for key, leaf in jax.tree_util.tree_flatten_with_path(tree, is_leaf=is_leaf)[0]}
    box = "/value" if are_boxes_dicts(like) else ""

    def pick(key: Any, _: Any) -> Any:
        path = path_name(key)
        return new[path] if path in new else new[path.removesuffix(box)]

    return jax.tree_util.tree_map_with_path(pick, like, is_leaf=is_leaf)


@jax.tree_util.register_pytree_with_keys_class
class Numbers:
    """The numbers of a schedule that has lost its type: a mapping by the names of its fields."""

    def __init__(self, numbers: Mapping[Any, Any]):
        self.numbers = numbers

    def tree_flatten_with_keys(self) -> tuple[tuple[tuple[Any, Any], ...], tuple[str, ...]]:
        keys = tuple(str(key) for key in self.numbers)
        return tuple(zip(map(jax.tree_util.DictKey, keys), self.numbers.values())), keys

    @classmethod
    def tree_unflatten(cls, keys: tuple[str, ...], children: Any) -> Numbers:
        return cls(dict(zip(keys, children)))

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

    def tree(self, node: Any, *, within: str = "") -> Any:
        """A node in a place for states, or with them by label: that of the field ``within``."""
        if isinstance(node, Mapping):
            kind = type_of_mapping(node, self.known, within=within)
            return self.labelled(node) if kind is None else self.state(node, kind)
        if not isinstance(node, (list, tuple)):
            return node
        declared = getattr(roles_of(type(node)), "nested", ()) if is_state(node) else None
        names = getattr(node, "_fields", range(len(node)))
        new = [self.field(str(name), child) if declared is None or name in declared else child
               for name, child in zip(names, node)]  # fmt: skip
        if all(a is b for a, b in zip(new, node)):
            return node
        return type(node)(*new) if hasattr(node, "_fields") else type(node)(new)

    def field(self, name: str, node: Any) -> Any:
        """A field with states: itself one, a chain, or states by label."""
        by_label = name in (*WITHIN, "inner_states")
        return self.labelled(node, within=name) if by_label and isinstance(node, Mapping) else self.tree(node)

    def labelled(self, node: Mapping[Any, Any], *, within: str = "") -> Any:
        """A mapping of states by label, or a chain that became a mapping with numbers as keys."""
        new = {key: self.tree(child, within=within) for key, child in node.items()}
        if not within and new and all(str(key).isdigit() for key in new):
            chain: list[Any] = [None] * (max(int(key) for key in new) + 1)  # states without arrays may be missing
            for key, child in new.items():
                chain[int(key)] = child
            return chain
        return node if all(new[key] is child for key, child in node.items()) else new

    def state(self, node: Mapping[Any, Any], kind: Any) -> Any:
        roles = roles_of(kind) or Roles()
        fields = {}
        for name in kind._fields:
            child = _child(node, name)
            if name in roles.nested:
                fields[name] = self.field(name, child)
            elif any(each.split("/")[0] == name for role in _SCHEDULES for each in getattr(roles, role)):
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


def _child(node: Mapping[Any, Any], name: str) -> Any:
    """What a mapping has at a name; None if it has nothing there."""
    return next((child for key, child in node.items() if str(key) == name), None)


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
    found: dict[frozenset[str], type] = {}
    for name in [*COMMONEST, *sorted(public), *sorted(private)]:
        kind = public.get(name, private.get(name))
        fields = getattr(kind, "_fields", ()) if isinstance(kind, type) else ()
        if fields and (name in OPTAX or (name in public and name.endswith("State") and name[0] != "_")):
            found.setdefault(frozenset(fields), kind)
    return found


@functools.cache
def _optax_classes() -> dict[str, Any]:
    return {kind.__name__: kind for kind in tuple.__subclasses__() if kind.__module__.split(".")[0] == "optax"}
