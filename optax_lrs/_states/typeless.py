"""Finds states that have lost their types: restored without a template, or from ``nnx.split``.

Such a state is a dict with the names of its fields. The class is found by these.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

import optax

from optax_lrs._states.optax_states import COMMONEST, OPTAX, RENAMED
from optax_lrs._states.roles import Roles, roles_of

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
        if fields and isinstance(getattr(kind, "roles", None), Roles):
            declared.setdefault(frozenset(fields), []).append(kind)
    found = {fields: kinds[0] for fields, kinds in declared.items() if len({roles_of(kind) for kind in kinds}) == 1}
    return {**_of_optax(), **{fields: kind for fields, kind in found.items() if fields not in _of_optax()}}


def type_of(fields: frozenset[str], known: Types) -> type | None:
    """The class of states that has these fields; None if there is none.

    Fields that hold no array may be missing, as not every way to save a tree keeps them.
    """
    if fields in known:
        return known[fields]
    for complete, kind in known.items():
        roles = roles_of(kind)
        if roles and len(fields) > 1 and fields < complete:
            leafless = {*roles.nested, *roles.structure}
            if complete - fields <= leafless and fields - leafless:
                return kind
    return None


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
