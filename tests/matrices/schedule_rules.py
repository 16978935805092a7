"""What holds for every schedule, one function a rule: each raises AssertionError for a schedule that breaks it.

The rules are tested themselves, in test_broken.py: for each there is a schedule, wrong on purpose, that must fail it.
"""

import copy
import math
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax

import optax_lrs as olrs
from optax_lrs._schedule import RATES
from optax_lrs._value import Value

LAST = 2**31 - 1
SHAPES = tuple("d p phi h k alpha b q v gamma growth factors".split())  # bend a curve: neither rates nor steps
UNITS = ("cycles", "tokens_per_step", "sequences_per_step")  # ints that are no steps


def edges(schedule) -> np.ndarray:
    """The steps at which schedules go wrong: the ends, the corners and their neighbours, far away."""
    end = schedule.ends_at or 0
    near = {corner + beside for corner in (*schedule.corners, end) for beside in (-2, -1, 0, 1, 2)}
    steps = near | {0, 1, 2, 3, end // 2, end // 3, 10**6, LAST - 1, LAST}
    return np.array(sorted(step for step in steps if 0 <= step <= LAST), np.int64)


def close(actual, desired, *, rtol=2e-6):
    """Relative to each rate; below the float32 range (1e-37) a rate counts as zero."""
    actual, desired = np.asarray(actual, np.float64), np.asarray(desired, np.float64)
    np.testing.assert_allclose(actual, desired, rtol=rtol, atol=1e-37)


def agrees_everywhere(schedule):
    """Scalar, vector, vmap, jit, NumPy and Python inputs, host and device: one formula, one result."""
    steps = edges(schedule)
    host = schedule.at(steps)
    with jax.numpy_dtype_promotion("strict"):
        vector = np.asarray(schedule(steps.astype(np.int32)))
        # Another program (other fused multiply-adds) may round otherwise: by three units in the last place at most.
        close(jax.jit(lambda s: schedule(s))(steps.astype(np.int32)), vector, rtol=3.6e-7)
        close(jax.vmap(schedule)(steps.astype(np.int32)), vector, rtol=3.6e-7)
        in_step = jax.jit(lambda lr, s: -lr(s) * 1.0)  # as a training step does that has the schedule in its state
        for step, rate, host_rate in list(zip(steps.tolist(), vector, host))[::3]:
            assert float(schedule(step)) == float(schedule(np.int32(step))) == -float(in_step(schedule, step)), step
            close(schedule(step), rate, rtol=3.6e-7)
            close(jax.jit(schedule)(step), rate, rtol=3.6e-7)
            np.testing.assert_allclose(schedule.at(step), host_rate, rtol=1e-14)
            if step < 2**24:
                close(schedule(jnp.float32(step)), host_rate)
                np.testing.assert_allclose(schedule.at(float(step)), host_rate, rtol=1e-14)
    for kind in (np.int8, np.uint8, np.int16, np.int32, np.uint32, np.uint64):
        held = steps[steps <= np.iinfo(kind).max]
        np.testing.assert_array_equal(schedule.at(held.astype(kind)), schedule.at(held), err_msg=kind.__name__)
    close(vector, host)


def is_finite_and_not_negative(schedule):
    steps = edges(schedule)
    for rates in (schedule.at(steps), np.asarray(schedule(steps.astype(np.int32)))):
        assert np.all(np.isfinite(rates)) and np.all(rates >= 0), rates


def is_strong_float32_of_the_steps_shape(schedule):
    for step in (
        3,
        3.0,
        np.int64(3),
        jnp.int32(3),
        jnp.float32(3),
        jnp.uint32(3),
        jnp.zeros((2, 3), jnp.int32),
        np.zeros(0, int),
    ):
        rate = schedule(step)
        assert isinstance(rate, jax.Array) and rate.dtype == jnp.float32 and not rate.weak_type, step
        assert rate.shape == np.shape(step)
    assert isinstance(schedule.at(3), np.float64) and schedule.at([[1, 2]]).shape == (1, 2)
    assert schedule.at([1, 2]).dtype == np.float64


def map_fields(value, change):
    """The value with ``change(key, leaf)`` applied to every number and count in it, at any depth."""
    if isinstance(value, tuple):
        return tuple(map_fields(item, change) for item in value)
    fields = {}
    for key in value._kinds:
        item = getattr(value, key)
        if isinstance(item, Value) or (isinstance(item, tuple) and any(isinstance(i, Value) for i in item)):
            fields[key] = map_fields(item, change)
        else:
            fields[key] = change(key, item)
    return type(value)(**fields)


def scales_with_its_rates(schedule):
    """Rates times c are the schedule times c: no number in the formula is a rate."""
    if "Product(" in repr(schedule):
        return  # of n rates scales with the n-th power: test_combinators.py holds it to that
    larger = map_fields(
        schedule, lambda key, item: item if item is None or key not in RATES else np.multiply(8.0, item)
    )
    steps = edges(schedule)
    np.testing.assert_allclose(larger.at(steps), 8.0 * schedule.at(steps), rtol=1e-13)


def stretches_with_its_counts(schedule):
    """Counts times k at step times k: no number in the formula is a count."""
    if type(schedule) is olrs.RectifiedWarmup:
        return  # its formula counts updates from 1, and holds four of them back whatever the timescale

    def longer(key, item):
        if item is None or key in (*RATES, *SHAPES, *UNITS, "factor"):
            return item
        return tuple(7 * step for step in item) if isinstance(item, tuple) else 7 * item

    if type(schedule) is olrs.PowerLaw:  # a power of the tokens has a scale: what stretches is the step
        coarser = map_fields(schedule, lambda key, item: 7 * item if key == "tokens_per_step" else item)
        steps = np.arange(3000)
        np.testing.assert_allclose(coarser.at(steps), schedule.at(7 * steps), rtol=1e-10, atol=1e-22)
        return
    if type(schedule) is olrs.Tabulated and schedule.steps is None:
        schedule = schedule.replace(steps=range(len(schedule.lrs)))
    stretched = map_fields(schedule, longer)
    steps = np.arange(0, 2 * (schedule.ends_at or 1000))
    np.testing.assert_allclose(stretched.at(7 * steps), schedule.at(steps), rtol=1e-10, atol=1e-22)


def is_constant_after_its_end(schedule):
    if schedule.ends_at is None:
        return
    last = schedule.at(schedule.ends_at)
    after = np.array([schedule.ends_at + 1, 2 * schedule.ends_at + 3, 10**9, LAST])
    np.testing.assert_array_equal(schedule.at(after), last)
    np.testing.assert_array_equal(np.asarray(schedule(after.astype(np.int32))), np.asarray(schedule(schedule.ends_at)))


def does_not_recompile(schedule):
    """A change of any number in it costs no compilation."""
    traces = []

    @jax.jit
    def train_step(lr, step):
        traces.append(step)
        return lr(step)

    leaves, structure = jax.tree.flatten(schedule)
    for factor in (1.0, 0.5, 0.25):
        train_step(jax.tree.unflatten(structure, [leaf * factor for leaf in leaves]), jnp.int32(3))
    assert len(traces) == 1


def has_the_right_gradients(schedule):
    """Each number's derivative is finite at the edges and equals a central difference of the host's float64."""
    leaves, structure = jax.tree.flatten(schedule)
    steps = edges(schedule)
    jacobians = jax.jit(jax.jacfwd(lambda leaves, s: jax.tree.unflatten(structure, leaves)(s)))(
        [jnp.asarray(leaf, jnp.float32) for leaf in leaves], steps.astype(np.int32)
    )
    gradient = jax.grad(lambda leaves: jnp.sum(jax.tree.unflatten(structure, leaves)(steps.astype(np.int32))))
    for leaf in jax.tree.leaves((jacobians, gradient([jnp.asarray(leaf, jnp.float32) for leaf in leaves]))):
        assert np.all(np.isfinite(leaf)), "a gradient is not finite"
    smooth = away_from_corners(schedule)
    jacobians = jax.jacfwd(lambda leaves: jax.tree.unflatten(structure, leaves)(smooth.astype(np.int32)))(
        [jnp.asarray(leaf, jnp.float32) for leaf in leaves]
    )
    for index, (leaf, jacobian) in enumerate(zip(leaves, jacobians)):
        if np.ndim(leaf):
            continue  # a table is linear in its entries: scales_with_its_rates holds it
        width = 1e-6 * max(abs(leaf), 1e-3)
        up, down = (
            jax.tree.unflatten(structure, [*leaves[:index], leaf + sign * width, *leaves[index + 1 :]]).at(smooth)
            for sign in (1, -1)
        )
        difference = (up - down) / (2 * width)
        scale = np.max(np.abs(difference)) + 1e-30
        np.testing.assert_allclose(np.asarray(jacobian, np.float64) / scale, difference / scale, rtol=2e-4, atol=2e-5)


def away_from_corners(schedule):
    end = schedule.ends_at or 1000
    steps = np.unique(np.linspace(1, max(end - 1, 1), 37).astype(np.int64))
    corners = np.array([*schedule.corners, end])
    return steps[np.min(np.abs(steps[:, None] - corners[None, :]), axis=1) > 2] if end > 20 else steps[:0]


def survives_text_and_pickle(schedule):
    copies = [
        olrs.parse(repr(schedule)),
        eval(repr(schedule), vars(olrs.schedules) | {"profiles": olrs.profiles}),
        olrs.Schedule.from_json(schedule.to_json()),
        pickle.loads(pickle.dumps(schedule)),
        copy.deepcopy(schedule),
        schedule.replace(),
    ]
    for again in copies:
        assert again == schedule and hash(again) == hash(schedule) and repr(again) == repr(schedule)
        np.testing.assert_array_equal(again.at(edges(schedule)), schedule.at(edges(schedule)))
    assert schedule != olrs.scaled(schedule, factor=1.0) and schedule != "schedule"


def is_accepted_by_optax(schedule):
    """adamw, sgd, scale_by_schedule and inject_hyperparams take it as one of their own."""
    params = {"w": jnp.ones(3)}
    grads = {"w": jnp.full(3, 0.5)}
    for tx in (
        optax.adamw(schedule),
        optax.sgd(schedule, momentum=0.9),
        optax.chain(optax.scale_by_adam(), optax.scale_by_schedule(schedule)),
        optax.inject_hyperparams(optax.adamw)(learning_rate=schedule),
    ):
        updates, _ = jax.jit(tx.update)(grads, tx.init(params), params)
        assert np.all(np.isfinite(updates["w"]))


def sweeps(schedule):
    """vmap over each of its numbers equals a loop over schedules."""
    leaves, structure = jax.tree.flatten(schedule)
    factors = np.array([0.5, 0.75, 1.0], np.float32)
    steps = edges(schedule)[::2].astype(np.int32)
    swept = jax.vmap(lambda c: jax.tree.unflatten(structure, [leaf * c for leaf in leaves])(steps))(factors)
    for factor, rates in zip(factors, np.asarray(swept)):
        alone = jax.tree.unflatten(structure, [leaf * float(factor) for leaf in leaves])
        np.testing.assert_allclose(rates, np.asarray(alone(steps)), rtol=1e-6, atol=1e-37)


def touches_its_marks(schedule):
    """schedule(warmup_steps) is the peak and schedule(total_steps) the end, exactly, on host and device."""
    fields = schedule._kinds
    if not {"peak", "total_steps", "end"} <= fields.keys():
        return
    decays = getattr(schedule, "decay_steps", 1) > 0
    reaches = getattr(getattr(schedule, "decay", None), "reaches_end", True)
    for rate, kind in ((schedule.at, np.float64), (schedule, np.float32)):
        if schedule.warmup_steps < schedule.total_steps:
            assert rate(schedule.warmup_steps) == kind(schedule.peak)
        if decays and reaches:
            assert rate(schedule.total_steps) == kind(schedule.end)


RULES = [
    agrees_everywhere,
    is_finite_and_not_negative,
    is_strong_float32_of_the_steps_shape,
    scales_with_its_rates,
    stretches_with_its_counts,
    is_constant_after_its_end,
    does_not_recompile,
    has_the_right_gradients,
    survives_text_and_pickle,
    is_accepted_by_optax,
    sweeps,
    touches_its_marks,
]


def precision(schedule, oracle, steps) -> float:
    """The largest relative error of the device's float32 against the oracle; below 1e-37 a rate counts as zero."""
    desired = np.broadcast_to(np.asarray(oracle(steps), np.float64), steps.shape)
    actual = np.asarray(schedule(steps.astype(np.int32)), np.float64)
    zero = np.abs(desired) < 1e-37
    if np.any(np.abs(actual[zero]) > 1e-37):
        return math.inf
    return float(np.max(np.abs(actual - desired)[~zero] / desired[~zero], initial=0.0))
