"""timm."""

from peers.row import JUMPS, PLATEAU, rows

ROWS = rows(
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
