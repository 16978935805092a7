"""A decoder-only transformer with scale-invariant kernels; its blocks may be stacked."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
from flax import nnx

from normalized_networks import DEFAULT
from normalized_networks.rotary import checked_heads, rotate
from optax_lrs.nn import LayerConfig
from optax_lrs.nn.nnx import NormDense, initializer, normalization


def kernel(config: LayerConfig, inputs: Any, outputs: Any, names: tuple[str, ...], rngs: nnx.Rngs) -> nnx.LinearGeneral:
    """Returns a linear map without bias, from the last axes of the input to new last axes."""
    axis = tuple(range(-len(inputs), 0)) if isinstance(inputs, tuple) else -1
    return nnx.LinearGeneral(
        inputs,
        outputs,
        axis=axis,
        use_bias=False,
        dtype=config.dtype,
        param_dtype=config.param_dtype,
        kernel_init=initializer(config, names),
        rngs=rngs,
    )


class Attention(nnx.Module):
    r"""Self-attention with rotary positions: queries, keys and the output are normalized.

    .. math:: \mathrm{norm}\Big(\sum_h \mathrm{softmax}\big(\hat q_h \hat k_h^\top / \sqrt{K}\big)\,
              x W^V_h W^O_h\Big),
              \qquad \hat q = \mathrm{rms}(x W^Q), \; \hat k = \mathrm{rms}(x W^K)

    over the K channels of a head. The softmax is the nonlinearity of queries and keys, so they are
    normalized before it. Values and output form one linear map: the normalization after it removes
    the scale of both kernels.

    Args:
        features: the width of input and output; a multiple of 2 x ``heads``.
        heads: the number of heads.
        causal: whether a position attends only to itself and to earlier positions.
        config: how to normalize, compute, store and shard. Queries and keys always have an RMS
            norm.
        rngs: the random streams for the initial values.

    Example:
        >>> nnx.eval_shape(lambda: Attention(16, 2, rngs=nnx.Rngs(0))(jax.numpy.ones((1, 5, 16)))).shape
        (1, 5, 16)
    """

    def __init__(
        self, features: int, heads: int, *, causal: bool = True, config: LayerConfig = DEFAULT, rngs: nnx.Rngs
    ):
        shape, names = (heads, checked_heads(features, heads)), ("embed", "heads", "head_dim")
        self.query = kernel(config, features, shape, names, rngs)
        self.key = kernel(config, features, shape, names, rngs)
        self.value = kernel(config, features, shape, names, rngs)
        per_head = dataclasses.replace(config, norm="rms", use_bias=False)
        self.query_norm = normalization(per_head, shape[1], rngs)
        self.key_norm = normalization(per_head, shape[1], rngs)
        self.out = kernel(config, shape, features, ("heads", "head_dim", "embed"), rngs)
        self.out_norm = normalization(config, features, rngs)
        self.causal = causal

    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, length, features) to the same."""
        query, key = rotate(self.query_norm(self.query(x))), rotate(self.key_norm(self.key(x)))
        mixed = jax.nn.dot_product_attention(query, key, self.value(x), is_causal=self.causal)
        return self.out_norm(self.out(mixed))


