"""Continual pre-training again, slowly: as the papers write it, in float64 NumPy or Python, one step at a time."""

import numpy as np
import references


def rewarmed(rate, *, at, peak, warmup_steps, decay_steps, end, start=0.0, profile="cosine", **shape):
    """Ibrahim et al.'s warmup and decay on a clock that starts again at 0; before it the old rate."""

    def new(steps):
        begin = np.asarray(rate(np.asarray(at)), np.float64) if start is None else start
        since = np.maximum(np.asarray(steps, np.int64) - at, 0)
        decay = references.decayed(since, warmup_steps, warmup_steps + decay_steps, peak, end, profile, **shape)
        up = references.warmup(since, warmup_steps)
        left = references.fraction(since, 0, warmup_steps)[1] if warmup_steps else 0.0
        return np.where(since < warmup_steps, begin * left + peak * up, decay)

    return lambda steps: np.where(np.asarray(steps) < at, rate(np.minimum(steps, at)), new(steps))


def cooled(rate, *, at, decay_steps, end=0.0, profile="linear", **shape):
    """The old rate; from its value at ``at`` a decay."""

    def cooldown(steps):
        start = float(rate(np.asarray(at)))
        return references.decayed(np.maximum(steps, at), at, at + decay_steps, start, end, profile, **shape)

    return lambda steps: np.where(np.asarray(steps) < at, rate(np.minimum(steps, at)), cooldown(steps))
