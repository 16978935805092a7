"""Pictures of schedules over their steps."""

from __future__ import annotations

import dataclasses
import itertools
import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from optax_lrs._schedule import Schedule
from optax_lrs._value.arguments import one_of
from optax_lrs.pictures._sections import check_steps, edges, seen_steps, trend

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS = ("#0b62a4", "#d1541b", "#2a8a4a", "#8a4fa8", "#b8901c", "#c2406f", "#3a9fb0", "#444444")
"""The colors of lines, in order."""

GRAY = "#5b5f66"
"""The color of everything else."""

STYLES = ("-", "--", ":", "-.")
"""The styles of lines, for when the colors run out."""

_POINTS = 1000
_ROOM = 0.085  # the share of the width that a phase's name needs
_MOST_PHASES = 12  # beyond this many phases, no bands are drawn
_DECADES = 4  # the range of the logarithmic scale below the highest rate


def plot(
    *schedules: Schedule,
    steps: int | None = None,
    labels: Sequence[str] | None = None,
    scale: Literal["linear", "log"] = "linear",
    ax: Any = None,
) -> Axes:
    """Draws one or several schedules over their steps.

    For one schedule, bands mark its phases; for several, dots mark each one's corners.

    Args:
        *schedules: one or more schedules.
        steps: the last step drawn; by default a twentieth past the last end.
        labels: a name for each schedule; by default its ``repr`` without fields at their defaults.
        scale: the axis of the rates: ``"linear"`` from zero, or ``"log"`` over at most four
            decades.
        ax: the matplotlib axes to draw on; by default new ones.

    Returns:
        The axes. Nothing is shown or saved: ``ax.figure.savefig("rates.png")``.

    Raises:
        ValueError: if there is no schedule, the number of labels is wrong, the scale is unknown, or
            ``steps`` is not from 1 to 2⁵³.
    """
    if not schedules:
        raise ValueError("plot: give at least one schedule")
    labels = [_label(schedule) for schedule in schedules] if labels is None else list(labels)
    if len(labels) != len(schedules):
        raise ValueError(f"plot: labels must be one per schedule, {len(schedules)}, got {labels!r}")
    check_scale(scale)
    horizon = check_steps(drawn_steps(schedules) if steps is None else steps)
    own_figure = ax is None
    if own_figure:
        import matplotlib.pyplot as plt

        _, ax = plt.subplots(figsize=(8, 4.2), layout="constrained")
    looks = itertools.cycle((color, style) for style in STYLES for color in COLORS)
    for schedule, label, (color, style) in zip(schedules, labels, looks):
        name = textwrap.fill(label, 90, subsequent_indent="    ")
        draw_line(ax, schedule, horizon, color=color, linestyle=style, linewidth=1.8, label=name)
        if len(schedules) > 1:
            _mark_corners(ax, schedule, horizon, color)
    if len(schedules) == 1:
        _mark_phases(ax, schedules[0], horizon)
    set_scale(ax, scale)
    ax.set(xlabel="step", ylabel="learning rate", xlim=(0, horizon))
    ax.locator_params(axis="x", nbins=6 if horizon < 10**9 else 4)
    ax.xaxis.set_major_formatter(lambda step, _: f"{step:,.0f}")
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.25)
    if own_figure:
        ax.figure.legend(loc="outside lower left", frameon=False, fontsize="small")
    else:
        ax.legend(frameon=False, fontsize="small")
    return ax


def drawn_steps(schedules: Sequence[Schedule]) -> int:
    """The number of steps to draw: a twentieth more than the longest schedule takes."""
    # A constant has no length, so the others decide.
    seen = max([seen_steps(schedule) for schedule in schedules if schedule.ends_at != 0] or map(seen_steps, schedules))
    return seen + max(seen // 20, 1)


def check_scale(scale: str) -> None:
    """Raises ``ValueError`` unless the scale is known."""
    one_of("plot", "scale", scale, ("linear", "log"))


def draw_line(ax: Axes, schedule: Schedule, steps: int, **look: Any) -> None:
    """Draws the schedule as a line."""
    at = drawn_at(schedule, steps)
    ax.plot(at, schedule.at(at), **look)


def set_scale(ax: Axes, scale: str) -> None:
    """Sets the axis of the rates, after the lines are drawn."""
    rates = np.concatenate([line.get_ydata() for line in ax.lines])
    highest = rates.max(initial=0.0) or 1.0
    if scale == "linear" or not np.any(rates > 0):  # zeros have no logarithm
        ax.set_ylim(0, 1.06 * highest)
        # The power of ten at every tick: matplotlib writes it once, where the phases' names are.
        power = math.floor(math.log10(highest))
        unit, tail = (10.0**power, f"e{power}") if not -2 <= power < 3 else (1.0, "")
        ax.yaxis.set_major_formatter(lambda rate, _: f"{rate / unit:.4g}{tail}" if rate else "0")
    else:
        ax.set_yscale("log", nonpositive="clip")
        lowest = max(rates[rates > 0].min(initial=highest), highest * 10.0**-_DECADES)
        ax.set_ylim(lowest / 1.5, 1.5 * highest)


def drawn_at(schedule: Schedule, steps: int) -> np.ndarray:
    """The steps to draw: evenly spread, and those next to each corner, where the rate may jump."""
    even = np.linspace(0, steps, min(_POINTS, steps + 1)).astype(np.int64)
    corners = np.array([corner + offset for corner in schedule.corners for offset in (-1, 0, 1)], np.int64)
    at = np.union1d(even, corners)
    return at[(at >= 0) & (at <= steps)]


def _mark_phases(ax: Axes, schedule: Schedule, steps: int) -> None:
    """Draws bands, labeled with what the rate does and for how long, longest phases first."""
    bounds = edges(schedule, steps)
    phases = list(itertools.pairwise(bounds))
    if len(phases) > _MOST_PHASES:
        return
    for start, stop in phases[1::2]:
        ax.axvspan(start, stop, color=GRAY, alpha=0.07, linewidth=0)
    # Not axvline: set_scale would take its ordinates, 0 and 1, for rates.
    ax.vlines(bounds[1:-1], 0, 1, transform=ax.get_xaxis_transform(), color=GRAY, alpha=0.5, linewidth=0.7)
    named: list[float] = []
    for start, stop in sorted(phases, key=lambda phase: phase[0] - phase[1]):
        middle = (start + stop) / 2 / steps
        if all(abs(middle - other) > _ROOM for other in named):
            named.append(middle)
            over = schedule.ends_at is not None and start >= schedule.ends_at > 0
            text = "end" if over else f"{trend(schedule, start, stop)}\n{stop - start:,}"
            place: dict[str, Any] = dict(
                xycoords="axes fraction", xytext=(0, 3), textcoords="offset points", ha="center", va="bottom"
            )
            ax.annotate(text, (middle, 1), fontsize="x-small", color=GRAY, linespacing=1.3, **place)


def _mark_corners(ax: Axes, schedule: Schedule, steps: int, color: str) -> None:
    corners = np.array(edges(schedule, steps)[1:-1], np.int64)
    if 0 < len(corners) <= _MOST_PHASES:
        look: dict[str, Any] = dict(color=color, edgecolor="white", linewidth=0.8, zorder=3)
        ax.scatter(corners, schedule.at(corners), s=26, **look)


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
