"""Libraries of schedules: Optax, PyTorch, Transformers, timm and Keras."""

from peers import FALLS, JUMPS, PLATEAU, RAISES, RISES, rows

OPTAX = rows(
    "Optax",
    ("optax.constant_schedule(1e-3)", "Constant(value=1e-3)"),
    ("optax.linear_schedule(1e-3, 1e-4, 100)", "Linear(peak=1e-3, total_steps=100, end=1e-4)"),
    ("optax.linear_schedule(1e-4, 1e-3, 100)", "LinearWarmup(peak=1e-3, warmup_steps=100, start=1e-4)"),
    ("optax.polynomial_schedule(1e-3, 1e-4, 2.0, 100)", "PowerDecay(peak=1e-3, total_steps=100, end=1e-4, p=2.0)"),
    (
        "optax.polynomial_schedule(1e-3, 0.0, 2.0, 80, transition_begin=20)",
        "WSD(peak=1e-3, total_steps=100, decay_steps=80, decay=profiles.power(2.0))",
    ),
    ("optax.exponential_decay(1e-3, 20, 0.5)", "Exponential(peak=1e-3, factor=0.5, period_steps=20)"),
    (
        "optax.exponential_decay(1e-3, 20, 0.5, transition_begin=10, end_value=1e-4)",
        "shifted(Exponential(peak=1e-3, factor=0.5, period_steps=20, floor=1e-4), by=10)",
    ),
    ("optax.exponential_decay(1e-3, 20, 0.5, staircase=True)", "Staircase(peak=1e-3, factor=0.5, period_steps=20)"),
    (
        "optax.piecewise_constant_schedule(1e-3, {40: 0.5, 80: 0.2})",
        "StepDecay(peak=1e-3, milestones=(40, 80), factors=(0.5, 0.1))",
        "its factors multiply the previous rate",
    ),
    (
        "optax.piecewise_interpolate_schedule('linear', 1e-3, {40: 0.5, 100: 0.1})",
        "Tabulated(lrs=[1e-3, 5e-4, 5e-5], steps=[0, 40, 100])",
        "ours may reach zero",
    ),
    (
        "optax.piecewise_interpolate_schedule('cosine', 1e-3, {40: 0.5, 100: 0.1})",
        "join(Cosine(peak=1e-3, total_steps=40, end=5e-4), Cosine(peak=5e-4, total_steps=60, end=5e-5), at=40)",
    ),
    ("optax.cosine_decay_schedule(1e-3, 100, alpha=0.1)", "Cosine(peak=1e-3, total_steps=100, end=1e-4)"),
    (
        "optax.cosine_decay_schedule(1e-3, 100, exponent=2.0)",
        "Tabulated(lrs=[1e-3 * cos(pi * s / 200)**4 for s in range(101)])",
        "no profile matches; a table is exact at every step",
    ),
    (
        "optax.cosine_onecycle_schedule(100, 1e-3)",
        "OneCycle(peak=1e-3, total_steps=100, warmup_steps=30, start=4e-5, end=4e-9)",
    ),
    (
        "optax.linear_onecycle_schedule(100, 1e-3)",
        "OneCycle(peak=1e-3, total_steps=100, warmup_steps=30, anneal_steps=15, start=4e-5, end=4e-9, "
        "decay=profiles.linear)",
    ),
    ("optax.warmup_constant_schedule(1e-4, 1e-3, 10)", "LinearWarmup(peak=1e-3, warmup_steps=10, start=1e-4)"),
    (
        "optax.warmup_cosine_decay_schedule(0.0, 1e-3, 10, 100, 1e-4)",
        "Cosine(peak=1e-3, total_steps=100, warmup_steps=10, end=1e-4)",
    ),
    (
        "optax.warmup_cosine_decay_schedule(1e-4, 1e-3, 10, 100)",
        "join(LinearWarmup(peak=1e-3, warmup_steps=10, start=1e-4), Cosine(peak=1e-3, total_steps=90), at=10)",
    ),
    (
        "optax.warmup_exponential_decay_schedule(0.0, 1e-3, 10, 20, 0.5, end_value=1e-4)",
        "Exponential(peak=1e-3, factor=0.5, period_steps=20, warmup_steps=10, floor=1e-4)",
    ),
    (
        "optax.sgdr_schedule([dict(init_value=0.0, peak_value=1e-3, warmup_steps=10, decay_steps=50)] * 2)",
        "SGDR(peak=1e-3, period_steps=50, warmup_steps=10, cycles=2)",
    ),
    (
        "optax.join_schedules([optax.linear_schedule(0.0, 1e-3, 10), optax.constant_schedule(1e-3), "
        "optax.linear_schedule(1e-3, 0.0, 20)], [10, 80])",
        "WSD(peak=1e-3, total_steps=100, warmup_steps=10, decay_steps=20)",
        "for any schedules: `join`, which checks its boundaries",
    ),
    ("optax.contrib.reduce_on_plateau()", "", PLATEAU),
)

