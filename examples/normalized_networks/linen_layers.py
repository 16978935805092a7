"""Dense and convolutional layers for linen: a kernel, a normalization and a nonlinearity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
from flax import linen

from normalized_networks import DEFAULT
from optax_lrs.nn import LayerConfig


def initializer(config: LayerConfig, names: Sequence[str | None], init: Any = None) -> Any:
    """Returns the initializer of a kernel, with sharding metadata if the config names mesh axes."""
    init, spec = init or config.kernel_init, config.spec(*names)
    return init if spec is None else linen.with_partitioning(init, spec)


def normalization(config: LayerConfig, name: str) -> linen.Module:
    """Returns the normalization over the last axis."""
    options = {
        "epsilon": config.epsilon,
        "use_scale": config.use_scale,
        "dtype": config.dtype,
        "param_dtype": config.param_dtype,
        "use_fast_variance": False,
        "name": name,
    }
    return linen.RMSNorm(**options) if config.norm == "rms" else linen.LayerNorm(use_bias=config.use_bias, **options)


class NormDense(linen.Module):
    r"""A dense layer without bias, then a normalization and a nonlinearity.

    .. math:: \phi(\mathrm{norm}(x W))

    No output depends on the scale of ``dense/kernel``.

    Args:
        features: the length of the last axis of the output.
        config: how to normalize, compute, store and shard.
        linear: whether to leave out the nonlinearity.
        names: the names of the kernel's axes, for ``config.axes``.

    Example:
        >>> import jax.numpy as jnp
        >>> layer = NormDense(8)
        >>> params = layer.init(jax.random.key(0), jnp.arange(4.0))
        >>> larger = jax.tree.map(lambda p: 10 * p, params)
        >>> bool(jnp.allclose(layer.apply(larger, jnp.arange(4.0)), layer.apply(params, jnp.arange(4.0)), rtol=1e-5))
        True
    """

    features: int
    config: LayerConfig = DEFAULT
    linear: bool = False
    names: tuple[str | None, str | None] = ("in", "out")

    @linen.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(..., inputs) to (..., features)."""
        x = linen.Dense(
            self.features,
            use_bias=False,
            dtype=self.config.dtype,
            param_dtype=self.config.param_dtype,
            kernel_init=initializer(self.config, self.names),
            name="dense",
        )(x)
        x = normalization(self.config, "norm")(x)
        return x if self.linear else self.config.activation(x)


class NormConv(linen.Module):
    r"""A convolution without bias, then a normalization over the channels and a nonlinearity.

    No output depends on the scale of ``conv/kernel`` as a whole, over kernel positions, inputs and
    outputs.

    Args:
        features: the number of output channels.
        kernel_size: the size in each spatial axis.
        strides: one number, or one for each spatial axis.
        padding: as in ``linen.Conv``.
        feature_group_count: the number of groups; the number of channels for a depthwise
            convolution.
        config: how to normalize, compute, store and shard.
        linear: whether to leave out the nonlinearity.

    Example:
        >>> import jax.numpy as jnp
        >>> layer, x = NormConv(16, (3, 3), strides=2), jnp.ones((1, 8, 8, 3))
        >>> jax.eval_shape(layer.init_with_output, jax.random.key(0), x)[0].shape
        (1, 4, 4, 16)
    """

    features: int
    kernel_size: Sequence[int]
    strides: int | Sequence[int] = 1
    padding: Any = "SAME"
    feature_group_count: int = 1
    config: LayerConfig = DEFAULT
    linear: bool = False

    @linen.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(..., *space, inputs) to (..., *space, features)."""
        names = (*[None] * len(self.kernel_size), "in", "out")
        x = linen.Conv(
            self.features,
            tuple(self.kernel_size),
            self.strides,
            padding=self.padding,
            use_bias=False,
            dtype=self.config.dtype,
            param_dtype=self.config.param_dtype,
            name="conv",
            feature_group_count=self.feature_group_count,
            kernel_init=initializer(self.config, names),
        )(x)
        x = normalization(self.config, "norm")(x)
        return x if self.linear else self.config.activation(x)
