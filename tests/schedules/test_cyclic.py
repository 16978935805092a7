"""Cyclical schedules, one-cycle, warmups and the range test."""

import math

import jax
import mpmath as mp
import numpy as np
import pytest

import optax_lrs as olrs
from matrices import cyclic_cases as cases_cyclic
from matrices import schedule_rules as rules
from optax_lrs import profiles

CASES = cases_cyclic.cases()
CLASSES = sorted({type(case.schedule) for case in CASES}, key=lambda cls: cls.__name__)


# ── golden values: (step, rate), from evaluations of the authors' formulas in 50 digits ───────

CLR = dict(peak=0.006, floor=0.001, period_steps=4000)
CLR_STEPS = [0, 500, 1000, 2000, 3000, 4000, 5000, 6000, 9000, 12345]
GOLDENS = [
    (
        "CLR triangular",
        olrs.Triangular(**CLR),
        zip(CLR_STEPS, [0.001, 0.00225, 0.0035, 0.006, 0.0035, 0.001, 0.0035, 0.006, 0.0035, 0.0018625]),
    ),
    (
        "CLR triangular2",
        olrs.Triangular2(**CLR),
        zip(CLR_STEPS, [0.001, 0.00225, 0.0035, 0.006, 0.0035, 0.001, 0.00225, 0.0035, 0.001625, 0.0011078125]),
    ),
    (
        "CLR exp_range, 0.99994",
        olrs.ExpRange(**CLR, h=-math.log(2) / (4000 * math.log(0.99994))),
        zip(
            CLR_STEPS,
            [
                0.001,
                0.0022130558251412602,
                0.00335440709585463,
                0.0054345862184085065,
                0.0030881642519600275,
                0.001,
                0.002852028882703049,
                0.004488343954531024,
                0.0024568470288785123,
                0.0014112136573615382,
            ],
        ),
    ),
    (
        "CyclicReflex, A=5, C=1200, about 5",
        olrs.CyclicReflex(value=5.0, amplitude=5.0, period_steps=1200),
        [
            (step, 5 + wave)
            for step, wave in [
                (0, 0.0),
                (150, 2.5),
                (300, 5.0),
                (450, 2.5),
                (600, 0.0),
                (750, -2.5),
                (900, -5.0),
                (1050, -2.5),
                (1199, -0.016666666666667496),
                (1200, 0.0),
                (1500, 5.0),
            ]
        ],
    ),
    (
        "SGDR, T_0=10, T_mult=2",
        olrs.SGDR(peak=2e-5, floor=1e-6, period_steps=10, growth=2),
        [
            (0, 2e-05),
            (2.5, 1.7217514421272203e-05),
            (5, 1.05e-05),
            (9.5, 1.1169607643461921e-06),
            (10, 2e-05),
            (15, 1.7217514421272203e-05),
            (20, 1.05e-05),
            (29.5, 1.0292853295352842e-06),
            (30, 2e-05),
            (50, 1.05e-05),
            (69.5, 1.0073241557131324e-06),
            (70, 2e-05),
        ],
    ),
    (
        "AlgoPerf cyclic, W=10, T=200, n=2",
        olrs.SGDR(peak=1.0, period_steps=100, warmup_steps=10, cycles=2),
        [
            (0, 0.0),
            (5, 0.5),
            (10, 1.0),
            (55, 0.5),
            (100, 0.0),
            (101, 0.1),
            (105, 0.5),
            (110, 1.0),
            (155, 0.5),
            (200, 0.0),
            (201, 0.0),
        ],
    ),
    (
        "HF cosine_with_restarts, W=10, T=100, cycles=3",
        olrs.join(olrs.LinearWarmup(peak=1.0, warmup_steps=10), olrs.SGDR(peak=1.0, period_steps=30, cycles=3), at=10),
        [
            (0, 0.0),
            (5, 0.5),
            (10, 1.0),
            (20, 0.75),
            (30, 0.2500000000000001),
            (55, 0.5),
            (75, 0.9330127018922194),
            (99, 0.0027390523158632996),
            (100, 0.0),
            (120, 0.0),
        ],
    ),
    (
        "PyTorch OneCycleLR, cos, 100 steps",
        olrs.OneCycle(peak=0.1, total_steps=99, warmup_steps=29, start=0.004, end=4e-7),
        [
            (0, 0.004),
            (10, 0.029516394846410082),
            (29, 0.1),
            (30, 0.09994965352845243),
            (50, 0.0793893450575732),
            (75, 0.026306861650082565),
            (99, 4e-07),
        ],
    ),
    (
        "Optax cosine_onecycle, 100 steps",
        olrs.OneCycle(peak=0.1, total_steps=100, warmup_steps=30, start=0.004, end=4e-7),
        [
            (0, 0.004),
            (10, 0.028),
            (29, 0.09973705097767713),
            (30, 0.1),
            (50, 0.0811745653949763),
            (75, 0.028306099820869922),
            (99, 5.07464715475788e-05),
            (100, 4e-07),
        ],
    ),
    (
        "Optax linear_onecycle, 100 steps",
        olrs.OneCycle(
            peak=0.1,
            total_steps=100,
            warmup_steps=30,
            anneal_steps=15,
            start=0.004,
            end=4e-7,
            decay=profiles.linear,
        ),
        [
            (0, 0.004),
            (15, 0.052),
            (30, 0.1),
            (50, 0.06509090909090909),
            (85, 0.004),
            (90, 0.0026668),
            (100, 4e-07),
        ],
    ),
    # These count updates from 1: by=-1.
    (
        "untuned linear, 0.999",
        olrs.shifted(olrs.LinearWarmup.untuned(peak=1.0, b2=0.999), by=-1),
        [(t - 1, rate) for t, rate in [(1, 0.0005), (100, 0.05), (1000, 0.5), (2000, 1.0), (3000, 1.0)]],
    ),
    (
        "untuned exponential, 0.999",
        olrs.shifted(olrs.ExponentialWarmup.untuned(peak=1.0, b2=0.999), by=-1),
        [
            (t - 1, rate)
            for t, rate in [
                (1, 0.000999500166624978),
                (100, 0.09516258196404048),
                (1000, 0.632120558828558),
                (2000, 0.8646647167633875),
                (10000, 0.9999546000702375),
            ]
        ],
    ),
    # In float64 the paper's form ends in …6315 for t = 5: its difference loses three digits.
    (
        "RAdam's rectifier, 0.999",
        olrs.RectifiedWarmup.untuned(peak=1.0, b2=0.999),
        [
            (t - 1, rate)
            for t, rate in [
                (1, 0.0),
                (4, 0.0),
                (5, 0.0173115031663795563),
                (6, 0.02582111280185855),
                (10, 0.04899801344710748),
                (100, 0.21533543653820142),
                (1000, 0.6453256523380656),
                (10000, 0.9997733049343513),
            ]
        ],
    ),
]


