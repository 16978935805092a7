"""Megatron-LM."""

from peers.row import JUMPS, rows

ROWS = rows(
    "Megatron-LM",
    (
        "lr_decay_style='constant', max_lr=1e-3, lr_warmup_steps=10, lr_decay_steps=100",
        "LinearWarmup(peak=1e-3, warmup_steps=10)",
    ),
    (
        "lr_decay_style='linear', max_lr=1e-3, min_lr=1e-4, lr_warmup_steps=10, lr_decay_steps=100",
        "Linear(peak=1e-3, total_steps=100, warmup_steps=10, end=1e-4)",
    ),
    (
        "lr_decay_style='cosine', max_lr=1e-3, min_lr=1e-4, lr_warmup_steps=10, lr_decay_steps=100",
        "Cosine(peak=1e-3, total_steps=100, warmup_steps=10, end=1e-4)",
    ),
    (
        "lr_decay_style='cosine', init_lr=1e-5, max_lr=1e-3, lr_warmup_steps=10, lr_decay_steps=100",
        "join(LinearWarmup(peak=1e-3, warmup_steps=10, start=1e-5), Cosine(peak=1e-3, total_steps=90), at=10)",
    ),
    (
        "lr_decay_style='inverse-square-root', max_lr=1e-3, min_lr=1e-4, lr_warmup_steps=20, lr_decay_steps=100",
        "InverseSqrt(peak=1e-3, warmup_steps=20)",
        "drops to `min_lr` at the end; ours continues, or cools down (`cooldown_steps`)",
        (0, 101),
        JUMPS,
    ),
    *(
        (
            f"lr_decay_style='WSD', lr_wsd_decay_style='{style}', max_lr=1e-3, min_lr=1e-4, "
            "lr_warmup_steps=10, lr_decay_steps=100, "
            "wsd_decay_steps=20",
            f"WSD(peak=1e-3, total_steps=100, warmup_steps=10, decay_steps=20, end=1e-4{profile})",
        )
        for style, profile in (
            ("linear", ""),
            ("cosine", ", decay=profiles.cosine"),
            ("exponential", ", decay=profiles.shifted_exponential(log(2))"),
            ("minus_sqrt", ", decay=profiles.one_minus_sqrt"),
        )
    ),
    (
        "wd_incr_style='linear', start_wd=0.01, end_wd=0.1, wd_incr_steps=100",
        "LinearWarmup(peak=0.1, warmup_steps=100, start=0.01)",
        "for `decay_weights`",
    ),
    (
        "wd_incr_style='cosine', start_wd=0.01, end_wd=0.1, wd_incr_steps=100",
        "OneCycle(peak=0.1, total_steps=100, warmup_steps=100, start=0.01, end=0.1)",
        "for `decay_weights`",
    ),
)
