"""Transformers."""

from peers.row import PLATEAU, RISES, rows

ROWS = rows(
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
