"""Laws: the papers' double sums, invariants, derivatives and the features of values."""

import json

import jax
import numpy as np
import optax
import pytest

import optax_lrs as olrs
from optax_lrs import laws
from optax_lrs.laws import _solve
from optax_lrs.laws._rates import rates
from optax_lrs.laws._recurrences import annealing_area, annealing_slope, decayed_sum, drops
from optax_lrs.laws._warmup import warmup_length
from oracles.laws import annealing_double_sum, annealing_sums, huber, multi_power

ONE = laws.OnePower(irreducible=2.6, power_scale=0.4, power_exponent=0.5)
ANNEALING = laws.Annealing(irreducible=2.6, power_scale=0.4, power_exponent=0.5, drop_scale=0.4, decay_factor=0.99)
MULTI = laws.MultiPower.published("100M")
CONTINUAL = laws.ContinualAnnealing(
    irreducible=2.6,
    power_scale=0.4,
    power_exponent=0.5,
    former_drop_scale=0.3,
    drop_scale=0.4,
    shift_scale=-0.2,
    shift_speed=20.0,
    shift_exponent=0.3,
    switch_step=700,
    decay_factor=0.99,
)
LAWS = [ONE, ANNEALING, MULTI, CONTINUAL]
T = 2000
SCHEDULES = {
    "constant": olrs.Constant(value=3e-4),
    "cosine": olrs.Cosine(peak=3e-4, total_steps=T - 1, warmup_steps=200, end=3e-5),
    "cosine to zero": olrs.Cosine(peak=3e-4, total_steps=T - 300, warmup_steps=200),
    "wsd": olrs.WSD(peak=3e-4, total_steps=T, warmup_steps=200, decay_steps=600),
    "1-sqrt": olrs.WSD(peak=3e-4, total_steps=T, decay_steps=600, decay=olrs.profiles.one_minus_sqrt),
    "one drop": olrs.Tabulated(lrs=[0.0, 3e-4, 3e-4, 3e-5], steps=[0, 100, 799, 800]),
    "steps": olrs.StepDecay(peak=3e-4, milestones=[500, 900, 1500], factors=[0.5, 0.3, 0.1], warmup_steps=50),
    "triangular": olrs.Triangular(peak=3e-4, period_steps=700, floor=3e-5),
    "float32": olrs.Tabulated(lrs=np.float32(olrs.Cosine(peak=3e-4, total_steps=T).at(range(T)))),
    "rows": olrs.Tabulated(lrs=olrs.Cosine(peak=3e-4, total_steps=T).at(range(0, T, 128)), steps=range(0, T, 128)),
    "noise": olrs.Tabulated(lrs=3e-4 * np.random.default_rng(0).uniform(0.5, 1, T)),
}


def lrs_of(name):
    return SCHEDULES[name].at(range(T))


# ── evaluation ──────────


