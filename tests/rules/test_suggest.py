"""Rules: published values, ranges, mistakes, and the output of the suggest command."""

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest

import optax_lrs as olrs
from optax_lrs import rules
from optax_lrs.__main__ import main

RULES = [rules.StepLawRule(), rules.GammaRule(), rules.MiniCPMBatch(), rules.CriticalBatch()]

# ── golden values: wsd_continual_laws.goldens.json, twelve digits ──────────

STEP_LAW = [  # parameters, tokens, rate, batch in tokens, in sequences of 2,048
    (2.15e8, 1.14e10, "0.00250780750893", "320568.366109", "156.527522514"),
    (1e8, 2e9, "0.00253670076367", "118663.217835", "57.9410243334"),
    (4.29e8, 5e9, "0.00118985700837", "200234.941871", "97.7709677105"),
    (1e9, 1e10, "0.000805105940259", "297459.602715", "145.243946638"),
    (1e9, 1e11, "0.00163249940245", "1107714.88997", "540.876411117"),
    (7e9, 1e12, "0.000826605191321", "4125038.37919", "2014.17889609"),
    (7e10, 1.5e13, "0.000367585308182", "19363154.132", "9454.66510351"),
]
POWER = {  # tokens: amplitude 4 and 4.6 with 1,024 sequences, 4 with 128, and 4.6 without a cap by sequence
    1e6: ("0.02", "0.02", "0.02", "0.0040064325138"),
    1e9: ("0.02", "0.02", "0.0131604264078", "0.000118238206007"),
    2e9: ("0.02", "0.02", "0.00924154671546", "8.30295212718e-05"),
    1e10: ("0.02", "0.02", "0.00406696056179", "3.65390987973e-05"),
    5e10: ("0.0143180952024", "0.0164658094827", "0.0017897619003", "1.6079892073e-05"),
    1e11: ("0.0100544877186", "0.0115626608764", "0.00125681096483", "1.12916610122e-05"),
    1e12: ("0.00310713374732", "0.00357320380942", "0.000388391718415", "3.48945684513e-06"),
    1e13: ("0.000960196122755", "0.00110422554117", "0.000120024515344", "1.07834525505e-06"),
}
MINICPM = {2.0: "16008778.5619", 2.5: "3977770.44127", 3.0: "1275113.19786", 3.5: "487304.894618", 4.0: "211802.471936"}


def digits(number: float) -> str:
    return f"{number:.12g}"


@pytest.mark.parametrize("params, tokens, rate, batch, sequences", STEP_LAW)
def test_step_law(params, tokens, rate, batch, sequences):
    rule = rules.StepLawRule()
    assert digits(rule.peak(params=params, tokens=tokens)) == rate
    assert digits(rule.batch_tokens(tokens=tokens)) == batch
    assert digits(rule.batch_tokens(tokens=tokens) / 2048) == sequences
    assert rule.batch_sequences(tokens=tokens) == round(float(sequences))


def test_ratios_of_step_law():
    def rate(n, d):
        return rules.StepLawRule().peak(params=n, tokens=d)

    def batch(d):
        return rules.StepLawRule().batch_tokens(tokens=d)

    for n, d in ((3e8, 7e9), (7e9, 1e12)):
        assert digits(rate(n, 4 * d) / rate(n, d)) == "1.53049676982"
        assert digits(rate(2 * n, d) / rate(n, d)) == "0.610050255136"
        assert digits(rate(10 * n, d) / rate(n, d)) == "0.193642196395"
        assert digits(batch(4 * d) / batch(d)) == "2.20686748008"


@pytest.mark.parametrize("tokens", POWER)
def test_gamma_law(tokens):
    big, small = 1024 * 4096, 128 * 4096
    published = rules.GammaRule(amplitude=4.0)
    found = (
        published.peak(tokens=tokens, batch_tokens=big),
        rules.GammaRule().peak(tokens=tokens, batch_tokens=big),
        published.peak(tokens=tokens, batch_tokens=small),
        rules.GammaRule().ratio(tokens=tokens),
    )
    assert tuple(map(digits, found)) == POWER[tokens]


