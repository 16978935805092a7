"""The papers' claims about continual pre-training, as questions about the runs of this benchmark.

Differences are taken between runs of the same seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from reporting import Bar

from optax_lrs import theory

SAME = 0.01  # nats per byte; smaller differences count as none
NEAR = 0.05  # nats per byte; closer than this counts as close to joint training
WINDOW = 10  # evaluations; for the metrics of the stability gap

Rows = Sequence[Mapping[str, Any]]


class Table:
    """Final losses and curves by shift and arm, over the seeds."""

    def __init__(self, runs: Rows, curves: Rows):
        self.seeds = sorted({int(row["seed"]) for row in runs})
        self.shifts = list(dict.fromkeys(row["shift"] for row in runs))
        self._ends = {(row["shift"], row["arm"], int(row["seed"])): row for row in runs}
        self._curves: dict[tuple, list] = {}
        for row in curves:
            key = row["shift"], row["arm"], int(row["seed"])
            self._curves.setdefault(key, []).append((int(row["step"]), float(row["old"]), float(row["new"])))

    def arms(self, shift: str) -> list[str]:
        return list(dict.fromkeys(arm for one, arm, _ in self._ends if one == shift))

    def end(self, shift: str, arm: str, column: str) -> np.ndarray:
        """Shape [seeds]. `forgotten` is the old loss minus that of the pre-trained model."""
        if column == "forgotten":
            return self.end(shift, arm, "old") - self.end(shift, "pre-trained, annealed", "old")
        return np.array([float(self._ends[shift, arm, seed][column]) for seed in self.seeds])

    def curve(self, shift: str, arm: str) -> np.ndarray:
        """Shape [seeds, looks, 3]: updates on new data, old loss, new loss."""
        return np.array([self._curves[shift, arm, seed] for seed in self.seeds])

    def rise(self, shift: str, arm: str, within: float = 1.0) -> np.ndarray:
        """The highest rise of the old loss above its start, within a share of the steps.

        Shape [seeds].
        """
        curve = self.curve(shift, arm)
        early = curve[0, :, 0] <= within * curve[0, -1, 0]
        return curve[:, early, 1].max(1) - curve[:, 0, 1]


def mean(values: np.ndarray) -> tuple[float, float, float]:
    """The mean over seeds and its 95% interval (Student's t), which is nan for one seed."""
    from scipy import stats

    n, middle = len(values), float(np.mean(values))
    if n < 2:
        return middle, np.nan, np.nan
    half = float(stats.t.ppf(0.975, n - 1) * np.std(values, ddof=1) / np.sqrt(n))
    return middle, middle - half, middle + half


def summary(table: Table) -> list[dict[str, Any]]:
    """The papers' table as means over seeds, with the gap that final losses do not show."""
    rows = []
    for shift in table.shifts:
        for arm in table.arms(shift):
            row = dict(shift=shift, arm=arm) | {
                key: float(table.end(shift, arm, key).mean()) for key in ("old", "new", "average")
            }
            row["forgotten"], row["from"], row["to"] = mean(table.end(shift, arm, "forgotten"))
            if shift != "none":
                row["behind joint"], row["behind from"], row["behind to"] = mean(
                    table.end(shift, arm, "average") - table.end(shift, "joint, from scratch", "average")
                )
            if not arm.startswith(("pre-trained", "joint", "merged")):
                row |= gap(table, shift, arm)
            rows.append(row)
    keys = list(dict.fromkeys(key for row in rows for key in row))
    return [{key: row.get(key) for key in keys} for row in rows]


def gap(table: Table, shift: str, arm: str) -> dict[str, float]:
    """The steepest rise and fall of the old loss in ten evaluations, and its highest rise."""
    old = table.curve(shift, arm)[:, :, 1]
    found = dict(window=WINDOW, higher_is_better=False)
    return {
        "windowed forgetting": float(np.mean([theory.windowed_forgetting(row[None], **found) for row in old])),
        "windowed recovery": float(np.mean([theory.windowed_plasticity(row[None], **found) for row in old])),
        "highest rise": float(table.rise(shift, arm).mean()),
    }


def claims(table: Table) -> list[dict[str, Any]]:
    """One row for each question: the figure, its interval over seeds, and whether the claim holds.

    The verdict says whether it holds in the whole interval or only on average.
    """
    rows: list[dict[str, Any]] = []

    def ask(claim: str, shift: str, what: str, values: np.ndarray, holds: Callable[[float], bool] | None) -> None:
        middle, low, high = mean(values)
        verdict = ""
        if holds is not None:
            # Sure if the answer is the same in the whole interval.
            sure = np.isnan(low) or all(holds(x) == holds(middle) for x in np.linspace(low, high, 201))
            verdict = ("yes" if holds(middle) else "no") + ("" if sure else ", within the noise")
        rows.append(
            {
                "claim": claim,
                "shift": shift,
                "what": what,
                "figure": middle,
                "from": low,
                "to": high,
                "as claimed": verdict,
            }
        )

    def end(shift: str, arm: str, column: str, than: str = "re-warm") -> np.ndarray:
        return table.end(shift, arm, column) - table.end(shift, than, column)

    for shift in (one for one in table.shifts if one != "none"):
        for share in ("0.0%", "0.5%", "2.0%"):
            arm = f"re-warm, warmup {share}"
            ask(
                "a: the warmup's length hardly matters",
                shift,
                f"average loss, warmup {share} - 1%",
                end(shift, arm, "average"),
                lambda x: abs(x) < SAME,
            )
            ask(
                "a: without a warmup there is a spike that passes",
                shift,
                f"highest old loss in the first tenth, warmup {share} - 1%",
                table.rise(shift, arm, 0.1) - table.rise(shift, "re-warm", 0.1),
                None,
            )
        for arm, than in (
            ("re-warm", "re-warm, 0.5 x peak"),
            ("re-warm, 2 x peak", "re-warm"),
            ("re-warm", "constant low rate"),
        ):
            ask(
                "b: a higher peak adapts more",
                shift,
                f"new loss, {arm} - {than}",
                end(shift, arm, "new", than),
                lambda x: x < 0,
            )
            ask(
                "b: a higher peak forgets more",
                shift,
                f"old loss, {arm} - {than}",
                end(shift, arm, "old", than),
                lambda x: x > 0,
            )
        lost = table.end(shift, "re-warm", "forgotten")
        for share, claimed in (("1%", None), ("5%", 0.5), ("25%", 0.5), ("50%", 0.5)):
            arm = f"re-warm, {share} replay"
            recovered = (lost - table.end(shift, arm, "forgotten")) / np.where(lost > 0, lost, np.nan)
            ask(
                "c: a few percent of replay recover most",
                shift,
                f"share of the forgetting recovered by {share}",
                recovered,
                claimed and (lambda x, least=claimed: x > least),
            )
            ask(
                "c: and cost little on the new text",
                shift,
                f"new loss, {share} replay - none",
                end(shift, arm, "new"),
                lambda x: x < 2 * SAME,
            )
        for arm in ("infinite", "WSD branch"):
            ask(
                "d: with a shift, too",
                shift,
                f"average loss, {arm} - re-warm",
                end(shift, arm, "average"),
                lambda x: x < 0,
            )
        for share in ("5%", "25%", "50%"):
            ask(
                f"e: within {NEAR} of joint training",
                shift,
                f"average loss, {share} replay - joint",
                end(shift, f"re-warm, {share} replay", "average", "joint, from scratch"),
                lambda x: x < NEAR,
            )
        for column in ("old", "new", "average"):
            ask(
                "f: merging instead of a decay",
                shift,
                f"{column} loss, merged - WSD branch",
                end(shift, "merged", column, "WSD branch"),
                lambda x: x < SAME,
            )
        ask(
            "f: merging instead of a decay",
            shift,
            "average loss, merged - not merged",
            end(shift, "merged", "average", "merged (before)"),
            lambda x: x < 0,
        )
        for column in ("old", "new"):
            ask(
                "Adam's state: kept here, reset in the papers",
                shift,
                f"{column} loss, reset - kept",
                end(shift, "re-warm, Adam reset", column),
                None,
            )
    if "none" in table.shifts:
        for arm in ("re-warm", "repeated cosine"):
            ask(
                "d: re-warming costs, even on the same data",
                "none",
                f"highest rise of the loss, {arm}",
                table.rise("none", arm),
                lambda x: x > 0,
            )
        for arm in ("infinite", "WSD branch"):
            ask(
                "d: an infinite schedule does not jump",
                "none",
                f"highest rise of the loss, {arm} - re-warm",
                table.rise("none", arm) - table.rise("none", "re-warm"),
                lambda x: x < 0,
            )
            ask(
                "d: an infinite schedule does not jump",
                "none",
                f"rise of the loss in the first tenth, {arm}",
                table.rise("none", arm, 0.1),
                lambda x: x < SAME,
            )
            ask(
                "d: and it ends no higher than repeated cosines",
                "none",
                f"loss, {arm} - repeated cosine",
                end("none", arm, "old", "repeated cosine"),
                lambda x: x < SAME,
            )
    return rows


def bars(rows: Rows) -> list[Bar]:
    """The bars: figures of the claims, with limits."""
    found = []
    for row in rows:
        name, figure = f"{row['shift']}: {row['what']}", row["figure"]
        if row["what"].startswith("average loss, warmup"):
            found.append(Bar(f"{name}, either way", abs(figure), SAME))
        elif row["what"].endswith("recovered by 5%"):
            found.append(Bar(name.replace("recovered", "not recovered"), 1 - figure, 0.5))
        elif row["what"] == "average loss, 25% replay - joint":
            found.append(Bar(name, figure, NEAR))
        elif row["what"] in ("rise of the loss in the first tenth, infinite", "average loss, merged - WSD branch"):
            found.append(Bar(name, figure, SAME))
        elif row["what"] == "new loss, re-warm, 2 x peak - re-warm":
            found.append(Bar(name, figure, 0.0))
        elif row["what"] == "old loss, re-warm, 2 x peak - re-warm":
            found.append(Bar(f"{name}, negated", -figure, 0.0))
    return found
