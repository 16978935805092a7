"""optimize: published optima, exact gradients, constraints, and the laws that it refuses."""

import warnings

import numpy as np
import pytest

import optax_lrs as olrs
from optax_lrs import laws, profiles
from optax_lrs.laws._optimize import _places

MULTI = laws.MultiPower.published("25M")
OURS = laws.SublinearPower(
    irreducible=2.7,
    power_scale=0.9,
    power_exponent=0.5,
    drop_scale=250.0,
    drop_speed=1.0,
    drop_exponent=0.5,
    lr_exponent=0.5,
)
ANNEALING = laws.Annealing.published()
PEAK, T, WARMUP = 3e-4, 24_000, 2160


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "loss", "start"), [("25M", 3.14968, 19375), ("100M", 2.79414, 18950), ("400M", 2.53322, 19056)]
)
def test_the_published_optima(size, loss, start):
    # Luo et al.'s optimized schedules: their losses, the steps where they begin to fall, and ends
    # of 1.1e-6 to 1.4e-6, at most a 20th of the peak.
    law = MULTI.published(size).replace(warmup="summed")
    lr = laws.optimize(law, steps=T, peak=PEAK, warmup_steps=WARMUP, knots=100, most_iterations=150)
    assert law.final_loss(lr, steps=T) == pytest.approx(loss, abs=1e-4)
    lrs = lr.at(range(T))
    np.testing.assert_allclose(lrs[:WARMUP], PEAK * np.arange(WARMUP) / WARMUP, rtol=1e-5)
    assert np.all(np.diff(lrs[WARMUP:]) <= 1e-12) and lrs[-1] < PEAK / 20
    assert np.argmax(lrs[WARMUP:] < 0.99 * PEAK) == pytest.approx(start, rel=0.05)
    # WSDSC: the peak, then a power of 1.5, is nearly as good.
    best = laws.optimize_family(law, power_tail, {"power": (1.0, 1.5, 2.0), "decay": (2000, 2500, 3000, 3500)}, steps=T)
    assert best.arguments["power"] == 1.5 and best.arguments["decay"] == (3000 if size == "400M" else 2500)
    assert 0 < best.loss - law.final_loss(lr, steps=T) < 5e-4


def power_tail(power, decay):
    return olrs.WSD(peak=PEAK, total_steps=T - 1, warmup_steps=WARMUP, decay_steps=decay, decay=profiles.power(power))


def test_published_power_tails():
    # Luo et al.'s best schedule that holds the peak, then falls as (1-x)^p: p = 1.5, 2,500 steps.
    law = MULTI.replace(warmup="summed")
    tails = {p: law.final_loss(power_tail(p, 2500), steps=T) for p in (1.0, 1.5, 2.0)}
    assert min(tails, key=tails.get) == 1.5


@pytest.mark.parametrize("law", [MULTI, OURS, MULTI.replace(warmup="summed")], ids=["multi", "ours", "summed"])
def test_better_than_any_simple_shape(law):
    steps, how = 1500, dict(peak=PEAK, warmup_steps=100)
    lr = laws.optimize(law, steps=steps, **how, knots=60)
    lrs = lr.at(range(steps))
    np.testing.assert_allclose(lrs[:101], PEAK * np.arange(101) / 100, rtol=1e-6)
    assert np.all(np.diff(lrs[100:]) <= 1e-12) and lrs.min() >= 0 and lrs.max() <= PEAK * (1 + 1e-6)
    found = law.curve(lrs, [steps - 1])[0]
    simple = [olrs.Cosine(total_steps=steps, **how), olrs.WSD(total_steps=steps, decay_steps=0, **how)]
    simple += [
        olrs.WSD(total_steps=steps, decay_steps=d, decay=profiles.power(p), **how)
        for d in (150, 300, 500, 800, 1400)
        for p in (1.0, 1.5, 2.0)
    ]
    assert all(found < law.final_loss(each, steps=steps) for each in simple)
    # No small monotone change is better: the slope towards any simple schedule is not negative.
    gradient = laws.lr_gradient(law, np.maximum(lrs, 1e-9))
    for each in simple:
        other = np.asarray(each.at(range(steps)))
        assert gradient @ (other - lrs) > -2e-3 * abs(law.final_loss(each, steps=steps) - found) - 2e-4
    assert type(law).__name__ in lr.source and f"{found:.4f}" in lr.source


