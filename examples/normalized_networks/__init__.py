"""Networks whose hidden weights are all scale-invariant, built from the layers of optax_lrs.nn.

``networks`` and ``transformer`` are for flax nnx. The ``linen_`` files define the same networks for
flax linen, with the layers that they need; the benchmarks of projections use them.
"""

from optax_lrs.nn import LayerConfig

DEFAULT = LayerConfig()
"""The default options of all layers here."""
