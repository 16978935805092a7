"""The reactive transforms: scales, wrappers, sharding, and faults seen in other packages."""

import functools
import itertools
import math
import subprocess
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from flax.training.train_state import TrainState

import optax_lrs as olrs
from matrices import transform_rules as rules
from oracles import reactive as references

plateau = olrs.scale_by_plateau
greedy = functools.partial(olrs.scale_by_greedy, min_scale=0.01, max_scale=10.0)
LR = olrs.WSD(peak=0.1, total_steps=100, warmup_steps=3, decay_steps=20)
PARAMS = {"a": jnp.linspace(-1, 1, 6), "b": jnp.ones((2, 3))}
ONES = {"w": jnp.ones(3)}


@functools.lru_cache(maxsize=4)
def compiled(tx):
    """The programs of one transformation: with a value, without, and over many in a scan."""
    return (
        jax.jit(lambda state, value: tx.update(ONES, state, value=value)),
        jax.jit(lambda state: tx.update(ONES, state)),
        jax.jit(lambda state, values: jax.lax.scan(lambda s, v: tx.update(ONES, s, value=v)[::-1], state, values)),
    )


def scales(tx, values):
    """The scale of each update, under jit and in a scan. None means that no value is passed."""
    update, hold, scan = compiled(tx)
    state, out = tx.init(ONES), []
    for value in values:
        updates, state = hold(state) if value is None else update(state, jnp.float32(value))
        out.append(float(updates["w"][0]))
    if None not in values:
        _, scanned = scan(tx.init(ONES), jnp.asarray(values, jnp.float32))
        np.testing.assert_array_equal(scanned["w"][:, 0], out)
    return np.array(out)


def agree(ours, expected):
    np.testing.assert_allclose(ours, expected, rtol=2e-6)


# ── goldens, from the methods notes ───────────────────────────────────────────────────────────

LOSSES = [1.0, 0.9, 0.8, 0.7, 0.75, 0.76, 0.77, 0.78, 0.6, 0.5, 0.4]
GREEDY_VALUES = {  # transformers 5.23.0, rate 0.1, otherwise its defaults
    1: """
        0.1 0.10526315789473685 0.10526315789473685 0.110803324099723 0.110803324099723 0.10526315789473685
        0.10526315789473685 0.1 0.1 0.10526315789473685 0.10526315789473685
    """,
    0: """
        0.10526315789473685 0.110803324099723 0.11663507799970843 0.12277376631548256 0.11663507799970843
        0.110803324099723 0.10526315789473685 0.1 0.10526315789473685 0.110803324099723 0.11663507799970843
    """,
}
GREEDY = {patience: [float(rate) for rate in text.split()] for patience, text in GREEDY_VALUES.items()}


@pytest.mark.parametrize("patience", GREEDY)
def test_greedy_golden(patience):
    agree(0.1 * scales(greedy(patience=patience), LOSSES), GREEDY[patience])
    reference = references.greedy(LOSSES, rate=0.1, lowest=1e-3, highest=1.0, patience=patience)
    np.testing.assert_allclose(reference, GREEDY[patience], rtol=1e-12)


def test_greedy_reset_golden():
    values, expected = [1.0] + [2.0] * 8, [0.0022, 0.0011, 0.001, 0.001, 0.0011, 0.0022, 0.0011, 0.001, 0.001]
    tx = greedy(min_scale=1 / 1.1, max_scale=1 / 0.0011, factor=0.5, patience=0, reset=3)
    agree(0.0011 * scales(tx, values), expected)
    reference = references.greedy(values, rate=0.0011, lowest=1e-3, highest=1.0, factor=0.5, patience=0, reset=3)
    np.testing.assert_allclose(reference, expected, rtol=1e-12)


OPTAX = [  # optax 0.2.8, factor 0.5, patience 2, rtol 1e-9
    ([1, 0.9, *[0.95] * 5, 0.5], 0, [1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25]),
    ([1] * 10, 2, [1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25]),
]


