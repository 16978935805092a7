"""flax.serialization saves live schedules, and its import is not this package's."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import serialization
from flax.training.train_state import TrainState

import optax_lrs as olrs

LR = olrs.WSD(peak=0.1, total_steps=20, warmup_steps=3, decay_steps=10, decay=olrs.profiles.power(1.5))
PARAMS = {"w": jnp.ones(2), "b": jnp.zeros(1)}


def train_state(schedule=LR, tx=None):
    tx = tx or optax.chain(optax.scale_by_adam(), olrs.scale_by_live_schedule(schedule))
    return TrainState.create(apply_fn=None, params=PARAMS, tx=tx)


def assert_same(a, b):
    """Two TrainStates are equal, but for their optimizers, which are functions."""
    a, b = ((each.step, each.params, each.opt_state) for each in (a, b))
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(np.testing.assert_array_equal, a, b)


SCHEDULES = {
    "WSD": LR,
    "nested": olrs.join(olrs.Linear(peak=0.2, total_steps=2), olrs.Tabulated(lrs=[0.3, 0.1]), at=2),
    "Constant": olrs.Constant(value=0.5),
    "scaled": olrs.scaled(olrs.Cosine(peak=0.1, total_steps=5), factor=2.0),
}


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_train_states(schedule):
    other = jax.tree.map(lambda leaf: leaf * 3, schedule)
    trained = train_state(schedule).apply_gradients(grads=PARAMS)
    restored = serialization.from_bytes(train_state(other), serialization.to_bytes(trained))
    assert_same(restored, trained)
    assert restored.opt_state[1].schedule == trained.opt_state[1].schedule
    assert type(restored.opt_state[1].schedule) is type(schedule)


def test_every_hyper_parameter_and_rates_by_path():
    for tx in (
        olrs.with_hyperparams(optax.adamw, learning_rate=LR, b1=0.9),
        olrs.with_rates_by_path(optax.scale_by_adam(), LR, {"w": 0.5}),
        olrs.with_refinement(lambda rate: rate, LR, optimizer="adam", total_steps=9),
    ):
        trained = train_state(tx=tx).apply_gradients(grads=PARAMS)
        assert_same(serialization.from_bytes(train_state(tx=tx), serialization.to_bytes(trained)), trained)


def test_schedules_alone():
    assert serialization.from_bytes(LR, serialization.to_bytes(LR)) == LR
    assert serialization.to_state_dict(olrs.Constant(value=0.5)) == {"value": 0.5}


@pytest.mark.parametrize(
    ("saved", "template", "message"),
    [
        (
            LR,
            olrs.Constant(value=0.5),
            r"opt_state/1/schedule holds the numbers decay, end, peak, and the template has",
        ),
        (
            olrs.Tabulated(lrs=[0.3, 0.1]),
            olrs.Tabulated(lrs=[0.3, 0.2, 0.1]),
            r"schedule/lrs has shape \(2,\), and that of the template's Tabulated has \(3,\)",
        ),
    ],
    ids=["class", "length"],
)
def test_a_template_with_another_schedule_is_an_error(saved, template, message):
    written = serialization.to_bytes(train_state(saved))
    with pytest.raises(ValueError, match=message):
        serialization.from_bytes(train_state(template), written)


PROGRAM = """
import sys
{first}
assert "{second}" not in sys.modules, "imported by the other package"
{then}
import jax.numpy as jnp, optax

class Mine(olrs.Schedule):
    peak: float
    def rate(self, clock):
        return self.peak * (1.0 + 0.0 * clock.done(0, 10))

for schedule in (olrs.Cosine(peak=0.1, total_steps=5), Mine(peak=0.5)):
    tx = olrs.scale_by_live_schedule(schedule)
    state = tx.init({{"w": jnp.ones(2)}})
    assert flax.serialization.from_bytes(state, flax.serialization.to_bytes(state)).schedule == state.schedule
"""
OURS, THEIRS = "import optax_lrs as olrs", "import flax.serialization"


@pytest.mark.parametrize(
    "program",
    [
        PROGRAM.format(first=OURS, then=THEIRS, second="flax.serialization"),
        PROGRAM.format(first=THEIRS, then=OURS, second="optax_lrs"),
    ],
    ids=["optax_lrs first", "flax first"],
)
def test_whichever_is_imported_first(program):
    subprocess.run([sys.executable, "-c", program], check=True)
