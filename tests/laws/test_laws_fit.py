"""Fits find the optimum, predict held-out runs, tolerate bad data, and report doubts."""

import warnings

import numpy as np
import pytest

import optax_lrs as olrs
from optax_lrs import Run, laws
from optax_lrs.laws._fit import problem_of
from optax_lrs.laws._observations import observe, rates_of
from optax_lrs.laws._solve import Problem, huber, solve
from optax_lrs.laws._warmup import warmup_length

T, PEAK = 6000, 1e-3
ANNEALING = laws.Annealing(irreducible=2.6, power_scale=0.5, power_exponent=0.5, drop_scale=0.3, decay_factor=0.995)
MULTI = laws.MultiPower(
    irreducible=2.6,
    power_scale=0.5,
    power_exponent=0.5,
    drop_scale=130.0,
    drop_speed=1.2,
    drop_exponent=0.5,
    lr_exponent=0.55,
)
CONSTANT = olrs.WSD(peak=PEAK, total_steps=10**6, warmup_steps=300, decay_steps=0)
COSINE = olrs.Cosine(peak=PEAK, total_steps=T, warmup_steps=300, end=PEAK / 10)
DROP = olrs.Tabulated(lrs=[0, PEAK, PEAK, 0.3 * PEAK], steps=[0, 300, 1999, 2000])
HELD_OUT = {
    "wsd": olrs.WSD(peak=PEAK, total_steps=T, warmup_steps=300, decay_steps=1500),
    "long cosine": olrs.Cosine(peak=PEAK, total_steps=3 * T, warmup_steps=300, end=PEAK / 10),
}


def run_of(law, schedule, *, noise=0.001, seed=0, total=T, every=40, first=600):
    steps = np.arange(first, total, every)
    noise = noise * np.random.default_rng(seed).standard_normal(len(steps))
    lrs = schedule.at(range(total))
    return Run(steps=steps, lrs=lrs[steps], losses=law.curve(lrs, steps) * np.exp(noise), schedule=schedule)


def runs_of(law, **how):
    return [run_of(law, schedule, seed=seed, **how) for seed, schedule in enumerate((CONSTANT, COSINE, DROP))]


@pytest.fixture(scope="module")
def annealed():
    return runs_of(ANNEALING)


def errors(law, truth):
    for schedule in HELD_OUT.values():
        total = schedule.total_steps
        lrs, steps = schedule.at(range(total)), np.arange(900, total, 97)
        yield np.abs(law.curve(lrs, steps) / truth.curve(lrs, steps) - 1).max()


# ── predictions are recovered; parameters need not be, because the data hardly determine them ──


def test_annealing_predicts_held_out_schedules(annealed):
    law = laws.Annealing.fit(annealed, fixed={"decay_factor": None})
    assert max(errors(law, ANNEALING)) < 0.002  # the noise is 0.001 per point
    assert law.report.rmse == pytest.approx(0.001, rel=0.15) and law.report.doubts == ()
    assert law.report.runs == 3 and law.report.points == 3 * 135 and law.report.longest_steps == 5960
    assert law.report.highest_lr == pytest.approx(PEAK) and abs(np.log10((1 - law.decay_factor) / 0.005)) < 0.2
    held = laws.Annealing.fit(annealed, fixed={"decay_factor": 0.995})
    assert held.decay_factor == 0.995 and law.report.objective <= held.report.objective
    assert laws.Annealing.fit(annealed).decay_factor == 0.999


def test_multi_power_predicts_held_out_schedules():
    law = laws.MultiPower.fit(runs_of(MULTI))
    assert max(errors(law, MULTI)) < 0.002


def test_without_noise_the_parameters_are_recovered():
    exact = runs_of(ANNEALING, noise=0.0)
    law = laws.Annealing.fit(exact, fixed={"decay_factor": None})
    np.testing.assert_allclose(list(law.parameters.values()), list(ANNEALING.parameters.values()), rtol=1e-4)
    exact = runs_of(MULTI, noise=0.0)
    law = laws.MultiPower.fit(exact, prior={})
    assert law.report.objective < 1e-9 and max(errors(law, MULTI)) < 1e-4
    only = laws.OnePower(irreducible=2.0, power_scale=1.0, power_exponent=0.3)
    found = laws.OnePower.fit(run_of(only, CONSTANT, noise=0.0))
    np.testing.assert_allclose(list(found.parameters.values()), [2.0, 1.0, 0.3], rtol=1e-4)


