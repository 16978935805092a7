"""Coming from elsewhere: your schedule's line in PyTorch, Transformers, timm, Optax, Keras, MaxText, ... and ours.

    python examples/coming_from.py            everything
    python examples/coming_from.py timm       one framework
    python examples/coming_from.py --markdown README's tables

Every line here runs: `tests/test_coming_from.py` evaluates both sides and compares them step by step, past the end too. The
optimizer's rate is 1e-3 wherever a framework takes it from the optimizer (`optimizer`), and `f` is any function of the step.
Steps count from 0, and the rate at step 0 is that of the first update. Ours are written as after `from optax_lrs import *`
and `from math import *`.

Where a peer does what nobody can want (it rises after its end, falls below its floor, jumps), ours does not follow, and the
row says so: `steps` are those at which the two agree, `but` what the peer does at the others.
"""

import itertools
import sys
from typing import NamedTuple

RISES = "rises again after its end"
DIPS = "falls below its floor after its end"
FALLS = "has no end: goes on falling"
JUMPS = "jumps"
RAISES = "raises after its end"
DIFFERS = "gives another rate at the other steps"


class Row(NamedTuple):
    framework: str
    theirs: str
    ours: str = ""  # none: the note says why
    note: str = ""
    steps: tuple[int, int | None] = (0, None)  # where the two agree: from, and before
    but: str = ""  # what the peer does at the other steps, one of the words above


class Convention(NamedTuple):
    """Of a run of 40 steps, 4 of them warmup, the last 8 a decay to zero."""

    first: str  # the first rate, as a share of the peak
    last: str  # the last rate that is applied
    who: str
    ours: str


CONVENTIONS = [
    Convention("0", "1/8", "the default here; Optax, Transformers, timm, Keras, Levanter, AXLearn, Megatron-LM, big_vision",
               "WSD(peak=1e-3, total_steps=40, warmup_steps=4, decay_steps=8)"),
    Convention("1/4", "1/8", "torchtitan: no update at rate zero",
               "shifted(WSD(peak=1e-3, total_steps=41, warmup_steps=4, decay_steps=8), by=-1)"),
    Convention("0", "0", "MaxText, PyTorch's `OneCycleLR`: the last update is at the end rate",
               "WSD(peak=1e-3, total_steps=39, warmup_steps=4, decay_steps=7)"),
]  # fmt: skip

PLATEAU = "reacts to a metric: the transform `scale_by_plateau`"


def rows(framework: str, *entries: tuple) -> list[Row]:
    return [Row(framework, *entry) for entry in entries]


OPTAX = rows(
    "Optax",
    ("optax.constant_schedule(1e-3)", "Constant(value=1e-3)"),
    ("optax.linear_schedule(1e-3, 1e-4, 100)", "Linear(peak=1e-3, total_steps=100, end=1e-4)"),
    ("optax.linear_schedule(1e-4, 1e-3, 100)", "LinearWarmup(peak=1e-3, warmup_steps=100, start=1e-4)"),
    ("optax.polynomial_schedule(1e-3, 1e-4, 2.0, 100)", "PowerDecay(peak=1e-3, total_steps=100, end=1e-4, p=2.0)"),
    ("optax.polynomial_schedule(1e-3, 0.0, 2.0, 80, transition_begin=20)",
     "WSD(peak=1e-3, total_steps=100, decay_steps=80, decay=profiles.power(2.0))"),
    ("optax.exponential_decay(1e-3, 20, 0.5)", "Exponential(peak=1e-3, factor=0.5, period_steps=20)"),
    ("optax.exponential_decay(1e-3, 20, 0.5, transition_begin=10, end_value=1e-4)",
     "shifted(Exponential(peak=1e-3, factor=0.5, period_steps=20, floor=1e-4), by=10)"),
    ("optax.exponential_decay(1e-3, 20, 0.5, staircase=True)", "Staircase(peak=1e-3, factor=0.5, period_steps=20)"),
    ("optax.piecewise_constant_schedule(1e-3, {40: 0.5, 80: 0.2})",
     "StepDecay(peak=1e-3, milestones=(40, 80), factors=(0.5, 0.1))", "its factors are of the rate before"),
    ("optax.piecewise_interpolate_schedule('linear', 1e-3, {40: 0.5, 100: 0.1})",
     "Tabulated(lrs=[1e-3, 5e-4, 5e-5], steps=[0, 40, 100])", "ours may touch zero"),
    ("optax.piecewise_interpolate_schedule('cosine', 1e-3, {40: 0.5, 100: 0.1})",
     "join(Cosine(peak=1e-3, total_steps=40, end=5e-4), Cosine(peak=5e-4, total_steps=60, end=5e-5), at=40)"),
    ("optax.cosine_decay_schedule(1e-3, 100, alpha=0.1)", "Cosine(peak=1e-3, total_steps=100, end=1e-4)"),
    ("optax.cosine_decay_schedule(1e-3, 100, exponent=2.0)",
     "Tabulated(lrs=[1e-3 * cos(pi * s / 200)**4 for s in range(101)])",
     "no profile of that name: a table is exact at every step"),
    ("optax.cosine_onecycle_schedule(100, 1e-3)",
     "OneCycle(peak=1e-3, total_steps=100, warmup_steps=30, start=4e-5, end=4e-9)"),
    ("optax.linear_onecycle_schedule(100, 1e-3)",
     "OneCycle(peak=1e-3, total_steps=100, warmup_steps=30, anneal_steps=15, start=4e-5, end=4e-9, decay=profiles.linear)"),
    ("optax.warmup_constant_schedule(1e-4, 1e-3, 10)", "LinearWarmup(peak=1e-3, warmup_steps=10, start=1e-4)"),
    ("optax.warmup_cosine_decay_schedule(0.0, 1e-3, 10, 100, 1e-4)",
     "Cosine(peak=1e-3, total_steps=100, warmup_steps=10, end=1e-4)"),
    ("optax.warmup_cosine_decay_schedule(1e-4, 1e-3, 10, 100)",
     "join(LinearWarmup(peak=1e-3, warmup_steps=10, start=1e-4), Cosine(peak=1e-3, total_steps=90), at=10)"),
    ("optax.warmup_exponential_decay_schedule(0.0, 1e-3, 10, 20, 0.5, end_value=1e-4)",
     "Exponential(peak=1e-3, factor=0.5, period_steps=20, warmup_steps=10, floor=1e-4)"),
    ("optax.sgdr_schedule([dict(init_value=0.0, peak_value=1e-3, warmup_steps=10, decay_steps=50)] * 2)",
     "SGDR(peak=1e-3, period_steps=50, warmup_steps=10, cycles=2)"),
    ("optax.join_schedules([optax.linear_schedule(0.0, 1e-3, 10), optax.constant_schedule(1e-3), "
     "optax.linear_schedule(1e-3, 0.0, 20)], [10, 80])",
     "WSD(peak=1e-3, total_steps=100, warmup_steps=10, decay_steps=20)", "any two: `join`, which checks its boundaries"),
    ("optax.contrib.reduce_on_plateau()", "", PLATEAU),
)  # fmt: skip