@pytest.mark.parametrize(("name", "schedule", "rows"), GOLDENS, ids=[name for name, _, _ in GOLDENS])
def test_golden_values(name, schedule, rows):
    steps, rates = (np.array(column, float) for column in zip(*rows))
    np.testing.assert_allclose(schedule.at(steps), rates, rtol=1e-12, atol=1e-17)
    whole = steps == steps.astype(int)
    np.testing.assert_allclose(schedule.at(steps[whole].astype(int)), rates[whole], rtol=1e-12, atol=1e-17)
    np.testing.assert_allclose(schedule(steps[whole].astype(np.int32)), rates[whole], rtol=2e-6, atol=1e-17)


def test_pytorch_in_three_phases():
    """The peak is at 0.3 N - 1, the start again at 0.6 N - 2, and the end at N - 1."""
    lr = olrs.OneCycle(peak=0.1, total_steps=99, warmup_steps=29, anneal_steps=100 + 1 - 60, start=0.004, end=4e-7)
    np.testing.assert_allclose(lr.at([0, 29, 58, 99]), [0.004, 0.1, 0.004, 4e-7], rtol=1e-15)
    torch_cosine = lambda start, end, x: end + (start - end) / 2 * (1 + math.cos(math.pi * x))  # noqa: E731
    for step, rate in (
        (10, torch_cosine(0.004, 0.1, 10 / 29)),
        (40, torch_cosine(0.1, 0.004, 11 / 29)),
        (80, torch_cosine(0.004, 4e-7, 22 / 41)),
    ):
        assert lr.at(step) == pytest.approx(rate, rel=1e-12)