def test_the_continual_law_is_fitted_with_a_gain_and_with_a_loss():
    for scale in (0.3, -0.3):
        truth = laws.ContinualAnnealing(
            irreducible=2.6,
            power_scale=0.5,
            power_exponent=0.5,
            former_drop_scale=0.3,
            drop_scale=0.3,
            shift_scale=scale,
            shift_speed=20.0,
            shift_exponent=0.5,
            switch_step=3000,
            decay_factor=0.99,
        )
        runs = [run_of(truth, s, noise=1e-4) for s in (CONSTANT, COSINE, DROP)]
        law = laws.ContinualAnnealing.fit(runs, switch_step=3000, fixed={"decay_factor": 0.99})
        assert np.sign(law.shift_scale) == np.sign(scale) and law.switch_step == 3000
        lrs = HELD_OUT["wsd"].at(range(T))
        np.testing.assert_allclose(law.curve(lrs)[600:], truth.curve(lrs)[600:], rtol=2e-3)
    runs = [run_of(truth.replace(switch_step=s), COSINE, noise=1e-4) for s in (2000, 4000)] + [
        run_of(truth, DROP, noise=1e-4)
    ]
    each = laws.ContinualAnnealing.fit(runs, switch_step=[2000, 4000, 3000], fixed={"decay_factor": 0.99})
    assert each.report.rmse < 2e-4 and each.switch_step == 2000


class InverseSum(laws.Law):
    """The example in the docstring of Law."""

    linear = ("irreducible", "power_scale")
    others = ("shift",)
    starts = ({"shift": 0.1}, {"shift": 1.0})

    irreducible: float
    power_scale: float
    shift: float
    warmup: str = "counted"
    report: laws.FitReport | None = None

    @classmethod
    def plan(cls, lrs, steps, warmup):
        return np.cumsum(lrs)[steps]

    @classmethod
    def basis(cls, sums, values, *, slopes=True):
        column = 1 / (values["shift"] + sums)
        return np.stack([np.ones_like(sums), column], axis=1), {"shift": [(1, -(column**2))]}


def test_a_law_defined_by_the_user():
    truth = InverseSum(irreducible=2.0, power_scale=1.5, shift=0.3)
    runs = [run_of(truth, schedule, noise=0.0) for schedule in (CONSTANT, COSINE)]
    law = InverseSum.fit(runs)
    np.testing.assert_allclose(list(law.parameters.values()), [2.0, 1.5, 0.3], rtol=1e-5)
    assert laws.Law.from_json(law.to_json()) == law and len(laws.bootstrap(law, runs, n=3).members) == 3


# ── the optimum ──────────


@pytest.mark.parametrize(("cls", "truth"), [(laws.Annealing, ANNEALING), (laws.MultiPower, MULTI)])
def test_no_general_optimizer_finds_a_better_optimum(cls, truth):
    from scipy.optimize import minimize

    seen = [observe(run) for run in runs_of(truth)]
    problem = problem_of(
        cls, seen, weights=None, settings=dict(warmup="counted"), delta=1e-3, fixed=None, bounds=None, prior={}
    )
    found = solve(problem, cls.starts)

    def objective(logs):
        values = {**problem.fixed, **dict(zip(problem.free, np.exp(logs)))}
        predicted = problem.basis(values)[0] @ [values[name] for name in cls.linear]
        return float(huber(np.log(predicted) - np.log(problem.losses)).sum())

    at = np.log([found.parameters[name] for name in problem.free])
    assert objective(at) == pytest.approx(found.objective, rel=1e-9)
    assert found.objective <= objective(np.log([truth.parameters[name] for name in problem.free]))
    better = minimize(objective, at, method="Nelder-Mead", options=dict(maxiter=400, initial_simplex=None)).fun
    assert found.objective <= better * (1 + 1e-3)


def test_a_step_that_overflows_is_taken_back():
    # Without a prior, two runs may not determine one direction. Along it a product overflows before
    # the optimizer turns.
    losses = np.array([3.0, 2.5, 2.2, 2.1])

    def basis(values):
        with np.errstate(over="ignore", invalid="ignore"):
            column = np.exp(values["speed"] * np.array([0.0, 400.0, 800.0, 1200.0])) / 1e300
            return np.stack([np.ones(4), column], axis=1), {"speed": [(1, column * np.array([0.0, 400, 800, 1200]))]}

    how = dict(losses=losses, weights=np.ones(4), delta=1e-3, bounds={}, prior={}, fixed={})
    problem = Problem(linear=("level", "scale"), others=("speed",), basis=basis, **how)
    for speed in (0.1, 1.0, 9.0):
        found = solve(problem, [{"level": 1.0, "scale": 1.0, "speed": speed}])
        assert all(np.isfinite(value) for value in found.parameters.values()) and np.isfinite(found.objective)


