"""Warmups and the range test."""

import math

import mpmath as mp
import numpy as np
import pytest

import optax_lrs as olrs
from optax_lrs import profiles


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
