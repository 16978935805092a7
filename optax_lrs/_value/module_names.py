"""The error for a misspelled name of a module, with the name that was probably meant."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from optax_lrs._value.arguments import did_you_mean

_EXPORTED = re.compile(r"\b(\w+) as \1\b")


def no_attribute(module: str, name: str, public: Collection[str], folder: str) -> AttributeError:
    """Returns the ``AttributeError`` for ``module.name``, with a suggestion.

    The suggestion is a public name of the module or of a package inside it.

    Args:
        module: the module's name.
        name: the missing attribute.
        public: the module's public names.
        folder: the module's folder. The names of the packages inside it are read from their
            ``__init__.py``, so that an error imports nothing.
    """
    message = f"module {module!r} has no attribute {name!r}"
    if not name.startswith("_"):
        inside = _inside(folder)
        exact = next((each for each in inside if each.lower() == name.lower()), None)
        near = did_you_mean(name, public) if exact is None else f"Did you mean {module}.{inside[exact]}.{exact}?"
        message += f". {near}" if near else ""
    return AttributeError(message, name=name, obj=None)  # an obj would make Python suggest a second time


def _inside(folder: str) -> dict[str, str]:
    """Returns a dict from each public name in the packages of a folder to its package."""
    found = {}
    for file in sorted(Path(folder).glob("[a-z]*/__init__.py")):
        found |= dict.fromkeys(_EXPORTED.findall(file.read_text(encoding="utf-8")), file.parent.name)
    return found