TORCH = rows(
    "PyTorch",
    ("LambdaLR(optimizer, f)", "Tabulated(lrs=[1e-3 * f(s) for s in range(101)])",
     "or a subclass of `Schedule`; the table ends", (0, 101), FALLS),
    ("MultiplicativeLR(optimizer, f)",
     "Tabulated(lrs=list(accumulate((f(s) for s in range(1, 101)), mul, initial=1e-3)))", "likewise", (0, 101), FALLS),
    ("StepLR(optimizer, step_size=30, gamma=0.1)", "Staircase(peak=1e-3, factor=0.1, period_steps=30)"),
    ("MultiStepLR(optimizer, milestones=[30, 80], gamma=0.1)", "StepDecay.by(factor=0.1, peak=1e-3, milestones=(30, 80))"),
    ("ConstantLR(optimizer, factor=0.5, total_iters=20)", "join(Constant(value=5e-4), Constant(value=1e-3), at=20)"),
    ("LinearLR(optimizer, start_factor=0.1, total_iters=10)", "LinearWarmup(peak=1e-3, warmup_steps=10, start=1e-4)"),
    ("LinearLR(optimizer, start_factor=1.0, end_factor=0.1, total_iters=100)",
     "Linear(peak=1e-3, total_steps=100, end=1e-4)"),
    ("ExponentialLR(optimizer, gamma=0.97)", "Exponential(peak=1e-3, factor=0.97)"),
    ("PolynomialLR(optimizer, total_iters=100, power=2.0)", "PowerDecay(peak=1e-3, total_steps=100, p=2.0)"),
    ("CosineAnnealingLR(optimizer, T_max=100, eta_min=1e-4)", "Cosine(peak=1e-3, total_steps=100, end=1e-4)",
     "", (0, 101), RISES),
    ("CosineAnnealingWarmRestarts(optimizer, T_0=20, T_mult=2, eta_min=1e-4)",
     "SGDR(peak=1e-3, period_steps=20, growth=2, floor=1e-4)"),
    ("CyclicLR(optimizer, base_lr=1e-4, max_lr=1e-3, step_size_up=20)",
     "Triangular(peak=1e-3, floor=1e-4, period_steps=40)"),
    ("CyclicLR(optimizer, base_lr=1e-4, max_lr=1e-3, step_size_up=20, mode='triangular2')",
     "Triangular2(peak=1e-3, floor=1e-4, period_steps=40)"),
    ("CyclicLR(optimizer, base_lr=1e-4, max_lr=1e-3, step_size_up=20, mode='exp_range', gamma=0.99)",
     "ExpRange(peak=1e-3, floor=1e-4, period_steps=40, h=-log(2) / (40 * log(0.99)))"),
    ("CyclicLR(optimizer, base_lr=1e-4, max_lr=1e-3, step_size_up=10, step_size_down=30)",
     "cycled(Tabulated(lrs=[1e-4, 1e-3, 1e-4], steps=[0, 10, 40]), period_steps=40)"),
    ("OneCycleLR(optimizer, max_lr=1e-3, total_steps=100)",
     "OneCycle(peak=1e-3, total_steps=99, warmup_steps=29, start=4e-5, end=4e-9)",
     "its last update is at the end rate; momentum: `Tabulated`", (0, 100), RAISES),
    ("OneCycleLR(optimizer, max_lr=1e-3, total_steps=100, anneal_strategy='linear')",
     "OneCycle(peak=1e-3, total_steps=99, warmup_steps=29, start=4e-5, end=4e-9, decay=profiles.linear)",
     "", (0, 100), RAISES),
    ("OneCycleLR(optimizer, max_lr=1e-3, total_steps=100, three_phase=True)",
     "OneCycle(peak=1e-3, total_steps=99, warmup_steps=29, anneal_steps=41, start=4e-5, end=4e-9)", "", (0, 100), RAISES),
    ("SWALR(optimizer, swa_lr=1e-4, anneal_epochs=10)", "Cosine(peak=1e-3, total_steps=10, end=1e-4)"),
    ("SWALR(optimizer, swa_lr=1e-4, anneal_epochs=10, anneal_strategy='linear')",
     "Linear(peak=1e-3, total_steps=10, end=1e-4)"),
    ("SequentialLR(optimizer, [LinearLR(optimizer, 0.1, total_iters=10), CosineAnnealingLR(optimizer, T_max=90)], "
     "milestones=[10])",
     "join(LinearWarmup(peak=1e-3, warmup_steps=10, start=1e-4), Cosine(peak=1e-3, total_steps=90), at=10)",
     "", (0, 101), RISES),
    ("ChainedScheduler([LinearLR(optimizer, 0.1, total_iters=10), ExponentialLR(optimizer, gamma=0.97)])",
     "product(LinearWarmup(peak=1.0, warmup_steps=10, start=0.1), Exponential(peak=1e-3, factor=0.97))"),
    ("ReduceLROnPlateau(optimizer)", "", PLATEAU),
)  # fmt: skip

