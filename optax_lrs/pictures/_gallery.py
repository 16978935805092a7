"""One picture of every schedule and profile."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from optax_lrs._schedule import Schedule
from optax_lrs._value import Value
from optax_lrs.pictures._schedules import COLORS, GRAY, STYLES, check_scale, draw_line, drawn_steps, set_scale
from optax_lrs.pictures._sections import edges, trend
from optax_lrs.profiles import Profile
from optax_lrs.schedules import WSD

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

_COLUMNS = 6
_WIDTH, _PANEL_HEIGHT, _PROFILES_HEIGHT, _HEADING = 14.0, 1.35, 3.6, 0.45  # in inches
_NUMBERS = {"p": 2.0, "h": 0.2}  # for fields of profiles without a default


def gallery(*, scale: Literal["linear", "log"] = "linear") -> Figure:
    """Draws every schedule, yours included, from its ``example``, and WSD with every profile.

    Args:
        scale: the axis of the rates: ``"linear"`` from zero, or ``"log"`` over at most four
            decades.

    Returns:
        The figure. It is neither shown nor saved: ``gallery().savefig("schedules.png")``.

    Raises:
        ValueError: if the scale is unknown.
    """
    check_scale(scale)
    import matplotlib.pyplot as plt

    known = [cls for cls in Value.registry.values() if issubclass(cls, Schedule) and cls.example]
    made_of_schedules = [cls for cls in known if any(map(_is_schedule, cls._kinds.values()))]
    groups = {
        "Schedules": [cls for cls in known if cls not in made_of_schedules],
        "Made of schedules": made_of_schedules,
    }
    heights = [_HEADING + _PANEL_HEIGHT * _rows(group) for group in groups.values()] + [_PROFILES_HEIGHT]
    figure = plt.figure(figsize=(_WIDTH, sum(heights)), layout="constrained")
    layout: Any = figure.get_layout_engine()
    layout.set(w_pad=0.08, h_pad=0.06)
    parts: Any = figure.subfigures(len(heights), 1, height_ratios=heights)
    for part, color, (heading, group) in zip(parts, COLORS, groups.items()):
        _head(part, heading)
        axes = part.subplots(_rows(group), _COLUMNS, squeeze=False).flat
        for ax, cls in zip(axes, sorted(group, key=lambda cls: cls._name.lower())):
            _draw_panel(ax, cls, color, scale)
        for ax in axes[len(group) :]:
            ax.set_axis_off()
    _head(parts[-1], "WSD with every profile")
    _draw_profiles(parts[-1].subplots(), scale)
    return figure


def _rows(group: Sequence[Any]) -> int:
    return max(math.ceil(len(group) / _COLUMNS), 1)


def _is_schedule(kind: Any) -> bool:
    return kind.type is Schedule or Schedule in getattr(kind.type, "__args__", ())


def _head(part: SubFigure, heading: str) -> None:
    part.suptitle(heading, x=0.008, ha="left", fontsize=13, fontweight="bold")


def _draw_panel(ax: Any, cls: type[Schedule], color: str, scale: str) -> None:
    schedule = cls(**cls.example)
    steps = drawn_steps([schedule])
    draw_line(ax, schedule, steps, color=color, linewidth=1.8)
    line = ax.lines[0]
    ax.fill_between(*line.get_data(), color=color, alpha=0.12, linewidth=0)
    corners = edges(schedule, steps)[1:]
    # Endless cycles list their first corners only, so draw none.
    if trend(schedule, corners[-2] if len(corners) > 1 else 0, steps) != "varying":
        ax.vlines(corners, 0, schedule.at(corners), color=color, alpha=0.6, linewidth=0.7)
    set_scale(ax, scale)
    ax.set_title(cls._name, loc="left", fontsize=9.5, pad=4)
    number = cls.paper.removeprefix("arXiv:")
    if number != cls.paper:
        ax.set_title(number, loc="right", fontsize=6.5, color=GRAY, pad=4)
    ax.set(xlim=(0, steps), xticks=[], yticks=[])
    ax.minorticks_off()
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set(color=GRAY, linewidth=0.7)


def _draw_profiles(ax: Any, scale: str) -> None:
    decays = [_instance(cls) for cls in Value.registry.values() if issubclass(cls, Profile)]
    schedules = [WSD(peak=1.0, end=0.02, total_steps=100, decay_steps=80, decay=decay) for decay in decays]
    # Sorted by area, so that the legend has the order of the lines.
    fallen = sorted(zip(schedules, decays), key=lambda pair: -float(np.sum(pair[0].at(np.arange(100)))))
    for index, (schedule, decay) in enumerate(fallen):
        look = dict(color=COLORS[index % len(COLORS)], linestyle=STYLES[index // len(COLORS) % len(STYLES)])
        draw_line(ax, schedule, 100, label=repr(decay).removeprefix("profiles."), linewidth=1.6, **look)
    set_scale(ax, scale)
    ax.set(xlim=(0, 100), xticks=[0, 20, 100], xticklabels=["", "decay begins", "ends"], yticks=[])
    ax.minorticks_off()
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set(color=GRAY, linewidth=0.7)
    ax.legend(
        loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9, ncols=2 if len(decays) > 14 else 1
    )


def _instance(cls: type[Profile]) -> Profile:
    lacking = [field.name for field in dataclasses.fields(cls) if field.default is dataclasses.MISSING]
    return cls(**{name: _NUMBERS.get(name, 1.0) for name in lacking})
