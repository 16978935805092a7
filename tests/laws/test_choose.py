"""choose: rankings, which candidates can be distinguished, and unknown uncertainties."""

import warnings

import numpy as np
import pytest

import optax_lrs as olrs
from optax_lrs import Run, laws

T, PEAK = 2000, 1e-3
LAW = laws.MultiPower(
    irreducible=2.6,
    power_scale=0.5,
    power_exponent=0.5,
    drop_scale=130.0,
    drop_speed=1.2,
    drop_exponent=0.5,
    lr_exponent=0.55,
)


def wsd(decay, **how):
    return olrs.WSD(**{**dict(peak=PEAK, total_steps=T, warmup_steps=200, decay_steps=decay), **how})


CANDIDATES = {
    "constant": wsd(0),
    "short": wsd(150),
    "middle": wsd(700),
    "nearly middle": wsd(705),
    "cosine": olrs.Cosine(peak=PEAK, total_steps=T, warmup_steps=200),
}


def run_of(schedule, seed, *, noise=1e-3, total=T):
    steps = np.arange(300, total, 25)
    noise = noise * np.random.default_rng(seed).standard_normal(len(steps))
    return Run(steps=steps, losses=LAW.curve(schedule.at(range(total)), steps) * np.exp(noise), schedule=schedule)


@pytest.fixture(scope="module")
def ensemble():
    runs = [run_of(wsd(0), 0), run_of(CANDIDATES["cosine"], 1), run_of(wsd(500, end=PEAK / 3), 2)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", laws.LawWarning)
        return laws.bootstrap(laws.MultiPower.fit(runs), runs, n=8)


@pytest.fixture(scope="module")
def choice(ensemble):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", laws.LawWarning)
        return laws.choose(ensemble, CANDIDATES)


def test_ranking(ensemble, choice):
    finals = {name: ensemble.curve(each.at(range(T)), [T - 1])[0] for name, each in CANDIDATES.items()}
    assert list(choice.losses) == sorted(finals, key=finals.get) and choice.best == next(iter(choice.losses))
    assert dict(choice.losses) == pytest.approx(finals, rel=1e-12) and set(choice.steps.values()) == {T}
    truth = {name: LAW.final_loss(each, steps=T) for name, each in CANDIDATES.items()}
    assert choice.best in ("middle", "nearly middle") and list(choice.losses)[-1] == max(truth, key=truth.get)
    for name, (low, high) in choice.bounds.items():
        assert low < choice.losses[name] < high and low < truth[name] < high
    assert sum(choice.probabilities.values()) == pytest.approx(1)
    assert choice.probabilities["middle"] + choice.probabilities["nearly middle"] > 0.9


def test_which_candidates_are_told_apart(choice):
    assert {"middle", "nearly middle"} <= set(choice.tied()) and "constant" not in choice.tied()
    far = choice.difference("constant", "middle")
    assert (far.better, far.worse) == ("middle", "constant") and far.is_real and far.low < far.gap < far.high
    assert far == choice.difference("middle", "constant")
    assert not choice.difference("middle", "nearly middle").is_real
    assert len(choice.differences()) == 10 and all(each.gap >= 0 for each in choice.differences())
    strict = laws.choose(laws_only(choice), CANDIDATES, level=0.5)
    assert strict.difference("middle", "constant").low == pytest.approx(
        strict.difference("middle", "constant").gap, rel=0.2
    )


def laws_only(choice, rmse=1e-3):
    report = laws.FitReport(objective=1e-5, rmse=rmse, highest_lr=PEAK, longest_steps=T, points=100, runs=2)
    return LAW.replace(report=report)


def test_the_residuals_of_a_single_law_are_used():
    sure, unsure = (laws.choose(laws_only(None, rmse), CANDIDATES) for rmse in (1e-7, 0.1))
    assert sure.difference("middle", "nearly middle").is_real and sure.tied() == (sure.best,)
    assert set(unsure.tied()) == set(CANDIDATES) and max(unsure.probabilities.values()) < 0.4
    # For two normal errors of 0.1 of the loss, the 90% bounds of the difference are 1.645 * sqrt(2)
    # * 0.1 away.
    small = laws.choose(laws_only(None, 1e-3), CANDIDATES).difference("constant", "middle")
    noise = np.hypot(*[1e-3 * LAW.final_loss(CANDIDATES[name], steps=T) for name in ("constant", "middle")])
    assert (small.high - small.low) / 2 == pytest.approx(1.645 * noise, rel=0.03)


def test_given_parameters_have_no_known_uncertainty():
    choice = laws.choose(LAW, CANDIDATES)
    assert choice.draws is None and set(choice.tied()) == set(CANDIDATES)
    assert all(np.isnan(chance) for chance in choice.probabilities.values())
    assert not any(each.is_real for each in choice.differences())
    assert "not known" in str(choice) and "told apart" not in str(choice)


def test_the_table(choice):
    lines = str(choice).splitlines()
    assert lines[0].split()[:3] == ["candidate", "steps", "loss"] and "90% bounds" in lines[0]
    for name, line in zip(choice.losses, lines[1:]):
        assert (
            line.startswith(name)
            and f"{choice.losses[name]:.4f}" in line
            and f"{choice.probabilities[name]:.0%}" in line
        )
    last = lines[len(CANDIDATES)]
    assert last.endswith("told apart") and not last.endswith("not told apart")


def test_lengths(ensemble):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", laws.LawWarning)
        both = laws.choose(ensemble, {"a": wsd(400), "b": wsd(400, total_steps=2 * T)})
        assert dict(both.steps) == {"a": T, "b": 2 * T} and both.best == "b"
        same = laws.choose(ensemble, {"a": wsd(400), "f": lambda step: PEAK * (step < 100)}, steps=1000)
    assert set(same.steps.values()) == {1000}


def test_doubts_are_reported():
    law = laws_only(None)
    with pytest.warns(laws.LawWarning, match="a rate of 0.01"):
        choice = laws.choose(law, {"fine": wsd(400), "high": wsd(400, peak=0.01)})
    assert choice.doubts["fine"] == () and "doubt (high): a rate of 0.01" in str(choice)


@pytest.mark.parametrize(
    ("candidates", "how", "message"),
    [
        ({}, {}, "at least one schedule"),
        (CANDIDATES, {"level": 1.0}, "level must be above 0 and below 1"),
        ({"a": olrs.Constant(value=0.1)}, {}, "steps is needed, because the candidate 'a'"),
        ({"a": lambda step: 0.1}, {}, "steps is needed"),
        (CANDIDATES, {"steps": 0}, "steps must be at least 1"),
    ],
)
def test_mistakes(candidates, how, message):
    with pytest.raises(ValueError, match=message):
        laws.choose(LAW, candidates, **how)


def test_an_unknown_name(choice):
    with pytest.raises(ValueError, match="got 'nothing'"):
        choice.difference("nothing", "middle")