TRANSFORMERS = rows(
    "Transformers",
    ("get_constant_schedule(optimizer)", "Constant(value=1e-3)"),
    ("get_constant_schedule_with_warmup(optimizer, 10)", "LinearWarmup(peak=1e-3, warmup_steps=10)"),
    ("get_linear_schedule_with_warmup(optimizer, 10, 100)", "Linear(peak=1e-3, total_steps=100, warmup_steps=10)"),
    ("get_cosine_schedule_with_warmup(optimizer, 10, 100)", "Cosine(peak=1e-3, total_steps=100, warmup_steps=10)",
     "", (0, 101), RISES),
    ("get_cosine_schedule_with_warmup(optimizer, 10, 100, num_cycles=1.5)",
     "DampedCosine(peak=1e-3, total_steps=100, warmup_steps=10, cycles=2, gamma=1.0, v=0.0)", "", (0, 101), RISES),
    ("get_cosine_with_hard_restarts_schedule_with_warmup(optimizer, 10, 100, num_cycles=3)",
     "join(LinearWarmup(peak=1e-3, warmup_steps=10), SGDR(peak=1e-3, period_steps=30, cycles=3), at=10)"),
    ("get_polynomial_decay_schedule_with_warmup(optimizer, 10, 100, lr_end=1e-4, power=2.0)",
     "PowerDecay(peak=1e-3, total_steps=100, warmup_steps=10, end=1e-4, p=2.0)"),
    ("get_inverse_sqrt_schedule(optimizer, 10)", "InverseSqrt(peak=1e-3, warmup_steps=10)"),
    ("get_inverse_sqrt_schedule(optimizer, 10, timescale=50)", "InverseSqrt(peak=1e-3, warmup_steps=10, timescale_steps=50)"),
    ("get_cosine_with_min_lr_schedule_with_warmup(optimizer, 10, 100, min_lr=1e-4)",
     "Cosine(peak=1e-3, total_steps=100, warmup_steps=10, end=1e-4)", "", (0, 101), RISES),
    ("get_cosine_with_min_lr_schedule_with_warmup_lr_rate(optimizer, 10, 100, min_lr=1e-4)",
     "shifted(Cosine(peak=1e-3, total_steps=100, warmup_steps=10, end=1e-4), by=-1)",
     "both ends a step early", (0, 100), RISES),
    ("get_cosine_with_min_lr_schedule_with_warmup_lr_rate(optimizer, 10, 100, min_lr=1e-4, warmup_lr_rate=0.1)",
     "switch(LinearWarmup(peak=1e-3, warmup_steps=9, start=1e-4), "
     "shifted(Cosine(peak=1e-3, total_steps=100, warmup_steps=10, end=1e-4), by=-1), at=10)", "", (0, 100), RISES),
    ("get_wsd_schedule(optimizer, 10, 20, 100)",
     "WSD(peak=1e-3, total_steps=100, warmup_steps=10, decay_steps=20, decay=profiles.cosine)"),
    ("get_wsd_schedule(optimizer, 10, 20, 100, decay_type='1-sqrt')",
     "WSD(peak=1e-3, total_steps=100, warmup_steps=10, decay_steps=20, decay=profiles.one_minus_sqrt)"),
    ("get_wsd_schedule(optimizer, 10, 20, 100, decay_type='linear', min_lr_ratio=0.1)",
     "switch(LinearWarmup(peak=1e-3, warmup_steps=10, start=1e-4), "
     "WSD(peak=1e-3, total_steps=100, decay_steps=20, end=1e-4), at=10)", "its warmup starts at the floor"),
    ("get_wsd_schedule(optimizer, 10, 20, 100, warmup_type='cosine')",
     "switch(OneCycle(peak=1e-3, total_steps=10, warmup_steps=10, end=1e-3), "
     "WSD(peak=1e-3, total_steps=100, decay_steps=20, decay=profiles.cosine), at=10)"),
    ("get_wsd_schedule(optimizer, 10, 20, 100, warmup_type='1-sqrt', decay_type='linear')",
     "switch(OneCycle(peak=1e-3, total_steps=10, warmup_steps=10, end=1e-3, decay=profiles.one_minus_sqrt), "
     "WSD(peak=1e-3, total_steps=100, decay_steps=20), at=10)"),
    ("get_reduce_on_plateau_schedule(optimizer)", "", PLATEAU),
    ("GreedyLR(optimizer)", "", "reacts to a metric: the transform `scale_by_greedy`"),
    ("AdafactorSchedule(optimizer)", "", "reports the rates that Adafactor chose; `optax.adafactor` has its own"),
)  # fmt: skip