TORCH = rows(
    "PyTorch",
    (
        "LambdaLR(optimizer, f)",
        "Tabulated(lrs=[1e-3 * f(s) for s in range(101)])",
        "or your own `Schedule`; the table ends",
        (0, 101),
        FALLS,
    ),
    (
        "MultiplicativeLR(optimizer, f)",
        "Tabulated(lrs=[1e-3 * prod(map(f, range(1, s + 1))) for s in range(101)])",
        "likewise",
        (0, 101),
        FALLS,
    ),
    ("StepLR(optimizer, step_size=30, gamma=0.1)", "Staircase(peak=1e-3, factor=0.1, period_steps=30)"),
    (
        "MultiStepLR(optimizer, milestones=[30, 80], gamma=0.1)",
        "StepDecay.by(factor=0.1, peak=1e-3, milestones=(30, 80))",
    ),
    ("ConstantLR(optimizer, factor=0.5, total_iters=20)", "join(Constant(value=5e-4), Constant(value=1e-3), at=20)"),
    ("LinearLR(optimizer, start_factor=0.1, total_iters=10)", "LinearWarmup(peak=1e-3, warmup_steps=10, start=1e-4)"),
    (
        "LinearLR(optimizer, start_factor=1.0, end_factor=0.1, total_iters=100)",
        "Linear(peak=1e-3, total_steps=100, end=1e-4)",
    ),
    ("ExponentialLR(optimizer, gamma=0.97)", "Exponential(peak=1e-3, factor=0.97)"),
    ("PolynomialLR(optimizer, total_iters=100, power=2.0)", "PowerDecay(peak=1e-3, total_steps=100, p=2.0)"),
    (
        "CosineAnnealingLR(optimizer, T_max=100, eta_min=1e-4)",
        "Cosine(peak=1e-3, total_steps=100, end=1e-4)",
        "",
        (0, 101),
        RISES,
    ),
    (
        "CosineAnnealingWarmRestarts(optimizer, T_0=20, T_mult=2, eta_min=1e-4)",
        "SGDR(peak=1e-3, period_steps=20, growth=2, floor=1e-4)",
    ),
    (
        "CyclicLR(optimizer, base_lr=1e-4, max_lr=1e-3, step_size_up=20)",
        "Triangular(peak=1e-3, floor=1e-4, period_steps=40)",
    ),
    (
        "CyclicLR(optimizer, base_lr=1e-4, max_lr=1e-3, step_size_up=20, mode='triangular2')",
        "Triangular2(peak=1e-3, floor=1e-4, period_steps=40)",
    ),
    (
        "CyclicLR(optimizer, base_lr=1e-4, max_lr=1e-3, step_size_up=20, mode='exp_range', gamma=0.99)",
        "ExpRange(peak=1e-3, floor=1e-4, period_steps=40, h=-log(2) / (40 * log(0.99)))",
    ),
    (
        "CyclicLR(optimizer, base_lr=1e-4, max_lr=1e-3, step_size_up=10, step_size_down=30)",
        "cycled(Tabulated(lrs=[1e-4, 1e-3, 1e-4], steps=[0, 10, 40]), period_steps=40)",
    ),
    (
        "OneCycleLR(optimizer, max_lr=1e-3, total_steps=100)",
        "OneCycle(peak=1e-3, total_steps=99, warmup_steps=29, start=4e-5, end=4e-9)",
        "the last update uses the end rate; for its momentum, use `Tabulated`",
        (0, 100),
        RAISES,
    ),
    (
        "OneCycleLR(optimizer, max_lr=1e-3, total_steps=100, anneal_strategy='linear')",
        "OneCycle(peak=1e-3, total_steps=99, warmup_steps=29, start=4e-5, end=4e-9, decay=profiles.linear)",
        "",
        (0, 100),
        RAISES,
    ),
    (
        "OneCycleLR(optimizer, max_lr=1e-3, total_steps=100, three_phase=True)",
        "OneCycle(peak=1e-3, total_steps=99, warmup_steps=29, anneal_steps=41, start=4e-5, end=4e-9)",
        "",
        (0, 100),
        RAISES,
    ),
    ("SWALR(optimizer, swa_lr=1e-4, anneal_epochs=10)", "Cosine(peak=1e-3, total_steps=10, end=1e-4)"),
    (
        "SWALR(optimizer, swa_lr=1e-4, anneal_epochs=10, anneal_strategy='linear')",
        "Linear(peak=1e-3, total_steps=10, end=1e-4)",
    ),
    (
        "SequentialLR(optimizer, [LinearLR(optimizer, 0.1, total_iters=10), CosineAnnealingLR(optimizer, T_max=90)], "
        "milestones=[10])",
        "join(LinearWarmup(peak=1e-3, warmup_steps=10, start=1e-4), Cosine(peak=1e-3, total_steps=90), at=10)",
        "",
        (0, 101),
        RISES,
    ),
    (
        "ChainedScheduler([LinearLR(optimizer, 0.1, total_iters=10), ExponentialLR(optimizer, gamma=0.97)])",
        "product(LinearWarmup(peak=1.0, warmup_steps=10, start=0.1), Exponential(peak=1e-3, factor=0.97))",
    ),
    ("ReduceLROnPlateau(optimizer)", "", PLATEAU),
)