def test_against_optax():
    import optax

    steps = np.arange(0, 121)
    for total in (10, 100):
        cosine = optax.cosine_onecycle_schedule(total, 0.1)
        ours = olrs.OneCycle(peak=0.1, total_steps=total, warmup_steps=int(0.3 * total), start=0.004, end=4e-7)
        np.testing.assert_allclose([cosine(s) for s in steps], ours.at(steps), rtol=2e-6, atol=1e-8)
        linear = optax.linear_onecycle_schedule(total, 0.1)
        ours = ours.replace(anneal_steps=total - int(0.85 * total), decay=profiles.linear)
        np.testing.assert_allclose([linear(s) for s in steps], ours.at(steps), rtol=2e-6, atol=1e-8)
    cycle = dict(init_value=1e-5, peak_value=1e-3, warmup_steps=3, end_value=1e-5)
    sgdr = optax.sgdr_schedule([dict(cycle, decay_steps=length) for length in (10, 20, 40)])
    ours = olrs.SGDR(peak=1e-3, floor=1e-5, period_steps=10, growth=2, warmup_steps=3, cycles=3)
    np.testing.assert_allclose([sgdr(s) for s in steps], ours.at(steps), rtol=2e-6, atol=1e-9)


# ── invariants ────────────────────────────────────────────────────────────────────────────────


def test_triangular_waves():
    steps = np.arange(12_001)
    wave = olrs.Triangular(**CLR).at(steps)
    np.testing.assert_allclose(wave[4000:], wave[:-4000], rtol=1e-13)
    assert np.mean(wave[:4000]) == pytest.approx((0.001 + 0.006) / 2, rel=1e-12)
    for schedule in (olrs.Triangular(**CLR), olrs.Triangular2(**CLR), olrs.ExpRange(**CLR, h=2.0)):
        assert np.all(schedule.at(steps) <= wave * (1 + 1e-14))
        starts = np.array([0, 4000, 8000, 4000 * 500_000])
        for rates in (schedule.at(starts), np.asarray(schedule(starts))):
            np.testing.assert_array_equal(rates, rates.dtype.type(0.001))
    peaks = olrs.Triangular2(**CLR).at(2000 + 4000 * np.arange(30))
    np.testing.assert_allclose(peaks, 0.001 + 0.005 * 0.5 ** np.arange(30), rtol=1e-14)
    # Without a fall exp_range is triangular. If it halves in each cycle, it equals triangular2 at
    # the start of each cycle.
    np.testing.assert_allclose(olrs.ExpRange(**CLR, h=1e18).at(steps), wave, rtol=1e-13)
    after = 4000 * np.arange(20) + 1
    pair = [s.replace(floor=0.0).at(after) for s in (olrs.ExpRange(**CLR, h=1.0), olrs.Triangular2(**CLR))]
    np.testing.assert_allclose(pair[0], pair[1] * 0.5 ** (1 / 4000), rtol=1e-12)


def test_an_envelope_over_a_long_run_is_exact_until_float32_ends():
    """After a hundred halvings and more, a device's exp2 would be off by 4e-6."""
    steps = np.arange(0, 120 * 10**6, 99_991)
    for schedule in (
        olrs.ExpRange(peak=1.0, period_steps=2000, h=500.0),
        olrs.Triangular2(peak=1.0, period_steps=10**6),
    ):
        np.testing.assert_allclose(schedule(steps.astype(np.int32)), schedule.at(steps), rtol=1e-6, atol=1e-37)
    assert schedule.at(2**62) == 0.0 and float(schedule(2**31 - 1)) == 0.0


