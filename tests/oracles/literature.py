"""Slow references of the schedules of the literature, in float64 on exact differences."""

import math

import numpy as np

from oracles import schedules as references
from oracles.schedules import PROFILES, RATES, cosine, decayed, warmup


def piecewise(steps, starts, rates):
    """The rate of the piece whose start was reached last."""
    result = np.zeros(np.shape(steps))
    for start, rate in zip(starts, rates):
        result = np.where(np.asarray(steps) >= start, rate, result)
    return result


def wsds(steps, *, peak, end, boundaries, decay_steps, warmup_steps=0, profile="inverse", **shape):
    cycles = [
        decayed(steps, b - d, b, peak, end, profile, **shape) if d else peak for b, d in zip(boundaries, decay_steps)
    ]
    return warmup(steps, warmup_steps) * piecewise(steps, (0, *boundaries), cycles)


def wsdc(steps, *, peak, end, stable_steps, decay_steps, warmup_steps=0, profile="cosine", **shape):
    start = warmup_steps + stable_steps
    return warmup(steps, warmup_steps) * decayed(steps, start, start + decay_steps, peak, end, profile, **shape)


def inverse_sqrt_shape(done, left, alpha=10.0):
    """The paper's form, with the difference of h in extended precision."""
    done, alpha = np.where(left < 0.5, 1 - np.asarray(left, np.longdouble), done), np.longdouble(alpha)
    h = lambda x: 1 / np.sqrt(1 + alpha * x) - 1  # noqa: E731
    exact = np.asarray(1 - h(done) / h(np.longdouble(1)), float)
    # Near the end: h(x) - h(1) to second order in left, where even 64 bits cancel.
    slope = alpha / 2 * (1 + alpha) ** -1.5
    near = left * (slope + left * 3 / 8 * alpha**2 * (1 + alpha) ** -2.5) / -h(np.longdouble(1))
    return np.where(left < 1e-7, np.asarray(near, float), exact)


def infinite(steps, *, peak, plateau, end, warmup_steps, cooldown_steps, stable_steps=0, anneal_steps=0, alpha=None):
    cooled = warmup_steps + cooldown_steps
    shape = cosine if alpha is None else lambda done, left: inverse_sqrt_shape(done, left, alpha)
    held = np.clip(np.asarray(steps, np.int64), warmup_steps, cooled)
    cooling = shape((held - warmup_steps) / cooldown_steps, (cooled - held) / cooldown_steps)
    rate = warmup(steps, warmup_steps) * (plateau + (peak - plateau) * cooling)
    if not anneal_steps:
        return rate
    start = cooled + stable_steps
    y = np.clip(np.asarray(steps, np.int64) - start, 0, anneal_steps) / anneal_steps
    return np.where(np.asarray(steps) < start, rate, plateau * np.exp(y * math.log(end / plateau)))


def power_law(
    steps,
    *,
    peak,
    tokens_per_step,
    sequences_per_step,
    total_tokens=None,
    warmup_tokens=0,
    decay_tokens=0,
    end=0.0,
    amplitude=4.0,
    b=-0.51,
    profile="linear",
    **shape,
):
    tokens = [int(step) * tokens_per_step for step in np.atleast_1d(steps)]  # Python's integers: no bound

    def power(n):
        return min(peak, sequences_per_step * amplitude * float(max(n, 1)) ** b)

    def one(n):
        if n < warmup_tokens:
            return n / warmup_tokens * power(warmup_tokens)
        if not decay_tokens or n <= total_tokens - decay_tokens:
            return power(n)
        start, left = power(total_tokens - decay_tokens), max(total_tokens - n, 0) / decay_tokens
        if profile in RATES:
            return RATES[profile](1 - left, left, start, end)
        return end + (start - end) * PROFILES[profile](1 - left, left, **shape)

    return np.array([one(n) for n in tokens])


def inverse_sqrt(steps, *, peak, warmup_steps, timescale_steps, total_steps, cooldown_steps, profile="linear"):
    base = references.inverse_sqrt(steps, peak=peak, warmup_steps=warmup_steps, timescale_steps=timescale_steps)
    return base * PROFILES[profile](*references.fraction(steps, total_steps - cooldown_steps, total_steps))


def step_decay(steps, *, peak, milestones, factors, warmup_steps=0):
    rates = [peak * factor for factor in (1.0, *factors)]
    return warmup(steps, warmup_steps) * piecewise(steps, (0, *milestones), rates)


def exponential(steps, *, peak, factor, period_steps, warmup_steps=0, floor=0.0, staircase=False):
    since = np.maximum(np.asarray(steps, np.int64) - warmup_steps, 0)
    periods = since // period_steps if staircase else since / period_steps
    return warmup(steps, warmup_steps) * np.maximum(floor, peak * factor**periods)


def slow_start(steps, *, peak, start, end, total_steps, warmup_steps, q, k):
    rise = start + (peak - start) * warmup(steps, warmup_steps) ** q
    fall = decayed(steps, warmup_steps, total_steps, peak, end, "shifted_exponential", k=k)
    return np.where(np.asarray(steps) < warmup_steps, rise, fall)


def damped_cosine(steps, *, peak, total_steps, warmup_steps, end, cycles, gamma, v=0.5):
    """The paper's form, with the square of a sine where its 1 + cos cancels.

    The sine is of the share left; 2 cycles - 1 is odd.
    """
    done, left = references.fraction(steps, warmup_steps, total_steps)
    high, low = peak * (1 - (1 - gamma) * done), v * peak * left + end * done
    high, swing = np.where(left < 1e-3, peak * (left + gamma * done), high), (2 * cycles - 1) * np.pi
    early = (high + low) / 2 + (high - low) / 2 * np.cos(swing * done)
    late = low + (high - low) * np.sin(swing / 2 * left) ** 2
    return warmup(steps, warmup_steps) * np.where(left > 0.5, early, late)


def uba_at_midpoints(steps, *, peak, end, total_steps, phi):
    halves = 2 * np.asarray(steps, np.int64) + 1
    return decayed(halves, 0, 2 * total_steps, peak, end, "uba", phi=phi)
