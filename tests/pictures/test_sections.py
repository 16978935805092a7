"""Sections: sums are exact or within the error they report; trends describe the rate."""

import numpy as np
import pytest

import optax_lrs as olrs
from optax_lrs.pictures import _sections
from optax_lrs.pictures._sections import edges, sections, seen_steps, trend

WSD = olrs.WSD(peak=0.7, total_steps=3_000_000, warmup_steps=1_000, decay_steps=1_000_000)


class Comb(olrs.Schedule):
    """High for 2048 steps, then low for 2048: a power of two, like the length of the cells."""

    def rate(self, clock):
        return 1.0 * (clock.since(0) % 4096 < 2048)


def test_sums_are_exact():
    found = sections(WSD, 3_100_000)
    assert [(one.start, one.stop) for one in found] == [
        (0, 1_000),
        (1_000, 2_000_000),
        (2_000_000, 3_000_000),
        (3_000_000, 3_100_000),
    ]
    for one in found:
        rates = WSD.at(np.arange(one.start, one.stop))
        assert one.area == pytest.approx(rates.sum(), rel=1e-13) and one.error == 0
        assert (one.first, one.last, one.peak) == (rates[0], rates[-1], rates.max())
    assert [one.trend for one in found] == ["rising", "constant", "falling", "constant"]


def test_samples_agree_with_the_sums(monkeypatch):
    exact = sections(WSD, 3_000_000)
    monkeypatch.setattr(_sections, "_EVERY", 1 << 16)
    monkeypatch.setattr(_sections, "_SAMPLES", 1 << 18)
    for one, sampled in zip(exact, sections(WSD, 3_000_000)):
        assert abs(sampled.area - one.area) <= 5 * sampled.error + 1e-12 * one.area
        assert sampled.error <= 1e-6 * one.area and sampled.peak == pytest.approx(one.peak, rel=1e-5)


def test_a_fine_cycle_does_not_deceive_the_sample(monkeypatch):
    monkeypatch.setattr(_sections, "_EVERY", 1 << 10)
    monkeypatch.setattr(_sections, "_SAMPLES", 1 << 18)
    (one,) = sections(Comb(), 1 << 28)
    assert one.trend == "varying" and 0 < one.error < 0.005 * 2**27 and abs(one.area - 2**27) < 4 * one.error


def test_cells_of_enormous_runs_do_not_overflow():
    (one,) = sections(olrs.Constant(value=2.0), 1 << 53)
    assert one.area == 2.0**54 and one.error == 0
    for steps in (0, -1, (1 << 53) + 1):
        with pytest.raises(ValueError, match="steps must be from 1 to"):
            sections(WSD, steps)


def test_trends():
    up, down = olrs.Linear(peak=1.0, total_steps=9, warmup_steps=9), olrs.Linear(peak=1.0, total_steps=9)
    assert [trend(up, 0, 9), trend(down, 0, 9), trend(down, 9, 20), trend(down, 3, 4)] == [
        "rising",
        "falling",
        "constant",
        "constant",
    ]
    assert trend(olrs.join(up, down, at=9), 0, 18) == "varying"


def test_edges_and_lengths():
    assert edges(WSD, 2_000_000) == [0, 1_000, 2_000_000] and seen_steps(WSD) == 3_000_000
    assert seen_steps(olrs.Constant(value=1.0)) == 10_000
    endless = olrs.scaled(olrs.InverseSqrt(peak=1.0, warmup_steps=100), factor=2.0)
    assert seen_steps(endless) == 500
    assert seen_steps(olrs.join(olrs.Linear(peak=1.0, total_steps=800), endless, at=800)) == 1_125
