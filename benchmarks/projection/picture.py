"""Plots accuracy, norms and effective rates, task by task."""

from __future__ import annotations

import pathlib
from typing import Any

COLORS = {"none": "#888888", "LayerNorm": "#d1495b", "RMSNorm": "#edae49", "NaP": "#00798c"}


def draw(path: pathlib.Path, rows: list[dict[str, Any]], images: int, steps: int) -> None:
    """Draws one column for each network and optimizer, from rows for each arm and task."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = list(dict.fromkeys((row["network"], row["optimizer"]) for row in rows))
    shown = [
        ("accuracy", "accuracy at the\nend of a task"),
        ("norm growth", "norm of hidden weights,\nover the first"),
        ("effective rate", "effective rate"),
    ]
    figure, axes = pyplot.subplots(
        len(shown), len(columns), figsize=(2.6 * len(columns) + 1, 6.6), sharex=True, sharey="row", squeeze=False
    )
    for i, (network, optimizer) in enumerate(columns):
        axes[0, i].set_title(f"{network}, {optimizer}", fontsize=10)
        for arm, color in COLORS.items():
            for decay, style in (("constant", "-"), ("linear", ":")):
                own = [
                    row
                    for row in rows
                    if (row["network"], row["optimizer"], row["arm"], row["within a task"])
                    == (network, optimizer, arm, decay)
                ]
                if not own:
                    continue
                tasks = [row["task"] for row in own]
                name = arm if decay == "constant" else f"{arm}, linear decay in each task"
                for axis, (key, _) in zip(axes[:, i], shown):
                    if key == "accuracy" or decay == "constant":
                        axis.plot(tasks, [row[key] for row in own], style, color=color, lw=1.4, label=name)
                if decay == "constant":
                    low, high = ([row[key] for row in own] for key in ("from", "to"))
                    axes[0, i].fill_between(tasks, low, high, color=color, alpha=0.2, lw=0)
        axes[-1, i].set_xlabel("task")
    for axis, (key, label) in zip(axes[:, 0], shown):
        axis.set_ylabel(label)
        axis.set_yscale("linear" if key == "accuracy" else "log")
    handles: dict[str, Any] = {}
    for axis in axes[0]:
        handles |= dict(zip(*reversed(axis.get_legend_handles_labels())))
    figure.legend(handles.values(), handles.keys(), loc="lower center", ncols=3, frameon=False, fontsize=9)
    figure.suptitle(f"{images} digits with random labels, redrawn every {steps} updates; each arm at its own best rate")
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