def test_a_fit_does_not_depend_on_the_starts(annealed):
    law = laws.Annealing.fit(annealed)
    for start in ({"power_exponent": 1.0, "decay_factor": 0.9}, {"power_exponent": 0.1, "decay_factor": 0.9}):
        assert laws.Annealing.fit(annealed, starts=[start]).report.objective == pytest.approx(
            law.report.objective, rel=1e-6
        )


def test_weights_bounds_priors_and_fixed_values(annealed):
    alone = laws.Annealing.fit(annealed[1])
    weighted = laws.Annealing.fit(annealed, weights=[0, 1, 0])
    # Weights are scaled to a mean of 1 over the 3 runs.
    assert weighted.report.objective == pytest.approx(3 * alone.report.objective, rel=1e-4)
    bound = laws.Annealing.fit(annealed, bounds={"irreducible": (0.0, 2.5)})
    assert 2.4999 < bound.irreducible <= 2.5
    fixed = laws.Annealing.fit(annealed, fixed={"power_exponent": 0.4})
    assert fixed.power_exponent == 0.4
    prior = [
        laws.Annealing.fit(annealed, prior={"power_exponent": (0.4, width)}).power_exponent for width in (1e-4, 0.02, 9)
    ]
    assert prior[0] == pytest.approx(0.4, rel=1e-2) and prior[0] < prior[1] < prior[2]
    everything = ANNEALING.parameters
    assert laws.Annealing.fit(annealed, fixed=everything).parameters == everything


# ── imperfect data ──────────


def test_unsorted_duplicated_missing_and_spiked_losses(annealed):
    clean = laws.Annealing.fit(annealed)
    rng, spoiled = np.random.default_rng(0), []
    for run in annealed:
        losses = run.losses.copy()
        losses[rng.choice(len(losses), 6, replace=False)] = [np.nan, np.inf, -1.0, 8.0, 5.0, 4.0]
        steps = np.concatenate([run.steps, run.steps[:20], [np.nan]])
        losses = np.concatenate([losses, losses[:20], [1.0]])
        order = rng.permutation(len(steps))
        spoiled.append(laws.tidy(steps=steps[order], losses=losses[order], schedule=run.schedule))
    law = laws.Annealing.fit(spoiled)
    for schedule in HELD_OUT.values():
        total = schedule.total_steps
        assert law.final_loss(schedule, steps=total) == pytest.approx(clean.final_loss(schedule, steps=total), rel=1e-3)


def test_points_are_spread_and_few_are_enough(annealed):
    dense = [run_of(ANNEALING, s, every=1) for s in (CONSTANT, COSINE, DROP)]
    seen = observe(dense[0], points=100)
    assert len(seen.steps) <= 100 and seen.steps[0] == 600 and seen.steps[-1] == T - 1
    assert np.ptp(np.diff(seen.steps)) <= 1
    law = laws.Annealing.fit(dense, points=150, fixed={"decay_factor": 0.995})
    assert max(errors(law, ANNEALING)) < 0.002 and law.report.points <= 450


def test_the_warmup_is_left_out():
    losses = np.linspace(9, 3, 1000)
    run = Run(steps=range(1000), losses=losses, schedule=COSINE)
    assert observe(run).steps[0] == 300 and observe(run, first_step=500).steps[0] == 500
    assert observe(run, first_step=0).steps[0] == 1  # before the first update no rate was applied
    late = olrs.Tabulated(lrs=[0.0, 0.0, 1e-3], steps=[0, 100, 101])
    assert observe(run.__class__(steps=range(1000), losses=losses, schedule=late)).steps[0] == 101


def test_validation_losses_are_preferred(annealed):
    run = annealed[0]
    val = np.where(np.arange(len(run)) % 3 == 0, run.losses + 1, np.nan)
    both = Run(steps=run.steps, losses=run.losses, val_losses=val, schedule=run.schedule)
    np.testing.assert_array_equal(observe(both).losses, run.losses[::3] + 1)
    np.testing.assert_array_equal(observe(both, column="losses").losses, run.losses)
    empty = Run(steps=run.steps, losses=run.losses, val_losses=np.full(len(run), np.nan), schedule=run.schedule)
    np.testing.assert_array_equal(observe(empty).losses, run.losses)
    assert observe(run, first_step=1000).steps[0] == 1000


