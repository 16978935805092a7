"""The chains whose cost on a pod is measured, each with the bars that it must hold.

To add one, add a ``Variant`` to ``VARIANTS``. Its bars may be:

- ``hbm``: bytes of HBM, of the base's, at most; ``payload``: bytes that go into collectives, of the
  base's, at most;
- ``collectives``, ``conditionals``, ``temp``, ``arguments``, ``state``: how many more than the
  base's (bytes for the last three), at most;
- ``hbm_beside``: the name of another variant, whose bytes of HBM this one may exceed by 4096 at
  most.

These bars always hold: no host transfer, no collective other than all-reduces in addition to the
base's, every donated argument aliased, every loop's count read. ``hbm`` and ``temp`` apply on
v5p:2x2x1 only: on a large pod a shard fits on-chip memory, and the compiler decides what stays
there.
"""

from __future__ import annotations

import dataclasses
import importlib
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import optax
from jax.experimental import io_callback
from jax.flatten_util import ravel_pytree
from steps import SMALL, distinct_shardings, shapes_and_specs

import optax_lrs as olrs

PEAK, TOTAL, WARMUP = 3e-4, 100_000, 2_000
KILO, MEGA = 1024, 1 << 20
SPECS = shapes_and_specs(SMALL)[1]
GROUPS = {"embedding": "embedding", "attention": "layers/attention/.*", "mlp": "layers/mlp/.*"}


@dataclasses.dataclass(frozen=True)
class Variant:
    """A chain with a transform, and the chain without it that it is compared with."""

    name: str
    chain: Callable[[], optax.GradientTransformation]
    base: str = "clip+adamw"
    bars: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    quick: bool = False  # whether --quick measures it
    pods: bool = False  # whether it is compiled for the large pods too
    step: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # keywords of pod_steps.compile_step


@dataclasses.dataclass(frozen=True)
class Base:
    """A chain of Optax, and the HBM bytes it needs in theory, in copies of the parameters."""

    chain: Callable[[], optax.GradientTransformation]
    copies: float | None = None
    step: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def theirs() -> optax.Schedule:
    """Optax's cosine."""
    return optax.warmup_cosine_decay_schedule(0.0, PEAK, WARMUP, TOTAL)


def ours() -> olrs.Schedule:
    """Ours."""
    return olrs.Cosine(peak=PEAK, total_steps=TOTAL, warmup_steps=WARMUP)


def clip() -> optax.GradientTransformation:
    return optax.clip_by_global_norm(1.0)


def adamw(rate: Any = None, *, before: tuple = (), after: tuple = ()) -> optax.GradientTransformation:
    """clip, AdamW, the rate; with more members before all that or after it."""
    rate = optax.scale_by_learning_rate(theirs()) if rate is None else rate
    return optax.chain(*before, clip(), *unclipped(rate), *after)


def unclipped(rate: Any = None) -> tuple[optax.GradientTransformation, ...]:
    """AdamW and the rate, without the clip."""
    rate = optax.scale_by_learning_rate(theirs()) if rate is None else rate
    return optax.scale_by_adam(), optax.add_decayed_weights(0.1), rate


def multi(tx: optax.GradientTransformation) -> optax.GradientTransformation:
    return optax.MultiSteps(tx, every_k_schedule=4).gradient_transformation()


# What theory says: read g, m, v, p and write m, v, p; one more pass over g for its norm; SGD reads
# g, p and writes p.
BASES = {
    "clip+adamw": Base(adamw, copies=8.0),
    "adamw": Base(lambda: optax.chain(*unclipped()), copies=7.0),
    "sgd": Base(lambda: optax.sgd(theirs()), copies=3.0),
    "MultiSteps(clip+adamw)": Base(lambda: multi(adamw())),
    "apply_if_finite(clip+adamw)": Base(lambda: optax.apply_if_finite(adamw(), 10)),
    "adamw, shard_map": Base(lambda: optax.chain(*unclipped()), copies=7.0, step=dict(shard_map=True)),
}