TIMM = rows(
    "timm",
    ("CosineLRScheduler(optimizer, t_initial=100, lr_min=1e-4)", "Cosine(peak=1e-3, total_steps=100, end=1e-4)"),
    ("CosineLRScheduler(optimizer, t_initial=90, warmup_t=10, warmup_prefix=True)",
     "Cosine(peak=1e-3, total_steps=100, warmup_steps=10)"),
    ("CosineLRScheduler(optimizer, t_initial=100, warmup_t=20)",
     "product(LinearWarmup(peak=1.0, warmup_steps=20), Cosine(peak=1e-3, total_steps=100))",
     "its warmup goes to 1e-3, then the rate drops onto the cosine; ours warms up to the cosine", (20, None), JUMPS),
    ("CosineLRScheduler(optimizer, t_initial=20, lr_min=1e-4, cycle_mul=2.0, cycle_limit=3)",
     "SGDR(peak=1e-3, period_steps=20, growth=2, cycles=3, floor=1e-4)",
     "restarts late where its logarithm rounds: with `cycle_mul=3`, `t_initial=10` at step 1,210"),
    ("CosineLRScheduler(optimizer, t_initial=50, cycle_decay=0.5, cycle_limit=3)",
     "product(SGDR(peak=1e-3, period_steps=50, cycles=3), Staircase(peak=1.0, factor=0.5, period_steps=50))"),
    ("CosineLRScheduler(optimizer, t_initial=100, k_decay=1.5)",
     "Tabulated(lrs=[5e-4 * (1 + cos(pi * (s / 100)**1.5)) for s in range(101)])", "or your own `Profile`"),
    ("TanhLRScheduler(optimizer, t_initial=100)",
     "Tabulated(lrs=[5e-4 * (1 - tanh(-7 + 10 * s / 100)) for s in range(100)] + [0.0])",
     "or your own `Profile`; at its end it drops to `lr_min`, from 0.25% of the peak"),
    ("PolyLRScheduler(optimizer, t_initial=100, power=0.5, lr_min=1e-4)",
     "PowerDecay(peak=1e-3, total_steps=100, end=1e-4, p=0.5)"),
    ("PolyLRScheduler(optimizer, t_initial=90, power=2.0, warmup_t=10, warmup_prefix=True)",
     "PowerDecay(peak=1e-3, total_steps=100, warmup_steps=10, p=2.0)"),
    ("StepLRScheduler(optimizer, decay_t=30, decay_rate=0.1, warmup_t=10)",
     "Staircase(peak=1e-3, factor=0.1, period_steps=30, warmup_steps=10)"),
    ("MultiStepLRScheduler(optimizer, decay_t=[30, 80], decay_rate=0.1)",
     "StepDecay.by(factor=0.1, peak=1e-3, milestones=(29, 79))", "a drop comes one step before its milestone"),
    ("WSDLRScheduler(optimizer, t_initial=90, decay_t=20, warmup_t=10)",
     "WSD(peak=1e-3, total_steps=100, warmup_steps=10, decay_steps=20, decay=profiles.one_minus_sqrt)",
     "`decay_fn`: `profiles.linear`, `.cosine`, `.one_minus_square` for its power 2"),
    ("WSDLRScheduler(optimizer, t_initial=90, decay_t=20, warmup_t=10, lr_min=1e-4, decay_fn='cosine')",
     "WSD(peak=1e-3, total_steps=100, warmup_steps=10, decay_steps=20, end=1e-4, decay=profiles.cosine)"),
    ("WSDLRScheduler(optimizer, t_initial=90, decay_t=20, warmup_t=10, decay_fn='power', decay_power=2.0)",
     "WSD(peak=1e-3, total_steps=100, warmup_steps=10, decay_steps=20, decay=profiles.one_minus_square)"),
    ("WSDLRScheduler(optimizer, t_initial=90, decay_t=20, warmup_t=10, decay_fn='exp', decay_ratio=0.1)",
     "WSD(peak=1e-3, total_steps=100, warmup_steps=10, decay_steps=20, decay=profiles.shifted_exponential(log(10)))"),
    ("WSDLRScheduler(optimizer, t_initial=90, decay_t=20, warmup_t=10, stable_fn='rsqrt', decay_fn='linear')",
     "InverseSqrt(peak=1e-3, total_steps=100, warmup_steps=10, cooldown_steps=20)"),
    ("WSDLRScheduler(optimizer, t_initial=90, decay_t=20, warmup_t=10, stable_fn='power', stable_power=0.7, decay_fn='linear')",
     "product(PowerLaw(peak=1e-3, amplitude=1e-3 * 10**0.7, b=-0.7, warmup_tokens=10, tokens_per_step=1, sequences_per_step=1), "
     "WSD(peak=1.0, total_steps=100, decay_steps=20))"),
    ("noise_range_t=...", "", "random: what a seed and a step give is a table, `Tabulated`"),
    ("PlateauLRScheduler(optimizer)", "", PLATEAU),
)  # fmt: skip

