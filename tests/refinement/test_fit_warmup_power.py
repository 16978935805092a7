"""fit_warmup_power: the warmup and the power of a schedule are recovered."""

import numpy as np
import pytest

import optax_lrs as olrs
from optax_lrs.refinement import fit_warmup_power


@pytest.mark.parametrize("warmup", [0.0, 0.01, 0.2, 0.45, 0.9])
@pytest.mark.parametrize("p", [0.5, 0.8, 1.0, 3.0])
def test_the_fit_recovers_the_parameters(warmup, p):
    drawn = olrs.PowerDecay(peak=0.3, total_steps=10_000, warmup_steps=round(warmup * 10_000), p=p)
    fit = fit_warmup_power(olrs.Tabulated(lrs=drawn.at(range(10_001))))
    assert abs(fit.warmup_fraction - warmup) < 2e-4 and abs(fit.schedule.p - p) < 2e-3 * p
    assert fit.rms_misfit < 1e-3 and fit.max_misfit < 2e-2 and fit.schedule.peak == pytest.approx(0.3, rel=1e-2)


@pytest.mark.parametrize(("warmup", "p"), [(0.2, 0.9), (0.28, 1.0), (0.45, 0.8), (0.4, 0.9), (0.0, 1.5), (0.01, 3.0)])
def test_the_fit_of_schedules_like_the_papers(warmup, p):
    """The fit recovers the shapes of the paper's figures under noise."""
    drawn = olrs.PowerDecay(peak=1.0, total_steps=5000, warmup_steps=round(warmup * 5000), p=p).at(range(5001))
    noise = 1 + 0.05 * np.random.default_rng(0).uniform(-1, 1, 5001)
    fit = fit_warmup_power(olrs.Tabulated(lrs=drawn * noise))
    # The peak is not compared: it depends on the noise.
    assert abs(fit.warmup_fraction - warmup) < 0.02 and abs(fit.schedule.p - p) < 0.12 * p
    assert 0.01 < fit.rms_misfit < 0.06 and fit.rms_misfit < fit.max_misfit < 0.2
    exact = np.abs(fit.schedule.at(range(5001)) - drawn * noise) / np.max(drawn * noise)
    assert fit.max_misfit == pytest.approx(exact.max(), rel=0.1)
    assert fit.rms_misfit == pytest.approx(np.sqrt(np.mean(exact**2)), rel=0.1)


def test_the_misfit_is_large_for_other_formulas():
    assert fit_warmup_power(olrs.SGDR(peak=1.0, period_steps=20), total_steps=100).max_misfit > 0.4
    assert fit_warmup_power(olrs.Linear(peak=1.0, total_steps=2)).schedule.total_steps == 2