@pytest.mark.parametrize(("values", "cooldown", "expected"), OPTAX)
def test_plateau_golden(values, cooldown, expected):
    """Optax's patience of 2 ends one value earlier than PyTorch's: it equals our patience of 1."""
    agree(scales(plateau(factor=0.5, patience=1, rtol=1e-9, cooldown=cooldown), values), expected)
    theirs = optax.contrib.reduce_on_plateau(factor=0.5, patience=2, rtol=1e-9, cooldown=cooldown)
    agree(scales(theirs, values), expected)
    assert not np.allclose(scales(plateau(factor=0.5, patience=2, rtol=1e-9, cooldown=cooldown), values), expected)


def test_patience_as_pytorch_describes_it():
    """Patience 2: the third value without improvement reduces. Patience 0: the first does."""
    agree(scales(plateau(factor=0.5, patience=2), [1, 1, 1, 1, 1]), [1, 1, 1, 0.5, 0.5])
    agree(scales(plateau(factor=0.5, patience=0), [1, 1, 1, 1, 1]), [1, 0.5, 0.25, 0.125, 0.0625])


# ── against the slow references ──────────────────────────────────────────────────────────────


def walk(seed, shift=0.0):
    """A noisy curve that falls, stalls and rises, in float32 as the transforms see it."""
    rng = np.random.default_rng(seed)
    curve = np.concatenate([np.linspace(2, 1, 40), np.ones(60), np.linspace(1, 1.5, 30), np.linspace(1.5, 0.5, 70)])
    return (curve + 0.05 * rng.standard_normal(200) + shift).astype(np.float32).tolist()


SHIFTS = (0.0, -1.0, -5.0)  # all values positive, of both signs, all negative
SETTINGS = [
    {"factor": 0.5, "patience": 3},
    {"factor": 0.9, "patience": 0, "cooldown": 4},
    {"factor": 0.3, "patience": 7, "rtol": 0.02, "cooldown": 1},
    {"factor": 0.7, "patience": 2, "rtol": 0.0, "atol": 0.05},
]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_plateau_is_the_reference(settings, mode):
    tx = plateau(**settings, mode=mode, min_scale=1e-3)
    for shift in SHIFTS:
        values = walk(1, shift)
        ours = scales(tx, values)
        agree(ours, references.plateau(values, **settings, mode=mode, lowest=1e-3))
        assert ours[-1] < 1


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("settings", [*SETTINGS, {"patience": 1, "warmup": 3, "reset": 2, "factor": 0.4}], ids=str)
def test_greedy_is_the_reference(settings, mode):
    tx = greedy(**settings, mode=mode, min_scale=0.1, max_scale=1.5)
    for shift in SHIFTS:
        values = walk(2, shift)
        ours = scales(tx, values)
        agree(ours, references.greedy(values, **settings, mode=mode, lowest=0.1, highest=1.5))
        assert len(set(ours)) > 2


def test_greedy_at_its_bounds():
    """Up to the ceiling, down to the floor, and a reset after two reductions there.

    An increase sets the count of these reductions back to zero.
    """
    fall, rise = np.linspace(2, 1, 7).tolist(), [3.0] * 16
    values = fall + rise + [0.9] + rise
    settings = {"factor": 0.5, "patience": 0, "reset": 2, "warmup": 1, "cooldown": 1}
    expected = references.greedy(values, lowest=0.3, highest=3.0, **settings)
    agree(scales(greedy(min_scale=0.3, max_scale=3.0, **settings), values), expected)
    assert max(expected) == 3.0 and min(expected) == 0.3
    assert any(a == 0.3 and b == 1.0 for a, b in itertools.pairwise(expected)), "the scale is reset"
    # One reduction at the floor, an increase, one more there: the increase reset the count.
    values = [2.0, 3.0, 3.0, 3.0, 1.0, 3.0, 0.5]
    settings = {"factor": 0.5, "patience": 0, "reset": 3}
    expected = references.greedy(values, lowest=0.5, highest=2.0, **settings)
    agree(scales(greedy(min_scale=0.5, max_scale=2.0, **settings), values), expected)
    assert expected == [2, 1, 0.5, 0.5, 1, 0.5, 1]


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(("settings", "kind"), [({"rtol": 0.01}, "rel"), ({"rtol": 0.0, "atol": 0.03}, "abs")])
def test_the_margin_is_pytorchs_for_positive_metrics(settings, kind, mode):
    """The criterion of the reference and the transforms is PyTorch's where best is positive."""
    values = walk(3)
    both = {"rtol": 0.0, "atol": 0.0} | settings
    for best in values[::20]:
        for value in values:
            theirs = references.torch_is_better(value, best, mode, max(settings.values()), kind)
            assert theirs == references.improves(value, best, mode, **both)