def test_last_loss_is_the_end_of_the_curve():
    lrs = olrs.WSD(peak=PEAK, total_steps=900, warmup_steps=90, decay_steps=200).at(range(900))
    for law in (MULTI, OURS):
        for warmup in ("counted", "as_peak", "summed"):
            law = law.replace(warmup=warmup)
            assert law.last_loss(lrs) == pytest.approx(law.curve(lrs, [899])[0], rel=1e-8)


def test_our_laws_gradient():
    lrs = olrs.WSD(peak=PEAK, total_steps=600, warmup_steps=50, decay_steps=200, end=1e-5).at(range(600))
    for warmup in ("counted", "summed"):
        law = OURS.replace(warmup=warmup)
        gradient = laws.lr_gradient(law, lrs)
        for step in (20, 100, 399, 401, 500, 598, 599):
            change = np.zeros(600)
            change[step] = 1e-5 * lrs[step]
            slope = (law.last_loss(lrs + change) - law.last_loss(lrs - change)) / (2 * change[step])
            assert slope == pytest.approx(gradient[step], rel=1e-3, abs=1e-4), (warmup, step)


def test_our_law_at_power_one_is_the_multi_power_law():
    lrs = olrs.Cosine(peak=PEAK, total_steps=900, warmup_steps=90).at(range(900))
    one = OURS.replace(lr_power=1.0)
    np.testing.assert_allclose(one.curve(lrs), one.as_multi_power().curve(lrs), rtol=1e-12)
    assert not np.allclose(OURS.curve(lrs), one.curve(lrs), rtol=1e-3)
    # In closed form, the rate 1e-3 is unchanged, and a tenth of it becomes 10^-0.8 times 1e-3.
    seen = OURS.as_multi_power().curve(np.where(np.arange(90) < 50, 1e-3, 1e-3 * 10**-0.8))
    np.testing.assert_allclose(OURS.curve(np.where(np.arange(90) < 50, 1e-3, 1e-4)), seen, rtol=1e-12)
    assert laws.Law.from_json(OURS.to_json()) == OURS
    with pytest.raises(ValueError, match="lr_power must be above 0"):
        OURS.replace(lr_power=0.0)


