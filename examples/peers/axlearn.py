"""AXLearn."""

from peers.row import JUMPS, rows

ROWS = rows(
    "AXLearn",
    (
        "polynomial(begin_step=20, begin_value=1e-3, end_step=100, end_value=1e-4, power=1)",
        "WSD(peak=1e-3, total_steps=100, decay_steps=80, end=1e-4)",
    ),
    (
        "polynomial(begin_step=20, begin_value=1e-3, end_step=100, end_value=1e-4, power=2)",
        "WSD(peak=1e-3, total_steps=100, decay_steps=80, end=1e-4, decay=profiles.one_minus_square)",
        "a power of the elapsed share, not of the remaining share as in Optax",
    ),
    (
        "exponential(begin_step=20, begin_value=1e-3, end_step=100, end_value=1e-5)",
        "WSD(peak=1e-3, total_steps=100, decay_steps=80, end=1e-5, decay=profiles.exponential)",
    ),
    ("inverse_sqrt(warmup_steps=25)", "shifted(InverseSqrt(peak=0.2, timescale_steps=25), by=25)"),
    ("adafactor(scale=0.05, warmup_steps=25)", "InverseSqrt(peak=0.01, warmup_steps=25)"),
    (
        "adafactor(scale=0.05, warmup_steps=25, step_offset=1)",
        "shifted(InverseSqrt(peak=0.01, warmup_steps=25), by=-1)",
    ),
    (
        "stepwise([1e-3, polynomial(begin_value=1e-3, end_step=50)], [20])",
        "join(Constant(value=1e-3), Linear(peak=1e-3, total_steps=50), at=20)",
    ),
    (
        "cosine_with_linear_warmup(1e-3, max_step=100, warmup_steps=10, alpha=0.1)",
        "Cosine(peak=1e-3, total_steps=100, warmup_steps=10, end=1e-4)",
        "the same function of the step",
    ),
    (
        "cosine_with_linear_warmup(1e-3, max_step=100, warmup_steps=10, decay_begin_step=50)",
        "WSD(peak=1e-3, total_steps=100, warmup_steps=10, decay_steps=50, decay=profiles.cosine)",
    ),
    (
        "cosine_with_linear_warmup(1e-3, max_step=100, warmup_steps=0)",
        "Cosine(peak=1e-3, total_steps=100)",
        "its segments count from 1, so step 0 has rate zero",
        (1, None),
        JUMPS,
    ),
    ("constant_with_linear_warmup(1e-3, warmup_steps=10)", "LinearWarmup(peak=1e-3, warmup_steps=10)"),
    (
        "linear_schedule_with_warmup(1e-3, max_step=100, warmup_steps=10, end_value=1e-4)",
        "Linear(peak=1e-3, total_steps=100, warmup_steps=10, end=1e-4)",
    ),
    ("warmup_stable_decay(...)", "", "`WSD`; its conventions were not verified"),
    (
        "ema_schedule(), decay_bias_correction(), adafactor_decay_rate()",
        "",
        "coefficients of averages, not rates: `optax.ema`, `optax.adafactor`",
    ),
)
