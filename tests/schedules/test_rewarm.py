"""Re-warming, cooldowns and branches of a plateau: goldens, properties and mistakes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optax_lrs as olrs
from matrices import goldens
from matrices import schedule_rules as rules
from matrices.goldens import holds
from optax_lrs import profiles

OLD = olrs.WSD(peak=3e-4, total_steps=1000, warmup_steps=50, decay_steps=200, end=3e-5)
STEPS = np.arange(3000)


def test_goldens():
    """Ibrahim et al., 405M, and two cycles.

    methods/wsd_continual_laws.goldens.json, "rewarm" and "rewarm_multi".
    """
    published = dict(peak=3e-4, warmup_steps=1324, decay_steps=132_366 - 1324)
    holds(olrs.rewarm(olrs.Constant(value=1.0), at=0, **published), goldens.REWARM)
    later = olrs.rewarm(OLD, at=5000, **published)
    holds(later, [(5000 + step, rate) for step, rate in goldens.REWARM if step == int(step)])
    first = olrs.Cosine(peak=3e-4, end=3e-5, total_steps=1000, warmup_steps=10)
    holds(olrs.rewarm(first, at=1000, peak=3e-4, warmup_steps=10, decay_steps=1490), goldens.REWARM_TWICE)
    both = olrs.rewarm(OLD, at=(0, 1000), peak=3e-4, warmup_steps=10, decay_steps=(None, 1490))
    holds(both, goldens.REWARM_TWICE)
    one_each = olrs.rewarm(
        OLD, at=[0, 1000], peak=[3e-4, 3e-4], warmup_steps=[10, 10], decay_steps=[990, 1490], end=3e-5
    )
    assert one_each == both
    for lr in (
        later,
        both,
    ):  # the goldens have twelve digits; the joined schedules check the rest
        np.testing.assert_allclose(lr.at(lr.boundary + STEPS), joined(lr).at(lr.boundary + STEPS), rtol=1e-12)


def joined(lr):
    """The same cycle, built from other schedules."""
    length = lr.warmup_steps + lr.decay_steps
    new = olrs.Cosine(peak=lr.peak, end=lr.end, total_steps=length, warmup_steps=lr.warmup_steps)
    return olrs.join(lr.schedule, new, at=lr.boundary)


def test_rewarm_leaves_the_past_alone_and_jumps_or_not():
    for start, rate in ((0.0, 0.0), (1e-5, 1e-5), (None, OLD.at(900))):
        lr = olrs.rewarm(OLD, at=900, peak=2e-4, warmup_steps=100, decay_steps=500, start=start)
        np.testing.assert_array_equal(lr.at(STEPS[:900]), OLD.at(STEPS[:900]))
        np.testing.assert_array_equal(lr(STEPS[:900]), OLD(STEPS[:900]))
        assert lr.at(900) == rate and float(lr(900)) == np.float32(rate) and lr.at(1000) == 2e-4
        assert lr.at(950) == pytest.approx((rate + 2e-4) / 2, rel=1e-14)
        assert lr.at([1500, 9999]).tolist() == [2e-5, 2e-5]


def test_the_continuous_start_follows_the_numbers_of_run_time():
    """A change of the old peak moves the start of the new warmup, without compiling again.

    The derivative follows too.
    """

    def rate(peak, step=1000):
        old = OLD.replace(peak=peak)
        return olrs.rewarm(old, at=700, peak=2e-4, warmup_steps=600, decay_steps=500, start=None)(step)

    peaks = jnp.array([1e-4, 2e-4, 4e-4])
    np.testing.assert_allclose(jax.vmap(rate)(peaks), (peaks + 2e-4) / 2, rtol=1e-6)
    np.testing.assert_allclose(jax.grad(rate)(3e-4), 0.5, rtol=1e-6)
    swept = jax.vmap(lambda peak: olrs.rewarm(OLD, at=700, peak=peak, warmup_steps=0, decay_steps=10)(710))(peaks)
    np.testing.assert_allclose(swept, peaks / 10, rtol=1e-6)  # the end is a tenth of a traced peak too


def test_many_cycles_cost_one_evaluation_each():
    calls = []

    class Counted(olrs.Schedule):
        """Counts its evaluations."""

        value: float

        def rate(self, clock):
            calls.append(1)
            return self.value + 0.0 * clock.since(0)

    lr = olrs.rewarm(Counted(value=1.0), at=range(100, 2100, 100), peak=1.0, warmup_steps=5, decay_steps=95, start=None)
    lr.at(50)
    assert len(calls) == 1
    every = olrs.rewarm(OLD, at=range(0, 3000, 100), peak=1.0, warmup_steps=5, decay_steps=95)
    cycle = olrs.cycled(olrs.Cosine(peak=1.0, end=0.1, total_steps=100, warmup_steps=5), period_steps=100)
    np.testing.assert_allclose(every.at(STEPS), cycle.at(STEPS), rtol=1e-13)


def test_a_rewarming_may_cut_off_the_one_before():
    lr = olrs.rewarm(OLD, at=(100, 150), peak=1e-4, warmup_steps=100, decay_steps=100, start=None)
    assert lr.at(150) == pytest.approx((OLD.at(100) + 1e-4) / 2) == pytest.approx(lr.at(149.999999), rel=1e-6)


@pytest.mark.parametrize(
    "profile", [profiles.linear, profiles.cosine, profiles.inverse, profiles.exponential], ids=repr
)
def test_with_cooldown_is_continuous_and_leaves_the_past_alone(profile):
    for schedule in (OLD, olrs.InverseSqrt(peak=1e-3, warmup_steps=50), olrs.Constant(value=1e-3)):
        lr = olrs.with_cooldown(schedule, at=850, steps=100, profile=profile, end=1e-6)
        for new, old in ((lr.at, schedule.at), (lr, schedule)):
            np.testing.assert_array_equal(new(STEPS[:850]), old(STEPS[:850]))
            np.testing.assert_allclose(new(850), old(850), rtol=3e-7 if new is lr else 1e-15)
        assert lr.at([950, 4000]).tolist() == [1e-6, 1e-6] and lr.ends_at == 950
        assert np.all(np.diff(lr.at(STEPS[850:])) <= 0)


def test_with_cooldown_follows_the_numbers_of_run_time():
    lr = olrs.with_cooldown(OLD, at=500, steps=100)
    halved = jax.tree.map(lambda leaf: leaf / 2, lr)
    np.testing.assert_allclose(halved.at(STEPS), lr.at(STEPS) / 2, rtol=1e-14)
    slope = jax.grad(lambda peak: olrs.with_cooldown(OLD.replace(peak=peak), at=500, steps=100)(550))
    np.testing.assert_allclose(slope(3e-4), 0.5, rtol=1e-6)
    warm = jax.grad(
        lambda p: olrs.with_cooldown(OLD.replace(peak=p), at=500, steps=9, profile=profiles.exponential, end=1e-6)(0)
    )
    assert warm(3e-4) == 0.0  # the ratio to a rate of 0 gives no nan
    dropped = olrs.with_cooldown(OLD, at=500, steps=0)
    assert dropped.at([499, 500]).tolist() == [3e-4, 0.0]


PLATEAUS = {  # a schedule, and a step of its plateau
    "WSD": (OLD, 300),
    "WSD without a decay": (OLD.replace(decay_steps=0), 2500),
    "WSD at the decay": (OLD, 800),
    "WSDC": (olrs.WSDC(peak=1.0, end=0.1, stable_steps=500, decay_steps=100, warmup_steps=20), 20),
    "WSDS": (olrs.WSDS.of_cycles(peak=1.0, end=0.1, boundaries=(300, 700, 1000), share=0.1, warmup_steps=50), 500),
    "WSDS, at a boundary": (olrs.WSDS.of_run(peak=1.0, end=0.1, boundaries=(300, 700, 1000), share=0.1), 300),
    "Infinite": (
        olrs.Infinite(peak=1.0, plateau=0.5, cooldown_steps=100, stable_steps=900, anneal_steps=80, end=0.1),
        150,
    ),
    "Infinite without": (olrs.Infinite(peak=1.0, plateau=0.5, cooldown_steps=100, warmup_steps=7, end=0.1), 1500),
    "InverseSqrt": (olrs.InverseSqrt(peak=1.0, warmup_steps=30, total_steps=900, cooldown_steps=100), 200),
    "InverseSqrt without": (olrs.InverseSqrt(peak=1.0, warmup_steps=30), 200),
    "PowerLaw": (olrs.PowerLaw(**olrs.PowerLaw.example), 40),
    "PowerLaw without": (olrs.PowerLaw(peak=0.02, tokens_per_step=2**32, sequences_per_step=1024), 40),
    "scaled": (olrs.scaled(OLD, factor=0.5), 300),
    "shifted": (olrs.shifted(OLD, by=-13), 300),
    "join": (olrs.join(olrs.Linear(peak=1.0, total_steps=100), OLD, at=100), 300),
    "switch": (olrs.switch(olrs.Constant(value=1.0), OLD, at=100), 300),
    "on_tokens": (
        olrs.on_tokens(
            olrs.WSD(peak=1.0, total_steps=10**6, decay_steps=10**5, warmup_steps=9_999),
            tokens_per_step=(500, 1_000),
            at=100,
        ),
        300,
    ),
    "with_cooldown": (olrs.with_cooldown(OLD.replace(decay_steps=0), at=600, steps=90), 300),
}


@pytest.mark.parametrize("name", PLATEAUS)
def test_a_branch_equals_its_stem_before_it_begins(name):
    stem, at = PLATEAUS[name]
    for steps in (None, 1, 77):
        if steps is None and ("without" in name):
            with pytest.raises(ValueError, match="decay_from: steps must be given"):
                olrs.decay_from(stem, at=at)
            continue
        branch = olrs.decay_from(stem, at=at, steps=steps)
        assert type(branch) is type(stem)
        before = STEPS[: at + 1]
        np.testing.assert_array_equal(branch.at(before), stem.at(before))
        np.testing.assert_array_equal(branch(before.astype(np.int32)), stem(before.astype(np.int32)))
        after = branch.at(at + STEPS)
        assert np.all(np.diff(after) <= 0) and after[-1] < 0.7 * after[0]
        if steps is not None:
            assert branch.ends_at == at + steps
        rules.survives_text_and_pickle(branch)


def test_branches_of_wsd_are_wsd_of_other_lengths():
    branch = olrs.decay_from(OLD, at=300)
    assert branch == OLD.replace(total_steps=500)
    assert olrs.decay_from(OLD, at=800) == OLD
    own = olrs.decay_from(PLATEAUS["PowerLaw"][0], at=40)
    assert own.decay_tokens == 10**11 and own.total_tokens == 40 * 2**32 + 10**11
    slower = olrs.on_tokens(OLD.replace(total_steps=10**6, decay_steps=10), tokens_per_step=(1_000, 10), at=100)
    assert olrs.decay_from(slower, at=200).schedule.total_steps == 100 * 1_000 + 100 * 10 + 10
    ramped = olrs.decay_from(PLATEAUS["on_tokens"][0], at=300, steps=10).schedule
    assert (ramped.total_steps, ramped.decay_steps) == (100 * 500 + 210 * 1000, 10_000)


def test_a_class_of_ones_own_joins_in():
    class Mine(olrs.Schedule):
        """A plateau and a drop."""

        peak: float
        total_steps: int

        def rate(self, clock):
            return self.peak * clock.left(self.total_steps - 1, self.total_steps)

        def decayed_from(self, at, steps=None):
            """Starts the drop earlier."""
            return self.replace(total_steps=at + 1)

    assert olrs.decay_from(Mine(peak=1.0, total_steps=10), at=5).total_steps == 6


def rewarm(**changes):
    return olrs.rewarm(**dict(schedule=OLD, at=1000, peak=1e-4, warmup_steps=10, decay_steps=90) | changes)


MISTAKES = [
    (lambda: rewarm(schedule=0.1), TypeError, "schedule must be a Schedule, got 0.1"),
    (lambda: rewarm(at=-1), ValueError, "at must not be negative, got boundary=-1"),
    (lambda: rewarm(at=1.5), TypeError, "rewarm: at must be an int, got 1.5"),
    (lambda: rewarm(at=()), ValueError, "at must be one step or more, got ()"),
    (lambda: rewarm(at=(500, 400)), ValueError, "at must be increasing, got (500, 400)"),
    (
        lambda: rewarm(at=(5, 9), peak=(1.0, 2.0, 3.0)),
        ValueError,
        "peak must be one value, or one for each of the 2 steps of at",
    ),
    (
        lambda: rewarm(decay_steps=None),
        ValueError,
        "decay_steps must be an int for the last re-warming, at 1000, got None",
    ),
    (
        lambda: rewarm(at=(500, 510), decay_steps=(None, 5)),
        ValueError,
        "leaves no steps for a decay between at=500 with warmup_steps=10",
    ),
    (lambda: rewarm(end=1e-3), ValueError, "end is a rate, not a share of the peak"),
    (lambda: rewarm(start=-1.0), ValueError, "start must not be negative, got start=-1.0"),
    (lambda: rewarm(start="old"), TypeError, "start must be a number, got 'old'"),
    (
        lambda: rewarm(profile=profiles.inverse, end=0.0),
        ValueError,
        "profiles.inverse needs a positive end, got end=0.0",
    ),
    (lambda: olrs.with_cooldown(OLD, at=-5, steps=3), ValueError, "at must not be negative, got boundary=-5"),
    (lambda: olrs.with_cooldown(OLD, at=5, steps=-3), ValueError, "with_cooldown: steps must be at least 0, got -3"),
    (
        lambda: olrs.with_cooldown(OLD, at=25, steps=9, end=2e-4),
        ValueError,
        "end must be at most 0.00015, the rate at which the decay starts",
    ),
    (
        lambda: olrs.with_cooldown(OLD, at=500, steps=9, profile=profiles.exponential),
        ValueError,
        "needs a positive end",
    ),
    (
        lambda: olrs.with_cooldown(OLD, at=500, steps=9, profile="linear"),
        TypeError,
        "profile must be a Profile, such as profiles.linear",
    ),
    (lambda: olrs.decay_from(0.1, at=5), TypeError, "decay_from: schedule must be a Schedule, got 0.1"),
    (lambda: olrs.decay_from(OLD, at=5.0), TypeError, "decay_from: at must be an int, got 5.0"),
    (lambda: olrs.decay_from(OLD, at=500, steps=0), ValueError, "decay_from: steps must be at least 1, got 0"),
    (
        lambda: olrs.decay_from(OLD, at=49),
        ValueError,
        "at=49 is before the plateau of this WSD, which begins at 50; with_cooldown(",
    ),
    (
        lambda: olrs.decay_from(OLD, at=801),
        ValueError,
        "at=801 is after the decay of this WSD has begun, at 800; with_cooldown(",
    ),
    (
        lambda: olrs.decay_from(olrs.Cosine(peak=1.0, total_steps=9), at=5),
        TypeError,
        "schedule must have a plateau and a decay to start at=5, got a Cosine; use with_cooldown(",
    ),
    (
        lambda: olrs.decay_from(PLATEAUS["join"][0], at=50),
        ValueError,
        "at=50 is before the last of the schedules, which begins at 100",
    ),
    (
        lambda: olrs.decay_from(PLATEAUS["WSDS"][0], at=1000),
        ValueError,
        "after the decay of this WSDS has begun, at 970",
    ),
    (
        lambda: olrs.decay_from(PLATEAUS["with_cooldown"][0], at=601),
        ValueError,
        "after the decay of this Cooled has begun, at 600",
    ),
    (
        lambda: olrs.decay_from(PLATEAUS["Infinite without"][0].replace(end=0.0), at=200, steps=5),
        ValueError,
        "an annealing needs a positive end",
    ),
]


@pytest.mark.parametrize(("make", "error", "text"), MISTAKES, ids=lambda x: x if isinstance(x, str) else "")
def test_mistakes_name_the_argument_the_value_and_the_rule(make, error, text):
    with pytest.raises(error) as caught:
        make()
    assert type(caught.value) is error and text in str(caught.value) and "\n" not in str(caught.value)


def test_a_cooldown_within_a_clock_of_tokens_starts_at_its_first_update():
    lr = olrs.on_tokens(
        olrs.with_cooldown(olrs.Linear(peak=1.0, total_steps=1000), at=250, steps=500), tokens_per_step=100
    )
    np.testing.assert_allclose(lr.at([2, 3, 5, 8]), [0.8, 0.7 * 0.9, 0.7 * 0.5, 0.0], rtol=1e-12)
    outside = olrs.with_cooldown(
        olrs.on_tokens(olrs.Linear(peak=1.0, total_steps=1000), tokens_per_step=100), at=3, steps=5
    )
    np.testing.assert_allclose(outside.at([2, 3, 4, 8]), [0.8, 0.7, 0.7 * 0.8, 0.0], rtol=1e-12)