KERAS = rows(
    "Keras",
    ("ExponentialDecay(1e-3, decay_steps=20, decay_rate=0.5)", "Exponential(peak=1e-3, factor=0.5, period_steps=20)"),
    ("ExponentialDecay(1e-3, decay_steps=20, decay_rate=0.5, staircase=True)",
     "Staircase(peak=1e-3, factor=0.5, period_steps=20)"),
    ("PiecewiseConstantDecay([40, 80], [1e-3, 5e-4, 1e-4])",
     "StepDecay(peak=1e-3, milestones=(41, 81), factors=(0.5, 0.1))", "a drop comes one step after its boundary"),
    ("PolynomialDecay(1e-3, decay_steps=100, end_learning_rate=1e-4, power=2.0)",
     "PowerDecay(peak=1e-3, total_steps=100, end=1e-4, p=2.0)"),
    ("PolynomialDecay(1e-3, decay_steps=50, end_learning_rate=1e-4, cycle=True)",
     "switch(Linear(peak=1e-3, total_steps=50, end=1e-4), Linear(peak=1e-3, total_steps=100, end=1e-4), at=51)",
     "a piece for each cycle: it goes on for ever", (0, 101), RISES),
    ("InverseTimeDecay(1e-3, decay_steps=20, decay_rate=0.5)",
     "WSD(peak=1e-3, total_steps=100, decay_steps=100, end=1e-3 / (1 + 0.5 * 100 / 20), decay=profiles.inverse)",
     "", (0, 101), FALLS),
    ("InverseTimeDecay(1e-3, decay_steps=20, decay_rate=0.5, staircase=True)",
     "sampled(WSD(peak=1e-3, total_steps=100, decay_steps=100, end=1e-3 / (1 + 0.5 * 100 / 20), decay=profiles.inverse), "
     "every=20)",
     "", (0, 120), FALLS),
    ("CosineDecay(1e-3, decay_steps=100, alpha=0.1)", "Cosine(peak=1e-3, total_steps=100, end=1e-4)"),
    ("CosineDecay(0.0, decay_steps=90, warmup_target=1e-3, warmup_steps=10)",
     "Cosine(peak=1e-3, total_steps=100, warmup_steps=10)", "its `decay_steps` are without the warmup"),
    ("CosineDecayRestarts(1e-3, first_decay_steps=50, t_mul=1.0, alpha=0.1)",
     "SGDR(peak=1e-3, period_steps=50, floor=1e-4)"),
    ("CosineDecayRestarts(1e-3, first_decay_steps=20, t_mul=2.0)", "SGDR(peak=1e-3, period_steps=20, growth=2)"),
    ("CosineDecayRestarts(1e-3, first_decay_steps=50, t_mul=1.0, m_mul=0.5)",
     "product(SGDR(peak=1e-3, period_steps=50), Staircase(peak=1.0, factor=0.5, period_steps=50))"),
    ("ReduceLROnPlateau()", "", PLATEAU),
)  # fmt: skip

MAXTEXT = rows(
    "MaxText",
    ("lr_schedule_type='cosine', learning_rate=1e-3, steps=100, warmup_steps_fraction=0.1, learning_rate_final_fraction=0.1",
     "Cosine(peak=1e-3, total_steps=99, warmup_steps=10, end=1e-4)",
     "some versions reach the peak a step earlier, and repeat it", (0, 100), RISES),
    ("lr_schedule_type='cosine', learning_rate=1e-3, steps=120, learning_rate_schedule_steps=100, "
     "warmup_steps_fraction=0.1, learning_rate_final_fraction=0.1",
     "switch(Cosine(peak=1e-3, total_steps=99, warmup_steps=10, end=1e-4), Constant(value=0.0), at=100)",
     "the tail at rate zero is asked for"),
    ("lr_schedule_type='wsd', learning_rate=1e-3, steps=100, warmup_steps_fraction=0.1, wsd_decay_steps_fraction=0.2, "
     "learning_rate_final_fraction=0.1",
     "WSD(peak=1e-3, total_steps=99, warmup_steps=10, decay_steps=19, end=1e-4)",
     "with one decay step it never decays"),
    ("lr_schedule_type='wsd', learning_rate=1e-3, steps=100, warmup_steps_fraction=0.1, wsd_decay_steps_fraction=0.2, "
     "wsd_decay_style='cosine', learning_rate_final_fraction=0.1",
     "WSD(peak=1e-3, total_steps=99, warmup_steps=10, decay_steps=19, end=1e-4, decay=profiles.cosine)",
     "", (0, 100), RISES),
)  # fmt: skip

