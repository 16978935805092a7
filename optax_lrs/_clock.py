"""The clock: the one place where a step becomes a fraction.

A schedule is a handful of fractions, such as "how much of the decay is left". Taken as ``1 - step / total`` in float32
they lose all their digits where they matter most: over the last steps of a long run the rate is off by 100%. So the
clock takes differences in *integers*, before anything becomes a float, and computes what is left from the end. Every
fraction then has a relative error of about two roundings, 2e-7, at any horizon, down to the last step.

A position on the clock is an integer and a remainder: ``step = whole + done``, with ``left = 1 - done`` known on its own.
The remainder exists only where a clock is stretched or a step is not an integer.

The same code runs on three kinds of numbers, chosen by the step: JAX arrays (traced or not), NumPy arrays in float64,
and Python numbers through ``math``, which need a few microseconds and no device.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


class _Scalar:
    """The functions that a formula may ask of ``clock.xp``, on Python numbers: ten times as fast as NumPy's."""

    pi = math.pi
    sin, cos, sqrt, exp, expm1, log, log1p, floor = (
        math.sin, math.cos, math.sqrt, math.exp, math.expm1, math.log, math.log1p, math.floor,
    )  # fmt: skip
    power, abs, maximum, minimum = math.pow, abs, max, min

    @staticmethod
    def where(condition, x, y):
        return x if condition else y

    def __getattr__(self, name):
        return getattr(np, name)


class Phase:
    """A stretch of steps ``[start, end]``, read as fractions: 0 before it, 1 after it, a jump if it is empty."""

    __slots__ = ("_clock", "_end", "_start")

    def __init__(self, clock: Clock, start: int, end: int):
        self._clock, self._start, self._end = clock, start, end

    @property
    def xp(self) -> Any:
        """The array namespace to compute in."""
        return self._clock.xp

    @property
    def done(self) -> Any:
        """The fraction that is over, exact near the start."""
        return self._clock.done(self._start, self._end)

    @property
    def left(self) -> Any:
        """The fraction that is to come, exact near the end."""
        return self._clock.left(self._start, self._end)


