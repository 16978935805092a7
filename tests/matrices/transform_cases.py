"""Every public gradient transformation of the package: rows of the matrix in ``transform_rules``.

``ROWS`` lists them by public name. Add a row for each new transform; tests/house/test_discovery.py
reports a missing one. The first row of a transform is its quick one: the other rows are ``slow``.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax

import optax_lrs as olrs
from matrices.transform_rules import Case

LR = olrs.WSD(peak=0.1, total_steps=100, warmup_steps=3, decay_steps=20)
POWER_DECAY = LR.replace(decay=olrs.profiles.power(1.5))
JOINED = olrs.join(olrs.Linear(peak=0.2, total_steps=2), olrs.Tabulated(lrs=[0.3, 0.1]), at=2)
DECAY = olrs.Tabulated(lrs=[0.0, 0.02, 0.3], steps=[0, 5, 10])
BOTH = ("l2", "l1")
SHORT = olrs.WSD(peak=0.1, total_steps=20, warmup_steps=3, decay_steps=8)
WEIGHT_DECAY = olrs.Cosine(peak=0.2, total_steps=15)
MOMENTUM = olrs.Tabulated(lrs=[0.85, 0.95], steps=[0, 6])


def live(schedule):
    return lambda: olrs.scale_by_live_schedule(schedule)


def plateau(**options):
    return lambda: olrs.scale_by_plateau(**options)


def greedy(**options):
    return lambda: olrs.scale_by_greedy(min_scale=0.01, max_scale=10.0, **options)


def project(*args, **options):
    return lambda: olrs.project_weights(*args, **options)


def by_path(tx, rates):
    return lambda: olrs.with_rates_by_path(tx, LR, rates)


def matrices_only(params):
    return jax.tree.map(lambda x: x.ndim > 1, params)


def a_schedule_then_both():
    return optax.chain(live(LR)(), plateau(patience=0)(), greedy(patience=0)())


def before_a_clip():
    return optax.chain(olrs.record_grad_norm(norms=BOTH), optax.clip_by_global_norm(0.1), optax.adamw(0.1))


def adamw_live():
    return optax.chain(optax.clip_by_global_norm(1.0), optax.scale_by_adam(), live(POWER_DECAY)())


def adamw_decoupled():
    return optax.chain(optax.scale_by_adam(), live(LR)(), olrs.decay_weights(DECAY))


def adamw_like(learning_rate, b1, weight_decay):
    """A factory of a user's."""
    return optax.chain(
        optax.scale_by_adam(b1=b1), optax.add_decayed_weights(weight_decay), optax.scale_by_learning_rate(learning_rate)
    )


def hyperparams(factory, **hyperparams):
    return lambda: olrs.with_hyperparams(factory, learning_rate=SHORT, **hyperparams)


def adam():
    return olrs.with_hyperparams(optax.adamw, learning_rate=LR)


SCHEDULE_FREE = functools.partial(optax.contrib.schedule_free_adamw, warmup_steps=None)
ADAFACTOR = functools.partial(optax.adafactor, min_dim_size_to_factor=4, clipping_threshold=1.0)

