"""Networks whose outputs do not depend on the scale of their hidden weights, and a test of which do not.

:func:`scale_invariant_leaves` is for any model in JAX. The layers are there twice, for flax's two interfaces, and are
imported when they are asked for: ``optax_lrs.nn.nnx`` and ``optax_lrs.nn.linen``.
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
    from optax_lrs.nn import linen as linen
    from optax_lrs.nn import nnx as nnx


def __getattr__(name: str) -> Any:
    """flax's two interfaces, imported at the first use."""
    if name in ("linen", "nnx"):
        return importlib.import_module(f"optax_lrs.nn.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
