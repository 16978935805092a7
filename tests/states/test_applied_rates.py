"""What learning_rates reports is what moved the parameters, for 33 optimizers in wrappers."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optimizers import OPTIMIZERS

import optax_lrs as olrs

PARAMS = {"w": jnp.array([[1.0, 2.0], [3.0, 4.0]])}
GRADS = [{"w": jnp.array([[0.3, -0.2], [0.5, 0.1]])}, {"w": jnp.array([[-0.3, 0.4], [0.25, -0.6]])}] * 2
RATES = {"constant": 0.2, "scheduled": optax.linear_schedule(0.2, 0.1, 10)}

NOTHING_TO_READ = {
    "adadelta": "its moments keep no count, and a constant rate is no state",
    "adagrad": "its sum of squares keeps no count, and a constant rate is no state",
    "adagrad with momentum": "the trace keeps no count either",
    "sgd": "it has no state at all",
    "sign_sgd": "it has no state at all",
}
"""Why the rate cannot be known, of a constant rate outside of ``inject_hyperparams``."""

FROM_THE_GRADIENT = ("dog", "dowg", "mechanize", "schedule_free")
"""What scales the gradient itself: the reference is the gradient. Of the last two, in the first
update."""
ESTIMATES = ("dadapt_adamw", "prodigy")
"""What estimates a scale in a moment: the reference is its first update with an estimate of 1."""
IN_THE_FIRST_UPDATE = ("mechanize", "schedule_free", *ESTIMATES)

WRAPPERS = {
    "alone": lambda tx: tx,
    "partition": lambda tx: optax.partition({"a": tx, "b": optax.set_to_zero()}, {"w": "a"}),
    "masked": lambda tx: optax.masked(tx, {"w": True}),
    "MultiSteps": lambda tx: optax.MultiSteps(tx, 2).gradient_transformation(),
    "apply_if_finite": lambda tx: optax.apply_if_finite(tx, 2),
    "inject_hyperparams": None,
}


def constant_one(rate):
    """A rate of 1 that needs the same state as another rate."""
    return optax.constant_schedule(1.0) if callable(rate) else 1.0


def made(name, wrapper, rate):
    if wrapper == "inject_hyperparams":
        factory = lambda learning_rate: OPTIMIZERS[name](learning_rate)  # noqa: E731 - inject reads its arguments
        return optax.with_extra_args_support(optax.inject_hyperparams(factory)(learning_rate=rate))
    return optax.with_extra_args_support(WRAPPERS[wrapper](OPTIMIZERS[name](rate)))


def with_estimate(state, value):
    return jax.tree_util.tree_map_with_path(
        lambda key, leaf: jnp.full_like(leaf, value) if "estim_lr" in jax.tree_util.keystr(key) else leaf, state
    )


def reference(name, wrapper, rate, state, grads, params):
    """The update of the same optimizer in the same state with a rate of 1, against which a rate is
    measured."""
    if name in FROM_THE_GRADIENT:
        return -grads["w"]
    if name in ESTIMATES:
        state = with_estimate(state, 1.0)
    if wrapper == "inject_hyperparams":
        tx, state = optax.with_extra_args_support(OPTIMIZERS[name](jnp.float32(1.0))), state.inner_state
    else:
        tx = made(name, wrapper, constant_one(rate))
    return tx.update(grads, state, params)[0]["w"]


def trained(name, wrapper, rate):
    """The state after some updates, and the rate of the last one as measured."""
    tx, params = made(name, wrapper, rate), PARAMS
    if name == "mechanize":  # its update is a difference of parameters: from zero it is exact
        params = {"w": jnp.zeros((2, 2))}
    state = tx.init(params)
    updates = 1 if name in IN_THE_FIRST_UPDATE else 3
    for grads in GRADS[:updates]:
        for _ in range(2 if wrapper == "MultiSteps" else 1):
            before = state
            update, state = tx.update(grads, before, params)
        expected = reference(name, wrapper, rate, before, grads, params)
        params = optax.apply_updates(params, update)
    measured = jnp.vdot(update["w"], expected) / jnp.vdot(expected, expected)
    np.testing.assert_allclose(update["w"], measured * expected, rtol=2e-3, atol=1e-9)  # one number scales all of it
    return state, float(measured)


def given(name, wrapper, rate):
    """What the reader must be told: nothing where the rate is in the state."""
    if wrapper == "inject_hyperparams":
        return None
    return {"muon": rate, "adam": rate} if name == "muon" else rate


slow = pytest.mark.slow
CASES = [
    pytest.param(name, wrapper, marks=[] if wrapper == "alone" else slow) for name in OPTIMIZERS for wrapper in WRAPPERS
]


@pytest.mark.parametrize("kind", RATES)
@pytest.mark.parametrize(("name", "wrapper"), CASES)
def test_what_is_reported_moved_the_parameters(name, wrapper, kind):
    rate = RATES[kind]
    state, measured = trained(name, wrapper, rate)
    told = given(name, wrapper, rate)
    if name in NOTHING_TO_READ and kind == "constant" and told is not None:
        with pytest.raises(ValueError, match="holds no rate"):
            olrs.learning_rates(state, told)
        return
    rates = olrs.learning_rates(state, told)
    assert wrapper != "partition" or {label.split("/")[0] for label in rates} == {"a"}
    np.testing.assert_allclose([float(each) for each in rates.values()], measured, rtol=1e-4)


def test_at_most_eight_of_thirty_three_cannot_be_read():
    assert len(OPTIMIZERS) == 33 and len(NOTHING_TO_READ) <= 8 and NOTHING_TO_READ.keys() <= OPTIMIZERS.keys()
