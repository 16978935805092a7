"""Products, sums, limits, cycles, samples and clocks of tokens."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optax_lrs as olrs
from matrices import combinators_cases as cases_combinators

CASES = cases_combinators.cases()
ONE, RAMP = olrs.Constant(value=1.0), olrs.Linear(peak=1.0, total_steps=100)


def test_rex_at_its_sampling_rates():
    """Computed from the paper's formula: methods/refinement_projection_budget.md, section 5.2."""
    rex = olrs.REX(peak=1.0, total_steps=100)
    golden = [
        (olrs.sampled(rex, every=10), {0: 1, 9: 1, 10: 0.947368421053, 55: 0.666666666667, 99: 0.181818181818, 100: 0}),
        (olrs.sampled(rex, at=[50, 75]), {0: 1, 49: 1, 50: 0.666666666667, 74: 0.666666666667, 75: 0.4, 99: 0.4}),
        (olrs.sampled(rex, at=[25, 50, 75]), {0: 1, 25: 0.857142857143, 50: 0.666666666667, 75: 0.4, 99: 0.4}),
    ]
    for schedule, rates in golden:
        steps = np.array(list(rates))
        np.testing.assert_allclose(schedule.at(steps), list(rates.values()), rtol=6e-12)
        np.testing.assert_allclose(schedule(steps), list(rates.values()), rtol=2e-6)


def test_a_horizon_says_per_cent():
    run = olrs.Horizon.of(steps=1000)
    lr = olrs.sampled(olrs.REX(peak=1.0, total_steps=run.steps), every=run.fraction(0.05))
    assert len(set(lr.at(np.arange(1000)).tolist())) == 20
    lr = olrs.sampled(olrs.REX(peak=1.0, total_steps=run.steps), at=[run.fraction(x) for x in (0.33, 0.66)])
    assert lr.milestones == (330, 660)


def test_sampling_every_step_changes_nothing():
    steps = np.arange(110)
    np.testing.assert_array_equal(olrs.sampled(RAMP, every=1).at(steps), RAMP.at(steps))
    np.testing.assert_array_equal(olrs.sampled(RAMP, at=range(1, 101)).at(steps), RAMP.at(steps))


def test_cycles():
    lr = olrs.cycled(RAMP, period_steps=100)
    assert lr.ends_at is None and lr.at([0, 100, 10**12]).tolist() == [1, 1, 1]
    ended = olrs.cycled(RAMP, period_steps=50, cycles=3)
    assert ended.at([49, 50, 149, 150, 10**9]).tolist() == [0.51, 1, 0.51, 0.5, 0.5] and ended.ends_at == 150
    once = olrs.cycled(RAMP, period_steps=100, cycles=1)
    np.testing.assert_array_equal(once.at(np.arange(300)), RAMP.at(np.arange(300)))
    np.testing.assert_allclose(ended(jnp.array([49.5, 50.5])), [0.505, 0.995], rtol=1e-6)
    assert olrs.cycled(RAMP, period_steps=10**12).at(50) == 0.5 == olrs.cycled(RAMP, period_steps=10**12)(50)


def test_a_stage_without_steps_is_passed_over():
    lr = olrs.on_tokens(olrs.Linear(peak=1.0, total_steps=100), tokens_per_step=[1, 7, 10], at=[5, 5])
    np.testing.assert_allclose(lr.at([4, 5, 6]), [0.96, 0.95, 0.85], rtol=1e-15)
    assert lr.ends_at == 15 and lr.at(15) == 0.0 < lr.at(14)


def test_the_number_of_updates_of_a_ramp():
    """Counting gives the same: the first step at which all tokens were seen."""
    random = np.random.default_rng(0)
    for _ in range(200):
        per, at = random.integers(1, 9, 3).tolist(), np.sort(random.integers(0, 20, 2)).tolist()
        length = int(random.integers(0, 200))
        lr = olrs.on_tokens(olrs.Linear(peak=1.0, total_steps=length), tokens_per_step=per, at=at)
        steps = [per[int(np.searchsorted(at, step, side="right"))] for step in range(300)]
        assert lr.ends_at == int(np.searchsorted(np.concatenate([[0], np.cumsum(steps)]), length)), lr


def test_whole_cycles_of_tokens_beyond_int32():
    """With a trillion tokens, the remainder and the start of each stage are exact."""
    run = olrs.Horizon.of(tokens=10**12, tokens_per_step=2**22)
    lr = olrs.on_tokens(olrs.Linear(peak=1.0, total_steps=10**12), tokens_per_step=2**22)
    assert lr.ends_at == run.steps == 238419
    left = 10**12 - 238418 * 2**22
    np.testing.assert_allclose(lr(238418), left / 10**12, rtol=1e-6)
    np.testing.assert_allclose(lr.at(238418), left / 10**12, rtol=1e-14)


