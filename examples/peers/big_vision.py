"""big_vision."""

from peers.row import DIPS, rows

ROWS = rows(
    "big_vision",
    (
        "decay_type='linear', base=1e-3, total_steps=100, warmup_steps=10, linear_end=1e-4",
        "Linear(peak=1e-3, total_steps=100, warmup_steps=10, end=1e-4)",
    ),
    (
        "decay_type='polynomial', base=1e-3, total_steps=100, warmup_steps=10, power=2",
        "PowerDecay(peak=1e-3, total_steps=100, warmup_steps=10, p=2.0)",
    ),
    (
        "decay_type='cosine', base=1e-3, total_steps=100, warmup_steps=10",
        "Cosine(peak=1e-3, total_steps=100, warmup_steps=10)",
    ),
    (
        "decay_type='rsqrt', base=1e-3, total_steps=100, warmup_steps=10, timescale=40",
        "InverseSqrt(peak=1e-3, warmup_steps=10, timescale_steps=40)",
    ),
    (
        "decay_type='rsqrt', base=1e-3, total_steps=100, warmup_steps=10, timescale=40, shift=60",
        "InverseSqrt(peak=1e-3 * (1 + 60 / 40)**-0.5, warmup_steps=10, timescale_steps=100)",
    ),
    (
        "decay_type='rsqrt', base=1e-3, total_steps=100, warmup_steps=10, cooldown_steps=20, timescale=40",
        "InverseSqrt(peak=1e-3, total_steps=100, warmup_steps=10, timescale_steps=40, cooldown_steps=20)",
        "",
        (0, 101),
        DIPS,
    ),
    (
        "decay_type='stair', base=1e-3, total_steps=100, warmup_steps=10, steps=[40, 80], mults=[0.5, 0.1]",
        "StepDecay(peak=1e-3, milestones=(40, 80), factors=(0.5, 0.1), warmup_steps=10)",
    ),
)