LEVANTER = rows(
    "Levanter",
    ("lr_schedule='constant', learning_rate=1e-3, warmup=10", "LinearWarmup(peak=1e-3, warmup_steps=10)"),
    ("lr_schedule='cosine', learning_rate=1e-3, warmup=10, min_lr_ratio=0.1",
     "Cosine(peak=1e-3, total_steps=100, warmup_steps=10, end=1e-4)",
     "`warmup=1` is 100% of the run there; ours counts steps, `Horizon.fraction` shares"),
    ("lr_schedule='linear', learning_rate=1e-3, warmup=0.1, min_lr_ratio=0.1",
     "Linear(peak=1e-3, total_steps=100, warmup_steps=10, end=1e-4)"),
    ("lr_schedule='linear', learning_rate=1e-3, warmup=10, decay=0.2, min_lr_ratio=0.1",
     "WSD(peak=1e-3, total_steps=100, warmup_steps=10, decay_steps=20, end=1e-4)",
     "phases longer than the run pass silently; ours raises"),
    ("lr_schedule=InvSqrtLrSchedule(timescale=40), learning_rate=1e-3, warmup=10, min_lr_ratio=0.1",
     "join(LinearWarmup(peak=1e-3, warmup_steps=10), clipped(InverseSqrt(peak=1e-3, timescale_steps=40), floor=1e-4), at=40)",
     "flat until the timescale, by default 10,000 steps"),
    ("lr_schedule='inv', learning_rate=1e-3, warmup=10, decay=40, min_lr_ratio=0.1",
     "WSD(peak=1e-3, total_steps=100, warmup_steps=10, decay_steps=40, end=1e-4, decay=profiles.inverse)",
     "it skips the first rate of the decay, here at step 60", (61, None), DIFFERS),
    ("lr_schedule=PowerLrSchedule(batch_size=8, seq_length=4), learning_rate=1e-3, warmup=10",
     "join(LinearWarmup(peak=1e-3, warmup_steps=10), "
     "PowerLaw(peak=1e-3, amplitude=4.6, sequences_per_step=8, tokens_per_step=32), at=10)",
     "counts tokens from the warmup's end"),
    ("lr_schedule='linear', learning_rate=1e-3, warmup=5, cycles=[30, 70], decay=0.2, min_lr_ratio=0.1",
     "WSDS.of_cycles(peak=1e-3, boundaries=(30, 70, 100), share=0.2, warmup_steps=5, end=1e-4, decay=profiles.linear)"),
    ("lr_schedule='linear', learning_rate=1e-3, warmup=5, cycles=2, rewarmup=5, decay=10, min_lr_ratio=0.1",
     "join(WSD(peak=1e-3, total_steps=50, warmup_steps=5, decay_steps=10, end=1e-4), "
     "LinearWarmup(peak=1e-3, warmup_steps=5, start=1e-4), WSD(peak=1e-3, total_steps=45, decay_steps=10, end=1e-4), "
     "at=(50, 55))"),
)  # fmt: skip

AXLEARN = rows(
    "AXLearn",
    ("polynomial(begin_step=20, begin_value=1e-3, end_step=100, end_value=1e-4, power=1)",
     "WSD(peak=1e-3, total_steps=100, decay_steps=80, end=1e-4)"),
    ("polynomial(begin_step=20, begin_value=1e-3, end_step=100, end_value=1e-4, power=2)",
     "WSD(peak=1e-3, total_steps=100, decay_steps=80, end=1e-4, decay=profiles.one_minus_square)",
     "a power of the time, not of what is left (Optax)"),
    ("exponential(begin_step=20, begin_value=1e-3, end_step=100, end_value=1e-5)",
     "WSD(peak=1e-3, total_steps=100, decay_steps=80, end=1e-5, decay=profiles.exponential)"),
    ("inverse_sqrt(warmup_steps=25)", "shifted(InverseSqrt(peak=0.2, timescale_steps=25), by=25)"),
    ("adafactor(scale=0.05, warmup_steps=25)", "InverseSqrt(peak=0.01, warmup_steps=25)"),
    ("adafactor(scale=0.05, warmup_steps=25, step_offset=1)", "shifted(InverseSqrt(peak=0.01, warmup_steps=25), by=-1)"),
    ("stepwise([1e-3, polynomial(begin_value=1e-3, end_step=50)], [20])",
     "join(Constant(value=1e-3), Linear(peak=1e-3, total_steps=50), at=20)"),
    ("cosine_with_linear_warmup(1e-3, max_step=100, warmup_steps=10, alpha=0.1)",
     "Cosine(peak=1e-3, total_steps=100, warmup_steps=10, end=1e-4)", "the same function of the step"),
    ("cosine_with_linear_warmup(1e-3, max_step=100, warmup_steps=10, decay_begin_step=50)",
     "WSD(peak=1e-3, total_steps=100, warmup_steps=10, decay_steps=50, decay=profiles.cosine)"),
    ("cosine_with_linear_warmup(1e-3, max_step=100, warmup_steps=0)", "Cosine(peak=1e-3, total_steps=100)",
     "its segments count from 1, step 0 has rate zero", (1, None), JUMPS),
    ("constant_with_linear_warmup(1e-3, warmup_steps=10)", "LinearWarmup(peak=1e-3, warmup_steps=10)"),
    ("linear_schedule_with_warmup(1e-3, max_step=100, warmup_steps=10, end_value=1e-4)",
     "Linear(peak=1e-3, total_steps=100, warmup_steps=10, end=1e-4)"),
    ("warmup_stable_decay(...)", "", "`WSD`; its conventions were not verified"),
    ("ema_schedule(), decay_bias_correction(), adafactor_decay_rate()", "",
     "coefficients of averages, not rates: `optax.ema`, `optax.adafactor`"),
)  # fmt: skip

