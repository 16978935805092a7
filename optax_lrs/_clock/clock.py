"""The clock: converts steps to fractions of phases, exactly; the only place that does.

A schedule is computed from a few fractions, such as "how much of the decay is left". Computed as
``1 - step / total`` in float32, they lose all their digits where they matter most: over the last
steps of a long run the rate is off by 100%. The clock therefore takes differences of *integers*,
before anything becomes a float, and computes what is left from the end. Every fraction then has a
relative error of about two roundings, 2e-7, at any horizon, down to the last step.

A position on the clock is an integer and a remainder: ``step = whole + done``. ``left = 1 - done``
is kept separately, so that it does not lose digits. There is a remainder only if a clock is
stretched or a step is not an integer.

The same code runs on three kinds of numbers, chosen by the step: JAX arrays (traced or not), NumPy
arrays in float64, and Python numbers through ``math``, which take a few microseconds and use no
device."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from optax_lrs._clock.division import divide
from optax_lrs._clock.phase import Phase
from optax_lrs._clock.scalar import SCALAR

_FEW = 32  # knots: up to this number, a line for each is cheaper than a search


class Clock:
    """A step, or an array of steps, from which a schedule reads fractions of phases.

    Its methods take Python ints, in steps of this clock, and return numbers or arrays of ``xp``,
    elementwise in the step. ``xp`` is the array namespace to compute in: ``jax.numpy`` on the
    device, NumPy or its functions for Python numbers on the host."""

    __slots__ = ("_done", "_left", "_origin", "_unit", "_whole", "xp")

    def __init__(self, xp: Any, whole: Any, done: Any = None, left: Any = None, origin: int = 0, unit: int = 1) -> None:
        self.xp: Any = xp
        self._whole, self._done, self._left, self._origin, self._unit = whole, done, left, origin, unit

    # ── from a step ───────────────────────────────────────────────────────────────────────────

    @classmethod
    def of_device(cls, step: jax.typing.ArrayLike) -> Clock:
        """Returns the clock of a step on the device: an int or float array or tracer.

        Negative steps count as 0.

        Raises:
            TypeError: if the step is neither an integer nor a float.
        """
        step = jnp.asarray(step)
        if not (jnp.issubdtype(step.dtype, jnp.integer) or jnp.issubdtype(step.dtype, jnp.floating)):
            raise TypeError(f"step must be an int or a float, got {step.dtype}")
        if jnp.issubdtype(step.dtype, jnp.floating):
            step = jnp.maximum(step.astype(jnp.float32), 0)
            # 2**31 - 128 is the largest float32 that is an int32. The rest goes into the remainder.
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
        """Returns the clock of a step on the host: a Python number or a NumPy array, in float64."""
        if isinstance(step, int):
            return cls(SCALAR, step if step > 0 else 0)
        if isinstance(step, float):
            done, whole = math.modf(max(step, 0.0))
            return cls(SCALAR, int(whole), done, 1.0 - done)
        if np.issubdtype(step.dtype, np.integer):
            whole = np.minimum(step, np.uint64(2**63 - 1)) if step.dtype == np.uint64 else step
            return cls(np, np.maximum(whole.astype(np.int64), 0))
        step = np.maximum(step.astype(np.float64), 0.0)
        whole = np.floor(step)
        return cls(np, whole.astype(np.int64), step - whole, 1.0 - (step - whole))

    # ── fractions and counts ──────────────────────────────────────────────────────────────────

    def phase(self, start: int, end: int) -> Phase:
        """Returns the phase from step ``start`` to step ``end``, with its fractions."""
        return Phase(self, start, end)

    def done(self, start: int, end: int) -> Any:
        """Returns the share of the phase that is over, in [0, 1], exact to rounding near its
        start."""
        if end <= start:
            return self._float(self.reached(start))
        return self._share(self.since(start), end - start)

    def left(self, start: int, end: int) -> Any:
        """Returns the share of the phase that is left, in [0, 1], exact to rounding near its
        end."""
        if end <= start:
            return 1.0 - self._float(self.reached(start))
        return self._share(self.until(end), end - start)

    def since(self, start: int) -> Any:
        """Returns the number of steps since ``start`` as a float; 0 before it."""
        if self._unit == 1:
            return self._since(start + self._origin)
        steps, part = divmod(start + self._origin, self._unit)
        if not part:
            since = self._since(steps)
        else:  # ``start`` is inside a step of the root: the rest of that step, and the steps after
            rest = (self._unit - part) / self._unit
            within = 0.0 if self._done is None else self.xp.maximum(self._done - part / self._unit, 0.0)
            within = self.xp.where(self._before(steps), 0.0, within)
            since = self.xp.where(self._before(steps + 1), within, self._since(steps + 1) + rest)
        return since * float(self._unit)

    def until(self, end: int) -> Any:
        """Returns the number of steps until ``end`` as a float; 0 after it."""
        if self._unit == 1:
            return self._until(end + self._origin)
        steps, part = divmod(end + self._origin, self._unit)
        until = self._until(steps)
        if part:
            rest = part / self._unit
            within = rest if self._done is None else self.xp.maximum(rest - self._done, 0.0)
            within = self.xp.where(self._before(steps + 1), within, 0.0)
            until = self.xp.where(self._before(steps), until + rest, within)
        return until * float(self._unit)

    def reached(self, at: int) -> Any:
        """Returns whether the step is ``at`` or later."""
        steps, part = divmod(at + self._origin, self._unit)
        before = self._before(steps + (part > 0))
        if part and self._done is not None:
            before = before & (self._before(steps) | (self._done < part / self._unit))
        return not before if self.xp is SCALAR else ~before

    def segment(self, knots: Sequence[int]) -> tuple[Any, Any, Any]:
        """Finds the step among increasing knots, of which there are at least two.

        Returns:
            The index of the last knot reached, and the shares ``done`` and ``left`` of the way to
            the next. Steps before the first knot and after the last are held at that knot.
        """
        # A fractional step of a clock with several counts a step is read in parts of a count.
        clock = self if self._unit == 1 or self._done is None else self._settled()
        clock = clock.between(knots[0], knots[-1])
        index, start, since, end, until, length = clock._found(knots)
        done, left = self._float(clock._whole - start) + since, self._float(end - clock._whole) + until
        if clock._done is not None:
            done, left = done + clock._done, left - 1.0 + clock._left
        # The root is at a whole step, and the first and the last knot may lie inside one.
        return index, *(self.xp.minimum(self.xp.maximum(share / length, 0.0), 1.0) for share in (done, left))

    def interpolate(self, knots: Sequence[int], values: Any) -> Any:
        """Interpolates linearly between the ``values`` at increasing ``knots``.

        Returns the first value before the first knot and the last value after the last.
        """
        if self.xp is not jnp or isinstance(knots, range) or len(knots) > _FEW:
            index, done, left = self.segment(knots)
            return values[index] * left + values[index + 1] * done
        rate = values[0]  # one kernel; a search and two reads from a table are two
        for i, (start, end) in enumerate(itertools.pairwise(knots)):
            line = values[i] * self.left(start, end) + values[i + 1] * self.done(start, end)
            rate = jnp.where(self.reached(start), line, rate)
        return rate

    def _found(self, knots: Sequence[int]) -> tuple[Any, ...]:
        """The last knot reached and the next: index, whole steps of the root and the rest,
        distance."""
        xp, last, unit, origin = self.xp, len(knots) - 2, self._unit, self._origin
        if isinstance(knots, range) and unit == 1 and origin + knots[0] >= 0:  # every step has an entry: no search
            first = min(knots[0] + origin, self._limit)
            index = xp.minimum(self._whole - first, last)
            return index, index + first, 0.0, index + first + 1, 0.0, 1.0
        if xp is SCALAR and unit == 1:
            index = min(max(bisect.bisect_right(knots, self._whole - origin) - 1, 0), last)
            start, end = knots[index], knots[index + 1]
            return index, start + origin, 0.0, end + origin, 0.0, float(end - start)
        xp = np if xp is SCALAR else xp
        starts = np.array(knots, object if xp is jnp or unit > 1 else np.int64) + origin
        ceilings = np.minimum(-(-starts // unit), self._limit).astype(self._int_dtype)
        floors = np.minimum(starts // unit, self._limit)
        since = (np.asarray(-(-starts // unit) * unit - starts, float) / unit).astype(self._float_dtype)
        until = (np.asarray(starts - floors * unit, float) / unit).astype(self._float_dtype)
        lengths = (np.asarray(np.diff(starts), float) / unit).astype(self._float_dtype)
        table, floors = xp.asarray(ceilings), xp.asarray(floors.astype(self._int_dtype))
        how: dict[str, Any] = {} if xp is np else {"method": "scan_unrolled"}  # no loop on the device
        within_reach = table[: max(int(np.sum(-(-starts // unit) <= self._limit)), 1)]
        index = xp.clip(xp.searchsorted(within_reach, self._whole, side="right", **how) - 1, 0, last)
        parts = (xp.asarray(part)[at] for part, at in ((since, index), (until, index + 1), (lengths, index)))
        since, until, length = parts
        return index, table[index], since, floors[index + 1], until, length

    # ── other clocks ──────────────────────────────────────────────────────────────────────────

    def shift(self, by: int) -> Clock:
        """Returns the clock that reads 0 when this one reads ``by``."""
        return Clock(self.xp, self._whole, self._done, self._left, self._origin + by, self._unit)

    def count(self, per_step: int) -> Clock:
        """Returns the clock that counts ``per_step`` things a step, such as tokens; exact beyond
        2³¹."""
        return Clock(self.xp, self._whole, self._done, self._left, self._origin * per_step, self._unit * per_step)

    def between(self, start: int, end: int | None) -> Clock:
        """Returns this clock, held at ``start`` before it and at ``end`` after it; None for no end.

        If ``start`` is inside a step of the root, the clock is held at the whole step before it; if
        ``end`` is, at the whole step after it."""
        # A bound beyond all integers is left out: only a float step, in the remainder, gets there.
        low = (start + self._origin) // self._unit
        high = self._limit if end is None else -(-(end + self._origin) // self._unit)
        low, high = 0 if low > self._limit else max(low, 0), min(max(high, 0), self._limit)
        whole = self.xp.minimum(self.xp.maximum(self._whole, low), high)
        if self._done is None:
            return Clock(self.xp, whole, None, None, self._origin, self._unit)
        free = (self._whole >= low) & ((self._whole < high) | (high == self._limit))
        done, left = self.xp.where(free, self._done, 0.0), self.xp.where(free, self._left, 1.0)
        return Clock(self.xp, whole, done, left, self._origin, self._unit)

    def cycle(self, period: int) -> tuple[Any, Clock]:
        """Returns how many whole periods are over, and the clock of the current one, 0 at its
        start."""
        clock = self._settled()
        if period > clock._limit:  # no integer reaches its end
            return clock._whole * 0, clock
        index = clock._whole // period
        return index, Clock(self.xp, clock._whole - index * period, clock._done, clock._left)

    def sampled(self, every: int) -> Clock:
        """Returns the clock that moves once in ``every`` steps: it shows the last multiple
        passed."""
        clock = self._settled()
        return Clock(self.xp, clock._whole * 0 if every > clock._limit else clock._whole - clock._whole % every)

    def stretch(self, factor: Any) -> Clock:
        """Returns the clock that runs ``factor`` times slower: it reads 1 when this one reads
        ``factor``.

        Exact: the remainder of the division is found without rounding. On the device a reading
        beyond 2³¹ - 1 is a float."""
        if isinstance(factor, int):  # which need not be a float32
            index, clock = self.cycle(factor)
            return Clock(self.xp, index, clock.done(0, factor), clock.left(0, factor))
        clock = self._settled()
        rest = 0.0 if clock._done is None else clock._done
        if self.xp is jnp:
            return Clock(jnp, *divide(clock._whole.astype(jnp.int32), rest, jnp.asarray(factor, jnp.float32)))
        steps = self._float(clock._whole) + rest
        whole = self.xp.floor(steps / factor)
        high = self.xp.floor(whole / 2**26) * 2**26  # both products fit a float64: a factor is a float32
        rest = (steps - high * factor) - (whole - high) * factor
        early = rest < 0
        whole, rest = self.xp.where(early, whole - 1, whole), self.xp.where(early, rest + factor, rest)
        return Clock(self.xp, self._int(whole), rest / factor, (factor - rest) / factor)

    def _settled(self) -> Clock:
        """The same clock with its origin at 0, one count a step, and 0 before the origin."""
        if self._unit != 1:  # the count may exceed int32: on the device it is read as a float
            count = self.since(0)
            if self.xp is jnp:
                return Clock.of_device(count)
            return Clock.of_host(count if self.xp is SCALAR else np.array(count))
        if self._origin > 0:
            clock = self.between(0, None)
            return Clock(self.xp, clock._whole - min(self._origin, self._limit), clock._done, clock._left)
        lead = min(-self._origin, self._limit)  # the sum must not overflow
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
        return float(number) if self.xp is SCALAR else number.astype(self._float_dtype)

    def _int(self, number: Any) -> Any:
        return int(number) if self.xp is SCALAR else number.astype(self._int_dtype)

    def _share(self, steps: Any, length: int) -> Any:
        if self.xp is jnp:
            # XLA would multiply by the rounded reciprocal, and a whole phase could be less than 1.
            # This one is rounded up.
            reciprocal = np.float32(1.0) / np.float32(length)
            if np.float32(length) * reciprocal < 1.0:
                reciprocal = np.nextafter(reciprocal, np.float32(1.0))
            return jnp.minimum(steps * reciprocal, 1.0)
        return self.xp.minimum(steps / length, 1.0)

    # ── steps of the root, counted from its 0 ─────────────────────────────────────────────────

    def _before(self, at: int) -> Any:
        """Whether the step is before ``at``."""
        if at > self._limit:
            return self._whole >= 0 if self._done is None else self._done < self._whole_until(at)
        return self._whole < max(at, 0)

    def _since(self, start: int) -> Any:
        if start <= 0:  # a sum of two non-negative numbers: whole - start could overflow
            steps = self._float(self._whole) + float(-start)
        elif start > self._limit:  # only a float step gets there
            done = self._float(self._whole) * 0.0 if self._done is None else self._done
            return self.xp.maximum(done - self._whole_until(start), 0.0)
        else:
            steps = self._float(self.xp.maximum(self._whole, start) - start)
        return steps if self._done is None else self.xp.where(self._whole >= start, steps + self._done, 0.0)

    def _until(self, end: int) -> Any:
        if end <= 0:
            return self._float(self._whole) * 0.0
        if self._done is None:
            return self._whole_until(end)
        steps = self._whole_until(end - 1) + self._left  # the last step counts as the part of it that is left
        return self.xp.where(self._before(end), self.xp.maximum(steps, 0.0), 0.0)

    def _whole_until(self, end: int) -> Any:
        if end > self._limit:
            return self._float(self._limit - self._whole) + float(end - self._limit)
        return self._float(end - self.xp.minimum(self._whole, end))
