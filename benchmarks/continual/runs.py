"""Trains the runs of benchmarks/continual/continual.py over seeds.

Model, data and arms are those of examples/continual.py; its folders and checkpoints are left out.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from new_data.arms import Arm, arms, beginnings, rewarmed
from new_data.data import mixed_batches, new_text
from new_data.step import Continuation
from reporting import progress
from training.byte_text import read_text, training_batches, validation_batches
from training.sharded_step import Model, local_rows, make_mesh, put_batch, put_validation
from training.transformer import Size

import optax_lrs as olrs

PEAK, BATCH = 1e-2, 16
MERGED = 10  # checkpoints
NO_SHIFT = "none"  # more of the old data
UNSHIFTED = (
    "constant low rate",
    "repeated cosine",
    "re-warm",
    "infinite",
    "WSD branch",
)  # the arms that run without a shift


def all_arms(begun: dict[str, olrs.Schedule], at: int, steps: int) -> dict[str, Arm]:
    """The arms of the example, and other settings of the papers."""
    found = arms(begun, peak=PEAK, at=at, steps=steps)
    once = dict(at=at, steps=steps)
    more = {
        f"re-warm, warmup {share:.1%}": Arm(rewarmed(begun["annealed"], **once, peak=PEAK, warmup=share))
        for share in (0.0, 0.005, 0.02)
    }
    more |= {
        f"re-warm, {factor:g} x peak": Arm(rewarmed(begun["annealed"], **once, peak=factor * PEAK))
        for factor in (0.5, 2.0)
    }
    more["re-warm, Adam reset"] = found["re-warm"]
    more["re-warm, 50% replay"] = dataclasses.replace(found["re-warm"], replay=0.5)
    for name in ("infinite", "WSD branch"):
        more[f"{name}, 5% replay"] = dataclasses.replace(found[name], replay=0.05)
    return found | more


def looks(steps: int) -> list[int]:
    """After how many new updates the curves are evaluated: often at the start."""
    return sorted({*range(0, 11), *range(12, 25, 4), *range(30, steps, max(1, steps // 20)), steps})


class Job:
    """One size of model, one compiled step for all arms, and the texts of all shifts."""

    def __init__(self, quick: bool, shifts: list[str]):
        self.at, self.steps = (60, 40) if quick else (1500, 300)
        size = Size(width=32, depth=1) if quick else Size(width=64, depth=2)
        self.context, self.mesh, self.old = size.context, make_mesh({}), read_text([])
        self.texts = {shift: self.old if shift == NO_SHIFT else new_text(shift) for shift in shifts}
        self.rows = local_rows(self.mesh, BATCH)
        self.seen = looks(self.steps)
        self.begun = beginnings(PEAK, self.at)
        self.arms = all_arms(self.begun, self.at, self.steps)
        with jax.set_mesh(self.mesh):
            self.models = lambda seed: Model(size, self.mesh, seed)
            self.training = Continuation(self.models(0), self.at + self.steps)
            self.short, self.long = (
                {shift: self._validation(text, count) for shift, text in {NO_SHIFT: self.old, **self.texts}.items()}
                for count in ((2, 4) if quick else (8, 48))
            )

    def _validation(self, text: Any, count: int) -> jax.Array:
        found = validation_batches(text, context=self.context, batch_size=BATCH, count=count)
        return put_validation(self.mesh, found)

    def _steps(self, state: Any, batches: Any, first: int, last: int) -> Any:
        for done in range(first + 1, last + 1):
            state, _, _ = self.training.step(state, done, put_batch(self.mesh, next(batches), BATCH))
        return state

    def pretrained(self, seed: int) -> dict[str, Any]:
        """The final states of the runs that the arms start from."""
        found, init = {}, Continuation(self.models(seed), self.at + self.steps)
        for name, schedule in self.begun.items():
            batches = training_batches(self.old, context=self.context, batch_size=BATCH, seed=seed, rows=self.rows)
            found[name] = self._steps(init.begin(schedule), batches, 0, self.at)
        return found | {"init": init}

    def run(self, shift: str, name: str, seed: int, starts: dict[str, Any]) -> tuple[list[dict], list[dict]]:
        """Rows of final losses (two if weights are merged) and of the curve."""
        arm, end = self.arms[name], self.at + self.steps
        found = starts[arm.start] if arm.start else None
        state = (self.training if found else starts["init"]).begin(arm.schedule, found)
        if name.endswith("Adam reset"):
            state = state._replace(opt_state=_reset(state.opt_state))
        replay = 1.0 if shift == NO_SHIFT else arm.replay
        batches = mixed_batches(
            self.old,
            self.texts[shift],
            replay=replay,
            context=self.context,
            batch_size=BATCH,
            seed=10_000 + seed,
            rows=self.rows,
        )
        where = dict(shift=shift, arm=name, seed=seed)
        every = max(1, arm.merge_steps // MERGED)
        kept_at = {end - every * j for j in range(MERGED)} if arm.merge_steps else set()
        curve, kept, at = [], [], 0 if found is None else self.at
        for done in sorted({*(self.at + seen for seen in self.seen), *kept_at}):
            state = self._steps(state, batches, at, done)
            at = done
            if done in kept_at:
                kept.append(jax.tree.map(np.asarray, state.params))
            if done - self.at in self.seen:
                old, new = self.training.losses(state.params, self.short[NO_SHIFT], self.short[shift])
                curve.append(where | {"step": done - self.at, "old": float(old), "new": float(new)})
        finals = {name: state.params}
        if kept:
            weights = olrs.merge_weights(len(kept), decay=olrs.profiles.linear)
            mean = jax.tree.map(lambda *x: sum(w * v.astype(np.float64) for w, v in zip(weights, x)), *kept)
            finals = {f"{name} (before)": state.params, name: jax.tree.map(lambda x: x.astype(np.float32), mean)}
        return [where | {"arm": each} | self.final(params, shift) for each, params in finals.items()], curve

    def final(self, params: Any, shift: str) -> dict[str, float]:
        old, new = self.training.losses(params, self.long[NO_SHIFT], self.long[shift])
        return {"old": float(old), "new": float(new), "average": (float(old) + float(new)) / 2}


def _reset(opt_state: Any) -> Any:
    """Resets Adam's moments and count; keeps the schedule's count."""
    import optax

    is_adam = lambda x: isinstance(x, optax.ScaleByAdamState)  # noqa: E731
    return jax.tree.map(lambda x: jax.tree.map(lambda y: y * 0, x) if is_adam(x) else x, opt_state, is_leaf=is_adam)


def train(quick: bool, seeds: int, shifts: list[str], write: Callable[..., None]) -> tuple[list[dict], list[dict]]:
    """Trains all runs: rows of final losses, of the pre-trained models too, and of curves.

    ``write`` is called after each seed.
    """
    job = Job(quick, shifts)
    runs, curves = [], []
    cases = [(shift, name) for shift in shifts for name in job.arms if shift != NO_SHIFT or name in UNSHIFTED]
    with jax.set_mesh(job.mesh):
        starts: dict[str, Any] = {}
        for seed, (shift, name) in progress(list(itertools.product(range(seeds), cases)), "runs"):
            if (shift, name) == cases[0]:
                write(runs=runs, curves=curves)
                starts = job.pretrained(seed)
                runs += [
                    dict(shift=each, arm=f"pre-trained, {start}", seed=seed) | job.final(starts[start].params, each)
                    for each in shifts
                    for start in job.begun
                ]
            finals, curve = job.run(shift, name, seed, starts)
            runs += finals
            curves += curve
    return runs, curves