MEGATRON = rows(
    "Megatron-LM",
    ("lr_decay_style='constant', max_lr=1e-3, lr_warmup_steps=10, lr_decay_steps=100",
     "LinearWarmup(peak=1e-3, warmup_steps=10)"),
    ("lr_decay_style='linear', max_lr=1e-3, min_lr=1e-4, lr_warmup_steps=10, lr_decay_steps=100",
     "Linear(peak=1e-3, total_steps=100, warmup_steps=10, end=1e-4)"),
    ("lr_decay_style='cosine', max_lr=1e-3, min_lr=1e-4, lr_warmup_steps=10, lr_decay_steps=100",
     "Cosine(peak=1e-3, total_steps=100, warmup_steps=10, end=1e-4)"),
    ("lr_decay_style='cosine', init_lr=1e-5, max_lr=1e-3, lr_warmup_steps=10, lr_decay_steps=100",
     "join(LinearWarmup(peak=1e-3, warmup_steps=10, start=1e-5), Cosine(peak=1e-3, total_steps=90), at=10)"),
    ("lr_decay_style='inverse-square-root', max_lr=1e-3, min_lr=1e-4, lr_warmup_steps=20, lr_decay_steps=100",
     "InverseSqrt(peak=1e-3, warmup_steps=20)",
     "falls off a cliff to `min_lr` at the end; ours goes on, or cools down (`cooldown_steps`)", (0, 101), JUMPS),
    *((f"lr_decay_style='WSD', lr_wsd_decay_style='{style}', max_lr=1e-3, min_lr=1e-4, lr_warmup_steps=10, lr_decay_steps=100, "
       "wsd_decay_steps=20",
       f"WSD(peak=1e-3, total_steps=100, warmup_steps=10, decay_steps=20, end=1e-4{profile})")
      for style, profile in (("linear", ""), ("cosine", ", decay=profiles.cosine"),
                             ("exponential", ", decay=profiles.shifted_exponential(log(2))"),
                             ("minus_sqrt", ", decay=profiles.one_minus_sqrt"))),
    ("wd_incr_style='linear', start_wd=0.01, end_wd=0.1, wd_incr_steps=100",
     "LinearWarmup(peak=0.1, warmup_steps=100, start=0.01)", "for `decay_weights`"),
    ("wd_incr_style='cosine', start_wd=0.01, end_wd=0.1, wd_incr_steps=100",
     "OneCycle(peak=0.1, total_steps=100, warmup_steps=100, start=0.01, end=0.1)", "for `decay_weights`"),
)  # fmt: skip

TORCHTITAN = rows(
    "torchtitan",
    ("warmup_steps=10, decay_ratio=0.2, decay_type='linear', min_lr_factor=0.1",
     "shifted(WSD(peak=1e-3, total_steps=101, warmup_steps=10, decay_steps=20, end=1e-4), by=-1)", "", (0, 101), DIPS),
    ("warmup_steps=10, decay_ratio=0.2, decay_type='sqrt'",
     "shifted(WSD(peak=1e-3, total_steps=101, warmup_steps=10, decay_steps=20, decay=profiles.one_minus_sqrt), by=-1)",
     "", (0, 101), DIPS),
    ("warmup_steps=10, decay_ratio=0.2, decay_type='cosine', min_lr_factor=0.1",
     "shifted(WSD(peak=1e-3, total_steps=101, warmup_steps=10, decay_steps=20, end=1e-4, decay=profiles.cosine), by=-1)",
     "", (0, 101), RISES),
    ("warmup_steps=10", "shifted(WSD(peak=1e-3, total_steps=101, warmup_steps=10, decay_steps=90), by=-1)",
     "linear, all that is left of the run", (0, 101), DIPS),
)  # fmt: skip

