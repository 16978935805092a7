"""PyTorch."""

from peers.row import FALLS, PLATEAU, RAISES, RISES, rows

ROWS = rows(
    "PyTorch",
    (
        "LambdaLR(optimizer, f)",
        "Tabulated(lrs=[1e-3 * f(s) for s in range(101)])",
        "or your own `Schedule`; the table ends",
        (0, 101),
        FALLS,
    ),
    (
        "MultiplicativeLR(optimizer, f)",
        "Tabulated(lrs=[1e-3 * prod(map(f, range(1, s + 1))) for s in range(101)])",
        "likewise",
        (0, 101),
        FALLS,
    ),
    ("StepLR(optimizer, step_size=30, gamma=0.1)", "Staircase(peak=1e-3, factor=0.1, period_steps=30)"),
    (
        "MultiStepLR(optimizer, milestones=[30, 80], gamma=0.1)",
        "StepDecay.by(factor=0.1, peak=1e-3, milestones=(30, 80))",
    ),
    ("ConstantLR(optimizer, factor=0.5, total_iters=20)", "join(Constant(value=5e-4), Constant(value=1e-3), at=20)"),
    ("LinearLR(optimizer, start_factor=0.1, total_iters=10)", "LinearWarmup(peak=1e-3, warmup_steps=10, start=1e-4)"),
    (
        "LinearLR(optimizer, start_factor=1.0, end_factor=0.1, total_iters=100)",
        "Linear(peak=1e-3, total_steps=100, end=1e-4)",
    ),
    ("ExponentialLR(optimizer, gamma=0.97)", "Exponential(peak=1e-3, factor=0.97)"),
    ("PolynomialLR(optimizer, total_iters=100, power=2.0)", "PowerDecay(peak=1e-3, total_steps=100, p=2.0)"),
    (
        "CosineAnnealingLR(optimizer, T_max=100, eta_min=1e-4)",
        "Cosine(peak=1e-3, total_steps=100, end=1e-4)",
        "",
        (0, 101),
        RISES,
    ),
    (
        "CosineAnnealingWarmRestarts(optimizer, T_0=20, T_mult=2, eta_min=1e-4)",
        "SGDR(peak=1e-3, period_steps=20, growth=2, floor=1e-4)",
    ),
    (
        "CyclicLR(optimizer, base_lr=1e-4, max_lr=1e-3, step_size_up=20)",
        "Triangular(peak=1e-3, floor=1e-4, period_steps=40)",
    ),
    (
        "CyclicLR(optimizer, base_lr=1e-4, max_lr=1e-3, step_size_up=20, mode='triangular2')",
        "Triangular2(peak=1e-3, floor=1e-4, period_steps=40)",
    ),
    (
        "CyclicLR(optimizer, base_lr=1e-4, max_lr=1e-3, step_size_up=20, mode='exp_range', gamma=0.99)",
        "ExpRange(peak=1e-3, floor=1e-4, period_steps=40, h=-log(2) / (40 * log(0.99)))",
    ),
    (
        "CyclicLR(optimizer, base_lr=1e-4, max_lr=1e-3, step_size_up=10, step_size_down=30)",
        "cycled(Tabulated(lrs=[1e-4, 1e-3, 1e-4], steps=[0, 10, 40]), period_steps=40)",
    ),
    (
        "OneCycleLR(optimizer, max_lr=1e-3, total_steps=100)",
        "OneCycle(peak=1e-3, total_steps=99, warmup_steps=29, start=4e-5, end=4e-9)",
        "the last update uses the end rate; for its momentum, use `Tabulated`",
        (0, 100),
        RAISES,
    ),
    (
        "OneCycleLR(optimizer, max_lr=1e-3, total_steps=100, anneal_strategy='linear')",
        "OneCycle(peak=1e-3, total_steps=99, warmup_steps=29, start=4e-5, end=4e-9, decay=profiles.linear)",
        "",
        (0, 100),
        RAISES,
    ),
    (
        "OneCycleLR(optimizer, max_lr=1e-3, total_steps=100, three_phase=True)",
        "OneCycle(peak=1e-3, total_steps=99, warmup_steps=29, anneal_steps=41, start=4e-5, end=4e-9)",
        "",
        (0, 100),
        RAISES,
    ),
    ("SWALR(optimizer, swa_lr=1e-4, anneal_epochs=10)", "Cosine(peak=1e-3, total_steps=10, end=1e-4)"),
    (
        "SWALR(optimizer, swa_lr=1e-4, anneal_epochs=10, anneal_strategy='linear')",
        "Linear(peak=1e-3, total_steps=10, end=1e-4)",
    ),
    (
        "SequentialLR(optimizer, [LinearLR(optimizer, 0.1, total_iters=10), CosineAnnealingLR(optimizer, T_max=90)], "
        "milestones=[10])",
        "join(LinearWarmup(peak=1e-3, warmup_steps=10, start=1e-4), Cosine(peak=1e-3, total_steps=90), at=10)",
        "",
        (0, 101),
        RISES,
    ),
    (
        "ChainedScheduler([LinearLR(optimizer, 0.1, total_iters=10), ExponentialLR(optimizer, gamma=0.97)])",
        "product(LinearWarmup(peak=1.0, warmup_steps=10, start=0.1), Exponential(peak=1e-3, factor=0.97))",
    ),
    ("ReduceLROnPlateau(optimizer)", "", PLATEAU),
)