@pytest.mark.slow
def test_plateau_is_optax_one_value_later():
    values = walk(4)
    for patience in (1, 2, 5):
        theirs = optax.contrib.reduce_on_plateau(factor=0.5, patience=patience, rtol=0.01, min_scale=1e-3)
        ours = plateau(factor=0.5, patience=patience - 1, rtol=0.01, min_scale=1e-3)
        agree(scales(ours, values), scales(theirs, values))


# ── faults seen in other packages; each check must also catch a transform with the fault ──────


def settled(tx, values, **init):
    state = tx.init(init or ONES)
    for value in values:
        _, state = tx.update(ONES, state, value=value)
    return state


def reduces_when_a_negative_metric_stalls(make):
    assert scales(make(), [-1.0] * 8)[-1] < 1
    assert scales(make(), [-2.0, -1.5, -1.0] * 3)[-1] < 1
    assert scales(make(), np.linspace(-1, -9, 8).tolist())[-1] >= 1


def nan_changes_nothing(make):
    values = [3.0, 2.0, 1.0]
    before = settled(make(), values)
    for bad in (math.nan, math.inf, -math.inf):
        after = settled(make(), [*values, *[bad] * 8])
        assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(after)))


def keeps_its_scale_in_float32(make):
    state = settled(make(), [1.0, 1.0, 1.0, 1.0, 1.0, 1.0], w=jnp.ones(3, jnp.bfloat16))
    scale = optax.tree.get(state, "scale")
    assert scale.dtype == jnp.float32
    np.testing.assert_allclose(float(scale), 0.9 ** round(math.log(float(scale), 0.9)), rtol=1e-6)


def takes_no_value(make):
    state = settled(make(), [1.0, 1.0, 1.0])
    updates, after = jax.jit(make().update)(ONES, state)
    assert rules.described(after) == rules.described(state)
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(after)))
    np.testing.assert_array_equal(updates["w"], optax.tree.get(state, "scale"))


def bears_as_many_as_its_patience(make):
    """With patience 2: the third value after the first reduces."""
    np.testing.assert_array_equal(scales(make(), [1.0] * 4) < 1, [False, False, False, True])


def takes_no_vector(make):
    with pytest.raises(ValueError, match="value must be a scalar"):
        make().update(ONES, make().init(ONES), value=jnp.ones(4))


OURS = [functools.partial(plateau, factor=0.9, patience=2), functools.partial(greedy, factor=0.9, patience=2)]
CHECKS = [
    reduces_when_a_negative_metric_stalls,
    nan_changes_nothing,
    keeps_its_scale_in_float32,
    takes_no_value,
    takes_no_vector,
]


@pytest.mark.parametrize("make", OURS, ids=["plateau", "greedy"])
@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__)
def test_ours(check, make):
    check(make)


def test_our_patience():
    bears_as_many_as_its_patience(OURS[0])


@pytest.mark.parametrize("check", [*CHECKS[:4], bears_as_many_as_its_patience], ids=lambda c: c.__name__)
def test_the_checks_catch(check):
    with pytest.raises((AssertionError, TypeError)):
        check(functools.partial(optax.contrib.reduce_on_plateau, factor=0.9, patience=2))


# ── nan, averages, micro-batches ─────────────────────────────────────────────────────────────


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nan_as_no_improvement(bad):
    tx = plateau(factor=0.5, patience=1, nonfinite="bad")
    agree(scales(tx, [1.0, bad, bad, bad, 0.5, bad, bad]), [1, 1, 0.5, 0.5, 0.5, 0.5, 0.25])
    agree(scales(tx, [bad, bad, 1.0]), [1, 0.5, 0.5])
    assert math.isfinite(settled(tx, [1.0, bad]).best)
    agree(scales(greedy(factor=0.5, patience=0, nonfinite="bad"), [1.0, bad, bad]), [2, 1, 0.5])


def test_nan_stands_for_no_value_in_one_program():
    values = [1.0, None, 1.0, None, None, 1.0, 0.9]
    for make in OURS:
        nans = [math.nan if value is None else value for value in values]
        agree(scales(make(patience=0), nans), scales(make(patience=0), values))


