"""Live hyper-parameters: what is applied, against Optax to the bit and float64 on the host."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import optax_lrs as olrs
from matrices import transform_cases
from matrices import transform_rules as rules

LR = olrs.WSD(peak=0.1, total_steps=20, warmup_steps=3, decay_steps=8)
DECAY = olrs.Cosine(peak=0.2, total_steps=15)
MOMENTUM = olrs.Tabulated(lrs=[0.85, 0.95], steps=[0, 6])
live = olrs.with_hyperparams
CASES = transform_cases.ROWS["with_hyperparams"]


def params():
    key = jax.random.key(0)
    return {"w": jax.random.normal(key, (6, 4)), "b": jnp.linspace(-1.0, 1.0, 4)}


def gradient(step, like=None):
    key = jax.random.key(step)
    return jax.tree.map(lambda p: jax.random.normal(key, p.shape, p.dtype), params() if like is None else like)


def trained(tx, steps, start=None):
    """Parameters after each update, the last updates and the state; compiled, as in a training."""

    @jax.jit
    def step(params, state, grads):
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    now = params() if start is None else start
    state = tx.init(now)
    for number in range(steps):
        now, state = step(now, state, gradient(number, now))
    return now, state


SAME = [
    ("sgd", optax.sgd, dict(learning_rate=LR), dict()),
    ("adamw", optax.adamw, dict(learning_rate=LR, weight_decay=DECAY), dict()),
    ("adamw with constants", optax.adamw, dict(learning_rate=LR), dict(b1=0.8, nesterov=True)),
    ("lion", optax.lion, dict(learning_rate=LR), dict(weight_decay=0.1)),
    ("muon", optax.contrib.muon, dict(learning_rate=LR), dict(weight_decay=0.1, beta=0.9)),
    ("muon, two rates", optax.contrib.muon, dict(learning_rate=LR, adam_learning_rate=DECAY), dict()),
    ("rmsprop", optax.rmsprop, dict(learning_rate=LR), dict()),
    ("rmsprop with momentum, eager", optax.rmsprop, dict(learning_rate=LR), dict(momentum=0.9)),
    ("ademamix", optax.contrib.ademamix, dict(learning_rate=LR, alpha=olrs.Linear(peak=5.0, total_steps=9)), dict()),
    ("adafactor", optax.adafactor, dict(learning_rate=LR), dict(min_dim_size_to_factor=4)),
]


@pytest.mark.parametrize(("name", "factory", "schedules", "constants"), SAME, ids=[row[0] for row in SAME])
def test_same_bits_as_the_optimizer_with_these_schedules(name, factory, schedules, constants):
    factory = functools.partial(factory, **constants)
    with jax.disable_jit("eager" in name):  # compiled, its fusions differ
        ours, state = trained(live(factory, **schedules), 7)
        other, theirs = trained(factory(**schedules), 7)
    jax.tree.map(np.testing.assert_array_equal, ours, other)
    moments = [leaf for leaf in jax.tree.leaves(state.inner_state) if leaf.ndim]
    expected = [leaf for leaf in jax.tree.leaves(theirs) if leaf.ndim]
    for a, b in zip(moments, expected, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_applied_values_against_the_host(case):
    schedules = case.make().init(rules.params()).schedules
    given = {name: schedule for name, schedule in schedules.items()}
    tx = case.make()
    update = jax.jit(tx.update)
    state = tx.init(rules.params())
    assert set(map(float, state.values.values())) == {0.0}
    for step in range(25):
        _, state = update(rules.grads(), state, rules.params())
        for name, schedule in given.items():
            expected = schedule.at(step)
            if "coupled" in case.name and name == "weight_decay":
                expected = expected * LR.at(step) / LR.peak
            np.testing.assert_allclose(state.hyperparams[name], expected, rtol=1e-6, atol=1e-12)


def test_momentum_on_a_schedule_in_numpy():
    tx = live(optax.sgd, learning_rate=LR, momentum=MOMENTUM)
    got, _ = trained(tx, 10)
    expected = np.asarray(params()["w"], np.float64)
    trace = np.zeros_like(expected)
    for step in range(10):
        trace = np.asarray(gradient(step)["w"], np.float64) + MOMENTUM.at(step) * trace
        expected = expected - LR.at(step) * trace
    np.testing.assert_allclose(got["w"], expected, rtol=2e-5)


def test_values_can_be_read_but_not_assigned():
    state = live(optax.sgd, learning_rate=0.5).init(params())
    assert dict(state.hyperparams) == state.values
    with pytest.raises(TypeError):
        state.hyperparams["learning_rate"] = 1.0


@pytest.mark.parametrize("wrap", ["alone", "MultiSteps", "apply_if_finite", "chain"])
def test_another_schedule_without_compiling(wrap):
    chex.clear_trace_counter()  # it counts by the code of the function
    tx = live(optax.adamw, learning_rate=LR, b1=MOMENTUM, weight_decay=0.1)
    outer = {
        "alone": lambda: tx,
        "MultiSteps": lambda: optax.MultiSteps(tx, 1).gradient_transformation(),
        "apply_if_finite": lambda: optax.apply_if_finite(tx, 3),
        "chain": lambda: optax.chain(optax.clip_by_global_norm(1.0), tx),
    }[wrap]()

    @jax.jit
    @chex.assert_max_traces(1)
    def step(state, grads):
        return outer.update(grads, state, params())[1]

    state = outer.init(params())
    is_ours = lambda node: isinstance(node, olrs.transforms.HyperparamsState)  # noqa: E731
    for number in range(3):
        new = {
            "learning_rate": LR.replace(peak=0.1 * (number + 1)),
            "weight_decay": olrs.Constant(value=0.3 - 0.1 * number),
        }
        for name, schedule in new.items():
            state = olrs.with_schedule(state, schedule, path=name)
        state = step(state, gradient(number))
        (found,) = [node for node in jax.tree.leaves(state, is_leaf=is_ours) if is_ours(node)]
        for name, schedule in (new | {"b1": MOMENTUM}).items():
            np.testing.assert_allclose(found.hyperparams[name], schedule.at(number), rtol=1e-6)


def test_bfloat16_keeps_b2_and_rounds_once():
    """0.999 is 1.0 in bfloat16: there Adam's second moment would stay 0."""
    start = jax.tree.map(lambda p: p.astype(jnp.bfloat16), params())
    tx = live(optax.adam, learning_rate=0.01, b2=0.999)
    state = tx.init(start)
    grads = gradient(0, start)
    updates, state = jax.jit(tx.update)(grads, state, start)
    assert float(state.hyperparams["b2"]) == np.float32(0.999)
    nu = state.inner_state[0].nu["w"]
    assert nu.dtype == jnp.bfloat16
    wide = np.asarray(grads["w"], np.float32)
    np.testing.assert_allclose(np.asarray(nu, np.float32), 0.001 * wide**2, rtol=2**-8 + 1e-4)

    plain = live(optax.sgd, learning_rate=0.3)
    updates, _ = plain.update(grads, plain.init(start), start)
    np.testing.assert_array_equal(updates["w"], np.asarray(np.float32(-0.3) * wide, jnp.bfloat16))


