"""Refinement on convex problems: logistic regression, and |x| with noise that no schedule changes.

Each schedule has its own best peak. Losses are those of the whole training set after the last
update, which the theory is about.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from reporting import progress
from tuned import Train, interval, norm_of, ranks, shapes, tune

import optax_lrs as olrs
from optax_lrs import theory

BATCH = 16
COMPARED = ("flat", "1/t", "1/sqrt(t)", "step", "cosine", "linear", "refined")


def data_sets() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The data sets: features in [-1, 1], as LIBSVM scales them, a constant feature, and labels.

    Some sets use few of their features, because planes separate most of the bundled sets, which
    then have no best weights. Wine with all its features is left out: its loss becomes exactly zero
    under every schedule.
    """
    from sklearn import datasets

    iris, wine, cancer = datasets.load_iris(), datasets.load_wine(), datasets.load_breast_cancer()
    digits, diabetes = datasets.load_digits(), datasets.load_diabetes()
    pooled = digits.images.reshape(-1, 4, 2, 4, 2).mean((2, 4)).reshape(-1, 16)
    found = {
        "iris": (iris.data, iris.target),
        "diabetes, above the median": (diabetes.data, diabetes.target > np.median(diabetes.target)),
        "wine, 3 features": (wine.data[:, :3], wine.target),
        "breast cancer, 5 features": (cancer.data[:, :5], cancer.target),
        "digits, 4 x 4 pixels": (pooled, digits.target),
        "digits, odd or even": (digits.data, digits.target % 2),
        "breast cancer": (cancer.data, cancer.target),
        "digits": (digits.data, digits.target),
    }
    return {name: (_scaled(x), y.astype(np.int32)) for name, (x, y) in found.items()}


def _scaled(x: np.ndarray) -> np.ndarray:
    spread = np.where(np.ptp(x, 0) > 0, np.ptp(x, 0), 1.0)
    return np.c_[2 * (x - x.min(0)) / spread - 1, np.ones(len(x))].astype(np.float32)


def separable(x: np.ndarray, y: np.ndarray) -> bool:
    """Whether planes separate all classes, so that the loss has no minimum."""
    from sklearn.linear_model import LogisticRegression

    return bool(LogisticRegression(C=1e8, max_iter=20_000, tol=1e-8).fit(x, y).score(x, y) == 1.0)


