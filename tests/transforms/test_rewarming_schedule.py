"""Re-warming on the device: applied rates, one compilation, the detector, and reading the state."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optax_lrs as olrs
from oracles import continual as oracles

FIRST = olrs.WSD(peak=0.1, total_steps=40, warmup_steps=5, decay_steps=10, end=0.01)
AGAIN = olrs.Cosine(peak=0.05, total_steps=12, warmup_steps=3, end=0.005)
GRADS = {"w": jnp.linspace(-1.0, 1.0, 4)}


def rates_of(tx, boundaries, **extra):
    """Returns the applied rates of one step, which must compile once."""
    traces = []

    @jax.jit
    def step(state, new, extra):
        traces.append(1)
        updates, state = tx.update(GRADS, state, boundary=new, **extra)
        return updates, state

    state, rates = tx.init(GRADS), []
    for index, new in enumerate(boundaries):
        updates, state = step(state, new, {name: values[index] for name, values in extra.items()})
        (rate,) = olrs.learning_rates(state).values()
        np.testing.assert_array_equal(updates["w"], -rate * GRADS["w"])
        rates.append(float(rate))
    assert len(traces) == 1
    return rates, state


@pytest.mark.parametrize("again", [None, AGAIN], ids=["again=None", "again"])
@pytest.mark.parametrize("seed", range(3))
def test_rates_are_those_of_a_clock_that_starts_again(again, seed):
    boundaries = np.random.default_rng(seed).random(80) < 0.05
    rates, state = rates_of(olrs.scale_by_rewarming_schedule(FIRST, again=again), boundaries)
    expected = oracles.streamed(FIRST.at, (again or FIRST).at, boundaries)
    np.testing.assert_allclose(rates, expected, rtol=2e-6)
    assert int(state.boundary_count) == sum(boundaries) and int(state.live.count) == 80


def test_one_boundary_is_a_join_and_none_is_a_live_schedule():
    """The update with the boundary is the first of the new cycle, bit for bit as if planned."""
    joined, at = olrs.join(FIRST, AGAIN, at=17), [step == 17 for step in range(60)]
    rates, _ = rates_of(olrs.scale_by_rewarming_schedule(FIRST, again=AGAIN), at)
    np.testing.assert_array_equal(np.float32(rates), np.asarray(joined(np.arange(60))))
    live, _ = rates_of(olrs.scale_by_live_schedule(FIRST), at)
    np.testing.assert_array_equal(rates_of(olrs.scale_by_rewarming_schedule(FIRST, again=AGAIN), [False] * 60)[0], live)
    warm = olrs.rewarm(FIRST, at=17, peak=0.05, warmup_steps=3, decay_steps=9)
    np.testing.assert_allclose(rates, warm.at(np.arange(60)), rtol=2e-6)


def test_every_kind_of_bool_shares_one_program_and_none_is_no_news():
    kinds = [False, np.bool_(False), jnp.bool_(False), True, np.True_, jnp.bool_(True), jnp.zeros((), bool)]
    rates, state = rates_of(olrs.scale_by_rewarming_schedule(AGAIN), kinds)
    assert int(state.boundary_count) == 3 and int(state.since_count) == 2
    np.testing.assert_allclose(rates, AGAIN.at([0, 1, 2, 0, 0, 0, 1]), rtol=2e-6)
    tx = olrs.scale_by_rewarming_schedule(AGAIN)
    for news in ({}, {"boundary": None}, {"value": 2.0}):
        _, state = jax.jit(functools.partial(tx.update, **news))(GRADS, tx.init(GRADS))
        assert int(state.boundary_count) == 0 and int(state.since_count) == 1


def test_in_a_scan_with_boundaries_that_are_data():
    tx = optax.chain(optax.scale_by_adam(), olrs.scale_by_rewarming_schedule(FIRST, again=AGAIN))
    boundaries = np.arange(50) % 20 == 13

    def step(state, new):
        _, state = tx.update(GRADS, state, boundary=new)
        return state, olrs.learning_rate(state)

    state, rates = jax.lax.scan(step, tx.init(GRADS), boundaries)
    np.testing.assert_allclose(rates, oracles.streamed(FIRST.at, AGAIN.at, boundaries), rtol=2e-6)
    assert int(state[0].count) == 50  # Adam's count continues


def test_reading_and_replacing():
    tx = optax.chain(optax.scale_by_adam(), olrs.scale_by_rewarming_schedule(FIRST, again=AGAIN))
    state = tx.init(GRADS)
    assert set(olrs.learning_rates(state)) == {"learning_rate"}
    half = olrs.with_schedule(state, FIRST.replace(peak=0.05), path="1/live")
    assert half[1].live.schedule.peak == np.float32(0.05) and half[1].again == state[1].again
    other = olrs.with_schedule(state, AGAIN.replace(peak=0.01), path="1/again")
    assert other[1].again.peak == np.float32(0.01) and other[1].live == state[1].live
    with pytest.raises(ValueError, match=r"differ; choose one by path=: '1/again', '1/live/schedule'"):
        olrs.with_schedule(state, olrs.Constant(value=0.3))
    both = state
    for path in ("1/live", "1/again"):
        both = olrs.with_schedule(both, olrs.Constant(value=0.3), path=path)
    for new in (False, True):
        _, after = tx.update(GRADS, both, boundary=new)
        assert olrs.learning_rate(after) == np.float32(0.3)
    alone = olrs.with_schedule(olrs.scale_by_rewarming_schedule(FIRST).init(GRADS), olrs.Constant(value=0.3))
    assert alone.again is None and alone.live.schedule.value == np.float32(0.3)
    with pytest.raises(ValueError, match="at 'again'"):
        olrs.with_schedule(olrs.scale_by_rewarming_schedule(FIRST).init(GRADS), olrs.Constant(value=0.3), path="again")
    # A replaced rate does not recompile.
    traces = []
    step = jax.jit(lambda s, new: (traces.append(1), tx.update(GRADS, s, boundary=new))[1])
    step(state, True), step(half, True), step(other, False)
    assert len(traces) == 1


def test_in_multi_steps_the_last_micro_batch_decides():
    tx = optax.MultiSteps(olrs.scale_by_rewarming_schedule(AGAIN), every_k_schedule=2).gradient_transformation()
    for announced, count in (((False, True), 1), ((True, True), 1), ((True, False), 0)):
        state = tx.init(GRADS)
        for new in announced:
            _, state = tx.update(GRADS, state, boundary=new)
        assert int(state.inner_opt_state.boundary_count) == count, announced


# ── the detector ──────────────────────────────────────────────────────────────────────────────────


def losses(seed=0, steps=3000, jump=0.0, at=1500):
    noise = np.random.default_rng(seed).standard_normal(steps)
    return 2.5 + 0.05 * (noise + jump * (np.arange(steps) >= at))


def found(detector, values):
    """The steps at which the detector reports a shift."""

    def step(state, value):
        shifted, state = detector.seen(state, value)
        return state, shifted

    _, shifted = jax.jit(lambda v: jax.lax.scan(step, detector.begin(), v))(jnp.asarray(values, jnp.float32))
    return np.flatnonzero(shifted).tolist()


FIELDS = dict(threshold=10.0, drift=0.5, memory_steps=100, rest_steps=30, cap=4.0)


@pytest.mark.parametrize("seed", range(4))
def test_the_statistic_is_pages(seed):
    values = np.where(np.random.default_rng(seed).random(3000) < 0.01, np.nan, losses(seed, jump=2.0))
    values[2500:] += 0.3
    expected = oracles.cusum(np.float32(values).tolist(), **FIELDS)
    assert found(olrs.transforms.LossShift(**FIELDS), values) == expected and len(expected) >= 2


def test_what_it_finds_and_what_it_leaves_alone():
    detector = olrs.transforms.LossShift()
    assert found(detector, losses()) == []
    (at,) = found(detector, losses(jump=2.0))
    assert 1510 <= at < 1600
    spikes = losses()
    spikes[600::97] += 50.0
    assert found(detector, spikes) == []
    falling = losses() + 5.0 / np.sqrt(1 + np.arange(3000) / 50)
    assert found(detector, falling) == []
    assert found(detector, np.full(2000, 2.5)) == []  # the variance is zero
    assert found(detector, np.where(np.arange(2000) < 900, np.nan, np.inf)) == []


def test_the_detector_restarts_the_schedule_in_that_very_update():
    detector = olrs.transforms.LossShift(**FIELDS)
    values = np.float32(losses(jump=4.0, steps=400, at=200))
    tx = olrs.scale_by_rewarming_schedule(FIRST, again=AGAIN, detector=detector)
    rates, state = rates_of(tx, [False] * 400, value=values)
    (at,) = oracles.cusum(values.tolist(), **FIELDS)
    boundaries = [step == at for step in range(400)]
    np.testing.assert_allclose(rates, oracles.streamed(FIRST.at, AGAIN.at, boundaries), rtol=2e-6)
    assert int(state.boundary_count) == 1 and rates[at] == 0.0


def test_a_boundary_that_is_told_restarts_the_detector():
    """A change is not reported twice: the detector ignores the loss that the change causes."""
    values = np.float32(losses(jump=4.0, steps=400, at=200))
    announced = [step == 200 for step in range(400)]
    tx = olrs.scale_by_rewarming_schedule(FIRST, again=AGAIN, detector=olrs.transforms.LossShift(**FIELDS))
    rates, state = rates_of(tx, announced, value=values)
    assert oracles.cusum(values.tolist(), **FIELDS, announced=[200]) == []
    assert int(state.boundary_count) == 1
    np.testing.assert_allclose(rates, oracles.streamed(FIRST.at, AGAIN.at, announced), rtol=2e-6)


MISTAKES = [
    (lambda: olrs.scale_by_rewarming_schedule(0.1), TypeError, "schedule must be a Schedule"),
    (lambda: olrs.scale_by_rewarming_schedule(FIRST, again=0.1), TypeError, "again must be a Schedule"),
    (
        lambda: olrs.scale_by_rewarming_schedule(FIRST, detector="loss"),
        TypeError,
        "scale_by_rewarming_schedule: detector must be a LossShift, such as LossShift(), got 'loss'",
    ),
    (lambda: updated(boundary=1), TypeError, "scale_by_rewarming_schedule: boundary must be a bool, got 1"),
    (lambda: updated(boundary=np.zeros(3, bool)), ValueError, "boundary must be a scalar, got shape (3,)"),
    (lambda: updated(value=np.zeros(3)), ValueError, "LossShift: value must be a scalar, got shape (3,)"),
    (lambda: olrs.transforms.LossShift(threshold=0.0), ValueError, "threshold must be positive, got threshold=0.0"),
    (lambda: olrs.transforms.LossShift(drift=-1.0), ValueError, "drift must not be negative, got drift=-1.0"),
    (lambda: olrs.transforms.LossShift(cap=0.2), ValueError, "cap must be above drift"),
    (lambda: olrs.transforms.LossShift(memory_steps=1), ValueError, "memory_steps must be from 2"),
    (lambda: olrs.transforms.LossShift(rest_steps=-1), ValueError, "rest_steps must be at least 0, got -1"),
    (lambda: olrs.transforms.LossShift(memory_steps=2.0), TypeError, "memory_steps must be an int, got 2.0"),
]


def updated(**extra):
    tx = olrs.scale_by_rewarming_schedule(FIRST, detector=olrs.transforms.LossShift())
    return tx.update(GRADS, tx.init(GRADS), **extra)


@pytest.mark.parametrize(("make", "error", "text"), MISTAKES, ids=lambda x: x if isinstance(x, str) else "")
def test_mistakes_name_the_argument_the_value_and_the_rule(make, error, text):
    with pytest.raises(error) as caught:
        make()
    assert type(caught.value) is error and text in str(caught.value)


def test_costs_no_collective_and_a_few_scalar_kernels():
    """On eight devices, with a detector: the compiled update has no collective."""
    mesh = jax.make_mesh((8,), ("data",))
    spread = jax.NamedSharding(mesh, jax.P("data"))
    params = {"w": jax.device_put(jnp.ones((64, 8)), spread)}
    with jax.set_mesh(mesh):
        tx = olrs.scale_by_rewarming_schedule(FIRST, again=AGAIN, detector=olrs.transforms.LossShift())
        update = jax.jit(lambda g, s, new, value: tx.update(g, s, boundary=new, value=value))
        text = update.lower(params, tx.init(params), np.False_, np.float32(1.0)).compile().as_text()
    assert not any(word in text for word in ("all-reduce", "all-gather", "collective-permute", "all-to-all"))