def test_gradients_narrower_than_parameters():
    """Updates have the wider type, as Optax's adamw returns them."""
    grads = jax.tree.map(lambda p: p.astype(jnp.bfloat16), params())
    tx = live(optax.adamw, learning_rate=LR, weight_decay=0.1)
    updates, _ = tx.update(grads, tx.init(params()), params())
    assert {leaf.dtype for leaf in jax.tree.leaves(updates)} == {jnp.dtype(jnp.float32)}


def test_what_is_no_float_goes_to_the_factory_unchanged():
    seen = {}

    def factory(learning_rate, count, flag, nothing, name, mask, schedule, array):
        seen.update(count=count, flag=flag, nothing=nothing, name=name, mask=mask, schedule=schedule, array=array)
        return optax.sgd(learning_rate)

    closure, array = optax.constant_schedule(1.0), jnp.ones(2)
    given = dict(count=3, flag=True, nothing=None, name="x", mask={"w": True}, schedule=closure, array=array)
    tx = live(factory, learning_rate=0.1, **given)
    state = tx.init(params())
    assert seen == given and seen["schedule"] is closure
    assert set(state.schedules) == {"learning_rate"}


def test_under_an_explicit_mesh():
    mesh = jax.make_mesh((4, 2), ("data", "model"), axis_types=(AxisType.Explicit,) * 2)
    start = {"w": jnp.ones((8, 4)), "b": jnp.ones(8)}
    specs = {"w": PartitionSpec("data", "model"), "b": PartitionSpec("data")}
    alone, _ = trained(CASES[3].make(), 3, start)
    with jax.set_mesh(mesh):
        placed = jax.tree.map(lambda p, spec: jax.device_put(p, NamedSharding(mesh, spec)), start, specs)
        got, state = trained(CASES[1].make(), 3, placed)
    moment = optax.tree.get(state.inner_state, "mu")["w"]
    assert moment.sharding.spec == specs["w"]
    assert all(leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves((state.schedules, state.values)))
    expected, _ = trained(CASES[1].make(), 3, start)
    # The gradients differ: each is drawn in the parameters' type, not their placement.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), got, expected)
    assert jax.tree.structure(alone) == jax.tree.structure(got)


def test_in_nnx():
    class Layer(nnx.Module):
        def __init__(self):
            self.w = nnx.Param(jnp.ones(3))

    model = Layer()
    optimizer = nnx.Optimizer(model, live(optax.adamw, learning_rate=LR, weight_decay=DECAY), wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer):
        optimizer.update(model, nnx.grad(lambda m: jnp.sum(m.w[...] ** 2))(model))

    for _ in range(3):
        step(model, optimizer)
    np.testing.assert_allclose(float(optimizer.opt_state.hyperparams["weight_decay"][...]), DECAY.at(2), rtol=1e-6)


