"""Golden values of the authors' package, to 2e-10, unless another source is named."""

import math

import numpy as np
import pytest
from scipy.optimize import curve_fit

import optax_lrs as olrs
from matrices.theory_functions import SHAPES, T, best, close
from optax_lrs import profiles, theory
from oracles import theory as ref

RNG = np.random.default_rng(0)


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
    close(theory.optimal_bound(ref.refined(norms), norms), refined, rtol=1e-5)


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
