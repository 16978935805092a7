"""Refinement on small networks: an MLP and a convolutional net on scikit-learn's digits.

With true labels the networks fit every digit and their gradient norms fall to nothing. With a fifth
of the labels drawn at random they cannot, and the norms stay up, as those of a language model do.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from convex import with_refinement
from reporting import progress
from tuned import Train, interval, ranks, shapes, tune

BATCH = 32
TRAINED = 1297  # of 1797 digits; the rest are for validation
COMPARED = ("cosine", "linear", "WSD", "refined", "refined twice")


def digits() -> tuple[jax.Array, ...]:
    """Images of mean 0 and variance 1 and labels, for training and for validation."""
    from sklearn import datasets

    found = datasets.load_digits()
    order = np.random.default_rng(0).permutation(len(found.target))
    x, y = found.images.astype(np.float32)[order], found.target.astype(np.int32)[order]
    x = (x - x.mean()) / x.std()
    return tuple(map(jnp.asarray, (x[:TRAINED], y[:TRAINED], x[TRAINED:], y[TRAINED:])))


def _kernel(key: jax.Array, *shape: int) -> jax.Array:
    return jax.random.normal(key, shape) * np.sqrt(2 / np.prod(shape[:-1]))


def mlp(key: jax.Array) -> dict[str, jax.Array]:
    keys = jax.random.split(key, 3)
    widths = [64, 64, 64, 10]
    return {f"w{i}": _kernel(k, widths[i], widths[i + 1]) for i, k in enumerate(keys)} | {
        f"b{i}": jnp.zeros(widths[i + 1]) for i in range(3)
    }


def run_mlp(p: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    x = x.reshape(len(x), -1)
    for i in range(2):
        x = jax.nn.relu(x @ p[f"w{i}"] + p[f"b{i}"])
    return x @ p["w2"] + p["b2"]


def conv(key: jax.Array) -> dict[str, jax.Array]:
    a, b, c = jax.random.split(key, 3)
    return {
        "w0": _kernel(a, 9, 8),
        "b0": jnp.zeros(8),
        "w1": _kernel(b, 72, 16),
        "b1": jnp.zeros(16),
        "w2": _kernel(c, 64, 10),
        "b2": jnp.zeros(10),
    }


def run_conv(p: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    """Two 3 x 3 convolutions, each followed by 2 x 2 pooling.

    They are written as products, because XLA has no fast batched convolutions on CPU.
    """
    x = x[..., None]
    for i in range(2):
        side = x.shape[1]
        x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        x = jnp.concatenate([x[:, r : r + side, c : c + side] for r in range(3) for c in range(3)], -1)
        x = jax.nn.relu(x @ p[f"w{i}"] + p[f"b{i}"])
        x = x.reshape(len(x), side // 2, 2, side // 2, 2, -1).max((2, 4))
    return x.reshape(len(x), -1) @ p["w2"] + p["b2"]


NETWORKS = {"MLP": (mlp, run_mlp), "conv": (conv, run_conv)}


def network(name: str, optimizer: str, steps: int, noisy_share: float) -> Train:
    """Training of one network with momentum or Adam; returns training and validation losses."""
    make, apply = NETWORKS[name]
    x, y, x_val, y_val = digits()
    tx = optax.trace(0.9) if optimizer == "sgd" else optax.scale_by_adam()

    def loss_of(params, x, y):
        return optax.softmax_cross_entropy_with_integer_labels(apply(params, x), y).mean()

    def one(shape, peak, seed):
        key = jax.random.key(seed)
        drawn = jax.random.randint(jax.random.fold_in(key, 1), y.shape, 0, 10)
        labels = jnp.where(jax.random.uniform(jax.random.fold_in(key, 2), y.shape) < noisy_share, drawn, y)
        order = jax.vmap(lambda n: jax.random.permutation(jax.random.fold_in(key, 3 + n), TRAINED))(
            jnp.arange(-(-steps * BATCH // TRAINED))
        )
        batches = order.reshape(-1)[: steps * BATCH].reshape(steps, BATCH)

        def step(carry, now):
            params, state = carry
            share, rows = now
            grads = jax.grad(loss_of)(params, x[rows], labels[rows])
            absolute = sum(jnp.sum(jnp.abs(g)) for g in jax.tree.leaves(grads))
            norm = optax.tree.norm(grads) if optimizer == "sgd" else absolute
            updates, state = tx.update(grads, state, params)
            return (jax.tree.map(lambda p, u: p - share * peak * u, params, updates), state), norm

        params = make(key)
        (params, _), norms = jax.lax.scan(step, (params, tx.init(params)), (shape, batches))
        return {
            "loss": loss_of(params, x_val, y_val),
            "train loss": loss_of(params, x, labels),
            "error": jnp.mean(jnp.argmax(apply(params, x_val), 1) != y_val),
            "norms": norms,
        }

    return jax.jit(jax.vmap(jax.vmap(one, (None, 0, None)), (None, None, 0)))


def suite(quick: bool) -> list[dict[str, Any]]:
    """Compares the schedules for each network, optimizer and kind of labels."""
    steps, seeds, tuning = (150, 3, 2) if quick else (600, 10, 4)
    names = ["MLP"] if quick else list(NETWORKS)
    cases = [(n, o, share) for n in names for o in ("sgd", "adam") for share in ((0.2,) if quick else (0.0, 0.2))]
    rows = []
    for name, optimizer, share in progress(cases, "networks"):
        train = network(name, optimizer, steps, share)
        peaks = np.geomspace(1e-2, 0.32, 7) if optimizer == "sgd" else np.geomspace(1e-3, 5.6e-2, 8)
        task = {"network": name, "optimizer": optimizer, "noisy labels": share}
        rows += [task | row for row in compare(train, optimizer, steps, peaks[:: 3 if quick else 1], seeds, tuning)]
    return rows


def compare(
    train: Train, optimizer: str, steps: int, peaks: np.ndarray, seeds: int, tuning: int
) -> list[dict[str, Any]]:
    """One row for each schedule: losses at the peak with the best validation loss."""
    known = shapes(steps)
    wsd = np.minimum(1.0, (1 - np.arange(steps) / steps) / 0.2)
    results = {}

    def add(schedule: str, shape: np.ndarray):
        results[schedule] = tune(train, shape, peaks, "loss", seeds, tuning)

    for schedule, shape in {"cosine": known["cosine"], "linear": known["linear"], "WSD": wsd}.items():
        add(schedule, shape)
    add("refined", with_refinement(results["linear"].results["norms"][0], optimizer))
    add("refined twice", with_refinement(results["refined"].results["norms"][0], optimizer))
    linear = results["linear"].results
    place = ranks({key: found.results["loss"].mean() for key, found in results.items()})
    rows = []
    for schedule, found in results.items():
        mine = found.results
        low, high = interval(mine["loss"] - linear["loss"])
        train_low, train_high = interval(mine["train loss"] - linear["train loss"])
        rows.append(
            {
                "schedule": schedule,
                "peak": found.peak,
                "at the edge": found.at_the_edge,
                "val loss": mine["loss"].mean(),
                "minus linear": mine["loss"].mean() - linear["loss"].mean(),
                "from": low,
                "to": high,
                "error": mine["error"].mean(),
                "train loss": mine["train loss"].mean(),
                "train minus linear": mine["train loss"].mean() - linear["train loss"].mean(),
                "train from": train_low,
                "train to": train_high,
                "rank": place[schedule],
            }
        )
    return rows