def test_sweep_over_peaks():
    def after(peak):
        tx = live(optax.sgd, learning_rate=olrs.Constant(value=peak))
        return tx.update(params(), tx.init(params()), params())[0]["w"]

    got = jax.vmap(after)(jnp.array([0.1, 0.2]))
    np.testing.assert_allclose(got[1], 2 * got[0], rtol=1e-6)


@pytest.mark.parametrize("steps", [3, 9])
def test_checkpoints_save_and_compare_the_schedules(tmp_path, steps):
    tx = CASES[3].make()
    _, state = trained(tx, steps, rules.params())
    with olrs.checkpoint.Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(steps, state)
        checkpoints.wait()
        found = checkpoints.restore(tx.init(rules.params()))
        assert rules.described(found.state) == rules.described(state)
        jax.tree.map(np.testing.assert_array_equal, found.state, state)
        rates = dict(learning_rate=LR, weight_decay=DECAY, adam_learning_rate=DECAY)
        beta = MOMENTUM.replace(lrs=[0.8, 0.95])
        other = live(optax.contrib.muon, beta=beta, **rates).init(rules.params())
        with pytest.raises(ValueError, match="schedules/beta"):
            checkpoints.restore(other)
        kept = checkpoints.restore(other, on_mismatch="keep").state
        assert kept.schedules["beta"] == state.schedules["beta"]
        overridden = checkpoints.restore(other, on_mismatch="override").state
        assert overridden.schedules["beta"] == other.schedules["beta"] and int(overridden.count) == steps


def branches(learning_rate, power):
    return optax.sgd(learning_rate) if power > 0.5 else optax.adam(learning_rate)


def branches_in_update(learning_rate, power):
    def update(updates, state, params=None):
        return (updates if power > 0.5 else params), state

    return optax.chain(optax.GradientTransformation(lambda p: optax.EmptyState(), update), optax.scale(learning_rate))


def needs_an_extra_argument(learning_rate):
    def update(updates, state, params=None, *, value, **extra_args):
        return jax.tree.map(lambda g: -learning_rate * value * g, updates), state

    return optax.GradientTransformationExtraArgs(lambda p: optax.EmptyState(), update)


def test_extra_arguments_reach_the_optimizer():
    tx = live(needs_an_extra_argument, learning_rate=0.5)
    updates, _ = jax.jit(tx.update)(params(), tx.init(params()), params(), value=2.0)
    np.testing.assert_array_equal(updates["b"], -params()["b"])


MISTAKES = [
    (
        lambda: live(branches, learning_rate=0.1, power=0.7),
        TypeError,
        "power cannot be live, because the optimizer needs its number when it is called",
    ),
    (lambda: live(branches, learning_rate=0.1, power=0.7), TypeError, "functools.partial(factory, power=...)"),
    (
        lambda: live(branches_in_update, learning_rate=0.1, power=0.7).init(params()),
        TypeError,
        "power cannot be live, because the optimizer needs its number in its update",
    ),
    (lambda: live(optax.adamw, lr=0.1), TypeError, "adamw has no argument 'lr'"),
    (lambda: live(optax.adamw, learning_rate=0.1, weigth_decay=0.1), TypeError, "Did you mean 'weight_decay'?"),
    (lambda: live(optax.adamw, b1=0.9), TypeError, "adamw needs the argument 'learning_rate'"),
    (lambda: live(optax.adamw, learning_rate=-0.1), ValueError, "learning_rate must be at least 0, got -0.1"),
    (lambda: live(optax.adamw, learning_rate=float("nan")), ValueError, "learning_rate must be at least 0, got nan"),
    (lambda: live(dict, learning_rate=0.1), TypeError, "factory must return a gradient transformation"),
    (lambda: live(3, learning_rate=0.1), TypeError, "factory must be a function"),
    (
        lambda: live(optax.adamw, learning_rate=0.1, weight_decay=olrs.Coupled(value=0.1, to="rate")),
        ValueError,
        "weight_decay is coupled to 'rate', which is not a live hyper-parameter here; those are learning_rate",
    ),
    (
        lambda: live(optax.adamw, learning_rate=MOMENTUM, weight_decay=olrs.Coupled(value=0.1)),
        ValueError,
        "the schedule of learning_rate has no peak, so weight_decay needs it",
    ),
    (
        lambda: live(optax.adamw, learning_rate=0.0, weight_decay=olrs.Coupled(value=0.1)),
        ValueError,
        "the peak of learning_rate must be above 0",
    ),
    (lambda: olrs.Coupled(value=-1.0), ValueError, "value must be at least 0"),
    (lambda: olrs.Coupled(value=0.1, to=3), TypeError, "to must be a str"),
    (lambda: olrs.Coupled(value=0.1, peak=0.0), ValueError, "peak must be above 0"),
]


@pytest.mark.parametrize(("build", "error", "message"), MISTAKES, ids=lambda x: x if isinstance(x, str) else "")
def test_mistakes(build, error, message):
    with pytest.raises(error) as caught:
        build()
    assert message in str(caught.value)
