"""The property matrix on random compositions, and 1,000 random mistakes.

OPTAX_LRS_COMPOSITIONS is the number of compositions, 800 by default. They are drawn in shares, so
that processes can divide them. Hypothesis draws the same ones each time; OPTAX_LRS_SEED=n draws
others.
"""

import os

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import optax_lrs as olrs
from matrices import compositions
from matrices.compositions import LAST
from optax_lrs import profiles
from optax_lrs._schedule import RATES
from optax_lrs._value.fields import Note

COMPOSITIONS = int(os.environ.get("OPTAX_LRS_COMPOSITIONS", 800))
SEED = int(os.environ.get("OPTAX_LRS_SEED", 0))
SHARES = 8
STEPS = 48  # a fixed number of steps, so that compositions share compiled operations


def drawn(count, seed=0):
    """Draws this many examples, the same in each run, and stores nothing on disk."""

    def decorate(test):
        chosen = settings(max_examples=count, database=None, deadline=None, suppress_health_check=list(HealthCheck))
        return hypothesis.seed(1000 * SEED + seed)(chosen(test))

    return decorate


def some_steps(schedule, random):
    """Corners and ends with their neighbors, distant steps and random ones; a fixed number."""
    marks = [0, 1, LAST, *schedule.corners, schedule.ends_at or 0]
    near = {mark + offset for mark in marks for offset in (-2, -1, 0, 1, 2)}
    last = within_integers(schedule)
    end = min(max(schedule.ends_at or 0, 1000), last)
    near = sorted(step for step in near if 0 <= step <= last)
    near = near if len(near) <= STEPS - 8 else random.choice(near, STEPS - 8, replace=False).tolist()
    return np.array(sorted([*near, *random.integers(0, end, STEPS - len(near))]), np.int64)


def within_integers(schedule):
    """The last step that every inner clock reads as an integer.

    Beyond it, the device cannot locate a step within a cycle.
    """
    children = getattr(schedule, "schedules", None) or ((schedule.schedule,) if hasattr(schedule, "schedule") else ())
    last = min((within_integers(child) for child in children), default=LAST)
    if last == LAST and not any(name in repr(schedule) for name in ("Cycled", "Sampled")):
        return LAST
    slower = schedule.factor if isinstance(schedule, olrs.schedules.Stretched) else 1.0
    return int(last * min(slower, 1.0)) + min(getattr(schedule, "by", 0), 0)


def in_float32(schedule):
    """The schedule as the device sees it.

    Rounding a field to float32 is not an error of the formula.
    """
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), schedule)


def holds_on_the_host(case, steps):
    schedule, rates = case.schedule, case.schedule.at(steps)
    assert np.all(np.isfinite(rates)) and np.all(rates >= 0), "not finite or negative"
    assert np.all(rates <= case.most * (1 + 1e-12)), f"{np.max(rates)} exceeds {case.most}"
    np.testing.assert_allclose([schedule.at(int(step)) for step in steps[::5]], rates[::5], rtol=1e-13, atol=1e-300)
    if schedule.ends_at is not None:
        after = schedule.ends_at + np.array([0, 1, 2, 1000, 10**9])
        assert len(set(schedule.at(after).tolist())) == 1, "moves after its end"
    again = olrs.Schedule.from_json(schedule.to_json())
    assert again == schedule == olrs.parse(repr(schedule)) and hash(again) == hash(schedule)
    assert schedule.corners[0] >= 0 and list(schedule.corners) == sorted(set(schedule.corners))


def holds_on_the_device(case, steps):
    """Checks the compiled rates, and those computed op by op under vmap with their derivative."""
    schedule, oracle, tolerance = case.schedule, in_float32(case.schedule), 2e-6 * factors(case.schedule)
    grow = towards_larger_rates(schedule)
    desired = oracle.at(steps)
    rates, slopes = jax.jvp(lambda lr: op_by_op(lr, steps), *in_pairs(oracle, grow))
    for actual in (schedule(steps.astype(np.int32)), rates):
        actual = np.asarray(actual, np.float64)
        np.testing.assert_allclose(actual, desired, rtol=tolerance, atol=1e-37)
        assert np.all(actual >= 0) and np.all(actual <= case.most * (1 + tolerance))
    slopes = np.asarray(slopes, np.float64)
    assert np.all(np.isfinite(slopes)), "a derivative is not finite"
    width = 1e-5
    move = lambda by: jax.tree.map(lambda a, g: a + by * np.float64(g), oracle, grow)  # noqa: E731
    up, down = move(width).at(steps), move(-width).at(steps)
    straight = np.abs(up + down - 2 * desired) <= 1e-7 * np.abs(desired)  # elsewhere a limit applies
    difference = (up - down) / (2 * width)
    scale = np.max(np.abs(desired)) + 1e-30
    np.testing.assert_allclose(slopes[straight], difference[straight], rtol=1e-4, atol=1e-5 * scale)