@pytest.mark.parametrize("size", [1, 2, 5])
def test_averages(size):
    values = walk(5)
    expected = references.plateau(references.averages(values, size), factor=0.5, patience=1, rtol=0.01)
    agree(scales(plateau(factor=0.5, patience=1, rtol=0.01, accumulation=size), values), expected)
    expected = references.greedy(references.averages(values, size), lowest=0.01, highest=10, patience=1, atol=0.01)
    agree(scales(greedy(patience=1, atol=0.01, accumulation=size), values), expected)


def test_a_nan_in_an_average():
    skip = plateau(accumulation=2, patience=0)
    assert float(settled(skip, [1.0, math.nan, 3.0]).best) == 2.0
    bad = plateau(accumulation=2, patience=0, factor=0.5, nonfinite="bad")
    agree(scales(bad, [1.0, 1.0, math.nan, 0.0, 0.0, 0.0, 1.0, 1.0]), [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25])


def test_a_long_average_keeps_its_precision():
    tx, value = plateau(accumulation=100_000), jnp.float32(11.3)
    state = jax.jit(lambda s: jax.lax.scan(lambda s, _: (tx.update({}, s, value=value)[1], None), s, length=100_000))(
        tx.init({})
    )[0]
    assert float(state.best) == float(value) and int(state.mean_count) == 0


def micro_batches(tx, values, k):
    """The scales of the updates that MultiSteps passes on, and the applied rates."""
    state, out = tx.init(PARAMS), []
    update = jax.jit(lambda g, s, v: tx.update(g, s, PARAMS, value=v))
    for i, value in enumerate(values):
        updates, state = update(PARAMS, state, jnp.float32(value))
        if i % k == k - 1:
            ratio = float(updates["b"][0, 0] / PARAMS["b"][0, 0])
            (rate,) = olrs.learning_rates(state).values()
            np.testing.assert_allclose(-ratio, float(rate), rtol=1e-6)
            out.append(-ratio)
        else:
            assert not np.any(updates["b"])
    return np.array(out)


def test_all_micro_batches_are_seen_outside_multi_steps():
    """The means of three stall while every third value falls; inside, only these are seen."""
    k, steps = 3, 6
    last = np.linspace(1, 0.5, steps)
    values = np.stack([3 - last, np.ones(steps), last], axis=1).ravel().tolist()  # each mean 4/3
    inner = olrs.scale_by_live_schedule(olrs.Constant(value=0.1))
    outside = optax.chain(
        optax.MultiSteps(inner, k).gradient_transformation(),
        plateau(factor=0.5, patience=1, rtol=1e-3, accumulation=k),
    )
    inside = optax.MultiSteps(optax.chain(inner, plateau(factor=0.5, patience=1)), k).gradient_transformation()
    expected = references.plateau(references.averages(values, k), rate=0.1, factor=0.5, patience=1, rtol=1e-3)
    agree(micro_batches(outside, values, k), expected[k - 1 :: k])
    assert expected[-1] < 0.1
    agree(micro_batches(inside, values, k), [0.1] * steps)


# ── in a chain, with schedules, in trainers ───────────────────────────────────────────────────

STALL = [1.0] * 8  # with patience 1 and factor 0.5: 1 1 .5 .5 .25 .25 .125 .125
STALLED = references.plateau(STALL, factor=0.5, patience=1)


def stalling():
    return plateau(factor=0.5, patience=1)


LIVE = olrs.scale_by_live_schedule(LR)
AND_GREEDY = greedy(factor=0.5, patience=0)
ARRANGEMENTS = {
    "adamw": (optax.chain(optax.adamw(LR), stalling()), LR, STALLED),
    "live": (optax.chain(optax.scale_by_adam(), LIVE, stalling()), None, STALLED),
    "nested": (
        optax.chain(optax.chain(optax.scale_by_adam(), LIVE), optax.chain(optax.clip(9.0), stalling())),
        None,
        STALLED,
    ),
    "named": (optax.named_chain(("lr", LIVE), ("plateau", stalling())), None, STALLED),
    "both": (
        optax.chain(LIVE, stalling(), AND_GREEDY),
        None,
        np.multiply(STALLED, references.greedy(STALL, lowest=0.01, highest=10, factor=0.5, patience=0)),
    ),
    "around a wrapper": (optax.chain(optax.apply_if_finite(LIVE, 3), stalling()), None, STALLED),
    "inside a wrapper": (optax.apply_if_finite(optax.chain(LIVE, stalling()), 3), None, STALLED),
    "inject": (optax.chain(optax.inject_hyperparams(optax.sgd)(learning_rate=LR), stalling()), None, STALLED),
    "one group": (
        optax.partition({"x": optax.chain(LIVE, stalling()), "y": LIVE}, {"a": "x", "b": "y"}),
        None,
        {"x": STALLED, "y": [1.0] * 8},
    ),
    "optax's": (optax.chain(LIVE, optax.contrib.reduce_on_plateau(factor=0.5, patience=2)), None, STALLED),
}


