"""MaxText."""

from peers.row import RISES, rows

ROWS = rows(
    "MaxText",
    (
        "lr_schedule_type='cosine', learning_rate=1e-3, steps=100, warmup_steps_fraction=0.1, "
        "learning_rate_final_fraction=0.1",
        "Cosine(peak=1e-3, total_steps=99, warmup_steps=10, end=1e-4)",
        "some versions reach the peak a step earlier, and repeat it",
        (0, 100),
        RISES,
    ),
    (
        "lr_schedule_type='cosine', learning_rate=1e-3, steps=120, learning_rate_schedule_steps=100, "
        "warmup_steps_fraction=0.1, learning_rate_final_fraction=0.1",
        "switch(Cosine(peak=1e-3, total_steps=99, warmup_steps=10, end=1e-4), Constant(value=0.0), at=100)",
        "the tail at rate zero is intended",
    ),
    (
        "lr_schedule_type='wsd', learning_rate=1e-3, steps=100, warmup_steps_fraction=0.1, "
        "wsd_decay_steps_fraction=0.2, "
        "learning_rate_final_fraction=0.1",
        "WSD(peak=1e-3, total_steps=99, warmup_steps=10, decay_steps=19, end=1e-4)",
        "with a decay of one step it never decays",
    ),
    (
        "lr_schedule_type='wsd', learning_rate=1e-3, steps=100, warmup_steps_fraction=0.1, "
        "wsd_decay_steps_fraction=0.2, "
        "wsd_decay_style='cosine', learning_rate_final_fraction=0.1",
        "WSD(peak=1e-3, total_steps=99, warmup_steps=10, decay_steps=19, end=1e-4, decay=profiles.cosine)",
        "",
        (0, 100),
        RISES,
    ),
)