def test_cyclic_reflex_is_odd_and_keeps_the_mean():
    lr = olrs.CyclicReflex(value=1.0, amplitude=0.75, period_steps=1200)
    wave = lr.at(np.arange(1201)) - 1.0
    assert abs(np.mean(wave[:1200])) < 1e-15 and np.max(wave) == 0.75 == -np.min(wave)
    np.testing.assert_allclose(wave[::-1], -wave, atol=1e-15)
    np.testing.assert_allclose(np.abs(np.diff(wave)), 4 * 0.75 / 1200, rtol=1e-11)
    assert float(lr.replace(amplitude=1.0)(900)) == 0.0
    for period in (1, 2, 3, 5, 7):  # the corners may lie between steps
        rates = olrs.CyclicReflex(value=1.0, amplitude=1.0, period_steps=period).at(np.arange(100))
        np.testing.assert_allclose(rates[period:], rates[:-period], rtol=1e-13)
        assert np.all((rates >= 0) & (rates <= 2)) and rates[0] == 1.0


def test_a_phase_shift_is_shifted():
    """The paper's phase is (pos + shift · C) mod C."""
    lr = olrs.CyclicReflex(value=1.0, amplitude=0.5, period_steps=1200)
    np.testing.assert_array_equal(olrs.shifted(lr, by=-300).at(np.arange(900)), lr.at(np.arange(300, 1200)))


def test_restarts_come_exactly_on_time():
    """Restarts where floor(log(1 + t/T_0 (T_mult - 1)) / log(T_mult)) is wrong, on both sides."""
    for growth in (1, 2, 3, 10):
        lr = olrs.SGDR(peak=1.0, period_steps=7, growth=growth)
        starts = [7 * (sum(growth**i for i in range(n)) if growth > 1 else n * 10**6) for n in range(1, 40)]
        for start in (start for start in starts if start * (growth + 1) + 7 < 2**62):
            last = 7 * growth ** (len([s for s in starts if s < start])) if growth > 1 else 7
            assert lr.at(start) == 1.0 and lr.at(start - 1) == pytest.approx(
                math.sin(math.pi / 2 / last) ** 2, rel=1e-12
            )
            assert np.all(np.diff(lr.at(start - 1 - np.arange(min(last, 300)))) > 0) or last < 3
            if start < 2**31:
                assert float(lr(start)) == 1.0 and lr(start - 1) == pytest.approx(lr.at(start - 1), rel=2e-6)


def test_equal_restarts_whichever_way_they_are_counted():
    steps = np.arange(400)
    for warmup in (0, 3):
        fields = dict(peak=1.0, period_steps=10, warmup_steps=warmup, floor=0.1)
        ends = olrs.SGDR(**fields, cycles=12)
        assert ends.ends_at == 120
        np.testing.assert_array_equal(ends.at(steps[:120]), olrs.SGDR(**fields).at(steps[:120]))
        assert np.all(ends.at(steps[120:]) == 0.1)
        for cycles in (1, 2, 3):
            ends = olrs.SGDR(**fields, growth=2, cycles=cycles)
            assert ends.ends_at == 10 * (2**cycles - 1) == ends.corners[-1]
            np.testing.assert_array_equal(
                ends.at(steps[: ends.ends_at]), olrs.SGDR(**fields, growth=2).at(steps[: ends.ends_at])
            )
            assert np.all(ends.at(steps[ends.ends_at :]) == 0.1)
    one = olrs.SGDR(peak=1.0, period_steps=100, warmup_steps=10, cycles=1)
    np.testing.assert_allclose(
        one.at(steps), olrs.Cosine(peak=1.0, total_steps=100, warmup_steps=10).at(steps), rtol=1e-13
    )


