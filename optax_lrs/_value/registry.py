"""The registry: finds the class for a name in JSON or in the text of a ``repr``.

Bare names such as ``Cosine`` belong to this package. A class defined elsewhere is registered as
``module:Name``. So it never collides with a class of this package or of another one, whatever the
order of imports. When reading, its bare name is accepted, too, as long as no other class has it.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

from optax_lrs._value.arguments import did_you_mean

_PACKAGE = __name__.partition(".")[0]
_ALIASES = (_PACKAGE, "olrs")  # what people write before a public name


class Registry(Mapping[str, type[Any]]):
    """The classes that ``parse`` and ``from_json`` may build, by the name that ``to_dict`` writes.

    Modules of this package are imported when a name that they reserved is looked up. Other modules
    are never imported. Iteration covers the schedules, the profiles, and every other class that has
    been imported."""

    def __init__(self) -> None:
        self._classes: dict[str, type[Any]] = {}
        self._homes: dict[str, str] = {}  # reserved name: the module that defines it
        self._searched: list[str] = []  # modules to import when any other name is unknown

    def add(self, cls: type[Any], name: str) -> str:
        """Registers a class under its bare ``name`` or ``module:Name``; returns the key.

        A class of the same module and the same qualified name is replaced, for notebook cells that
        run again.

        Raises:
            TypeError: if two classes of this package share a name.
        """
        key = name if _is_ours(cls.__module__) else f"{cls.__module__}:{_qualified(cls, name)}"
        known = self._classes.get(key)
        if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise TypeError(f"the name {key!r} is taken by {known.__module__}.{known.__qualname__}")
        self._classes[key] = cls
        return key

    def reserve(self, module: str, *names: str) -> None:
        """Makes ``module`` be imported when one of the names is looked up.

        Without names, it is imported when any unknown name is looked up.
        """
        if names:
            self._homes |= dict.fromkeys(names, module)
        else:
            self._searched.append(module)

    def find(self, name: str) -> type[Any]:
        """Returns the class of that name.

        Args:
            name: a bare name, ``module:Name``, or a dotted name: ``module.Name``, or a class of
                this package after ``olrs.`` or ``optax_lrs.`` and its folders, such as
                ``olrs.profiles.linear``.

        Raises:
            ValueError: if the name is unknown or ambiguous.
        """
        dotted = name.replace(":", ".")
        found = [cls for key, cls in self._classes.items() if ":" in key and key.replace(":", ".") == dotted]
        folder, _, bare = dotted.rpartition(".")
        if not found:
            ours = self._ours(bare)
            found = [ours] if ours is not None and _is_folder_of(folder, ours) else []
        if not found and not folder:
            found = self._strangers(bare)
        if len(found) == 1:
            return found[0]
        if found:
            options = " or ".join(sorted(key for key, cls in self._classes.items() if cls in found))
            raise ValueError(f"the name {name!r} is ambiguous; write {options}")
        hint = did_you_mean(bare, {*self._homes, *(_last(key) for key in self)})
        known = f"Known names: {', '.join(sorted(self._classes))}."
        raise ValueError(f"unknown name {name!r}. {_import_hint(folder) or hint or known}")

    def shown(self, cls: type[Any], name: str) -> str:
        """Returns the name that ``repr`` writes: bare, or ``module.Name`` if that is ambiguous."""
        if _is_ours(cls.__module__) or (self._ours(name) is None and self._strangers(name) == [cls]):
            return name
        return f"{cls.__module__}.{_qualified(cls, name)}"

    def __getitem__(self, key: str) -> type[Any]:
        found = self._classes[key] if ":" in key else self._ours(key)
        if found is None:
            raise KeyError(key)
        return found

    def __iter__(self) -> Iterator[str]:
        self._search()
        return iter(tuple(self._classes))

    def __len__(self) -> int:
        return len(tuple(iter(self)))

    def _ours(self, name: str) -> type[Any] | None:
        """Returns the class of this package with that bare name, and imports it if necessary."""
        if name not in self._classes and name in self._homes:
            importlib.import_module(self._homes[name])
        elif name not in self._classes:
            self._search()
        return self._classes.get(name)

    def _search(self) -> None:
        """Imports the modules that were reserved without names."""
        for module in self._searched:
            importlib.import_module(module)

    def _strangers(self, name: str) -> list[type[Any]]:
        """Returns the classes from outside this package with that bare name."""
        return [cls for key, cls in self._classes.items() if ":" in key and _last(key) == name]


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == _PACKAGE


def _last(key: str) -> str:
    """The bare name in ``module:Outer.Name``."""
    return key.rpartition(":")[2].rpartition(".")[2]


def _qualified(cls: type[Any], name: str) -> str:
    """Returns the class's ``__qualname__``, ending in ``name`` and without ``<locals>``."""
    outer = cls.__qualname__.replace(".<locals>", "").rpartition(".")[0]
    return f"{outer}.{name}" if outer else name


def _is_folder_of(folder: str, cls: type[Any]) -> bool:
    """Whether ``folder``, such as ``olrs.profiles`` or "", contains a class of this package."""
    parts = folder.split(".") if folder else []
    if parts and parts[0] in _ALIASES:
        parts = parts[1:]
    return cls.__module__.split(".")[1 : 1 + len(parts)] == parts


def _import_hint(folder: str) -> str:
    outside = folder and folder.partition(".")[0] not in _ALIASES
    return f"If {folder} defines it, import {folder} first." if outside else ""
