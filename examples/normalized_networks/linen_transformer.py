"""A decoder-only transformer with scale-invariant kernels; its blocks may be stacked."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
from flax import linen

from normalized_networks import DEFAULT
from normalized_networks.linen_layers import NormDense, initializer, normalization
from normalized_networks.rotary import checked_heads, rotate
from optax_lrs.nn import LayerConfig


def kernel(config: LayerConfig, outputs: Any, names: tuple[str, ...], name: str, axis: Any = -1) -> linen.DenseGeneral:
    """Returns a linear map without bias, from the last axes of the input to new last axes."""
    return linen.DenseGeneral(
        outputs,
        axis=axis,
        use_bias=False,
        dtype=config.dtype,
        param_dtype=config.param_dtype,
        kernel_init=initializer(config, names),
        name=name,
    )


class Attention(linen.Module):
    r"""Self-attention with rotary positions: queries, keys and the output are normalized.

    .. math:: \mathrm{norm}\Big(\sum_h \mathrm{softmax}\big(\hat q_h \hat k_h^\top / \sqrt{K}\big)\,
              x W^V_h W^O_h\Big),
              \qquad \hat q = \mathrm{rms}(x W^Q), \; \hat k = \mathrm{rms}(x W^K)

    over the K channels of a head. The softmax is the nonlinearity of queries and keys, so they are
    normalized before it. Values and output form one linear map: the normalization after it removes
    the scale of both kernels.

    Args:
        heads: the number of heads; the input's width must be a multiple of 2 x ``heads``.
        causal: whether a position attends only to itself and to earlier positions.
        config: how to normalize, compute, store and shard. Queries and keys always have an RMS
            norm.

    Example:
        >>> jax.eval_shape(Attention(2).init_with_output, jax.random.key(0), jax.numpy.ones((1, 5, 16)))[0].shape
        (1, 5, 16)
    """

    heads: int
    causal: bool = True
    config: LayerConfig = DEFAULT

    @linen.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, length, features) to the same."""
        config, features, names = self.config, x.shape[-1], ("embed", "heads", "head_dim")
        shape = (self.heads, checked_heads(features, self.heads))
        per_head = dataclasses.replace(config, norm="rms", use_bias=False)
        query = normalization(per_head, "query_norm")(kernel(config, shape, names, "query")(x))
        key = normalization(per_head, "key_norm")(kernel(config, shape, names, "key")(x))
        value = kernel(config, shape, names, "value")(x)
        mixed = jax.nn.dot_product_attention(rotate(query), rotate(key), value, is_causal=self.causal)
        return normalization(config, "out_norm")(
            kernel(config, features, ("heads", "head_dim", "embed"), "out", axis=(-2, -1))(mixed)
        )


