"""The picture of a refinement: norms above, schedules below."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from optax_lrs._run import Run
from optax_lrs._schedule import Schedule
from optax_lrs.pictures._schedules import COLORS, GRAY, drawn_at
from optax_lrs.refinement import ObservedNorms, PowerFit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_POINTS = 4000  # the number of norms drawn; more would overlap


def draw_refinement(run: Run, norms: ObservedNorms, schedule: Schedule, *, fit: PowerFit | None = None) -> Figure:
    """Draws gradient norms, recorded and smoothed, and below them the old and the new schedule.

    Args:
        run: the recorded run. If it has rates or a schedule, these are the old schedule.
        norms: the result of :func:`optax_lrs.refinement.prepare_norms` for the run.
        schedule: the new schedule.
        fit: a formula for the new schedule, to be drawn too.

    Returns:
        The figure. It is neither shown nor saved.
    """
    import matplotlib.pyplot as plt

    figure, (above, below) = plt.subplots(2, 1, figsize=(8, 6), layout="constrained", height_ratios=(2, 3))
    some = slice(None, None, max(len(norms.steps) // _POINTS, 1))
    above.plot(norms.steps[some], norms.raw[some], ".", color=GRAY, alpha=0.35, markersize=2, label="recorded")
    above.plot(norms.steps[some], norms.smooth[some], color=COLORS[0], label="running median")
    above.set(ylabel=f"{norms.norm} norm of the gradient", yscale="log" if np.all(norms.raw > 0) else "linear")
    old = run.schedule.at(run.steps) if run.lrs is None and run.schedule is not None else run.lrs
    if old is not None:
        below.plot(run.steps, old, color=GRAY, linestyle="--", label="as it was run")
    _line(below, schedule, color=COLORS[1], label="refined")
    if fit is not None:
        label = f"warmup {fit.warmup_fraction:.1%}, power {fit.schedule.p:.3g}"
        _line(below, fit.schedule, color=COLORS[2], linestyle=":", label=label)
    below.set(xlabel="step", ylabel="learning rate", ylim=(0, None))
    for ax in (above, below):
        ax.set_xlim(left=0)
        ax.xaxis.set_major_formatter(lambda step, _: f"{step:,.0f}")
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(alpha=0.25)
        ax.legend(frameon=False, fontsize="small")
    return figure


def _line(ax: Any, schedule: Schedule, **look: Any) -> None:
    at = drawn_at(schedule, schedule.ends_at or 0)
    ax.plot(at, schedule.at(at), linewidth=1.8, **look)
