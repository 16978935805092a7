"""Continual and open-ended schedules: goldens, invariants, and variants as compositions."""

import numpy as np
import pytest

import optax_lrs as olrs
from matrices import schedule_rules as rules
from matrices.goldens import holds
from optax_lrs import profiles

# ── golden values: methods/wsd_continual_laws.goldens.json ────────────────────────────────────

WSDS_STEPS = [
    0,
    25,
    50,
    269,
    270,
    271,
    285,
    299,
    300,
    301,
    629,
    630,
    650,
    660,
    680,
    699,
    700,
    899,
    900,
    950,
    970,
    985,
    999,
    1000,
    1100,
]
WSDS_RATES = {  # group "wsds": by cycle, by cumulative end
    "of_cycles": "0 0.0005 0.001 0.001 0.001 0.000769230769231 0.000181818181818 0.000103092783505 0.001 0.001 0.001 "
    "0.001 "
    "0.001 0.001 0.000181818181818 0.000102301790281 0.001 0.001 0.001 0.001 0.001 0.000181818181818 0.000103092783505 "
    "0.0001 0.0001",
    "of_run": "0 0.0005 0.001 0.001 0.001 0.000769230769231 0.000181818181818 0.000103092783505 0.001 0.001 0.001 "
    "0.001 "
    "0.00028 0.000205882352941 0.000134615384615 0.000101302460203 0.001 0.001 0.001 0.000181818181818 "
    "0.00013698630137 "
    "0.000115606936416 0.000100908173562 0.0001 0.0001",
}
WSDS = dict(peak=1e-3, end=1e-4, boundaries=(300, 700, 1000), warmup_steps=50, share=0.1)


@pytest.mark.parametrize(("make", "total"), [("of_cycles", 0.901501816325), ("of_run", 0.827061100016)])
def test_wsds(make, total):
    lr = getattr(olrs.WSDS, make)(**WSDS)
    holds(lr, list(zip(WSDS_STEPS, WSDS_RATES[make].split())))
    assert np.sum(lr.at(np.arange(1000))) == pytest.approx(total, rel=6e-12)  # group "wsds_sum"


def test_wsds_invariants():
    cycles, run = olrs.WSDS.of_cycles(**WSDS), olrs.WSDS.of_run(**WSDS)
    steps = np.arange(1200)
    assert cycles.decay_steps == (30, 40, 30) and run.decay_steps == (30, 70, 100)
    assert np.all(run.at(steps) <= cycles.at(steps))
    one = olrs.WSDS.of_run(peak=1.0, end=0.1, boundaries=[100], share=0.2, warmup_steps=5)
    plain = olrs.WSD(peak=1.0, end=0.1, total_steps=100, decay_steps=20, warmup_steps=5, decay=profiles.inverse)
    np.testing.assert_array_equal(one.at(steps), plain.at(steps))
    equal = olrs.WSDS.of_cycles(peak=1.0, end=0.1, boundaries=(100, 200, 300), share=0.3).at(steps)
    np.testing.assert_array_equal(equal[:200], equal[100:300])
    assert np.all(equal >= 0.1) and equal[300] == 0.1
    none = olrs.WSDS(peak=1.0, end=0.1, boundaries=(100, 200), decay_steps=(0, 0))
    assert np.all(none.at(steps) == 1.0)
    # Levanter's test: at the peak until 270, 660, 970, and again from 300 and 700 on.
    assert all(cycles.at(step) == 1e-3 for step in (270, 300, 660, 700, 970))
    lr = olrs.WSDS(peak=1e-3, end=1e-4, boundaries=(40,), decay_steps=(40,))  # Levanter's form of the decay
    holds(
        lr, [(1, "0.000816326530612"), (2, "0.000689655172414"), (20, "0.000181818181818"), (39, "0.000102301790281")]
    )
    assert lr.at(40) == 1e-4 and lr(40) == np.float32(1e-4)


