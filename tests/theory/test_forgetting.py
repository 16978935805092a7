"""The measures of the stability gap: golden values, a slow oracle, and invariants."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optax_lrs import theory
from oracles import continual_metrics as ref

# methods/wsd_continual_laws.md, section 11: three tasks of four updates each
TABLE = [
    [0.2, 0.5, 0.7, 0.8, 0.3, 0.4, 0.6, 0.65, 0.1, 0.35, 0.5, 0.6],
    [0, 0, 0, 0.1, 0.3, 0.6, 0.7, 0.75, 0.2, 0.3, 0.55, 0.6],
    [0, 0, 0, 0, 0, 0, 0.1, 0.1, 0.4, 0.6, 0.7, 0.9],
]
ENDS = [4, 8, 12]
close = dict(rel=1e-12, abs=1e-15, nan_ok=True)


@pytest.mark.parametrize(
    ("at", "lowest", "worst", "average"),
    [(5, 0.3, 0.3, 0.3), (8, 0.3, 0.525, 0.7), (9, 0.15, 0.7 / 3, 0.7 / 3), (12, 0.15, 0.4, 0.7)],
)
def test_golden_accuracies(at, lowest, worst, average):
    assert theory.min_accuracy(TABLE, ENDS, at=at) == pytest.approx(lowest, **close)
    assert theory.worst_case_accuracy(TABLE, ENDS, at=at) == pytest.approx(worst, **close)
    assert theory.average_accuracy(TABLE, ENDS, at=at) == pytest.approx(average, **close)


def test_golden_windows_and_forgetting():
    for window, falls, rises in (
        (2, (0.55, 0.55, 0), (0.3, 0.3, 0.3)),
        (3, (0.55, 0.55, 0), (0.5, 0.5, 0.5)),
        (12, (0.7, 0.55, 0), (0.6, 0.75, 0.9)),
    ):
        assert theory.windowed_forgetting(TABLE, window=window, per_task=True) == pytest.approx(falls, **close)
        assert theory.windowed_plasticity(TABLE, window=window, per_task=True) == pytest.approx(rises, **close)
        assert theory.windowed_forgetting(TABLE, window=window) == pytest.approx(sum(falls) / 3, **close)
        assert theory.windowed_plasticity(TABLE, window=window) == pytest.approx(sum(rises) / 3, **close)
    assert theory.average_forgetting(TABLE, ENDS, per_task=True) == pytest.approx([0.2, 0.15], **close)
    assert theory.average_forgetting(TABLE, ENDS) == pytest.approx(0.175, **close)
    assert theory.min_accuracy(TABLE, ENDS, per_task=True) == pytest.approx([0.1, 0.2], **close)


def test_an_earlier_best_counts_in_chaudhrys_variant():
    table = [[0.5, 0.5, 0.9, 0.9, 0.4, 0.4], [0.1, 0.1, 0.6, 0.6, 0.5, 0.5], [0, 0, 0, 0, 0.8, 0.8]]
    assert theory.average_forgetting(table, [2, 4, 6], per_task=True) == pytest.approx([0.1, 0.1], **close)
    assert theory.average_forgetting(table, [2, 4, 6], best=True, per_task=True) == pytest.approx([0.5, 0.1], **close)


score = st.integers(0, 64).map(lambda n: n / 64)  # exact, so that invariants hold to the last bit


@st.composite
def records(draw, holes=False):
    tasks = draw(st.integers(1, 4))
    ends = np.cumsum(draw(st.lists(st.integers(1, 6), min_size=tasks, max_size=tasks)))
    entry = score | st.just(np.nan) if holes else score
    length = int(ends[-1])
    table = draw(st.lists(st.lists(entry, min_size=length, max_size=length), min_size=tasks, max_size=tasks))
    return np.array(table), ends, draw(st.integers(1, length))


@settings(deadline=None, max_examples=150)
@given(records(holes=True), st.integers(1, 12))
def test_as_the_oracle(record, window):
    table, ends, t = record
    plain, where = table.tolist(), dict(at=t)
    ends_ = ends.tolist()
    assert theory.average_accuracy(table, ends, **where) == pytest.approx(ref.acc(plain, ends_, t), **close)
    assert theory.min_accuracy(table, ends, **where) == pytest.approx(ref.min_acc(plain, ends_, t), **close)
    assert theory.worst_case_accuracy(table, ends, **where) == pytest.approx(ref.wc_acc(plain, ends_, t), **close)
    for best in (False, True):
        found = theory.average_forgetting(table, ends, best=best, **where)
        assert found == pytest.approx(ref.forg(plain, ends_, t, best), **close)
    for measure, sign in ((theory.windowed_forgetting, 1), (theory.windowed_plasticity, -1)):
        found = measure(table, window=window, per_task=True, **where)
        assert found == pytest.approx(ref.windowed(plain, window, t, sign), **close)


@settings(deadline=None, max_examples=100)
@given(records(), st.integers(1, 12))
def test_what_always_holds(record, window):
    table, ends, t = record
    acc, worst = theory.average_accuracy(table, ends, at=t), theory.worst_case_accuracy(table, ends, at=t)
    first = t <= ends[0] or len(ends) == 1
    assert worst == pytest.approx(acc, **close) if first else worst <= acc + 1e-12
    assert np.isnan(theory.min_accuracy(table, ends, at=t)) == first
    for measure in (theory.windowed_forgetting, theory.windowed_plasticity):
        value = measure(table, window=window, at=t)
        assert value >= 0 and measure(table, window=1, at=t) == 0
        assert measure(table, window=window + 1, at=t) >= value and measure(table, window=window, at=t + 1) >= value
        assert measure(np.sort(table)[:, :: 1 if measure is theory.windowed_forgetting else -1], window=window) == 0
    if not first and t + 1 <= ends[-1] and t not in ends:  # the same task continues
        assert theory.min_accuracy(table, ends, at=t + 1) <= theory.min_accuracy(table, ends, at=t)
    assert theory.windowed_plasticity(table[:, ::-1], window=window) == theory.windowed_forgetting(table, window=window)


@settings(deadline=None, max_examples=50)
@given(records(), st.integers(1, 12))
def test_losses_are_accuracies_upside_down(record, window):
    table, ends, t = record
    kwargs = dict(at=t, higher_is_better=False)
    for measure, sign in (
        (theory.average_accuracy, -1),
        (theory.min_accuracy, -1),
        (theory.worst_case_accuracy, -1),
        (theory.average_forgetting, 1),
    ):
        assert measure(-table, ends, **kwargs) == pytest.approx(sign * measure(table, ends, at=t), **close)
    for measure in (theory.windowed_forgetting, theory.windowed_plasticity):
        assert measure(-table, window=window, **kwargs) == measure(table, window=window, at=t)


@settings(deadline=None, max_examples=50)
@given(records(), st.integers(2, 9))
def test_evaluations_every_so_many_updates(record, every):
    """Dropping a record's empty columns, and giving the steps of the others, changes nothing."""
    table, ends, _ = record
    ends, kept = ends * every, np.arange(1, table.shape[1] + 1) * every
    spread = np.full((len(table), kept[-1]), np.nan)
    spread[:, kept - 1] = table
    for measure in (
        theory.average_accuracy,
        theory.min_accuracy,
        theory.worst_case_accuracy,
        theory.average_forgetting,
    ):
        assert measure(table, ends, steps=kept) == pytest.approx(measure(spread, ends), **close)
    assert theory.windowed_forgetting(table, window=3, steps=kept) == theory.windowed_forgetting(spread, window=3)


