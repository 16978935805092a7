"""Schedules of continual pre-training, each with an oracle: rows of the property matrix."""

import optax_lrs as olrs
from matrices.schedule_cases import Case
from optax_lrs import profiles
from oracles import continual as oracles
from oracles import schedules as references


def cases(total: int = 1000) -> list[Case]:
    """Re-warmed and cooled schedules with a horizon of about ``total`` steps."""
    warmup, fifth, third = total // 20, total // 5, total // 3
    old = dict(peak=3e-4, total_steps=third, warmup_steps=warmup, end=3e-5)
    again = dict(at=third, peak=2e-4, warmup_steps=warmup, decay_steps=total - third - warmup)
    early = dict(at=fifth, peak=1e-4, warmup_steps=warmup, decay_steps=fifth)
    cosine, root = references.budgeted("cosine"), references.inverse_sqrt
    endless = dict(peak=3e-4, warmup_steps=warmup)
    cool = dict(at=2 * third, steps=fifth)

    def before(steps):
        return cosine(steps, **old)

    def falling(steps):
        return root(steps, **endless)

    def rewarmed(rate, fields, **others):
        return oracles.rewarmed(rate, **fields, **{"end": fields["peak"] / 10} | others)

    def cooled(rate, at, steps, **others):
        return oracles.cooled(rate, at=at, decay_steps=steps, **others)

    schedule, forever = olrs.Cosine(**old), olrs.InverseSqrt(**endless)
    twice = dict(at=(fifth, third), peak=(1e-4, 2e-4), warmup_steps=warmup, decay_steps=(None, total - third - warmup))
    once = rewarmed(before, early | dict(decay_steps=third - fifth - warmup), start=None)
    exponential = dict(profile=profiles.exponential, end=3e-6)
    kept = again | dict(decay_steps=1)
    return [
        Case(
            "rewarm(start, exponential)",
            olrs.rewarm(forever, **again, start=1e-5, **exponential),
            rewarmed(falling, again, start=1e-5, profile="exponential", end=3e-6),
            falls=False,
        ),
        Case(
            "rewarm(start=None) twice",
            olrs.rewarm(schedule, **twice, start=None),
            rewarmed(once, again, start=None),
            falls=False,
        ),
        Case("with_cooldown", olrs.with_cooldown(forever, **cool), cooled(falling, **cool)),
        Case(
            "with_cooldown(exponential) of rewarm(decay_steps=0)",
            olrs.with_cooldown(olrs.rewarm(schedule, **again | dict(decay_steps=0)), **cool, **exponential),
            cooled(rewarmed(before, kept, end=kept["peak"]), **cool, profile="exponential", end=3e-6),
            falls=False,
        ),
    ]
