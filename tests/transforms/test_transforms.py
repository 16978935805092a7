"""The matrix of the gradient transformations, and broken ones that must fail it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from matrices import transform_cases
from matrices import transform_rules as rules
from matrices.transform_rules import Case

ROWS = [
    pytest.param(case, id=name, marks=[] if name in transform_cases.quick() else [pytest.mark.slow])
    for name, case in transform_cases.cases().items()
]


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("case", ROWS)
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
    """A broken re-warming transform, which branches on its boundary in Python."""
    return scale(updates, state.rate), State(state.rate * 0 if boundary else state.rate + 1)


def keep_only(updates, state, params=None, **extra):
    return updates, state


BROKEN = [
    (
        Case("no extra args", lambda: optax.GradientTransformation(lambda p: State(jnp.zeros(())), no_extra_args)),
        rules.takes_unexpected_extra_args,
    ),
    (Case("a Python number", transformation(lambda p: State(0.0), python_number)), rules.keeps_its_state_stable),
    (Case("grows", transformation(lambda p: State(()), grows)), rules.keeps_its_state_stable),
    (Case("grows", transformation(lambda p: State(()), grows)), rules.scans),
    (Case("grows", transformation(lambda p: State(()), grows)), rules.compiles_once),
    (Case("promotes", transformation(lambda p: State(jnp.zeros(())), promotes)), rules.keeps_the_type_of_updates),
    (
        Case("a weak type", transformation(lambda p: State(jnp.zeros((), jnp.float32)), weak)),
        rules.keeps_its_state_stable,
    ),
    (
        Case(
            "the parameters' type", transformation(lambda p: State(jnp.zeros((), jax.tree.leaves(p)[0].dtype)), drifts)
        ),
        rules.keeps_its_state_stable,
    ),
    (
        Case("one device", transformation(lambda p: State(jax.device_put(np.float32(0.5), jax.devices()[0])), keep)),
        rules.shards,
    ),
    (
        Case(
            "an if on a boundary",
            transformation(lambda p: State(jnp.zeros((), jnp.int32)), restarts),
            dict(boundary=np.True_),
        ),
        rules.compiles_once,
    ),
    (
        Case("needs a leaf", transformation(lambda p: State(jnp.zeros(()) + jax.tree.leaves(p)[0].sum()), keep)),
        rules.takes_an_empty_tree,
    ),
    (Case("a bare array", transformation(lambda p: jnp.ones(()), keep_only)), rules.can_be_adopted),
    (Case("a kept parameter", transformation(lambda p: State(jax.tree.leaves(p)[0]), keep_only)), rules.can_be_donated),
]


@pytest.mark.parametrize(("case", "rule"), BROKEN, ids=lambda x: getattr(x, "__name__", str(x)))
def test_the_matrix_catches(case, rule):
    with pytest.raises((AssertionError, TypeError, ValueError, IndexError)):
        rule(case)
