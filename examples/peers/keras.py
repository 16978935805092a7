"""Keras."""

from peers.row import FALLS, PLATEAU, RISES, rows

ROWS = rows(
    "Keras",
    ("ExponentialDecay(1e-3, decay_steps=20, decay_rate=0.5)", "Exponential(peak=1e-3, factor=0.5, period_steps=20)"),
    (
        "ExponentialDecay(1e-3, decay_steps=20, decay_rate=0.5, staircase=True)",
        "Staircase(peak=1e-3, factor=0.5, period_steps=20)",
    ),
    (
        "PiecewiseConstantDecay([40, 80], [1e-3, 5e-4, 1e-4])",
        "StepDecay(peak=1e-3, milestones=(41, 81), factors=(0.5, 0.1))",
        "a drop comes one step after its boundary",
    ),
    (
        "PolynomialDecay(1e-3, decay_steps=100, end_learning_rate=1e-4, power=2.0)",
        "PowerDecay(peak=1e-3, total_steps=100, end=1e-4, p=2.0)",
    ),
    (
        "PolynomialDecay(1e-3, decay_steps=50, end_learning_rate=1e-4, cycle=True)",
        "switch(Linear(peak=1e-3, total_steps=50, end=1e-4), Linear(peak=1e-3, total_steps=100, end=1e-4), at=51)",
        "one piece per cycle; theirs never ends",
        (0, 101),
        RISES,
    ),
    (
        "InverseTimeDecay(1e-3, decay_steps=20, decay_rate=0.5)",
        "WSD(peak=1e-3, total_steps=100, decay_steps=100, end=1e-3 / (1 + 0.5 * 100 / 20), decay=profiles.inverse)",
        "",
        (0, 101),
        FALLS,
    ),
    (
        "InverseTimeDecay(1e-3, decay_steps=20, decay_rate=0.5, staircase=True)",
        "sampled(WSD(peak=1e-3, total_steps=100, decay_steps=100, end=1e-3 / (1 + 0.5 * 100 / 20), "
        "decay=profiles.inverse), "
        "every=20)",
        "",
        (0, 120),
        FALLS,
    ),
    ("CosineDecay(1e-3, decay_steps=100, alpha=0.1)", "Cosine(peak=1e-3, total_steps=100, end=1e-4)"),
    (
        "CosineDecay(0.0, decay_steps=90, warmup_target=1e-3, warmup_steps=10)",
        "Cosine(peak=1e-3, total_steps=100, warmup_steps=10)",
        "its `decay_steps` are without the warmup",
    ),
    (
        "CosineDecayRestarts(1e-3, first_decay_steps=50, t_mul=1.0, alpha=0.1)",
        "SGDR(peak=1e-3, period_steps=50, floor=1e-4)",
    ),
    ("CosineDecayRestarts(1e-3, first_decay_steps=20, t_mul=2.0)", "SGDR(peak=1e-3, period_steps=20, growth=2)"),
    (
        "CosineDecayRestarts(1e-3, first_decay_steps=50, t_mul=1.0, m_mul=0.5)",
        "product(SGDR(peak=1e-3, period_steps=50), Staircase(peak=1.0, factor=0.5, period_steps=50))",
    ),
    ("ReduceLROnPlateau()", "", PLATEAU),
)