def test_cycles_inside_combinators():
    lr = olrs.SGDR(peak=1.0, period_steps=10, growth=2, warmup_steps=2)
    steps = np.arange(0, 3000, 3)
    np.testing.assert_allclose(olrs.stretched(lr, factor=3.0).at(steps), lr.at(steps // 3), rtol=1e-12)
    np.testing.assert_allclose(olrs.stretched(lr, factor=3.0)(steps), lr.at(steps // 3), rtol=2e-6)
    late = olrs.join(olrs.Constant(value=1.0), lr, at=10**9)
    np.testing.assert_allclose(late(10**9 + steps.astype(np.int32)), lr.at(steps), rtol=2e-6)
    waves = [
        olrs.CyclicReflex(value=1.0, amplitude=1.0, period_steps=7),
        olrs.ExpRange(peak=1.0, period_steps=7, h=1.5),
    ]
    for wave in (*waves, olrs.Triangular2(peak=1.0, period_steps=7)):
        gradient = jax.jacfwd(lambda f, wave=wave: olrs.stretched(wave, factor=f)(np.arange(50, dtype=np.int32)))(1.3)
        assert np.all(np.isfinite(gradient))
        np.testing.assert_allclose(
            olrs.stretched(wave, factor=2.0)(np.arange(60)),
            olrs.stretched(wave, factor=2.0).at(np.arange(60)),
            rtol=2e-6,
            atol=1e-37,
        )


def test_one_cycle_rises_and_falls_once():
    steps = np.arange(130)
    for decay in (profiles.cosine, profiles.linear, profiles.power(2.0), profiles.one_minus_sqrt):
        for anneal in (None, 0, 1, 20):
            lr = olrs.OneCycle(
                peak=1.0, total_steps=100, warmup_steps=30, anneal_steps=anneal, start=0.04, end=0.01, decay=decay
            )
            for rates in (lr.at(steps), np.asarray(lr(steps))):
                assert np.argmax(rates) == 30 and rates[30] == 1.0
                assert np.all(np.diff(rates[:31]) > 0) and np.all(np.diff(rates[30:101]) < 0)
                assert rates[0] == rates.dtype.type(0.04) and np.all(rates[100:] == rates.dtype.type(0.01))
                if anneal:
                    assert rates[100 - anneal] == rates.dtype.type(0.04)


@pytest.mark.parametrize("total", [0, 1, 2, 3, 10])
def test_degenerate_lengths_are_legal(total):
    made = [
        olrs.RangeTest(start=0.25, peak=1.0, total_steps=total, rise=rise)
        for rise in (profiles.linear, profiles.exponential)
    ]
    made += [olrs.LinearWarmup(peak=1.0, warmup_steps=total, start=0.25)]
    for lr in made:
        assert np.all(lr.at([total, total + 1]) == 1.0) and (lr.at(0) == 0.25 or total == 0)
    for warmup in range(total + 1):
        for anneal in (None, *range(total - warmup + 1)):
            lr = olrs.OneCycle(
                peak=1.0, total_steps=total, warmup_steps=warmup, anneal_steps=anneal, start=0.5, end=0.25
            )
            for rates in (lr.at(np.arange(total + 3)), np.asarray(lr(np.arange(total + 3)))):
                assert np.all((rates >= 0.25) & (rates <= 1.0)) and np.all(rates[total:] == 0.25), lr
                assert rates[0] == 0.5 or warmup == 0
    if total:
        for cls, more in ((olrs.Triangular, {}), (olrs.Triangular2, {}), (olrs.ExpRange, dict(h=1.0)), (olrs.SGDR, {})):
            lr = cls(peak=1.0, period_steps=total, floor=0.25, **more)
            rates = lr.at(np.arange(20))
            assert np.all((rates >= 0.25) & (rates <= 1.0)) and rates[total] == rates[0]
            rules.close(lr(np.arange(20)), rates)


# ── warmups ───────────────────────────────────────────────────────────────────────────────────


def test_the_first_rate_of_a_warmup():
    """Ours start at 0 (or start) and reach the peak at step warmup_steps.

    ``by=-1`` counts updates as the papers do.
    """
    linear, exponential = (
        olrs.LinearWarmup(peak=1.0, warmup_steps=4),
        olrs.ExponentialWarmup(peak=1.0, timescale_steps=4),
    )
    assert linear.at([0, 1, 4, 5]).tolist() == [0, 0.25, 1, 1]
    assert olrs.shifted(linear, by=-1).at([0, 3]).tolist() == [0.25, 1]
    np.testing.assert_allclose(exponential.at([0, 4]), [0, 1 - math.exp(-1)], rtol=1e-15)
    np.testing.assert_allclose(
        olrs.shifted(exponential, by=-1).at([0, 3]), [1 - math.exp(-1 / 4), 1 - math.exp(-1)], rtol=1e-15
    )
    # The rectifier counts updates as Adam does, from 1.
    assert olrs.RectifiedWarmup.untuned(peak=1.0).at([3, 4]).tolist() == [0.0, pytest.approx(0.0173115031663796)]


def test_untuned():
    for b2, steps in ((0.999, 1000), (0.99, 100), (0.95, 20), (0.9955159689799007, 223)):
        assert olrs.LinearWarmup.untuned(peak=0.1, b2=b2) == olrs.LinearWarmup(
            peak=0.1, warmup_steps=round(2 / (1 - b2))
        )
        for cls in (olrs.ExponentialWarmup, olrs.RectifiedWarmup):
            assert cls.untuned(peak=0.1, b2=b2) == cls(peak=0.1, timescale_steps=steps)


@pytest.mark.parametrize("timescale", [3, 4, 5, 10, 40, 1000, 10**6, 2**31 - 1])
def test_the_rectifier_in_fifty_digits(timescale):
    """Where it begins, where the computation changes form, and late in the run."""
    steps = {*range(40), 10**3, 10**5, 10**9, 2**31 - 2, *(timescale + i for i in (-3, -2, -1, 0, 1, timescale // 2))}
    steps = np.array(sorted(step for step in steps if 0 <= step < 2**31 - 1))
    with mp.workdps(50):
        b2, limit = 1 - 1 / mp.mpf(timescale), 2 * mp.mpf(timescale) - 1

        def rate(t):
            rho = limit - 2 * t * b2**t / (1 - b2**t)
            return float(mp.sqrt((rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho))) if rho > 4 else 0.0

        exact = np.array([rate(int(step) + 1) for step in steps])
    lr = olrs.RectifiedWarmup(peak=1.0, timescale_steps=timescale)
    np.testing.assert_allclose(lr.at(steps), exact, rtol=1e-12)
    np.testing.assert_allclose(lr(steps.astype(np.int32)), exact, rtol=2e-6)
    assert np.all(np.diff(exact) >= 0) and np.count_nonzero(exact[:40] == 0) >= 4


def test_range_test_spends_as_many_steps_on_each_order_of_magnitude():
    lr = olrs.RangeTest(start=1e-6, peak=1.0, total_steps=600, rise=profiles.exponential)
    np.testing.assert_allclose(lr.at(100 * np.arange(7)), 10.0 ** np.arange(-6, 1), rtol=1e-13)
    assert lr.at(600) == lr.at(10**9) == 1.0


# ── mistakes ──────────────────────────────────────────────────────────────────────────────────

WAVE = dict(peak=1.0, period_steps=10)
MISTAKES = [
    (lambda: olrs.Triangular(peak=1.0, period_steps=0), "period_steps must be at least 1, got period_steps=0"),
    (lambda: olrs.Triangular(**WAVE, floor=2.0), "floor must be at most peak, got floor=2.0, peak=1.0"),
    (lambda: olrs.Triangular(**WAVE, floor=-0.1), "floor must not be negative"),
    (lambda: olrs.Triangular2(peak=1.0, period_steps=0), "period_steps must be at least 1"),
    (lambda: olrs.Triangular2(**WAVE, floor=2.0), "floor must be at most peak"),
    (lambda: olrs.ExpRange(**WAVE, h=0), "h must be positive, got h=0.0"),
    (lambda: olrs.ExpRange(peak=1.0, period_steps=0, h=1.0), "period_steps must be at least 1"),
    (lambda: olrs.ExpRange(**WAVE, h=1.0, floor=2.0), "floor must be at most peak"),
    (lambda: olrs.CyclicReflex(value=1.0, amplitude=2.0, period_steps=4), "got amplitude=2.0, value=1.0"),
    (lambda: olrs.CyclicReflex(value=1.0, amplitude=-1.0, period_steps=4), "amplitude must not be negative"),
    (lambda: olrs.CyclicReflex(value=1.0, amplitude=1.0, period_steps=0), "period_steps must be at least 1"),
    (lambda: olrs.SGDR(peak=1.0, period_steps=0), "period_steps must be at least 1"),
    (lambda: olrs.SGDR(**WAVE, growth=0), "growth must be at least 1, got growth=0"),
    (lambda: olrs.SGDR(**WAVE, cycles=0), "cycles must be at least 1, got cycles=0"),
    (lambda: olrs.SGDR(**WAVE, warmup_steps=10), "warmup_steps=10, period_steps=10"),
    (lambda: olrs.SGDR(**WAVE, floor=2.0), "floor must be at most peak"),
    (lambda: olrs.OneCycle(peak=1.0, total_steps=10, warmup_steps=11), "warmup_steps=11, total_steps=10"),
    (lambda: olrs.OneCycle(peak=1.0, total_steps=10, warmup_steps=6, anneal_steps=5), "anneal_steps=5, total_steps=10"),
    (lambda: olrs.OneCycle(peak=1.0, total_steps=10, warmup_steps=5, start=2.0), "start=2.0, peak=1.0"),
    (
        lambda: olrs.OneCycle(peak=1.0, total_steps=10, warmup_steps=5, anneal_steps=2, start=0.1, end=0.2),
        "end=0.2, start=0.1",
    ),
    (
        lambda: olrs.OneCycle(peak=1.0, total_steps=10, warmup_steps=5, end=0.1, decay=profiles.exponential),
        "start=0.0, end=0.1",
    ),
    (lambda: olrs.RangeTest(start=2.0, peak=1.0, total_steps=10), "start=2.0, peak=1.0"),
    (lambda: olrs.RangeTest(start=0.0, peak=1.0, total_steps=10, rise=profiles.exponential), "needs a positive start"),
    (lambda: olrs.LinearWarmup(peak=1.0, warmup_steps=5, start=1.1), "start=1.1, peak=1.0"),
    (lambda: olrs.LinearWarmup.untuned(peak=1.0, b2=1.0), "b2 must be at least 0 and below 1, got 1.0"),
    (lambda: olrs.ExponentialWarmup(peak=1.0, timescale_steps=0), "timescale_steps must be at least 1"),
    (lambda: olrs.ExponentialWarmup.untuned(peak=1.0, b2=-0.1), "b2 must be at least 0 and below 1, got -0.1"),
    (lambda: olrs.RectifiedWarmup(peak=1.0, timescale_steps=2), "timescale_steps must be at least 3"),
    (lambda: olrs.RectifiedWarmup.untuned(peak=1.0, b2=1.0), "b2 must be at least 0 and below 1, got 1.0"),
    (lambda: olrs.RectifiedWarmup.untuned(peak=1.0, b2=0.5), "timescale_steps=2"),
]


@pytest.mark.parametrize(("make", "text"), MISTAKES, ids=lambda x: x if isinstance(x, str) else "")
def test_mistakes_name_the_argument_the_value_and_the_rule(make, text):
    with pytest.raises(ValueError) as caught:
        make()
    assert text in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: olrs.SGDR(peak=1.0, period_steps=10.0),
        lambda: olrs.SGDR(**WAVE, growth=1.5),
        lambda: olrs.SGDR(**WAVE, cycles=2.0),
        lambda: olrs.Triangular(peak="1", period_steps=4),
        lambda: olrs.OneCycle(peak=1.0, total_steps=10, warmup_steps=0.3),
        lambda: olrs.ExpRange(**WAVE, h=None),
        lambda: olrs.RangeTest(start=0.1, peak=1.0, total_steps=10, rise="linear"),
    ],
)
def test_mistakes_of_type(make):
    with pytest.raises(TypeError):
        make()