@pytest.mark.parametrize("factor", [0.0, 0.3, 0.9, 0.999, 1.0])
@pytest.mark.parametrize("count", [1, 2, 63, 1000])
def test_decayed_sums(factor, count):
    values, expected = np.random.default_rng(count).normal(size=count), []
    for value in values:
        expected.append(value + factor * (expected[-1] if expected else 0.0))
    np.testing.assert_allclose(decayed_sum(values, factor), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("factor", [0.0, 0.9, 0.999, 1.0])
def test_annealing_sums_agree_with_the_published_listing(name, factor):
    lrs = lrs_of(name)
    s1, s2 = annealing_sums(lrs, factor)
    law = ANNEALING.replace(decay_factor=factor)
    at = s1 > 0
    expected = law.irreducible + law.power_scale * s1[at] ** -law.power_exponent - law.drop_scale * s2[at]
    np.testing.assert_allclose(law.curve(lrs)[at], expected, rtol=1e-12)
    step = 300
    np.testing.assert_allclose(s2[step], annealing_double_sum(lrs, factor, step), rtol=1e-9, atol=1e-18)


@pytest.mark.parametrize("name", SCHEDULES)
def test_annealing_area_is_the_fall_of_the_average(name):
    lrs, factor = lrs_of(name), 0.99
    average, averages = lrs[0], []
    for lr in lrs:
        average = factor * average + (1 - factor) * lr
        averages.append(average)
    area = (lrs[0] - np.array(averages)) / (1 - factor)
    np.testing.assert_allclose(annealing_area(drops(lrs), factor), area, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("name", SCHEDULES)
def test_multi_power_is_the_sum_over_all_drops(name):
    lrs = lrs_of(name)
    steps = np.unique(np.concatenate([np.arange(1, T, 61), [199, 200, 201, 799, 800, 801, 1400, 1999]]))
    expected = [multi_power(MULTI, lrs, step) for step in steps]
    np.testing.assert_allclose(MULTI.curve(lrs, steps), expected, rtol=3e-8)
    np.testing.assert_allclose(MULTI.curve(lrs)[steps], expected, rtol=3e-8)


def test_multi_power_ignores_the_rise_of_a_summed_warmup():
    lrs = lrs_of("wsd")
    flat = np.maximum(lrs, np.where(np.arange(T) < 200, 3e-4, 0))
    law = MULTI.replace(warmup="summed")
    expected = [multi_power(MULTI, flat, step, summed=lrs) for step in (250, 1500, 1999)]
    np.testing.assert_allclose(law.curve(lrs, [250, 1500, 1999]), expected, rtol=3e-8)
    as_peak = [multi_power(MULTI, flat, step) for step in (250, 1999)]
    np.testing.assert_allclose(MULTI.replace(warmup="as_peak").curve(lrs, [250, 1999]), as_peak, rtol=3e-8)


@pytest.mark.parametrize("shape", [(0.002, 0.24, 1.36), (2.0, 0.6, 0.65), (50.0, 2.0, 0.1), (1.0, 0.01, 1.0)])
def test_multi_power_of_other_shapes(shape):
    law = MULTI.replace(**dict(zip(("drop_speed", "drop_exponent", "lr_exponent"), shape)))
    for name in ("cosine to zero", "1-sqrt", "rows"):
        lrs = lrs_of(name)
        expected = [multi_power(law, lrs, step) for step in (500, 1500, 1999)]
        np.testing.assert_allclose(law.curve(lrs, [500, 1500, 1999]), expected, rtol=3e-8)


def test_rough_rates_take_no_more_memory_than_smooth_ones(monkeypatch):
    monkeypatch.setattr("optax_lrs.laws._kernel_sums._MOST", 50_000)
    lrs = lrs_of("noise")
    pieces = MULTI.plan(lrs, np.arange(0, T, 10), warmup="counted")[1]
    assert len(pieces) > 4 and max(len(piece.targets) for piece in pieces) <= 50_000
    assert MULTI.curve(lrs, [1990])[0] == pytest.approx(multi_power(MULTI, lrs, 1990), rel=1e-12)


def test_multi_power_terms_grow_with_the_logarithm():
    counts = []
    for total in (10_000, 40_000):
        lrs = olrs.Cosine(peak=3e-4, total_steps=total, end=3e-5).at(range(total))
        (piece,) = MULTI.plan(lrs, np.arange(total - 50, total), warmup="counted")[1]
        counts.append(len(piece.targets) / 50)
    assert counts[0] < 300 and counts[1] < counts[0] + 60  # of 10,000 and 40,000 drops


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
@pytest.mark.parametrize("name", ["wsd", "one drop", "noise"])
def test_slopes_are_the_derivatives_of_the_columns(law, name):
    lrs, steps = lrs_of(name) + 1e-5, np.array([300, 750, 801, 1500, 1999])
    settings = {key: getattr(law, key) for key in law.settings}
    plan, values = law.plan(lrs, steps, **settings), law.parameters
    columns, slopes = law.basis(plan, values)
    assert columns.shape == (len(steps), len(law.linear)) and set(slopes) == set(law.others)
    np.testing.assert_array_equal(columns, law.basis(plan, values, slopes=False)[0])
    for key in law.others:
        small = 1e-6 * ((1 - values[key]) if key == "decay_factor" else values[key])
        up, down = (law.basis(plan, {**values, key: values[key] + sign * small})[0] for sign in (1, -1))
        change = (up - down) / (2 * small)
        expected = np.zeros_like(columns)
        for column, slope in slopes[key]:
            expected[:, column] += slope
        np.testing.assert_allclose(change, expected, rtol=2e-6, atol=1e-8 * np.abs(columns).max(), err_msg=key)


def test_annealing_slope():
    changes = drops(lrs_of("wsd"))
    change = (annealing_area(changes, 0.99 + 1e-7) - annealing_area(changes, 0.99 - 1e-7)) / 2e-7
    np.testing.assert_allclose(annealing_slope(changes, 0.99), change, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("law", [ONE, ANNEALING, MULTI], ids=lambda law: type(law).__name__)
@pytest.mark.parametrize("name", ["constant", "wsd", "one drop", "noise"])
@pytest.mark.parametrize("warmup", ["counted", "as_peak", "summed"])
def test_lr_gradient(law, name, warmup, monkeypatch):
    # Moving one step makes a block of drops rough. Divided by so small a move, the interpolation
    # error would be visible.
    monkeypatch.setattr("optax_lrs.laws._kernel_sums._LEAF", 10**9)
    law, lrs = law.replace(warmup=warmup), lrs_of(name)[:-1]
    gradient, last = laws.lr_gradient(law, lrs), [len(lrs) - 1]
    for step in (0, 50, 99, 100, 200, 201, 799, 800, 801, 1500, 1998):
        if (warmup != "counted" and step == warmup_length(lrs)) or lrs[step] == 0:
            continue  # a kink: another step may end the warmup, or the rate is zero and cannot be lowered
        change = np.zeros(len(lrs))
        change[step] = 1e-4 * lrs[step]
        if warmup_length(lrs + change) != warmup_length(lrs) or warmup_length(lrs - change) != warmup_length(lrs):
            continue
        up, down = law.curve(lrs + change, last)[0], law.curve(lrs - change, last)[0]
        assert (up - down) / (2 * change[step]) == pytest.approx(gradient[step], rel=1e-3, abs=1e-3), step


def test_lr_gradient_mistakes():
    with pytest.raises(TypeError, match="law must define rate_slopes, got a ContinualAnnealing"):
        laws.lr_gradient(CONTINUAL, [0.1])
    with pytest.raises(ValueError, match="all zero"):
        laws.lr_gradient(MULTI, [0.0, 0.0])


# ── invariants ──────────


@pytest.mark.parametrize("law", [ONE, ANNEALING, MULTI], ids=lambda law: type(law).__name__)
def test_a_constant_rate_gives_a_power_law(law):
    lrs = np.full(T, 3e-4)
    expected = law.irreducible + law.power_scale * np.cumsum(lrs) ** -law.power_exponent
    np.testing.assert_allclose(law.curve(lrs), expected, rtol=1e-13)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_laws_are_causal(law):
    lrs = lrs_of("wsd")
    other = np.concatenate([lrs[:1000], lrs[1000:] * 0.1])
    rtol = 3e-8 if law is MULTI else 1e-12  # its blocks of drops, and so its rounding, depend on the number of drops
    np.testing.assert_allclose(law.curve(lrs)[300:1000], law.curve(other)[300:1000], rtol=rtol)
    np.testing.assert_allclose(law.curve(lrs[:1000])[300:], law.curve(lrs)[300:1000], rtol=rtol)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_steps_in_any_order_and_shape(law):
    lrs = lrs_of("cosine")
    whole = law.curve(lrs)
    steps = np.array([[900, 300, 900], [1999, 201, 205]])
    np.testing.assert_allclose(law.curve(lrs, steps), whole[steps], rtol=1e-8)
    assert law.curve(lrs, []).shape == (0,)


@pytest.mark.parametrize("law", [ANNEALING, MULTI], ids=lambda law: type(law).__name__)
def test_a_drop_helps_late_and_a_rise_hurts(law):
    """Relative to the power of the sum, a drop lowers the loss more and more; a rise raises it."""
    bare = law.replace(power_scale=0.0)
    fell, rose = (bare.curve(np.r_[np.full(500, a), np.full(1500, b)]) - law.irreducible for a, b in ((3, 1), (1, 3)))
    assert np.all(fell[:500] == 0) and np.all(np.diff(fell[500:]) < 0) and np.all(rose[500:] > 0)
    bound = law.drop_scale * 2 / (1 - law.decay_factor) if law is ANNEALING else law.drop_scale * 2
    assert np.all(fell >= -bound)


def test_annealing_scales_with_the_rates_and_has_its_limits():
    lrs = lrs_of("wsd")
    np.testing.assert_allclose(annealing_area(drops(7 * lrs), 0.99), 7 * annealing_area(drops(lrs), 0.99), rtol=1e-12)
    np.testing.assert_allclose(annealing_area(drops(lrs), 0.0), lrs[0] - lrs, rtol=1e-12, atol=1e-18)
    np.testing.assert_allclose(annealing_area(drops(lrs), 1.0), np.cumsum(lrs[0] - lrs), rtol=1e-12, atol=1e-16)
    down = lrs[200:]
    assert annealing_area(drops(down), 0.99).max() <= (down[0] - down.min()) / (1 - 0.99)


def test_multi_power_has_its_limits():
    lrs = lrs_of("cosine")
    np.testing.assert_allclose(
        MULTI.replace(drop_scale=0.0).curve(lrs)[1:],
        laws.OnePower(
            irreducible=MULTI.irreducible, power_scale=MULTI.power_scale, power_exponent=MULTI.power_exponent
        ).curve(lrs)[1:],
        rtol=1e-13,
    )
    # gamma = 1: only the number of steps after a drop matters. Large beta: an exponential.
    steps = np.array([500, 509, 900])
    law = MULTI.replace(irreducible=0.0, power_scale=0.0, lr_exponent=1.0)
    for low in (1e-4, 2e-4):
        lost = -law.curve(np.r_[np.full(500, 3e-4), np.full(1500, low)], steps) / (law.drop_scale * (3e-4 - low))
        expected = 1 - (law.drop_speed * (steps - 499) + 1) ** -law.drop_exponent
        np.testing.assert_allclose(lost, expected, rtol=1e-12)
    steep = law.replace(drop_exponent=1e6, drop_speed=1e-8)
    lost = -steep.curve(np.r_[np.full(500, 3e-4), np.full(1500, 1e-4)], steps) / (law.drop_scale * 2e-4)
    np.testing.assert_allclose(lost, 1 - np.exp(-0.01 * (steps - 499)), rtol=1e-4)


def test_the_continual_law_before_the_change_is_the_annealing_law():
    lrs = lrs_of("cosine")
    before = ANNEALING.replace(drop_scale=CONTINUAL.former_drop_scale)
    np.testing.assert_allclose(CONTINUAL.curve(lrs)[1:700], before.curve(lrs)[1:700], rtol=1e-13)
    after = CONTINUAL.replace(shift_scale=0.0, drop_scale=CONTINUAL.former_drop_scale)
    assert (
        after.curve(lrs, [1999])[0] != before.curve(lrs, [1999])[0]
    )  # the memory of the first drops ends at the change


def test_infinite_before_any_update_and_without_warnings():
    lrs = lrs_of("wsd")
    for law in (ONE, ANNEALING, MULTI):
        losses = law.curve(lrs)
        assert losses[0] == np.inf and np.all(np.isfinite(losses[1:]))
        assert law.curve(np.zeros(3)).tolist() == [np.inf] * 3
        assert law.replace(power_scale=0.0).curve(np.zeros(3)).tolist() == [law.irreducible] * 3


# ── schedules ──────────


def test_any_optax_schedule():
    ours = olrs.Cosine(peak=3e-4, total_steps=1000, warmup_steps=100)
    theirs = optax.warmup_cosine_decay_schedule(0.0, 3e-4, 100, 1000)
    branching = lambda step: 3e-4 if step < 500 else 1e-4  # noqa: E731
    np.testing.assert_allclose(
        ANNEALING.predict(ours, steps=900)[1:], ANNEALING.predict(theirs, steps=900)[1:], rtol=1e-4
    )
    assert rates(branching, 1000)[[499, 500]].tolist() == [3e-4, 1e-4]
    assert rates(optax.constant_schedule(0.5), 3).tolist() == [0.5] * 3
    assert ANNEALING.final_loss(ours, steps=900) == ANNEALING.predict(ours, steps=900)[-1]


def test_host_only():
    with jax.transfer_guard("disallow"):
        ANNEALING.predict(olrs.Cosine(peak=3e-4, total_steps=1000), steps=1000)


# ── values ──────────


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_laws_are_values(law):
    report = laws.FitReport(
        objective=1e-4, rmse=1e-3, highest_lr=3e-4, longest_steps=1000, points=9, runs=2, doubts=("a", "b")
    )
    law = law.replace(report=report)
    again = laws.Law.from_json(law.to_json())
    assert again == law and hash(again) == hash(law) and again.report.doubts == ("a", "b")
    assert json.loads(law.to_json())["type"] == type(law).__name__
    assert law != law.replace(irreducible=1.0) and repr(law).startswith(type(law).__name__ + "(irreducible=")
    ensemble = laws.Ensemble(law=law, members=[law, law.replace(irreducible=2.5)])
    assert laws.Ensemble.from_json(ensemble.to_json()) == ensemble


def test_published_laws():
    assert {laws.MultiPower.published(size).irreducible for size in ("25M", "100M", "400M")} == {
        3.04045406,
        2.6514477,
        2.37474466,
    }
    with pytest.raises(ValueError, match="size must be one of '25M', '100M', '400M', got '7B'"):
        laws.MultiPower.published("7B")
    with pytest.raises(ValueError, match="domain must be one of"):
        laws.ContinualAnnealing.published("code", switch_step=1)


@pytest.mark.parametrize(
    ("mistake", "error", "message"),
    [
        (lambda: ANNEALING.replace(drop_scale=-1.0), ValueError, "drop_scale must not be negative"),
        (lambda: ANNEALING.replace(decay_factor=1.1), ValueError, "decay_factor must be at most 1"),
        (lambda: ANNEALING.replace(warmup="none"), ValueError, "warmup must be one of counted, as_peak, summed"),
        (lambda: CONTINUAL.replace(switch_step=0), ValueError, "switch_step must be positive"),
        (lambda: ANNEALING.curve([0.1, np.nan]), ValueError, "lrs must be finite rates"),
        (lambda: ANNEALING.curve([0.1, -0.1]), ValueError, "lrs must be finite rates"),
        (lambda: ANNEALING.curve([]), ValueError, "lrs must be finite rates"),
        (lambda: ANNEALING.curve([0.1, 0.1], [2]), ValueError, "steps must be ints from 0 to 1"),
        (lambda: ANNEALING.curve([0.1, 0.1], [0.5]), ValueError, "steps must be ints"),
        (lambda: ANNEALING.predict(olrs.Constant(value=0.1), steps=0), ValueError, "steps must be at least 1"),
        (lambda: ANNEALING.predict(0.1, steps=3), TypeError, "schedule must be a Schedule"),
        (lambda: laws.Ensemble(law=ANNEALING, members=[]), ValueError, "members must not be empty"),
        (lambda: laws.Ensemble(law=ANNEALING, members=[MULTI]), ValueError, "members must have the class"),
        (lambda: laws.score([1.0], [1.0, 2.0]), ValueError, "must have the same shape"),
    ],
)
def test_mistakes(mistake, error, message):
    with pytest.raises(error, match=message):
        mistake()


def test_metrics_by_hand():
    found = laws.score([4.0, 2.0, 3.0], [4.0, 2.5, 2.7])
    assert found.r2 == pytest.approx(1 - 0.34 / 2) and found.mae == pytest.approx(0.8 / 3)
    assert found.rmse == pytest.approx(np.sqrt(0.34 / 3)) and found.worst_error == 0.25
    assert found.pred_error == pytest.approx((0.25 + 0.1) / 3) and np.isnan(laws.score([1.0], [1.0]).r2)


def test_huber_is_that_of_the_paper():
    sizes = [0.0, 5e-4, -1e-3, 1.1e-3, -0.3]
    np.testing.assert_allclose(_solve.huber(np.array(sizes), 1e-3), [huber(size, 1e-3) for size in sizes], rtol=1e-12)