def test_rates_between_rows(annealed):
    for run in annealed:
        bare = Run(steps=run.steps, lrs=run.lrs, losses=run.losses)
        lrs = rates_of(bare, T - 40, warmup_steps=300)
        true = run.schedule.at(range(T - 40))
        apart = np.abs(lrs - true)
        apart[1960:2000] = 0  # the drop of the third run is between two rows
        assert apart[600:].max() < 1e-3 * PEAK and apart.max() < 1e-2 * PEAK  # before the first row the rate is held
    stairs = Run(steps=[0, 10, 20], lrs=[1.0, 0.5, 0.1], losses=[3.0, 2.0, 1.0])
    assert rates_of(stairs, 21, between="hold")[[0, 9, 10, 19, 20]].tolist() == [1, 1, 0.5, 0.5, 0.1]
    assert rates_of(stairs, 21)[[5, 15]].tolist() == [0.75, 0.3]
    late = Run(steps=[100, 110, 120], lrs=[1.0, 1.0, 1.0], losses=[3.0, 2.0, 1.0])
    assert rates_of(late, 121, warmup_steps=50)[[0, 25, 50, 99]].tolist() == [0, 0.5, 1, 1]
    assert rates_of(late, 121, warmup_steps=0)[0] == 1.0


def test_a_warmup_is_found():
    assert warmup_length(COSINE.at(range(T))) == 300 and warmup_length(np.full(9, 0.1)) == 0
    assert warmup_length(np.array([0.0, 0.1, 0.2])) == 2 and warmup_length(np.array([0.1])) == 0


# ── uncertainty ──────────


def test_bootstrap(annealed):
    law = laws.Annealing.fit(annealed, fixed={"decay_factor": 0.995})
    ensemble = laws.bootstrap(law, annealed, n=20, seed=1)
    again = laws.bootstrap(law, annealed, n=20, seed=1)
    assert ensemble == again and ensemble != laws.bootstrap(law, annealed, n=20, seed=2)
    assert all(member.decay_factor == 0.995 for member in ensemble.members)
    schedule = HELD_OUT["long cosine"]
    lrs, steps = schedule.at(range(3 * T)), np.arange(900, 3 * T, 500)
    observed = ANNEALING.curve(lrs, steps) * np.exp(0.001 * np.random.default_rng(9).standard_normal(len(steps)))
    low, high = ensemble.interval(lrs, steps, level=0.9)
    center = ensemble.curve(lrs, steps)
    assert np.all(low < center) and np.all(center < high)
    assert np.mean((low <= observed) & (observed <= high)) > 0.7
    wide = ensemble.interval(lrs, steps, level=0.99)
    assert np.all(wide[0] < low) and np.all(high < wide[1])
    finals = ensemble.final_losses(schedule, steps=3 * T)
    assert finals.shape == (20,) and np.ptp(finals) > 0
    np.testing.assert_allclose(finals, [m.final_loss(schedule, steps=3 * T) for m in ensemble.members], rtol=1e-12)
    np.testing.assert_array_equal(ensemble.predict(schedule, steps=99), law.predict(schedule, steps=99))


def test_plot(annealed):
    import matplotlib.pyplot as plt

    law = laws.Annealing.fit(annealed)
    above, below = laws.plot(law, annealed, labels=["constant", "cosine", "drop"])
    assert len(above.lines) == 6 and [text.get_text() for text in above.get_legend().get_texts()] == [
        "constant",
        "cosine",
        "drop",
    ]
    residuals = np.concatenate([line.get_ydata() for line in below.lines[:3]])
    assert np.sqrt(np.mean(residuals**2)) == pytest.approx(100 * law.report.rmse, rel=1e-9)
    with pytest.raises(ValueError, match="labels must be one for each of 3 runs"):
        laws.plot(law, annealed, labels=["one"])
    plt.close("all")


# ── mistakes and doubts ──────────


