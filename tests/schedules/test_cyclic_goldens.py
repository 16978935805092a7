"""Golden values of cyclic schedules and warmups: the authors' formulas in 50 digits."""

import math

import numpy as np
import pytest

import optax_lrs as olrs
from optax_lrs import profiles

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
