"""A formula for a refined schedule: a linear warmup, then a power of the remaining share."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from optax_lrs._schedule import Schedule
from optax_lrs._value.arguments import instance, whole
from optax_lrs.schedules import PowerDecay

_POINTS = 1024  # of the schedule that are fitted
_PEAK_POINTS = 2**16  # of the schedule that are searched for its peak
_GRID = (41, 41)  # warmups and powers tried in a round
_POWERS = (0.05, 20.0)
_ROUNDS = 7  # each on a grid a fifth as wide as the last


class PowerFit(NamedTuple):
    """The result of :func:`fit_warmup_power`."""

    schedule: PowerDecay
    warmup_fraction: float  # of the run
    rms_misfit: float  # as a share of the peak
    max_misfit: float  # as a share of the peak


def fit_warmup_power(schedule: Schedule, *, total_steps: int | None = None) -> PowerFit:
    r"""Fits a linear warmup and a power decay to a schedule, and measures the misfit.

    With :math:`N` = ``total_steps`` and the peak of the schedule it finds the least squares over
    :math:`W` and :math:`p` of

    .. math:: \min(s/W,\, 1) \Big(\min\big(\tfrac{N - s}{N - W},\, 1\big)\Big)^p

    Use it to turn a refined table into a line of a config: two numbers instead of a thousand, if
    the misfit allows. The figures of the paper have, as warmup fraction and power: DLRM 0.20, 0.9;
    GPT 0.28, 1.0; RoBERTa 0.45, 0.8; fastMRI 0.40, 0.9; RCNN 0, 1.5; ImageNet 0.01, 3.0. The
    formula does not fit two others, ViT and IWSLT14: check ``max_misfit``.

    Unlike the paper's figures, whose warmup is :math:`(s + 1)/W`, ours starts from zero, as
    everywhere in this package; :func:`shifted` by -1 saves the first update.

    Args:
        schedule: the result of :func:`refine`, or any other schedule.
        total_steps: its length; by default its end.

    Returns:
        The :class:`PowerDecay`, its warmup as a fraction of the run, and the misfit: the root of
        the mean square and the largest, as shares of the peak, over 1,024 even steps.

    Raises:
        ValueError: if the schedule has no end and no ``total_steps`` is given, the latter is less
            than 2, or all rates are 0.
        TypeError: if ``schedule`` is not a :class:`Schedule`.

    Example:
        >>> from optax_lrs import PowerDecay, Tabulated
        >>> drawn = PowerDecay(peak=0.1, total_steps=1000, warmup_steps=200, p=1.5)
        >>> fit = fit_warmup_power(Tabulated(lrs=drawn.at(range(1001))))
        >>> print(fit.schedule, f"{fit.max_misfit:.1e}"[-3:] < "-03")
        PowerDecay(peak=0.1, total_steps=1000, warmup_steps=200, end=0.0, p=1.5) True

    References:
        Defazio, Cutkosky, Mehta and Mishchenko, arXiv:2310.07831; the numbers from the script that
        draws its figures.
    """
    instance("fit_warmup_power", "schedule", schedule, Schedule)
    total_steps = schedule.ends_at if total_steps is None else total_steps
    if total_steps is None:
        raise ValueError("fit_warmup_power: total_steps is needed, because the schedule has no end")
    total_steps = whole("fit_warmup_power", "total_steps", total_steps, low=2)
    steps = np.unique(np.linspace(0, total_steps, _POINTS).astype(np.int64))
    rates = schedule.at(steps)
    peak = float(schedule.at(np.unique(np.linspace(0, total_steps, _PEAK_POINTS).astype(np.int64))).max())
    if not peak > 0:
        raise ValueError(
            f"fit_warmup_power: schedule must have a positive rate, got {schedule!r:.60}, in which all rates are zero"
        )
    warmup, p = _best_fit(steps / total_steps, rates / peak, total_steps)
    fitted = PowerDecay(peak=peak, total_steps=total_steps, warmup_steps=round(warmup * total_steps), p=p)
    misfit = np.abs(fitted.at(steps) - rates) / peak
    return PowerFit(fitted, warmup, float(np.sqrt(np.mean(misfit**2))), float(misfit.max()))


def _best_fit(times: np.ndarray, shares: np.ndarray, total_steps: int) -> tuple[float, float]:
    """The least-squares warmup fraction and power, on grids that close in on the best."""
    highest = (total_steps - 1) / total_steps
    low, high = np.array([0.0, np.log(_POWERS[0])]), np.array([highest, np.log(_POWERS[1])])
    first, last = low, high
    for _ in range(_ROUNDS):
        warmups = np.linspace(low[0], high[0], _GRID[0])
        warmups = np.unique(np.round(warmups * total_steps)) / total_steps  # whole steps, as in the schedule
        powers = np.linspace(low[1], high[1], _GRID[1])
        errors = _errors(times, shares, warmups, np.exp(powers))
        row, column = np.unravel_index(np.argmin(errors), errors.shape)
        best = np.array([warmups[row], powers[column]])
        width = (high - low) / 5
        low, high = np.maximum(best - width / 2, first), np.minimum(best + width / 2, last)
    p = float(np.exp(best[1]))
    return float(best[0]), float(f"{p:.4g}")


def _errors(times: np.ndarray, shares: np.ndarray, warmups: np.ndarray, powers: np.ndarray) -> np.ndarray:
    """The sums of squared errors, by warmup and power."""
    errors = np.empty((len(warmups), len(powers)))
    for row, warmup in enumerate(warmups):
        rising = times < warmup
        up = np.sum((times[rising] / warmup - shares[rising]) ** 2) if warmup else 0.0
        left = np.maximum((1.0 - times[~rising]) / (1.0 - warmup), 1e-300)
        errors[row] = up + np.sum((np.exp(np.outer(powers, np.log(left))) - shares[~rising]) ** 2, axis=1)
    return errors