BIG_VISION = rows(
    "big_vision",
    ("decay_type='linear', base=1e-3, total_steps=100, warmup_steps=10, linear_end=1e-4",
     "Linear(peak=1e-3, total_steps=100, warmup_steps=10, end=1e-4)"),
    ("decay_type='polynomial', base=1e-3, total_steps=100, warmup_steps=10, power=2",
     "PowerDecay(peak=1e-3, total_steps=100, warmup_steps=10, p=2.0)"),
    ("decay_type='cosine', base=1e-3, total_steps=100, warmup_steps=10",
     "Cosine(peak=1e-3, total_steps=100, warmup_steps=10)"),
    ("decay_type='rsqrt', base=1e-3, total_steps=100, warmup_steps=10, timescale=40",
     "InverseSqrt(peak=1e-3, warmup_steps=10, timescale_steps=40)"),
    ("decay_type='rsqrt', base=1e-3, total_steps=100, warmup_steps=10, timescale=40, shift=60",
     "InverseSqrt(peak=1e-3 * (1 + 60 / 40)**-0.5, warmup_steps=10, timescale_steps=100)"),
    ("decay_type='rsqrt', base=1e-3, total_steps=100, warmup_steps=10, cooldown_steps=20, timescale=40",
     "InverseSqrt(peak=1e-3, total_steps=100, warmup_steps=10, timescale_steps=40, cooldown_steps=20)", "", (0, 101), DIPS),
    ("decay_type='stair', base=1e-3, total_steps=100, warmup_steps=10, steps=[40, 80], mults=[0.5, 0.1]",
     "StepDecay(peak=1e-3, milestones=(40, 80), factors=(0.5, 0.1), warmup_steps=10)"),
)  # fmt: skip

T5X = rows(
    "t5x",
    ("factors='constant * linear_warmup * rsqrt_decay', base_learning_rate=0.05, warmup_steps=25",
     "InverseSqrt(peak=0.05 * 25**-0.5, warmup_steps=25)", "at step 0 its `min_learning_rate`, 1e-8", (1, None)),
    ("factors='constant * rsqrt_decay', base_learning_rate=0.05, warmup_steps=25",
     "shifted(InverseSqrt(peak=0.05 * 25**-0.5, timescale_steps=25), by=25)"),
    ("factors='constant * linear_warmup * rsqrt_normalized_decay', base_learning_rate=1e-3, warmup_steps=10",
     "InverseSqrt(peak=1e-3, warmup_steps=10)", "", (1, None)),
    ("factors='constant * linear_warmup * decay_every', base_learning_rate=1e-3, warmup_steps=10, "
     "decay_factor=0.5, steps_per_decay=30",
     "product(LinearWarmup(peak=1.0, warmup_steps=10), Staircase(peak=1e-3, factor=0.5, period_steps=30))",
     "any factors: `product`", (1, None)),
    ("factors='constant * linear_warmup * cosine_decay', base_learning_rate=1e-3, warmup_steps=10, steps_per_cycle=45",
     "join(LinearWarmup(peak=1e-3, warmup_steps=10), SGDR(peak=1e-3, period_steps=45), at=10)", "", (1, None)),
    ("factors='linear_decay', base_learning_rate=1e-3, warmup_steps=10, decay_factor=1 / 90",
     "clipped(Linear(peak=1e-3, total_steps=100, warmup_steps=10), floor=1e-8)", "its `min_learning_rate` holds from step 0"),
)  # fmt: skip

ROWS = [
    *OPTAX,
    *TORCH,
    *TRANSFORMERS,
    *TIMM,
    *KERAS,
    *MAXTEXT,
    *LEVANTER,
    *AXLEARN,
    *MEGATRON,
    *TORCHTITAN,
    *BIG_VISION,
    *T5X,
]


def remark(row: Row) -> str:
    parts = [row.note, row.but and row.but != DIFFERS and f"theirs {row.but}"]
    return "; ".join(part for part in parts if part)


def text(rows: list[Row]) -> str:
    blocks = []
    for framework, group in itertools.groupby(rows, lambda row: row.framework):
        lines = [f"── {framework} " + "─" * (60 - len(framework))]
        for row in group:
            lines += [f"  {row.theirs}", f"    {row.ours or '—'}"] + ([f"    # {remark(row)}"] if remark(row) else [])
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def markdown(rows: list[Row]) -> str:
    def table(head: tuple[str, ...], body: list[tuple[str, ...]]) -> str:
        return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ("---",) * len(head), *body))

    conventions = [(c.first, c.last, c.who, f"`{c.ours}`") for c in CONVENTIONS]
    blocks = [table(("first rate", "last rate", "who", "40 steps, 4 of warmup, 8 of decay"), conventions)]
    for framework, group in itertools.groupby(rows, lambda row: row.framework):
        body = [(f"`{row.theirs}`", f"`{row.ours}`" if row.ours else "–", remark(row)) for row in group]
        rendered = table((framework, "ours", "remarks"), body)
        blocks.append(f"<details><summary>{framework}</summary>\n\n{rendered}\n\n</details>")
    return "\n\n".join(blocks)


def main(args: list[str]) -> None:
    if args == ["--markdown"]:
        print(markdown(ROWS))
        return
    known = list(dict.fromkeys(row.framework for row in ROWS))
    unknown = [arg for arg in args if arg.lower() not in map(str.lower, known)]
    if unknown:
        sys.exit(f"unknown framework {unknown[0]!r}; known are {', '.join(known)}")
    wanted = [arg.lower() for arg in args] or [name.lower() for name in known]
    print(text([row for row in ROWS if row.framework.lower() in wanted]))


if __name__ == "__main__":
    main(sys.argv[1:])
