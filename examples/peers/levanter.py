"""Levanter."""

from peers.row import DIFFERS, rows

ROWS = rows(
    "Levanter",
    ("lr_schedule='constant', learning_rate=1e-3, warmup=10", "LinearWarmup(peak=1e-3, warmup_steps=10)"),
    (
        "lr_schedule='cosine', learning_rate=1e-3, warmup=10, min_lr_ratio=0.1",
        "Cosine(peak=1e-3, total_steps=100, warmup_steps=10, end=1e-4)",
        "`warmup=1` is 100% of the run there; ours counts steps, and `Horizon.fraction` converts shares",
    ),
    (
        "lr_schedule='linear', learning_rate=1e-3, warmup=0.1, min_lr_ratio=0.1",
        "Linear(peak=1e-3, total_steps=100, warmup_steps=10, end=1e-4)",
    ),
    (
        "lr_schedule='linear', learning_rate=1e-3, warmup=10, decay=0.2, min_lr_ratio=0.1",
        "WSD(peak=1e-3, total_steps=100, warmup_steps=10, decay_steps=20, end=1e-4)",
        "accepts phases longer than the run; ours raises",
    ),
    (
        "lr_schedule=InvSqrtLrSchedule(timescale=40), learning_rate=1e-3, warmup=10, min_lr_ratio=0.1",
        "join(LinearWarmup(peak=1e-3, warmup_steps=10), clipped(InverseSqrt(peak=1e-3, "
        "timescale_steps=40), floor=1e-4), at=40)",
        "flat until the timescale, by default 10,000 steps",
    ),
    (
        "lr_schedule='inv', learning_rate=1e-3, warmup=10, decay=40, min_lr_ratio=0.1",
        "WSD(peak=1e-3, total_steps=100, warmup_steps=10, decay_steps=40, end=1e-4, decay=profiles.inverse)",
        "skips the first rate of the decay, here at step 60",
        (61, None),
        DIFFERS,
    ),
    (
        "lr_schedule=PowerLrSchedule(batch_size=8, seq_length=4), learning_rate=1e-3, warmup=10",
        "join(LinearWarmup(peak=1e-3, warmup_steps=10), "
        "PowerLaw(peak=1e-3, amplitude=4.6, sequences_per_step=8, tokens_per_step=32), at=10)",
        "counts tokens from the end of the warmup",
    ),
    (
        "lr_schedule='linear', learning_rate=1e-3, warmup=5, cycles=[30, 70], decay=0.2, min_lr_ratio=0.1",
        "WSDS.of_cycles(peak=1e-3, boundaries=(30, 70, 100), share=0.2, warmup_steps=5, end=1e-4, "
        "decay=profiles.linear)",
    ),
    (
        "lr_schedule='linear', learning_rate=1e-3, warmup=5, cycles=2, rewarmup=5, decay=10, min_lr_ratio=0.1",
        "join(WSD(peak=1e-3, total_steps=50, warmup_steps=5, decay_steps=10, end=1e-4), "
        "LinearWarmup(peak=1e-3, warmup_steps=5, start=1e-4), WSD(peak=1e-3, total_steps=45, "
        "decay_steps=10, end=1e-4), "
        "at=(50, 55))",
    ),
)