# ── schedules and other ways to scale by a rate ─────────────────────────────────────────────────

SWAP = dict(hbm=1.005, collectives=0, payload=1.0, conditionals=0, temp=MEGA)  # a schedule must cost nothing
RATES = [
    Variant("schedule, captured", lambda: adamw(optax.scale_by_learning_rate(ours())), bars=SWAP, quick=True),
    Variant("schedule, live", lambda: adamw(olrs.scale_by_live_schedule(ours())), bars=SWAP, quick=True, pods=True),
    Variant(
        "with_rates_by_path",
        lambda: olrs.with_rates_by_path(
            optax.chain(clip(), *unclipped()[:2]), ours(), {"embedding": 0.1, "layers/.*_norm|norm": 2.0}
        ),
        bars=SWAP,
    ),
    Variant(
        "decay_weights",
        lambda: optax.chain(clip(), optax.scale_by_adam(), olrs.scale_by_live_schedule(ours()),
                            olrs.decay_weights(olrs.Constant(value=1e-5))),
        bars=SWAP,
    ),
    Variant(
        "scale_by_plateau", lambda: adamw(after=(olrs.scale_by_plateau(),)), bars=SWAP,
        step=dict(extra_args=dict(value=0.0)),
    ),
]  # fmt: skip


def example(cls: type[olrs.Schedule]) -> Callable[[], optax.GradientTransformation]:
    return lambda: adamw(olrs.scale_by_live_schedule(cls(**cls.example)))


def literature(every: bool) -> list[Variant]:
    """Live schedules at their examples: a few that are computed differently, or all."""
    from optax_lrs._value import Value

    names = [name for name, cls in Value.registry.items() if issubclass(cls, olrs.Schedule)]
    chosen = names if every else ("WSD", "SGDR", "Tabulated", "Joined")
    return [Variant(f"schedule, {name}", example(Value.registry[name]), bars=SWAP) for name in chosen]


# ── the recorder ──────────────────────────────────────────────────────────────────────────────────


def recorded(**options: Any) -> Callable[[], optax.GradientTransformation]:
    """The recorder in its place: first, before the clip."""
    return lambda: adamw(before=(olrs.record_grad_norm(**options),))


def unclipped_and_recorded(**options: Any) -> Callable[[], optax.GradientTransformation]:
    return lambda: optax.chain(olrs.record_grad_norm(**options), *unclipped())


