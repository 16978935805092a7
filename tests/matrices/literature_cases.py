"""Schedules of the literature, each with an oracle: rows of the property matrix."""

import optax_lrs as olrs
from matrices.schedule_cases import Case
from optax_lrs import profiles
from oracles import literature as oracles
from oracles import schedules as references


def cases(total: int = 1000) -> list[Case]:
    """Schedules with a horizon of about ``total`` steps."""
    twentieth, fifth, third = total // 20, total // 5, total // 3
    rows = []

    def add(name, oracle, schedule, fields, *, falls=True, **shape):
        rows.append(Case(name, schedule, lambda s: oracle(s, **fields, **shape), falls=falls))

    fields = dict(peak=3e-4, end=3e-5, boundaries=(third, 2 * third, total), warmup_steps=twentieth)
    for name, make in (("of_cycles", olrs.WSDS.of_cycles), ("of_run", olrs.WSDS.of_run)):
        lr = make(**fields, share=0.1)
        add(f"WSDS.{name}", oracles.wsds, lr, fields | dict(decay_steps=lr.decay_steps), falls=False)
    fields = dict(fields, end=0.0, boundaries=(third, total), decay_steps=(0, fifth))
    lr = olrs.WSDS(**fields, decay=profiles.one_minus_sqrt)
    add("WSDS(one_minus_sqrt)", oracles.wsds, lr, fields, falls=False, profile="one_minus_sqrt")

    fields = dict(peak=3e-4, end=3e-5, warmup_steps=twentieth, stable_steps=third, decay_steps=fifth)
    add("WSDC", oracles.wsdc, olrs.WSDC(**fields), fields)
    fields = dict(fields, end=0.0)
    add("WSDC(linear)", oracles.wsdc, olrs.WSDC(**fields, decay=profiles.linear), fields, profile="linear")

    fields = dict(
        peak=3e-4,
        plateau=1.65e-4,
        end=3e-5,
        warmup_steps=twentieth,
        cooldown_steps=third,
        stable_steps=third,
        anneal_steps=fifth,
    )
    add("Infinite", oracles.infinite, olrs.Infinite(**fields), fields)
    for alpha in (10.0, 1.0):
        lr = olrs.Infinite(**fields, cooldown=profiles.inverse_sqrt(alpha))
        add(f"Infinite(inverse_sqrt({alpha}))", oracles.infinite, lr, fields, alpha=alpha)
    fields = dict(fields, end=0.0, anneal_steps=0)
    add("Infinite(anneal_steps=0)", oracles.infinite, olrs.Infinite(**fields), fields)
    budget = dict(peak=3e-4, total_steps=total, decay_steps=fifth)
    lr = olrs.WSD(**budget, decay=profiles.inverse_sqrt())
    rows.append(
        Case(
            "WSD(inverse_sqrt)",
            lr,
            lambda s: 3e-4 * oracles.inverse_sqrt_shape(*references.fraction(s, total - fifth, total)),
        )
    )

    tokens = 2**22 + 1
    fields = dict(
        peak=3e-4,
        tokens_per_step=tokens,
        sequences_per_step=1024,
        warmup_tokens=twentieth * tokens + 77,
        amplitude=3e-4 / 1024 * ((third + 0.5) * tokens) ** 0.51,
    )
    add("PowerLaw", oracles.power_law, olrs.PowerLaw(**fields), fields)
    fields = dict(fields, total_tokens=total * tokens - 1, decay_tokens=fifth * tokens)
    add("PowerLaw(linear)", oracles.power_law, olrs.PowerLaw(**fields), fields)
    fields = dict(fields, end=1e-6)
    lr = olrs.PowerLaw(**fields, decay=profiles.exponential)
    add("PowerLaw(exponential)", oracles.power_law, lr, fields, profile="exponential")

    fields = dict(
        peak=3e-4, warmup_steps=twentieth, timescale_steps=total // 7, total_steps=total, cooldown_steps=fifth
    )
    add("InverseSqrt(cooldown)", oracles.inverse_sqrt, olrs.InverseSqrt(**fields), fields)
    lr = olrs.InverseSqrt(**fields, cooldown=profiles.one_minus_sqrt)
    add("InverseSqrt(one_minus_sqrt)", oracles.inverse_sqrt, lr, fields, profile="one_minus_sqrt")

    budget = dict(peak=3e-4, total_steps=total, warmup_steps=twentieth)
    for p, end in ((1.0, 0.0), (2.0, 3e-6), (0.5, 0.0)):
        fields = dict(budget, end=end, p=p)
        add(f"PowerDecay(p={p})", references.budgeted("power"), olrs.PowerDecay(**fields), fields)
    fields = dict(peak=3e-4, milestones=(third, 2 * third, total), factors=(0.316, 0.1, 0.0), warmup_steps=twentieth)
    add("StepDecay", oracles.step_decay, olrs.StepDecay(**fields), fields)
    for floor in (0.0, 1e-6):
        fields = dict(peak=3e-4, factor=0.5, period_steps=total // 10, warmup_steps=twentieth, floor=floor)
        add(f"Exponential({floor=})", oracles.exponential, olrs.Exponential(**fields), fields)
        add(f"Staircase({floor=})", oracles.exponential, olrs.Staircase(**fields), fields, staircase=True)
    fields = dict(fields, factor=0.9)
    add("Exponential(factor=0.9)", oracles.exponential, olrs.Exponential(**fields), fields)
    for start, end in ((3e-6, 3e-6), (0.0, 0.0)):
        fields = dict(peak=3e-4, start=start, end=end, total_steps=total, warmup_steps=third, q=2.0)
        add(f"SlowStartFastDecay({end=})", oracles.slow_start, olrs.SlowStartFastDecay(**fields), fields, k=6.0)
    for cycles, gamma, end in ((1, 0.0, 3e-5), (1, 0.0, 0.0), (3, 0.2, 0.0), (7, 1.0, 3e-5)):
        fields = dict(budget, cycles=cycles, gamma=gamma, end=end)
        add(
            f"DampedCosine({cycles=}, {end=})",
            oracles.damped_cosine,
            olrs.DampedCosine(**fields),
            fields,
            falls=cycles == 1,
        )

    if total <= 2**30:  # on the device a stretched clock counts the half-steps, in 31 bits
        fields = dict(peak=3e-4, total_steps=total, end=1e-6, phi=0.5)
        add("UBA.at_midpoints", oracles.uba_at_midpoints, olrs.UBA.at_midpoints(**fields), fields)
    return rows
