"""The combinators of schedules, each with an oracle: rows of the property matrix."""

import numpy as np

import optax_lrs as olrs
from matrices.schedule_cases import Case
from oracles import combinators as combined
from oracles import schedules as references


def cases(total: int = 1000) -> list[Case]:
    warmup, third, tenth = total // 20, total // 3, total // 10
    budget = dict(peak=3e-4, total_steps=total, warmup_steps=warmup, end=3e-6)
    short = budget | dict(total_steps=third, warmup_steps=third // 10)
    share = dict(peak=1.0, total_steps=total, decay_steps=total // 5)
    bump = dict(peak=1e-4, total_steps=third, warmup_steps=warmup)
    cosine, linear, rex, wsd = (*map(references.budgeted, ("cosine", "linear", "rex")), references.wsd)

    def named(rate, fields):
        return lambda steps: rate(steps, **fields)

    rows = [
        Case(
            "product",
            olrs.product(olrs.InverseSqrt(peak=3e-4, warmup_steps=warmup), olrs.WSD(**share)),
            lambda s: references.inverse_sqrt(s, peak=3e-4, warmup_steps=warmup) * wsd(s, **share),
        ),
        Case(
            "product of three",
            olrs.product(*[olrs.Cosine(**budget | dict(peak=1.0))] * 2, olrs.REX(**budget, d=0.5)),
            lambda s: cosine(s, **budget | dict(peak=1.0)) ** 2 * rex(s, **budget, d=0.5),
        ),
        Case(
            "summed",
            olrs.summed(olrs.Cosine(**budget), olrs.Linear(**bump)),
            lambda s: cosine(s, **budget) + linear(s, **bump),
            falls=False,
        ),
        Case(
            "clipped(floor)",
            olrs.clipped(olrs.Cosine(**budget), floor=3e-5),
            lambda s: np.fmax(cosine(s, **budget), 3e-5),
        ),
        Case(
            "clipped(ceiling)",
            olrs.clipped(olrs.Cosine(**budget), ceiling=2e-4),
            lambda s: np.fmin(cosine(s, **budget), 2e-4),
        ),
        Case(
            "clipped",
            olrs.clipped(olrs.Linear(**budget), floor=3e-5, ceiling=2e-4),
            lambda s: np.clip(linear(s, **budget), 3e-5, 2e-4),
        ),
        Case(
            "cycled",
            olrs.cycled(olrs.Cosine(**short), period_steps=third),
            combined.cycled(named(cosine, short), period=third),
            falls=False,
        ),
        Case(
            "cycled(cycles=3)",
            olrs.cycled(olrs.Linear(**short), period_steps=third, cycles=3),
            combined.cycled(named(linear, short), period=third, cycles=3),
            falls=False,
        ),
        Case(
            "cycled, part of it",
            olrs.cycled(olrs.Cosine(**budget), period_steps=third - 1, cycles=2),
            combined.cycled(named(cosine, budget), period=third - 1, cycles=2),
            falls=False,
        ),
        Case(
            "cycled and sampled",
            olrs.product(
                olrs.cycled(olrs.Cosine(**short), period_steps=third), olrs.sampled(olrs.WSD(**share), every=third)
            ),
            lambda s: (
                combined.cycled(named(cosine, short), period=third)(s)
                * combined.sampled(named(wsd, share), every=third)(s)
            ),
            falls=False,
        ),
        Case(
            "sampled(every)",
            olrs.sampled(olrs.REX(**budget, d=0.5), every=max(tenth, 1)),
            combined.sampled(lambda s: rex(s, **budget, d=0.5), every=max(tenth, 1)),
            falls=False,
        ),
        Case(
            "sampled(every=7)",
            olrs.sampled(olrs.Cosine(**budget), every=7),
            combined.sampled(named(cosine, budget), every=7),
            falls=False,
        ),
        Case(
            "sampled(at)",
            olrs.sampled(olrs.REX(**budget, d=0.5), at=[total // 4, total // 2, total - 3]),
            combined.sampled_at(lambda s: rex(s, **budget, d=0.5), milestones=[total // 4, total // 2, total - 3]),
            falls=False,
        ),
    ]

    per = 2**22  # 9e15 tokens at the longest horizon: a float64 oracle can still count them
    tokens = dict(peak=3e-4, total_steps=total * per, warmup_steps=warmup * per, end=3e-6)
    uneven = tokens | dict(total_steps=total * per - 12_345, warmup_steps=warmup * per + 12_345)
    ramp, at = [per // 4, per // 2 + 1, per], [third, third + tenth]
    ramped = dict(
        peak=3e-4,
        total_steps=int(combined.on_tokens(lambda t: t, per_step=ramp, boundaries=at)(total)),
        warmup_steps=warmup * (per // 4) + 1,
        end=3e-6,
    )
    rows += [
        Case(
            "on_tokens",
            olrs.on_tokens(olrs.Cosine(**tokens), tokens_per_step=per),
            combined.on_tokens(named(cosine, tokens), per_step=[per]),
        ),
        Case(
            "on_tokens, ends within a step",
            olrs.on_tokens(olrs.Linear(**uneven), tokens_per_step=per),
            combined.on_tokens(named(linear, uneven), per_step=[per]),
        ),
        Case(
            "on_tokens(ramp)",
            olrs.on_tokens(olrs.Cosine(**ramped), tokens_per_step=ramp, at=at),
            combined.on_tokens(named(cosine, ramped), per_step=ramp, boundaries=at),
        ),
        Case(
            "on_tokens(ramp of a table)",
            olrs.on_tokens(
                olrs.Tabulated(lrs=[0.0, 3e-4, 1e-4], steps=[0, third * per // 2 + 5, ramped["total_steps"]]),
                tokens_per_step=ramp,
                at=at,
            ),
            combined.on_tokens(
                lambda t: references.tabulated(
                    t, lrs=[0.0, 3e-4, 1e-4], at=[0, third * per // 2 + 5, ramped["total_steps"]]
                ),
                per_step=ramp,
                boundaries=at,
            ),
            falls=False,
        ),
    ]
    return rows
