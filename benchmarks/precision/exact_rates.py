"""The papers' formulas, independent of the package, in float64 and in 50 digits.

float64 serves many steps; the 50 digits check the float64. A rate is read at a *position*, an int64
in units of 1/``unit`` of a step, so that a stretched clock stays in integers and every difference
of steps is exact. The float64 forms avoid cancellation; the 50-digit forms are the formulas as
printed.
"""

from __future__ import annotations

import dataclasses
import decimal
import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

DIGITS = 50
_CONTEXT = decimal.Context(prec=DIGITS + 10, Emin=-(10**6), Emax=10**6)


def _arctan_of_inverse(n: int) -> Decimal:
    term = total = Decimal(1) / n
    for k in range(1, 2 * DIGITS):
        term /= -n * n
        total += term / (2 * k + 1)
    return total


with decimal.localcontext(_CONTEXT):
    PI = 16 * _arctan_of_inverse(5) - 4 * _arctan_of_inverse(239)  # Machin


def cos(x: Decimal) -> Decimal:
    """The cosine by its series, for x up to 4."""
    term = total = Decimal(1)
    for k in range(1, DIGITS):
        term *= -x * x / ((2 * k - 1) * (2 * k))
        total += term
    return total


# ── profiles: x is the finished share of the decay, z = 1 - x the rest ────────────────────────────


@dataclasses.dataclass(frozen=True)
class Profile:
    """A decay from ``peak`` to ``end``, in float64 and as printed in 50 digits."""

    float64: Callable[[np.ndarray, np.ndarray, float, float], np.ndarray]
    exact: Callable[[Decimal, Decimal, Decimal], Decimal]


def _of_shape(float64: Callable[..., Any], exact: Callable[..., Any]) -> Profile:
    return Profile(
        lambda x, z, peak, end: end + (peak - end) * float64(x, z),
        lambda x, peak, end: end + (peak - end) * exact(x),
    )


def _cosine(z: np.ndarray) -> np.ndarray:
    return np.sin(math.pi / 2 * z) ** 2


def _exact_cosine(x: Decimal) -> Decimal:
    return (1 + cos(PI * x)) / 2


linear = _of_shape(lambda x, z: z, lambda x: 1 - x)
cosine = _of_shape(lambda x, z: _cosine(z), _exact_cosine)
mirror_cosine = _of_shape(lambda x, z: 2 * z - _cosine(z), lambda x: 2 * (1 - x) - _exact_cosine(x))
one_minus_sqrt = _of_shape(lambda x, z: z / (1 + np.sqrt(x)), lambda x: 1 - x.sqrt())
one_minus_square = _of_shape(lambda x, z: z * (1 + x), lambda x: 1 - x * x)
exponential = Profile(
    lambda x, z, peak, end: peak * np.power(end / peak, x),
    lambda x, peak, end: (peak.ln() * (1 - x) + end.ln() * x).exp(),
)
inverse = Profile(
    lambda x, z, peak, end: 1 / (x / end + z / peak),
    lambda x, peak, end: 1 / (x / end + (1 - x) / peak),
)


def power(p: float) -> Profile:
    return _of_shape(lambda x, z: z**p, lambda x: (1 - x) ** Decimal(p))


def rex(d: float) -> Profile:
    exact = Decimal(d)
    return _of_shape(lambda x, z: z / ((1 - d) + d * z), lambda x: (1 - x) / ((1 - exact) + exact * (1 - x)))


def uba(phi: float) -> Profile:
    def exact(x: Decimal) -> Decimal:
        wave = 1 + cos(PI * x)
        return 2 * wave / (2 * Decimal(phi) + (2 - Decimal(phi)) * wave)

    return _of_shape(lambda x, z: 2 * _cosine(z) / (phi + (2 - phi) * _cosine(z)), exact)


def cosine_power(p: float) -> Profile:
    if p == 1.0:  # the limit
        return cosine
    base = Decimal(p)
    return _of_shape(
        lambda x, z: np.expm1(math.log(p) * _cosine(z)) / (p - 1),
        lambda x: (base ** _exact_cosine(x) - 1) / (base - 1),
    )


def shifted_exponential(k: float) -> Profile:
    if k == 0.0:  # the limit
        return linear
    exact = Decimal(k)
    return _of_shape(
        lambda x, z: np.expm1(k * z) / math.expm1(k),
        lambda x: ((exact * (1 - x)).exp() - 1) / (exact.exp() - 1),
    )


def half_life(h: float) -> Profile:
    return _of_shape(lambda x, z: np.exp2(-x / h), lambda x: Decimal(2) ** (-x / Decimal(h)))


# ── rates ─────────────────────────────────────────────────────────────────────────────────────────


def _decimal(number: Fraction) -> Decimal:
    return Decimal(number.numerator) / Decimal(number.denominator)


def _share(position: np.ndarray, start: int, end: int) -> np.ndarray:
    """The share of the interval before the position; a jump if the interval is empty."""
    if end == start:
        return (position >= start).astype(np.float64)
    return np.clip(position - start, 0, end - start) / (end - start)


