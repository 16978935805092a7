"""Transfer of tuned rates and cooldowns to other horizons."""

import math

import numpy as np
import pytest

import optax_lrs as olrs
from matrices.theory_functions import best, close
from optax_lrs import profiles, theory
from oracles import theory as ref

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