@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_learning_rates_are_schedule_times_scale(name):
    tx, schedule, expected = ARRANGEMENTS[name]
    expected = expected if isinstance(expected, dict) else {"learning_rate": expected}
    tx = optax.with_extra_args_support(tx)
    state = tx.init(PARAMS)
    assert set(map(float, olrs.learning_rates(state, schedule).values())) == {0.0} or name == "inject"
    update = jax.jit(lambda g, s, v: tx.update(g, s, PARAMS, value=v))
    inside = jax.jit(functools.partial(olrs.learning_rates, schedule=schedule))
    for step, value in enumerate(STALL):
        _, state = update(PARAMS, state, value)
        for rates in (olrs.learning_rates(state, schedule), inside(state)):
            assert rates.keys() == expected.keys()
            for path, rate in rates.items():
                assert rate.dtype == jnp.float32 and rate.shape == ()
                agree(rate, LR.at(step) * expected[path][step])


@pytest.mark.parametrize("schedule", [LR, olrs.Cosine(peak=0.2, total_steps=6), optax.exponential_decay(0.3, 2, 0.9)])
def test_composes_with_any_schedule(schedule):
    """Warmup, then plateau: the applied rate is the schedule's rate times the scale."""
    tx, plain = optax.chain(optax.sgd(schedule), stalling()), optax.sgd(schedule)
    state, plain_state = tx.init(PARAMS), plain.init(PARAMS)
    for value, scale in zip(STALL, STALLED):
        updates, state = tx.update(PARAMS, state, PARAMS, value=value)
        expected, plain_state = plain.update(PARAMS, plain_state, PARAMS)
        for a, b in zip(jax.tree.leaves(updates), jax.tree.leaves(expected)):
            np.testing.assert_array_equal(a, np.float32(scale) * b)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_updates_are_rounded_once(dtype):
    updates = {"w": jnp.linspace(-3, 3, 1001).astype(dtype)}
    tx = plateau(factor=0.9, patience=0)
    first, state = tx.update(updates, tx.init(updates), value=1.0)
    np.testing.assert_array_equal(first["w"].astype(jnp.float32), updates["w"].astype(jnp.float32))
    second, _ = tx.update(updates, state, value=1.0)
    assert second["w"].dtype == dtype
    exact = (np.asarray(updates["w"], np.float32) * np.float32(0.9)).astype(dtype)
    np.testing.assert_array_equal(second["w"].astype(jnp.float32), exact.astype(np.float32))


def test_train_state():
    """apply_gradients passes no value, which keeps the scale; the value goes to tx.update."""
    module = nn.Dense(2)
    params = module.init(jax.random.key(0), jnp.ones((1, 3)))["params"]
    state = TrainState.create(apply_fn=module.apply, params=params, tx=optax.chain(optax.adamw(LR), stalling()))
    for _ in range(4):
        state = state.apply_gradients(grads=params)
    assert float(state.opt_state[1].scale) == 1.0 and math.isinf(state.opt_state[1].best), "no value has arrived"
    for _ in range(4):
        updates, opt_state = state.tx.update(params, state.opt_state, state.params, value=1.0)
        state = state.replace(
            step=state.step + 1, params=optax.apply_updates(state.params, updates), opt_state=opt_state
        )
    state = state.apply_gradients(grads=params)
    agree(next(iter(olrs.learning_rates(state, LR).values())), LR.at(8) * 0.5)


class Line(nnx.Module):
    def __init__(self):
        self.w = nnx.Param(jnp.ones(3))


