"""Refinement and the bound on the logged gradient norms of a 124M language model.

The runs are those of arXiv:2501.18965. The norms were logged every 50 steps. Others trained the
runs, with AdamW, and logged only the global l2 norm; so l2 norms stand for l1 norms here.
"""

from __future__ import annotations

import csv
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import spearmanr

import optax_lrs as olrs
from optax_lrs import theory

STEPS = 50_000
WARMUP = 300
BINS_BAR = 0.01  # of the peak; the largest allowed difference between schedules from binned and from all norms


def runs(curves: pathlib.Path) -> dict[str, tuple[olrs.Run, float]]:
    """Each run from its first step, and its final loss on the full validation set."""
    folder = curves / "schaipp_124M"
    with open(folder / "INDEX.csv", newline="") as file:
        index = {row["file"]: row for row in csv.DictReader(file)}
    files = [name for name in index if name.startswith("gradnorm_")]
    stable = olrs.Run.from_csv(folder / "gradnorm_stable_50000.csv")
    found = {}
    for name in files:
        run = olrs.Run.from_csv(folder / name)
        if run.steps[0] > 50:  # it started from a checkpoint of the stable run
            run = olrs.Run.concatenate([stable, run])
        short = name.removeprefix("gradnorm_").removesuffix(f"_{STEPS}.csv")
        found[short] = (run, float(index[name]["final_full_val_loss"]))
    return found


def by_step(run: olrs.Run, column: np.ndarray) -> np.ndarray:
    """A logged column at each step, interpolated linearly.

    Norms before the first entry equal it.
    """
    return np.interp(np.arange(STEPS), run.steps, column)


def proposals(found: dict[str, tuple[olrs.Run, float]]) -> list[dict[str, Any]]:
    """The schedule that refinement proposes for each run, with the form for Adam."""
    rows = []
    for name, (run, loss) in found.items():
        table = olrs.refine(run, optimizer="adam", norm="l2", peak=1.0, total_steps=STEPS, knots=None)
        shape = table.at(np.arange(STEPS))
        row = {"recorded under": name, "final loss": loss, "peak at": float(shape.argmax() / STEPS)}
        row |= {f"at {share:.0%}": float(shape[int(share * STEPS)]) for share in (0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.9)}
        rows.append(row)
    return rows


def ranking(found: dict[str, tuple[olrs.Run, float]]) -> list[dict[str, Any]]:
    """The bound of the five trained schedules: at equal norms, at their own, and at their own rate.

    The distance to the optimum is not known. At a common rate it is chosen so that this rate is the
    best one for linear decay over the whole run.
    """
    lrs = {name: by_step(run, run.lrs) for name, (run, _) in found.items()}
    norms = {name: by_step(run, run.grad_norms) for name, (run, _) in found.items()}
    middle = float(np.median(norms["stable"]))
    distance = {
        kind: 1 / theory.optimal_rate(lrs["wsd_linear_0.994"], of, total_steps=None)
        for kind, of in (("equal norms", middle), ("own norms", norms["wsd_linear_0.994"]))
    }
    rows = []
    for name, (_, loss) in found.items():
        row: dict[str, Any] = {"run": name, "final loss": loss}
        for kind, of in (("equal norms", middle), ("own norms", norms[name])):
            row[f"bound, best rate, {kind}"] = float(theory.optimal_bound(lrs[name], of))
            row[f"bound, rate as run, {kind}"] = float(theory.last_iterate_bound(lrs[name], of, distance[kind]))
        rows.append(row)
    return rows


def agreement(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Spearman's rank correlation of each bound with the measured losses; 1 is the same order."""
    losses = [row["final loss"] for row in rows]
    keys = [key for key in rows[0] if key.startswith("bound")]
    return [
        {"bound": key, "rank correlation": float(spearmanr([row[key] for row in rows], losses).statistic)}
        for key in keys
    ]


def all_schedules(curves: pathlib.Path) -> list[dict[str, Any]]:
    """The bound at equal norms next to the measured loss, for all runs of the collection."""
    with open(curves / "schaipp_124M" / "INDEX.csv", newline="") as file:
        index = [row for row in csv.DictReader(file) if not row["file"].startswith("gradnorm_")]
    rows = []
    for row in index:
        steps, share = int(row["total_steps"]), float(row["decay_fraction"])
        if row["schedule"] == "cos":
            end = 0.1 if "tenth" in row["file"] else 0.0
            schedule = olrs.Cosine(peak=1.0, total_steps=steps, warmup_steps=WARMUP, end=end)
        else:
            shape = olrs.profiles.one_minus_sqrt if row["decay_shape"] == "sqrt" else olrs.profiles.linear
            decay = min(int(share * steps), steps - WARMUP)
            schedule = olrs.WSD(peak=1.0, total_steps=steps, warmup_steps=WARMUP, decay_steps=decay, decay=shape)
        bound = float(theory.optimal_bound(schedule, total_steps=steps))
        rows.append(
            {
                "run": row["file"].removesuffix(".csv"),
                "final loss": float(row["final_full_val_loss"]),
                "bound, best rate, equal norms": bound,
            }
        )
    return rows


def binned(found: dict[str, tuple[olrs.Run, float]]) -> list[dict[str, Any]]:
    """The refined schedule from the binned recorder, compared with the one from all 50,000 norms.

    Between the logged steps the norms follow straight lines, with the scatter of the logged steps.
    """
    generator = np.random.default_rng(0)
    rows = []
    for name, (run, _) in found.items():
        smooth = by_step(run, run.grad_norms)
        scatter = np.log(run.grad_norms[1:] / run.grad_norms[:-1]) / np.sqrt(2)
        norms = smooth * np.exp(generator.choice(scatter, STEPS))
        tx = olrs.record_grad_norm(norms=("l1", "l2"))
        state = tx.init(jnp.zeros(()))
        state, _ = jax.jit(
            lambda state, norms, tx=tx: jax.lax.scan(lambda s, g: (tx.update(g, s)[1], None), state, norms)
        )(state, jnp.asarray(norms, jnp.float32))
        rough = olrs.Run.from_state(state)
        exact = olrs.Run(steps=np.arange(STEPS), grad_norms=norms, grad_norms_l1=norms)
        for optimizer in ("adam", "sgd"):
            options = dict(optimizer=optimizer, peak=1.0, total_steps=STEPS, knots=None)
            a, b = (olrs.refine(run, **options).at(np.arange(STEPS)) for run in (rough, exact))
            rows.append(
                {
                    "recorded under": name,
                    "optimizer": optimizer,
                    "rows": len(rough),
                    "bytes": sum(x.nbytes for x in jax.tree.leaves(state)),
                    "largest difference": float(np.abs(a - b).max()),
                }
            )
    return rows
