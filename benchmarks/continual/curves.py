"""Plots the losses on the old and the new text: means over seeds with their range."""

from __future__ import annotations

import pathlib

from claims import Table

ARMS = {
    "constant low rate": "0.4",
    "re-warm": "#D55E00",
    "re-warm, 5% replay": "#E69F00",
    "re-warm, 25% replay": "#CC79A7",
    "infinite": "#0072B2",
    "WSD branch": "#009E73",
}
TITLES = {
    "none": "no shift: more of the old text",
    "weak": "weak shift: other Python source",
    "strong": "strong shift: C headers",
}


def draw(path: pathlib.Path, table: Table) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    style = {"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25}
    with plt.rc_context(style):
        figure, axes = plt.subplots(
            2, len(table.shifts), figsize=(12, 6), sharex=True, layout="constrained", squeeze=False
        )
        for column, shift in zip(axes.T, table.shifts):
            for arm, color in ARMS.items():
                if arm not in table.arms(shift):
                    continue
                curve = table.curve(shift, arm)
                for axis, losses in zip(column, (curve[..., 1], curve[..., 2])):
                    axis.plot(curve[0, :, 0], losses.mean(0), color=color, lw=1.6, label=arm)
                    axis.fill_between(curve[0, :, 0], losses.min(0), losses.max(0), color=color, alpha=0.15, lw=0)
            column[0].set_title(TITLES[shift], loc="left", fontsize=10)
            column[1].set_xlabel("updates on new data")
            if shift == "none":
                column[1].set_visible(False)
        axes[0, 0].set_ylabel("loss on the old text (nats per byte)")
        axes[1, 0].set_ylabel("loss on the new text")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(ARMS), fontsize=9, frameon=False)
        figure.savefig(path, dpi=120)
        plt.close(figure)
