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

    a relative change of 5e-7 at the default epsilon, a variance of 1 and large c, which is the
    rounding error of float32. Where the variance is small (a mean over a long context, a kernel
    initialized with 0.02), use a smaller epsilon. But epsilon also bounds the gradient, which grows
    by up to :math:`\epsilon^{-1/2}` at each normalization of activations that are all 0. At 1e-6 an
    input of zeros can overflow float32 after 13 normalizations, unless a ReLU blocks the gradient.

    Args:
        norm: ``"layer"`` (mean and variance) or ``"rms"`` (root mean square only, cheaper), over
            the last axis.
        use_scale: whether to put a learnable scale after each normalization. Off by default: a
            weight vector in front of a residual sum would have a separate norm and effective rate.
        use_bias: whether to put a learnable offset after each normalization, for ``"layer"`` only.
            The layers have no other bias: a normalization would remove it, or the scale of the
            kernel would matter again.
        epsilon: the number added to the variance (or mean square).
        activation: the nonlinearity after a normalization; ``jax.nn.relu``. With ReLU the pair of
            scale and offset is homogeneous.
        dtype: the dtype of the computation; None for the one that inputs and parameters promote
            to. Statistics are computed in float32.
        param_dtype: the dtype of the parameters.
        kernel_init: the initializer of all kernels; the default preserves the variance (LeCun).
        axes: the mesh axis along which each named axis of the kernels is sharded, such as
            ``{"embed": "data", "mlp": "model", "heads": "model", "vocab": "model"}``. Names that
            are missing are not sharded. None for no metadata. The names are ``in`` and ``out``
            (dense, conv), ``embed``, ``mlp``, ``heads``, ``head_dim``, ``vocab``, and ``layers``,
            the axis of stacked layers.

    Raises:
        ValueError: if ``norm`` is unknown, ``epsilon`` is negative, or ``use_bias`` is set for an
            RMS norm.
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

    def __post_init__(self) -> None:
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
        """Returns the mesh axes of these named axes; None without metadata."""
        return (
            None if self.axes is None else tuple(None if name is None else dict(self.axes).get(name) for name in names)
        )


DEFAULT = LayerConfig()
