"""Layers with scale-invariant weights, and an audit that finds scale-invariant parameters.

:func:`scale_invariant_leaves` audits any JAX model; ``nnx.functional`` turns an nnx model into the
function that it takes. The layers are in ``optax_lrs.nn.nnx``, which is imported when it is first
used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from optax_lrs.nn._audit import scale_invariant_leaves as scale_invariant_leaves
from optax_lrs.nn._config import LayerConfig as LayerConfig
from optax_lrs.nn._report import Audit as Audit
from optax_lrs.nn._report import Joint as Joint
from optax_lrs.nn._report import Leaf as Leaf

if TYPE_CHECKING:
    from optax_lrs.nn import nnx as nnx


def __getattr__(name: str) -> Any:
    """Imports ``nnx`` when it is first used, because it needs flax."""
    if name == "nnx":
        return importlib.import_module("optax_lrs.nn.nnx")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), "nnx"})