@pytest.mark.parametrize("make", [stalling, lambda: AND_GREEDY], ids=["plateau", "greedy"])
def test_nnx_optimizer(make):
    model = Line()
    optimizer = nnx.Optimizer(model, optax.chain(optax.scale_by_adam(), LIVE, make()), wrt=nnx.Param)

    @nnx.jit
    def train_step(model, optimizer):
        loss, grads = nnx.value_and_grad(lambda m: jnp.mean(m.w[...] ** 2))(model)
        optimizer.update(model, grads, value=0 * loss + 1)
        return next(iter(olrs.learning_rates(optimizer).values()))

    expected = scales(make(), STALL)
    for step, scale in enumerate(expected):
        inside = train_step(model, optimizer)
        (rate,) = olrs.learning_rates(optimizer).values()
        agree([rate, inside], LR.at(step) * scale)


@pytest.mark.slow
def test_on_a_mesh_without_jit():
    """The value on the host or on the mesh, eagerly: the state stays where it is."""
    from jax.sharding import AxisType, PartitionSpec

    for kind in (AxisType.Explicit, AxisType.Auto):
        mesh = jax.make_mesh((8,), ("data",), axis_types=(kind,))
        with jax.set_mesh(mesh):
            losses = jax.device_put(jnp.ones(8), jax.NamedSharding(mesh, PartitionSpec("data")))
            for make in OURS:
                tx = make(patience=0)
                state = tx.init(ONES)
                expected = rules.described(state)
                for value in (1.0, losses.mean(), jax.jit(jnp.mean)(losses)):
                    _, state = tx.update(ONES, state, value=value)
                    assert rules.described(state) == expected


def test_the_scale_can_be_set_by_hand_without_compiling():
    tx = optax.chain(optax.adamw(LR), plateau())
    step = jax.jit(lambda g, s: tx.update(g, s, PARAMS, value=1.0))
    _, state = step(PARAMS, tx.init(PARAMS))
    _, state = step(PARAMS, optax.tree.set(state, scale=jnp.float32(0.5)))
    assert step._cache_size() == 1
    agree(olrs.learning_rate(state, LR), LR.at(1) * 0.5)


def test_factors_can_be_swept():
    """Arguments may be traced: one compilation for many factors."""

    def last(factor):
        tx = plateau(factor=factor, patience=0)
        step = lambda s, v: (tx.update(ONES, s, value=v)[1], None)  # noqa: E731
        return jax.lax.scan(step, tx.init(ONES), jnp.ones(4))[0].scale

    agree(jax.jit(jax.vmap(last))(jnp.array([0.5, 0.1])), [0.125, 1e-3])


def test_no_nan_on_the_way():
    with jax.debug_nans(True):
        for make in OURS:
            settled(make(rtol=0.0, atol=0.0), [1.0, 1.0])
            settled(make(rtol=0.5), [1.0, -1.0])


@pytest.mark.slow
@pytest.mark.parametrize("make", OURS, ids=["plateau", "greedy"])
def test_strict_promotion_and_float64(make):
    """The state is float32 and int32, whatever the types of value, updates and arguments."""
    with jax.numpy_dtype_promotion("strict"), jax.enable_x64(True):
        tx = make(patience=0, rtol=np.float64(0.1), min_scale=np.float64(0.2), cooldown=np.int64(1))
        updates = {"w": jnp.full(3, 1 / 3, jnp.float64)}
        for value in (1, 1.0, np.float64(1), np.float16(1), np.int64(1), jnp.float64(1), jnp.bfloat16(1)):
            state = tx.init(updates)
            expected = rules.described(state)
            for update in (tx.update, jax.jit(tx.update)):
                for _ in range(3):
                    out, state = update(updates, state, value=value)
                assert rules.described(state) == expected and out["w"].dtype == jnp.float64
        first, _ = tx.update(updates, tx.init(updates))
        np.testing.assert_array_equal(first["w"], updates["w"])


def test_building_starts_no_backend():
    code = (
        "import optax_lrs as olrs\n"
        "olrs.scale_by_plateau(), olrs.scale_by_greedy(min_scale=0.1, max_scale=2)\n"
        "from jax._src import xla_bridge\n"
        "assert not xla_bridge.backends_are_initialized()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