@pytest.mark.parametrize(
    ("fit", "error", "message"),
    [
        (lambda r: laws.Annealing.fit([]), ValueError, "0 losses in 0 runs cannot determine 4 parameters"),
        (lambda r: laws.Annealing.fit(observe_few(r[1], 4)), ValueError, "4 losses in 1 runs cannot determine 4"),
        (lambda r: laws.Annealing.fit(r[0]), ValueError, "the rate is constant in every run"),
        (lambda r: laws.MultiPower.fit([r[0], r[0]]), ValueError, "the rate is constant in every run"),
        (lambda r: laws.Annealing.fit(bare(r[0], losses=None)), ValueError, "without losses"),
        (
            lambda r: laws.Annealing.fit(bare(r[0], losses=r[0].losses * np.nan)),
            ValueError,
            "no finite, positive entry",
        ),
        (lambda r: laws.Annealing.fit(r, first_step=10**6), ValueError, "from step 1000000 on"),
        (lambda r: laws.Annealing.fit(bare(r[0], lrs=None)), ValueError, "neither schedule nor lrs"),
        (lambda r: laws.Annealing.fit(bare(r[0])), ValueError, "the rates begin at step 600"),
        (lambda r: laws.Annealing.fit(bare(r[0]), warmup_steps=700), ValueError, "recorded from step 600"),
        (
            lambda r: laws.Annealing.fit(bare(r[0], lrs=-r[0].lrs), warmup_steps=0),
            ValueError,
            "lrs must not be negative",
        ),
        (
            lambda r: laws.Annealing.fit(run_of(ANNEALING, COSINE, total=290, every=10, first=100)),
            ValueError,
            "still rises",
        ),
        (lambda r: laws.Annealing.fit(r, weights=[1, 1]), ValueError, "weights must be 3 numbers"),
        (lambda r: laws.Annealing.fit(r, weights=[0, 0, 0]), ValueError, "must not all be zero"),
        (lambda r: laws.Annealing.fit(r, fixed={"alpha": 1.0}), ValueError, "fixed names 'alpha'"),
        (lambda r: laws.Annealing.fit(r, bounds={"irreducible": (2.0, 1.0)}), ValueError, "bounds"),
        (lambda r: laws.Annealing.fit(r, prior={"irreducible": (2.0, 0.0)}), ValueError, "prior"),
        (lambda r: laws.Annealing.fit(r, delta=0.0), ValueError, "delta must be above 0"),
        (lambda r: laws.Annealing.fit(r, warmup="none"), ValueError, "warmup must be one of"),
        (lambda r: laws.Annealing.fit(r, between="spline"), ValueError, "between must be one of 'linear', 'hold'"),
        (lambda r: laws.Annealing.fit(r, switch_step=3), TypeError, "unknown argument 'switch_step'"),
        (lambda r: laws.Annealing.fit(r, points=0), ValueError, "points must be"),
        (lambda r: laws.Annealing.fit([3.0]), TypeError, "runs must be a Run or Runs"),
        (lambda r: laws.ContinualAnnealing.fit(r, switch_step=[1, 2]), ValueError, "one for each of 3 runs"),
        (lambda r: laws.tidy(steps=[0, 1], losses=[1.0]), ValueError, "losses must have the shape"),
        (lambda r: laws.tidy(steps=[0.5], losses=[1.0]), ValueError, "whole numbers"),
        (lambda r: laws.bootstrap(ANNEALING, r, n=0), ValueError, "n must be at least 1"),
    ],
)
def test_mistakes(annealed, fit, error, message):
    with pytest.raises(error, match=message):
        fit(annealed)


def bare(run, **changes):
    return Run(**{**dict(steps=run.steps, lrs=run.lrs, losses=run.losses), **changes})


def observe_few(run, count):
    return Run(steps=run.steps[:count] * 9, losses=run.losses[:count], schedule=run.schedule)


def test_an_undetermined_fit_warns(annealed):
    with pytest.warns(laws.LawWarning, match="hardly determine"):
        law = laws.MultiPower.fit(annealed[1], prior={}, starts=laws.MultiPower.starts[:1])
    assert "hardly determine" in law.report.doubts[-1]
    with pytest.warns(laws.LawWarning, match="hardly determine"):
        law.predict(COSINE, steps=10)


def test_a_prediction_far_from_the_data_warns(annealed):
    law = laws.Annealing.fit(annealed)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        law.predict(HELD_OUT["long cosine"], steps=3 * T)
    with pytest.warns(laws.LawWarning, match="24000 steps, but the longest fitted run"):
        law.final_loss(CONSTANT, steps=4 * T)
    with pytest.warns(laws.LawWarning, match="a rate of 0.002, but the fitted rates go up to 0.001"):
        law.predict(olrs.Constant(value=2 * PEAK), steps=T)
    assert ANNEALING.doubts(np.full(10**6, 9.0)) == ()  # the range of given parameters is unknown
