"""Two equivalences of a projection, in float64.

It trains as other rates would without it, and it does not change the network's outputs.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from networks import CLASSES, digits
from normalized_networks.linen_networks import MLP, ResNet
from normalized_networks.linen_transformer import Transformer
from reporting import Bar

import optax_lrs as olrs
from optax_lrs import nn
from optax_lrs.nn import LayerConfig

HIDDEN = r"layers_[0-9]+/.*"
REDRAWN = 25  # steps between new labels: there is always something to learn, and norms grow


def suite(quick: bool) -> tuple[dict[str, list[dict[str, Any]]], list[Bar]]:
    """Both tables and their bars."""
    with jax.enable_x64(True):
        same, unchanged = trajectories(200 if quick else 1000), outputs()
    found = [
        Bar(f"{row['unprojected']}: largest difference in {row['steps']} steps", row["difference"], 1e-12)
        for row in same
    ]
    for row in unchanged:
        if row["normalized"] == "yes":
            limit = 1e-12 if row["epsilon"] == 0 else 20 * row["epsilon"]
            found.append(Bar(f"{row['network']}, epsilon {row['epsilon']:g}: change of outputs", row["change"], limit))
    return {"equivalence": same, "outputs": unchanged}, found


def trajectories(steps: int) -> list[dict[str, Any]]:
    """Compares unprojected training with projected training that corrects for the norms.

    The correction is in the rates or in the updates. The normalization has no epsilon: with one,
    invariance and hence the equivalence are only approximate.
    """
    model = MLP((32, 32), CLASSES, LayerConfig(epsilon=0.0, param_dtype=jnp.float64))
    images = digits(64).reshape(64, -1).astype(jnp.float64)
    drawn = jnp.asarray(np.random.default_rng(0).integers(0, CLASSES, (-(-steps // REDRAWN), 64)))
    first = model.init(jax.random.key(0), images)["params"]
    grad = jax.grad(
        lambda params, labels: optax.softmax_cross_entropy_with_integer_labels(
            model.apply({"params": params}, images), labels
        ).mean()
    )
    projection = olrs.project_weights(HIDDEN)
    first = projection.project(
        first, projection.init(first)
    )  # projected once, so that both start at the same point to the bit

    def norms(params):
        return {key: optax.tree.norm(value) if key != "head" else jnp.ones(()) for key, value in params.items()}

    def one_per_layer(tree, scales):
        return {key: jax.tree.map(functools.partial(jnp.multiply, scales[key]), layer) for key, layer in tree.items()}

    def difference(a, b):
        sizes = norms(a), norms(b)
        apart = jax.tree.map(
            lambda x, y: jnp.max(jnp.abs(x - y)),
            *(one_per_layer(tree, {key: 1 / size[key] for key in size}) for tree, size in zip((a, b), sizes)),
        )
        return jnp.max(jnp.stack(jax.tree.leaves(apart)))

    def compare(free, projected, by_norms):
        """``by_norms``: scale each projected layer's rate by (ρ/‖W‖)², as the free layer has it."""

        @jax.jit
        def run(params):
            def step(carry, labels):
                a, state_a, b, state_b = carry
                updates, next_a = free.update(grad(a, labels), state_a, a)
                grads = grad(b, labels)
                if by_norms:
                    start, now = norms(params), norms(a)
                    grads = one_per_layer(grads, {key: (start[key] / now[key]) ** 2 for key in now})
                others, next_b = projected.update(grads, state_b, b)
                a, b = optax.apply_updates(a, updates), optax.apply_updates(b, others)
                return (a, next_a, b, next_b), difference(a, b)

            labels = jnp.repeat(drawn, REDRAWN, axis=0)[:steps]
            carry, apart = jax.lax.scan(step, (params, free.init(params), params, projected.init(params)), labels)
            size, start = norms(carry[0]), norms(params)
            growth = jnp.stack([size[key] / start[key] for key in size if key != "head"])
            return jnp.max(apart), jnp.max(growth), difference(carry[0], params)

        return [float(x) for x in run(first)]

    def scaled():
        return olrs.projection.scale_by_weight_norm(power=1, weights=HIDDEN)

    squared = olrs.projection.scale_by_weight_norm(power=2, weights=HIDDEN)
    cases = {
        "SGD": (optax.sgd(0.5), optax.sgd(0.5), "SGD, rates η(ρ/‖W‖)² by layer", True),
        "SGD, scale_by_weight_norm(power=2)": (optax.chain(optax.sgd(0.1), squared), optax.sgd(0.1), "SGD", False),
        "momentum, scale_by_weight_norm(power=1) before and after": (
            optax.chain(scaled(), optax.sgd(0.01, 0.9), scaled()),
            optax.sgd(0.01, 0.9),
            "momentum",
            False,
        ),
    }
    rows = []
    for name, (free, other, described, by_norms) in cases.items():
        found, growth, moved = compare(free, optax.chain(other, projection), by_norms)
        rows.append(
            {
                "unprojected": name,
                "projected": described,
                "steps": steps,
                "difference": found,
                "norms grew": growth,
                "weights moved": moved,
            }
        )
    return rows


