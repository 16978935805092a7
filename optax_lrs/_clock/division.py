"""Exact division of a step by a number, beyond the precision of float32."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp


def divide(whole: jax.Array, rest: Any, factor: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Divides ``whole + rest`` by ``factor`` without cancellation.

    A float32 quotient of two numbers near 2**31 is off by hundreds, so the remainder is computed
    exactly: the quotient is cut into limbs of 12 bits and the factor into halves of 12. Their
    products fit a float32 without rounding (nor does a fused multiply-add change them), and their
    integer parts are summed as integers.

    Returns:
        The integer part of the quotient, the fraction above it, and the fraction to the next
        integer.
    """
    bits = jax.lax.bitcast_convert_type(factor, jnp.int32) & jnp.int32(~0xFFF)
    head = jax.lax.bitcast_convert_type(bits, jnp.float32)
    halves = (head, factor - head)

    def remainder(quotient):
        integers, fractions = whole, rest
        for shift in (24, 12, 0):
            limb = ((quotient >> shift) & 0xFFF).astype(jnp.float32) * float(2**shift)
            for half in halves:
                product = limb * half
                integer = jnp.floor(product)
                integers, fractions = integers - integer.astype(jnp.int32), fractions - (product - integer)
        return integers, fractions

    # The first guess is too low, by 2**-20 of the quotient at most; each pass removes the rest.
    guess = jnp.floor(whole.astype(jnp.float32) / factor * (1 - 2.0**-21))
    quotient = jnp.clip(guess, 0, 2**31 - 128).astype(jnp.int32)
    for _ in range(2):
        integers, fractions = remainder(quotient)
        correction = jnp.floor((integers.astype(jnp.float32) + fractions) / factor)
        correction = jnp.clip(correction, -(2**12), 2**12).astype(jnp.int32)
        quotient = quotient + jnp.minimum(correction, 2**31 - 1 - quotient)
    integers, fractions = remainder(quotient)
    done = integers.astype(jnp.float32) + fractions
    integer = jnp.floor(factor)
    left = (integer.astype(jnp.int32) - integers).astype(jnp.float32) + ((factor - integer) - fractions)
    # Where the quotient is at its limit, done exceeds 1 and left is negative: they continue the
    # reading as floats.
    done, left = done / factor, left / factor
    return quotient, jnp.where(done < 0, 0, done), jnp.where(left > 1, 1, left)  # where, for the gradient at the limits
