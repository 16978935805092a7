"""Schedules of the literature: the property matrix, mistakes, and degenerate lengths."""

import numpy as np
import pytest

import optax_lrs as olrs
from matrices import literature_cases as cases
from optax_lrs import profiles

CASES = cases.cases()
CLASSES = (
    olrs.WSDS,
    olrs.WSDC,
    olrs.Infinite,
    olrs.PowerLaw,
    olrs.PowerDecay,
    olrs.StepDecay,
    olrs.Exponential,
    olrs.Staircase,
    olrs.SlowStartFastDecay,
    olrs.DampedCosine,
)


# ── mistakes and degenerate lengths ───────────────────────────────────────────────────────────

CYCLES = dict(peak=1.0, end=0.1, boundaries=(10, 20))
TOKENS_OF = dict(peak=1.0, tokens_per_step=10, sequences_per_step=1)
FALL = dict(peak=1.0, total_steps=100)
MISTAKES = [
    (
        lambda: olrs.WSDS(**CYCLES, decay_steps=(1,)),
        ValueError,
        "decay_steps must be one per boundary, got decay_steps=(1,)",
    ),
    (
        lambda: olrs.WSDS(**CYCLES, decay_steps=(1, 11)),
        ValueError,
        "into its cycle, got warmup_steps=0, decay_steps=(1, 11)",
    ),
    (lambda: olrs.WSDS(**CYCLES, decay_steps=(1, -1)), ValueError, "decay_steps must be at least 0, got -1"),
    (lambda: olrs.WSDS(**CYCLES, decay_steps=(6, 1), warmup_steps=5), ValueError, "warmup_steps=5"),
    (
        lambda: olrs.WSDS.of_run(**CYCLES | dict(boundaries=(20, 10)), share=0.1),
        ValueError,
        "must be positive and increasing",
    ),
    (lambda: olrs.WSDS.of_run(**CYCLES | dict(boundaries=()), share=0.1), ValueError, "boundaries=()"),
    (lambda: olrs.WSDS.of_run(**CYCLES, share=0.6), ValueError, "decay_steps=(6, 12)"),
    (
        lambda: olrs.WSDS(**CYCLES | dict(end=0.0), decay_steps=(1, 1)),
        ValueError,
        "profiles.inverse needs a positive end",
    ),
    (lambda: olrs.WSDC(peak=1.0, end=2.0, stable_steps=1, decay_steps=1), ValueError, "end=2.0, peak=1.0"),
    (
        lambda: olrs.WSDC(peak=1.0, end=0.0, stable_steps=1, decay_steps=1, decay=profiles.inverse),
        ValueError,
        "positive end",
    ),
    (
        lambda: olrs.WSDC(peak=1.0, end=0.0, stable_steps=-1, decay_steps=1),
        ValueError,
        "stable_steps must be at least 0",
    ),
    (lambda: olrs.Infinite(peak=1.0, plateau=2.0, cooldown_steps=1), ValueError, "must not rise"),
    (
        lambda: olrs.Infinite(peak=1.0, plateau=0.5, end=0.6, cooldown_steps=1),
        ValueError,
        "end=0.6, plateau=0.5, peak=1.0",
    ),
    (
        lambda: olrs.Infinite(peak=1.0, plateau=0.5, cooldown_steps=1, anneal_steps=1),
        ValueError,
        "needs a positive end",
    ),
    (
        lambda: olrs.Infinite(peak=1.0, plateau=0, cooldown_steps=1, cooldown=profiles.inverse),
        ValueError,
        "needs a plateau",
    ),
    (lambda: profiles.inverse_sqrt(-1.0), ValueError, "alpha must be above -1, got alpha=-1.0"),
    (
        lambda: olrs.PowerLaw(**TOKENS_OF, decay_tokens=5),
        ValueError,
        "must be at most total_tokens, got warmup_tokens=0",
    ),
    (
        lambda: olrs.PowerLaw(**TOKENS_OF, decay_tokens=5, warmup_tokens=6, total_tokens=10),
        ValueError,
        "total_tokens=10",
    ),
    (lambda: olrs.PowerLaw(**TOKENS_OF | dict(tokens_per_step=0)), ValueError, "tokens_per_step must be at least 1"),
    (lambda: olrs.PowerLaw(**TOKENS_OF | dict(tokens_per_step=1e6)), TypeError, "tokens_per_step must be an int"),
    (lambda: olrs.PowerLaw(**TOKENS_OF, b=0.5), ValueError, "b must not be positive"),
    (lambda: olrs.PowerLaw(**TOKENS_OF, amplitude=-1.0), ValueError, "amplitude must not be negative"),
    (
        lambda: olrs.PowerLaw(**TOKENS_OF, total_tokens=10**9, decay_tokens=10, end=0.9),
        ValueError,
        "end must be at most",
    ),
    (
        lambda: olrs.PowerLaw(**TOKENS_OF, total_tokens=10, decay_tokens=5, decay=profiles.exponential),
        ValueError,
        "positive end",
    ),
    (lambda: olrs.InverseSqrt(peak=1.0, cooldown_steps=5), ValueError, "total_steps=None"),
    (
        lambda: olrs.InverseSqrt(peak=1.0, warmup_steps=6, cooldown_steps=5, total_steps=10),
        ValueError,
        "warmup_steps=6",
    ),
    (
        lambda: olrs.InverseSqrt(peak=1.0, warmup_steps=11, total_steps=10),
        ValueError,
        "warmup_steps=11, total_steps=10",
    ),
    (
        lambda: olrs.InverseSqrt(peak=1.0, cooldown_steps=5, total_steps=10, cooldown=profiles.inverse),
        ValueError,
        "cool down",
    ),
    (lambda: olrs.PowerDecay(**FALL, p=0.0), ValueError, "p must be positive"),
    (
        lambda: olrs.StepDecay(peak=1.0, milestones=(1, 2), factors=(0.1,)),
        ValueError,
        "milestones must be 1 steps, one per factor",
    ),
    (
        lambda: olrs.StepDecay(peak=1.0, milestones=(2, 2), factors=(0.2, 0.1)),
        ValueError,
        "milestones must be increasing",
    ),
    (lambda: olrs.StepDecay(peak=1.0, milestones=(1, 2), factors=(0.1, 0.2)), ValueError, "factors must not rise"),
    (lambda: olrs.StepDecay(peak=1.0, milestones=(1, 2), factors=(0.1, -0.2)), ValueError, "factors must not rise"),
    (lambda: olrs.StepDecay(peak=1.0, milestones=(1,), factors=(2.0,)), ValueError, "from 1 down to 0"),
    (lambda: olrs.StepDecay(peak=1.0, milestones=(), factors=()), ValueError, "factors must be one or more"),
    (lambda: olrs.StepDecay(peak=1.0, milestones=(5,), factors=(0.1,), warmup_steps=6), ValueError, "warmup_steps=6"),
    (lambda: olrs.Exponential(peak=1.0, factor=1.5), ValueError, "factor must be in (0, 1], got factor=1.5"),
    (lambda: olrs.Exponential(peak=1.0, factor=0.5, period_steps=0), ValueError, "period_steps must be at least 1"),
    (lambda: olrs.Staircase(peak=1.0, factor=0.5, period_steps=5, floor=2.0), ValueError, "floor must be at most peak"),
    (lambda: olrs.SlowStartFastDecay(**FALL, warmup_steps=50, start=2.0), ValueError, "start must be at most peak"),
    (lambda: olrs.SlowStartFastDecay(**FALL, warmup_steps=50, q=0.0), ValueError, "q must be positive"),
    (lambda: olrs.SlowStartFastDecay(**FALL, warmup_steps=101), ValueError, "warmup_steps=101"),
    (lambda: olrs.DampedCosine(**FALL, cycles=0), ValueError, "cycles must be at least 1"),
    (lambda: olrs.DampedCosine(**FALL, gamma=1.1), ValueError, "gamma must be in [0, 1]"),
    (lambda: olrs.DampedCosine(**FALL, v=-0.1), ValueError, "v must be in [0, 1]"),
]


