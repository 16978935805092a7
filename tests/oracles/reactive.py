"""Slow references of the reactive transforms: float64, one value at a time, without JAX."""

import math


def averages(values, size):
    """What each value completes: the mean of the last ``size``, or None."""
    kept, out = [], []
    for value in values:
        kept.append(value)
        out.append(math.fsum(kept) / size if len(kept) == size else None)
        kept = [] if len(kept) == size else kept
    return out


def improves(value, best, mode, rtol, atol):
    if not math.isfinite(value):
        return False
    if math.isinf(best):
        return True
    gain = best - value if mode == "min" else value - best
    return gain > rtol * abs(best) + atol


def plateau(values, *, rate=1.0, factor=0.1, patience=10, rtol=1e-4, atol=0.0, cooldown=0, lowest=0.0, mode="min"):
    """The rate after each value by PyTorch's rules, without eps; None means no value.

    The margin is a fraction of |best|.
    """
    best, bad, cooling, rates = (math.inf if mode == "min" else -math.inf), 0, 0, []
    for value in values:
        if value is not None:
            if improves(value, best, mode, rtol, atol):
                best, bad = value, 0
            else:
                bad += 1
            if cooling > 0:
                cooling, bad = cooling - 1, 0
            if bad > patience:
                rate, bad, cooling = max(rate * factor, lowest), 0, cooldown
        rates.append(rate)
    return rates


def torch_is_better(value, best, mode, threshold, threshold_mode):
    """PyTorch's own criterion, for positive metrics."""
    sign = -1 if mode == "min" else 1
    bar = best * (1 + sign * threshold) if threshold_mode == "rel" else best + sign * threshold
    return value < bar if mode == "min" else value > bar


def greedy(
    values,
    *,
    rate=1.0,
    lowest,
    highest,
    factor=0.95,
    patience=10,
    rtol=0.0,
    atol=1e-6,
    cooldown=0,
    warmup=0,
    reset=500,
    mode="min",
):
    """The rate after each value by the rules of GreedyLR, with one group and no eps."""
    first, worst = rate, math.inf if mode == "min" else -math.inf
    best, good, bad, cooling, warming, left, rates = worst, 0, 0, 0, 0, reset, []
    for value in values:
        if value is None:
            pass
        elif cooling > 0:
            cooling, good, bad = cooling - 1, 0, 0
        elif warming > 0:
            warming, good, bad = warming - 1, 0, 0
        else:
            if improves(value, best, mode, rtol, atol):
                best, good, bad = value, good + 1, 0
            else:
                good, bad = 0, bad + 1
            if good > patience:
                rate, good, warming, left = min(rate / factor, highest), 0, warmup, reset
            elif bad > patience:
                rate = max(rate * factor, lowest)
                if rate <= lowest:
                    left -= 1
                    if left == 0:
                        rate, best, left = first, worst, reset
                bad, good, cooling = 0, 0, cooldown
        rates.append(rate)
    return rates
