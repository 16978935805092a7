"""Pre-training with and without a projection, on the text of examples/pretrain.py.

The example's own transformer has no normalization behind its branches, so the scale of most of its
kernels matters. Here the model is the transformer of examples/normalized_networks. Its
scale-invariant patterns are measured; of these the embedding is left out, as in the paper. Steps,
optimizer and weight decay are those of the example, except that projected weights have no decay,
since it would have no effect.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from normalized_networks.linen_transformer import Transformer
from reporting import Bar, progress
from tuned import interval

import optax_lrs as olrs
from optax_lrs import nn
from optax_lrs.nn import LayerConfig

PEAKS = (5e-3, 1e-2, 2e-2, 4e-2)
BATCH, CONTEXT, VALIDATED = 8, 64, 24
NO_LOSS = 0.01  # nats per byte: what counts as the same; the intervals over seeds are about as wide


def shapes(steps: int) -> dict[str, np.ndarray]:
    """The three schedules, peak 1, shape [steps], all with a warmup of a twentieth."""
    done = np.arange(steps) / steps
    warmup = np.minimum(1.0, np.arange(1, steps + 1) / (steps // 20))
    return {"constant": warmup, "cosine": warmup * 0.5 * (1 + np.cos(np.pi * done)), "linear": warmup * (1 - done)}


class Job:
    """Data, model, and one compiled run for each arm.

    All updates are in one scan, with several rates or seeds in parallel.
    """

    def __init__(self, steps: int, width: int, depth: int):
        from training.byte_text import read_text, training_batches, validation_batches

        self.steps, self.model = steps, Transformer(256, width, depth, 4, config=LayerConfig(norm="rms"))
        text = read_text([])

        def batches(seed):
            rows = np.arange(BATCH)
            found = training_batches(text, context=CONTEXT, batch_size=BATCH, seed=seed, rows=rows)
            return np.stack([next(found) for _ in range(steps)])

        self.batches = batches
        self.validation = jnp.asarray(validation_batches(text, context=CONTEXT, batch_size=BATCH, count=VALIDATED))
        first = self.init(0)
        audit = nn.scale_invariant_leaves(self.logits, first, jnp.asarray(self.validation[0, :4, :17], jnp.int32))
        self.hidden = [pattern for pattern in audit.patterns if "embed" not in pattern]
        self.programs = {arm: jax.jit(jax.vmap(self._run(arm), (None, 0, None, None))) for arm in ("without", "NaP")}

    def init(self, seed: int) -> Any:
        return self.model.init(jax.random.key(seed), jnp.zeros((1, 4), jnp.int32))["params"]

    def logits(self, params: Any, tokens: jax.Array) -> jax.Array:
        return self.model.apply({"params": params}, tokens)

    def loss(self, params: Any, window: jax.Array) -> jax.Array:
        window = window.astype(jnp.int32)
        logits = self.logits(params, window[:, :-1])
        return optax.softmax_cross_entropy_with_integer_labels(logits, window[:, 1:]).mean()

    def norms(self, params: Any) -> dict[str, jax.Array]:
        """Of the hidden kernels, by path."""
        rates = olrs.projection.effective_learning_rate(params, 1.0, power=1, weights=self.hidden)
        return {path: 1 / rate for path, rate in rates.items()}

    def _run(self, arm: str):
        projected = arm == "NaP"
        last = [olrs.project_weights(self.hidden)] if projected else []
        chosen = set(self.norms(self.init(0)))

        def decayed(key, leaf):
            path = jax.tree_util.keystr(key, simple=True, separator="/")
            return leaf.ndim > 1 and not (projected and path in chosen)

        def run(shape, peak, params, batches):
            tx = optax.chain(
                optax.clip_by_global_norm(1.0),
                optax.scale_by_adam(b1=0.9, b2=0.95),
                optax.add_decayed_weights(0.1, mask=functools.partial(jax.tree_util.tree_map_with_path, decayed)),
                optax.scale_by_learning_rate(lambda count: peak * shape[count]),
                *last,
            )

            def step(carry, batch):
                params, state = carry
                loss, grads = jax.value_and_grad(self.loss)(params, batch)
                updates, state = tx.update(grads, state, params)
                return (optax.apply_updates(params, updates), state), loss

            (after, _), losses = jax.lax.scan(step, (params, tx.init(params)), batches)
            before, now = self.norms(params), self.norms(after)
            return {
                "loss": jnp.mean(jax.lax.map(lambda window: self.loss(after, window), self.validation)),
                "growth": jnp.exp(jnp.mean(jnp.log(jnp.stack([now[path] / before[path] for path in now])))),
                "train": jnp.mean(losses[-20:]),
            }

        return run

    def run(self, arm: str, shape: np.ndarray, peaks: np.ndarray, seed: int) -> dict[str, np.ndarray]:
        """Arrays [peaks]."""
        found = self.programs[arm](
            jnp.asarray(shape, jnp.float32), jnp.asarray(peaks, jnp.float32), self.init(seed), self.batches(seed)
        )
        return {key: np.asarray(value, np.float64) for key, value in found.items()}


def suite(quick: bool) -> tuple[dict[str, list[dict[str, Any]]], list[Bar]]:
    """Every peak, schedule and seed for both; the peak with the best mean counts."""
    steps, seeds = (60, 1) if quick else (240, 3)
    peaks = np.asarray(PEAKS[1:3] if quick else PEAKS)
    job = Job(steps, 32 if quick else 64, 1 if quick else 2)
    cases = [(arm, name) for arm in job.programs for name in shapes(steps)]
    runs = {}
    for arm, name in progress(cases, "pre-training"):
        each = [job.run(arm, shapes(steps)[name], peaks, seed) for seed in range(seeds)]
        runs[arm, name] = {key: np.stack([one[key] for one in each]) for key in each[0]}  # [seeds, peaks]
    best = {case: int(np.nan_to_num(found["loss"], nan=np.inf).mean(0).argmin()) for case, found in runs.items()}
    rows, grid = [], []
    for (arm, name), found in runs.items():
        at = best[arm, name]
        reference, base = best["without", name], runs["without", name]
        apart = found["loss"][:, at] - base["loss"][:, reference]
        low, high = interval(apart) if seeds > 1 else (np.nan, np.nan)
        rows.append(
            {
                "schedule": name,
                "arm": arm,
                "peak": peaks[at],
                "at the edge": at in (0, len(peaks) - 1),
                "val loss": found["loss"][:, at].mean(),
                "minus without": apart.mean(),
                "from": low,
                "to": high,
                "norms grew": found["growth"][:, at].mean(),
            }
        )
        grid += [
            {
                "schedule": name,
                "arm": arm,
                "peak": peak,
                "seed": seed,
                "val loss": found["loss"][seed, i],
                "norms grew": found["growth"][seed, i],
            }
            for i, peak in enumerate(peaks)
            for seed in range(seeds)
        ]
    rows.sort(key=lambda row: row["schedule"])
    bars = (
        []
        if quick
        else [
            Bar(f"{row['schedule']}: loss with NaP, minus that without", row["minus without"], NO_LOSS)
            for row in rows
            if row["arm"] == "NaP"
        ]
    )
    return {"pretrain": rows, "pretrain_runs": grid}, bars
