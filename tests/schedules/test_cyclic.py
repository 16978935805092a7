"""Invariants of cyclic schedules."""

import math

import jax
import numpy as np
import pytest

import optax_lrs as olrs
from matrices import schedule_rules as rules
from optax_lrs import profiles

CLR = dict(peak=0.006, floor=0.001, period_steps=4000)


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


@pytest.mark.slow
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


@pytest.mark.slow
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