def test_the_cap_of_the_gamma_law():
    big, small = 1024 * 4096, 128 * 4096
    published = rules.GammaRule(amplitude=4.0)
    assert digits(published.capped_until(batch_tokens=big)) == "25964051117.9"
    assert digits(rules.GammaRule().capped_until(batch_tokens=big)) == "34149773593.7"
    assert digits(published.capped_until(batch_tokens=small)) == "440157164.296"
    until = published.capped_until(batch_tokens=small)
    assert published.peak(tokens=until * 0.999, batch_tokens=small) == 0.02
    assert 0.0199 < published.peak(tokens=until * 1.001, batch_tokens=small) < 0.02


def test_the_gamma_law_is_the_power_law_at_its_end():
    batch = 512 * 4096
    schedule = olrs.PowerLaw(peak=0.02, tokens_per_step=batch, sequences_per_step=512, amplitude=4.6)
    steps = np.array([20_000, 50_000, 1_000_000])
    rates = rules.GammaRule().peak(tokens=steps * float(batch), batch_tokens=batch)
    np.testing.assert_allclose(schedule.at(steps), rates, rtol=1e-13)


def test_sequences_of_another_length_count_in_proportion():
    rule = rules.GammaRule()
    half = rule.peak(tokens=1e12, batch_tokens=1024 * 2048)
    assert half == pytest.approx(rule.peak(tokens=1e12, batch_tokens=1024 * 4096) / 2, rel=1e-15)


@pytest.mark.parametrize("loss", MINICPM)
def test_minicpm_batch(loss):
    assert digits(rules.MiniCPMBatch().batch_tokens(loss=loss)) == MINICPM[loss]


def test_critical_batch_from_the_loss():  # 2.1e8 L^-4.8, with exact powers: 3^4.8 = 3^5 / 3^0.2
    assert rules.CriticalBatch().batch_tokens(loss=1.0) == 2.1e8
    assert rules.CriticalBatch().batch_tokens(loss=3.0) == pytest.approx(2.1e8 * 3**0.2 / 243, rel=1e-13)
    assert rules.CriticalBatch().batch_tokens(loss=32.0) == pytest.approx(2.1e8 / 2**24, rel=1e-13)


def test_gradient_noise():  # adaptive_and_zoo.goldens.json
    noise = rules.GradientNoise.of(small_squared_norm=2, big_squared_norm=1.25, small_batch=32, big_batch=128)
    assert noise == (1.0, 32.0) and noise.scale == 32.0
    assert rules.batch_tradeoff(batch=32, critical=noise.scale).rate == 0.5


def test_gradient_noise_from_gradients():
    random = np.random.default_rng(0)
    true, deviation, examples = np.array([0.3, -0.2, 0.1]), 0.5, 64
    gradients = true + deviation * random.standard_normal((20_000, examples, 3))
    small, big = (np.sum(gradients[:, :size].mean(1) ** 2, -1).mean() for size in (4, examples))
    noise = rules.GradientNoise.of(small_squared_norm=small, big_squared_norm=big, small_batch=4, big_batch=examples)
    assert noise.squared_norm == pytest.approx(true @ true, rel=0.02)
    assert noise.variance == pytest.approx(3 * deviation**2, rel=0.02)
    # The expected squared norm of a batch of B is |G|^2 + S/B: exact for any two sizes.
    exact = rules.GradientNoise.of(
        small_squared_norm=2 + 7 / 3, big_squared_norm=2 + 7 / 11, small_batch=3, big_batch=11
    )
    assert exact == pytest.approx((2.0, 7.0), rel=1e-14)


@pytest.mark.parametrize("batch", [1, 32, 5e6])
def test_the_tradeoff_of_a_batch(batch):
    costs = rules.batch_tradeoff(batch=batch, critical=1e4)
    assert (costs.steps - 1) * (costs.tokens - 1) == pytest.approx(1, rel=1e-9)
    assert costs.rate == pytest.approx(1 / costs.steps, rel=1e-14)
    assert rules.batch_tradeoff(batch=1e4, critical=1e4) == (2.0, 2.0, 0.5)


def test_mup_widths():
    assert rules.mup_widths(width_ratio=16, head_width=64) == (1 / 16, 1 / 4, 1 / 64)
    assert rules.mup_widths(width_ratio=1.0) == (1.0, 1.0, None)


def test_arrays_of_sizes():
    params, tokens = np.array([1e8, 1e9, 7e9]), np.array([2e9, 1e11, 1e12])
    rates = rules.StepLawRule().peak(params=params[:, None], tokens=tokens)
    assert rates.shape == (3, 3) and rates.dtype == np.float64
    assert rates[1, 1] == rules.StepLawRule().peak(params=1e9, tokens=1e11)
    assert isinstance(rules.StepLawRule().peak(params=10**9, tokens=10**11), float)


