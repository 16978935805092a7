"""Theory of arXiv:2501.18965 and arXiv:2310.07831: goldens, properties, and real descents."""

import math
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import optax
import pytest
from jax.test_util import check_grads
from scipy.optimize import curve_fit, minimize

import optax_lrs as olrs
from optax_lrs import profiles, theory
from oracles import theory as ref

ROOT = Path(__file__).parents[2]
RNG = np.random.default_rng(0)
T = 400
SHAPES = {
    "wsd": ref.wsd(T, 0.2),
    "linear": ref.wsd(T, 1.0),
    "cosine": ref.cosine(T),
    "constant": np.ones(T),
    "inverse_sqrt": ref.inverse_sqrt(T),
    "one_minus_sqrt": ref.wsd(T, 1.0, "sqrt"),
    "wsd, one_minus_sqrt": ref.wsd(T, 0.2, "sqrt"),
}


def close(got, wanted, rtol=1e-9):
    np.testing.assert_allclose(np.asarray(got, np.float64), wanted, rtol=rtol, atol=0)


def best(lrs, norms=1.0):
    terms = theory.last_iterate_terms(lrs, norms)
    return terms.optimal_rate, terms.optimal_bound


# ── golden values: the authors' package, to 2e-10, unless another source is named ─────────────


@pytest.mark.parametrize(
    "name, golden",
    {
        "wsd": (0.0253736614174, 0.109323012489, 0.00138696255201, 2.154261671),
        "linear": (0.0495631306913, 0.100629865436, 0.00249376558603, 1.01516857423),
        "cosine": (0.0482418868436, 0.103385905867, 0.00249376558603, 1.07153671458),
        "constant": (0.0181758950775, 0.137544808073, 0.00125, 3.78371484559),
        "inverse_sqrt": (0.212085581604, 0.122264273251, 0.012965244751, 0.288242775219),
        "one_minus_sqrt": (0.0737970561918, 0.101242596936, 0.00373570280756, 0.68595281547),
        "wsd, one_minus_sqrt": (0.0268461376226, 0.107288147166, 0.00144013618205, 1.99820452152),
    }.items(),
)
def test_golden_shapes(name, golden):
    lrs = SHAPES[name]
    close([theory.optimal_rate(lrs), theory.optimal_bound(lrs), *theory.last_iterate_terms(lrs)], golden)


@pytest.mark.parametrize(
    "share, rate, bound",
    [
        (0.05, 0.0207146684481, 0.123623482975),
        (0.1, 0.0226297014917, 0.116135906367),
        (0.4, 0.0300701278371, 0.103761607596),
        (0.6, 0.0351006210835, 0.101566931825),
        (0.8, 0.0412639315779, 0.10076606855),
        (1.0, 0.0495631306913, 0.100629865436),
    ],
)
def test_golden_cooldowns(share, rate, bound):
    close(best(ref.wsd(T, share)), (rate, bound))
    closed = theory.wsd_terms(total_steps=T, decay_steps=ref.cooldown_steps(T, share))
    close((closed.optimal_rate, closed.optimal_bound), (rate, bound))


@pytest.mark.parametrize(
    "steps, start, rate, bound, theorem",
    [
        (100, 81, 0.0495442034546, 0.22302757914, 0.272619825619),
        (200, 161, 0.0355456579242, 0.155860561557, 0.191158364808),
        (400, 321, 0.0253736614174, 0.109323012489, 0.134408293099),
        (1000, 801, 0.0161627443486, 0.0687070305608, 0.0846388612971),
        (4000, 3201, 0.00811829382646, 0.0342115238529, 0.0422004324204),
    ],
)
def test_golden_horizons(steps, start, rate, bound, theorem):
    lr = olrs.WSD(peak=1.0, total_steps=steps, decay_steps=steps + 1 - start)
    close([theory.optimal_rate(lr, total_steps=steps), theory.optimal_bound(lr, total_steps=steps)], (rate, bound))
    close(ref.wsd_theorem(steps, start), theorem)
    exact = theory.wsd_terms(total_steps=steps, decay_steps=steps + 1 - start).optimal_bound
    assert exact <= theorem <= 1.25 * exact  # "by a fifth to a quarter"


def test_golden_small_cases():
    terms = theory.last_iterate_terms([0.4, 0.3, 0.2, 0.1], [1, 2, 1, 0.5], 2)
    close((*terms, terms.optimal_rate, terms.optimal_bound), (2, 227 / 240, 1.45414491882, 2.75075747144), rtol=1e-11)
    close(theory.last_iterate_terms([1, 1, 1, 1]), (1 / 8, 17 / 12), rtol=1e-15)


@pytest.mark.parametrize(
    "power, name, rate, bound",
    [
        (-0.5, "cosine", 0.371194699055, 0.0134364288735),
        (-0.5, "wsd", 0.306312690402, 0.00905586086029),
        (-0.5, "linear", 0.388719154682, 0.0128306802276),
        (-1, "cosine", 0.773863642635, 0.00644497414956),
        (-1, "wsd", 0.77349692314, 0.00358621349489),
    ],
)
def test_golden_decaying_norms(power, name, rate, bound):
    close(best(SHAPES[name], np.arange(1.0, T + 1) ** power), (rate, bound))


