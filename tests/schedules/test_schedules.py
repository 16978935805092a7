"""The property matrix: every rule for every schedule, at short, zero and long lengths."""

import numpy as np
import pytest

import optax_lrs as olrs
from matrices import schedule_cases as cases
from matrices import schedule_rules as rules
from optax_lrs import profiles

CASES = cases.cases()


def test_every_schedule_and_profile_is_in_the_matrix():
    seen = set()

    def visit(value):
        seen.add(type(value))
        for child in value._flatten()[0]:
            for item in child if isinstance(child, tuple) else (child,):
                if hasattr(item, "_kinds"):
                    visit(item)

    for case in CASES:
        visit(case.schedule)
    ours = {cls for cls in olrs.Schedule.registry.values() if cls.__module__.startswith("optax_lrs.")}
    ours = {cls for cls in ours if issubclass(cls, (olrs.Schedule, olrs.profiles.Profile))}  # laws are values as well
    assert ours <= seen, f"without a row in tests/matrices/schedule_cases.py: {ours - seen}"


def rows():
    """All cases; of each kind of schedule the first is quick, the others are slow."""
    seen = set()
    for case in CASES:
        kind = type(case.schedule)
        yield pytest.param(case, id=str(case), marks=[pytest.mark.slow] if kind in seen else [])
        seen.add(kind)


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("case", [*rows()])
def test_rule(case, rule):
    rule(case.schedule)


@pytest.mark.parametrize(
    "rule", [rules.survives_text_and_pickle, rules.agrees_everywhere, rules.is_finite_and_not_negative]
)
@pytest.mark.parametrize("cls", cases.package_schedules(), ids=lambda cls: cls.__name__)
def test_the_example_of_the_class(cls, rule):
    rule(cls(**cls.example))


@pytest.mark.slow
@pytest.mark.parametrize("total", [10**5, 2**24, 2**31 - 1])  # benchmarks/precision/precision.py checks more
def test_float32_is_within_2e_6_of_the_oracle_at_any_horizon(total):
    random = np.random.default_rng(total).integers(0, total, 2000)
    for case in cases.cases(total):
        last = case.schedule.ends_at or total
        corners = [corner + np.arange(-200, 201) for corner in case.schedule.corners]
        steps = np.concatenate([np.arange(500), *corners, np.arange(last - 3000, last + 2), random])
        steps = np.unique(steps[(steps >= 0) & (steps <= 2**31 - 1)])
        if "stretched" in case.name:
            steps = steps[-3000::3]  # its oracle is exact but slow
        error = rules.precision(case.schedule, case.oracle, steps)
        assert error <= 2e-6, f"{case} is off by {error:.1e} at horizon {total}"
        np.testing.assert_allclose(case.schedule.at(steps), case.oracle(steps), rtol=1e-11, atol=1e-37)


@pytest.mark.parametrize("case", [case for case in CASES if case.falls], ids=str)
def test_never_rises_after_the_warmup(case):
    steps = np.arange(max(case.schedule.corners[:2]), 1500)  # the warmup is the first phase
    for rates in (case.schedule.at(steps), np.asarray(case.schedule(steps))):
        assert np.all(np.diff(rates) <= 1e-7 * rates[0]), "the rate rises"


@pytest.mark.parametrize("total", [0, 1, 2, 3, 10])
def test_degenerate_lengths_are_legal(total):
    for warmup in range(total + 1):
        made = [
            cls(peak=1.0, total_steps=total, warmup_steps=warmup, end=0.25)
            for cls in (olrs.Linear, olrs.Cosine, olrs.REX, olrs.UBA, olrs.CosinePower)
        ]
        for decay in range(total - warmup + 1):
            for profile, _, _ in cases.DECAYS:
                made.append(
                    olrs.WSD(
                        peak=1.0, total_steps=total, warmup_steps=warmup, decay_steps=decay, end=0.25, decay=profile
                    )
                )
        for schedule in made:
            rates = schedule.at(np.arange(total + 3))
            assert np.all(np.isfinite(rates)) and np.all(rates >= 0) and np.max(rates) <= 1.0, schedule
            assert rates[0] == 0.0 or warmup == 0
            if getattr(schedule, "decay_steps", 1) and getattr(getattr(schedule, "decay", None), "reaches_end", True):
                assert rates[total] == 0.25, schedule


def test_a_decay_of_one_step_is_a_drop():
    lr = olrs.WSD(peak=1.0, total_steps=10, decay_steps=1)
    assert lr.at([8, 9, 10, 11]).tolist() == [1, 1, 0, 0]


