"""Scale-invariant layers and networks for flax nnx. See :class:`optax_lrs.nn.LayerConfig` for their options."""

from optax_lrs.nn.nnx._functional import functional as functional
from optax_lrs.nn.nnx._layers import NormConv as NormConv
from optax_lrs.nn.nnx._layers import NormDense as NormDense
from optax_lrs.nn.nnx._networks import MLP as MLP
from optax_lrs.nn.nnx._networks import ResBlock as ResBlock
from optax_lrs.nn.nnx._networks import ResNet as ResNet
from optax_lrs.nn.nnx._transformer import Attention as Attention
from optax_lrs.nn.nnx._transformer import FeedForward as FeedForward
from optax_lrs.nn.nnx._transformer import Transformer as Transformer
from optax_lrs.nn.nnx._transformer import TransformerBlock as TransformerBlock