@pytest.mark.parametrize(
    "norms, linear, refined",
    [
        (np.linspace(10, 1, 400), 0.610633, 0.323636),
        (np.concatenate([np.linspace(5, 1, 40), np.ones(360)]), 0.140006, 0.105053),
        (np.linspace(1, 2, 400), 0.154321, 0.142197),
    ],
)
def test_golden_refined_shapes_whose_last_rate_is_zero(norms, linear, refined):
    close(theory.optimal_bound(np.arange(399, -1, -1) / 399, norms), linear, rtol=1e-5)
    close(theory.optimal_bound(ref.with_refinement(norms), norms), refined, rtol=1e-5)


def test_golden_power_fits_of_the_optimal_rate():
    steps = range(200, 601, 100)
    shapes = dict(wsd=lambda n: ref.wsd(n, 0.2), cosine=ref.cosine, linear=lambda n: ref.wsd(n, 1.0), constant=np.ones)
    golden = dict(wsd=(0.4708, -0.4875), cosine=(0.9199, -0.4921), linear=(0.9386, -0.4910), constant=(0.5471, -0.5681))
    for name, shape in shapes.items():
        rates = [theory.optimal_rate(shape(n)) for n in steps]
        (factor, power), _ = curve_fit(lambda n, a, b: a * n**b, np.array(steps, float), rates, p0=(0.5, -0.5))
        assert (round(factor, 4), round(power, 4)) == golden[name]


def test_golden_ratio_of_cosine_to_wsd():
    ratio = [theory.optimal_rate(ref.cosine(n)) / theory.optimal_rate(ref.wsd(n, 0.2)) for n in (400, 44_000)]
    assert round(ratio[0], 2) == 1.90
    assert round(ratio[1], 3) == 1.887


@pytest.mark.parametrize(
    "decay, golden",
    [
        (profiles.linear, [0.7748, 0.6652, 0.4985, 0.3449, 0.1835]),
        (profiles.one_minus_sqrt, [1.1368, 1.0098, 0.8020, 0.5911, 0.3413]),
    ],
)
def test_golden_rates_between_cooldowns(decay, golden):
    cooldowns = [ref.cooldown_steps(6400, share) for share in (0.1, 0.2, 0.4, 0.6, 0.8)]
    h = [
        math.log(theory.rate_transfer(total_steps=6400, decay_steps=d, new_decay_steps=6400, decay=decay))
        for d in cooldowns
    ]
    np.testing.assert_allclose(h, golden, rtol=0, atol=5.1e-5)  # four decimals


def test_golden_standard_bound():
    lrs, norms = RNG.random(50), RNG.random(50)
    close(theory.average_iterate_bound(lrs, norms, 3.0), ref.standard_bound(lrs, norms, 3.0), rtol=1e-14)
    terms = theory.average_iterate_terms(lrs, norms, 3.0)
    scatter = math.sqrt(np.sum(lrs**2 * norms**2))
    close((terms.optimal_rate, terms.optimal_bound), (3 / scatter, 3 * scatter / lrs.sum()), rtol=1e-14)


def test_golden_worst_cases():
    """The bound is about twice the exact worst case (PEPit, the authors' output)."""
    exact = dict(constant=0.178098, cosine=0.133231, linear=0.129211, inverse_sqrt=0.154199, wsd=0.139602)
    ours = dict(constant=0.307224, cosine=0.272700, linear=0.264809, inverse_sqrt=0.281685, wsd=0.291030)
    shapes = dict(constant=np.ones(60), cosine=ref.cosine(60), inverse_sqrt=ref.inverse_sqrt(60))
    shapes |= dict(linear=ref.wsd(60, 1.0), wsd=ref.wsd(60, 0.2))
    for name, lrs in shapes.items():
        bound = theory.optimal_bound(lrs)
        close(bound, ours[name], rtol=3e-6)
        assert 1.7 * exact[name] < bound < 2.1 * exact[name]
    close(theory.optimal_bound(ref.wsd(100, 1.0)), 0.203608416171)
    assert theory.worst_case_optimum(total_steps=100).bound == 0.1 < 0.10003814933044465  # PEPit, T = 100, linear


def test_golden_arrays():
    """The references' arrays, and that our schedules give the same."""
    assert ref.wsd(10, 0.2).tolist() == [1.0] * 9 + [0.5]
    close(ref.wsd(10, 0.4), [1.0] * 7 + [0.75, 0.5, 0.25])
    close(ref.wsd(10, 0.4, "sqrt"), [1.0] * 7 + [0.5, 0.292893218813, 0.133974596216])
    close(ref.wsd(5, 1.0), [1, 0.8, 0.6, 0.4, 0.2])
    close(ref.cosine(5), [1, 0.904508497187, 0.654508497187, 0.345491502813, 0.0954915028125])
    for shape, decay in dict(linear=profiles.linear, sqrt=profiles.one_minus_sqrt).items():
        for share in (0.2, 0.4, 1.0):
            d = ref.cooldown_steps(50, share)
            ours = olrs.WSD(peak=1.0, total_steps=50, decay_steps=d, decay=decay)
            close(ours.at(np.arange(50)), ref.wsd(50, share, shape), rtol=1e-13)
    close(olrs.Cosine(peak=1.0, total_steps=50).at(np.arange(50)), ref.cosine(50), rtol=1e-12)


# ── horizon transfer ──────────────────────────────────────────────────────────────────────────

RATIOS = (1.5, 2, 2.5, 3, 3.5, 4)


