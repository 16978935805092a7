"""Slow references of the combinators: the steps that each schedule reads, in int64 NumPy."""

import numpy as np


def cycled(rate, *, period, cycles=None):
    def at(steps):
        steps = np.asarray(steps, np.int64)
        within = steps % period
        return rate(within if cycles is None else np.where(steps >= cycles * period, period, within))

    return at


def sampled(rate, *, every):
    return lambda steps: rate(np.asarray(steps, np.int64) // every * every)


def sampled_at(rate, *, milestones):
    """Reads at the largest milestone that is at most the step."""
    marks = np.array([0, *milestones])
    return lambda steps: rate(np.max(np.where(marks <= np.asarray(steps)[..., None], marks, 0), axis=-1))


def on_tokens(rate, *, per_step, boundaries=()):
    """The tokens up to each step: each stage's steps times its tokens, summed."""

    def at(steps):
        steps, tokens = np.asarray(steps, np.int64), np.zeros(np.shape(steps), np.int64)
        for start, end, per in zip((0, *boundaries), (*boundaries, 2**62), per_step):
            tokens += (np.clip(steps, start, end) - start) * per
        return rate(tokens)

    return at
