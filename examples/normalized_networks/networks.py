"""A multilayer perceptron and a residual network with scale-invariant hidden kernels."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from normalized_networks import DEFAULT
from optax_lrs.nn import LayerConfig
from optax_lrs.nn.nnx import NormConv, NormDense, initializer, normalization


class MLP(nnx.Module):
    """Normalized dense layers and a linear head.

    All kernels before the head are scale-invariant. The head, with its bias, is not: its scale is
    the scale of the outputs.

    Args:
        in_features: the length of the last axis of the input.
        hidden_features: the width of each hidden layer.
        out_features: the length of the last axis of the output.
        config: how to normalize, compute, store and shard.
        rngs: the random streams for the initial values.

    Example:
        >>> nnx.eval_shape(lambda: MLP(64, (128, 128), 10, rngs=nnx.Rngs(0))(jnp.ones((2, 64)))).shape
        (2, 10)
    """

    def __init__(
        self,
        in_features: int,
        hidden_features: Sequence[int],
        out_features: int,
        *,
        config: LayerConfig = DEFAULT,
        rngs: nnx.Rngs,
    ):
        sizes = [in_features, *hidden_features]
        self.layers = nnx.List([NormDense(a, b, config=config, rngs=rngs) for a, b in itertools.pairwise(sizes)])
        self.head = nnx.Linear(
            sizes[-1],
            out_features,
            dtype=config.dtype,
            param_dtype=config.param_dtype,
            kernel_init=initializer(config, ("in", None)),
            rngs=rngs,
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        """(..., in_features) to (..., out_features)."""
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


class ResBlock(nnx.Module):
    r"""A residual block whose branch is normalized before it is added.

    .. math:: s(x) + g\,\mathrm{norm}(W_2 * \phi(\mathrm{norm}(W_1 * \phi(\mathrm{norm}(x)))))

    The usual pre-activation block adds :math:`W_2 * \ldots` without a normalization, so the scale
    of :math:`W_2` sets the weight of the branch relative to the stream. Here the branch is
    normalized before it is added, and g is its weight.

    Args:
        in_features: channels of the input.
        out_features: channels of the output. If they differ, or there are strides, s is a
            normalized 1 x 1 convolution.
        strides: the strides of the first convolution, in both axes.
        branch_scale: the factor g; 1.
        config: how to normalize, compute, store and shard.
        rngs: the random streams for the initial values.

    Example:
        >>> nnx.eval_shape(lambda: ResBlock(8, 16, strides=2, rngs=nnx.Rngs(0))(jnp.ones((1, 6, 6, 8)))).shape
        (1, 3, 3, 16)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        strides: int = 1,
        branch_scale: float = 1.0,
        config: LayerConfig = DEFAULT,
        rngs: nnx.Rngs,
    ):
        self.norm = normalization(config, in_features, rngs)
        self.first = NormConv(in_features, out_features, (3, 3), strides=strides, config=config, rngs=rngs)
        self.second = NormConv(out_features, out_features, (3, 3), config=config, linear=True, rngs=rngs)
        shortcut = None
        if strides != 1 or in_features != out_features:
            shortcut = NormConv(
                in_features, out_features, (1, 1), strides=strides, config=config, linear=True, rngs=rngs
            )
        self.shortcut = nnx.data(shortcut)
        self.activation, self.branch_scale = config.activation, branch_scale

    def __call__(self, x: jax.Array) -> jax.Array:
        """(..., height, width, in_features) to the output, both sides divided by strides."""
        branch = self.second(self.first(self.activation(self.norm(x))))
        return (x if self.shortcut is None else self.shortcut(x)) + self.branch_scale * branch


class ResNet(nnx.Module):
    """A small residual network for images: stem, stages of blocks, mean over positions, head.

    Args:
        in_features: the number of channels of the images.
        stage_features: the channels of each stage; all but the first halve height and width.
        out_features: the length of the last axis of the output.
        blocks: the number of blocks in each stage.
        config: how to normalize, compute, store and shard.
        rngs: the random streams for the initial values.

    Example:
        >>> nnx.eval_shape(lambda: ResNet(1, (8, 16), 10, rngs=nnx.Rngs(0))(jnp.ones((2, 8, 8, 1)))).shape
        (2, 10)
    """

    def __init__(
        self,
        in_features: int,
        stage_features: Sequence[int],
        out_features: int,
        *,
        blocks: int = 2,
        config: LayerConfig = DEFAULT,
        rngs: nnx.Rngs,
    ):
        if not stage_features or blocks < 1:
            raise ValueError(f"ResNet: needs a stage and a block, got {stage_features=} and {blocks=}")
        self.stem = NormConv(in_features, stage_features[0], (3, 3), config=config, linear=True, rngs=rngs)
        found, features = [], stage_features[0]
        for stage, wider in enumerate(stage_features):
            for block in range(blocks):
                strides = 2 if stage and not block else 1
                found.append(ResBlock(features, wider, strides=strides, config=config, rngs=rngs))
                features = wider
        self.blocks = nnx.List(found)
        self.norm = normalization(config, features, rngs)
        self.head = nnx.Linear(
            features,
            out_features,
            dtype=config.dtype,
            param_dtype=config.param_dtype,
            kernel_init=initializer(config, ("in", None)),
            rngs=rngs,
        )
        self.activation = config.activation

    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, height, width, in_features) to (batch, out_features)."""
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(jnp.mean(self.activation(self.norm(x)), axis=(-3, -2)))
