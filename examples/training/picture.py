"""Plots a comparison: rates above, losses below, one color for each schedule."""

import itertools
import pathlib

import numpy as np

import optax_lrs as olrs

# The palette of Okabe and Ito: distinct for color-blind readers and in gray.
COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]


def spread(heights: list[float], gap: float) -> list[float]:
    """The heights, moved up as little as needed so that labels are `gap` apart."""
    order = np.argsort(heights)
    moved = np.array(heights, float)
    for below, above in itertools.pairwise(order):
        moved[above] = max(moved[above], moved[below] + gap)
    return list(moved)


def draw(path: pathlib.Path, runs: dict[str, olrs.Run], unigram_entropy: float) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    style = {"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25}
    with plt.rc_context(style):
        figure, (above, below) = plt.subplots(
            2, 1, figsize=(8, 6.4), sharex=True, height_ratios=[1, 2.2], layout="constrained"
        )
        ends = []
        for i, run in enumerate(runs.values()):
            # Earlier curves are wider, so that curves that coincide stay visible.
            line = dict(color=COLORS[i % len(COLORS)], lw=max(1.6, 3.4 - 0.9 * i), solid_capstyle="round")
            above.plot(run.steps, run.lrs, **line)
            below.plot(run.steps, run.losses, color=line["color"], lw=0.5, alpha=0.25)
            seen = np.isfinite(run.val_losses)
            below.plot(run.steps[seen], run.val_losses[seen], marker="o", ms=4, **line)
            ends.append(run.val_losses[seen][-1] if seen.any() else np.nan)

        # The first steps are outside the plot, and a diverged run must not flatten the others.
        top = unigram_entropy * 1.05
        low = np.nanmin([*ends, top])
        below.set_ylim(low - 0.12 * (top - low), top)
        below.axhline(unigram_entropy, color="0.4", lw=1, ls="--")
        below.annotate(
            "unigram entropy: the best without context",
            (1, unigram_entropy),
            xycoords=("axes fraction", "data"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="right",
            color="0.4",
            fontsize=9,
        )
        lowest, highest = below.get_ylim()
        last = max(run.steps[-1] for run in runs.values())
        for i, (name, end, height) in enumerate(zip(runs, ends, spread(ends, 0.055 * (highest - lowest)), strict=True)):
            if np.isfinite(end):
                below.annotate(
                    f" {name} {end:.3f}",
                    (last, height),
                    color=COLORS[i % len(COLORS)],
                    va="center",
                    annotation_clip=False,
                    fontweight="bold",
                )
        above.set_title("One transformer, one order of the data, one seed: only the schedule differs", loc="left")
        above.set_ylabel("rate applied")
        above.set_ylim(bottom=0)
        below.set_ylabel("loss (nats per byte)")
        below.set_xlabel("step")
        below.set_title(
            "validation loss (dots), training loss of each batch (thin)", fontsize=9, loc="left", color="0.4"
        )
        figure.savefig(path, dpi=150)
        plt.close(figure)


def draw_applied(path: pathlib.Path, applied: dict[str, np.ndarray]) -> None:
    """Plots what was applied, a panel for each hyper-parameter and a color for each group.

    Args:
        path: the file of the picture.
        applied: by `hyper-parameter/group`, a value for each step; and `loss`.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys(key.split("/")[0] for key in applied if key != "loss"))
    groups = sorted({key.split("/")[1] for key in applied if key != "loss"}, reverse=True)
    steps = np.arange(len(applied["loss"]))
    style = {"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25}
    with plt.rc_context(style):
        figure, axes = plt.subplots(
            len(names) + 1, 1, figsize=(8, 1.7 * (len(names) + 2)), sharex=True, layout="constrained",
            height_ratios=[1] * len(names) + [1.8],
        )  # fmt: skip
        for name, axis in zip(names, axes):
            for group, color in zip(groups, COLORS):
                values = applied.get(f"{name}/{group}")
                if values is not None:
                    axis.plot(steps, values, color=color, lw=2, label=group)
            axis.set_ylabel(name.replace("_", " "))
            axis.margins(y=0.12)
        # Above the panels, where it hides no curve.
        handles = [plt.Line2D([], [], color=color, lw=2, label=group) for group, color in zip(groups, COLORS)]
        axes[0].legend(
            handles=handles, loc="lower right", bbox_to_anchor=(1, 1), frameon=False, ncols=len(groups), borderaxespad=0
        )
        axes[-1].plot(steps, applied["loss"], color="0.3", lw=0.8)
        axes[-1].set_ylabel("loss (nats per byte)")
        axes[-1].set_xlabel("step")
        axes[0].set_title("The values that each update applied, by group", loc="left")
        figure.savefig(path, dpi=150)
        plt.close(figure)