def exact(steps: int, columns: int = 1) -> dict[str, float]:
    """The bars of the exact store.

    It has 4 bytes for each step and column, each buffer in whole tiles of 1024, and 4 kB of
    scalars.
    """
    return RECORD | dict(
        state=4 * columns * steps + 4 * KILO, arguments=4 * columns * -(-steps // 1024) * 1024 + 4 * KILO
    )


BOTH = ("l1", "l2")
RECORD = dict(hbm=1.005, collectives=0, payload=2.0, conditionals=0, temp=2 * MEGA)
BINNED = RECORD | dict(state=64 * KILO)
RECORDERS = [
    Variant("recorder, l2, 100k steps", recorded(steps=100_000), bars=exact(100_000)),
    Variant(
        "recorder, l1+l2, 10k steps", recorded(norms=BOTH, steps=10_000), quick=True, pods=True, bars=exact(10_000, 2)
    ),
    Variant("recorder, l1+l2, 100k steps", recorded(norms=BOTH, steps=100_000), bars=exact(100_000, 2)),
    Variant(
        "recorder, l1+l2, 1M steps", recorded(norms=BOTH, steps=1_000_000), quick=True, pods=True,
        bars=exact(1_000_000, 2) | dict(hbm_beside="recorder, l1+l2, 10k steps"),
    ),
    Variant("recorder, binned, l2", recorded(), bars=BINNED),
    Variant("recorder, binned, l1+l2", recorded(norms=BOTH), bars=BINNED, quick=True, pods=True),
    Variant("recorder, binned, three groups", recorded(groups=GROUPS), bars=RECORD | dict(state=4 * 64 * KILO)),
    Variant(
        "recorder, l1+l2, 100k steps, no clip", unclipped_and_recorded(norms=BOTH, steps=100_000), base="adamw",
        # Then there are no sums to share, but still no pass: the gradients are read as Adam reads
        # them.
        bars=exact(100_000, 2) | dict(collectives=distinct_shardings(SMALL), payload=None),
    ),
    Variant(
        "recorder, binned, shard_map, no clip", unclipped_and_recorded(norms=BOTH, specs=SPECS),
        base="adamw, shard_map", bars=BINNED | dict(collectives=1, payload=None), step=dict(shard_map=True),
    ),
    Variant(
        "MultiSteps(recorder, 1M steps)", lambda: multi(recorded(norms=BOTH, steps=1_000_000)()),
        base="MultiSteps(clip+adamw)", bars=exact(1_000_000, 2),
    ),
    Variant(
        "MultiSteps(recorder, binned)", lambda: multi(recorded(norms=BOTH)()),
        base="MultiSteps(clip+adamw)", bars=BINNED,
    ),
    Variant(
        "apply_if_finite(recorder, 1M steps)",
        lambda: optax.apply_if_finite(recorded(norms=BOTH, steps=1_000_000)(), 10),
        base="apply_if_finite(clip+adamw)",
        # Two shards of the smallest matrices, 34 MB each, lie in HBM instead of on the chip: not
        # the recorder's memory.
        bars=exact(1_000_000, 2) | dict(temp=None),
    ),
]  # fmt: skip

# ── the projection ────────────────────────────────────────────────────────────────────────────────


def every_matrix(path: str, leaf: Any) -> bool:
    """All matrices, also embedding and head, so that the ratios refer to all weights."""
    return leaf.ndim > 1 and "norm" not in path


def projected(**options: Any) -> Callable[[], optax.GradientTransformation]:
    """The projection in its place: last."""
    return lambda: adamw(after=(olrs.project_weights(every_matrix, **options),))


def by_hand(**options: Any) -> Mapping[str, Any]:
    """The step that projects the parameters after the updates are applied."""
    projection = olrs.project_weights(every_matrix, mode="manual", **options)
    return dict(after=lambda params, state: (projection.project(params, state), state))


# A reduction for the norms: one for each order in which the matrices are sharded; a few scalars a
# matrix and layer.
PROJECT = dict(collectives=distinct_shardings(SMALL), conditionals=0, arguments=4 * KILO, temp=2 * MEGA)
EXACT, ON_PARAMETERS, DEFERRED = (PROJECT | dict(hbm=most) for most in (1.40, 1.27, 1.01))
LAYER = dict(separate={"layers/.*": 0})  # norms by layer of stacked parameters
NEURON = dict(separate={"layers/.*": (0, -1), ".*": -1})  # and by output neuron
PROJECTIONS = [
    Variant("projection, deferred", projected(mode="deferred"), bars=DEFERRED, quick=True, pods=True),
    Variant("projection, deferred, by layer", projected(mode="deferred", **LAYER), bars=DEFERRED, pods=True),
    Variant(  # a norm for each neuron is a number for each, in arguments and in collectives
        "projection, deferred, by neuron", projected(mode="deferred", **NEURON),
        bars=DEFERRED | dict(arguments=None, temp=None),
    ),
    Variant("projection, exact, an update", projected(), bars=EXACT, quick=True, pods=True),
    Variant("projection, exact, an update, by layer", projected(**LAYER), bars=EXACT),
    Variant(
        "projection, exact, on parameters", projected(mode="manual"), bars=ON_PARAMETERS, quick=True, pods=True,
        step=by_hand(),
    ),
    Variant(
        "projection, exact, on parameters, by layer", projected(mode="manual", **LAYER), bars=ON_PARAMETERS,
        step=by_hand(**LAYER),
    ),
    Variant(
        "projection, every 10 steps", projected(every_steps=10),
        bars=EXACT | dict(conditionals=1, temp=None, hbm=None),
    ),
    Variant(
        "projection, deferred, shard_map, no clip",
        lambda: optax.chain(*unclipped(), olrs.project_weights(every_matrix, mode="deferred", specs=SPECS)),
        base="adamw, shard_map", bars=DEFERRED | dict(collectives=1), step=dict(shard_map=True),
    ),
    Variant(
        "projection, exact, shard_map, no clip",
        # 10 copies instead of 7: 1.43 of a base without the clip's pass.
        lambda: optax.chain(*unclipped(), olrs.project_weights(every_matrix, specs=SPECS)), base="adamw, shard_map",
        bars=EXACT | dict(collectives=1, hbm=10.05 / 7), step=dict(shard_map=True),
    ),
    Variant(
        "recorder, binned; projection, deferred",
        lambda: adamw(
            before=(olrs.record_grad_norm(norms=BOTH),),
            after=(olrs.project_weights(every_matrix, mode="deferred"),),
        ),
        bars=DEFERRED | dict(arguments=None), pods=True,
    ),
]  # fmt: skip

# The average is read and written, the parameters are read once more; in a cond they are read for
# their check as well.
AVERAGES = [
    Variant(f"average of parameters, {name}", lambda o=options: adamw(after=(olrs.average_params(**o),)), pods=True,
            bars=dict(collectives=distinct_shardings(SMALL), temp=2 * MEGA, hbm=copies / 8, conditionals=conds))
    for name, copies, conds, options in (
        ("every step", 11.05, 0, dict(alpha=0.1)), ("every 10 steps", 12.05, 1, dict(alpha=0.1, every_steps=10)),
        ("latest 4 of every 10", 11.05, 2, dict(every_steps=10, latest=4)),
    )
]  # fmt: skip

# ── wrong on purpose: the count must catch these ─────────────────────────────────────────────────


def misplaced(put: Callable[[Any, Any, Any], Any], steps: int = 1_000_000) -> optax.GradientTransformation:
    """A recorder that computes the norm correctly and stores it wrongly."""

    def init(params):
        del params
        return jnp.zeros((), jnp.int32), jnp.zeros((steps,), jnp.float32)

    def update(updates, state, params=None):
        del params
        count, buffer = state
        return updates, (count + 1, put(buffer, count, updates))

    return optax.GradientTransformation(init, update)


def by_callback(buffer, count, updates):
    io_callback(lambda norm: None, None, optax.tree.norm(updates))
    return buffer


def by_mask(buffer, count, updates):
    return jnp.where(jnp.arange(buffer.size) == count, optax.tree.norm(updates), buffer)


def by_ravel(buffer, count, updates):
    return buffer.at[count].set(jnp.linalg.norm(ravel_pytree(updates)[0]))


LENGTH = RECORD | dict(hbm_beside="recorder, l1+l2, 10k steps")
WRONG = [  # and the end of the name of the bar that must not hold
    (Variant("wrong: io_callback", lambda: adamw(before=(misplaced(by_callback),)), bars=RECORD), "host transfers"),
    (Variant("wrong: where(arange == t)", lambda: adamw(before=(misplaced(by_mask),)), bars=LENGTH), "10k steps"),
    (
        Variant("wrong: ravel_pytree", lambda: adamw(before=(misplaced(by_ravel, 10_000),)), bars=RECORD),
        "of the base's",
    ),
]

# ── a user's own chain ──────────────────────────────────────────────────────────────────────────


def own(text: str, base: str) -> Variant:
    """The variant of ``module:function``, a function that returns a chain or a :class:`Variant`."""
    module, _, name = text.partition(":")
    if not name:
        raise ValueError(f"--chain takes module:function, got {text!r}")
    sys.path.insert(0, os.getcwd())
    made = getattr(importlib.import_module(module), name)
    found = made()
    return found if isinstance(found, Variant) else Variant(text, made, base=base)


VARIANTS = [*RATES, *RECORDERS, *PROJECTIONS, *AVERAGES]
