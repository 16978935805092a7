"""Scale-invariant layers and networks for flax linen. See :class:`optax_lrs.nn.LayerConfig` for their options.

They compute what those of ``optax_lrs.nn.nnx`` compute, and name their parameters alike; the documentation is there.
"""

from optax_lrs.nn.linen._layers import NormConv as NormConv
from optax_lrs.nn.linen._layers import NormDense as NormDense
from optax_lrs.nn.linen._networks import MLP as MLP
from optax_lrs.nn.linen._networks import ResBlock as ResBlock
from optax_lrs.nn.linen._networks import ResNet as ResNet
from optax_lrs.nn.linen._transformer import Attention as Attention
from optax_lrs.nn.linen._transformer import FeedForward as FeedForward
from optax_lrs.nn.linen._transformer import Transformer as Transformer
from optax_lrs.nn.linen._transformer import TransformerBlock as TransformerBlock
