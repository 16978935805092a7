"""Longer horizons and several budgets: the past is unchanged, and the plans add up."""

import numpy as np
import pytest

import optax_lrs as olrs
from optax_lrs import continual, profiles, theory
from oracles import continual as oracles

OLD = olrs.WSD(peak=1e-3, total_steps=5_000, warmup_steps=200, decay_steps=1_000, end=1e-5)
DECAYS = [profiles.linear, profiles.one_minus_sqrt, profiles.cosine]


@pytest.mark.parametrize("by", ["cooldown", "factor", "share"])
@pytest.mark.parametrize("decay", DECAYS, ids=repr)
def test_what_has_run_stays_as_it_was(by, decay):
    old = OLD.replace(decay=decay)
    for total in (5_000, 5_400, 7_500, 10_000):
        new = continual.extend(old, at=1_800, total_steps=total, by=by)
        before = np.arange(1_800)
        np.testing.assert_array_equal(new.at(before), old.at(before))
        np.testing.assert_array_equal(new(before.astype(np.int32)), old(before.astype(np.int32)))
        rates = new.at(np.arange(total + 100))
        assert np.all(np.diff(rates[200:]) <= 0) and rates[total] == 1e-5 and rates[total - 1] > 1e-5
        assert new.ends_at == total


def test_the_adapted_cooldown_keeps_the_peak_right():
    """The optimal rate of the longer run is that of the first: 63% of twice the run.

    This is Schaipp et al.'s question.
    """
    lr = olrs.WSD(peak=1e-3, total_steps=50_000, decay_steps=10_000)
    new = continual.extend(lr, at=36_000, total_steps=100_000)
    assert isinstance(new, olrs.WSD) and new.peak == 1e-3 and new.decay_steps == 63_430
    warm = continual.extend(lr.replace(warmup_steps=300), at=36_000, total_steps=100_000)  # as in the paper's runs
    after = dict(total_steps=49_700, decay_steps=10_000, new_total_steps=99_700)
    assert theory.rate_transfer(**after, new_decay_steps=warm.decay_steps) == pytest.approx(1.0, abs=1e-4)
    assert 0.60 < warm.decay_steps / 100_000 < 0.65


def test_two_stages_use_the_factor_after_the_old_plateau():
    """The paper's runs: ramps over 1,000 steps to the nearest of 33 values, 0.525 and 0.375."""
    lr = olrs.WSD(peak=1e-3, total_steps=50_000, decay_steps=10_000)
    for total, published in ((100_000, 0.525), (200_000, 0.375)):
        new = continual.extend(lr, at=40_000, total_steps=total, by="factor")
        rates = new.at([39_999, 40_000, 40_500, 41_000, int(0.8 * total), int(0.9 * total), total])
        factor = theory.two_stage_factor(total_steps=50_000, decay_steps=10_000, new_total_steps=total)
        low = 1e-3 * factor
        np.testing.assert_allclose(rates, [1e-3, 1e-3, (1e-3 + low) / 2, low, low, low / 2, 0.0], rtol=1e-12)
        assert factor == pytest.approx(published, abs=0.01)
    steep = continual.extend(lr, at=40_000, total_steps=100_000, by="factor", ramp_steps=0)
    assert steep.at(39_999) == 1e-3 and steep.at(40_000) == pytest.approx(0.532e-3, rel=1e-3)


def test_the_same_share_and_the_same_length():
    assert continual.extend(OLD, at=4_000, total_steps=10_000, by="share") == OLD.replace(
        total_steps=10_000, decay_steps=2_000
    )
    for by in ("cooldown", "factor", "share"):
        assert continual.extend(OLD, at=4_000, total_steps=5_000, by=by) == OLD


# ── several budgets ───────────────────────────────────────────────────────────────────────────

STEMS = {
    "WSD": olrs.WSD(peak=1e-3, total_steps=800, warmup_steps=20, decay_steps=0),
    "WSD with a decay": olrs.WSD(peak=1e-3, total_steps=800, warmup_steps=20, decay_steps=160),
    "Infinite": olrs.Infinite(peak=1.0, plateau=0.5, cooldown_steps=50, end=0.05),
    "InverseSqrt": olrs.InverseSqrt(peak=1.0, warmup_steps=20),
    "PowerLaw": olrs.PowerLaw(peak=0.02, tokens_per_step=2**22, sequences_per_step=1024),
}
BUDGETS = (100, 200, 333, 800)


@pytest.mark.parametrize("name", STEMS)
@pytest.mark.parametrize("every", [None, 1, 30, 500])
def test_branches_are_runs_of_their_budget_from_a_checkpoint_of_the_stem(name, every):
    stem = STEMS[name]
    plan = continual.plan_branches(stem, reversed(BUDGETS), decay_fraction=0.2, every=every)
    assert [branch.total_steps for branch in plan.branches] == list(BUDGETS)
    for branch in plan.branches:
        assert branch.decay_steps == round(0.2 * branch.total_steps) and branch.schedule.ends_at == branch.total_steps
        assert branch.checkpoint % (every or 1) == 0 and 0 <= branch.decay_at - branch.checkpoint < (every or 1)
        before = np.arange(branch.decay_at)
        np.testing.assert_array_equal(branch.schedule.at(before), stem.at(before))
        if name == "WSD":
            assert branch.schedule == stem.replace(total_steps=branch.total_steps, decay_steps=branch.decay_steps)
    pairs = [(branch.checkpoint, branch.total_steps) for branch in plan.branches]
    assert plan.steps == oracles.updates_made(plan.stable_steps, pairs)
    assert plan.separate_steps == sum(BUDGETS) and set(plan.checkpoints) == {checkpoint for checkpoint, _ in pairs}
    assert plan.wsds_steps == 800 and plan[333] is plan.branches[2]


