"""Budgeted schedules: golden values, invariants, and published variants as compositions."""

import jax
import numpy as np
import optax
import pytest

import optax_lrs as olrs
from matrices import schedule_rules as rules
from matrices.goldens import holds
from optax_lrs import profiles

# ── golden values: methods/adaptive_and_zoo.goldens.json ──────────────────────────────────────


def exact(schedule, rows, atol=0.0):
    """Values of 17 digits agree to 1e-12 on the host and 2e-6 in float32."""
    steps, rates = np.array([step for step, _ in rows]), np.array([rate for _, rate in rows])
    np.testing.assert_allclose(schedule.at(steps), rates, rtol=1e-12, atol=atol)
    np.testing.assert_allclose(schedule(steps.astype(np.int32)), rates, rtol=2e-6, atol=max(atol, 1e-37))


def test_damped_cosine():
    run = dict(peak=8e-4, end=8e-5, total_steps=8500, warmup_steps=510)
    rows = [
        (510, 0.0008),
        (2000, 0.0006249250542518787),
        (4505, 0.00032),
        (6500, 0.00016599394445435998),
        (8500, 8e-05),
        (9000, 8e-05),
    ]
    exact(olrs.DampedCosine(**run), rows)
    early = olrs.shifted(olrs.DampedCosine(**run), by=-1)  # its warmup is one step ahead of ours
    exact(early, [(0, 1.5686274509803923e-06), (509, 0.0008)])
    exact(
        olrs.DampedCosine(peak=1, end=0.1, total_steps=100, cycles=3, gamma=0.2),
        [(0, 1.0), (10, 0.69), (20, 0.42), (40, 0.68), (50, 0.45), (60, 0.26), (80, 0.36), (100, 0.1)],
    )
    exact(
        olrs.DampedCosine(peak=1, total_steps=100),
        [
            (0, 1.0),
            (25, 0.6950825214724776),
            (50, 0.375),
            (75, 0.14330582617584078),
            (90, 0.05122358709262115),
            (100, 0.0),
        ],
    )


