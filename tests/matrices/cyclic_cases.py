"""Cyclic schedules, one-cycle and warmups: rows of the property matrix."""

import optax_lrs as olrs
from matrices.schedule_cases import Case
from optax_lrs import profiles
from oracles import cyclic as references


def cases(total: int = 1000) -> list[Case]:
    """All of them, with a horizon of about ``total`` steps."""
    fifth, twentieth = total // 5, total // 20
    quarters = fifth // 4 * 4

    def row(cls, oracle, **fields):
        name = f"{cls.__name__}({', '.join(f'{k}={v}' for k, v in fields.items())})"
        return Case(name, cls(**fields), lambda s: oracle(s, **fields), falls=False)

    wave = dict(peak=6e-3, period_steps=quarters)
    rows = [
        row(olrs.Triangular, references.triangular, **wave),
        row(olrs.Triangular, references.triangular, **wave, floor=1e-3),
        row(olrs.Triangular, references.triangular, peak=1.0, period_steps=7),
        row(olrs.Triangular2, references.triangular2, **wave),
        row(olrs.Triangular2, references.triangular2, **wave, floor=1e-3),
        row(olrs.Triangular2, references.triangular2, peak=1.0, period_steps=twentieth),
        row(olrs.ExpRange, references.exp_range, **wave, h=1.1),
        row(olrs.ExpRange, references.exp_range, **wave, h=37.7, floor=1e-3),
        row(olrs.ExpRange, references.exp_range, peak=1.0, period_steps=twentieth, h=0.7),
        row(olrs.CyclicReflex, references.cyclic_reflex, value=3e-4, amplitude=1e-4, period_steps=quarters),
        row(olrs.CyclicReflex, references.cyclic_reflex, value=3e-4, amplitude=3e-4, period_steps=fifth + 1),
    ]
    cycle = dict(peak=3e-4, period_steps=fifth)
    rows += [
        row(olrs.SGDR, references.sgdr, **cycle),
        row(olrs.SGDR, references.sgdr, **cycle, cycles=5, warmup_steps=twentieth),
        row(olrs.SGDR, references.sgdr, **cycle, cycles=4, warmup_steps=twentieth, floor=1e-5),
        row(olrs.SGDR, references.sgdr, peak=3e-4, period_steps=10, growth=2, floor=1e-6),
        row(olrs.SGDR, references.sgdr, peak=3e-4, period_steps=10, growth=2, warmup_steps=3),
        row(olrs.SGDR, references.sgdr, peak=3e-4, period_steps=total // 13, growth=3, warmup_steps=1, cycles=3),
    ]
    once = dict(peak=0.1, total_steps=total, start=0.004)
    for decay, name in (
        (profiles.cosine, "cosine"),
        (profiles.linear, "linear"),
        (profiles.one_minus_square, "one_minus_square"),
    ):
        for fields in (dict(), dict(end=1e-5), dict(anneal_steps=fifth, end=4e-7), dict(anneal_steps=0)):
            shape = dict(warmup_steps=3 * fifth // 2, **once, **fields)
            rows.append(
                Case(
                    f"OneCycle({shape}, decay={decay})",
                    olrs.OneCycle(**shape, decay=decay),
                    lambda s, f=shape, n=name: references.one_cycle(s, **f, profile=n),
                    falls=False,
                )
            )
    shape = dict(**once, warmup_steps=fifth, end=1e-5)
    rows.append(
        Case(
            "OneCycle(exponential)",
            olrs.OneCycle(**shape, decay=profiles.exponential),
            lambda s, f=shape: references.one_cycle(s, **f, profile="exponential"),
            falls=False,
        )
    )
    for start, rise, name in (
        (0.0, profiles.linear, "linear"),
        (1e-7, profiles.linear, "linear"),
        (1e-7, profiles.exponential, "exponential"),
        (1e-7, profiles.cosine, "cosine"),
    ):
        schedule = olrs.RangeTest(start=start, peak=1.0, total_steps=total, rise=rise)
        rows.append(
            Case(
                f"RangeTest({start=}, {rise=})",
                schedule,
                lambda s, a=start, n=name: references.interpolated(s, 0, total, a, 1.0, n),
                falls=False,
            )
        )
    for start in (0.0, 1e-6):
        rows.append(
            Case(
                f"LinearWarmup({start=})",
                olrs.LinearWarmup(peak=1e-3, warmup_steps=fifth, start=start),
                lambda s, a=start: references.interpolated(s, 0, fifth, a, 1e-3, "linear"),
                falls=False,
            )
        )
    warm = references.exponential_warmup
    rows += [
        row(olrs.ExponentialWarmup, warm, peak=1e-3, timescale_steps=fifth),
        row(olrs.ExponentialWarmup, warm, peak=1e-3, timescale_steps=1000),
    ]
    for timescale in (3, 20, 223, 1000, 10**5):  # of the optimizer, whatever the horizon
        rows.append(row(olrs.RectifiedWarmup, references.rectified_warmup, peak=1e-3, timescale_steps=timescale))
    return rows