def test_costs_of_a_suite_as_hagele_count_it():
    """With cooldowns of 10%, budgets that double cost half of separate runs.

    The paper counts 2.36e23 FLOPs against 5.59e23.
    """
    plan = continual.plan_branches(STEMS["WSD"], [100 * 2**i for i in range(6)], decay_fraction=0.1)
    assert plan.steps == 2880 + 630 and plan.separate_steps == 6300
    assert 2.36 / 5.59 < plan.steps / plan.separate_steps < 0.6
    crowded = continual.plan_branches(STEMS["WSD"], (100, 110), decay_steps=20)
    assert crowded.wsds_steps is None and "WSD-S does not fit" in str(crowded)
    wsds = olrs.WSDS(peak=1e-3, end=1e-4, boundaries=BUDGETS, decay_steps=[round(0.2 * b) for b in BUDGETS])
    assert wsds.ends_at == continual.plan_branches(STEMS["WSD"], BUDGETS, decay_fraction=0.2).wsds_steps


def test_a_plan_reads_as_a_table():
    text = str(continual.plan_branches(STEMS["WSD"], (200, 800), decay_steps=50, every=100))
    assert text.splitlines() == [
        "budget  checkpoint  decay at  decay  costs",
        "   200         100       150     50    100",
        "   800         700       750     50    100",
        "700 stable + branches = 900 steps; separate runs 1,000 (10% saved); WSD-S 800",
    ]


def extended(**changes):
    return continual.extend(**dict(schedule=OLD, at=1_000, total_steps=10_000) | changes)


def planned(budgets=BUDGETS, **changes):
    return continual.plan_branches(STEMS["WSD"], budgets, **(changes or dict(decay_steps=10)))


MISTAKES = [
    (lambda: extended(schedule=olrs.Cosine(peak=1.0, total_steps=9)), TypeError, "extend: schedule must be a WSD"),
    (
        lambda: extended(schedule=OLD.replace(decay_steps=0)),
        ValueError,
        "schedule must have a decay, got decay_steps=0",
    ),
    (lambda: extended(at=4_001), ValueError, "at=4001 must be from 0 to 4000; the old decay began at 4000"),
    (lambda: extended(at=-1), ValueError, "at=-1 must be from 0 to 4000"),
    (lambda: extended(at=1.0), TypeError, "extend: at must be an int, got 1.0"),
    (lambda: extended(total_steps=4_999), ValueError, "total_steps must be at least the old 5000, got 4999"),
    (lambda: extended(by="magic"), ValueError, "by must be one of 'cooldown', 'factor', 'share', got 'magic'"),
    (lambda: extended(at=4_000), ValueError, "which begins at 3"),
    (lambda: extended(by="factor", ramp_steps=4_001), ValueError, "ramp_steps=4001 from 4000 on must end by 8000"),
    (lambda: extended(by="factor", ramp_steps=-1), ValueError, "ramp_steps must be at least 0, got -1"),
    (
        lambda: extended(ramp_steps=5),
        ValueError,
        "ramp_steps must be None unless by='factor', got ramp_steps=5 with by='cooldown'",
    ),
    (lambda: planned(()), ValueError, "budgets must be one or more distinct numbers of steps, got []"),
    (lambda: planned((100, 100)), ValueError, "budgets must be one or more distinct"),
    (lambda: planned((100.0,)), TypeError, "budgets must be an int, got 100.0"),
    (
        lambda: planned(decay_steps=5, decay_fraction=0.1),
        ValueError,
        "give exactly one of decay_fraction and decay_steps",
    ),
    (lambda: planned(every=5), ValueError, "give exactly one of decay_fraction and decay_steps"),
    (lambda: planned(decay_steps=5, every=0), ValueError, "every must be at least 1, got 0"),
    (lambda: planned(decay_fraction=0.0), ValueError, "decay_fraction must be above 0 and at most 1, got 0.0"),
    (lambda: planned((10,), decay_steps=11), ValueError, "a decay must be from 1 to 10 steps, its budget, got 11"),
    (lambda: planned((25,), decay_steps=10), ValueError, "at=15 is before the plateau of this WSD, which begins at 20"),
    (
        lambda: continual.plan_branches(olrs.Cosine(peak=1.0, total_steps=9), (9,), decay_steps=2),
        TypeError,
        "schedule must have a plateau and a decay to start at=",
    ),
]


@pytest.mark.parametrize(("make", "error", "text"), MISTAKES, ids=lambda x: x if isinstance(x, str) else "")
def test_mistakes_name_the_argument_the_value_and_the_rule(make, error, text):
    with pytest.raises(error) as caught:
        make()
    assert type(caught.value) is error and text in str(caught.value) and "\n" not in str(caught.value)


def test_a_budget_that_was_not_planned():
    with pytest.raises(KeyError, match="no branch of 5 steps, only of 100, 200"):
        planned()[5]