def test_what_was_not_evaluated_is_not_made_up():
    table = [[0.9, 0.9, np.nan, np.nan], [0.1, 0.1, 0.5, 0.6]]
    assert np.isnan(theory.average_accuracy(table, [2, 4])) and np.isnan(theory.min_accuracy(table, [2, 4]))
    assert np.isnan(theory.worst_case_accuracy(table, [2, 4])) and np.isnan(theory.average_forgetting(table, [2, 4]))
    assert theory.average_accuracy([[0.9, 0.8]], [9], steps=[3, 5], at=4) == 0.9
    assert np.isnan(theory.average_accuracy([[0.9, 0.8], [0.1, 0.8]], [4, 9], steps=[3, 8], at=5))  # before the task


def test_a_long_record_with_a_wide_window():
    """The time is O(n): the direct way takes 1e10 comparisons here."""
    row = np.concatenate([np.linspace(0, 1, 50_000), np.linspace(1, 0, 50_000)])
    assert theory.windowed_forgetting([row], window=50_000) == pytest.approx(1.0, rel=1e-12)
    assert theory.windowed_forgetting([row], window=25_001) == pytest.approx(25_000 / 49_999, rel=1e-12)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (dict(scores=[0.1, 0.2]), ValueError, r"scores must be of shape \[tasks, evaluations\]"),
        (dict(scores=[["a"]]), TypeError, "scores must be real numbers"),
        (dict(scores=[[np.inf, 0, 0], [0, 0, 0]]), ValueError, "scores must be finite"),
        (dict(ends=[2]), ValueError, "ends must be 2 increasing ints"),
        (dict(ends=[2, 2]), ValueError, "ends must be 2 increasing ints"),
        (dict(ends=[0, 2]), ValueError, "of at least 1"),
        (dict(ends=[1.5, 2.0]), TypeError, "ends must be ints"),
        (dict(steps=[1, 3]), ValueError, "steps must be 3 increasing ints"),
        (dict(steps=[3, 2, 1]), ValueError, "steps must be 3 increasing ints"),
        (dict(at=0), ValueError, "at must be at least"),
        (dict(at=1.5), TypeError, "at must be an int"),
    ],
)
def test_mistakes(change, error, says):
    good = dict(scores=[[0.1, 0.2, 0.3], [0.1, 0.2, 0.3]], ends=[2, 3])
    for measure in (
        theory.average_accuracy,
        theory.min_accuracy,
        theory.worst_case_accuracy,
        theory.average_forgetting,
    ):
        with pytest.raises(error, match=f"^{measure.__name__}: .*{says}"):
            measure(**good | change)


def test_windows_are_positive():
    with pytest.raises(ValueError, match="windowed_forgetting: window must be at least 1, got 0"):
        theory.windowed_forgetting(TABLE, window=0)
    with pytest.raises(TypeError, match="windowed_plasticity: window must be an int"):
        theory.windowed_plasticity(TABLE, window=2.0)
