"""The step that a state is at, and schedules set to another one without Adam noticing."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx, serialization
from flax.training.train_state import TrainState
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import optax_lrs as olrs
from matrices import adoption_cases as cases
from matrices.adoption_cases import S, params, train
from matrices.transform_rules import described
from optax_lrs.adoption import reset_schedule, step_of

STATES = {  # an optimizer, and how many updates it counts after four micro-batches
    "adam": (lambda: optax.adam(0.1), 4),
    "adam, a schedule": (lambda: optax.adam(S), 4),
    "sgd, a schedule": (lambda: optax.sgd(S), 4),
    "lion": (lambda: optax.lion(0.1), 4),
    "adafactor": (lambda: optax.adafactor(0.1), 4),
    "live": (lambda: cases.adam_live(S), 4),
    "inject": (lambda: cases.inject(S), 4),
    "inject, sgd": (lambda: optax.inject_hyperparams(optax.sgd)(learning_rate=0.1), 4),
    "with_rates_by_path": (lambda: olrs.with_rates_by_path(optax.identity(), S, {".*/bias": 2.0}), 4),
    "masked": (lambda: optax.masked(optax.adamw(S), cases.MASK), 4),
    "partition": (lambda: cases.partition(lambda: optax.adamw(S)), 4),
    "apply_if_finite": (lambda: optax.apply_if_finite(optax.adamw(0.1), 3), 4),
    "MultiSteps": (lambda: cases.multi(2, optax.adamw(S)), 2),
    "MultiSteps, sgd": (lambda: cases.multi(2, optax.sgd(0.1)), 2),
    "a recorder that is new": (lambda: optax.chain(optax.adam(0.1), olrs.record_grad_norm(steps=9)), 4),
    "decay_weights": (lambda: optax.chain(optax.sgd(0.1), olrs.decay_weights(cases.DECAY)), 4),
    "refined": (lambda: cases.with_refinement(optax.identity()), 4),
}


@pytest.mark.parametrize("name", STATES)
def test_step_of(name):
    make, steps = STATES[name]
    tx = make()
    state = tx.init(params())
    assert step_of(state) == 0
    state = train(tx, params(), state, 0, 4)[1]
    if "recorder" in name:
        state = (state[0], state[1]._replace(count=jnp.int32(1)))
    assert step_of(state) == steps and type(step_of(state)) is int
    raw = serialization.to_state_dict(state) if name != "refined" else state
    assert step_of(raw) == steps
    assert (
        step_of({"params": {"count": jnp.int32(7), "mu": 1.0, "nu": 1.0}, "opt_state": raw, "step": jnp.int32(4)})
        == steps
    )
    if name not in ("partition", "inject"):
        assert int(jax.jit(step_of)(state)) == steps


def test_a_step_beside_the_state():
    """A TrainState's own step counts micro-batches: it is asked last."""
    for tx, steps in ((optax.sgd(0.1), 5), (optax.adam(0.1), 0)):
        state = TrainState.create(apply_fn=None, params=params(), tx=tx).replace(step=jnp.int32(5))
        assert step_of(state) == steps
    assert step_of(TrainState.create(apply_fn=None, params=params(), tx=optax.sgd(0.1))) == 0  # a Python int

    class Model(nnx.Module):
        def __init__(self):
            self.w = nnx.Param(jnp.ones(3))

    model = Model()
    for tx in (optax.sgd(0.1), optax.adam(S)):
        optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
        for _ in range(3):
            optimizer.update(model, nnx.state(model, nnx.Param))
        assert (
            step_of(optimizer) == step_of(nnx.state(optimizer)) == step_of(nnx.to_pure_dict(nnx.state(optimizer))) == 3
        )


def test_what_has_no_step_or_two():
    p = params()
    with pytest.raises(ValueError, match="nothing in this state counts updates"):
        step_of(optax.sgd(0.1, momentum=0.9).init(p))
    with pytest.raises(ValueError, match="nothing"):
        step_of(optax.contrib.reduce_on_plateau().init(p))
    state = cases.partition(lambda: optax.adamw(S)).init(p)
    a, b = (f"inner_states/{label}/inner_state/2" for label in "ab")
    state = reset_schedule(state, step=7, path=a)
    with pytest.raises(ValueError, match=f"the counts disagree \\({a}/count: 7, {b}/count: 0\\): choose one by path="):
        step_of(state)
    assert (
        step_of(state, path="inner_states/a") == step_of(state, path=f"{a}/count") == 7 and step_of(state, path=b) == 0
    )
    with pytest.raises(ValueError, match="at 'elsewhere'"):
        step_of(state, path="elsewhere")
    with pytest.raises(ValueError, match="inside jit the counts at"):
        jax.jit(step_of)(state)
    assert int(jax.jit(lambda s: step_of(s, path=a))(state)) == 7
    with pytest.raises(ValueError, match="a shape without a value"):
        step_of(jax.eval_shape(optax.adam(0.1).init, p))
    seeds = jax.vmap(lambda _: optax.adam(S).init(p))(jnp.arange(3))
    assert step_of(seeds) == 0
    with pytest.raises(ValueError, match="0/1/2"):
        step_of((seeds[0], seeds[1]._replace(count=jnp.arange(3))))


# ── reset_schedule ────────────────────────────────────────────────────────────────────────────