class FeedForward(linen.Module):
    r"""The feed-forward part of a transformer block, plain or gated, normalized at its end.

    .. math:: \mathrm{norm}\big(\phi(\mathrm{norm}(x W_1))\, W_2\big) \quad \text{or gated} \quad
              \mathrm{norm}\big((\phi(\mathrm{norm}(x W_g)) \circ x W_1)\, W_2\big)

    The gated form with ``activation=jax.nn.silu`` is SwiGLU. Only the gate passes through a
    nonlinearity, so only the gate needs a normalization before it; :math:`W_1` and :math:`W_2` act
    linearly up to the normalization at the end.

    Args:
        hidden_features: the width between the two kernels; usually 4 x the input's, or 8/3 x if
            gated.
        gated: whether to use the second form.
        config: how to normalize, compute, store and shard.

    Example:
        >>> layer, x = FeedForward(32, gated=True), jax.numpy.ones((2, 8))
        >>> jax.eval_shape(layer.init_with_output, jax.random.key(0), x)[0].shape
        (2, 8)
    """

    hidden_features: int
    gated: bool = False
    config: LayerConfig = DEFAULT

    @linen.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(..., features) to the same."""
        config, names, features = self.config, ("embed", "mlp"), x.shape[-1]
        gate = NormDense(self.hidden_features, config, names=names, name="gate" if self.gated else "up")(x)
        hidden = gate * kernel(config, self.hidden_features, names, "up")(x) if self.gated else gate
        return NormDense(features, config, linear=True, names=names[::-1], name="down")(hidden)


class TransformerBlock(linen.Module):
    r"""Attention and feed-forward, each normalized before and after.

    .. math:: x + g\,\mathrm{norm}(A(\mathrm{norm}(x)))

    Args:
        heads: the number of attention heads; the input's width must be a multiple of 2 x ``heads``.
        hidden_features: the width of the feed-forward part.
        gated: whether the feed-forward part is gated.
        causal: whether the attention is causal.
        branch_scale: the factor g of both branches; 1. A transformer uses :math:`(2 \cdot
            \text{depth})^{-1/2}`.
        config: how to normalize, compute, store and shard.

    Example:
        >>> block, x = TransformerBlock(2, 64), jax.numpy.ones((1, 5, 16))
        >>> jax.eval_shape(block.init_with_output, jax.random.key(0), x)[0].shape
        (1, 5, 16)
    """

    heads: int
    hidden_features: int
    gated: bool = False
    causal: bool = True
    branch_scale: float = 1.0
    config: LayerConfig = DEFAULT

    @linen.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, length, features) to the same."""
        attention = Attention(self.heads, self.causal, self.config, name="attention")
        forward = FeedForward(self.hidden_features, self.gated, self.config, name="forward")
        x = x + self.branch_scale * attention(normalization(self.config, "attention_norm")(x))
        return x + self.branch_scale * forward(normalization(self.config, "forward_norm")(x))


class Transformer(linen.Module):
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
        scan_layers: whether to run the blocks with ``linen.scan``. Their parameters are then
            stacked, ``[depth, ...]`` each; project them separately along axis 0.
        config: how to normalize, compute, store and shard.

    Example:
        >>> model = Transformer(256, 16, 2, 2, scan_layers=True)
        >>> logits, variables = jax.eval_shape(model.init_with_output, jax.random.key(0), jax.numpy.zeros((1, 5), int))
        >>> logits.shape, variables["params"]["blocks"]["attention"]["query"]["kernel"].shape
        ((1, 5, 256), (2, 16, 2, 8))
    """

    vocabulary: int
    features: int
    depth: int
    heads: int
    hidden_features: int | None = None
    gated: bool = False
    scan_layers: bool = False
    config: LayerConfig = DEFAULT

    @linen.compact
    def __call__(self, tokens: jax.Array) -> jax.Array:
        """(batch, length) to logits (batch, length, vocabulary)."""
        if self.depth < 1:
            raise ValueError(f"Transformer: depth must be at least 1, got {self.depth}")
        config = self.config
        # Of order one for any size: the normalization's epsilon must be small in comparison.
        embedding_init = initializer(config, ("vocab", "embed"), jax.nn.initializers.normal(1.0))
        x = linen.Embed(
            self.vocabulary,
            self.features,
            dtype=config.dtype,
            param_dtype=config.param_dtype,
            embedding_init=embedding_init,
            name="embed",
        )(tokens)
        x = normalization(config, "embed_norm")(x)

        def block(name: str) -> TransformerBlock:
            return TransformerBlock(
                self.heads,
                self.hidden_features or 4 * self.features,
                gated=self.gated,
                branch_scale=(2 * self.depth) ** -0.5,
                config=config,
                name=name,
            )

        if self.scan_layers:
            run = linen.scan(
                lambda block, x, _: (block(x), None),
                variable_axes={"params": 0},
                split_rngs={"params": True},
                length=self.depth,
                metadata_params={linen.PARTITION_NAME: (config.spec("layers") or (None,))[0]},
            )
            x, _ = run(block("blocks"), x, None)
        else:
            for i in range(self.depth):
                x = block(f"blocks_{i}")(x)
        return kernel(config, self.vocabulary, ("embed", "vocab"), "head")(normalization(config, "norm")(x))
