"""Schedules of other hyper-parameters: decoupled weight decay against NumPy, and recipes."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optax_lrs as olrs
from matrices import transform_cases
from matrices import transform_rules as rules

LR = olrs.WSD(peak=0.1, total_steps=8, warmup_steps=2, decay_steps=4)
DECAY = transform_cases.DECAY
ROWS = transform_cases.ROWS["decay_weights"]


@pytest.mark.parametrize("case", ROWS, ids=str)
def test_counts_updates_inside_multi_steps(case):
    tx = optax.MultiSteps(case.make(), every_k_schedule=2).gradient_transformation()
    state, params = tx.init(rules.params()), rules.params()
    for _ in range(4):
        _, state = tx.update(rules.grads(), state, params)
    np.testing.assert_allclose(optax.tree.get(state, "weight_decay"), DECAY.at(1), rtol=1e-6)


def adamw_in_numpy(theta, gradients, rates, decays, b1=0.9, b2=0.999, eps=1e-8):
    """Algorithm 2 of Loshchilov and Hutter with its own schedule for the decay, in float64."""
    m = v = np.zeros_like(theta)
    for t, (g, rate, decay) in enumerate(zip(gradients, rates, decays), start=1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        step = (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
        theta = theta - rate * step - decay * theta
    return theta


def test_weight_decay_is_decoupled_from_the_rate():
    gradients = np.random.default_rng(0).normal(size=(12, 5))
    start = np.linspace(-2.0, 3.0, 5)
    steps = np.arange(12)
    for lr in (LR, olrs.scaled(LR, factor=0.0), olrs.scaled(LR, factor=3.0)):
        tx = optax.chain(optax.scale_by_adam(), optax.scale_by_learning_rate(lr), olrs.decay_weights(DECAY))
        params = jnp.asarray(start, jnp.float32)
        state, update = tx.init(params), jax.jit(tx.update)
        for gradient in gradients:
            updates, state = update(jnp.asarray(gradient, jnp.float32), state, params)
            params = optax.apply_updates(params, updates)
        expected = adamw_in_numpy(start, gradients, lr.at(steps), DECAY.at(steps))
        np.testing.assert_allclose(params, expected, rtol=1e-5, atol=1e-6)
    alone = start * np.prod(1 - DECAY.at(steps))  # at a rate of 0 the decay continues
    np.testing.assert_allclose(adamw_in_numpy(start, gradients, 0 * steps, DECAY.at(steps)), alone, rtol=1e-12)


def test_bfloat16_is_rounded_once():
    tx = olrs.decay_weights(olrs.Constant(value=1e-3))
    params, updates = {"w": jnp.full(3, 1.0, jnp.bfloat16)}, {"w": jnp.full(3, 2.0**-9, jnp.bfloat16)}
    with jax.numpy_dtype_promotion("standard"):
        got, _ = tx.update(updates, tx.init(params), params)
    assert got["w"].dtype == jnp.bfloat16
    np.testing.assert_array_equal(got["w"], np.asarray(2.0**-9 - np.float32(1e-3), jnp.bfloat16))


def test_mistakes():
    with pytest.raises(
        TypeError, match=r"decay_weights: schedule must be callable, such as Constant\(value=1e-5\), got 0.1"
    ):
        olrs.decay_weights(0.1)
    tx = olrs.decay_weights(DECAY)
    with pytest.raises(ValueError, match="decay_weights: update needs the parameters"):
        tx.update(rules.grads(), tx.init(rules.params()))


def test_momentum_on_a_schedule():
    """optax.inject_hyperparams takes our schedules, in float32 with bfloat16 parameters."""
    momentum = olrs.Tabulated(lrs=[0.85, 0.95], steps=[0, 4])
    tx = optax.inject_hyperparams(optax.sgd, hyperparam_dtype=jnp.float32)(learning_rate=LR, momentum=momentum)
    params = {"w": jnp.ones(2, jnp.bfloat16)}
    state = tx.init(params)
    for _ in range(3):
        _, state = jax.jit(tx.update)(params, state, params)
    np.testing.assert_allclose(state.hyperparams["momentum"], 0.9, rtol=1e-6)
    np.testing.assert_allclose(olrs.learning_rate(state), LR.at(2), rtol=1e-6)


def test_label_smoothing_and_a_share_in_the_loss():
    smoothing = olrs.WSD(peak=0.2, total_steps=10, warmup_steps=4, decay_steps=0)
    traces = []

    @jax.jit
    def loss(smoothing, step, logits, label):
        traces.append(1)
        labels = optax.smooth_labels(jax.nn.one_hot(label, 3), smoothing(step))
        return optax.softmax_cross_entropy(logits, labels)

    logits = np.array([2.0, 0.5, -1.0])
    log_p = logits - np.log(np.sum(np.exp(logits)))
    for step, peak in ((0, 0.2), (2, 0.2), (9, 0.1)):
        share = smoothing.replace(peak=peak).at(step)
        expected = -((1 - share) * log_p[0] + share * np.mean(log_p))
        got = loss(smoothing.replace(peak=peak), step, jnp.asarray(logits, jnp.float32), 0)
        np.testing.assert_allclose(got, expected, rtol=1e-5)
    assert len(traces) == 1


def test_a_batch_size_on_the_host():
    batch = olrs.join(*(olrs.Constant(value=size) for size in (32, 64, 128)), at=[10, 30])
    assert [int(batch.at(step)) for step in (0, 9, 10, 29, 30, 10**9)] == [32, 32, 64, 64, 128, 128]


def test_decay_of_complex_weights_and_of_none():
    tx = olrs.decay_weights(olrs.Constant(value=0.5))
    params = {"w": jnp.array([1 + 2j]), "b": jnp.ones(1)}
    updates, _ = tx.update({"w": jnp.zeros(1, jnp.complex64), "b": None}, tx.init(params), params)
    assert updates["b"] is None and complex(updates["w"][0]) == -0.5 - 1j
