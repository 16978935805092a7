"""The protocol that compares schedules.

Each schedule runs at its own best peak, on seeds that were not used to choose the peak, and
differences are taken within a seed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

Train = Callable[[np.ndarray, np.ndarray, np.ndarray], Mapping[str, Any]]


@dataclasses.dataclass(frozen=True)
class Tuned:
    """Results of a schedule at its best peak: a number and the gradient norms for each seed."""

    peak: float
    at_the_edge: bool  # the best peak is the first or last one tried, so a better one may lie beyond
    results: dict[str, np.ndarray]  # shape [seeds]; "norms" has shape [seeds, steps]


def tune(train: Train, shape: np.ndarray, peaks: Sequence[float], chosen_by: str, seeds: int, tuning: int) -> Tuned:
    """Finds the best peak over ``tuning`` seeds, then runs ``seeds`` other seeds with it.

    The best peak has the lowest mean of ``chosen_by``. ``train(shape, peaks, seeds)`` returns
    arrays of shape [seeds, peaks, ...].
    """
    rates, peaks = np.asarray(shape, np.float32), np.asarray(peaks, np.float32)
    found = np.asarray(train(rates, peaks, np.arange(tuning))[chosen_by], np.float64)
    means = np.where(np.isfinite(found).all(0), found.mean(0), np.inf)
    best = int(means.argmin())
    results = train(rates, peaks[best : best + 1], 1000 + np.arange(seeds))
    return Tuned(
        float(peaks[best]),
        best in (0, len(peaks) - 1),
        {key: np.asarray(jnp.asarray(value)[:, 0], np.float64) for key, value in results.items()},
    )


def interval(values: np.ndarray, draws: int = 2000) -> tuple[float, float]:
    """The 95% confidence interval of a mean, by the bootstrap over seeds."""
    generator = np.random.default_rng(0)
    means = values[generator.integers(0, len(values), (draws, len(values)))].mean(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def ranks(losses: Mapping[str, float]) -> dict[str, float]:
    """The rank of each loss: 1 for the lowest; equal losses share the mean of their ranks."""
    values = list(losses.values())
    return {
        name: 1 + sum(other < value for other in values) + (sum(other == value for other in values) - 1) / 2
        for name, value in losses.items()
    }


def norm_of(optimizer: str) -> str:
    """The column of a Run that refinement uses for an optimizer."""
    return "grad_norms" if optimizer == "sgd" else "grad_norms_l1"


def shapes(steps: int) -> dict[str, np.ndarray]:
    """The schedules of the paper's comparison: arrays of shape [steps] with peak 1."""
    done = np.arange(steps) / steps
    return {
        "flat": np.ones(steps),
        "1/t": 1 / (1 + np.arange(steps)),
        "1/sqrt(t)": 1 / np.sqrt(1 + np.arange(steps)),
        "step": np.select([done < 0.3, done < 0.6, done < 0.9], [1.0, 0.1, 0.01], 0.001),
        "cosine": 0.5 * (1 + np.cos(np.pi * done)),
        "linear": 1 - done,
    }
