"""Slow references of continual pre-training as the papers write it, one step at a time."""

import math

import numpy as np

from oracles import schedules as references


def rewarmed(rate, *, at, peak, warmup_steps, decay_steps, end, start=0.0, profile="cosine", **shape):
    """Ibrahim et al.'s warmup and decay, on a clock restarted at 0; the old rate before it."""

    def new(steps):
        begin = np.asarray(rate(np.asarray(at)), np.float64) if start is None else start
        since = np.maximum(np.asarray(steps, np.int64) - at, 0)
        decay = references.decayed(since, warmup_steps, warmup_steps + decay_steps, peak, end, profile, **shape)
        up = references.warmup(since, warmup_steps)
        left = references.fraction(since, 0, warmup_steps)[1] if warmup_steps else 0.0
        return np.where(since < warmup_steps, begin * left + peak * up, decay)

    return lambda steps: np.where(np.asarray(steps) < at, rate(np.minimum(steps, at)), new(steps))


def cooled(rate, *, at, decay_steps, end=0.0, profile="linear", **shape):
    """The old rate, then a decay from its value at ``at``."""

    def cooldown(steps):
        start = float(rate(np.asarray(at)))
        return references.decayed(np.maximum(steps, at), at, at + decay_steps, start, end, profile, **shape)

    return lambda steps: np.where(np.asarray(steps) < at, rate(np.minimum(steps, at)), cooldown(steps))


def streamed(first, again, boundaries):
    """The rate of each update; the clock restarts where ``boundaries``, which are bools, hold."""
    rates, since, seen = [], 0, False
    for step, new in enumerate(boundaries):
        seen, since = seen or new, 0 if new else since
        rates.append(float(again(since) if seen else first(step)))
        since += 1
    return rates


def cusum(losses, *, threshold, drift, memory_steps, rest_steps, cap, announced=()):
    """The steps at which Page's sum of standardized, capped losses exceeds the threshold."""
    shifts, mean, variance, total, count, rest = [], 0.0, 0.0, 0.0, 0, 0
    for step, loss in enumerate(losses):
        new = step in announced
        if new:
            mean, variance, total, count, rest = 0.0, 0.0, 0.0, 0, rest_steps
        if not math.isfinite(loss):
            continue
        if rest > 0:
            rest -= 1
            continue
        away = loss - mean
        if count >= memory_steps:
            z = min(max(away / math.sqrt(variance), -cap), cap)
            away, total = z * math.sqrt(variance), max(0.0, total + z - drift)
        count = min(count + 1, memory_steps)
        mean, variance = mean + away / count, (1 - 1 / count) * (variance + away**2 / count)
        if total > threshold:
            shifts.append(step)
            mean, variance, total, count, rest = 0.0, 0.0, 0.0, 0, rest_steps
    return shifts


def updates_made(stable_until, branches):
    """The updates of a stable run and its branches, as (run, step) pairs, each once."""
    made = {("stable", step) for step in range(stable_until)}
    for name, (checkpoint, budget) in enumerate(branches):
        assert checkpoint == 0 or ("stable", checkpoint - 1) in made, "a checkpoint that no run writes"
        made |= {(name, step) for step in range(checkpoint, budget)}
    return len(made)
