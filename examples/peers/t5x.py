"""t5x."""

from peers.row import rows

ROWS = rows(
    "t5x",
    (
        "factors='constant * linear_warmup * rsqrt_decay', base_learning_rate=0.05, warmup_steps=25",
        "InverseSqrt(peak=0.05 * 25**-0.5, warmup_steps=25)",
        "at step 0 its rate is `min_learning_rate`, 1e-8",
        (1, None),
    ),
    (
        "factors='constant * rsqrt_decay', base_learning_rate=0.05, warmup_steps=25",
        "shifted(InverseSqrt(peak=0.05 * 25**-0.5, timescale_steps=25), by=25)",
    ),
    (
        "factors='constant * linear_warmup * rsqrt_normalized_decay', base_learning_rate=1e-3, warmup_steps=10",
        "InverseSqrt(peak=1e-3, warmup_steps=10)",
        "",
        (1, None),
    ),
    (
        "factors='constant * linear_warmup * decay_every', base_learning_rate=1e-3, warmup_steps=10, "
        "decay_factor=0.5, steps_per_decay=30",
        "product(LinearWarmup(peak=1.0, warmup_steps=10), Staircase(peak=1e-3, factor=0.5, period_steps=30))",
        "for any factors: `product`",
        (1, None),
    ),
    (
        "factors='constant * linear_warmup * cosine_decay', base_learning_rate=1e-3, warmup_steps=10, "
        "steps_per_cycle=45",
        "join(LinearWarmup(peak=1e-3, warmup_steps=10), SGDR(peak=1e-3, period_steps=45), at=10)",
        "",
        (1, None),
    ),
    (
        "factors='linear_decay', base_learning_rate=1e-3, warmup_steps=10, decay_factor=1 / 90",
        "clipped(Linear(peak=1e-3, total_steps=100, warmup_steps=10), floor=1e-8)",
        "its `min_learning_rate` applies from step 0",
    ),
)