@pytest.mark.parametrize(("make", "error", "text"), MISTAKES, ids=lambda x: x if isinstance(x, str) else "")
def test_mistakes_name_the_argument_the_value_and_the_rule(make, error, text):
    with pytest.raises(error) as caught:
        make()
    assert type(caught.value) is error and text in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("total", [0, 1, 2, 3])
def test_degenerate_lengths_are_legal(total):
    made = []
    for warmup in range(total + 1):
        budget = dict(peak=1.0, end=0.25, total_steps=total, warmup_steps=warmup)
        made += [olrs.PowerDecay(**budget), olrs.SlowStartFastDecay(**budget)]
        made += [olrs.DampedCosine(**budget, cycles=cycles) for cycles in (1, 3)]
        rest = total - warmup
        made.append(olrs.WSDC(peak=1.0, end=0.25, warmup_steps=warmup, stable_steps=0, decay_steps=rest))
        made.append(olrs.Infinite(peak=1.0, plateau=0.25, warmup_steps=warmup, cooldown_steps=rest))
        phases = dict(warmup_steps=warmup, cooldown_steps=0, anneal_steps=max(rest, 1))
        made.append(olrs.Infinite(peak=1.0, plateau=0.5, end=0.25, **phases))
    for schedule in made:
        rates = schedule.at(np.arange(total + 3))
        assert np.all(np.isfinite(rates)) and np.all(rates >= 0) and np.max(rates) <= 1.0, schedule
        assert rates[schedule.ends_at] == 0.25 == schedule(schedule.ends_at), schedule
    one = olrs.WSDS(peak=1.0, end=0.25, boundaries=(1, 2), decay_steps=(1, 1))
    assert one.at([0, 1, 2, 3]).tolist() == [1.0, 1.0, 0.25, 0.25]
    step = olrs.PowerLaw(peak=1.0, tokens_per_step=10, sequences_per_step=1, total_tokens=10, decay_tokens=10)
    assert step.at([0, 1, 2]).tolist() == [1.0, 0.0, 0.0]
