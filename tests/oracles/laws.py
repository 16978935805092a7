"""The loss-curve laws as their papers write them: double sums in float64, slow and plain."""

import numpy as np


def annealing_sums(lrs, decay_factor):
    """Tissue et al.'s S1 and S2, as their listing: a loop over the steps."""
    s1, s2, momentum, total, area, before = [], [], 0.0, 0.0, 0.0, lrs[0]
    for lr in lrs:
        momentum = decay_factor * momentum + (before - lr)
        total, area, before = total + lr, area + momentum, lr
        s1.append(total)
        s2.append(area)
    return np.array(s1), np.array(s2)


def annealing_double_sum(lrs, decay_factor, step):
    """S2 at one step by its definition."""
    drops = [lrs[k - 1] - lrs[k] for k in range(1, step + 1)]
    return sum(drop * decay_factor ** (i - k) for k, drop in enumerate(drops, 1) for i in range(k, step + 1))


def multi_power(law, lrs, step, summed=None):
    """Luo et al.'s law at one step: the sum over all drops before it."""
    lrs = np.asarray(lrs, np.float64)
    summed = lrs if summed is None else np.asarray(summed, np.float64)
    loss_drop = 0.0
    sums = np.concatenate([[0.0], np.cumsum(summed)])
    for k in range(1, step + 1):
        if lrs[k] != lrs[k - 1]:
            x = max(lrs[k], 1e-10) ** -law.lr_exponent * (sums[step + 1] - sums[k])
            loss_drop += (lrs[k - 1] - lrs[k]) * (1 - (law.drop_speed * x + 1) ** -law.drop_exponent)
    return law.irreducible + law.power_scale * sums[step + 1] ** -law.power_exponent - law.drop_scale * loss_drop


def huber(residual, delta):
    return 0.5 * residual**2 if abs(residual) < delta else delta * (abs(residual) - 0.5 * delta)
