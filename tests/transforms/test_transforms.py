"""The matrix of the gradient transformations, and what must fail it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optax_lrs as olrs
from matrices import transform_rules as rules
from matrices.transform_rules import Case

SCHEDULES = [
    olrs.Constant(value=0.1),
    olrs.WSD(peak=0.1, total_steps=100, warmup_steps=3, decay_steps=20, decay=olrs.profiles.power(1.5)),
    olrs.join(olrs.Linear(peak=0.2, total_steps=2), olrs.Tabulated(lrs=[0.3, 0.1]), at=2),
]
CASES = [
    Case(f"scale_by_live_schedule({type(s).__name__})", lambda s=s: olrs.scale_by_live_schedule(s)) for s in SCHEDULES
] + [
    Case("refined",
         lambda: olrs.with_refinement(lambda rate: rate, SCHEDULES[1], optimizer="adam", total_steps=9)),
    Case("adamw with a live schedule",
         lambda: optax.chain(optax.clip_by_global_norm(1.0), optax.scale_by_adam(), olrs.scale_by_live_schedule(SCHEDULES[1]))),
    Case("average_params(weights)", lambda: olrs.average_params(every_steps=2, weights=olrs.merge_weights(2))),
    Case("average_params(latest)", lambda: olrs.average_params(latest=3)),
    Case("project_weights", olrs.project_weights),
    Case("project_weights(deferred)", lambda: olrs.project_weights(mode="deferred")),
    Case("project_weights(manual)", lambda: olrs.project_weights(mode="manual")),
    Case("project_weights(every_steps=2)", lambda: olrs.project_weights(every_steps=2)),
    Case("project_weights(per neuron)", lambda: olrs.project_weights(separate=-1, radius=olrs.projection.sqrt_fan_out)),
    Case("project_weights(deferred, per neuron)", lambda: olrs.project_weights(separate=0, mode="deferred")),
    Case("project_weights(heads)", lambda: olrs.project_weights(separate=olrs.projection.Heads(-1, 2), schedule=SCHEDULES[1])),
    Case("project_weights(joint)", lambda: olrs.project_weights("layer/kernel", joint="layer/bias", mode="deferred")),
    Case("decay_to_init", lambda: olrs.decay_to_init(olrs.Constant(value=0.1), ".*/kernel")),
    Case("record_effective_learning_rate",
         lambda: olrs.record_effective_learning_rate(SCHEDULES[1], power=2, separate=-1)),
    Case("rewarming",
         lambda: olrs.scale_by_rewarming_schedule(SCHEDULES[1], again=SCHEDULES[2], detector=olrs.transforms.LossShift(memory_steps=2)),
         dict(boundary=np.True_, value=np.float32(2.0))),
    Case("scale_by_weight_norm", lambda: olrs.scale_by_weight_norm(power=2, radius=3.0)),
]  # fmt: skip


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_rule(case, rule):
    rule(case)


# ── what must fail ────────────────────────────────────────────────────────────────────────────


class State(NamedTuple):
    rate: object


def transformation(init, update):
    return lambda: optax.GradientTransformationExtraArgs(init, update)


def scale(updates, rate):
    return jax.tree.map(lambda g: (rate * g).astype(g.dtype), updates)


def keep(updates, state, params=None, **extra):
    return scale(updates, state.rate), state


def no_extra_args(updates, state, params=None):
    return updates, state


def python_number(updates, state, params=None, **extra):
    return scale(updates, 0.5), State(state.rate + 1.0)


def grows(updates, state, params=None, **extra):
    return updates, State((*state.rate, jnp.zeros(())))


def promotes(updates, state, params=None, **extra):
    return jax.tree.map(lambda g: g * jnp.float32(0.5), updates), state


def weak(updates, state, params=None, **extra):
    return updates, State(jnp.asarray(0.5))


def drifts(updates, state, params=None, **extra):
    return updates, State(state.rate.astype(jnp.float32))


def restarts(updates, state, params=None, *, boundary=None, **extra):
    """A rewarming that asks its boundary with a Python if."""
    return scale(updates, state.rate), State(state.rate * 0 if boundary else state.rate + 1)


def keep_only(updates, state, params=None, **extra):
    return updates, state


BROKEN = [
    (Case("no extra args", lambda: optax.GradientTransformation(lambda p: State(jnp.zeros(())), no_extra_args)),
     rules.takes_unexpected_extra_args),
    (Case("a Python number", transformation(lambda p: State(0.0), python_number)), rules.keeps_its_state_stable),
    (Case("grows", transformation(lambda p: State(()), grows)), rules.keeps_its_state_stable),
    (Case("grows", transformation(lambda p: State(()), grows)), rules.scans),
    (Case("grows", transformation(lambda p: State(()), grows)), rules.compiles_once),
    (Case("promotes", transformation(lambda p: State(jnp.zeros(())), promotes)), rules.keeps_the_type_of_updates),
    (Case("a weak type", transformation(lambda p: State(jnp.zeros((), jnp.float32)), weak)), rules.keeps_its_state_stable),
    (Case("the parameters' type", transformation(lambda p: State(jnp.zeros((), jax.tree.leaves(p)[0].dtype)), drifts)),
     rules.keeps_its_state_stable),
    (Case("one device", transformation(lambda p: State(jax.device_put(np.float32(0.5), jax.devices()[0])), keep)),
     rules.shards),
    (Case("an if on a boundary", transformation(lambda p: State(jnp.zeros((), jnp.int32)), restarts),
          dict(boundary=np.True_)), rules.compiles_once),
    (Case("needs a leaf", transformation(lambda p: State(jnp.zeros(()) + jax.tree.leaves(p)[0].sum()), keep)),
     rules.takes_an_empty_tree),
    (Case("a bare array", transformation(lambda p: jnp.ones(()), keep_only)), rules.can_be_adopted),
    (Case("a kept parameter", transformation(lambda p: State(jax.tree.leaves(p)[0]), keep_only)), rules.can_be_donated),
]  # fmt: skip


@pytest.mark.parametrize(("case", "rule"), BROKEN, ids=lambda x: getattr(x, "__name__", str(x)))
def test_the_matrix_catches(case, rule):
    with pytest.raises((AssertionError, TypeError, ValueError, IndexError)):
        rule(case)
