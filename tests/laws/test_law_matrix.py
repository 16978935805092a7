"""Every law: its golden values, JSON, and a fit that predicts a held-out schedule."""

import json

import numpy as np
import pytest

import optax_lrs as olrs
from matrices import law_cases
from optax_lrs import Run, laws

T, PEAK, WARMUP = 6000, 1e-3, 300
SEEN = [
    olrs.WSD(peak=PEAK, total_steps=10**6, warmup_steps=WARMUP, decay_steps=0),
    olrs.Cosine(peak=PEAK, total_steps=T, warmup_steps=WARMUP, end=PEAK / 10),
    olrs.Tabulated(lrs=[0, PEAK, PEAK, 0.3 * PEAK], steps=[0, WARMUP, 1999, 2000]),
]
LEFT_OUT = olrs.WSD(peak=PEAK, total_steps=T, warmup_steps=WARMUP, decay_steps=1500)
ROWS = [pytest.param(case, id=name) for name, case in law_cases.LAWS.items()]


@pytest.mark.parametrize("case", ROWS)
def test_golden_values(case):
    np.testing.assert_allclose(case.law.curve(case.lrs, case.steps), case.losses, rtol=1e-11)


@pytest.mark.parametrize("case", ROWS)
def test_json(case):
    again = laws.Law.from_json(case.law.to_json())
    assert again == case.law and hash(again) == hash(case.law)
    assert json.loads(case.law.to_json())["type"] == type(case.law).__name__


@pytest.mark.parametrize("case", ROWS)
def test_a_fit_predicts_a_held_out_schedule(case):
    truth = case.truth
    steps = np.arange(600, T, 40)
    runs = []
    for schedule in SEEN:
        lrs = schedule.at(range(T))
        runs.append(Run(steps=steps, lrs=lrs[steps], losses=truth.curve(lrs, steps), schedule=schedule))
    law = type(truth).fit(runs, **case.fit)
    assert type(truth) is type(case.law)
    lrs = LEFT_OUT.at(range(T))
    np.testing.assert_allclose(law.curve(lrs)[600:], truth.curve(lrs)[600:], rtol=2e-3)
    assert law.report is not None and law.report.runs == len(runs)