def test_each_corner_is_listed_once():
    assert olrs.Tabulated(lrs=[1.0], steps=[3]).corners == (3,)
    assert olrs.stretched(olrs.Linear(peak=1.0, total_steps=2, warmup_steps=1), factor=0.5).corners == (0, 1)


def test_gradients_reach_every_factor():
    def loss(a, b, floor):
        lr = olrs.product(olrs.Linear(peak=a, total_steps=10), olrs.Linear(peak=b, total_steps=20))
        return olrs.clipped(lr, floor=floor)(5)

    np.testing.assert_allclose(jax.grad(loss, (0, 1, 2))(2.0, 3.0, 0.1), (0.5 * 2.25, 0.75, 0.0), rtol=1e-6)
    np.testing.assert_allclose(jax.grad(loss, (0, 1, 2))(2.0, 3.0, 9.0), (0.0, 0.0, 1.0), rtol=1e-6)


MISTAKES = [
    (lambda: olrs.product(ONE), ValueError, "schedules must be two or more"),
    (lambda: olrs.product(), ValueError, "schedules must be two or more"),
    (lambda: olrs.product(ONE, 0.5), TypeError, "schedules must be a Schedule, got 0.5"),
    (lambda: olrs.summed(ONE), ValueError, "schedules must be two or more"),
    (lambda: olrs.summed(ONE, None), TypeError, "schedules must be a Schedule"),
    (lambda: olrs.clipped(ONE), ValueError, "give floor, ceiling or both"),
    (lambda: olrs.clipped(ONE, floor=-1.0), ValueError, "floor must not be negative, got floor=-1.0"),
    (lambda: olrs.clipped(ONE, ceiling=-1.0), ValueError, "ceiling must not be negative"),
    (
        lambda: olrs.clipped(ONE, floor=2.0, ceiling=1.0),
        ValueError,
        "floor must be at most ceiling, got floor=2.0, ceiling=1.0",
    ),
    (lambda: olrs.clipped(ONE, floor="low"), TypeError, "floor must be a number, got 'low'"),
    (lambda: olrs.clipped(1.0, floor=0.5), TypeError, "schedule must be a Schedule, got 1.0"),
    (lambda: olrs.cycled(ONE, period_steps=0), ValueError, "period_steps must be at least 1, got period_steps=0"),
    (lambda: olrs.cycled(ONE, period_steps=5.0), TypeError, "period_steps must be an int"),
    (lambda: olrs.cycled(ONE, period_steps=5, cycles=0), ValueError, "cycles must be at least 1, got cycles=0"),
    (lambda: olrs.sampled(ONE), ValueError, "exactly one of every and at"),
    (lambda: olrs.sampled(ONE, every=3, at=[5]), ValueError, "exactly one of every and at"),
    (lambda: olrs.sampled(ONE, every=0), ValueError, "every must be at least 1"),
    (lambda: olrs.sampled(ONE, at=[]), ValueError, "at must be increasing"),
    (lambda: olrs.sampled(ONE, at=[0, 5]), ValueError, "at must be increasing"),
    (lambda: olrs.sampled(ONE, at=[5, 5]), ValueError, "milestones=(5, 5)"),
    (lambda: olrs.sampled(ONE, at=0.5), TypeError, "milestones must be a sequence"),
    (lambda: olrs.sampled(ONE, at=[0.5]), TypeError, "milestones must be an int"),
    (
        lambda: olrs.on_tokens(ONE, tokens_per_step=0),
        ValueError,
        "tokens_per_step must be one or more counts of at least 1",
    ),
    (lambda: olrs.on_tokens(ONE, tokens_per_step=[]), ValueError, "tokens_per_step must be one or more"),
    (lambda: olrs.on_tokens(ONE, tokens_per_step=2.0), TypeError, "tokens_per_step must be an int"),
    (lambda: olrs.on_tokens(ONE, tokens_per_step=[1, 2]), ValueError, "at must have one step fewer than the"),
    (lambda: olrs.on_tokens(ONE, tokens_per_step=[1, 2], at=-1), ValueError, "at must not decrease or be negative"),
    (lambda: olrs.on_tokens(ONE, tokens_per_step=[1, 2, 3], at=[5, 3]), ValueError, "at must not decrease"),
]


@pytest.mark.parametrize(("build", "error", "message"), MISTAKES, ids=lambda x: x if isinstance(x, str) else "")
def test_mistakes(build, error, message):
    with pytest.raises(error) as caught:
        build()
    assert message in str(caught.value)
