"""The options that all layers of a network share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

LECUN = jax.nn.initializers.lecun_normal()


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerConfig:
    r"""The options of the layers: how they normalize, compute, store and shard.

    Apart from its epsilon, a normalization makes a layer exactly invariant. With activations of
    variance :math:`\sigma^2` in front of it, scaling them by c changes the output by a factor of

    .. math:: \sqrt{\frac{\sigma^2 + \epsilon}{\sigma^2 + \epsilon/c^2}} \approx
              1 + \frac{\epsilon}{2\sigma^2}\Big(1 - \frac{1}{c^2}\Big),

    5e-7 at the default epsilon, a variance of 1 and c large: float32's own rounding. Where a
    variance is small (a mean over a long context, a kernel initialized with 0.02) take a smaller
    epsilon. But it also bounds the gradient, which grows by up to :math:`\epsilon^{-1/2}` at each
    normalization of activations that are all 0: at 1e-6 an input of zeros can overflow float32
    after 13 of them, if no ReLU stops it.

    Args:
        norm: ``"layer"`` (mean and variance) or ``"rms"`` (root mean square only, cheaper), over
            the last axis.
        use_scale: a learnable scale after each normalization. Off by default: as a weight vector in
            front of a residual sum it would have a separate norm, and so effective rate.
        use_bias: a learnable offset after each normalization, ``"layer"`` only. No other hidden
            layer has a bias: a normalization takes it away, or makes the kernel's scale matter
            again.
        epsilon: added to the variance (or mean square).
        activation: after a normalization; ``jax.nn.relu``. With ReLU the pair of scale and offset
            is homogeneous.
        dtype: of the computation; None is what the inputs and parameters promote to. Statistics are
            in float32.
        param_dtype: of the parameters.
        kernel_init: of all kernels; the default keeps the variance (LeCun).
        axes: which axis of the mesh each named axis of the kernels is cut along, such as
            ``{"embed": "data", "mlp": "model", "heads": "model", "vocab": "model"}``; names that
            are not there are not cut. None: no metadata. The names are ``in`` and ``out`` (dense,
            conv), ``embed``, ``mlp``, ``heads``, ``head_dim``, ``vocab``, and ``layers``, the axis
            of stacked layers.

    Raises:
        ValueError: if ``norm`` is neither, ``epsilon`` is negative, or an RMS norm is to have a
            bias.
        TypeError: if ``activation`` or ``kernel_init`` cannot be called.

    Example:
        >>> config = LayerConfig(norm="rms", use_scale=True, axes={"in": "data", "out": "model"})
        >>> config.spec("in", "out")
        ('data', 'model')

    References:
        Lyle et al., Normalization and effective learning rates in reinforcement learning,
        arXiv:2407.01800.
    """

    norm: str = "layer"
    use_scale: bool = False
    use_bias: bool = False
    epsilon: float = 1e-6
    activation: Callable[[jax.Array], jax.Array] = jax.nn.relu
    dtype: Any = None
    param_dtype: Any = jnp.float32
    kernel_init: Callable[..., jax.Array] = LECUN
    axes: Mapping[str, Any] | tuple[tuple[str, Any], ...] | None = None  # kept as a tuple of pairs: modules are hashed

    def __post_init__(self):
        if self.norm not in ("layer", "rms"):
            raise ValueError(f"LayerConfig: norm must be 'layer' or 'rms', got {self.norm!r}")
        if not self.epsilon >= 0:
            raise ValueError(f"LayerConfig: epsilon must be at least 0, got {self.epsilon!r}")
        if self.norm == "rms" and self.use_bias:
            raise ValueError("LayerConfig: use_bias=True needs norm='layer': an RMS norm has no offset")
        for name in ("activation", "kernel_init"):
            if not callable(getattr(self, name)):
                raise TypeError(f"LayerConfig: {name} must be a function, got {getattr(self, name)!r}")
        if self.axes is not None:
            object.__setattr__(self, "axes", tuple(sorted(dict(self.axes).items())))

    def spec(self, *names: str | None) -> tuple[Any, ...] | None:
        """The axes of the mesh for these named axes; None without metadata."""
        return (
            None if self.axes is None else tuple(None if name is None else dict(self.axes).get(name) for name in names)
        )


DEFAULT = LayerConfig()
