"""Optax."""

from peers.row import PLATEAU, rows

ROWS = rows(
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
