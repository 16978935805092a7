"""Mistakes in the arguments of cyclic schedules and warmups."""

import pytest

import optax_lrs as olrs
from optax_lrs import profiles

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
