"""Slow references of refinement as the paper writes it: float64, one value at a time."""

import math


def refined(norms, power, distance=None):
    """The raw products w_t * (w_{t+1} + ... + w_T); with a distance, the absolute rates of SGD."""
    weights = [norm**-power for norm in norms]
    raw = [weights[t] * math.fsum(weights[t + 1 :]) for t in range(len(weights))]
    if distance is None:
        return raw
    total = math.fsum(weights)
    return [distance * each / total**1.5 for each in raw], distance / math.sqrt(total)


def shape(norms, power):
    raw = refined(norms, power)
    return [each / max(raw) for each in raw]


def running_median(values, tau):
    """The window around each value; the first value pads the start, a mirror the end."""
    count = len(values)
    half = int(tau * count) // 2
    reflected = []  # numpy's "reflect": there and back again, the edges not repeated
    at, step = count - 1, -1
    for _ in range(4 * half + 2):
        if count > 1:
            if not 0 <= at + step < count:
                step = -step
            at += step
        reflected.append(values[at])
    padded = [values[0]] * half + list(values) + reflected
    return [sorted(padded[i : i + 2 * half + 1])[half] for i in range(count)]


def bound(rates, norms, distance=1.0):
    """The optimally scaled bound on the last iterate, from the published double sum."""
    T = len(rates)
    first = distance**2 / (2 * math.fsum(rates))
    squares = [(rate * norm) ** 2 for rate, norm in zip(rates, norms)]
    second = math.fsum(squares) / (2 * math.fsum(rates))
    for k in range(T - 1):
        second += 0.5 * rates[k] / math.fsum(rates[k + 1 :]) * math.fsum(squares[k:]) / math.fsum(rates[k:])
    return 2 * math.sqrt(first * second)


def table(norms, *, power, tau, total_steps):
    """The result of refine at every step, with peak 1.

    The last norm is repeated, and lines join the values over normalized time.
    """
    smooth = running_median(norms, tau) if tau else list(norms)
    shares = shape([*smooth, smooth[-1]], power)
    rates = []
    for step in range(total_steps + 1):
        at = step * len(norms) / total_steps
        low = min(int(at), len(norms) - 1)
        rates.append(shares[low] + (shares[low + 1] - shares[low]) * (at - low))
    return [rate / max(rates) for rate in rates]
