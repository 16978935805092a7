"""The picture of a prediction: losses above, rates below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from optax_lrs._run import Run
from optax_lrs._schedule import Schedule
from optax_lrs.pictures._schedules import COLORS, GRAY, drawn_at

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from optax_lrs.laws import Choice, Ensemble

_POINTS = 300  # per predicted curve


def draw_prediction(
    ensemble: Ensemble,
    runs: Sequence[Run],
    candidates: Mapping[str, Schedule],
    choice: Choice,
    *,
    labels: Sequence[str],
    **how: Any,
) -> Figure:
    """Draws observed, fitted and predicted losses, with the learning rates below.

    Args:
        ensemble: the fitted law and its members, which give the bands.
        runs: the runs it was fitted to.
        candidates: schedules by name.
        choice: the result of :func:`optax_lrs.laws.choose` for them; its level is that of the
            bands.
        labels: names of the runs.
        **how: how the runs are read (``warmup_steps``, ``first_step``).

    Returns:
        The figure. It is neither shown nor saved.
    """
    import matplotlib.pyplot as plt

    from optax_lrs.laws._observations import observe

    figure, (above, below) = plt.subplots(
        2, 1, figsize=(8, 6.4), layout="constrained", height_ratios=(3, 1.4), sharex=True
    )
    lowest, highest = np.inf, 0.0
    for run, label in zip(runs, labels):
        seen = observe(run, points=2000, **how)
        above.plot(seen.steps, seen.losses, ".", color=GRAY, markersize=2, alpha=0.5)
        above.plot(
            seen.steps, ensemble.curve(seen.lrs, seen.steps), color=GRAY, linewidth=0.8, label=f"{label}, fitted"
        )
        lowest, highest = min(lowest, seen.losses.min()), max(highest, np.quantile(seen.losses, 0.93))
    for number, name in enumerate(choice.losses):
        schedule, steps = candidates[name], choice.steps[name]
        lrs = np.asarray(schedule.at(np.arange(steps)), np.float64)
        rising = int(np.argmax(lrs >= lrs.max() * (1 - 1e-9)))
        at = np.unique(np.linspace(max(rising, steps // 50), steps - 1, _POINTS).astype(np.int64))
        color = COLORS[number % len(COLORS)]
        low, high = ensemble.interval(lrs, at, level=choice.level)
        above.fill_between(at, low, high, color=color, alpha=0.15, linewidth=0)
        above.plot(at, ensemble.curve(lrs, at), color=color, linewidth=1.6, label=f"{name}: {choice.losses[name]:.4f}")
        lowest = min(lowest, low[-1])
        drawn = drawn_at(schedule, steps)
        below.plot(drawn, schedule.at(drawn), color=color, linewidth=1.6)
    room = 0.05 * (highest - lowest)
    above.set(ylabel=f"loss, bands of {choice.level:.0%}", ylim=(lowest - room, highest + room))
    below.set(xlabel="step", ylabel="learning rate", ylim=(0, None))
    above.legend(frameon=False, fontsize="small")
    for ax in (above, below):
        ax.set_xlim(left=0)
        ax.xaxis.set_major_formatter(lambda step, _: f"{step:,.0f}")
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(alpha=0.25)
    return figure