ROWS = {
    "average_params": [
        Case("weights", lambda: olrs.average_params(every_steps=2, weights=olrs.merge_weights(2))),
        Case("latest", lambda: olrs.average_params(latest=3)),
    ],
    "decay_to_init": [Case("on kernels", lambda: olrs.decay_to_init(olrs.Constant(value=0.1), ".*/kernel"))],
    "decay_weights": [
        Case("alone", lambda: olrs.decay_weights(DECAY)),
        Case("masked", lambda: olrs.decay_weights(DECAY, mask=matrices_only)),
        Case("adamw, decoupled", adamw_decoupled),
    ],
    "partition_by_path": [
        Case("two optimizers", lambda: olrs.partition_by_path(sgd=(".*/bias", optax.sgd(LR)), adam=(".*", adam()))),
        Case("frozen", lambda: olrs.partition_by_path(none=(".*/bias", None), adam=(".*", adam()))),
    ],
    "project_weights": [
        Case("exact", project()),
        Case("deferred", project(mode="deferred")),
        Case("manual", project(mode="manual")),
        Case("every_steps=2", project(every_steps=2)),
        Case("per neuron", project(separate=-1, radius=olrs.projection.sqrt_fan_out)),
        Case("deferred, per neuron", project(separate=0, mode="deferred")),
        Case("heads", project(separate=olrs.projection.Heads(-1, 2), schedule=POWER_DECAY)),
        Case("joint", project("layer/kernel", joint="layer/bias", mode="deferred")),
    ],
    "record_effective_learning_rate": [
        Case("squared", lambda: olrs.projection.record_effective_learning_rate(POWER_DECAY, power=2, separate=-1)),
    ],
    "record_grad_norm": [
        Case("binned, few bins, both norms", lambda: olrs.record_grad_norm(norms=BOTH, bins=4)),
        Case("exact, with groups", lambda: olrs.record_grad_norm(steps=2, groups={"layer": "layer/.*"})),
        Case("before a clip and adamw", before_a_clip),
    ],
    "scale_by_greedy": [
        Case("min", greedy(patience=0, reset=1), {"value": np.float32(0.5)}),
        Case("max, averages", greedy(patience=0, accumulation=2, mode="max", warmup=1), {"value": 2.0}),
        Case("no value", greedy()),
        Case("after a schedule and plateau", a_schedule_then_both, {"value": 0.5}),
    ],
    "scale_by_live_schedule": [
        Case("Constant", live(olrs.Constant(value=0.1))),
        Case("WSD", live(POWER_DECAY)),
        Case("Joined", live(JOINED)),
        Case("adamw", adamw_live),
    ],
    "scale_by_plateau": [
        Case("min", plateau(factor=0.5, patience=0), {"value": 0.5}),
        Case("max, averages", plateau(factor=0.5, patience=0, accumulation=2, mode="max"), {"value": 1}),
        Case("bfloat16 value", plateau(patience=0, cooldown=2), {"value": jnp.bfloat16(0.3)}),
        Case("nan is bad", plateau(patience=1, nonfinite="bad"), {"value": math.nan}),
        Case("no value", plateau()),
    ],
    "scale_by_rewarming_schedule": [
        Case(
            "boundary and detector",
            lambda: olrs.scale_by_rewarming_schedule(
                POWER_DECAY, again=JOINED, detector=olrs.transforms.LossShift(memory_steps=2)
            ),
            {"boundary": np.True_, "value": np.float32(2.0)},
        ),
    ],
    "scale_by_weight_norm": [Case("squared", lambda: olrs.projection.scale_by_weight_norm(power=2, radius=3.0))],
    "with_hyperparams": [
        Case("sgd", hyperparams(optax.sgd, momentum=MOMENTUM)),
        Case("adamw", hyperparams(optax.adamw, b1=MOMENTUM, b2=0.99, weight_decay=WEIGHT_DECAY)),
        Case("adamw, coupled", hyperparams(optax.adamw, weight_decay=olrs.Coupled(value=WEIGHT_DECAY))),
        Case(
            "muon",
            hyperparams(optax.contrib.muon, beta=MOMENTUM, weight_decay=WEIGHT_DECAY, adam_learning_rate=WEIGHT_DECAY),
            optax_limits=("explicit mesh",),
        ),
        Case("lion", hyperparams(optax.lion, b1=MOMENTUM, weight_decay=0.1)),
        Case("ademamix", hyperparams(optax.contrib.ademamix, b3=0.999, alpha=olrs.Linear(peak=5.0, total_steps=9))),
        Case("schedule_free_adamw", hyperparams(SCHEDULE_FREE, b1=0.9), optax_limits=("float32 scalars",)),
        Case("rmsprop", hyperparams(optax.rmsprop, decay=MOMENTUM, momentum=0.9)),
        Case("adafactor", hyperparams(ADAFACTOR, decay_rate=0.8, weight_decay_rate=WEIGHT_DECAY)),
        Case("a chain", hyperparams(adamw_like, b1=MOMENTUM, weight_decay=WEIGHT_DECAY)),
    ],
    "with_rates_by_path": [
        Case("a factor", by_path(optax.scale_by_adam(), {"layer/kernel": 0.5})),
        Case("no factors", by_path(optax.identity(), {})),
        Case("frozen", by_path(optax.scale_by_adam(), {".*/bias": 0.0})),
        Case(
            "a schedule", by_path(optax.trace(0.9), {".*/bias": olrs.Linear(peak=1.0, total_steps=9), "layer/.*": 0.1})
        ),
    ],
    "with_refinement": [
        Case("adam", lambda: olrs.with_refinement(lambda rate: rate, POWER_DECAY, optimizer="adam", total_steps=9)),
    ],
}


@functools.cache
def cases() -> dict[str, Case]:
    """All rows, by the transform's name and the row's."""
    return {f"{transform}: {case}": case for transform, rows in ROWS.items() for case in rows}


def quick() -> set[str]:
    """The keys of the first row of each transform."""
    return {f"{transform}: {rows[0]}" for transform, rows in ROWS.items()}
