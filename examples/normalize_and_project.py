# /// script
# requires-python = ">=3.11"
# dependencies = ["optax_lrs[examples]"]
#
# [tool.uv.sources]
# optax_lrs = { path = "..", editable = true }
# ///
"""Trains a network on random labels of digits, again and again, with and without projection.

    uv run examples/normalize_and_project.py      (or: pip install -e '.[examples]' && python
    examples/normalize_and_project.py)

Three steps: build the network from normalized layers; measure which of its weights are
scale-invariant; project those. On these few tasks both networks learn every task. But without
projection the norms grow, and the effective rate of Adam, rate over norm, falls as they grow. This
hides a rate that is too high, such as --peak 1e-2. With projection such a rate does harm, and the
network needs a schedule.
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from normalized_networks.networks import MLP
from sklearn.datasets import load_digits

import optax_lrs as olrs
from optax_lrs import nn

WIDTH, CLASSES, BATCH = 128, 10, 128


def train(apply, params, tx, images, tasks: int, steps: int, seed: int):
    """The accuracy at the end of each task, and the parameters after the last."""

    @jax.jit
    def task(params, opt_state, key):
        key, label_key = jax.random.split(key)
        labels = jax.random.randint(label_key, (len(images),), 0, CLASSES)

        def step(carry, key):
            params, opt_state = carry
            rows = jax.random.randint(key, (BATCH,), 0, len(images))
            loss = lambda params: jnp.mean(  # noqa: E731
                optax.softmax_cross_entropy_with_integer_labels(apply(params, images[rows]), labels[rows])
            )
            updates, opt_state = tx.update(jax.grad(loss)(params), opt_state, params)
            return (optax.apply_updates(params, updates), opt_state), None

        (params, opt_state), _ = jax.lax.scan(step, (params, opt_state), jax.random.split(key, steps))
        return params, opt_state, jnp.mean(jnp.argmax(apply(params, images), axis=-1) == labels)

    opt_state, accuracies = jax.jit(tx.init)(params), []
    for key in jax.random.split(jax.random.key(seed), tasks):
        params, opt_state, accuracy = task(params, opt_state, key)
        accuracies.append(float(accuracy))
    return params, accuracies


def main(argv=None) -> dict[str, list[float]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=12, help="how often the labels are redrawn (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=600, help="updates a task (default: %(default)s)")
    parser.add_argument("--images", type=int, default=512, help="how many digits to label (default: %(default)s)")
    parser.add_argument("--peak", type=float, default=3e-3, help="learning rate (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    images = jnp.asarray(load_digits().data[: options.images] / 16, jnp.float32)

    # 1. A normalization before each nonlinearity, no bias in front of it.
    model = MLP(images.shape[1], (WIDTH, WIDTH), CLASSES, rngs=nnx.Rngs(options.seed))
    apply, params = nn.nnx.functional(model)

    # 2. What may be projected: measured, not guessed by name.
    audit = nn.scale_invariant_leaves(apply, params, images[:64])
    print(audit, end="\n\n")

    # 3. The optimizer, with the projection last.
    lr = olrs.Constant(value=options.peak)
    optimizers = {
        "adam": optax.adam(lr),
        "adam, projected": optax.chain(optax.adam(lr), olrs.project_weights(audit.patterns, separate=audit.separate)),
    }
    found = {}
    for name, tx in optimizers.items():
        after, found[name] = train(apply, params, tx, images, options.tasks, options.steps, options.seed)
        growth = [
            float(optax.tree.norm(b) / optax.tree.norm(a))
            for a, b, hidden in zip(jax.tree.leaves(params), jax.tree.leaves(after), jax.tree.leaves(audit.mask))
            if hidden
        ]
        shown = " ".join(f"{accuracy:.2f}" for accuracy in found[name])
        print(f"{name}: hidden norms grew {np.round(growth, 2).tolist()} times; accuracy after each task\n  {shown}")
    return found


if __name__ == "__main__":
    main()
