"""Runs whose schedules are refined, and the bounds of refined schedules."""

import numpy as np

from optax_lrs import Run

# Norms, and the bounds of the refined and of the linear shape at their best rates, without the last
# rate, which is zero; 400 steps.
BOUNDS = [
    (np.linspace(10, 1, 400), 0.323636, 0.610633),
    (np.append(np.linspace(5, 1, 40), np.ones(360)), 0.105053, 0.140006),
    (np.linspace(1, 2, 400), 0.142197, 0.154321),
]


def run_of(norms, **columns):
    """A run that recorded these l2 norms, one per step."""
    return Run(steps=range(len(norms)), grad_norms=norms, **columns)


def noisy(count, seed=0):
    """Noisy norms that fall at first and rise at the end."""
    noise = np.exp(0.3 * np.random.default_rng(seed).standard_normal(count))
    time = np.arange(count) / count
    return noise * (1 + 4 * np.exp(-20 * time)) * (1 + time**4)