def logistic(x: np.ndarray, y: np.ndarray, optimizer: str, steps: int) -> Train:
    """Trains from zero weights, on batches drawn without replacement.

    Returns the norms of the raw gradients and of their noise alone.
    """
    zeros, count = jnp.zeros((x.shape[1], int(y.max()) + 1)), len(x)
    x, y = jnp.asarray(x), jnp.asarray(y)
    tx = optax.identity() if optimizer == "sgd" else optax.scale_by_adam()
    size = (lambda g: jnp.sqrt(jnp.sum(g**2))) if optimizer == "sgd" else (lambda g: jnp.sum(jnp.abs(g)))

    def loss_of(weights, x, y):
        return optax.softmax_cross_entropy_with_integer_labels(x @ weights, y).mean()

    def one(shape, peak, seed):
        epochs = jax.vmap(lambda n: jax.random.permutation(jax.random.fold_in(jax.random.key(seed), n), count))(
            jnp.arange(-(-steps * BATCH // count))
        )
        batches = epochs.reshape(-1)[: steps * BATCH].reshape(steps, BATCH)

        def step(carry, now):
            weights, state = carry
            share, rows = now
            grad = jax.grad(loss_of)(weights, x[rows], y[rows])
            noise = grad - jax.grad(loss_of)(weights, x, y)
            updates, state = tx.update(grad, state, weights)
            return (weights - share * peak * updates, state), (size(grad), size(noise))

        (weights, _), (norms, noise) = jax.lax.scan(step, (zeros, tx.init(zeros)), (shape, batches))
        accuracy = jnp.mean(jnp.argmax(x @ weights, 1) == y)
        return {"loss": loss_of(weights, x, y), "error": 1 - accuracy, "norms": norms, "noise": noise}

    without_noise = jax.jit(jax.vmap(jax.vmap(lambda *a: one(*a)["loss"], (None, 0, None)), (None, None, 0)))
    everything = jax.jit(jax.vmap(jax.vmap(one, (None, 0, None)), (None, None, 0)))
    # The noise costs a full gradient for each step: skipped where only the loss is needed.
    return lambda shape, peaks, seeds: (
        everything(shape, peaks, seeds) if len(peaks) == 1 else {"loss": without_noise(shape, peaks, seeds)}
    )


def noisy_cone(optimizer: str, steps: int) -> Train:
    """|x| in 20 dimensions, with noise that falls tenfold under any schedule.

    Its norms are known beforehand.
    """
    del optimizer
    noise = jnp.geomspace(20.0, 2.0, steps)

    def one(shape, peak, seed):
        def step(x, now):
            share, scale, n = now
            grad = x / jnp.maximum(jnp.linalg.norm(x), 1e-12)
            grad += scale * jax.random.normal(jax.random.fold_in(jax.random.key(seed), n), (20,)) / jnp.sqrt(20.0)
            return x - share * peak * grad, jnp.linalg.norm(grad)

        x, norms = jax.lax.scan(step, jnp.ones(20), (shape, noise, jnp.arange(steps)))
        loss = jnp.linalg.norm(x)
        return {"loss": loss, "error": loss, "norms": norms, "noise": norms}

    return jax.jit(jax.vmap(jax.vmap(one, (None, 0, None)), (None, None, 0)))


def with_refinement(norms: np.ndarray, optimizer: str, **options: Any) -> np.ndarray:
    """The refined shape, with one value for each norm."""
    run = olrs.Run(steps=np.arange(len(norms)), **{norm_of(optimizer): norms})
    table = olrs.refine(run, optimizer=optimizer, peak=1.0, knots=None, **options)
    return table.at(np.arange(len(norms)))


def by_power(norms: np.ndarray, power: float) -> np.ndarray:
    """Refinement with another power, from norms that need no smoothing."""
    return theory.refined_shape(np.append(norms, norms[-1]), power=power)[:-1]


def windowed(norms: np.ndarray) -> np.ndarray:
    """The root mean square over seeds and a hundredth of the run: the norm of the theory."""
    squares, width = (norms**2).mean(0), max(len(norms[0]) // 100, 1) * 2 + 1
    padded = np.pad(squares, width // 2, mode="edge")
    return np.sqrt(np.convolve(padded, np.ones(width) / width, "valid"))


def compare(
    name: str, train: Train, optimizer: str, steps: int, peaks: np.ndarray, seeds: int, tuning: int
) -> list[dict[str, Any]]:
    """One row for each schedule: its losses at its best peak, next to linear decay's."""
    results = {}

    def add(schedule: str, shape: np.ndarray):
        results[schedule] = tune(train, shape, peaks, "loss", seeds, tuning)

    for schedule, shape in shapes(steps).items():
        add(schedule, shape)
    linear = results["linear"].results
    power = 2 if optimizer == "sgd" else 1
    add("refined", with_refinement(linear["norms"][0], optimizer))  # from one run, as a user has it
    add("refined twice", with_refinement(results["refined"].results["norms"][0], optimizer))
    # Three changes, one at a time, to find out why it wins or loses.
    add("refined: norms over seeds, not of one run", by_power(windowed(linear["norms"]), power))
    add("refined: norms of the noise alone", by_power(windowed(linear["noise"]), power))
    add("refined: half the power", by_power(windowed(linear["norms"]), power / 2))
    place = ranks({key: results[key].results["loss"].mean() for key in COMPARED})
    rows = []
    for schedule, found in results.items():
        losses, base = found.results["loss"], linear["loss"]
        low, high = interval(losses - base)
        rows.append(
            {
                "problem": name,
                "optimizer": optimizer,
                "schedule": schedule,
                "peak": found.peak,
                "at the edge": found.at_the_edge,
                "loss": losses.mean(),
                "loss std": losses.std(ddof=1),
                "error": found.results["error"].mean(),
                "above linear": losses.mean() / base.mean() - 1,
                "from": low / base.mean(),
                "to": high / base.mean(),
                "rank": place.get(schedule),
            }
        )
    return rows


def suite(quick: bool) -> list[dict[str, Any]]:
    """Every data set with SGD and Adam, and |x|."""
    steps, seeds, tuning = (300, 5, 3) if quick else (2000, 20, 10)
    sets = data_sets()
    names = ["iris", "breast cancer, 5 features"] if quick else list(sets)
    rows = []
    cases: list[tuple[str, str, Callable[[], Train], bool | None]] = [
        (name, optimizer, lambda name=name, optimizer=optimizer: logistic(*sets[name], optimizer, steps), None)
        for name in names
        for optimizer in ("sgd", "adam")
    ]
    cases.append(("noisy cone", "sgd", lambda: noisy_cone("sgd", steps), False))
    for name, optimizer, make, known in progress(cases, "convex problems"):
        if name == "noisy cone":
            peaks = np.geomspace(1e-4, 1, 25)
        else:
            peaks = np.geomspace(1e-2, 1e3, 34) if optimizer == "sgd" else np.geomspace(1e-3, 1e1, 27)
        peaks = peaks[::3] if quick else peaks
        found = compare(name, make(), optimizer, steps, peaks, seeds if known is None else 10 * seeds, tuning)
        apart = separable(*sets[name]) if known is None else known
        rows += [row | {"separable": apart} for row in found]
    return rows
