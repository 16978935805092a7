"""Dense and convolutional layers: a kernel, a normalization and a nonlinearity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
from flax import nnx

from optax_lrs.nn._config import DEFAULT, LayerConfig


def initializer(config: LayerConfig, names: Sequence[str | None], init: Any = None) -> Any:
    """Returns the initializer of a kernel, with sharding metadata if the config names mesh axes.

    Args:
        config: the layer's options.
        names: the names of the kernel's axes, for ``config.axes``.
        init: replaces ``config.kernel_init``.
    """
    init, spec = init or config.kernel_init, config.spec(*names)
    return init if spec is None else nnx.with_partitioning(init, spec)


def normalization(config: LayerConfig, features: int, rngs: nnx.Rngs) -> nnx.Module:
    """Returns the normalization over a last axis of length ``features``."""
    options: dict[str, Any] = {
        "epsilon": config.epsilon,
        "use_scale": config.use_scale,
        "dtype": config.dtype,
        "param_dtype": config.param_dtype,
        "use_fast_variance": False,
        "rngs": rngs,
    }
    if config.norm == "rms":
        return nnx.RMSNorm(features, **options)
    return nnx.LayerNorm(features, use_bias=config.use_bias, **options)


class NormDense(nnx.Module):
    r"""A dense layer without bias, then a normalization and a nonlinearity.

    .. math:: \phi(\mathrm{norm}(x W))

    No output depends on the scale of ``dense.kernel``.

    Args:
        in_features: the length of the last axis of the input.
        out_features: the length of the last axis of the output.
        config: how to normalize, compute, store and shard.
        linear: whether to leave out the nonlinearity.
        names: the names of the kernel's axes, for ``config.axes``.
        rngs: the random streams for the initial values.

    Example:
        >>> import jax.numpy as jnp
        >>> layer = NormDense(4, 8, rngs=nnx.Rngs(0))
        >>> before = layer(jnp.arange(4.0))
        >>> layer.dense.kernel[...] *= 10
        >>> bool(jnp.allclose(layer(jnp.arange(4.0)), before, rtol=1e-5))
        True
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        config: LayerConfig = DEFAULT,
        linear: bool = False,
        names: tuple[str | None, str | None] = ("in", "out"),
        rngs: nnx.Rngs,
    ):
        self.dense: nnx.Linear = nnx.Linear(
            in_features,
            out_features,
            use_bias=False,
            dtype=config.dtype,
            param_dtype=config.param_dtype,
            kernel_init=initializer(config, names),
            rngs=rngs,
        )
        self.norm: nnx.Module = normalization(config, out_features, rngs)
        self.activation: Callable[[jax.Array], jax.Array] | None = None if linear else config.activation

    def __call__(self, x: jax.Array) -> jax.Array:
        """(..., in_features) to (..., out_features)."""
        x = self.norm(self.dense(x))
        return x if self.activation is None else self.activation(x)


class NormConv(nnx.Module):
    r"""A convolution without bias, then a normalization over the channels and a nonlinearity.

    No output depends on the scale of ``conv.kernel`` as a whole, over kernel positions, inputs and
    outputs.

    Args:
        in_features: the number of input channels, the last axis.
        out_features: the number of output channels.
        kernel_size: the size in each spatial axis.
        strides: one number, or one for each spatial axis.
        padding: as in ``nnx.Conv``.
        feature_group_count: the number of groups; the number of channels for a depthwise
            convolution.
        config: how to normalize, compute, store and shard.
        linear: whether to leave out the nonlinearity.
        rngs: the random streams for the initial values.

    Example:
        >>> import jax.numpy as jnp
        >>> nnx.eval_shape(lambda: NormConv(3, 16, (3, 3), strides=2, rngs=nnx.Rngs(0))(jnp.ones((1, 8, 8, 3)))).shape
        (1, 4, 4, 16)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: Sequence[int],
        *,
        strides: int | Sequence[int] = 1,
        padding: Any = "SAME",
        feature_group_count: int = 1,
        config: LayerConfig = DEFAULT,
        linear: bool = False,
        rngs: nnx.Rngs,
    ):
        self.conv: nnx.Conv = nnx.Conv(
            in_features,
            out_features,
            tuple(kernel_size),
            strides,
            padding=padding,
            use_bias=False,
            dtype=config.dtype,
            param_dtype=config.param_dtype,
            feature_group_count=feature_group_count,
            kernel_init=initializer(config, (*[None] * len(kernel_size), "in", "out")),
            rngs=rngs,
        )
        self.norm: nnx.Module = normalization(config, out_features, rngs)
        self.activation: Callable[[jax.Array], jax.Array] | None = None if linear else config.activation

    def __call__(self, x: jax.Array) -> jax.Array:
        """(..., *space, in_features) to (..., *space, out_features)."""
        x = self.norm(self.conv(x))
        return x if self.activation is None else self.activation(x)