TRANSFORMERS = rows(
    "Transformers",
    ("get_constant_schedule(optimizer)", "Constant(value=1e-3)"),
    ("get_constant_schedule_with_warmup(optimizer, 10)", "LinearWarmup(peak=1e-3, warmup_steps=10)"),
    ("get_linear_schedule_with_warmup(optimizer, 10, 100)", "Linear(peak=1e-3, total_steps=100, warmup_steps=10)"),
    (
        "get_cosine_schedule_with_warmup(optimizer, 10, 100)",
        "Cosine(peak=1e-3, total_steps=100, warmup_steps=10)",
        "",
        (0, 101),
        RISES,
    ),
    (
        "get_cosine_schedule_with_warmup(optimizer, 10, 100, num_cycles=1.5)",
        "DampedCosine(peak=1e-3, total_steps=100, warmup_steps=10, cycles=2, gamma=1.0, v=0.0)",
        "",
        (0, 101),
        RISES,
    ),
    (
        "get_cosine_with_hard_restarts_schedule_with_warmup(optimizer, 10, 100, num_cycles=3)",
        "join(LinearWarmup(peak=1e-3, warmup_steps=10), SGDR(peak=1e-3, period_steps=30, cycles=3), at=10)",
    ),
    (
        "get_polynomial_decay_schedule_with_warmup(optimizer, 10, 100, lr_end=1e-4, power=2.0)",
        "PowerDecay(peak=1e-3, total_steps=100, warmup_steps=10, end=1e-4, p=2.0)",
    ),
    ("get_inverse_sqrt_schedule(optimizer, 10)", "InverseSqrt(peak=1e-3, warmup_steps=10)"),
    (
        "get_inverse_sqrt_schedule(optimizer, 10, timescale=50)",
        "InverseSqrt(peak=1e-3, warmup_steps=10, timescale_steps=50)",
    ),
    (
        "get_cosine_with_min_lr_schedule_with_warmup(optimizer, 10, 100, min_lr=1e-4)",
        "Cosine(peak=1e-3, total_steps=100, warmup_steps=10, end=1e-4)",
        "",
        (0, 101),
        RISES,
    ),
    (
        "get_cosine_with_min_lr_schedule_with_warmup_lr_rate(optimizer, 10, 100, min_lr=1e-4)",
        "shifted(Cosine(peak=1e-3, total_steps=100, warmup_steps=10, end=1e-4), by=-1)",
        "its warmup and its decay end one step early",
        (0, 100),
        RISES,
    ),
    (
        "get_cosine_with_min_lr_schedule_with_warmup_lr_rate(optimizer, 10, 100, min_lr=1e-4, warmup_lr_rate=0.1)",
        "switch(LinearWarmup(peak=1e-3, warmup_steps=9, start=1e-4), "
        "shifted(Cosine(peak=1e-3, total_steps=100, warmup_steps=10, end=1e-4), by=-1), at=10)",
        "",
        (0, 100),
        RISES,
    ),
    (
        "get_wsd_schedule(optimizer, 10, 20, 100)",
        "WSD(peak=1e-3, total_steps=100, warmup_steps=10, decay_steps=20, decay=profiles.cosine)",
    ),
    (
        "get_wsd_schedule(optimizer, 10, 20, 100, decay_type='1-sqrt')",
        "WSD(peak=1e-3, total_steps=100, warmup_steps=10, decay_steps=20, decay=profiles.one_minus_sqrt)",
    ),
    (
        "get_wsd_schedule(optimizer, 10, 20, 100, decay_type='linear', min_lr_ratio=0.1)",
        "switch(LinearWarmup(peak=1e-3, warmup_steps=10, start=1e-4), "
        "WSD(peak=1e-3, total_steps=100, decay_steps=20, end=1e-4), at=10)",
        "its warmup starts at the floor",
    ),
    (
        "get_wsd_schedule(optimizer, 10, 20, 100, warmup_type='cosine')",
        "switch(OneCycle(peak=1e-3, total_steps=10, warmup_steps=10, end=1e-3), "
        "WSD(peak=1e-3, total_steps=100, decay_steps=20, decay=profiles.cosine), at=10)",
    ),
    (
        "get_wsd_schedule(optimizer, 10, 20, 100, warmup_type='1-sqrt', decay_type='linear')",
        "switch(OneCycle(peak=1e-3, total_steps=10, warmup_steps=10, end=1e-3, decay=profiles.one_minus_sqrt), "
        "WSD(peak=1e-3, total_steps=100, decay_steps=20), at=10)",
    ),
    ("get_reduce_on_plateau_schedule(optimizer)", "", PLATEAU),
    ("GreedyLR(optimizer)", "", "reacts to a metric: the transform `scale_by_greedy`"),
    ("AdafactorSchedule(optimizer)", "", "reports the rates that Adafactor chose; `optax.adafactor` chooses its own"),
)

