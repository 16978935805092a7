"""Slow references of the schedules, each as its paper states it, in float64 NumPy.

`left` and `done` are exact quotients of integers. Where the paper's form cancels (1 + cos near its
end), the form here does not; test_references.py compares these with the paper's form in 50 digits.
"""

import math

import numpy as np


def fraction(steps, start, end):
    """The shares of the phase done and left, from integer differences."""
    steps = np.clip(np.asarray(steps, np.int64), start, end)
    if end == start:
        raise ValueError("an empty phase is a jump, not a fraction")
    return (steps - start) / (end - start), (end - steps) / (end - start)


def cosine(done, left):
    return np.sin(np.pi / 2 * left) ** 2


PROFILES = {
    "linear": lambda done, left: left,
    "cosine": cosine,
    "mirror_cosine": lambda done, left: 2 * left - cosine(done, left),
    "one_minus_sqrt": lambda done, left: left / (1 + np.sqrt(done)),
    "one_minus_square": lambda done, left: left * (1 + done),
    "power": lambda done, left, p: left**p,
    "rex": lambda done, left, d=0.5: left / (1 - d + d * left),
    "uba": lambda done, left, phi=1.0: 2 * cosine(done, left) / (phi + (2 - phi) * cosine(done, left)),
    "cosine_power": lambda done, left, p=10.0: np.expm1(cosine(done, left) * math.log(p)) / (p - 1),
    "shifted_exponential": lambda done, left, k=1.0: np.expm1(k * left) / math.expm1(k),
    "half_life": lambda done, left, h: 0.5 ** (done / h),
}
RATES = {
    "exponential": lambda done, left, peak, end: peak * (end / peak) ** done,
    "inverse": lambda done, left, peak, end: 1 / (done / end + left / peak),
}


def decayed(steps, start, end_step, peak, end, profile, **shape):
    done, left = fraction(steps, start, end_step)
    if profile in RATES:
        return RATES[profile](done, left, peak, end)
    return end + (peak - end) * PROFILES[profile](done, left, **shape)


def warmup(steps, warmup_steps):
    return fraction(steps, 0, warmup_steps)[0] if warmup_steps else 1.0


def budgeted(profile):
    """A warmup, then a decay over the rest."""

    def rate(steps, *, peak, total_steps, warmup_steps=0, end=0.0, **shape):
        return warmup(steps, warmup_steps) * decayed(steps, warmup_steps, total_steps, peak, end, profile, **shape)

    return rate


def wsd(steps, *, peak, total_steps, decay_steps, warmup_steps=0, end=0.0, profile="linear", **shape):
    decay = decayed(steps, total_steps - decay_steps, total_steps, peak, end, profile, **shape)
    return warmup(steps, warmup_steps) * decay


def inverse_sqrt(steps, *, peak, warmup_steps=0, timescale_steps=None):
    timescale = timescale_steps or warmup_steps or 10_000
    since = np.maximum(np.asarray(steps, np.int64) - warmup_steps, 0)
    return warmup(steps, warmup_steps) * peak * np.sqrt(timescale / (timescale + since))


def tabulated(steps, *, lrs, at):
    """np.interp on exact differences.

    Its (x - x0) is a float64 difference of integers below 2**53, which is exact.
    """
    steps = np.asarray(steps, np.int64)
    index = np.clip(np.searchsorted(at, steps, side="right") - 1, 0, len(at) - 2)
    low, high = np.asarray(at)[index], np.asarray(at)[index + 1]
    held = np.clip(steps, low, high)
    return (np.asarray(lrs)[index] * (high - held) + np.asarray(lrs)[index + 1] * (held - low)) / (high - low)