def counts(state):
    return [int(np.asarray(jax.tree.leaves(count)[0])) for _, count in optax.tree.get_all_with_path(state, "count")]


def test_adams_count_stays():
    """The trap of ``optax.tree.set(state, count=0)`` costs the factor that is documented."""
    tx = optax.adam(S)
    p, state = train(tx, params(), tx.init(params()), 0, 7)
    assert counts(optax.tree.set(state, count=jnp.int32(0))) == [0, 0]
    assert counts(reset_schedule(state)) == [7, 0] and counts(reset_schedule(state, step=3)) == [7, 3]
    at_peak = reset_schedule(state, step=5)
    wrong = optax.tree.set(at_peak, lambda path, _: "ScaleByAdamState" in str(path), count=jnp.int32(0))
    right, wrong = (tx.update(cases.grads(p, 7), s, p)[0] for s in (at_peak, wrong))
    factor = (1 - 0.9**8) / (1 - 0.9) * np.sqrt((1 - 0.999) / (1 - 0.999**8))
    assert 2 < factor
    for a, b in zip(jax.tree.leaves(right), jax.tree.leaves(wrong)):
        np.testing.assert_allclose(b, factor * a, rtol=1e-4)


def test_all_schedules_and_nothing_else():
    decay = olrs.Constant(value=0.0)
    tx = optax.chain(
        olrs.record_grad_norm(steps=9),
        optax.scale_by_adam(),
        optax.scale_by_schedule(S),
        optax.ema(0.9),
        olrs.scale_by_live_schedule(S),
        olrs.decay_weights(decay),
        olrs.decay_to_init(decay, "layer/bias"),
        olrs.project_weights("layer/kernel"),
        olrs.projection.record_effective_learning_rate(S, power=1, weights="layer/kernel"),
        olrs.with_rates_by_path(optax.identity(), S, {}),
        olrs.scale_by_plateau(),
        optax.inject_hyperparams(optax.sgd)(0.1),
    )
    state = train(tx, params(), tx.init(params()), 0, 3)[1]
    reset = reset_schedule(state, step=8)
    expected = list(state)
    for i in (2, 4, 5, 6, 7, 8, 11):
        expected[i] = state[i]._replace(count=jnp.int32(8))
    expected[9]["rates"] = state[9]["rates"]._replace(live=state[9]["rates"].live._replace(count=jnp.int32(8)))
    assert jax.tree.structure(reset) == jax.tree.structure(state)
    for a, b in zip(jax.tree.leaves(reset), jax.tree.leaves(tuple(expected))):
        np.testing.assert_array_equal(a, b)
    assert step_of(reset) == 8


def test_where_and_how():
    tx = cases.multi(2, cases.partition(lambda: optax.adamw(S)))
    state = train(tx, params(), tx.init(params()), 0, 4)[1]
    only = reset_schedule(state, path="inner_opt_state/inner_states/b")
    assert counts(only) == [2, 2, 2, 0] and int(only.gradient_step) == 2 and described(only) == described(state)
    jitted = jax.jit(reset_schedule, static_argnames="path")
    assert counts(jitted(state)) == counts(jitted(state, step=jnp.int32(0))) == [2, 0, 2, 0]
    with pytest.raises(ValueError, match="no schedule in this state reads a count at 'b'"):
        reset_schedule(state, path="b")
    with pytest.raises(ValueError, match="no schedule in this state reads a count"):
        reset_schedule(optax.adam(0.1).init(params()))
    for step, error in ((-1, ValueError), (2**31, ValueError), (1.0, TypeError), (True, TypeError)):
        with pytest.raises(error, match="step must be"):
            reset_schedule(state, step=step)
    with pytest.raises(ValueError, match="inside a RefinementState"):
        reset_schedule(cases.with_refinement(optax.identity()).init(params()))
    whole = TrainState.create(apply_fn=None, params=params(), tx=optax.adam(S)).replace(step=5)
    whole = whole.replace(opt_state=reset_schedule(whole, step=4).opt_state)
    assert whole.step == 5 and counts(whole.opt_state) == [0, 4]


@pytest.mark.parametrize("kind", [AxisType.Explicit, AxisType.Auto], ids=str)
def test_placement_and_no_compilation(kind):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(kind,))
    with jax.set_mesh(mesh):
        p = jax.device_put({"w": jnp.ones((8, 2))}, NamedSharding(mesh, PartitionSpec("data")))
        tx = cases.adam_live(S)
        step = jax.jit(lambda s: tx.update(p, s, p)[1])
        state = step(step(tx.init(p)))
        reset = reset_schedule(state)
        before = step._cache_size()
        assert described(reset) == described(state) and reset[2].count.committed == state[2].count.committed
        assert step_of(step(reset)) == 1 and step._cache_size() == before


def test_nnx_boxes_stay():
    class Model(nnx.Module):
        def __init__(self):
            self.w = nnx.Param(jnp.ones(3))

    model = Model()
    optimizer = nnx.Optimizer(model, optax.adam(S), wrt=nnx.Param)
    optimizer.update(model, nnx.state(model, nnx.Param))
    optimizer.opt_state = nnx.data(reset_schedule(optimizer.opt_state, step=6))
    assert counts(optimizer.opt_state) == [1, 6]
    optimizer.update(model, nnx.state(model, nnx.Param))
    assert counts(optimizer.opt_state) == [2, 7] and step_of(optimizer) == 7
