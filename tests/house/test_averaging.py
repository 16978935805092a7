"""Weights for averages of checkpoints: golden values and properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import optax_lrs as olrs
from optax_lrs import profiles

SIX = 2.0 ** np.arange(6)  # the checkpoints of the golden averages: 1, 2, 4, …, 32
SHAPES = [
    profiles.linear, profiles.cosine, profiles.mirror_cosine, profiles.one_minus_sqrt, profiles.one_minus_square,
    profiles.power(1.5), profiles.rex(), profiles.uba(), profiles.cosine_power(), profiles.shifted_exponential(),
    profiles.inverse_sqrt(), profiles.half_life(0.2),
]  # fmt: skip

# ── weights ───────────────────────────────────────────────────────────────────────────────────

# methods/adaptive_and_zoo.goldens.json, "wsm N=5 …", and section 8 of methods/wsd_continual_laws.md
MERGED = [
    (profiles.linear, [0.2, 0.2, 0.2, 0.2, 0.2]),
    (profiles.one_minus_sqrt,
     [0.44721359549995787, 0.185241936533718, 0.14214113720780752, 0.11983052175843245, 0.10557280900008414]),
    (profiles.cosine, [0.09549150281252627, 0.25, 0.3090169943749474, 0.25, 0.09549150281252633]),
]  # fmt: skip
AVERAGES = [
    (olrs.sma_weights, [0.166666666667] * 6, 10.5),
    (olrs.wma_weights,
     [0.047619047619, 0.0952380952381, 0.142857142857, 0.190476190476, 0.238095238095, 0.285714285714], 15.2857142857),
    (olrs.ema_weights, [0.32768, 0.08192, 0.1024, 0.128, 0.16, 0.2], 10.88512),
]  # fmt: skip


@pytest.mark.parametrize(("decay", "weights"), MERGED)
def test_golden_merge_weights(decay, weights):
    np.testing.assert_allclose(olrs.merge_weights(5, decay=decay), weights, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("of", "weights", "average"), AVERAGES)
def test_golden_moving_averages(of, weights, average):
    np.testing.assert_allclose(of(6), weights, rtol=6e-12)  # printed to twelve digits
    assert of(6) @ SIX == pytest.approx(average, rel=6e-12)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 200), st.sampled_from(SHAPES), st.floats(0, 1), st.floats(1e-3, 1))
def test_weights_are_not_negative_and_sum_to_one(count, decay, end, alpha):
    for weights in (
        olrs.merge_weights(count, decay=decay), olrs.merge_weights(count, decay=decay, end=end),
        olrs.sma_weights(count), olrs.wma_weights(count), olrs.ema_weights(count, alpha=alpha),
    ):  # fmt: skip
        assert weights.dtype == np.float64 and weights.shape == (count,)
        assert np.all(weights >= 0) and weights.sum() == pytest.approx(1, rel=1e-12)
    if count == 1:
        assert weights.tolist() == [1.0]


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 30),
    st.sampled_from([*SHAPES, profiles.exponential, profiles.inverse]),
    st.floats(0.01, 1),
    st.integers(0, 9),
)
def test_a_merge_is_a_decay_of_the_actual_updates(count, decay, end, seed):
    """sum c_j theta_j = theta_0 + sum w_i u_i, where w_i are the schedule's rates, for any path."""
    path = np.random.default_rng(seed).normal(size=(count, 3))
    rates = olrs.WSD(peak=1.0, total_steps=count, decay_steps=count, end=end, decay=decay).at(np.arange(1, count))
    expected = path[0] + rates @ np.diff(path, axis=0)
    merged = olrs.merge_weights(count, decay=decay, end=end) @ path
    np.testing.assert_allclose(merged, expected, rtol=0, atol=1e-13 * np.abs(path).sum())


def test_the_end_is_the_share_of_the_newest_checkpoint():
    whole = olrs.merge_weights(7, decay=profiles.cosine)
    np.testing.assert_allclose(
        olrs.merge_weights(7, decay=profiles.cosine, end=0.25), 0.75 * whole + 0.25 * np.eye(7)[-1], rtol=1e-12
    )
    assert olrs.merge_weights(4, end=1.0).tolist() == [0, 0, 0, 1]
    assert olrs.ema_weights(4, alpha=1).tolist() == [0, 0, 0, 1]
    np.testing.assert_allclose(olrs.merge_weights(9), olrs.sma_weights(9), rtol=1e-12)


class _Rising(profiles.Profile, name="rising_for_a_test"):
    def shape(self, phase):
        return phase.done


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: olrs.merge_weights(0), ValueError, "merge_weights: count must be at least 1, got 0"),
        (lambda: olrs.merge_weights(2.0), TypeError, "merge_weights: count must be an int"),
        (lambda: olrs.merge_weights(3, decay="linear"), TypeError, "decay must be a Profile, such as profiles.linear"),
        (lambda: olrs.merge_weights(3, end=1.1), ValueError, "end must be at least 0 and at most 1, got 1.1"),
        (lambda: olrs.merge_weights(3, decay=profiles.inverse), ValueError, "because decay is profiles.inverse"),
        (lambda: olrs.merge_weights(3, decay=_Rising()), ValueError, "merge_weights: decay must not rise"),
        (lambda: olrs.sma_weights(-1), ValueError, "sma_weights: count must be at least 1"),
        (lambda: olrs.wma_weights(True), TypeError, "wma_weights: count must be an int"),
        (lambda: olrs.ema_weights(3, alpha=0.0), ValueError, "ema_weights: alpha must be above 0"),
        (lambda: olrs.ema_weights(3, alpha="x"), TypeError, "ema_weights: alpha must be a number"),
    ],
)  # fmt: skip
def test_mistakes_in_weights(make, error, says):
    with pytest.raises(error, match=says):
        make()


def test_the_schedule_of_the_curriculum():
    """Section 8: 1 - sqrt from 3e-3, with the moderate end 1e-3 and the baseline's 1e-5."""
    steps = [800, 801, 850, 900, 950, 999, 1000]
    for end, rates in (
        (1e-3, [0.003, 0.00285857864376, 0.002, 0.00158578643763, 0.00126794919243, 0.00100500626567, 0.001]),
        (1e-5, [0.003, 0.00278857507243, 0.001505, 0.000885750724252, 0.000410584042685, 1.74843671826e-05, 1e-5]),
    ):
        lr = olrs.WSD(peak=3e-3, total_steps=1000, decay_steps=200, end=end, decay=profiles.one_minus_sqrt)
        np.testing.assert_allclose(lr.at(steps), rates, rtol=6e-12)