# ── schedules and batches ──────────


def test_the_end_of_step_law_is_a_rate_and_not_a_share():
    for params in (3e8, 1e9):
        schedule = rules.StepLawRule().schedule(params=params, tokens=1e10, tokens_per_step=2**18)
        assert schedule.at(2000) == rules.StepLawRule().peak(params=params, tokens=1e10)
        assert schedule.total_steps == 38147 and schedule.at(38147) == 1e-5 and schedule.at(0) == 0
        middle = (schedule.peak + 1e-5) / 2
        assert schedule.at([20073, 20074]).mean() == pytest.approx(middle, rel=1e-4)


def test_the_schedule_of_the_gamma_law():
    schedule = rules.GammaRule().schedule(tokens=1e12, tokens_per_step=2**22)
    assert isinstance(schedule, olrs.WSD) and (schedule.total_steps, schedule.warmup_steps) == (238419, 239)
    assert schedule.decay_steps == 23842 and digits(schedule.at(1000)) == "0.00357320380942"


@pytest.mark.parametrize("multiple", [1, 8, 48])
@pytest.mark.parametrize("wanted", [1, 5e4, 1_107_714.9, 3.3e7])
def test_whole_sequences_are_the_nearest_multiple(wanted, multiple):
    found = rules.whole_sequences(wanted, sequence_length=2048, multiple=multiple)
    others = np.arange(1, 20_000) * multiple
    assert found == others[np.argmin(np.abs(others * 2048 - wanted))]


# ── ranges ──────────


def test_ranges_of_validity():
    rule = rules.StepLawRule()
    assert rule.ranges == {"params": (2.15e8, 1.07e9), "tokens": (4e9, 1e11)} and not rule.unknown_ranges
    assert rule.outside(params=2.15e8, tokens=4e9) == rule.outside(params=1.07e9, tokens=1e11) == ()
    above, below = rule.outside(params=2.14e9, tokens=1e9)
    assert above == "params=2.14e+09 is 2 times the most that was fitted, 1.07e+09"
    assert below == "tokens=1e+09 is below the least that was fitted, 4e+09, by 4 times"
    assert rules.GammaRule().ranges == {"params": (12e6, 121e6)} and rules.GammaRule().unknown_ranges == ("tokens",)
    assert "not given by the source" in rules.MiniCPMBatch().validity


def test_a_refit_is_the_same_rule_with_other_numbers():
    rule = rules.StepLawRule(rate_scale=2.0, params_exponent=-0.5, tokens_exponent=0.0, params_range=(1e6, 1e8))
    assert rule.peak(params=1e8, tokens=1e9) == pytest.approx(2e-4, rel=1e-14)
    assert rule.outside(params=1e9) and not rule.outside(params=1e7)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_rules_are_values(rule):
    assert rules.Rule.from_json(rule.to_json()) == rule == pickle.loads(pickle.dumps(rule)) == rule.replace()
    assert rules.Rule.from_dict({"type": type(rule).__name__}) == rule and rule.assumes and rule.validity
    names = {name: getattr(rule, name) for name in rule._kinds}
    assert eval(repr(rule), {type(rule).__name__: type(rule)}) == type(rule)(**names)


# ── suggest ──────────


def test_suggest():
    said = rules.suggest(params=1e9, tokens=100e9)
    row = said["StepLawRule"]
    assert digits(row.peak) == "0.00163249940245" and row.schedule.peak == 0.00163  # only the significant digits
    assert (said.batch_sequences, said.batch_tokens, said.total_steps) == (541, 541 * 2048, 90256)
    assert (row.warmup_steps, row.total_steps, row.schedule.end) == (2000, 90256, 1e-5)
    assert row.standing == "inside" and not row.outside and not row.notes
    muP = said["GammaRule"]
    assert muP.peak == rules.GammaRule().peak(tokens=1e11, batch_tokens=541 * 2048)
    assert muP.rate is None and muP.standing == "OUTSIDE" and said.rate_spread == (row.peak, row.peak)
    assert [text.split()[0] for text in said.left_out] == ["MiniCPMBatch", "CriticalBatch", "GradientNoise"]
    with pytest.raises(KeyError, match="no rule 'MiniCPMBatch' was asked"):
        said["MiniCPMBatch"]