def test_fit_of_our_law_weights_late_points():
    constant = olrs.WSD(peak=1e-3, total_steps=10**6, warmup_steps=100, decay_steps=0)
    cosine = olrs.Cosine(peak=1e-3, total_steps=1500, warmup_steps=100)
    steps = np.arange(150, 1500, 20)
    truth = OURS.replace(warmup="summed")
    runs = [olrs.Run(steps=steps, losses=truth.curve(s.at(range(1500)), steps), schedule=s) for s in (constant, cosine)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", laws.LawWarning)
        law = laws.SublinearPower.fit(runs)
        assert law.lr_power == 0.8 and law.warmup == "summed" and law.report.objective < 1e-9
        wrong = laws.SublinearPower.fit(runs, lr_power=0.5)
        assert wrong.lr_power == 0.5 and wrong.report.objective > 10 * law.report.objective
        early = [
            olrs.Run(steps=steps, losses=r.losses * np.where(steps < 400, 1.0005, 1.0), schedule=r.schedule)
            for r in runs
        ]
        late = [
            olrs.Run(steps=steps, losses=r.losses * np.where(steps >= 1240, 1.0005, 1.0), schedule=r.schedule)
            for r in runs
        ]
        fixed = dict(fixed=truth.parameters)
        ratio = (
            laws.SublinearPower.fit(late, **fixed).report.objective
            / laws.SublinearPower.fit(early, **fixed).report.objective
        )
    weights = steps**0.5
    assert ratio == pytest.approx(weights[steps >= 1240].sum() / weights[steps < 400].sum(), rel=1e-6)


def test_one_drop_at_every_step():
    lr = laws.optimize(MULTI, steps=200, peak=PEAK, knots=None)
    assert len(lr.lrs) == 200 and lr.steps == tuple(range(200))
    few = laws.optimize(MULTI, steps=200, peak=PEAK, knots=30)
    gap = MULTI.final_loss(few, steps=200) - MULTI.final_loss(lr, steps=200)
    assert -1e-4 < gap < 0.01


def test_the_end_is_kept():
    lr = laws.optimize(MULTI, steps=500, peak=PEAK, end=1e-4, knots=40)
    assert lr.at(range(500)).min() >= 1e-4 * (1 - 1e-6)


def test_an_ensemble_is_optimized_as_its_law():
    ensemble = laws.Ensemble(law=MULTI, members=(MULTI,))
    assert laws.optimize(ensemble, steps=200, peak=PEAK, knots=20) == laws.optimize(
        MULTI, steps=200, peak=PEAK, knots=20
    )


def test_knots():
    assert _places(10, 2, None).tolist() == list(range(2, 10))
    places = _places(10_000, 100, 50)
    assert (
        places[0] == 100
        and places[-1] == 9999
        and np.all(np.diff(places) > 0)
        and np.diff(places)[-1] < np.diff(places)[0]
    )


# ── laws without an optimal schedule ──────────


def test_the_optimum_of_the_annealing_law_collapses():
    # Luo et al., appendix F: the optimum holds the peak and drops to zero within two steps. Here
    # such schedules are better than every tail of the family.
    cliff = {k: olrs.Tabulated(lrs=[2e-4, 2e-4, 0.0], steps=[0, k, k + 1]) for k in (17_000, 18_000, 18_500)}
    shapes = (profiles.linear, profiles.cosine, profiles.one_minus_sqrt)
    tails = [
        olrs.WSD(peak=2e-4, total_steps=20_000, decay_steps=d, decay=shape)
        for d in (2000, 4000, 5000, 8000)
        for shape in shapes
    ]
    best = min(ANNEALING.final_loss(each, steps=20_001) for each in tails)
    assert min(ANNEALING.final_loss(each, steps=20_001) for each in cliff.values()) < best - 0.003
    for law in (ANNEALING, laws.OnePower(irreducible=2.0, power_scale=1.0, power_exponent=0.3)):
        with pytest.raises(ValueError, match=r"law must declare free_optimum.*is linear in the drops"):
            laws.optimize(law, steps=100, peak=1e-3)


@pytest.mark.parametrize(
    ("total", "shape", "share", "loss"),
    [
        (20_000, "cosine", 0.25, 2.772881),
        (20_000, "linear", 0.25, 2.777497),
        (20_000, "one_minus_sqrt", 0.2, 2.774692),
        (60_000, "cosine", 0.2, 2.664329),
        (60_000, "linear", 0.2, 2.668540),
        (60_000, "one_minus_sqrt", 0.15, 2.666576),
    ],
)
def test_published_shares(total, shape, share, loss):
    # The best share of the decay on this grid, under Tissue et al.'s published fit.
    def tail(share):
        return olrs.WSD(peak=2e-4, total_steps=total, decay_steps=round(share * total), decay=getattr(profiles, shape))

    grid = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0)
    best = laws.optimize_family(ANNEALING, tail, {"share": grid}, steps=total + 1)
    assert best.arguments == {"share": share} and best.loss == pytest.approx(loss, abs=1e-6) and best.edges == ()
    assert [point["loss"] for point in best.tried] == sorted(point["loss"] for point in best.tried) and len(
        best.tried
    ) == 11
    assert best.schedule == tail(share)


def test_several_arguments_and_edges():
    def tail(share, decay, peak):
        return olrs.WSD(peak=peak, total_steps=500, decay_steps=round(500 * share), decay=decay)

    grid = dict(share=(0.01, 0.3, 0.6), decay=(profiles.linear, profiles.cosine), peak=(1e-4, 3e-4))
    with pytest.warns(laws.LawWarning, match="the best peak is at the edge"):
        best = laws.optimize_family(MULTI, tail, grid, steps=500)
    assert "peak" in best.edges and "decay" not in best.edges and len(best.tried) == 12
    assert best.loss == min(
        MULTI.final_loss(tail(**{**point}), steps=500) for point in [{k: p[k] for k in grid} for p in best.tried]
    )


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        (dict(steps=1, peak=0.1), ValueError, "steps must be at least 2"),
        (dict(steps=True, peak=0.1), TypeError, "steps must be an int"),
        (dict(steps=9, peak=0.1, warmup_steps=8), ValueError, "warmup_steps must leave at least 2 of steps=9"),
        (dict(steps=9, peak=0.1, warmup_steps=-1), ValueError, "warmup_steps must be"),
        (dict(steps=9, peak=0.1, end=0.1), ValueError, "end must be at least 0 and below peak=0.1"),
        (dict(steps=9, peak=float("nan")), ValueError, "peak must be above 0"),
        (dict(steps=9, peak=0.1, knots=1), ValueError, "knots must be"),
        (dict(steps=9, peak=0.1, law=3.0), TypeError, "law must be a Law"),
    ],
)
def test_mistakes(how, error, message):
    with pytest.raises(error, match=message):
        laws.optimize(how.pop("law", MULTI), **how)


def test_an_empty_grid():
    for grid in ({}, {"share": ()}):
        with pytest.raises(ValueError, match="grid must have names"):
            laws.optimize_family(MULTI, olrs.WSD, grid, steps=9)