def test_wsdc():  # group "wsdc"
    steps = [0, 50, 100, 599, 600, 601, 675, 750, 825, 899, 900, 950, 1000, 5000]
    phases = dict(peak=1e-3, end=1e-4, warmup_steps=100, stable_steps=500, decay_steps=300)
    cosine = (
        "0 0.0005 0.001 0.001 0.001 0.000999975326214 0.000868198051534 0.00055 0.000231801948466 0.000100024673786"
    )
    linear = "0 0.0005 0.001 0.001 0.001 0.000997 0.000775 0.00055 0.000325 0.000103"
    holds(olrs.WSDC(**phases), list(zip(steps, (cosine + 4 * " 0.0001").split())))
    holds(olrs.WSDC(**phases, decay=profiles.linear), list(zip(steps, (linear + 4 * " 0.0001").split())))
    same = olrs.WSD(peak=1e-3, end=1e-4, total_steps=900, warmup_steps=100, decay_steps=300, decay=profiles.cosine)
    np.testing.assert_array_equal(olrs.WSDC(**phases).at(np.arange(2000)), same.at(np.arange(2000)))
    other = olrs.Infinite(peak=1e-3, plateau=1e-4, warmup_steps=100, cooldown_steps=300)
    np.testing.assert_array_equal(
        olrs.WSDC(**(phases | dict(stable_steps=0))).at(np.arange(2000)), other.at(np.arange(2000))
    )


def test_deepseek_v3_in_tokens():
    first = olrs.WSDC(peak=2.2e-4, end=2.2e-5, stable_steps=10**13, decay_steps=43 * 10**11)
    lr = olrs.switch(first, olrs.Constant(value=7.3e-6), at=14_633 * 10**9)
    rows = {
        10**12: 0.00022,
        10**13: 0.00022,
        11 * 10**12: 0.000194732446092,
        1215 * 10**10: 0.000121,
        14 * 10**12: 2.4368488122e-05,
        143 * 10**11: 2.2e-05,
        145 * 10**11: 2.2e-05,
        147 * 10**11: 7.3e-06,
    }
    for tokens, rate in rows.items():
        assert lr.at(tokens) == pytest.approx(rate, rel=6e-12) and lr(tokens) == pytest.approx(rate, rel=2e-6)


@pytest.mark.parametrize(
    ("cooldown", "middle"),
    [
        (profiles.cosine, "0.000299998667608 0.00028022970773 0.0002325 0.00018477029227 0.000165001332392"),
        (
            profiles.inverse_sqrt(10),
            "0.000298095771939 0.00021003509621 0.000185629522875 0.00017301814951 0.000165053049109",
        ),
        (
            profiles.inverse_sqrt(1),
            "0.000299539771397 0.000251339504299 0.000215419818611 0.000187503055137 0.000165163081737",
        ),
    ],
    ids=repr,
)
def test_infinite(cooldown, middle):  # group "infinite"
    steps = [0, 50, 100, 101, 225, 350, 475, 599, 600, 700, 849, 850, 875, 900, 925, 999, 1000, 1100]
    tail = 4 * "0.000165 " + "0.000124191011023 9.34751952655e-05 7.03562363974e-05 3.03428944231e-05 3e-05 3e-05"
    phases = dict(warmup_steps=100, cooldown_steps=500, stable_steps=250, anneal_steps=150)
    lr = olrs.Infinite(peak=3e-4, plateau=1.65e-4, end=3e-5, **phases, cooldown=cooldown)
    holds(lr, list(zip(steps, f"0 0.00015 0.0003 {middle} {tail}".split())))
    rates = lr.at(np.arange(1200))
    assert rates[600] == 1.65e-4 and rates[850] == 1.65e-4 and np.all(np.diff(rates[100:]) <= 0)
    endless = lr.replace(anneal_steps=0, end=0.0)
    np.testing.assert_array_equal(endless.at(np.arange(850)), rates[:850])
    assert endless.at(10**9) == 1.65e-4 and endless.ends_at == 600


def test_infinite_invariants():
    steps = np.arange(1100)
    phases = dict(warmup_steps=100, cooldown_steps=500, stable_steps=250, anneal_steps=150)
    level = olrs.Infinite(peak=1.0, plateau=1.0, end=0.1, **phases)
    wsd = olrs.WSD(peak=1.0, end=0.1, total_steps=1000, warmup_steps=100, decay_steps=150, decay=profiles.exponential)
    np.testing.assert_allclose(level.at(steps), wsd.at(steps), rtol=1e-14)
    ratios = level.at(np.arange(851, 1001)) / level.at(np.arange(850, 1000))
    np.testing.assert_allclose(ratios, 0.1 ** (1 / 150), rtol=1e-13)
    line, bent = (
        olrs.WSD(peak=1.0, total_steps=100, decay_steps=100, decay=decay).at(np.arange(101))
        for decay in (profiles.linear, profiles.inverse_sqrt(0.0))
    )
    np.testing.assert_array_equal(line, bent)


