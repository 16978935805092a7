"""Training frameworks: MaxText, Levanter, AXLearn, Megatron-LM, torchtitan, big_vision and t5x."""

from peers import DIFFERS, DIPS, JUMPS, RISES, rows

MAXTEXT = rows(
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

LEVANTER = rows(
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

AXLEARN = rows(
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

MEGATRON = rows(
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

TORCHTITAN = rows(
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

BIG_VISION = rows(
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

T5X = rows(
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

ROWS = [*MAXTEXT, *LEVANTER, *AXLEARN, *MEGATRON, *TORCHTITAN, *BIG_VISION, *T5X]
