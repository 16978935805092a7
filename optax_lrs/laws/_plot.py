"""Plots a fit. matplotlib is imported when ``plot`` is called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from optax_lrs._run import Run
from optax_lrs.laws._ensemble import Ensemble
from optax_lrs.laws._law import Law
from optax_lrs.laws._observations import listed, observe


def plot(
    law: Law | Ensemble,
    runs: Run | Sequence[Run],
    *,
    labels: Sequence[str] | None = None,
    axes: Any = None,
    **how: Any,
) -> Any:
    """Draws the losses of runs with the predictions of a law, and the residuals in percent below.

    Args:
        law: the law, or an ensemble, whose law is drawn.
        runs: the runs to draw; those of the fit or others.
        labels: a name for each run; by default its number.
        axes: two matplotlib axes; by default new ones, one above the other.
        **how: how to read the runs, as in :meth:`Law.fit` (``warmup_steps``, ``column``, …).

    Returns:
        The two axes. Nothing is shown or saved.

    Raises:
        ValueError: if there are no runs, or not as many labels as runs.
    """
    runs = listed(runs)
    labels = [f"run {number}" for number in range(len(runs))] if labels is None else list(labels)
    if not runs or len(labels) != len(runs):
        raise ValueError(f"plot: labels must be one for each of {len(runs)} runs, at least one, got {labels!r}")
    seen = [observe(run, owner="plot", **how) for run in runs]
    if axes is None:
        import matplotlib.pyplot as plt

        ratios = dict(height_ratios=[3, 1])
        _, axes = plt.subplots(2, 1, figsize=(8, 5.6), sharex=True, layout="constrained", gridspec_kw=ratios)
    above, below = axes
    for number, (each, label) in enumerate(zip(seen, labels)):
        predicted = law.curve(each.lrs, each.steps)
        color = f"C{number % 10}"
        above.plot(each.steps, each.losses, ".", color=color, markersize=3, alpha=0.5)
        above.plot(each.steps, predicted, color=color, linewidth=1.4, label=label)
        below.plot(each.steps, 100 * np.log(each.losses / predicted), color=color, linewidth=0.9)
    below.axhline(0, color="0.4", linewidth=0.7)
    above.set(ylabel="loss: dots observed, lines predicted")
    below.set(xlabel="step", ylabel="observed above, %")
    above.legend(frameon=False, fontsize="small")
    for ax in (above, below):
        ax.grid(alpha=0.25)
        ax.spines[["top", "right"]].set_visible(False)
    return axes