def test_suggest_with_all_arguments():
    said = rules.suggest(
        params=7e9,
        tokens=1e12,
        sequence_length=4096,
        batch_tokens=4e6,
        multiple=64,
        width_ratio=8,
        loss=2.5,
        noise_scale_tokens=2e6,
    )
    assert said.batch_asked == 4e6 and said.batch_sequences == 960 and not said.left_out
    assert [row.rule for row in said.rows][2:] == ["MiniCPMBatch", "CriticalBatch", "GradientNoise"]
    assert said["GammaRule"].rate == said["GammaRule"].peak / 8 == said.rate_spread[0]
    assert said.rate_spread[1] == said["StepLawRule"].peak and len(said["StepLawRule"].outside) == 2
    assert any("sequences of 2,048 tokens, not 4,096" in note for note in said["StepLawRule"].notes)
    batches = [said[rule].batch_tokens for rule in ("MiniCPMBatch", "StepLawRule")]
    assert said.batch_spread == tuple(sorted(batches)) and all(batch % (64 * 4096) == 0 for batch in batches)
    assert said["CriticalBatch"].is_ceiling and said["MiniCPMBatch"].standing == "not known"
    assert "recalled" in said["CriticalBatch"].remark


def test_notes_on_runs_that_a_rule_does_not_fit():
    far = rules.suggest(params=5e8, tokens=1e10, batch_tokens=2**21)["StepLawRule"]
    assert any("yours is 7" in note for note in far.notes)
    near = rules.suggest(params=5e8, tokens=1e10, batch_tokens=2**18)["StepLawRule"]
    assert not near.notes
    short = rules.suggest(params=1e8, tokens=1e7)
    assert short["StepLawRule"].schedule is None and short["GammaRule"].schedule is None
    assert any("shorter than the warmup of 2,000" in note for note in short["StepLawRule"].notes)
    assert any("longer than the run" in note for note in short["GammaRule"].notes)
    capped = rules.suggest(params=1e8, tokens=2e9, batch_tokens=2**22)["GammaRule"]
    assert capped.peak == 0.02 and any("cap" in note for note in capped.notes)


@pytest.mark.parametrize("params, tokens", [(1e300, 1e308), (1e-300, 1e-300), (10**30, 10**25), (1e9, 1e11)])
def test_absurd_sizes_are_marked(params, tokens):
    said = rules.suggest(params=params, tokens=tokens, batch_tokens=10**21, sequence_length=10**20, loss=0.1)
    assert said.batch_sequences == 10 and json.loads(said.to_json()) and str(said)
    assert {row.standing for row in said.rows} <= {"OUTSIDE", "not known"} or params == 1e9


@pytest.mark.parametrize("params, tokens", [(3e8, 5e9), (1e9, 1e11), (7e10, 1.5e13)])
def test_schedules_can_be_pasted(params, tokens):
    for row in rules.suggest(params=params, tokens=tokens, width_ratio=4.0).rows:
        assert olrs.parse(repr(row.schedule)) == row.schedule
        assert f"{row.peak:.3g}" == f"{row.schedule.peak:.3g}" == f"{row.schedule.at(row.warmup_steps):.3g}"


def test_suggestions_as_json():
    said = rules.suggest(params=1e9, tokens=1e11, loss=3.0)
    tree = json.loads(said.to_json())
    assert tree == said.to_dict() and tree["batch_tokens"] == 541 * 2048 and len(tree["rows"]) == 4
    first = tree["rows"][0]
    schedule = said["StepLawRule"].schedule
    assert olrs.Schedule.from_dict(first["schedule"]) == olrs.parse(first["schedule_repr"]) == schedule
    assert first["peak"] == said["StepLawRule"].peak and tree["rows"][2]["schedule"] is None


class HalfStep(rules.Rule):
    """A user's rule: the rate falls as the square root of the parameters; it needs the loss."""

    paper = "arXiv:0000.00000"
    assumes = "nothing"
    rate_scale: float = 3.0
    params_range: tuple[float, ...] = (1e6, 1e8)

    def answer(self, run):
        return "the final loss" if run.loss is None else self.row(run, peak=self.rate_scale * run.params**-0.5)


