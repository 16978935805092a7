"""The rules that every schedule must satisfy, one function each.

A rule raises AssertionError if a schedule breaks it.
test_broken.py tests the rules themselves: each must reject a schedule that is wrong on purpose.

Compilation is most of the cost, so the rules share programs: ``Programs`` compiles each once per
schedule.
"""

import copy
import functools
import math
import pickle

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

import optax_lrs as olrs
from optax_lrs._schedule import RATES
from optax_lrs._value import Value

LAST = 2**31 - 1
SHAPES = tuple("d p phi h k alpha b q v gamma growth factors".split())  # shape parameters: neither rates nor steps
UNITS = ("cycles", "tokens_per_step", "sequences_per_step")  # integers that do not count steps
FACTORS = np.array([0.5, 0.75, 1.0], np.float32)  # the sweep multiplies every number by these

QUICK = {"xla_backend_optimization_level": 0}  # LLVM compiles faster; what XLA does is the same


def edges(schedule) -> np.ndarray:
    """The steps at which schedules go wrong: ends, corners, their neighbors, and far away."""
    end = schedule.ends_at or 0
    near = {corner + offset for corner in (*schedule.corners, end) for offset in (-2, -1, 0, 1, 2)}
    steps = near | {0, 1, 2, 3, end // 2, end // 3, 2 * end + 3, 10**6, 10**9, LAST - 1, LAST}
    return np.array(sorted(step for step in steps if 0 <= step <= LAST), np.int64)


class Programs:
    """The compiled programs of one schedule, and the rates and derivatives that the rules compare.

    Each is compiled under strict promotion, once, by the first rule that asks for it.
    """

    def __init__(self, schedule):
        self.schedule, self.steps, self.smooth = schedule, edges(schedule), away_from_corners(schedule)
        self.leaves, self.structure = jax.tree.flatten(schedule)
        self.int32 = self.steps.astype(np.int32)

        self.traces = []

        @jax.jit
        def train_step(lr, step):  # as a training step does that has the schedule in its state
            self.traces.append(step)
            return -lr(step) * 1.0

        self.train_step = train_step
        self.closed_over = jax.jit(lambda steps, step, real: (
            schedule(steps), jax.vmap(schedule)(steps), schedule(step), schedule(real)))  # fmt: skip

    def again(self, leaves):
        """The same schedule with other numbers."""
        return jax.tree.unflatten(self.structure, leaves)

    @functools.cached_property
    def host(self):
        return self.schedule.at(self.steps)

    @functools.cached_property
    def device(self):
        return np.asarray(self.on_device(self.int32))

    def on_device(self, steps):
        with jax.numpy_dtype_promotion("strict"):
            return self.schedule(steps)

    @functools.cached_property
    def derivatives(self):
        """Forward at and away from the edges, in reverse at the edges; and the sweep's rates."""

        def program(leaves, steps, smooth, factors):
            edge = lambda leaves: self.again(leaves)(steps)  # noqa: E731
            forward = jax.jacfwd(lambda leaves: (edge(leaves), self.again(leaves)(smooth)))(leaves)
            reverse = jax.grad(lambda leaves: jnp.sum(edge(leaves)))(leaves)
            return *forward, reverse, jax.vmap(lambda c: edge([leaf * c for leaf in leaves]))(factors)

        leaves = [jnp.asarray(leaf, jnp.float32) for leaf in self.leaves]
        with jax.numpy_dtype_promotion("strict"):
            jitted = jax.jit(program, compiler_options=QUICK)
            return jax.device_get(jitted(leaves, self.int32, self.smooth.astype(np.int32), FACTORS))


@functools.lru_cache(maxsize=4)
def programs(schedule) -> Programs:
    return Programs(schedule)


def close(actual, desired, *, rtol=2e-6):
    """Relative to each rate; below the float32 range (1e-37) a rate counts as zero."""
    actual, desired = np.asarray(actual, np.float64), np.asarray(desired, np.float64)
    np.testing.assert_allclose(actual, desired, rtol=rtol, atol=1e-37)


def agrees_everywhere(schedule):
    """Scalar, vector, vmap, jit, NumPy and Python inputs, host and device give one result."""
    of = programs(schedule)
    steps, host, vector = of.steps, of.host, of.device
    for step, rate, host_rate in list(zip(steps.tolist(), vector, host))[::3]:
        with jax.numpy_dtype_promotion("strict"):
            scalar, strong = float(schedule(step)), float(schedule(np.int32(step)))
            in_step = -float(of.train_step(schedule, np.int32(step)))
            jitted, mapped, alone, real = of.closed_over(of.int32, np.int32(step), np.float32(step))
        assert scalar == strong == in_step, step
        # Another program (other fused multiply-adds) may round differently, by at most three units
        # in the last place.
        for one in (scalar, alone):
            close(one, rate, rtol=3.6e-7)
        np.testing.assert_allclose(schedule.at(step), host_rate, rtol=1e-14)
        if step < 2**24:
            close(real, host_rate)
            np.testing.assert_allclose(schedule.at(float(step)), host_rate, rtol=1e-14)
    close(jitted, vector, rtol=3.6e-7)
    close(mapped, vector, rtol=3.6e-7)
    for kind in (np.int8, np.uint8, np.int16, np.int32, np.uint32, np.uint64):
        held = steps[steps <= np.iinfo(kind).max]
        np.testing.assert_array_equal(schedule.at(held.astype(kind)), schedule.at(held), err_msg=kind.__name__)
    close(vector, host)


def is_finite_and_not_negative(schedule):
    of = programs(schedule)
    for rates in (of.host, of.device):
        assert np.all(np.isfinite(rates)) and np.all(rates >= 0), rates


def is_strong_float32_of_the_steps_shape(schedule):
    for step in (3, 3.0, np.int64(3), jnp.int32(3), jnp.float32(3), jnp.uint32(3), jnp.zeros((2, 3), jnp.int32),
                 np.zeros(0, int)):  # fmt: skip
        rate = jax.eval_shape(lambda step=step: schedule(step))
        assert rate.dtype == jnp.float32 and not rate.weak_type, step
        assert rate.shape == np.shape(step)
    rate = programs(schedule).on_device(3)
    assert isinstance(rate, jax.Array) and rate.dtype == jnp.float32 and not rate.weak_type and rate.shape == ()
    assert isinstance(schedule.at(3), np.float64) and schedule.at([[1, 2]]).shape == (1, 2)
    assert schedule.at([1, 2]).dtype == np.float64


def map_fields(value, change):
    """The value with ``change(key, leaf)`` applied to each number and count, at any depth."""
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
    of, last = programs(schedule), schedule.at(schedule.ends_at)
    after = np.array([schedule.ends_at + 1, 2 * schedule.ends_at + 3, 10**9, LAST])
    np.testing.assert_array_equal(schedule.at(after), last)
    device = of.device[of.steps > schedule.ends_at]
    assert len(device) >= 3
    np.testing.assert_array_equal(device, np.asarray(of.on_device(schedule.ends_at)))


def does_not_recompile(schedule):
    """A change of any number in it costs no compilation."""
    of = programs(schedule)
    for factor in (1.0, 0.5, 0.25):
        with jax.numpy_dtype_promotion("strict"):
            of.train_step(of.again([leaf * factor for leaf in of.leaves]), np.int32(3))
    assert len(of.traces) == 1, f"{len(of.traces)} compilations"


def has_the_right_gradients(schedule):
    """Derivatives are finite at the edges and equal central differences in the host's float64."""
    of = programs(schedule)
    at_edges, jacobians, reverse, _ = of.derivatives
    chex.assert_tree_all_finite((at_edges, reverse))
    for index, (leaf, jacobian) in enumerate(zip(of.leaves, jacobians)):
        if np.ndim(leaf):
            continue  # a table is linear in its entries, which scales_with_its_rates checks
        width = 1e-6 * max(abs(leaf), 1e-3)
        up, down = (
            of.again([*of.leaves[:index], leaf + sign * width, *of.leaves[index + 1 :]]).at(of.smooth)
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
    optimizers = (
        optax.adamw(schedule),
        optax.sgd(schedule, momentum=0.9),
        optax.chain(optax.scale_by_adam(), optax.scale_by_schedule(schedule)),
        optax.inject_hyperparams(optax.adamw)(learning_rate=schedule),
    )

    @functools.partial(jax.jit, compiler_options=QUICK)
    def first_updates(grads, params):
        return [tx.update(grads, tx.init(params), params)[0] for tx in optimizers]

    chex.assert_tree_all_finite(first_updates(grads, params))


def sweeps(schedule):
    """vmap over each of its numbers equals a loop over schedules."""
    of = programs(schedule)
    *_, swept = of.derivatives
    for factor, rates in zip(FACTORS, swept):
        with jax.numpy_dtype_promotion("strict"):
            alone = of.again([leaf * float(factor) for leaf in of.leaves])(of.int32)
        np.testing.assert_allclose(rates, np.asarray(alone), rtol=1e-6, atol=1e-37)


def touches_its_marks(schedule):
    """At warmup_steps the rate is the peak, at total_steps the end: exactly, host and device."""
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
    """The largest relative error in float32 against the oracle. Below 1e-37 a rate is zero."""
    desired = np.broadcast_to(np.asarray(oracle(steps), np.float64), steps.shape)
    actual = np.asarray(schedule(steps.astype(np.int32)), np.float64)
    zero = np.abs(desired) < 1e-37
    if np.any(np.abs(actual[zero]) > 1e-37):
        return math.inf
    return float(np.max(np.abs(actual - desired)[~zero] / desired[~zero], initial=0.0))