def test_horizons_beyond_int32():
    far = 10**10
    for schedule in (
        olrs.Linear(peak=1.0, total_steps=far),
        olrs.Cosine(peak=1.0, total_steps=far),
        olrs.WSD(peak=1.0, total_steps=far, decay_steps=far // 2, warmup_steps=10**7),
        olrs.Tabulated(lrs=[1.0, 0.5, 0.0], steps=[0, 10**9, far]),
        olrs.join(olrs.Constant(value=1.0), olrs.Linear(peak=1.0, total_steps=far), at=far),
    ):
        steps = np.array([0, 1, 10**6, 10**9, 2**31 - 1])
        rules.close(schedule(steps.astype(np.int32)), schedule.at(steps))
        for step in (2**31, 3 * 10**9, far - 1, far, 2 * far):
            for kind in (int, np.int64, np.uint64, lambda n: np.array([n]), lambda n: [n, 1]):
                rules.close(schedule(kind(step)), schedule.at(kind(step)), rtol=1e-6)
            rules.close(schedule(np.float32(step)), schedule.at(float(np.float32(step))), rtol=1e-6)
        rules.close(schedule(np.uint32(3 * 10**9)), schedule.at(3 * 10**9), rtol=1e-6)
    assert olrs.Linear(peak=1.0, total_steps=far).at(far - 1) == pytest.approx(1e-10, rel=1e-12)


def test_steps_at_the_edge_of_64_bits():
    lr = olrs.Linear(peak=1.0, total_steps=100)
    assert lr.at(np.uint64(2**63 + 5)) == float(lr(np.uint64(2**63 + 5))) == 0.0
    for step in (-(2**40), np.int64(-(2**31) - 5), [-(2**40) + 1]):
        assert np.all(np.asarray(lr(step)) == 1.0) and np.all(lr.at(step) == 1.0), step


def test_conventions_for_the_first_and_last_step():
    """Ours is the most common convention: rate 0 at step 0 and the peak at step w.

    The end is at step T, after the last update.
    """
    lr = olrs.WSD(peak=1.0, total_steps=40, warmup_steps=4, decay_steps=8)
    assert lr.at([0, 4, 31, 32, 39, 40]).tolist() == [0, 1, 1, 1, 0.125, 0]
    # No first update at rate zero (torchtitan): start the schedule one step late.
    assert olrs.shifted(lr, by=-1).at([0, 3, 38]).tolist() == [0.25, 1, 0.125]
    # A last update at the end rate (MaxText, the papers' code): the last update is step T - 1.
    assert olrs.WSD(peak=1.0, total_steps=39, warmup_steps=4, decay_steps=7).at([32, 39]).tolist() == [1, 0]


def test_profiles_keep_their_order():
    x = np.arange(1, 100)
    at = {
        p: olrs.WSD(peak=1.0, total_steps=100, decay_steps=100, end=0.1, decay=p).at(x)
        for p in (
            profiles.linear,
            profiles.cosine,
            profiles.mirror_cosine,
            profiles.one_minus_sqrt,
            profiles.one_minus_square,
            profiles.inverse,
            profiles.exponential,
        )
    }
    assert np.all(at[profiles.one_minus_sqrt] <= at[profiles.linear])
    assert np.all(at[profiles.linear] <= at[profiles.one_minus_square])
    assert np.all(at[profiles.inverse] <= at[profiles.exponential])
    assert np.all(at[profiles.exponential] <= at[profiles.linear])
    np.testing.assert_allclose(at[profiles.cosine] + at[profiles.mirror_cosine], 2 * at[profiles.linear], rtol=1e-13)


def test_equal_profiles_by_other_names():
    steps = np.arange(0, 1100, 7)
    budget = dict(peak=1.0, total_steps=1000, warmup_steps=100)
    cosine = olrs.Cosine(**budget).at(steps)
    np.testing.assert_allclose(olrs.UBA(**budget, phi=2.0).at(steps), cosine, rtol=1e-13)
    np.testing.assert_allclose(olrs.CosinePower(**budget, p=1.0).at(steps), cosine, rtol=1e-13)
    np.testing.assert_allclose(olrs.CosinePower(**budget, p=1 + 1e-9).at(steps), cosine, rtol=1e-8)
    linear = olrs.Linear(**budget).at(steps)
    np.testing.assert_allclose(olrs.REX(**budget, d=0.0).at(steps), linear, rtol=1e-13)
    np.testing.assert_allclose(olrs.WSD(**budget, decay_steps=900).at(steps), linear, rtol=1e-13)
    for phi in (0.25, 1.0, 5.0):  # UBA is REX, d = 1 - phi/2, applied to the cosine
        np.testing.assert_allclose(
            olrs.UBA(**budget, phi=phi).at(np.arange(100, 1001)),
            (c := olrs.Cosine(**budget).at(np.arange(100, 1001))) / (phi / 2 + (1 - phi / 2) * c),
            rtol=1e-12,
        )
