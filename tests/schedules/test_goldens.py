"""Golden values, to their published digits on the host and to 2e-6 in float32."""

import math

import numpy as np
import pytest

import optax_lrs as olrs
from matrices import goldens
from matrices.goldens import holds
from optax_lrs import profiles

X = [0, 10, 25, 50, 75, 90, 100]


def profile(name):
    made = {"shifted_exponential(k=log(2))": profiles.shifted_exponential(math.log(2))}
    return made.get(name) or olrs.parse(f"WSD(peak=1, end=0.1, total_steps=1, decay_steps=0, decay={name})").decay


@pytest.mark.parametrize(("name", "end", "values"), goldens.SHAPES, ids=lambda x: x if isinstance(x, str) else "")
def test_shapes(name, end, values):
    holds(olrs.WSD(peak=1.0, total_steps=100, decay_steps=100, end=end, decay=profile(name)), list(zip(X, values)))


@pytest.mark.parametrize("name", goldens.WSD)
def test_wsd_with_every_profile(name):
    lr = olrs.WSD(peak=1e-3, total_steps=1000, warmup_steps=100, decay_steps=200, end=1e-4, decay=profile(name))
    holds(lr, list(zip(goldens.WSD_STEPS, goldens.WSD[name])))


def test_hagele_warmup_as_a_table():
    holds(olrs.Tabulated(lrs=[1e-5, 1e-3], steps=[0, 100]), goldens.HAGELE_WARMUP)


def test_minicpm():
    decay = dict(total_steps=285_000, decay_steps=25_000, decay=profiles.half_life(5_000 / 25_000))
    holds(olrs.WSD(peak=0.01, warmup_steps=1000, **decay), goldens.MINICPM)


def test_schaipp_lists():
    for decay, rates in ((profiles.linear, goldens.SCHAIPP_LINEAR), (profiles.one_minus_sqrt, goldens.SCHAIPP_SQRT)):
        holds(olrs.WSD(peak=1.0, total_steps=9, decay_steps=4, decay=decay), list(enumerate(rates)))


def test_rewarm():
    holds(olrs.Cosine(peak=3e-4, end=3e-5, total_steps=132_366, warmup_steps=1324), goldens.REWARM)
    first = olrs.Cosine(peak=3e-4, end=3e-5, total_steps=1000, warmup_steps=10)
    holds(olrs.join(first, first.replace(total_steps=1500), at=1000), goldens.REWARM_TWICE)


def test_cosine_power():
    for p, end, peak, step, total, rate in goldens.COSINE_POWER:
        holds(olrs.CosinePower(peak=peak, end=end, p=p, total_steps=total), [(step, rate)])
    lr = olrs.CosinePower(peak=0.1, end=1e-4, p=10, total_steps=15)
    holds(lr, list(zip(range(2, 16), goldens.COSINE_POWER_CODE)))


def test_cosine_power_as_the_code_has_it_without_warmup():
    """Its first epoch has the peak: a schedule with a higher peak, started one epoch late."""
    first = olrs.CosinePower(peak=1.0, total_steps=10, p=10).at(1)
    lr = olrs.CosinePower(peak=1e-4 + (0.1 - 1e-4) / first, end=1e-4, total_steps=10, p=10)
    holds(lr, goldens.COSINE_POWER_EPOCHS)


def test_hf():
    budget = dict(peak=1.0, total_steps=100, warmup_steps=10)
    holds(olrs.Linear(**budget), goldens.HF_LINEAR)
    holds(olrs.Cosine(**budget), goldens.HF_COSINE)
    holds(olrs.Cosine(**budget, end=0.1), goldens.HF_COSINE_MIN)
    holds(olrs.InverseSqrt(peak=1.0, warmup_steps=10), goldens.HF_INVERSE_SQRT)


def test_hf_compositions():
    budget = dict(peak=1.0, total_steps=100)
    holds(olrs.shifted(olrs.Cosine(**budget, warmup_steps=10, end=0.1), by=-1), goldens.HF_COSINE_WARMUP_MIN)
    decay = olrs.WSD(**budget, decay_steps=30, end=0.1, decay=profiles.one_minus_sqrt)
    holds(olrs.switch(olrs.LinearWarmup(peak=1.0, warmup_steps=10, start=0.1), decay, at=10), goldens.HF_WSD_SQRT)
    rise = olrs.RangeTest(start=0.0, peak=1.0, total_steps=10, rise=profiles.cosine)
    decay = olrs.WSD(**budget, decay_steps=30, decay=profiles.cosine)
    holds(olrs.switch(rise, decay, at=10), goldens.HF_WSD_COSINE)


def test_inverse_sqrt():
    holds(olrs.InverseSqrt(peak=(512 * 4000) ** -0.5, warmup_steps=4000), goldens.NOAM)
    holds(olrs.InverseSqrt(peak=1.0, timescale_steps=100), goldens.ANYTIME)


def test_linear_to_zero_and_to_a_tenth():
    budget = dict(peak=1.0, total_steps=100, warmup_steps=10)
    holds(olrs.Linear(**budget), goldens.D2Z)
    holds(olrs.Linear(**budget, end=0.1), goldens.LINEAR_10X)


def test_power_decay():
    for p, step, rate in goldens.POWER_DECAY:
        holds(olrs.WSD(peak=1.0, total_steps=100, decay_steps=100, decay=profiles.power(p)), [(step, rate)])


def test_uba():
    holds(olrs.UBA(peak=0.1, end=0.001, total_steps=200, phi=1.0), goldens.UBA_200)
    holds(olrs.UBA(peak=3e-4, end=3e-5, total_steps=1000, phi=5.0), goldens.UBA_1000)


def test_means():
    """Closed forms of the mean over the decay, by the trapezoid rule."""
    steps = np.arange(100_001)
    for phi in (0.5, 1.0, 2.0):
        mean = np.trapezoid(olrs.UBA(peak=1.0, total_steps=100_000, phi=phi).at(steps)) / 100_000
        assert mean == pytest.approx(2 / (2 + math.sqrt(2 * phi)), rel=1e-8)
    for d in (0.5, 0.9):
        mean = np.trapezoid(olrs.REX(peak=1.0, total_steps=100_000, d=d).at(steps)) / 100_000
        assert mean == pytest.approx((1 / d) * (1 + (1 - d) / d * math.log(1 - d)), rel=1e-7)