def transfer(function, ratio, steps=4000, **kwargs):
    return function(total_steps=steps, decay_steps=steps // 5, new_total_steps=int(ratio * steps), **kwargs)


def nearest(grid, rates, rate):
    return grid[np.argmin(np.abs(np.asarray(rates) - rate))]


def test_two_stage_factor_is_the_root():
    roots = [transfer(theory.two_stage_factor, ratio) for ratio in RATIOS]
    np.testing.assert_allclose(roots, [0.636739, 0.532994, 0.472722, 0.431195, 0.400031, 0.375389], rtol=0, atol=5.1e-7)
    rate = theory.optimal_rate(ref.wsd(4000, 0.2))
    for ratio, root in zip(RATIOS, roots):
        close(theory.optimal_rate(ref.two_stage(4000, 0.2, int(ratio * 4000), root)), rate, rtol=1e-12)


@pytest.mark.parametrize("steps, ratios", [(4000, RATIOS), (50_000, (2, 4))])
def test_two_stage_factor_on_the_papers_grid(steps, ratios):
    """The factors of the paper's real runs: .525 and .375.

    The runs had 124M and 210M parameters, and grew from 50k steps to 100k and 200k.
    """
    golden = dict(zip(RATIOS, (0.625, 0.525, 0.475, 0.425, 0.400, 0.375)))
    grid = np.linspace(0.2, 1, 33)
    rate = theory.optimal_rate(ref.wsd(steps, 0.2))
    for ratio in ratios:
        rates = [theory.optimal_rate(ref.two_stage(steps, 0.2, int(ratio * steps), factor)) for factor in grid]
        close(nearest(grid, rates, rate), golden[ratio], rtol=1e-12)
        assert abs(transfer(theory.two_stage_factor, ratio, steps) - golden[ratio]) < 0.0125  # half a grid's step


@pytest.mark.parametrize(
    "ratio, bounds", [(2, (0.023090, 0.025628, 0.024170, 0.022372)), (4, (0.016636, 0.021335, 0.017083, 0.015816))]
)
def test_bounds_after_the_transfer(ratio, bounds):
    steps, rate = 4000 * ratio, theory.optimal_rate(ref.wsd(4000, 0.2))
    factor = {2: 0.525, 4: 0.375}[ratio]
    two_stage = theory.last_iterate_bound(rate * ref.two_stage(4000, 0.2, steps, factor))
    wsd = ref.wsd(steps, 0.2)
    same, tuned, linear = theory.last_iterate_bound(rate * wsd), best(wsd)[1], best(ref.wsd(steps, 1.0))[1]
    np.testing.assert_allclose((two_stage, same, tuned, linear), bounds, rtol=0, atol=5.1e-7)


def test_adapted_cooldown():
    rate, grid = theory.optimal_rate(ref.wsd(4000, 0.2)), np.linspace(0.1, 1, 33)
    for ratio, golden in zip(RATIOS, (0.4375, 0.634375, 0.775, 0.8875, 0.971875, 1.0)):
        steps = int(4000 * ratio)
        rates = [theory.optimal_rate(ref.wsd(steps, share)) for share in grid]
        close(nearest(grid, rates, rate), golden, rtol=1e-12)
        d = transfer(theory.adapted_cooldown, ratio)
        assert abs(d / steps - golden) < 0.0141  # half a grid's step
        if ratio < 4:
            at, above = (theory.wsd_terms(total_steps=steps, decay_steps=d + i).optimal_rate for i in (0, 1))
            assert at <= rate < above
        else:
            assert d == steps
    assert theory.adapted_cooldown(total_steps=500, decay_steps=100, new_total_steps=500) == 100


@pytest.mark.parametrize("decay", [profiles.one_minus_sqrt, profiles.cosine, profiles.power(2.0)], ids=repr)
def test_transfer_with_other_profiles(decay):
    """It agrees with the bound of the schedules themselves."""

    def rate(steps, d):
        return theory.optimal_rate(olrs.WSD(peak=1.0, total_steps=steps, decay_steps=d, decay=decay), total_steps=steps)

    d = theory.adapted_cooldown(total_steps=300, decay_steps=60, new_total_steps=450, decay=decay)
    assert rate(450, d) <= rate(300, 60) < rate(450, d + 1)
    factor = theory.rate_transfer(
        total_steps=300, decay_steps=60, new_total_steps=450, new_decay_steps=200, decay=decay
    )
    close(factor, rate(450, 200) / rate(300, 60), rtol=1e-13)
    rho = transfer(theory.two_stage_factor, 2, 300, decay=decay)
    lrs = olrs.WSD(peak=1.0, total_steps=600, decay_steps=120, decay=decay).at(np.arange(600))
    lrs[240:] *= rho
    close(theory.optimal_rate(lrs), rate(300, 60), rtol=1e-12)


@pytest.mark.parametrize("steps", [200, 10**4, 10**7, 10**12])
def test_transfer_at_any_horizon(steps):
    assert transfer(theory.two_stage_factor, 1, steps) == 1.0
    factors = [transfer(theory.two_stage_factor, ratio, steps) for ratio in (1.5, 2, 4, 100)]
    assert transfer(theory.two_stage_factor, 10**6, steps) > 0.0005
    assert 0.08 < factors[3] < factors[2] < factors[1] < factors[0] < 0.66
    assert 0.61 < transfer(theory.adapted_cooldown, 2, steps) / (2 * steps) < 0.64
    h = math.log(theory.rate_transfer(total_steps=steps, decay_steps=steps // 5, new_decay_steps=steps))
    assert 0.66 < h < 0.68  # nearly independent of the horizon
    assert 0.7 < theory.rate_transfer(total_steps=steps, decay_steps=steps // 5, new_total_steps=2 * steps) < 0.72


# ── the same number by another way ────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["even", "spread", "early", "late", "warmup", "holes"])
@pytest.mark.parametrize("steps", [1, 2, 3, 50, 300])
def test_the_single_sum_is_the_double_sum(kind, steps):
    rng = np.random.default_rng(steps)
    lrs, norms = rng.random(steps) + 0.01, rng.random(steps) + 0.1
    if kind == "spread":
        lrs, norms = 10 ** rng.uniform(-6, 0, steps), 10 ** rng.uniform(-3, 3, steps)
    elif kind in ("early", "late"):
        lrs = np.exp(np.linspace(0, -12, steps))[:: 1 if kind == "early" else -1]
    elif kind == "warmup" and steps > 1:
        lrs = np.minimum(np.arange(steps) / max(1, steps // 5), 1.0)
    elif kind == "holes":
        lrs[:-1] *= rng.random(steps - 1) < 0.5
    close(theory.last_iterate_terms(lrs, norms, 1.7), ref.sums(lrs, norms, 1.7), rtol=1e-12)


@pytest.mark.parametrize("decay_steps", [0, 1, 2, 3, 40, 199, 200])
@pytest.mark.parametrize("decay", [profiles.linear, profiles.one_minus_sqrt], ids=repr)
def test_the_closed_form_is_the_sum(decay_steps, decay):
    lr = olrs.WSD(peak=1.0, total_steps=200, decay_steps=decay_steps, decay=decay)
    close(
        theory.wsd_terms(total_steps=200, decay_steps=decay_steps, grad_norm=3.0, distance=0.5, decay=decay),
        theory.last_iterate_terms(lr, 3.0, 0.5, total_steps=200),
        rtol=1e-12,
    )


@pytest.mark.parametrize("steps", [1, 2, 17, 1000])
def test_the_constant_has_the_published_form(steps):
    terms = theory.wsd_terms(total_steps=steps, decay_steps=0)
    close((terms.optimal_rate, terms.optimal_bound), ref.constant_optimum(steps), rtol=1e-13)
    close(best(np.full(steps, 0.3))[1], ref.constant_optimum(steps)[1], rtol=1e-13)


def in_many_digits(steps, d):
    """WSD's T1 and T2 by the formula of its docstring, in 40 digits."""
    with mpmath.workdps(40):
        tail = mpmath.mpf(d + 1) / 2
        noise = (
            mpmath.psi(0, steps - d + tail)
            - mpmath.psi(0, tail)
            + (1 + 2 * (d - 1 + mpmath.harmonic(d - 1))) / mpmath.mpf(d)
        )
        return float(1 / (2 * (steps - d + tail))), float(noise / 2)


@pytest.mark.parametrize("decay_steps", [2, 200_000, 1_000_000])
def test_no_digits_are_lost_at_the_end_of_a_million_steps(decay_steps):
    lrs = np.minimum(1.0, np.arange(10**6, 0, -1) / decay_steps)
    exact = in_many_digits(10**6, decay_steps)
    close(theory.last_iterate_terms(lrs), exact, rtol=1e-12)
    close(theory.wsd_terms(total_steps=10**6, decay_steps=decay_steps), exact, rtol=1e-13)
    close(jax.jit(theory.last_iterate_terms)(jnp.asarray(lrs, jnp.float32)), exact, rtol=3e-6)


@pytest.mark.skipif(np.finfo(np.longdouble).eps > 1e-18, reason="long double is double here")
def test_no_digits_are_lost_with_any_rates():
    lrs, norms = 10 ** RNG.uniform(-6, 0, 10**6), 10 ** RNG.uniform(-2, 2, 10**6)
    long, g = lrs.astype(np.longdouble), norms.astype(np.longdouble)
    tails = np.cumsum(long[::-1])[::-1]
    exact = 1 / (2 * tails[0]), np.sum(long**2 * g**2 / np.append(tails[1:], long[-1])) / 2
    close(theory.last_iterate_terms(lrs, norms), np.asarray(exact, np.float64), rtol=1e-12)
    device = jax.jit(theory.last_iterate_terms)(jnp.asarray(lrs, jnp.float32), jnp.asarray(norms, jnp.float32))
    close(device, np.asarray(exact, np.float64), rtol=3e-6)


def test_differences_of_sums_from_the_start_would_lose_them():
    """The previous test can fail."""
    lrs = np.minimum(1.0, np.arange(10**6, 0, -1) / 10**6).astype(np.float32)
    sums = np.cumsum(lrs, dtype=np.float32)
    ahead = np.append(sums[-1] - sums[:-1], lrs[-1])
    with np.errstate(divide="ignore"):
        wrong = 0.5 * np.sum(lrs**2 / ahead, dtype=np.float64)
    assert not 0.999 < wrong / in_many_digits(10**6, 10**6)[1] < 1.001


def test_the_formula_in_exact_fractions():
    lrs, norms = [Fraction(k, 7) for k in (0, 3, 6, 0, 5, 1, 2)], [Fraction(k, 3) for k in (9, 1, 4, 1, 5, 9, 2)]
    second = sum(lr * lr * g * g / sum(lrs[t + 1 :] or [lr]) for t, (lr, g) in enumerate(zip(lrs, norms))) / 2
    double = sum(lr * lr * g * g for lr, g in zip(lrs, norms)) / sum(lrs) / 2 + sum(
        lrs[k] / sum(lrs[k + 1 :]) * sum(lr * lr * g * g for lr, g in zip(lrs[k:], norms[k:])) / sum(lrs[k:]) / 2
        for k in range(len(lrs) - 1)
    )
    assert second == double
    got = theory.last_iterate_terms([float(lr) for lr in lrs], [float(g) for g in norms])
    close(got, (float(1 / sum(lrs) / 2), float(second)), rtol=1e-15)


# ── properties ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", SHAPES)
def test_scales(name):
    lrs, norms = SHAPES[name], np.linspace(3, 1, T)
    rate, bound = best(lrs, norms)
    for c in (0.1, 0.5, 1.0, 3.0):
        close(theory.last_iterate_bound(c * rate * lrs, norms), bound * (c + 1 / c) / 2, rtol=1e-12)
        close(theory.last_iterate_terms(lrs, norms).bound(c * rate), bound * (c + 1 / c) / 2, rtol=1e-12)
        close(best(c * lrs, norms), (rate / c, bound), rtol=1e-12)
    close(theory.optimal_bound(lrs, 5 * norms, 7.0), 35 * bound, rtol=1e-12)
    close(theory.optimal_rate(lrs, 5 * norms, 7.0), 7 / 5 * rate, rtol=1e-12)


def test_linear_decay_is_best_of_the_shapes():
    bounds = {name: theory.optimal_bound(lrs) for name, lrs in SHAPES.items()}
    assert min(bounds, key=bounds.get) == "linear"


def test_the_minimizer_of_the_bound_is_linear_decay():
    """The rates are close to linear, except for the last, which has not yet moved x_T."""

    def objective(logs):
        terms, gradient = theory.last_iterate_terms_and_gradient(np.exp(logs))
        return terms.bound(), (gradient.distance_term + gradient.gradient_term) * np.exp(logs)

    linear = ref.wsd(60, 1.0)
    found = minimize(objective, np.full(60, -3.0), jac=True, method="L-BFGS-B", options=dict(maxiter=5000, maxfun=9999))
    shape = np.exp(found.x)
    assert 0.97 < found.fun / theory.optimal_bound(linear) < 1.0
    assert np.abs(shape / shape.max() - linear)[:-1].max() < 0.04
    assert shape[-1] > 2 * shape[-2]


def test_zeros_at_the_end_are_dropped_and_others_are_not():
    lrs, norms = RNG.random(20) + 0.1, RNG.random(20)
    longer = np.append(lrs, np.zeros(5)), np.append(norms, np.full(5, 9.0))
    close(theory.last_iterate_terms(*longer), theory.last_iterate_terms(lrs, norms), rtol=1e-15)
    on_device = jax.jit(theory.last_iterate_terms_and_gradient)(*(jnp.asarray(x, jnp.float32) for x in longer))
    gradients = [np.append(x, np.zeros(5)) for x in theory.last_iterate_terms_and_gradient(lrs, norms)[1]]
    close(on_device[0], theory.last_iterate_terms(lrs, norms), rtol=1e-6)
    for got, device, wanted in zip(theory.last_iterate_terms_and_gradient(*longer)[1], on_device[1], gradients):
        close(got, wanted, rtol=1e-12)
        np.testing.assert_allclose(device, wanted, rtol=1e-5, atol=1e-6)
    lrs[[0, 7, 8]] = 0.0
    close(theory.last_iterate_terms(lrs, norms), ref.sums(lrs, norms, 1.0), rtol=1e-13)


def test_nothing_is_nan():
    for zeros in (jnp.zeros(4), jnp.zeros(1)):
        bound, gradient = jax.jit(jax.value_and_grad(theory.last_iterate_bound))(zeros)
        assert bound == np.inf and np.all(np.asarray(gradient) == 0.0)
        assert jax.jit(theory.average_iterate_bound)(zeros) == np.inf
    assert theory.optimal_rate([1.0, 0.5], 0.0) == np.inf
    assert theory.optimal_bound([1.0, 0.5], 0.0) == 0.0
    tiny = jnp.asarray([1e-25, 1e-25], jnp.float32)  # their squares underflow in float32
    close(jax.jit(theory.last_iterate_terms)(tiny), theory.last_iterate_terms([1e-25, 1e-25]), rtol=1e-6)


# ── JAX ───────────────────────────────────────────────────────────────────────────────────────

FUNCTIONS = [
    theory.last_iterate_terms,
    theory.last_iterate_terms_and_gradient,
    theory.last_iterate_bound,
    theory.optimal_rate,
    theory.optimal_bound,
    theory.average_iterate_terms,
    theory.average_iterate_bound,
    lambda *args: theory.bound_along_run(*args, at=[0, 3, 9]),
]
IDS = [getattr(f, "__name__", "").replace("<lambda>", "bound_along_run") for f in FUNCTIONS]


@pytest.mark.parametrize("function", FUNCTIONS, ids=IDS)
def test_jax_gives_what_numpy_gives(function):
    lrs, norms = RNG.random((3, 10)) + 0.1, RNG.random((3, 10)) + 0.1
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"):
        batch = jax.jit(jax.vmap(function, in_axes=(0, 0, None)))(jnp.asarray(lrs), jnp.asarray(norms), 2.0)
        assert all(isinstance(leaf, jax.Array) and leaf.dtype == np.float64 for leaf in jax.tree.leaves(batch))
        for i in range(3):
            host = function(lrs[i], norms[i], 2.0)
            assert all(isinstance(leaf, (np.ndarray, np.float64)) for leaf in jax.tree.leaves(host))
            jax.tree.map(lambda got, wanted, i=i: close(got[i], wanted, rtol=1e-11), batch, host)


@pytest.mark.parametrize("function", FUNCTIONS[:1] + FUNCTIONS[2:], ids=IDS[:1] + IDS[2:])
def test_gradients(function):
    with jax.enable_x64(True):
        args = jnp.asarray(RNG.random(10) + 0.2), jnp.asarray(RNG.random(10) + 0.2), jnp.asarray(2.0)
        check_grads(jax.jit(function), args, order=1, modes=["rev"], rtol=1e-6)


def test_the_gradient_without_jax():
    lrs, norms = RNG.random(10) + 0.2, RNG.random(10) + 0.2
    terms, gradient = theory.last_iterate_terms_and_gradient(lrs, norms, 2.0)
    assert terms == theory.last_iterate_terms(lrs, norms, 2.0)
    with jax.enable_x64(True):
        jacobian = jax.jit(jax.jacrev(lambda x: theory.last_iterate_terms(x, norms, 2.0)))(jnp.asarray(lrs))
    for got, wanted in zip(gradient, jacobian):
        np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-15)


def test_precision_follows_the_arrays():
    lrs = np.linspace(1, 0.1, 8)
    assert jax.eval_shape(theory.last_iterate_bound, jnp.asarray(lrs, jnp.bfloat16)).dtype == jnp.float32
    assert jax.eval_shape(theory.last_iterate_bound, jnp.arange(8)).dtype == jnp.float32
    assert jax.eval_shape(lambda d: theory.last_iterate_bound(lrs, 1.0, d), jnp.float32(2)).dtype == jnp.float32
    close(theory.last_iterate_bound(lrs.astype(np.float32)), theory.last_iterate_bound(lrs), rtol=1e-6)
    assert theory.last_iterate_bound(lrs.astype(np.float32)).dtype == np.float64


# ── along a run ───────────────────────────────────────────────────────────────────────────────


def test_the_bound_along_a_run_is_that_of_its_beginnings():
    lrs, norms = RNG.random(30), RNG.random(30)
    lrs[0] = 0.0
    wanted = [np.inf] + [sum(ref.sums(lrs[: s + 1], norms[: s + 1], 2.0)) for s in range(1, 30)]
    close(theory.bound_along_run(lrs, norms, 2.0, at=range(30)), wanted, rtol=1e-12)
    close(theory.bound_along_run(lrs, norms, 2.0, at=29), theory.last_iterate_bound(lrs, norms, 2.0), rtol=1e-15)
    assert theory.bound_along_run(lrs, at=[]).shape == (0,)
    device = jax.jit(lambda lrs: theory.bound_along_run(lrs, norms, 2.0, at=range(30)))(jnp.asarray(lrs, jnp.float32))
    close(device, wanted, rtol=1e-5)


def test_the_cooldown_is_where_the_bound_drops():
    lrs = SHAPES["wsd"] * theory.optimal_rate(SHAPES["wsd"])
    start, middle, last = theory.bound_along_run(lrs, at=[160, 319, 399])
    assert (middle - last) / middle > 0.28 > 0.26 > (start - middle) / start


# ── schedules ─────────────────────────────────────────────────────────────────────────────────


def test_any_schedule_will_do():
    wanted = theory.optimal_bound(SHAPES["cosine"])
    schedule = optax.cosine_decay_schedule(1.0, T)
    bound = theory.optimal_bound(schedule, total_steps=T)
    close(bound, wanted, rtol=1e-5)  # Optax loses digits at the end, in float32
    assert isinstance(bound, np.float64)
    close(
        theory.optimal_bound(lambda step: 1.0 - step / T, total_steps=T),
        theory.optimal_bound(SHAPES["linear"]),
        rtol=1e-5,
    )
    close(
        theory.optimal_bound(optax.constant_schedule(0.1), total_steps=T), theory.optimal_bound(np.ones(T)), rtol=1e-12
    )
    close(theory.optimal_bound(olrs.Cosine(peak=1.0, total_steps=T), total_steps=T), wanted, rtol=1e-13)
    ends_early = olrs.Linear(peak=1.0, total_steps=T)
    close(theory.optimal_bound(ends_early, total_steps=3 * T), theory.optimal_bound(SHAPES["linear"]), rtol=1e-13)


def test_schedules_differentiate():
    def bound(peak, end):
        return theory.last_iterate_bound(olrs.Cosine(peak=peak, total_steps=20, end=end), total_steps=20)

    gradient = jax.jit(jax.grad(bound, argnums=(0, 1)))(0.5, 0.1)
    numeric = [(bound(0.5 + h, 0.1 + k) - bound(0.5 - h, 0.1 - k)) / 2e-6 for h, k in ((1e-6, 0), (0, 1e-6))]
    close(gradient, numeric, rtol=1e-4)
    at_the_best = jax.jit(jax.grad(bound))(float(theory.optimal_rate(ref.cosine(20))), 0.0)
    assert abs(at_the_best) < 1e-5


def test_lazy_and_on_the_host():
    code = (
        "import sys, optax_lrs\n"
        "assert 'optax_lrs.theory' not in sys.modules\n"
        "from optax_lrs import theory\n"
        "assert optax_lrs.theory is theory and 'scipy' not in vars(theory)\n"
        "theory.optimal_bound(optax_lrs.Cosine(peak=1.0, total_steps=9), total_steps=9)\n"
        "theory.last_iterate_terms_and_gradient([1.0, 0.5]), theory.bound_along_run([1.0, 0.5], at=[0, 1])\n"
        "theory.adapted_cooldown(total_steps=100, decay_steps=20, new_total_steps=200)\n"
        "from jax._src import xla_bridge\n"
        "assert not xla_bridge.backends_are_initialized()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


# ── mistakes ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("function", FUNCTIONS, ids=IDS)
@pytest.mark.parametrize(
    "args, error, words",
    [
        (([],), ValueError, "lrs must be a 1-D array of one or more rates"),
        ((0.1,), ValueError, "lrs must be a 1-D array of one or more rates"),
        (([[0.1]],), ValueError, "lrs must be a 1-D array of one or more rates"),
        (([0.0] * 10,), ValueError, "lrs must have a positive rate, got 10 zeros"),
        (([0.1, -0.1],), ValueError, "lrs must be finite and not negative"),
        (([0.1, np.nan],), ValueError, "lrs must be finite and not negative"),
        ((["a"],), TypeError, "lrs must be real numbers"),
        (([1j],), TypeError, "lrs must be real numbers"),
        (([0.1] * 3, [1.0] * 2), ValueError, "grad_norms must be a number or have the shape of lrs, (3,), got (2,)"),
        (([0.1] * 3, np.inf), ValueError, "grad_norms must be finite"),
        (([0.1] * 3, 1.0, [1.0] * 3), ValueError, "distance must be a number"),
        (([0.1] * 3, 1.0, -1.0), ValueError, "distance must be finite and not negative"),
        (([0.1] * 3, None), TypeError, "grad_norms must be real numbers"),
        ((olrs.Constant(value=0.1),), ValueError, "total_steps must be given with a schedule"),
        (
            (jnp.ones(3), jnp.ones(2)),
            ValueError,
            "grad_norms must be a number or have the shape of lrs, (3,), got (2,)",
        ),
    ],
)
def test_mistakes(function, args, error, words):
    with pytest.raises(error) as raised:
        function(*args)
    assert words in str(raised.value)


RUN = dict(total_steps=9, decay_steps=2)
TRANSFERS = (theory.rate_transfer, theory.adapted_cooldown, theory.two_stage_factor)


@pytest.mark.parametrize(
    "call, error, words",
    [
        (
            lambda: theory.last_iterate_terms([0.1] * 3, total_steps=4),
            ValueError,
            "total_steps=4 must be the length of lrs",
        ),
        (
            lambda: theory.last_iterate_terms(olrs.Constant(value=1.0), total_steps=2.0),
            TypeError,
            "total_steps must be an int",
        ),
        (
            lambda: theory.last_iterate_terms(olrs.Constant(value=1.0), total_steps=0),
            ValueError,
            "lrs must be a 1-D array of one or more",
        ),
        (lambda: theory.bound_along_run([0.1], at=1), ValueError, "at must be steps of the run, from 0 to 0, got 1"),
        (lambda: theory.bound_along_run([0.1], at=[-1]), ValueError, "at must be steps of the run"),
        (lambda: theory.bound_along_run([0.1], at=0.5), TypeError, "at must be an int or a 1-D array of ints"),
        (lambda: theory.wsd_terms(total_steps=0, decay_steps=0), ValueError, "total_steps must be at least 1"),
        (lambda: theory.wsd_terms(total_steps=5, decay_steps=6), ValueError, "must be at most total_steps, got 6 of 5"),
        (lambda: theory.wsd_terms(total_steps=5, decay_steps=0.2), TypeError, "decay_steps must be an int"),
        (
            lambda: theory.wsd_terms(total_steps=5, decay_steps=2, grad_norm="a"),
            TypeError,
            "grad_norm must be a number",
        ),
        (lambda: theory.wsd_terms(total_steps=5, decay_steps=2, distance=-1), ValueError, "distance must be above 0"),
        (
            lambda: theory.wsd_terms(total_steps=5, decay_steps=2, decay="linear"),
            TypeError,
            "decay must be a Profile, such as profiles.linear",
        ),
        (
            lambda: theory.wsd_terms(total_steps=5, decay_steps=2, decay=profiles.inverse),
            ValueError,
            "needs a positive end",
        ),
        (lambda: theory.worst_case_optimum(total_steps=0), ValueError, "total_steps must be at least 1"),
        (
            lambda: theory.worst_case_optimum(total_steps=5, grad_norm=0.0),
            ValueError,
            "grad_norm must be above 0, got 0.0",
        ),
        (lambda: theory.adapted_cooldown(**RUN, new_total_steps=8), ValueError, "at least total_steps, got 8 and 9"),
        (lambda: theory.two_stage_factor(**RUN, new_total_steps=8), ValueError, "at least total_steps, got 8 and 9"),
        (
            lambda: theory.two_stage_factor(**RUN, new_total_steps=12, new_decay_steps=6),
            ValueError,
            "to keep the first 7",
        ),
        *((lambda f=f: f(total_steps=9, decay_steps=10, new_total_steps=12), ValueError, "at most") for f in TRANSFERS),
        *((lambda f=f: f(**RUN, new_total_steps=12.0), TypeError, "new_total_steps must be an int") for f in TRANSFERS),
    ],
)
def test_mistakes_of_counts(call, error, words):
    with pytest.raises(error) as raised:
        call()
    assert words in str(raised.value)


# ── real descents ─────────────────────────────────────────────────────────────────────────────


def sum_of_distances(rng):
    goal = rng.normal(size=20)
    return (lambda x: np.abs(x - goal).sum()), (lambda x: np.sign(x - goal)), goal


def largest_of_planes(rng):
    planes = rng.normal(size=(30, 8))
    planes -= planes.mean(0)  # 0 is in their convex hull: the minimum, 0, is at the origin
    return (lambda x: (planes @ x).max()), (lambda x: planes[np.argmax(planes @ x)]), np.zeros(8)


def ill_conditioned_norm(rng):
    scales, goal = 10.0 ** rng.uniform(-2, 1, 10), rng.normal(size=10)
    value = lambda x: np.sqrt(np.sum(scales * (x - goal) ** 2))  # noqa: E731
    return value, (lambda x: scales * (x - goal) / max(value(x), 1e-300)), goal


@pytest.mark.parametrize("problem", [sum_of_distances, largest_of_planes, ill_conditioned_norm])
@pytest.mark.parametrize("shape", ["linear", "constant", "wsd", "cosine", "inverse_sqrt", "warmup"])
def test_descents_stay_under_the_bound(problem, shape):
    shapes = {**SHAPES, "warmup": np.minimum(np.arange(T) / 40, np.arange(T, 0, -1) / 360)}
    for seed in range(3):
        rng = np.random.default_rng(seed)
        value, subgradient, goal = problem(rng)
        start = goal + rng.normal(size=goal.shape)
        distance = np.linalg.norm(start - goal)
        for scale in (0.1, 1.0, 10.0):
            lrs = scale * distance * theory.optimal_rate(shapes[shape]) * shapes[shape]
            points, norms = ref.subgradient_descent(subgradient, start, lrs)
            bounds = theory.bound_along_run(lrs, norms, distance, at=range(T))
            gaps = np.array([value(x) - value(goal) for x in points[:-1]])
            assert np.all(gaps <= bounds * (1 + 1e-12))
            average = np.average(points[:-1], axis=0, weights=lrs)
            assert value(average) - value(goal) <= theory.average_iterate_bound(lrs, norms, distance) * (1 + 1e-12)


def test_linear_decay_keeps_its_guarantee():
    value, subgradient, goal = sum_of_distances(np.random.default_rng(0))
    optimum = theory.worst_case_optimum(total_steps=T, grad_norm=math.sqrt(20), distance=np.linalg.norm(goal))
    ends = [
        value(ref.subgradient_descent(subgradient, np.zeros(20), lrs)[0][T - 1])
        for lrs in (optimum.lrs, np.full(T, optimum.lrs[0]))
    ]
    assert ends[0] < 0.01 < optimum.bound  # far below the constant's
    assert 0.1 < ends[1]


@pytest.mark.parametrize("shape", ["optimum", "linear", "constant", "cosine"])
def test_nothing_has_a_better_guarantee_than_linear_decay(shape):
    """On G max(x), against a resisting subgradient (after Nemirovski).

    A coordinate that has not been seen stays at 0.
    """
    norm, distance = 2.0, 3.0
    optimum = theory.worst_case_optimum(total_steps=T, grad_norm=norm, distance=distance)
    lrs = optimum.lrs if shape == "optimum" else optimum.lrs[0] * SHAPES[shape]
    goal = np.full(T, -distance / math.sqrt(T))  # any point may be compared with

    def resisting(x):
        return norm * np.eye(T)[np.flatnonzero(x == x.max())[0]]

    points, norms = ref.subgradient_descent(resisting, np.zeros(T), lrs)
    gap = norm * (points[T - 1].max() - goal.max())
    assert np.all(norms == norm)
    assert gap >= optimum.bound * (1 - 1e-12)  # for any rates
    if shape == "optimum":
        close(gap, optimum.bound, rtol=1e-12)  # these rates reach it


def test_the_worst_case_optimum():
    lrs, bound = theory.worst_case_optimum(total_steps=200, grad_norm=2.0, distance=3.0)
    close(lrs, [3 / (2 * math.sqrt(200)) * (1 - t / 200) for t in range(1, 201)], rtol=1e-13)
    close(bound, 6 / math.sqrt(200), rtol=1e-14)
    # Eq. (T2): linear decay's weights minimize (D²/2 + Σ w² G²/2) / Σ w.
    weights = np.full(200, 3 / (2 * math.sqrt(200)))
    np.testing.assert_allclose(
        lrs, weights * (weights.sum() - weights.cumsum()) / weights.sum(), rtol=1e-12, atol=1e-15
    )
    for w in (weights, weights * (1 + 0.1 * RNG.normal(size=200))):
        assert (9 / 2 + np.sum(w**2) * 4 / 2) / w.sum() >= bound * (1 - 1e-14)