TIMM = rows(
    "timm",
    ("CosineLRScheduler(optimizer, t_initial=100, lr_min=1e-4)", "Cosine(peak=1e-3, total_steps=100, end=1e-4)"),
    (
        "CosineLRScheduler(optimizer, t_initial=90, warmup_t=10, warmup_prefix=True)",
        "Cosine(peak=1e-3, total_steps=100, warmup_steps=10)",
    ),
    (
        "CosineLRScheduler(optimizer, t_initial=100, warmup_t=20)",
        "product(LinearWarmup(peak=1.0, warmup_steps=20), Cosine(peak=1e-3, total_steps=100))",
        "its warmup reaches 1e-3, then the rate drops to the cosine; ours warms up to the cosine",
        (20, None),
        JUMPS,
    ),
    (
        "CosineLRScheduler(optimizer, t_initial=20, lr_min=1e-4, cycle_mul=2.0, cycle_limit=3)",
        "SGDR(peak=1e-3, period_steps=20, growth=2, cycles=3, floor=1e-4)",
        "restarts late where its logarithm rounds, with `cycle_mul=3` and `t_initial=10` at step 1,210",
    ),
    (
        "CosineLRScheduler(optimizer, t_initial=50, cycle_decay=0.5, cycle_limit=3)",
        "product(SGDR(peak=1e-3, period_steps=50, cycles=3), Staircase(peak=1.0, factor=0.5, period_steps=50))",
    ),
    (
        "CosineLRScheduler(optimizer, t_initial=100, k_decay=1.5)",
        "Tabulated(lrs=[5e-4 * (1 + cos(pi * (s / 100)**1.5)) for s in range(101)])",
        "or your own `Profile`",
    ),
    (
        "TanhLRScheduler(optimizer, t_initial=100)",
        "Tabulated(lrs=[5e-4 * (1 - tanh(-7 + 10 * s / 100)) for s in range(100)] + [0.0])",
        "or your own `Profile`; at its end it drops to `lr_min`, from 0.25% of the peak",
    ),
    (
        "PolyLRScheduler(optimizer, t_initial=100, power=0.5, lr_min=1e-4)",
        "PowerDecay(peak=1e-3, total_steps=100, end=1e-4, p=0.5)",
    ),
    (
        "PolyLRScheduler(optimizer, t_initial=90, power=2.0, warmup_t=10, warmup_prefix=True)",
        "PowerDecay(peak=1e-3, total_steps=100, warmup_steps=10, p=2.0)",
    ),
    (
        "StepLRScheduler(optimizer, decay_t=30, decay_rate=0.1, warmup_t=10)",
        "Staircase(peak=1e-3, factor=0.1, period_steps=30, warmup_steps=10)",
    ),
    (
        "MultiStepLRScheduler(optimizer, decay_t=[30, 80], decay_rate=0.1)",
        "StepDecay.by(factor=0.1, peak=1e-3, milestones=(29, 79))",
        "a drop comes one step before its milestone",
    ),
    (
        "WSDLRScheduler(optimizer, t_initial=90, decay_t=20, warmup_t=10)",
        "WSD(peak=1e-3, total_steps=100, warmup_steps=10, decay_steps=20, decay=profiles.one_minus_sqrt)",
        "`decay_fn`: `profiles.linear`, `.cosine`, `.one_minus_square` for its power 2",
    ),
    (
        "WSDLRScheduler(optimizer, t_initial=90, decay_t=20, warmup_t=10, lr_min=1e-4, decay_fn='cosine')",
        "WSD(peak=1e-3, total_steps=100, warmup_steps=10, decay_steps=20, end=1e-4, decay=profiles.cosine)",
    ),
    (
        "WSDLRScheduler(optimizer, t_initial=90, decay_t=20, warmup_t=10, decay_fn='power', decay_power=2.0)",
        "WSD(peak=1e-3, total_steps=100, warmup_steps=10, decay_steps=20, decay=profiles.one_minus_square)",
    ),
    (
        "WSDLRScheduler(optimizer, t_initial=90, decay_t=20, warmup_t=10, decay_fn='exp', decay_ratio=0.1)",
        "WSD(peak=1e-3, total_steps=100, warmup_steps=10, decay_steps=20, decay=profiles.shifted_exponential(log(10)))",
    ),
    (
        "WSDLRScheduler(optimizer, t_initial=90, decay_t=20, warmup_t=10, stable_fn='rsqrt', decay_fn='linear')",
        "InverseSqrt(peak=1e-3, total_steps=100, warmup_steps=10, cooldown_steps=20)",
    ),
    (
        "WSDLRScheduler(optimizer, t_initial=90, decay_t=20, warmup_t=10, stable_fn='power', "
        "stable_power=0.7, decay_fn='linear')",
        "product(PowerLaw(peak=1e-3, amplitude=1e-3 * 10**0.7, b=-0.7, warmup_tokens=10, "
        "tokens_per_step=1, sequences_per_step=1), "
        "WSD(peak=1.0, total_steps=100, decay_steps=20))",
    ),
    ("noise_range_t=...", "", "random: tabulate the rates of a seed with `Tabulated`"),
    ("PlateauLRScheduler(optimizer)", "", PLATEAU),
)

