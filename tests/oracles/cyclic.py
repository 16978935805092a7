"""Slow references of cyclic schedules and warmups, in float64 NumPy and exact integers."""

import numpy as np

from oracles import schedules as references


def position(steps, period):
    """The cycle, and the steps since it began."""
    return np.divmod(np.asarray(steps, np.int64), period)


def triangle(steps, period):
    _, r = position(steps, period)
    return 2 * np.minimum(r, period - r) / period


def triangular(steps, *, peak, period_steps, floor=0.0):
    return floor + (peak - floor) * triangle(steps, period_steps)


def triangular2(steps, *, peak, period_steps, floor=0.0):
    return floor + (peak - floor) * triangle(steps, period_steps) * 0.5 ** position(steps, period_steps)[0]


def exp_range(steps, *, peak, period_steps, h, floor=0.0):
    return floor + (peak - floor) * triangle(steps, period_steps) * 2.0 ** (-np.asarray(steps) / period_steps / h)


def cyclic_reflex(steps, *, value, amplitude, period_steps):
    """The wave as a distance from the trough, which does not cancel if value equals amplitude."""
    quarters = 4 * position(steps, period_steps)[1]
    above = np.where(quarters < period_steps, period_steps + quarters, abs(3 * period_steps - quarters))
    height = above / (2 * period_steps)
    return (value - amplitude) + 2 * amplitude * height


def sgdr(steps, *, peak, period_steps, growth=1, warmup_steps=0, cycles=None, floor=0.0):
    steps = np.asarray(steps, np.int64)
    rates = np.full(steps.shape, np.nan)
    start, length, cycle = 0, period_steps, 0
    while np.any(np.isnan(rates)):
        if cycle == cycles:
            rates[np.isnan(rates)] = floor
            break
        here = (steps >= start) & (steps < start + length)
        left = (start + length - steps[here]) / (length - warmup_steps)
        rate = floor + (peak - floor) * np.sin(np.pi / 2 * np.minimum(left, 1.0)) ** 2
        if warmup_steps:
            warm = steps[here] - start < warmup_steps
            rate = np.where(warm, floor + (peak - floor) * (steps[here] - start) / warmup_steps, rate)
        rates[here] = rate
        start, length, cycle = start + length, length * growth, cycle + 1
    return rates


def interpolated(steps, start_step, end_step, start, end, profile="cosine"):
    """From start to end: the profile of the share done for a rise, of the share left for a fall."""
    done, left = references.fraction(steps, start_step, end_step)
    if profile == "exponential":
        return start**left * end**done
    if start <= end:
        return start + (end - start) * references.PROFILES[profile](left, done)
    return end + (start - end) * references.PROFILES[profile](done, left)


def one_cycle(steps, *, peak, total_steps, warmup_steps, anneal_steps=None, start=0.0, end=0.0, profile="cosine"):
    steps, fallen = np.asarray(steps, np.int64), total_steps - (anneal_steps or 0)
    rise = interpolated(steps, 0, warmup_steps, start, peak, profile)
    fall = interpolated(steps, warmup_steps, fallen, peak, end if anneal_steps is None else start, profile)
    rates = np.where(steps < warmup_steps, rise, fall)
    if anneal_steps is None:
        return rates
    last = interpolated(steps, fallen, total_steps, start, end, profile) if anneal_steps else end
    return np.where(steps < fallen, rates, last)


def exponential_warmup(steps, *, peak, timescale_steps):
    return -peak * np.expm1(-np.asarray(steps) / timescale_steps)


def rectified_warmup(steps, *, peak, timescale_steps):
    """The paper's form in extended precision, because it is a difference of large numbers."""
    t = np.asarray(steps, np.longdouble) + 1
    limit = 2 * np.longdouble(timescale_steps) - 1
    decay = np.log1p(-1 / np.longdouble(timescale_steps)) * t
    rho = limit - 2 * t * np.exp(decay) / -np.expm1(decay)
    square = (rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho)
    return np.where(rho > 4, peak * np.sqrt(np.where(rho > 4, square, 1)), 0).astype(np.float64)
