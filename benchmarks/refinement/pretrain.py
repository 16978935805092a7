"""Refinement on the transformer of examples/pretrain.py, at a size for many peaks and seeds."""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np
from reporting import progress
from tuned import interval, ranks

import optax_lrs as olrs

PEAKS = (2.5e-3, 5e-3, 1e-2, 2e-2)
BATCH = 16


class Job:
    """The example's model and data, with one program for all schedules.

    The schedules are live tables of one length.
    """

    def __init__(self, steps: int, quick: bool):
        from training.byte_text import read_text, validation_batches
        from training.sharded_step import Model, make_mesh, make_training, put_validation
        from training.transformer import Size

        self.steps, size = steps, Size(width=32 if quick else 64, depth=1 if quick else 2)
        self.context, self.mesh, self.text = size.context, make_mesh({}), read_text([])
        count = 2 if quick else 32
        batches = validation_batches(self.text, context=size.context, batch_size=BATCH, count=count)
        start = olrs.Tabulated(lrs=np.zeros(steps + 1))
        with jax.set_mesh(self.mesh):
            self.validation = put_validation(self.mesh, batches)
            self.model = Model(size, self.mesh, 0)
            self.training = functools.cache(lambda seed: make_training(Model(size, self.mesh, seed), start, steps))

    def run(self, shape: np.ndarray, peak: float, seed: int) -> tuple[float, olrs.Run]:
        """The validation loss after the last update, and the recorded norms."""
        from training.byte_text import training_batches
        from training.sharded_step import local_rows, put_batch

        rows = local_rows(self.mesh, BATCH)
        batches = training_batches(self.text, context=self.context, batch_size=BATCH, seed=seed, rows=rows)
        with jax.set_mesh(self.mesh):
            state = self.training(seed).init()
            schedule = olrs.Tabulated(lrs=np.append(peak * shape, 0.0))
            state = state._replace(opt_state=olrs.with_schedule(state.opt_state, schedule))
            for step in range(self.steps):
                state, _, _ = self.training(0).step(state, step, put_batch(self.mesh, next(batches), BATCH))
            _, loss = self.model.validate(state.params, state.record, self.steps - 1, self.validation)
            return float(loss), olrs.Run.from_state(state.opt_state)


def suite(quick: bool) -> list[dict[str, Any]]:
    """Cosine, linear, WSD, refined and refined twice.

    One seed chooses each schedule's peak; the others are reported.
    """
    steps, seeds = (40, 2) if quick else (400, 5)
    job = Job(steps, quick)
    peaks = PEAKS[1:3] if quick else PEAKS
    done = np.arange(steps) / steps
    warmup = np.minimum(1.0, np.arange(1, steps + 1) / (steps // 20))
    shapes = {
        "cosine": warmup * 0.5 * (1 + np.cos(np.pi * done)),
        "linear": warmup * (1 - done),
        "WSD": warmup * np.minimum(1.0, (1 - done) / 0.2),
        "refined": None,
        "refined twice": None,
    }
    losses: dict[str, np.ndarray] = {}
    chosen: dict[str, float] = {}
    runs: dict[str, olrs.Run] = {}
    for name, shape in progress(list(shapes.items()), "pre-training"):
        if shape is None:
            before = runs["linear" if name == "refined" else "refined"]
            shape = olrs.refine(before, optimizer="adam", peak=1.0, knots=None).at(np.arange(steps))
        tried = {peak: job.run(shape, peak, 0) for peak in peaks}
        chosen[name] = min(tried, key=lambda peak: tried[peak][0])
        runs[name] = tried[chosen[name]][1]
        losses[name] = np.array([job.run(shape, chosen[name], 1 + seed)[0] for seed in range(seeds)])
    place = ranks({name: values.mean() for name, values in losses.items()})
    rows = []
    for name, values in losses.items():
        apart = values - losses["linear"]
        low, high = interval(apart)
        rows.append(
            {
                "schedule": name,
                "peak": chosen[name],
                "at the edge": chosen[name] in (peaks[0], peaks[-1]),
                "val loss": values.mean(),
                "minus linear": apart.mean(),
                "from": low,
                "to": high,
                "rank": place[name],
            }
        )
    return rows