KERAS = rows(
    "Keras",
    ("ExponentialDecay(1e-3, decay_steps=20, decay_rate=0.5)", "Exponential(peak=1e-3, factor=0.5, period_steps=20)"),
    (
        "ExponentialDecay(1e-3, decay_steps=20, decay_rate=0.5, staircase=True)",
        "Staircase(peak=1e-3, factor=0.5, period_steps=20)",
    ),
    (
        "PiecewiseConstantDecay([40, 80], [1e-3, 5e-4, 1e-4])",
        "StepDecay(peak=1e-3, milestones=(41, 81), factors=(0.5, 0.1))",
        "a drop comes one step after its boundary",
    ),
    (
        "PolynomialDecay(1e-3, decay_steps=100, end_learning_rate=1e-4, power=2.0)",
        "PowerDecay(peak=1e-3, total_steps=100, end=1e-4, p=2.0)",
    ),
    (
        "PolynomialDecay(1e-3, decay_steps=50, end_learning_rate=1e-4, cycle=True)",
        "switch(Linear(peak=1e-3, total_steps=50, end=1e-4), Linear(peak=1e-3, total_steps=100, end=1e-4), at=51)",
        "one piece per cycle; theirs never ends",
        (0, 101),
        RISES,
    ),
    (
        "InverseTimeDecay(1e-3, decay_steps=20, decay_rate=0.5)",
        "WSD(peak=1e-3, total_steps=100, decay_steps=100, end=1e-3 / (1 + 0.5 * 100 / 20), decay=profiles.inverse)",
        "",
        (0, 101),
        FALLS,
    ),
    (
        "InverseTimeDecay(1e-3, decay_steps=20, decay_rate=0.5, staircase=True)",
        "sampled(WSD(peak=1e-3, total_steps=100, decay_steps=100, end=1e-3 / (1 + 0.5 * 100 / 20), "
        "decay=profiles.inverse), "
        "every=20)",
        "",
        (0, 120),
        FALLS,
    ),
    ("CosineDecay(1e-3, decay_steps=100, alpha=0.1)", "Cosine(peak=1e-3, total_steps=100, end=1e-4)"),
    (
        "CosineDecay(0.0, decay_steps=90, warmup_target=1e-3, warmup_steps=10)",
        "Cosine(peak=1e-3, total_steps=100, warmup_steps=10)",
        "its `decay_steps` are without the warmup",
    ),
    (
        "CosineDecayRestarts(1e-3, first_decay_steps=50, t_mul=1.0, alpha=0.1)",
        "SGDR(peak=1e-3, period_steps=50, floor=1e-4)",
    ),
    ("CosineDecayRestarts(1e-3, first_decay_steps=20, t_mul=2.0)", "SGDR(peak=1e-3, period_steps=20, growth=2)"),
    (
        "CosineDecayRestarts(1e-3, first_decay_steps=50, t_mul=1.0, m_mul=0.5)",
        "product(SGDR(peak=1e-3, period_steps=50), Staircase(peak=1.0, factor=0.5, period_steps=50))",
    ),
    ("ReduceLROnPlateau()", "", PLATEAU),
)

ROWS = [*OPTAX, *TORCH, *TRANSFORMERS, *TIMM, *KERAS]