class FeedForward(nnx.Module):
    r"""The feed-forward part of a transformer block, plain or gated, normalized at its end.

    .. math:: \mathrm{norm}\big(\phi(\mathrm{norm}(x W_1))\, W_2\big) \quad \text{or gated} \quad
              \mathrm{norm}\big((\phi(\mathrm{norm}(x W_g)) \circ x W_1)\, W_2\big)

    The gated form with ``activation=jax.nn.silu`` is SwiGLU. Only the gate passes through a
    nonlinearity, so only the gate needs a normalization before it; :math:`W_1` and :math:`W_2` act
    linearly up to the normalization at the end.

    Args:
        features: the width of input and output.
        hidden_features: the width between the two kernels; usually 4 x ``features``, or 8/3 x if
            gated.
        gated: whether to use the second form.
        config: how to normalize, compute, store and shard.
        rngs: the random streams for the initial values.

    Example:
        >>> nnx.eval_shape(lambda: FeedForward(8, 32, gated=True, rngs=nnx.Rngs(0))(jax.numpy.ones((2, 8)))).shape
        (2, 8)
    """

    def __init__(
        self, features: int, hidden_features: int, *, gated: bool = False, config: LayerConfig = DEFAULT, rngs: nnx.Rngs
    ):
        names = ("embed", "mlp")
        gate = None
        if gated:
            gate = NormDense(features, hidden_features, config=config, names=names, rngs=rngs)
            self.up = kernel(config, features, hidden_features, names, rngs)
        else:
            self.up = NormDense(features, hidden_features, config=config, names=names, rngs=rngs)
        self.gate = nnx.data(gate)
        self.down = NormDense(hidden_features, features, config=config, linear=True, names=names[::-1], rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """(..., features) to the same."""
        return self.down(self.up(x) if self.gate is None else self.gate(x) * self.up(x))


class TransformerBlock(nnx.Module):
    r"""Attention and feed-forward, each normalized before and after.

    .. math:: x + g\,\mathrm{norm}(A(\mathrm{norm}(x)))

    Args:
        features: the width of the stream; a multiple of 2 x ``heads``.
        heads: the number of attention heads.
        hidden_features: the width of the feed-forward part.
        gated: whether the feed-forward part is gated.
        causal: whether the attention is causal.
        branch_scale: the factor g of both branches; 1. A transformer uses :math:`(2 \cdot
            \text{depth})^{-1/2}`.
        config: how to normalize, compute, store and shard.
        rngs: the random streams for the initial values.

    Example:
        >>> nnx.eval_shape(lambda: TransformerBlock(16, 2, 64, rngs=nnx.Rngs(0))(jax.numpy.ones((1, 5, 16)))).shape
        (1, 5, 16)
    """

    def __init__(
        self,
        features: int,
        heads: int,
        hidden_features: int,
        *,
        gated: bool = False,
        causal: bool = True,
        branch_scale: float = 1.0,
        config: LayerConfig = DEFAULT,
        rngs: nnx.Rngs,
    ):
        self.attention_norm = normalization(config, features, rngs)
        self.attention = Attention(features, heads, causal=causal, config=config, rngs=rngs)
        self.forward_norm = normalization(config, features, rngs)
        self.forward = FeedForward(features, hidden_features, gated=gated, config=config, rngs=rngs)
        self.branch_scale = branch_scale

    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, length, features) to the same."""
        x = x + self.branch_scale * self.attention(self.attention_norm(x))
        return x + self.branch_scale * self.forward(self.forward_norm(x))


class Transformer(nnx.Module):
    r"""A decoder-only transformer over tokens.

    Every kernel but the head's is scale-invariant, and so is each row of the embedding, because the
    stream starts with a normalization of it. (The paper does not project embeddings; this one can
    be projected.) Each branch is added to the stream with the weight :math:`(2 \cdot
    \text{depth})^{-1/2}`, which keeps the stream of order one.

    Args:
        vocabulary: the number of tokens.
        features: the width of the stream; a multiple of 2 x ``heads``.
        depth: the number of blocks.
        heads: the number of attention heads.
        hidden_features: the width of the feed-forward part; None for 4 x ``features``.
        gated: whether the feed-forward part is gated.
        scan_layers: whether to run the blocks with ``nnx.scan``. Their parameters are then stacked,
            ``[depth, ...]`` each; project them separately along axis 0.
        config: how to normalize, compute, store and shard.
        rngs: the random streams for the initial values.

    Example:
        >>> model = nnx.eval_shape(lambda: Transformer(256, 16, 2, 2, scan_layers=True, rngs=nnx.Rngs(0)))
        >>> model.blocks.attention.query.kernel.shape
        (2, 16, 2, 8)
        >>> nnx.eval_shape(lambda model: model(jax.numpy.zeros((1, 5), int)), model).shape
        (1, 5, 256)
    """

    def __init__(
        self,
        vocabulary: int,
        features: int,
        depth: int,
        heads: int,
        *,
        hidden_features: int | None = None,
        gated: bool = False,
        scan_layers: bool = False,
        config: LayerConfig = DEFAULT,
        rngs: nnx.Rngs,
    ):
        if depth < 1:
            raise ValueError(f"Transformer: depth must be at least 1, got {depth}")

        def block(rngs: nnx.Rngs) -> TransformerBlock:
            return TransformerBlock(
                features,
                heads,
                hidden_features or 4 * features,
                gated=gated,
                branch_scale=(2 * depth) ** -0.5,
                config=config,
                rngs=rngs,
            )

        # Of order one for any size: the normalization's epsilon must be small in comparison.
        embedding_init = initializer(config, ("vocab", "embed"), jax.nn.initializers.normal(1.0))
        self.embed = nnx.Embed(
            vocabulary,
            features,
            dtype=config.dtype,
            param_dtype=config.param_dtype,
            embedding_init=embedding_init,
            rngs=rngs,
        )
        self.embed_norm = normalization(config, features, rngs)
        self.layers_axis = {nnx.PARTITION_NAME: (config.spec("layers") or (None,))[0]}
        if scan_layers:
            stacked = nnx.vmap(block, in_axes=0, out_axes=0, transform_metadata=self.layers_axis)
            self.blocks = stacked(rngs.split(depth))
        else:
            self.blocks = nnx.List([block(rngs) for _ in range(depth)])
        self.norm = normalization(config, features, rngs)
        self.head = kernel(config, features, vocabulary, ("embed", "vocab"), rngs)
        self.scan_layers = scan_layers

    def __call__(self, tokens: jax.Array) -> jax.Array:
        """(batch, length) to logits (batch, length, vocabulary)."""
        x = self.embed_norm(self.embed(tokens))
        if self.scan_layers:
            run = nnx.scan(
                lambda x, block: (block(x), None),
                in_axes=(nnx.Carry, 0),
                out_axes=(nnx.Carry, 0),
                transform_metadata=self.layers_axis,
            )
            x, _ = run(x, self.blocks)
        else:
            for block in self.blocks:
                x = block(x)
        return self.head(self.norm(x))