class Clock:
    """A step, from which schedules read fractions of phases.

    Args of its methods are Python ints, in steps of this clock; what they return is in ``xp``, elementwise in the step.
    """

    __slots__ = ("_done", "_left", "_origin", "_whole", "xp")

    def __init__(self, xp: Any, whole: Any, done: Any = None, left: Any = None, origin: int = 0):
        self.xp, self._whole, self._done, self._left, self._origin = xp, whole, done, left, origin

    # ── from a step ───────────────────────────────────────────────────────────────────────────

    @classmethod
    def of_device(cls, step: jax.typing.ArrayLike) -> Clock:
        """The clock of a step on the device: an int or float array or tracer. Negative steps count as 0."""
        step = jnp.asarray(step)
        if not (jnp.issubdtype(step.dtype, jnp.integer) or jnp.issubdtype(step.dtype, jnp.floating)):
            raise TypeError(f"step must be an int or a float, got {step.dtype}")
        if jnp.issubdtype(step.dtype, jnp.floating):
            step = jnp.maximum(step.astype(jnp.float32), 0)
            # 2**31 - 128 is the largest float32 that is an int32. What lies beyond goes into the remainder.
            whole = jnp.minimum(jnp.floor(step), 2**31 - 128).astype(jnp.int32)
            done = step - whole.astype(jnp.float32)
            return cls(jnp, whole, done, 1 - done)
        if step.dtype == jnp.uint32:
            whole = jnp.minimum(step, jnp.uint32(2**31 - 1))
            done = (step - whole).astype(jnp.float32)
            return cls(jnp, whole.astype(jnp.int32), done, 1 - done)
        wide = jnp.int64 if step.dtype.itemsize == 8 else jnp.int32
        return cls(jnp, jnp.maximum(step.astype(wide), 0))

    @classmethod
    def of_host(cls, step: Any) -> Clock:
        """The clock of a step on the host: a Python number or a NumPy array, in float64."""
        if isinstance(step, (int, float)):
            if isinstance(step, int):
                return cls(_SCALAR, step if step > 0 else 0)
            whole = math.floor(max(step, 0.0))
            done = max(step, 0.0) - whole
            return cls(_SCALAR, whole, done, 1.0 - done)
        if np.issubdtype(step.dtype, np.integer):
            return cls(np, np.maximum(step.astype(np.int64), 0))
        step = np.maximum(step.astype(np.float64), 0.0)
        whole = np.floor(step)
        return cls(np, whole.astype(np.int64), step - whole, 1.0 - (step - whole))

    # ── what schedules read ───────────────────────────────────────────────────────────────────

    def phase(self, start: int, end: int) -> Phase:
        """The steps from ``start`` to ``end``, as fractions."""
        return Phase(self, start, end)

    def done(self, start: int, end: int) -> Any:
        """How much of the phase is over, in [0, 1]; the relative error stays at rounding down to its first step."""
        if end <= start:
            return self._float(self.reached(start))
        return self._share(self.since(start), end - start)

    def left(self, start: int, end: int) -> Any:
        """How much of the phase is to come, in [0, 1]; the relative error stays at rounding down to its last step."""
        if end <= start:
            return 1.0 - self._float(self.reached(start))
        return self._share(self.until(end), end - start)

    def since(self, start: int) -> Any:
        """The number of steps since ``start``, 0 before it, as a float."""
        start += self._origin
        if start <= 0:  # a sum of two numbers that are not negative, where whole - start could overflow
            steps = self._float(self._whole) + float(-start)
        elif start > self._limit:  # only a float's reading gets there
            return self.xp.maximum(
                (self._float(self._whole) * 0.0 if self._done is None else self._done) - self._until(start), 0.0
            )
        else:
            steps = self._float(self.xp.maximum(self._whole, start) - start)
        return steps if self._done is None else self.xp.where(self._whole >= start, steps + self._done, 0.0)

    def until(self, end: int) -> Any:
        """The number of steps until ``end``, 0 after it, as a float."""
        end += self._origin
        if end <= 0:
            return self._float(self._whole) * 0.0
        if self._done is None:
            return self._until(end)
        steps = self._until(end - 1) + self._left  # the last step counts by what is left of it
        return self.xp.where(self._before(end), self.xp.maximum(steps, 0.0), 0.0)

    def reached(self, at: int) -> Any:
        """Whether step ``at`` has come."""
        before = self._before(at + self._origin)
        return not before if self.xp is _SCALAR else ~before

    def segment(self, knots: Sequence[int]) -> tuple[Any, Any, Any]:
        """Where the step falls among increasing knots: the index of the one before it, and done and left to the next.

        Before the first knot and after the last it stands on that knot. Needs two knots at least.
        """
        clock = self._settled().between(knots[0], knots[-1])
        index, start, end, beyond, length = clock._found(knots)
        done, left = self._float(clock._whole - start), self._float(end - clock._whole) + beyond
        if clock._done is not None:
            done, left = done + clock._done, self.xp.maximum(left - 1.0 + clock._left, 0.0)
        return index, done / length, left / length

    def _found(self, knots: Sequence[int]) -> tuple[Any, ...]:
        """The index of the knot at or before a settled clock, it and the next, the next's excess over 2³¹, the distance."""
        xp, last = self.xp, len(knots) - 2
        if isinstance(knots, range):  # an entry for every step: no search
            index = xp.minimum(self._whole - knots[0], last)
            return index, index + knots[0], index + knots[1], 0.0, 1.0
        if xp is _SCALAR:
            index = min(max(bisect.bisect_right(knots, self._whole) - 1, 0), last)
            return index, knots[index], knots[index + 1], 0.0, float(knots[index + 1] - knots[index])
        table = xp.asarray([min(knot, self._limit) for knot in knots], self._int_dtype)
        how = {} if xp is np else {"method": "scan_unrolled"}  # no loop on the device
        index = xp.clip(xp.searchsorted(table, self._whole, side="right", **how) - 1, 0, last)
        beyond = xp.asarray([float(max(knot - self._limit, 0)) for knot in knots[1:]], self._float_dtype)[index]
        length = xp.asarray(np.diff(np.asarray(knots, np.float64)), self._float_dtype)[index]
        return index, table[index], table[index + 1], beyond, length

    # ── other clocks ──────────────────────────────────────────────────────────────────────────

    def shift(self, by: int) -> Clock:
        """The clock that reads 0 when this one reads ``by``."""
        return Clock(self.xp, self._whole, self._done, self._left, self._origin + by)

    def between(self, start: int, end: int | None) -> Clock:
        """This clock, held at ``start`` before it and at ``end`` (if there is one) after it."""
        # A bound that no integer reaches is left out: only a float's reading, in the remainder, gets there.
        low, high = start + self._origin, self._limit if end is None else end + self._origin
        low, high = 0 if low > self._limit else max(low, 0), min(max(high, 0), self._limit)
        whole = self.xp.minimum(self.xp.maximum(self._whole, low), high)
        if self._done is None:
            return Clock(self.xp, whole, origin=self._origin)
        free = (self._whole >= low) & ((self._whole < high) | (high == self._limit))
        done, left = self.xp.where(free, self._done, 0.0), self.xp.where(free, self._left, 1.0)
        return Clock(self.xp, whole, done, left, self._origin)

    def stretch(self, factor: Any) -> Clock:
        """The clock that runs ``factor`` times slower: it reads 1 when this one reads ``factor``.

        Exact: the remainder of the division is found without rounding. On the device a reading beyond 2³¹ - 1 is a float's.
        """
        clock = self._settled()
        rest = 0.0 if clock._done is None else clock._done
        if self.xp is jnp:
            return Clock(jnp, *_divide(clock._whole.astype(jnp.int32), rest, jnp.asarray(factor, jnp.float32)))
        steps = self._float(clock._whole) + rest
        whole = self.xp.floor(steps / factor)
        high = (
            self.xp.floor(whole / 2**26) * 2**26
        )  # both products fit a float64 without rounding: a factor is a float32
        rest = (steps - high * factor) - (whole - high) * factor
        early = rest < 0
        whole, rest = self.xp.where(early, whole - 1, whole), self.xp.where(early, rest + factor, rest)
        return Clock(self.xp, self._int(whole), rest / factor, (factor - rest) / factor)

    def _settled(self) -> Clock:
        """The same clock with its origin at 0, held at 0 before it."""
        if self._origin > 0:
            clock = self.between(0, None)
            return Clock(self.xp, clock._whole - min(self._origin, self._limit), clock._done, clock._left)
        lead = min(-self._origin, self._limit)  # the sum stops where the integers do
        return Clock(self.xp, self.xp.minimum(self._whole, self._limit - lead) + lead, self._done, self._left)

    # ── the three kinds of numbers ────────────────────────────────────────────────────────────────

    @property
    def _limit(self) -> int:
        """The largest integer that the step can be compared with."""
        return int(jnp.iinfo(self._whole.dtype).max) if self.xp is jnp else 2**63 - 1

    @property
    def _int_dtype(self) -> Any:
        return self._whole.dtype if self.xp is jnp else np.int64

    @property
    def _float_dtype(self) -> Any:
        return np.float32 if self.xp is jnp else np.float64

    def _float(self, number: Any) -> Any:
        return float(number) if self.xp is _SCALAR else number.astype(self._float_dtype)

    def _int(self, number: Any) -> Any:
        return int(number) if self.xp is _SCALAR else number.astype(self._int_dtype)

    def _share(self, steps: Any, length: int) -> Any:
        if self.xp is jnp:
            # XLA would multiply by the rounded reciprocal, and the whole phase could be less than 1. Ours is rounded up.
            reciprocal = np.float32(1.0) / np.float32(length)
            if np.float32(length) * reciprocal < 1.0:
                reciprocal = np.nextafter(reciprocal, np.float32(1.0))
            return jnp.minimum(steps * reciprocal, 1.0)
        return self.xp.minimum(steps / length, 1.0)

    def _before(self, at: int) -> Any:
        """Whether the step is before ``at``, both counted from the root's 0."""
        if at > self._limit:
            return self._whole >= 0 if self._done is None else self._done < self._until(at)
        return self._whole < max(at, 0)

    def _until(self, end: int) -> Any:
        """The whole steps until ``end``, which is not negative, both counted from the root's 0."""
        if end > self._limit:
            return self._float(self._limit - self._whole) + float(end - self._limit)
        return self._float(end - self.xp.minimum(self._whole, end))


def _divide(whole: jax.Array, rest: Any, factor: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """``(whole + rest) / factor`` as an integer, the fraction above it and the fraction to the next, without cancellation.

    A float32 quotient of two numbers near 2**31 is off by hundreds, so the remainder is taken exactly: the quotient is cut
    into limbs of 12 bits and the factor into halves of 12; their products fit a float32 without rounding (nor does a
    fused multiply-add change them), and their integer parts are summed as integers.
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

    # The first guess errs on the low side, by 2**-20 of the quotient at most; each pass takes what is left of the error.
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
    # Where the quotient stands at its limit, done exceeds 1 and left is negative: the reading goes on in them, as a float.
    done, left = done / factor, left / factor
    return quotient, jnp.where(done < 0, 0, done), jnp.where(left > 1, 1, left)  # where, for the gradient at the limits


_SCALAR = _Scalar()
