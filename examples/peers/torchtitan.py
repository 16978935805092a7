"""torchtitan."""

from peers.row import DIPS, RISES, rows

ROWS = rows(
    "torchtitan",
    (
        "warmup_steps=10, decay_ratio=0.2, decay_type='linear', min_lr_factor=0.1",
        "shifted(WSD(peak=1e-3, total_steps=101, warmup_steps=10, decay_steps=20, end=1e-4), by=-1)",
        "",
        (0, 101),
        DIPS,
    ),
    (
        "warmup_steps=10, decay_ratio=0.2, decay_type='sqrt'",
        "shifted(WSD(peak=1e-3, total_steps=101, warmup_steps=10, decay_steps=20, "
        "decay=profiles.one_minus_sqrt), by=-1)",
        "",
        (0, 101),
        DIPS,
    ),
    (
        "warmup_steps=10, decay_ratio=0.2, decay_type='cosine', min_lr_factor=0.1",
        "shifted(WSD(peak=1e-3, total_steps=101, warmup_steps=10, decay_steps=20, end=1e-4, "
        "decay=profiles.cosine), by=-1)",
        "",
        (0, 101),
        RISES,
    ),
    (
        "warmup_steps=10",
        "shifted(WSD(peak=1e-3, total_steps=101, warmup_steps=10, decay_steps=90), by=-1)",
        "linear, over the rest of the run",
        (0, 101),
        DIPS,
    ),
)
