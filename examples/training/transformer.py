"""A decoder-only transformer over bytes, in flax nnx, with a named sharding on every weight.

Letters in names are axes: B batch, L position, V byte value, D width, F hidden width, H heads, K
head width.

Each matrix is sharded along both axes of the mesh: `model` splits heads, hidden units and byte
values (tensor parallelism), and `data` splits the width (FSDP: a weight is gathered where it is
used). XLA inserts the collectives. On one device there are none, and the code is the same.
"""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx

BYTES = 256


@dataclasses.dataclass(frozen=True)
class Size:
    """The numbers that determine all shapes: models of one size can share a checkpoint.

    With the defaults the buffers of a step stay below 32 MB. Above that, glibc returns memory to
    the system after every step: at depth 3 a fifth of a CPU's time went into page faults.
    """

    width: int = 128
    depth: int = 2
    heads: int = 4
    context: int = 64

    def __post_init__(self):
        if self.width % (2 * self.heads):  # rotary positions rotate pairs of channels
            raise ValueError(f"width {self.width} must be a multiple of 2 x heads = {2 * self.heads}")


def matrix(rngs: nnx.Rngs, shape, *, inputs: int, names, gain: float = 1.0) -> nnx.Param:
    """A weight with standard deviation gain/√inputs.

    It keeps activations of order one at any width.
    """
    value = jax.random.normal(rngs.params(), shape, jnp.float32) * gain * inputs**-0.5
    return nnx.Param(value, out_sharding=names)


def rms_norm(x_BxLxD, scale_D):
    mean_square = jnp.mean(jnp.square(x_BxLxD), axis=-1, keepdims=True)
    return x_BxLxD * jax.lax.rsqrt(mean_square + 1e-6) * scale_D


def rotate(x_BxLxHxK):
    """Rotary positions: each pair of channels rotates with the position, at its own speed."""
    _, length, _, channels = x_BxLxHxK.shape
    speed_k = 10_000.0 ** -(jnp.arange(channels // 2) / (channels // 2))
    angle_Lx1xk = (jnp.arange(length)[:, None] * speed_k)[:, None, :]
    cos, sin = jnp.cos(angle_Lx1xk), jnp.sin(angle_Lx1xk)
    a, b = jnp.split(x_BxLxHxK, 2, axis=-1)
    return jnp.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)


class Attention(nnx.Module):
    def __init__(self, size: Size, rngs: nnx.Rngs):
        D, H, K = size.width, size.heads, size.width // size.heads
        self.qkv_Dx3xHxK = matrix(rngs, (D, 3, H, K), inputs=D, names=("data", None, "model", None))
        # Each block has two residual branches; the small gain keeps the sum over all of order one.
        gain = (2 * size.depth) ** -0.5
        self.out_HxKxD = matrix(rngs, (H, K, D), inputs=D, names=("model", None, "data"), gain=gain)

    def __call__(self, x_BxLxD):
        qkv = jnp.einsum("bld,dnhk->nblhk", x_BxLxD, self.qkv_Dx3xHxK[...])
        q_BxLxHxK, k_BxLxHxK, v_BxLxHxK = rotate(qkv[0]), rotate(qkv[1]), qkv[2]
        y_BxLxHxK = jax.nn.dot_product_attention(q_BxLxHxK, k_BxLxHxK, v_BxLxHxK, is_causal=True)
        return jnp.einsum("blhk,hkd->bld", y_BxLxHxK, self.out_HxKxD[...])


class FeedForward(nnx.Module):
    def __init__(self, size: Size, rngs: nnx.Rngs):
        D, F = size.width, 4 * size.width
        self.up_DxF = matrix(rngs, (D, F), inputs=D, names=("data", "model"))
        self.down_FxD = matrix(rngs, (F, D), inputs=F, names=("model", "data"), gain=(2 * size.depth) ** -0.5)

    def __call__(self, x_BxLxD):
        # Squared ReLU is as good as GELU at this size, and needs no exponentials on a CPU.
        return jnp.square(jax.nn.relu(x_BxLxD @ self.up_DxF[...])) @ self.down_FxD[...]


class Block(nnx.Module):
    def __init__(self, size: Size, rngs: nnx.Rngs):
        self.attention_scale_D = nnx.Param(jnp.ones(size.width), out_sharding=(None,))
        self.attention = Attention(size, rngs)
        self.forward_scale_D = nnx.Param(jnp.ones(size.width), out_sharding=(None,))
        self.forward = FeedForward(size, rngs)

    def __call__(self, x_BxLxD):
        x_BxLxD = x_BxLxD + self.attention(rms_norm(x_BxLxD, self.attention_scale_D[...]))
        return x_BxLxD + self.forward(rms_norm(x_BxLxD, self.forward_scale_D[...]))


class Transformer(nnx.Module):
    def __init__(self, size: Size, rngs: nnx.Rngs):
        D = size.width
        self.embed_VxD = matrix(rngs, (BYTES, D), inputs=1, names=(None, "data"))
        self.blocks = nnx.List([Block(size, rngs) for _ in range(size.depth)])
        self.scale_D = nnx.Param(jnp.ones(D), out_sharding=(None,))
        self.head_DxV = matrix(rngs, (D, BYTES), inputs=D, names=("data", "model"), gain=0.1)

    def __call__(self, bytes_BxL):
        """Logits of the next byte at each position."""
        # A product with one-hot rows instead of a lookup: the gradient of a lookup is a scatter,
        # which is slow on CPUs and TPUs (a third of the whole step here), and a product does not
        # need to gather a sharded table.
        x_BxLxD = jax.nn.one_hot(bytes_BxL, BYTES) @ self.embed_VxD[...]
        for block in self.blocks:
            x_BxLxD = block(x_BxLxD)
        return rms_norm(x_BxLxD, self.scale_D[...]) @ self.head_DxV[...]