def test_a_rule_defined_by_the_user():
    said = rules.suggest(params=1e9, tokens=1e11, loss=3.0, more_rules=[HalfStep(rate_scale=2.0)])
    row = said["HalfStep"]
    assert row is said.rows[4] and row.peak == 2.0 * 1e9**-0.5 == row.rate and row.paper == "arXiv:0000.00000"
    assert row.standing == "OUTSIDE" and "params=1e+09 is 10 times" in row.outside[0] and "HalfStep" in str(said)
    assert "HalfStep needs the final loss" in rules.suggest(params=1e9, tokens=1e11, more_rules=[HalfStep()]).left_out
    with pytest.raises(TypeError, match="more_rules must be a Rule"):
        rules.suggest(params=1e9, tokens=1e11, more_rules=[HalfStep])


def test_suggest_asks_every_rule_of_the_package():
    """A rule that is exported must be in ``RULES`` in rules/_suggest.py."""
    from optax_lrs.rules._suggest import RULES as ASKED

    exported = {cls for cls in vars(rules).values() if isinstance(cls, type) and issubclass(cls, rules.Rule)}
    assert exported - {rules.Rule} == set(ASKED) == {type(rule) for rule in RULES}


# ── mistakes ──────────


@pytest.mark.parametrize(
    "arguments, error, what",
    [
        (dict(params=0, tokens=1e9), ValueError, "params must be positive and finite, got 0"),
        (dict(params=-1e9, tokens=1e9), ValueError, "params must be positive"),
        (dict(params=1e9, tokens=float("nan")), ValueError, "tokens must be positive and finite, got nan"),
        (dict(params=1e9, tokens=float("inf")), ValueError, "tokens must be positive and finite, got inf"),
        (dict(params="1e9", tokens=1e9), TypeError, "params must be a number, got '1e9'"),
        (dict(params=True, tokens=1e9), TypeError, "params must be a number"),
        (dict(params=1e9, tokens=1e9, sequence_length=0), ValueError, "sequence_length must be at least 1"),
        (
            dict(params=1e9, tokens=1e9, sequence_length=2.5),
            TypeError,
            "sequence_length must be an int, got 2.5",
        ),
        (dict(params=1e9, tokens=1e9, batch_tokens=-1), ValueError, "batch_tokens must be positive"),
        (dict(params=1e9, tokens=1e9, multiple=0), ValueError, "multiple must be at least 1"),
        (dict(params=1e9, tokens=1e9, width_ratio=0.0), ValueError, "width_ratio must be positive"),
        (dict(params=1e9, tokens=1e9, loss=0.0), ValueError, "loss must be positive"),
        (dict(params=1e9, tokens=1e9, loss=1e-300), ValueError, "MiniCPMBatch has no batch for loss=1e-300"),
        (dict(params=1e9, tokens=1e9, loss=1e300), ValueError, "MiniCPMBatch has no batch for loss=1e.300"),
        (dict(params=1e9, tokens=10**400), ValueError, "tokens must be positive and finite"),
        (dict(params=1e9, tokens=1e9, width_ratio=1e-320), ValueError, "one over width_ratio must be finite"),
        (dict(params=1e9, tokens=1e9, noise_scale_tokens=-3.0), ValueError, "noise_scale_tokens must be positive"),
    ],
)
def test_mistakes_in_suggest(arguments, error, what):
    with pytest.raises(error, match=what):
        rules.suggest(**arguments)


@pytest.mark.parametrize(
    "build, what",
    [
        (lambda: rules.StepLawRule(params_range=(1e9, 1e8)), r"params_range must be \(least, greatest\)"),
        (lambda: rules.StepLawRule(tokens_range=(1e9,)), "tokens_range must be"),
        (lambda: rules.StepLawRule(rate_scale=0.0), "rate_scale must be positive"),
        (lambda: rules.StepLawRule(end=-1.0), "end must not be negative"),
        (lambda: rules.GammaRule(b=0.5), "b must be negative"),
        (lambda: rules.GammaRule(decay_fraction=1.5), "decay_fraction must be from 0 to 1"),
        (lambda: rules.GammaRule(sequence_length=0), "sequence_length must be positive"),
        (lambda: rules.MiniCPMBatch(batch_scale=-1.0), "batch_scale must be positive"),
        (lambda: rules.CriticalBatch(loss_exponent=0.0), "loss_exponent must be positive"),
        (
            lambda: rules.StepLawRule().schedule(params=1e9, tokens=1e9, tokens_per_step=10**6),
            "shorter than the warmup",
        ),
        (lambda: rules.StepLawRule().schedule(params=1e13, tokens=1e9, tokens_per_step=10**4), "below the fixed end"),
        (lambda: rules.GammaRule().schedule(tokens=1e9, tokens_per_step=10**6), "longer than the run"),
        (lambda: rules.StepLawRule().batch_tokens(tokens=[1e9, -1.0]), "tokens must be positive"),
        (lambda: rules.batch_tradeoff(batch=0, critical=1), "batch must be positive"),
        (lambda: rules.GradientNoise(1.0, -3.0).scale, "both must be positive"),
        (
            lambda: rules.GradientNoise.of(small_squared_norm=2, big_squared_norm=1, small_batch=8, big_batch=8),
            "below big",
        ),
    ],
)
def test_mistakes_in_rules(build, what):
    with pytest.raises(ValueError, match=what):
        build()