@dataclasses.dataclass(frozen=True)
class Decay:
    """Linear warmup, a plateau, and a decay in [start, stop]."""

    profile: Profile
    peak: float
    start: int
    stop: int
    warmup: int = 0
    end: float = 0.0

    @property
    def corners(self) -> list[int]:
        return [0, self.warmup, self.start, self.stop]

    def float64(self, position: np.ndarray, unit: int = 1) -> np.ndarray:
        done = _share(position, self.start * unit, self.stop * unit)
        left = _share(-position, -self.stop * unit, -self.start * unit)  # the time reversed, in integers
        decay = self.profile.float64(done, left, self.peak, self.end)
        return _share(position, 0, self.warmup * unit) * decay

    def exact(self, step: Fraction) -> Decimal:
        peak, end = Decimal(self.peak), Decimal(self.end)
        if step < self.warmup:
            return peak * _decimal(step / self.warmup)
        if step <= self.start:
            return peak
        return self.profile.exact(_decimal(min((step - self.start) / (self.stop - self.start), Fraction(1))), peak, end)


@dataclasses.dataclass(frozen=True)
class Plateau:
    """Linear warmup and a constant without an end."""

    peak: float
    warmup: int = 0

    @property
    def corners(self) -> list[int]:
        return [0, self.warmup]

    def float64(self, position: np.ndarray, unit: int = 1) -> np.ndarray:
        return self.peak * _share(position, 0, self.warmup * unit)

    def exact(self, step: Fraction) -> Decimal:
        return Decimal(self.peak) * (_decimal(step / self.warmup) if step < self.warmup else 1)


@dataclasses.dataclass(frozen=True)
class InverseSqrt:
    """Linear warmup, then the square root of timescale / (timescale + steps since the warmup)."""

    peak: float
    warmup: int
    timescale: int

    @property
    def corners(self) -> list[int]:
        return [0, self.warmup]

    def float64(self, position: np.ndarray, unit: int = 1) -> np.ndarray:
        timescale = self.timescale * unit
        fall = np.sqrt(timescale / (timescale + np.maximum(position - self.warmup * unit, 0)))
        return self.peak * _share(position, 0, self.warmup * unit) * fall

    def exact(self, step: Fraction) -> Decimal:
        if step < self.warmup:
            return Decimal(self.peak) * _decimal(step / self.warmup)
        return Decimal(self.peak) * _decimal(self.timescale / (self.timescale + step - self.warmup)).sqrt()


@dataclasses.dataclass(frozen=True)
class Table:
    """Linear interpolation between entries."""

    lrs: tuple[float, ...]
    steps: tuple[int, ...]

    @property
    def corners(self) -> list[int]:
        return list(self.steps) if len(self.steps) < 100 else [self.steps[0], self.steps[-1]]

    def float64(self, position: np.ndarray, unit: int = 1) -> np.ndarray:
        knots, lrs = np.asarray(self.steps) * unit, np.asarray(self.lrs)
        index = np.clip(np.searchsorted(knots, position, side="right") - 1, 0, len(knots) - 2)
        position = np.clip(position, knots[0], knots[-1])
        back, ahead = position - knots[index], knots[index + 1] - position
        return (ahead * lrs[index] + back * lrs[index + 1]) / (knots[index + 1] - knots[index])

    def exact(self, step: Fraction) -> Decimal:
        step = min(max(step, Fraction(self.steps[0])), Fraction(self.steps[-1]))
        index = max(i for i, knot in enumerate(self.steps[:-1]) if knot <= step)
        done = _decimal((step - self.steps[index]) / (self.steps[index + 1] - self.steps[index]))
        return Decimal(self.lrs[index]) * (1 - done) + Decimal(self.lrs[index + 1]) * done


@dataclasses.dataclass(frozen=True)
class Sequence:
    """Rates one after another, each on its own clock (join) or all on one clock (switch)."""

    rates: tuple[Any, ...]
    boundaries: tuple[int, ...]
    own_clocks: bool

    @property
    def corners(self) -> list[int]:
        starts = (0, *self.boundaries) if self.own_clocks else (0,) * len(self.rates)
        inner = [start + corner for rate, start in zip(self.rates, starts) for corner in rate.corners]
        return [*self.boundaries, *inner]

    def float64(self, position: np.ndarray, unit: int = 1) -> np.ndarray:
        total = self.rates[0].float64(position, unit)
        for rate, boundary in zip(self.rates[1:], self.boundaries):
            own = np.maximum(position - boundary * unit, 0) if self.own_clocks else position
            total = np.where(position >= boundary * unit, rate.float64(own, unit), total)
        return total

    def exact(self, step: Fraction) -> Decimal:
        index = sum(step >= boundary for boundary in self.boundaries)
        start = self.boundaries[index - 1] if index and self.own_clocks else 0
        return self.rates[index].exact(step - start)


@dataclasses.dataclass(frozen=True)
class Changed:
    """A rate times ``factor``, delayed by ``by`` steps and slowed ``slower`` times (a float32)."""

    rate: Any
    factor: float = 1.0
    by: int = 0
    slower: float = 1.0

    def _ratio(self) -> tuple[int, int]:
        return float(np.float32(self.slower)).as_integer_ratio()

    @property
    def corners(self) -> list[int]:
        over, under = self._ratio()
        return [max(-(-corner * over // under), 0) + self.by for corner in self.rate.corners]

    def float64(self, position: np.ndarray, unit: int = 1) -> np.ndarray:
        over, under = self._ratio()
        assert max(int(position.max()), 2**31 * unit) * max(over, under) < 2**63, "the position would overflow"
        inner = np.maximum(position - self.by * unit, 0) * under
        return self.factor * self.rate.float64(inner, unit * over)

    def exact(self, step: Fraction) -> Decimal:
        return Decimal(self.factor) * self.rate.exact(max(step - self.by, Fraction(0)) / Fraction(*self._ratio()))
