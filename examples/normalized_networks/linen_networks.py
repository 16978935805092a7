"""A multilayer perceptron and a residual network with scale-invariant hidden kernels."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen

from normalized_networks import DEFAULT
from normalized_networks.linen_layers import NormConv, NormDense, initializer, normalization
from optax_lrs.nn import LayerConfig


class MLP(linen.Module):
    """Normalized dense layers and a linear head.

    All kernels before the head are scale-invariant. The head, with its bias, is not: its scale is
    the scale of the outputs.

    Args:
        hidden_features: the width of each hidden layer.
        out_features: the length of the last axis of the output.
        config: how to normalize, compute, store and shard.

    Example:
        >>> jax.eval_shape(MLP((128, 128), 10).init_with_output, jax.random.key(0), jnp.ones((2, 64)))[0].shape
        (2, 10)
    """

    hidden_features: Sequence[int]
    out_features: int
    config: LayerConfig = DEFAULT

    @linen.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(..., inputs) to (..., out_features)."""
        for i, features in enumerate(self.hidden_features):
            x = NormDense(features, self.config, name=f"layers_{i}")(x)
        return _head(self.config, self.out_features)(x)


class ResBlock(linen.Module):
    r"""A residual block whose branch is normalized before it is added.

    .. math:: s(x) + g\,\mathrm{norm}(W_2 * \phi(\mathrm{norm}(W_1 * \phi(\mathrm{norm}(x)))))

    The usual pre-activation block adds :math:`W_2 * \ldots` without a normalization, so the scale
    of :math:`W_2` sets the weight of the branch relative to the stream. Here the branch is
    normalized before it is added, and g is its weight.

    Args:
        features: the number of output channels. If the input has another number, or there are
            strides, s is a normalized 1 x 1 convolution.
        strides: the strides of the first convolution, in both axes.
        branch_scale: the factor g; 1.
        config: how to normalize, compute, store and shard.

    Example:
        >>> jax.eval_shape(ResBlock(16, strides=2).init_with_output, jax.random.key(0), jnp.ones((1, 6, 6, 8)))[0].shape
        (1, 3, 3, 16)
    """

    features: int
    strides: int = 1
    branch_scale: float = 1.0
    config: LayerConfig = DEFAULT

    @linen.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(..., height, width, inputs) to (..., height / strides, width / strides, features)."""
        config, features = self.config, self.features
        branch = config.activation(normalization(config, "norm")(x))
        branch = NormConv(features, (3, 3), self.strides, config=config, name="first")(branch)
        branch = NormConv(features, (3, 3), config=config, linear=True, name="second")(branch)
        if self.strides != 1 or x.shape[-1] != features:
            x = NormConv(features, (1, 1), self.strides, config=config, linear=True, name="shortcut")(x)
        return x + self.branch_scale * branch


class ResNet(linen.Module):
    """A small residual network for images: stem, stages of blocks, mean over positions, head.

    Args:
        stage_features: the channels of each stage; all but the first halve height and width.
        out_features: the length of the last axis of the output.
        blocks: the number of blocks in each stage.
        config: how to normalize, compute, store and shard.

    Example:
        >>> jax.eval_shape(ResNet((8, 16), 10).init_with_output, jax.random.key(0), jnp.ones((2, 8, 8, 1)))[0].shape
        (2, 10)
    """

    stage_features: Sequence[int]
    out_features: int
    blocks: int = 2
    config: LayerConfig = DEFAULT

    @linen.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, height, width, inputs) to (batch, out_features)."""
        if not self.stage_features or self.blocks < 1:
            raise ValueError(f"ResNet: needs a stage and a block, got {self.stage_features=} and {self.blocks=}")
        x = NormConv(self.stage_features[0], (3, 3), config=self.config, linear=True, name="stem")(x)
        for stage, features in enumerate(self.stage_features):
            for block in range(self.blocks):
                strides, name = 2 if stage and not block else 1, f"blocks_{stage * self.blocks + block}"
                x = ResBlock(features, strides, config=self.config, name=name)(x)
        x = self.config.activation(normalization(self.config, "norm")(x))
        return _head(self.config, self.out_features)(jnp.mean(x, axis=(-3, -2)))


def _head(config: LayerConfig, features: int) -> linen.Module:
    return linen.Dense(
        features,
        dtype=config.dtype,
        param_dtype=config.param_dtype,
        kernel_init=initializer(config, ("in", None)),
        name="head",
    )