# ── the command ──────────


def printed(capsys, *arguments):
    assert main(["suggest", *arguments]) == 0
    return capsys.readouterr().out


def test_the_command(capsys):
    out = printed(capsys, "--params", "1e9", "--tokens", "100e9")
    lines = [line.split() for line in out.splitlines()]
    assert ["StepLawRule", "0.00163", "1,107,968", "2,000", "90,256", "inside"] in lines
    assert ["GammaRule", "muP", "0.00305", "-", "903", "90,256", "OUTSIDE"] in lines
    assert "541 sequences of 2,048 (StepLawRule's)" in out and "rate    0.0016 by one rule" in out
    assert "sweep it: 0.00082, 0.0016, 0.0033" in out
    assert "range     params 2.15e+08 to 1.07e+09, tokens 4e+09 to 1e+11" in out
    assert "OUTSIDE   params=1e+09 is 8.3 times the most that was fitted, 1.21e+08" in out
    assert "paper Li et al. (2025), Predictable Scale" in out and "arXiv:2408.13359" in out
    assert "not asked: MiniCPMBatch needs the final loss" in out


def test_the_command_shows_the_spread_and_recalled_rules(capsys):
    out = printed(
        capsys,
        *"--params 7e9 --tokens 1e12 --sequence-length 4096 --batch-tokens 4e6 --width-ratio 8".split(),
        *"--loss 3 --noise-scale 2e6".split(),
    )
    assert "rate    0.00043 to 0.00083, a factor of 1.9; outside of its range: StepLawRule, GammaRule" in out
    assert "sweep it: 0.00043, 0.00059, 0.00083" in out
    assert (
        "batch   1.3M to 4.1M tokens, a factor of 3.2; outside of its range: StepLawRule; range not known: MiniCPMBatch"
        in out
    )
    assert "2 times GradientNoise's ceiling" in out and out.count("(recalled, not verified)") == 2
    assert "not asked" not in out and "977 sequences of 4,096 (the nearest to 4,000,000)" in out


def test_printed_schedules_can_be_passed_to_show(capsys):
    out = printed(capsys, "--params", "5e8", "--tokens", "2e10")
    schedules = [line.removeprefix("  schedule ").strip() for line in out.splitlines() if line.startswith("  schedule")]
    assert len(schedules) == 2
    for text in schedules:
        assert main(["show", text]) == 0 and text in capsys.readouterr().out


def test_the_command_in_json(capsys):
    tree = json.loads(printed(capsys, "--params", "1e9", "--tokens", "1e11", "--json"))
    assert tree == rules.suggest(params=1e9, tokens=1e11).to_dict()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--params", "1e9"],
        ["--params", "1e9", "--tokens", "0"],
        ["--params", "big", "--tokens", "1e9"],
        ["--params", "1e9", "--tokens", "nan"],
        ["--params", "1e9", "--tokens", "1e9", "--loss", "-1"],
        ["--params", "1e9", "--tokens", "1e9", "--sequence-length", "0"],
        ["--params", "1e9", "--tokens", "1e9", "--sparse"],
    ],
)
def test_bad_input_is_one_line_and_status_2(arguments, capsys):
    assert main(["suggest", *arguments]) == 2
    captured = capsys.readouterr()
    assert not captured.out and captured.err.startswith("optax_lrs: ") and captured.err.count("\n") == 1


@pytest.mark.slow
def test_the_other_commands_load_no_laws():
    code = "import sys, optax_lrs.__main__ as m; m.main(['list']); sys.exit('optax_lrs.rules' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_rules_are_listed_as_laws(capsys):
    assert main(["list"]) == 0
    assert "law       StepLawRule" in capsys.readouterr().out