def test_damped_cosine_lies_between_its_lines():
    for cycles in (1, 2, 5):
        lr = olrs.DampedCosine(peak=1.0, end=0.05, total_steps=900, cycles=cycles, gamma=0.4)
        steps = np.arange(901)
        x, rates = steps / 900, lr.at(steps)
        high, low = 1 - 0.6 * x, 0.5 * (1 - x) + 0.05 * x
        assert np.all(rates <= high + 1e-15) and np.all(rates >= low - 1e-15)
        waves = 2 * cycles - 1
        upper, lower = (900 * np.arange(first, waves + 1, 2) // waves for first in (0, 1))
        np.testing.assert_allclose(rates[upper], high[upper], rtol=1e-3)
        np.testing.assert_allclose(rates[lower], low[lower], rtol=1e-3)


def test_slow_start_fast_decay():  # "sfsd_inferred m=.5,r=1e-2,q=2,k=6"
    lr = olrs.SlowStartFastDecay(peak=1.0, start=0.01, end=0.01, total_steps=100, warmup_steps=50)
    exact(
        lr,
        [
            (0, 0.01),
            (10, 0.0496),
            (25, 0.2575),
            (50, 1.0),
            (60, 0.3064631638508772),
            (75, 0.05695161444579112),
            (90, 0.015707632730684925),
            (100, 0.01),
        ],
    )
    rates = lr.at(np.arange(101))
    assert np.all(np.diff(rates[:51]) > 0) and np.all(np.diff(rates[50:]) < 0) and rates[1] - rates[0] < 1e-3
    assert rates[50] - rates[62] > rates[50] - rates[38]  # the first quarter of the decay, the last of the rise


def test_power_decay():  # "power decay (2602.06797) T=100": p = 2 b - 1
    shares = {
        1.0: [1.0, 0.75, 0.5, 0.25, 0.0],
        1.5: [1.0, 0.5625, 0.25, 0.0625, 0.0],
        2.0: [1.0, 0.421875, 0.125, 0.015625, 0.0],
    }
    for b, rates in shares.items():
        exact(olrs.PowerDecay(peak=1.0, total_steps=100, p=2 * b - 1), list(zip(range(0, 101, 25), rates)))
    # "hf polynomial W=10 T=100 lr_init=1e-3 lr_end=1e-7 power=2 (multiplier)"; warmup as ours
    hf = [
        (0, 0.0),
        (5, 0.5),
        (10, 1.0),
        (20, 0.7901444444444443),
        (30, 0.6049777777777777),
        (55, 0.250075),
        (75, 0.07725277777777778),
        (99, 0.00022344444444444357),
        (100, 9.999999999999999e-05),
        (120, 9.999999999999999e-05),
    ]
    exact(olrs.PowerDecay(peak=1.0, end=1e-4, total_steps=100, warmup_steps=10, p=2.0), hf)


def test_step_decays():
    resnet = olrs.StepDecay.by(peak=0.1, factor=0.1, milestones=(30, 60, 90))
    np.testing.assert_allclose(
        resnet.at([0, 29, 30, 59, 60, 89, 90, 200]), [0.1, 0.1, *2 * [1e-2], *2 * [1e-3], *2 * [1e-4]], rtol=1e-15
    )
    deepseek = olrs.StepDecay(peak=4.2e-4, milestones=(8000, 9000), factors=(0.316, 0.1), warmup_steps=2000)
    rates = [2.1e-4, 4.2e-4, 4.2e-4, 0.316 * 4.2e-4, 0.316 * 4.2e-4, 4.2e-5, 4.2e-5]
    np.testing.assert_allclose(deepseek.at([1000, 2000, 7999, 8000, 8999, 9000, 99_999]), rates, rtol=1e-15)
    jump = olrs.StepDecay(peak=1.0, milestones=(0,), factors=(0.5,))
    assert jump.at([0, 1]).tolist() == [0.5, 0.5]


@pytest.mark.parametrize("staircase", [False, True])
def test_exponential_is_optaxs(staircase):
    lr = (olrs.Staircase if staircase else olrs.Exponential)(peak=0.1, factor=0.9, period_steps=50, floor=0.02)
    peer = optax.exponential_decay(0.1, 50, 0.9, staircase=staircase, end_value=0.02)
    steps = np.arange(0, 1500)
    rules.close(lr(steps), jax.vmap(peer)(steps), rtol=3e-6)
    warm = lr.replace(warmup_steps=10)
    np.testing.assert_array_equal(warm.at(steps + 10), lr.at(steps))
    assert warm.at(5) == 0.05
    ratios = olrs.Exponential(peak=1.0, factor=0.99).at(steps + 1) / olrs.Exponential(peak=1.0, factor=0.99).at(steps)
    np.testing.assert_allclose(ratios, 0.99, rtol=1e-12)


def test_both_readings_of_uba():  # methods/refinement_projection_budget.md, section 4.2
    midpoints = {0: 0.99691258234, 1: 0.971988359533, 4: 0.73274733111, 5: 0.593315346236, 9: 0.0122363346128}
    lr = olrs.UBA.at_midpoints(peak=1.0, total_steps=10, phi=1.0)
    np.testing.assert_allclose(lr.at(list(midpoints)), list(midpoints.values()), rtol=6e-11)
    np.testing.assert_allclose(lr(np.array(list(midpoints))), list(midpoints.values()), rtol=2e-6)
    assert lr.at(10) == 0.0 == lr(11)
    first, second = dict(peak=1.0, end=0.2, total_steps=60, phi=0.5), dict(peak=0.5, end=0.01, total_steps=40, phi=5.0)
    phases = olrs.join(olrs.UBA(**first), olrs.UBA(**second), at=60)
    assert phases.at([0, 60, 100, 200]).tolist() == [1.0, 0.5, 0.01, 0.01]
    assert phases.at(30) == pytest.approx(0.2 + 0.8 * 2 / 2.5) and phases.at(80) == pytest.approx(0.01 + 0.49 * 2 / 7)
    joined = olrs.join(olrs.UBA.at_midpoints(**first), olrs.UBA.at_midpoints(**second), at=60)
    np.testing.assert_array_equal(joined.at(np.arange(60, 120)), olrs.UBA.at_midpoints(**second).at(np.arange(60)))


def test_cosine_power_with_the_codes_warmup():  # methods/adaptive_and_zoo.md, section 5: T=20, w=5, p=10
    peak, end, total, w = 0.1, 1e-4, 20, 5
    decay = olrs.CosinePower(peak=peak, end=end, total_steps=total - w, p=10.0)
    warmup = olrs.Tabulated(lrs=[end + (peak - end) / (w + 1), peak], steps=[0, w])
    lr = olrs.switch(warmup, olrs.shifted(decay, by=w - 1), at=w + 1)
    rates = (
        "0.01675 0.0334 0.05005 0.0667 0.08335 0.1 0.0894837206791 0.0780905163401 0.0648382463418 0.0514198870961 "
        "0.0390992790206 0.0285901557614 0.0201213728844 0.0135931682868 0.00873890145143 0.00524641997188 "
        "0.00282975484503 0.00126168768109 0.000382801919009 0.0001"
    )
    holds(lr, list(enumerate(rates.split())))


def test_moderate_decay_for_averaging():  # methods/wsd_continual_laws.md, section 8
    def lr(end):
        return olrs.WSD(peak=3e-3, end=end, total_steps=1000, decay_steps=200, decay=profiles.one_minus_sqrt)

    steps = [800, 801, 850, 900, 950, 999, 1000]
    moderate = "0.003 0.00285857864376 0.002 0.00158578643763 0.00126794919243 0.00100500626567 0.001"
    full = "0.003 0.00278857507243 0.001505 0.000885750724252 0.000410584042685 1.74843671826e-05 1e-05"
    holds(lr(1e-3), list(zip(steps, moderate.split())))
    holds(lr(1e-5), list(zip(steps, full.split())))
