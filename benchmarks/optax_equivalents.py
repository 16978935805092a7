"""Optax's own schedules of the same shapes, written as its documentation recommends."""

from __future__ import annotations

from collections.abc import Sequence

import optax


def linear(peak: float, total: int, warmup: int, end: float = 0.0) -> optax.Schedule:
    down = optax.linear_schedule(peak, end, total - warmup)
    return optax.join_schedules([optax.linear_schedule(0.0, peak, warmup), down], [warmup]) if warmup else down


def cosine(peak: float, total: int, warmup: int, end: float = 0.0) -> optax.Schedule:
    if not warmup:
        return optax.cosine_decay_schedule(peak, total, alpha=end / peak)
    return optax.warmup_cosine_decay_schedule(0.0, peak, warmup, total, end)


def wsd(peak: float, total: int, warmup: int, down: optax.Schedule, decay: int) -> optax.Schedule:
    """A warmup, a plateau, then the schedule ``down`` over the last ``decay`` steps."""
    pieces = [optax.constant_schedule(peak), down]
    if not warmup:
        return optax.join_schedules(pieces, [total - decay])
    return optax.join_schedules([optax.linear_schedule(0.0, peak, warmup), *pieces], [warmup, total - decay])


def wsd_linear(peak: float, total: int, warmup: int, decay: int, end: float = 0.0) -> optax.Schedule:
    return wsd(peak, total, warmup, optax.linear_schedule(peak, end, decay), decay)


def wsd_cosine(peak: float, total: int, warmup: int, decay: int, end: float = 0.0) -> optax.Schedule:
    return wsd(peak, total, warmup, optax.cosine_decay_schedule(peak, decay, alpha=end / peak), decay)


def wsd_power(peak: float, total: int, warmup: int, decay: int, p: float, end: float = 0.0) -> optax.Schedule:
    return wsd(peak, total, warmup, optax.polynomial_schedule(peak, end, p, decay), decay)


def wsd_exponential(peak: float, total: int, warmup: int, decay: int, end: float) -> optax.Schedule:
    return wsd(peak, total, warmup, optax.exponential_decay(peak, decay, end / peak, end_value=end), decay)


def table(lrs: Sequence[float], steps: Sequence[int]) -> optax.Schedule:
    """Linear interpolation between entries.

    Optax takes each rate as a factor of the one before, so no rate may be zero.
    """
    factors = {step: rate / before for step, rate, before in zip(steps[1:], lrs[1:], lrs)}
    return optax.piecewise_interpolate_schedule("linear", lrs[0], factors)