POWER = {  # group "power": (amplitude, sequences)
    (4, 1024): [0.02, 0.02, 0.02, 0.02, 0.0143180952024, 0.0100544877186, 0.00310713374732, 0.000960196122755],
    (4.6, 1024): [0.02, 0.02, 0.02, 0.02, 0.0164658094827, 0.0115626608764, 0.00357320380942, 0.00110422554117],
    (4, 128): [
        0.02,
        0.0131604264078,
        0.00924154671546,
        0.00406696056179,
        0.0017897619003,
        0.00125681096483,
        0.000388391718415,
        0.000120024515344,
    ],
}
TOKENS = [10**6, 10**9, 2 * 10**9, 10**10, 5 * 10**10, 10**11, 10**12, 10**13]


@pytest.mark.parametrize(("amplitude", "sequences"), POWER)
def test_power_law(amplitude, sequences):
    lr = olrs.PowerLaw(peak=0.02, amplitude=amplitude, sequences_per_step=sequences, tokens_per_step=10**6)
    holds(lr, [(n // 10**6, rate) for n, rate in zip(TOKENS, POWER[amplitude, sequences])])


def test_power_law_without_a_cap_and_its_crossover():
    lr = olrs.PowerLaw(peak=1.0, amplitude=4.6, sequences_per_step=1, tokens_per_step=10**6)
    rates = [
        0.0040064325138,
        0.000118238206007,
        8.30295212718e-05,
        3.65390987973e-05,
        1.6079892073e-05,
        1.12916610122e-05,
        3.48945684513e-06,
        1.07834525505e-06,
    ]
    holds(lr, [(n // 10**6, rate) for n, rate in zip(TOKENS, rates)])
    for amplitude, sequences, cross in ((4, 1024, 25964051117.9), (4.6, 1024, 34149773593.7), (4, 128, 440157164.296)):
        lr = olrs.PowerLaw(peak=0.02, amplitude=amplitude, sequences_per_step=sequences, tokens_per_step=1)
        assert lr.at(int(0.999 * cross)) == 0.02 > lr.at(int(1.001 * cross))  # group "power_cross"
        assert lr.at(round(4 * cross)) == pytest.approx(0.02 * 4**-0.51, rel=1e-9)
    zoo = olrs.PowerLaw(
        peak=0.02, amplitude=4.6, sequences_per_step=128, tokens_per_step=10**6
    )  # methods/adaptive_and_zoo.goldens.json
    holds(
        zoo,
        [
            (500, 0.02),
            (10**3, 0.015134490368943068),
            (10**4, 0.004677004646056568),
            (10**5, 0.0014453326095553453),
            (10**6, 0.00044665047617718323),
        ],
    )


def test_power_law_from_warmup_to_decay():  # group "powsched"
    million = [0, 500, 1000, 5000, 10_000, 100_000, 500_000, 900_000, 925_000, 950_000, 975_000, 1_000_000]
    fields = dict(
        peak=0.02,
        tokens_per_step=10**6,
        sequences_per_step=1024,
        total_tokens=10**12,
        warmup_tokens=10**9,
        decay_tokens=10**11,
    )
    early = "0 0.01 0.02 0.02 0.02 0.0100544877186 0.00442471442062 0.00327865913846"
    linear, exponential = (
        "0.00245899435384 0.00163932956923 0.000819664784614 0",
        ("0.00103680305488 0.000327865913846 0.000103680305488 3.27865913846e-05"),
    )
    holds(olrs.PowerLaw(**fields), list(zip(million, f"{early} {linear}".split())))
    start = olrs.PowerLaw(**fields).at(900_000)
    tail = olrs.PowerLaw(**fields, end=0.01 * start, decay=profiles.exponential)
    holds(tail, list(zip(million, f"{early} {exponential}".split())))
    assert olrs.PowerLaw(**fields).ends_at == 10**6


def test_power_law_invariants():
    lr = olrs.PowerLaw(peak=0.02, tokens_per_step=10**6, sequences_per_step=1024)
    steps = np.array([10**5, 10**6, 10**7])
    np.testing.assert_allclose(lr.at(10 * steps) / lr.at(steps), 0.309029543251, rtol=1e-11)
    twice = lr.replace(tokens_per_step=2 * 10**6, sequences_per_step=2048)  # twice the rate at the same tokens
    np.testing.assert_allclose(twice.at(steps), 2 * lr.at(2 * steps), rtol=1e-13)
    assert lr.at(0) == 0.02 and lr(0) == np.float32(0.02)  # finite at the first token
    far = lr.replace(tokens_per_step=2**31 + 11, warmup_tokens=2**33)
    rules.close(far(np.array([1, 3, 10**6, 2**31 - 1])), far.at([1, 3, 10**6, 2**31 - 1]))


def test_noam():  # methods/adaptive_and_zoo.goldens.json, "noam d=512 W=4000"
    holds(
        olrs.InverseSqrt.noam(width=512),
        [
            (1, 1.746928107421711e-07),
            (1000, 0.0001746928107421711),
            (4000, 0.0006987712429686843),
            (4001, 0.000698683912937353),
            (10_000, 0.00044194173824159226),
            (100_000, 0.00013975424859373687),
        ],
    )


def test_variants_of_the_inverse_sqrt_are_compositions():
    steps = np.arange(2000)
    # big_vision: peak / sqrt(1 + (step + shift - warmup) / timescale), times warmup and cooldown.
    peak, warmup, timescale, shift, total, cooldown = 1e-3, 100, 300, 50, 1500, 400
    since = np.maximum(steps - warmup, 0)
    expected = peak / np.sqrt(1 + (since + shift) / timescale) * np.minimum(1, steps / warmup)
    expected *= np.clip((total - steps) / cooldown, 0, 1)
    shifted = olrs.InverseSqrt(
        peak=peak / (1 + shift / timescale) ** 0.5,
        timescale_steps=timescale + shift,
        warmup_steps=warmup,
        total_steps=total,
        cooldown_steps=cooldown,
    )
    np.testing.assert_allclose(shifted.at(steps), expected, rtol=1e-13)
    k = 300
    deferred = olrs.shifted(olrs.InverseSqrt(peak=peak, timescale_steps=k), by=k)
    np.testing.assert_allclose(deferred.at(steps), peak * np.sqrt(k / np.maximum(steps, k)), rtol=1e-13)
    squashed = olrs.InverseSqrt(peak=peak, timescale_steps=k)
    np.testing.assert_allclose(squashed.at(steps), peak * np.sqrt(k / (steps + k)), rtol=1e-13)
    t2t = olrs.shifted(olrs.InverseSqrt.noam(width=512), by=-1)
    formula = 512**-0.5 * np.minimum((steps + 1.0) ** -0.5, (steps + 1) * 4000**-1.5)
    np.testing.assert_allclose(t2t.at(steps), formula, rtol=1e-13)
    endless = olrs.InverseSqrt(peak=1.0, warmup_steps=10, total_steps=100)  # no cooldown, no end
    assert endless.ends_at is None and endless.at(1000) == pytest.approx(0.1)


def test_a_shifted_schedule_without_a_warmup_holds_its_first_rate():
    lr = olrs.shifted(olrs.Linear(peak=1.0, total_steps=10), by=5)
    assert lr.at([0, 4, 5, 10, 15]).tolist() == [1, 1, 1, 0.5, 0] and lr(np.arange(6)).tolist() == 6 * [1]


def test_inverse_to_a_twentieth():  # methods/wsd_continual_laws.md, section 2
    lr = olrs.WSD(peak=1.0, end=0.05, total_steps=100, decay_steps=100, decay=profiles.inverse)
    holds(lr, list(zip([0, 25, 50, 75, 100], "1 0.173913043478 0.0952380952381 0.0655737704918 0.05".split())))


def test_levanters_own_facts_of_wsds():
    """Rate 1e-3, decay 0.1, cycles (300, 700) of 1000 steps.

    The rate is the peak until 270, 660 and 970, and again at 300 and 700.
    """
    lr = olrs.WSDS.of_cycles(peak=1e-3, end=1e-4, boundaries=(300, 700, 1000), share=0.1)
    rates = lr.at(np.arange(1000))
    below = np.flatnonzero(rates < 1e-3)
    assert below.tolist() == [*range(271, 300), *range(661, 700), *range(971, 1000)]


def test_deepseek_multi_step():  # section 1: drops to the square root of a tenth at 80%, and to a tenth at 90%
    lr = olrs.StepDecay(peak=1.0, milestones=(800, 900), factors=(0.1**0.5, 0.1))
    holds(lr, [(0, 1), (799, 1), (800, "0.316227766017"), (899, "0.316227766017"), (900, 0.1)])
