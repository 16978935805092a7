"""The networks and random labels: an MLP and a convolutional net on scikit-learn's digits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen
from normalized_networks.linen_layers import NormDense
from normalized_networks.linen_networks import MLP

from optax_lrs.nn import LayerConfig

CLASSES = 10
NORMS = {"none": None, "LayerNorm": "layer", "RMSNorm": "rms"}


def digits(count: int) -> jax.Array:
    """``count`` images of mean 0 and variance 1, [count, 8, 8]; their true labels are not used."""
    from sklearn import datasets

    images = datasets.load_digits().images.astype(np.float32)
    images = images[np.random.default_rng(0).permutation(len(images))[:count]]
    return jnp.asarray((images - images.mean()) / images.std())


class PlainMLP(linen.Module):
    """Dense layers with biases, ReLU and a linear head, for the arm without normalization."""

    hidden_features: Sequence[int]

    @linen.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for i, features in enumerate(self.hidden_features):
            x = jax.nn.relu(linen.Dense(features, kernel_init=jax.nn.initializers.he_normal(), name=f"layers_{i}")(x))
        return linen.Dense(CLASSES, name="head")(x)


class Conv(linen.Module):
    """Two 3 x 3 convolutions of stride 2 and a linear head.

    They are written as products with patches: XLA has no fast convolutions on CPU for a batch of
    networks with different kernels.
    """

    channels: Sequence[int]
    config: LayerConfig | None

    @linen.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = x[..., None]
        for i, channels in enumerate(self.channels):
            side = x.shape[1]
            x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
            x = jnp.concatenate([x[:, r : r + side : 2, c : c + side : 2] for r in range(3) for c in range(3)], -1)
            if self.config is None:
                init = jax.nn.initializers.he_normal()
                x = jax.nn.relu(linen.Dense(channels, kernel_init=init, name=f"layers_{i}")(x))
            else:
                x = NormDense(channels, self.config, name=f"layers_{i}")(x)
        return linen.Dense(CLASSES, name="head")(x.reshape(len(x), -1))


def network(name: str, norm: str) -> tuple[Callable[[jax.Array], Any], Callable[[Any, jax.Array], jax.Array]]:
    """``init(key)`` and ``apply(params, images)`` of "MLP" or "conv" with one of NORMS."""
    config = None if NORMS[norm] is None else LayerConfig(norm=NORMS[norm])
    if name == "conv":
        module, flat = Conv((16, 32), config), lambda x: x
    else:
        module = PlainMLP((64, 64)) if config is None else MLP((64, 64), CLASSES, config)
        flat = lambda x: x.reshape(len(x), -1)  # noqa: E731

    def init(key: jax.Array) -> Any:
        return module.init(key, flat(jnp.zeros((1, 8, 8))))["params"]

    return init, lambda params, images: module.apply({"params": params}, flat(images))
