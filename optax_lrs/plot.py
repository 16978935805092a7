"""Pictures. matplotlib is imported when one is drawn."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from optax_lrs._schedule import Schedule

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_POINTS = 1000
_OPEN_END = 10_000  # how far to draw what never ends


def plot(*schedules: Schedule, steps: int | None = None, labels: Sequence[str] | None = None, ax: Any = None) -> Axes:
    """Draws one or several schedules over their steps.

    Args:
        *schedules: what to draw.
        steps: how far; by default a twentieth past the last end.
        labels: a name for each; by default its ``repr`` without what is left at its default.
        ax: the matplotlib axes to draw on; by default new ones.

    Returns:
        The axes. Nothing is shown and nothing saved: ``ax.figure.savefig("rates.png")``.

    Raises:
        ValueError: if there is nothing to draw, or the labels are not as many as the schedules.
    """
    if not schedules:
        raise ValueError("plot: give one schedule at least")
    labels = [_label(schedule) for schedule in schedules] if labels is None else list(labels)
    if len(labels) != len(schedules):
        raise ValueError(f"plot: {len(schedules)} schedules need as many labels, got {labels!r}")
    own_figure = ax is None
    if own_figure:
        import matplotlib.pyplot as plt

        _, ax = plt.subplots(figsize=(8, 4.2), layout="constrained")
    horizon = drawn_steps(schedules) if steps is None else steps
    for schedule, label in zip(schedules, labels):
        at = drawn_at(schedule, horizon)
        ax.plot(at, schedule.at(at), label=textwrap.fill(label, 90, subsequent_indent="    "), linewidth=1.8)
    ax.set(xlabel="step", ylabel="learning rate", xlim=(0, horizon))
    ax.set_ylim(bottom=0)
    ax.xaxis.set_major_formatter(lambda step, _: f"{step:,.0f}")
    ax.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3), useMathText=True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.25)
    if own_figure:
        ax.figure.legend(loc="outside lower left", frameon=False, fontsize="small")
    else:
        ax.legend(frameon=False, fontsize="small")
    return ax


def drawn_steps(schedules: Sequence[Schedule]) -> int:
    """How many steps show all there is to see: a twentieth more than the longest schedule takes."""
    ends = [_OPEN_END if schedule.ends_at is None else schedule.ends_at for schedule in schedules]
    return max(ends) + max(max(ends) // 20, 1)


def drawn_at(schedule: Schedule, steps: int) -> np.ndarray:
    """The steps to draw at: evenly spread, and every step beside a corner of the schedule, where there may be a jump."""
    even = np.linspace(0, steps, min(_POINTS, steps + 1)).astype(np.int64)
    corners = np.array([corner + beside for corner in schedule.corners for beside in (-1, 0, 1)], np.int64)
    at = np.union1d(even, corners)
    return at[(at >= 0) & (at <= steps)]


def _label(schedule: Schedule) -> str:
    kept = [
        field for field in dataclasses.fields(schedule) if not _is_default(getattr(schedule, field.name), field.default)
    ]
    return (
        f"{type(schedule).__name__}({', '.join(f'{f.name}={_brief(repr(getattr(schedule, f.name)))}' for f in kept)})"
    )


def _brief(text: str, width: int = 60) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _is_default(item: Any, default: Any) -> bool:
    return type(item) is type(default) and bool(np.all(item == default))
