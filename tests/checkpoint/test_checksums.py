"""The checksum of arrays: its formula, what it detects, and its cost."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optax_lrs.checkpoint._checksum import checksums

pytestmark = pytest.mark.filterwarnings("ignore:::orbax", "ignore:::tensorstore")


def murmur(words, index):
    """The formula in Python integers, one element at a time."""
    total = 0
    for i, w in zip(index, words):
        x = w ^ (i * 0x9E3779B1 % 2**32)
        x = (x ^ (x >> 16)) * 0x85EBCA6B % 2**32
        x = (x ^ (x >> 13)) * 0xC2B2AE35 % 2**32
        total += x ^ (x >> 16)
    return f"{total % 2**32:08x}"


def test_checksums_are_the_formula_on_devices_and_in_numpy():
    rng = np.random.default_rng(1)
    for dtype, bits in (("float32", "<u4"), ("bfloat16", "<u2"), ("int8", "u1"), ("bool", "u1")):
        x = (rng.normal(size=(3, 5, 2)) * 9).astype(dtype)
        words = [int(word) for word in x.view(bits).ravel()]
        expected = {"x": murmur(words, range(x.size))}
        assert checksums({"x": x}) == checksums({"x": jnp.asarray(x)}) == expected
    with jax.enable_x64(True):
        x = rng.normal(size=(3, 4))
        expected = {"x": murmur([int(word) for word in x.view("<u4").ravel()], range(2 * x.size))}
        assert checksums({"x": x}) == checksums({"x": jnp.asarray(x)}) == expected


def test_checksums_detect_what_a_sum_of_bits_does_not():
    x = np.random.default_rng(2).normal(size=(8, 4)).astype(np.float32)
    seen = {checksums(x)[""]}
    for damage in (x[::-1], x.T.reshape(8, 4), -x, np.where(np.arange(4) < 2, -x, x), np.roll(x, 1), x[:, ::-1], 0 * x):
        seen.add(checksums(np.ascontiguousarray(damage))[""])
    for bit in range(32):  # any single bit
        other = x.copy()
        other.view(np.uint32)[3, 2] ^= np.uint32(1 << bit)
        seen.add(checksums(other)[""])
    assert len(seen) == 8 + 32


def test_checksums_move_no_arrays():
    """Each device sums its own shards, and one collective adds the sums of all leaves."""
    from optax_lrs.checkpoint._checksum import _on_device

    mesh = jax.make_mesh((8,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    types = (jnp.float32, jnp.bfloat16, jnp.int32)
    shapes = [jax.ShapeDtypeStruct((64, 8), dtype, sharding=jax.NamedSharding(mesh, jax.P("d"))) for dtype in types]
    text = _on_device.lower(shapes).compile().as_text()
    collectives = [text.count(f" {name}(") for name in ("all-reduce", "all-gather", "all-to-all", "collective-permute")]
    assert collectives == [1, 0, 0, 0]
