"""What was applied, under readable names; and what cannot be known is an error that says what to
do."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optax_lrs as olrs

PARAMS = {"w": jnp.ones((2, 2)), "b": jnp.ones(2)}
FAST, SLOW = optax.linear_schedule(1.0, 0.5, 10), optax.linear_schedule(0.1, 0.05, 10)
HALF = olrs.Constant(value=0.5)
LIVE = olrs.scale_by_live_schedule(HALF)


def after(tx, updates=2, **extra):
    state = tx.init(PARAMS)
    for _ in range(updates):
        _, state = optax.with_extra_args_support(tx).update(PARAMS, state, PARAMS, **extra)
    return state


def test_two_schedules_of_muon_and_adam():
    state = after(optax.contrib.muon(FAST, adam_learning_rate=SLOW))
    rates = olrs.learning_rates(state, {"muon": FAST, "adam": SLOW})
    assert {name: float(rate) for name, rate in rates.items()} == pytest.approx({"muon": 0.95, "adam": 0.095})
    with pytest.raises(ValueError, match=r"several states keep only a count.*'adam': ..., 'muon': \.\.\."):
        olrs.learning_rates(state, FAST)
    with pytest.raises(ValueError, match="no rate for adam, only a count"):
        olrs.learning_rates(state, {"muon": FAST})
    with pytest.raises(ValueError, match=r"schedule has 'mion', which is .* group of this state.*adam, muon"):
        olrs.learning_rates(state, {"mion": FAST})
    with pytest.raises(ValueError, match="has several rates: adam, muon"):
        olrs.learning_rate(state, {"muon": FAST, "adam": SLOW})


def test_rates_and_scales_of_one_chain_are_multiplied():
    warm = optax.linear_schedule(0.0, 1.0, 4)
    state = after(optax.chain(optax.scale_by_schedule(warm), LIVE))
    assert float(olrs.learning_rate(state, warm)) == 0.125
    with pytest.raises(ValueError, match="only a count of steps; pass schedule="):
        olrs.learning_rates(state)

    def with_plateau(learning_rate):
        return optax.chain(optax.sgd(learning_rate), optax.contrib.reduce_on_plateau(factor=0.5, patience=1))

    state = after(optax.inject_hyperparams(with_plateau)(learning_rate=0.5), 4, value=1.0)
    scale = float(optax.tree.get(state, "scale"))
    assert scale < 1.0 and float(olrs.learning_rate(state)) == 0.5 * scale

    parts = optax.partition({"x": optax.scale_by_schedule(FAST), "y": optax.set_to_zero()}, {"w": "x", "b": "y"})
    rates = olrs.learning_rates(after(optax.chain(parts, LIVE)), FAST)
    assert {name: float(rate) for name, rate in rates.items()} == pytest.approx({"x": 0.475})


@pytest.mark.parametrize("tx", [olrs.with_hyperparams(optax.sgd, learning_rate=0.1), optax.chain(LIVE)])
def test_two_rates_that_climb_are_refused(tx):
    with pytest.raises(ValueError, match="both scale the same updates by a negative rate, so that the loss climbs"):
        olrs.log_dict(after(optax.chain(tx, LIVE), 1))


WITH_RATES = [
    optax.adamw(1.0),
    optax.sgd(optax.linear_schedule(0.0, 1.0, 5)),
    optax.contrib.muon(0.1),
    optax.masked(optax.sgd(0.1), {"w": True, "b": False}),
]


@pytest.mark.parametrize("tx", WITH_RATES)
def test_an_optimizer_with_a_rate_is_refused_by_its_sign(tx):
    with pytest.raises(ValueError, match="tx must not have a learning rate, but its updates point against"):
        olrs.with_rates_by_path(tx, HALF, {}).init(PARAMS)
    jax.eval_shape(olrs.with_rates_by_path(tx, HALF, {}).init, PARAMS)  # nothing is known of traced parameters


def test_an_optimizer_with_a_live_rate_is_refused_by_its_state():
    tx = olrs.with_rates_by_path(optax.chain(optax.scale_by_adam(), LIVE), HALF, {})
    with pytest.raises(ValueError, match="its state has a LiveScheduleState"):
        jax.eval_shape(tx.init, PARAMS)


@pytest.mark.parametrize("tx", [optax.scale_by_adam(), optax.contrib.scale_by_muon(), optax.scale_by_lion()])
def test_an_optimizer_without_a_rate_is_not_refused(tx):
    olrs.with_rates_by_path(optax.chain(tx, optax.add_decayed_weights(0.1)), HALF, {}).init(PARAMS)


def groups():
    muon = olrs.with_hyperparams(optax.contrib.muon, learning_rate=0.1, adam_learning_rate=0.2, beta=0.9)
    adam = olrs.with_hyperparams(optax.adamw, learning_rate=HALF, weight_decay=0.25)
    return optax.chain(olrs.record_grad_norm(), olrs.partition_by_path(muon=("w", muon), adam=(".*", adam)))


LOGGED = {
    "learning_rate/muon": 0.1,
    "adam_learning_rate/muon": 0.2,
    "beta/muon": 0.9,
    "learning_rate/adam": 0.5,
    "weight_decay/adam": 0.25,
    "grad_norm": 6**0.5,
    "skipped_steps": 0.0,
}


def test_log_dict_and_with_schedule_share_their_names(monkeypatch):
    state, fetched = after(groups()), []
    get = jax.device_get
    monkeypatch.setattr(jax, "device_get", lambda tree: fetched.append(1) or get(tree))
    values = olrs.log_dict(state)
    assert values == pytest.approx(LOGGED, rel=1e-6) and all(type(value) is float for value in values.values())
    assert len(fetched) == 1, "one transfer"
    live = [name for name in LOGGED if "/" in name]
    for name in live:
        for path in (name, "/".join(reversed(name.split("/")))):  # weight_decay/adam, adam/weight_decay
            new = olrs.with_schedule(state, olrs.Constant(value=7.0), path=path)
            before, now = jax.tree.leaves(state), jax.tree.leaves(new)
            assert [float(b) for a, b in zip(before, now) if a is not b] == [7.0], path
    with pytest.raises(ValueError, match="the live schedules in this optimizer state differ; choose one by path="):
        olrs.with_schedule(state, HALF)
    with pytest.raises(TypeError, match="inside jit return learning_rates"):
        jax.jit(olrs.log_dict)(state)


@pytest.mark.parametrize("steps", [None, 16])
def test_the_norm_of_the_last_step(steps):
    tx = olrs.record_grad_norm(norms=("l1", "l2"), steps=steps, groups={"matrix": "w"})
    state = tx.init(PARAMS)
    assert np.isnan(olrs.log_dict(state)["grad_norm"])
    for size in (1.0, 2.0, np.nan, 3.0):
        _, state = tx.update(jax.tree.map(lambda p, size=size: p * size, PARAMS), state)
        norms = {"grad_norm": 6**0.5, "grad_norm_l1": 6.0, "grad_norm_matrix": 2.0, "grad_norm_l1_matrix": 4.0}
        values = olrs.log_dict(state)
        for name, norm in norms.items():
            np.testing.assert_allclose(values[name], norm * size, rtol=1e-5)
    assert values["skipped_steps"] == 1.0


def test_weights_and_biases(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    with wandb.init(project="test", dir=tmp_path) as run:
        run.log(olrs.log_dict(after(groups())), step=2)
        assert run.summary["learning_rate/muon"] == pytest.approx(0.1)


def test_tensorboard(tmp_path):
    tensorboardx = pytest.importorskip("tensorboardX", reason="tensorboardX is not installed")
    with tensorboardx.SummaryWriter(str(tmp_path)) as writer:
        for name, value in olrs.log_dict(after(groups())).items():
            writer.add_scalar(name, value, 2)
    assert list(tmp_path.iterdir())


def test_clu(tmp_path):
    metric_writers = pytest.importorskip("clu.metric_writers", reason="clu is not installed")
    writer = metric_writers.create_default_writer(str(tmp_path), just_logging=True)
    writer.write_scalars(2, olrs.log_dict(after(groups())))
    writer.flush()