def op_by_op(schedule, steps):
    """The rates as a vmap over steps, without the compiled program of a call."""
    one = lambda step: schedule.rate(olrs.Clock.of_device(step)) + jnp.float32(0)  # noqa: E731
    return jax.vmap(one)(jnp.asarray(steps, jnp.int32))


def in_pairs(*trees):
    """Each tree with its numbers as float32 arrays on the device, in tuples as for jvp and vjp."""
    return tuple((jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), tree),) for tree in trees)


def towards_larger_rates(schedule):
    """A direction that increases each rate in proportion and leaves everything else unchanged."""
    direction = lambda path, leaf: np.asarray(leaf) * (path[-1].name in RATES)  # noqa: E731
    return jax.tree_util.tree_map_with_path(direction, schedule)


def factors(schedule):
    """The largest number of rates multiplied together; each may be off by 2e-6."""
    inner = getattr(schedule, "schedules", None) or ((schedule.schedule,) if hasattr(schedule, "schedule") else ())
    counts = [factors(each) for each in inner] or [1]
    return sum(counts) if isinstance(schedule, olrs.schedules.Product) else max(counts)


@pytest.mark.slow
@pytest.mark.parametrize("share", range(SHARES))
def test_random_compositions(share):
    random = np.random.default_rng(share)

    @drawn(-(-COMPOSITIONS // SHARES), seed=share)
    @given(compositions.compositions())
    def holds(case):
        steps = some_steps(case.schedule, random)
        holds_on_the_host(case, steps)
        holds_on_the_device(case, steps)

    holds()


@pytest.mark.slow
def test_gradients_in_reverse():
    """For every tenth composition, gradients of all its numbers are finite at every edge."""

    @drawn(-(-COMPOSITIONS // 10), seed=77)
    @given(compositions.compositions())
    def holds(case):
        steps = some_steps(case.schedule, np.random.default_rng(0))
        ((schedule,),) = in_pairs(case.schedule)
        _, pull = jax.vjp(lambda lr: op_by_op(lr, steps), schedule)
        for gradient in jax.tree.leaves(pull(jnp.ones(STEPS))):
            assert np.all(np.isfinite(gradient)), case

    holds()


# ── mistakes ──────────────────────────────────────────────────────────────────────────────────

NO_NUMBERS = [None, "1", "", True, [1.0], (1,), {}, 1j, object(), lambda step: step, np.ones(2), b"1"]
NO_FINITE = [float("nan"), float("inf"), -float("inf"), np.float32("nan"), np.array(np.inf)]
NO_COUNTS = [None, 1.0, 2.5, "3", True, [], {}, float("nan"), np.float64(3), object(), np.True_]
NO_STEPS = [-1, -(10**12), np.int32(-5)]
NO_SCHEDULES = [None, 0.1, "WSD", lambda step: 1.0, olrs.WSD, [olrs.Constant(value=1.0)], profiles.linear]
NO_SEQUENCES = [None, 3, "12", 0.5, object()]
ONE = olrs.Constant(value=1.0)


def wrong(name, kind):
    """Values that a field of this name and type must reject."""
    if kind is float:
        values = [*NO_NUMBERS, *NO_FINITE]
        return (
            values
            + ([-1.0, -1e-300] if name in (*RATES, "factor") else [])
            + {"d": [1.0, 7.0], "phi": [0.0, -1.0], "p": [0.0, -2.0], "h": [0.0, -1.0], "factor": []}.get(name, [])
        )
    if kind == (float | None):
        return [value for value in wrong(name, float) if value is not None]
    if kind is int:
        return NO_COUNTS + (NO_STEPS if name.endswith("_steps") else [])
    if kind == (int | None):
        return [v for v in NO_COUNTS if v is not None] + (NO_STEPS if name.endswith("_steps") else [0, -1])
    if kind is jax.Array:
        return [None, 1.0, "12", [], [[1.0]], [-1.0], [float("nan")], ["a"], [None], {}, object()]
    if kind is olrs.Schedule:
        return NO_SCHEDULES
    if kind is profiles.Profile:
        return [None, "linear", profiles.power, ONE, 0.5]
    if kind == Note:
        return [value for value in NO_NUMBERS if not isinstance(value, str)]
    optional = kind == (tuple[int, ...] | None)
    return [
        *NO_SEQUENCES[optional:],
        [ONE],
        [0.1],
        [None],
        ["a"],
        [-1],
        [5, 3, 1],
        [True],
    ]  # a tuple of counts or schedules


@st.composite
def mistakes(draw):
    """A class, its example's fields with one wrong value, and the name of that field."""
    cls = draw(
        st.sampled_from(
            sorted(
                (
                    cls
                    for cls in olrs.Schedule.registry.values()
                    if cls.__module__.startswith("optax_lrs.")
                    and cls._kinds
                    and issubclass(cls, (olrs.Schedule, olrs.profiles.Profile))
                ),
                key=lambda cls: cls._name,
            )
        )
    )
    name = draw(st.sampled_from(list(cls._kinds)))
    kind = cls._kinds[name].type
    values = st.sampled_from(wrong(name, kind)) | st.binary() | st.complex_numbers()
    values = values if kind == Note else values | st.text()
    if kind in (int, int | None):
        values |= st.floats() | (
            st.integers(max_value=-1) if name.endswith("_steps") or kind is not int else st.nothing()
        )
    if kind in (float, float | None) and name in (*RATES, "factor"):
        values |= st.floats(max_value=-1e-300)
    return cls, getattr(cls, "example", {}), name, draw(values)


@st.composite
def contradictions(draw):
    """Fields that are valid one by one but not together, and the name of one of them."""
    total, over, peak = draw(st.integers(0, 10**9)), draw(st.integers(1, 10**9)), draw(st.floats(0.0, 1e3))
    one, other = olrs.Constant(value=peak), olrs.Linear(peak=peak, total_steps=total)
    return draw(
        st.sampled_from(
            [
                (lambda: olrs.Cosine(peak=peak, total_steps=total, warmup_steps=total + over), "warmup_steps"),
                (lambda: olrs.WSD(peak=peak, total_steps=total, decay_steps=total + over), "decay_steps"),
                (lambda: olrs.WSD(peak=peak, total_steps=total, decay_steps=total, warmup_steps=over), "warmup_steps"),
                (lambda: olrs.REX(peak=peak, total_steps=total, end=peak + over), "end"),
                (lambda: olrs.WSD(peak=peak, total_steps=total, decay_steps=total, decay=profiles.inverse), "end"),
                (lambda: olrs.Tabulated(lrs=[peak] * 3, steps=[total, total + over]), "steps"),
                (lambda: olrs.Tabulated(lrs=[peak] * 2, steps=[total + over, total]), "steps"),
                (lambda: olrs.join(one, other, at=[total, total + over]), "at"),
                (lambda: olrs.switch(one, other, one, at=[total + over, total]), "at"),
                (lambda: olrs.clipped(other, floor=peak + over, ceiling=peak), "floor"),
                (lambda: olrs.sampled(other, at=[total + over, total]), "at"),
                (lambda: olrs.sampled(other, every=over, at=[over]), "every"),
                (lambda: olrs.on_tokens(other, tokens_per_step=over, at=total), "at"),
                (lambda: olrs.on_tokens(other, tokens_per_step=[over, -total]), "tokens_per_step"),
            ]
        )
    )


@pytest.mark.slow
def test_random_mistakes():
    """Each mistake raises a ValueError or a TypeError that names the argument."""
    seen = []

    @drawn(850)
    @given(mistakes())
    def mistakes_are_named(mistake):
        cls, fields, name, value = mistake
        seen.append(mistake)
        if issubclass(cls, profiles.Profile):
            fields = {key: 0.5 for key in cls._kinds}
        names_the_argument(
            lambda: cls(**fields | {name: value}), name if name not in SAID_AS else f"{name}|{SAID_AS[name]}"
        )

    @drawn(200)
    @given(contradictions())
    def contradictions_are_named(contradiction):
        seen.append(contradiction)
        names_the_argument(*contradiction)

    mistakes_are_named()
    contradictions_are_named()
    assert len(seen) >= 1000


def names_the_argument(build, name):
    with pytest.raises((ValueError, TypeError)) as mistake:
        build()
    mistake.match(name)


# The functions say `at` and `every` for what the classes keep under a longer name.
SAID_AS = {"boundary": "at", "boundaries": "at", "milestones": "at", "period_steps": "every"}