def outputs() -> list[dict[str, Any]]:
    """The largest change of an output, relative to the largest output, by projecting kernels.

    The kernels were scaled by 5 before.
    """
    images = digits(32).astype(jnp.float64)
    tokens = jnp.asarray(np.random.default_rng(0).integers(0, 64, (4, 16)))
    rows, patterns = [], {}
    for epsilon in (1e-6, 0.0, 1e-5):
        config = LayerConfig(epsilon=epsilon, param_dtype=jnp.float64, dtype=jnp.float64)
        networks = {
            "MLP": (MLP((64, 64), CLASSES, config), images.reshape(32, -1)),
            "ResNet": (ResNet((8, 16), CLASSES, config=config), images[..., None]),
            "transformer": (Transformer(64, 32, 2, 2, config=config), tokens),
        }
        for name, (model, batch) in networks.items():
            first = model.init(jax.random.key(0), batch)["params"]
            apply = jax.jit(lambda params, batch, model=model: model.apply({"params": params}, batch))
            if name not in patterns:
                patterns[name] = nn.scale_invariant_leaves(apply, first, batch).patterns
            rows.append(
                {
                    "network": name,
                    "normalized": "yes",
                    "epsilon": epsilon,
                    "change": changed(apply, first, batch, patterns[name]),
                }
            )
    model = PlainOfDoubles()
    first = model.init(jax.random.key(0), images.reshape(32, -1))
    rows.append(
        {
            "network": "MLP",
            "normalized": "no",
            "epsilon": None,
            "change": changed(model.apply, first, images.reshape(32, -1), (HIDDEN,)),
        }
    )
    return rows


def changed(apply: Any, first: Any, batch: Any, patterns: tuple[str, ...]) -> float:
    projection = olrs.project_weights(patterns)
    state, grown = projection.init(first), jax.tree.map(lambda p: 5 * p, first)
    before, after = apply(grown, batch), apply(projection.project(grown, state), batch)
    return float(jnp.max(jnp.abs(after - before)) / jnp.max(jnp.abs(before)))


class PlainOfDoubles:
    """The same MLP without normalization, on which a projection must not be used."""

    def init(self, key: jax.Array, x: jax.Array) -> dict[str, dict[str, jax.Array]]:
        sizes = [x.shape[-1], 64, 64, CLASSES]
        names = ["layers_0", "layers_1", "head"]
        return {
            name: {"kernel": jax.random.normal(jax.random.fold_in(key, i), (a, b), jnp.float64) * a**-0.5}
            for i, (name, a, b) in enumerate(zip(names, sizes, sizes[1:]))
        }

    def apply(self, params: dict[str, dict[str, jax.Array]], x: jax.Array) -> jax.Array:
        for name in ("layers_0", "layers_1"):
            x = jax.nn.relu(x @ params[name]["kernel"])
        return x @ params["head"]["kernel"]
