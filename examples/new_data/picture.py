"""Plots a comparison: rates, loss on the old text, loss on the new; a column for each shift."""

import pathlib
from typing import Any

import numpy as np
from training.picture import COLORS

import optax_lrs as olrs


def draw(path: pathlib.Path, runs: dict[str, dict[str, olrs.Run]], rows: list[dict[str, Any]], at: int) -> None:
    """Draws the picture; training from scratch is a horizontal line.

    `rows` have the final losses, also those of the pre-trained model.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    style = {"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25}
    with plt.rc_context(style):
        figure, axes = plt.subplots(
            3,
            len(runs),
            figsize=(1 + 5.5 * len(runs), 8),
            sharex="col",
            squeeze=False,
            height_ratios=[1, 1.6, 1.6],
            layout="constrained",
        )
        for column, (shift, found) in zip(axes.T, runs.items()):
            rates, olds, news = column
            ends = {row["arm"]: row for row in rows if row["shift"] == shift}
            for i, (name, run) in enumerate(found.items()):
                line = dict(color=COLORS[i % len(COLORS)], ls="-" if i < len(COLORS) else "--", lw=1.5)
                done, old, new = np.array(run.notes["validation"]).T
                if run.steps[0] < at:  # from scratch
                    for axis, key in ((olds, "old"), (news, "new")):
                        axis.axhline(ends[name][key], color="0.3", lw=1, ls=":", label=name)
                    continue
                rates.plot(run.steps - at, run.lrs, **line)
                olds.plot(done - at, old, label=name, **line)
                news.plot(done - at, new, **line)
                if "merged" in run.notes:
                    for axis, key in ((olds, "old"), (news, "new")):
                        axis.plot(done[-1] - at, ends[name][key], "*", ms=10, color=line["color"])
            for axis, key in ((olds, "old"), (news, "new")):
                axis.axhline(ends["pre-trained"][key], color="0.6", lw=1, ls="--")
                axis.annotate(
                    "pre-trained",
                    (1, ends["pre-trained"][key]),
                    xycoords=("axes fraction", "data"),
                    xytext=(0, 2),
                    textcoords="offset points",
                    ha="right",
                    color="0.4",
                    fontsize=8,
                )
            rates.set_title(f"{shift} shift", loc="left")
            rates.set_ylim(bottom=0)
            news.set_xlabel("updates on new data")
        for axis, label in zip(axes[:, 0], ("rate applied", "loss on the old text", "loss on the new text")):
            axis.set_ylabel(label)
        handles, labels = axes[1, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=9, frameon=False)
        figure.savefig(path, dpi=150)
        plt.close(figure)
