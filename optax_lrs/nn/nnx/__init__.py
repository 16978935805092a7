"""Scale-invariant layers for flax nnx. See :class:`optax_lrs.nn.LayerConfig` for their options."""

from optax_lrs.nn.nnx._functional import functional as functional
from optax_lrs.nn.nnx._layers import NormConv as NormConv
from optax_lrs.nn.nnx._layers import NormDense as NormDense
from optax_lrs.nn.nnx._layers import initializer as initializer
from optax_lrs.nn.nnx._layers import normalization as normalization
