"""Every schedule of the package and its oracle: rows of the property matrix."""

import dataclasses
from collections.abc import Callable

import optax_lrs as olrs
from optax_lrs import profiles
from oracles import schedules as references


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    schedule: olrs.Schedule
    oracle: Callable | None = None  # steps → float64 rates
    falls: bool = True  # never rises after the warmup

    def __str__(self):
        return self.name


def package_schedules() -> list[type[olrs.Schedule]]:
    return [
        cls
        for cls in olrs.Schedule.registry.values()
        if issubclass(cls, olrs.Schedule) and cls.__module__.startswith("optax_lrs.")
    ]


DECAYS = [
    (profiles.linear, "linear", {}),
    (profiles.cosine, "cosine", {}),
    (profiles.mirror_cosine, "mirror_cosine", {}),
    (profiles.one_minus_sqrt, "one_minus_sqrt", {}),
    (profiles.one_minus_square, "one_minus_square", {}),
    (profiles.power(1.5), "power", dict(p=1.5)),
    (profiles.power(0.3), "power", dict(p=0.3)),
    (profiles.power(4.0), "power", dict(p=4.0)),
    (profiles.rex(), "rex", dict(d=0.5)),
    (profiles.rex(0.9), "rex", dict(d=0.9)),
    (profiles.rex(-1.0), "rex", dict(d=-1.0)),
    (profiles.uba(), "uba", dict(phi=1.0)),
    (profiles.uba(10.0), "uba", dict(phi=10.0)),
    (profiles.cosine_power(), "cosine_power", dict(p=10.0)),
    (profiles.cosine_power(2.0), "cosine_power", dict(p=2.0)),
    (profiles.shifted_exponential(), "shifted_exponential", dict(k=1.0)),
    (profiles.shifted_exponential(-2.0), "shifted_exponential", dict(k=-2.0)),
    (profiles.half_life(0.2), "half_life", dict(h=0.2)),
    (profiles.exponential, "exponential", {}),
    (profiles.inverse, "inverse", {}),
]


def cases(total: int = 1000) -> list[Case]:
    """All schedules of the package with a horizon of about ``total`` steps."""
    from matrices import combinators_cases as cases_combinators
    from matrices import continual_cases as cases_continual
    from matrices import cyclic_cases as cases_cyclic
    from matrices import literature_cases as cases_literature

    areas = (cases_literature, cases_cyclic, cases_combinators, cases_continual)
    return [*foundation(total), *(case for area in areas for case in area.cases(total))]


def foundation(total: int) -> list[Case]:
    """The basic schedules and combinators."""
    warmup, decay, third = total // 20, total // 5, total // 3
    budget = dict(peak=3e-4, total_steps=total, warmup_steps=warmup)

    def budgeted(cls, profile, **fields):
        name = f"{cls.__name__}({', '.join(f'{k}={v}' for k, v in fields.items())})"
        return Case(name, cls(**budget, **fields), lambda s: references.budgeted(profile)(s, **budget, **fields))

    rows = [
        Case("Constant", olrs.Constant(value=3e-4), lambda s: 3e-4 + 0.0 * s),
        budgeted(olrs.Linear, "linear"),
        budgeted(olrs.Linear, "linear", end=3e-5),
        budgeted(olrs.Cosine, "cosine"),
        budgeted(olrs.Cosine, "cosine", end=3e-5),
        budgeted(olrs.REX, "rex", d=0.5),
        budgeted(olrs.REX, "rex", d=0.9, end=1e-6),
        budgeted(olrs.UBA, "uba", phi=1.0),
        budgeted(olrs.UBA, "uba", phi=5.0, end=1e-6),
        budgeted(olrs.CosinePower, "cosine_power", p=10.0),
        budgeted(olrs.CosinePower, "cosine_power", p=2.0, end=1e-6),
    ]
    for timescale in (None, total // 7 + 1):
        fields = dict(peak=3e-4, warmup_steps=warmup, timescale_steps=timescale)
        rows.append(
            Case(
                f"InverseSqrt({timescale=})",
                olrs.InverseSqrt(**fields),
                lambda s, fields=fields: references.inverse_sqrt(s, **fields),
            )
        )
    for profile, name, shape in DECAYS:
        fields = dict(**budget, decay_steps=decay, end=3e-6 if profile.needs_end else 0.0)
        rows.append(
            Case(
                f"WSD({profile!r})",
                olrs.WSD(**fields, decay=profile),
                lambda s, f=fields, n=name, k=shape: references.wsd(s, **f, profile=n, **k),
            )
        )
    rows.append(
        Case("WSD(decay_steps=0)", olrs.WSD(**budget, decay_steps=0), lambda s: references.warmup(s, warmup) * 3e-4)
    )

    lrs, at = [0.0, 3e-4, 1e-4, 2e-4, 0.0], [0, warmup, third, 2 * third, total]
    rows.append(
        Case(
            "Tabulated(steps)",
            olrs.Tabulated(lrs=lrs, steps=at),
            lambda s: references.tabulated(s, lrs=lrs, at=at),
            falls=False,
        )
    )
    rows.append(
        Case(
            "Tabulated",
            olrs.Tabulated(lrs=[1e-4, 3e-4, 2e-4, 0.0]),
            lambda s: references.tabulated(s, lrs=[1e-4, 3e-4, 2e-4, 0.0], at=[0, 1, 2, 3]),
            falls=False,
        )
    )

    first, second = budget | dict(total_steps=third), dict(peak=2e-4, total_steps=total - third)
    linear, cosine = references.budgeted("linear"), references.budgeted("cosine")
    rows += [
        Case(
            "join",
            olrs.join(olrs.Linear(**first), olrs.Cosine(**second), at=third),
            lambda s: np_where(s, third, linear(s, **first), cosine(s - third, **second)),
            falls=False,
        ),
        Case(
            "switch",
            olrs.switch(olrs.Cosine(**budget), olrs.Linear(**budget), at=third),
            lambda s: np_where(s, third, cosine(s, **budget), linear(s, **budget)),
            falls=False,
        ),
        Case("scaled", olrs.scaled(olrs.Cosine(**budget), factor=0.25), lambda s: 0.25 * cosine(s, **budget)),
        Case("shifted(-1)", olrs.shifted(olrs.Cosine(**budget), by=-1), lambda s: cosine(s + 1, **budget)),
        Case("shifted(7)", olrs.shifted(olrs.Cosine(**first), by=7), lambda s: cosine(s - 7, **first)),
        Case("stretched(3)", olrs.stretched(olrs.Cosine(**first), factor=3.0), stretched_cosine(first, 3)),
        Case("stretched(1.37)", olrs.stretched(olrs.Cosine(**first), factor=1.37), stretched_cosine(first, 1.37)),
    ]
    return rows


def np_where(steps, at, before, after):
    import numpy as np

    return np.where(np.asarray(steps) < at, before, after)


def stretched_cosine(fields, factor):
    """A stretched cosine in exact fractions, with the float32 factor that the schedule keeps."""
    from fractions import Fraction

    import numpy as np

    exact = Fraction(float(np.float32(factor)))

    def one(step):
        warmup, total = fields["warmup_steps"] * exact, fields["total_steps"] * exact
        if step < warmup:
            return fields["peak"] * float(step / warmup)
        left = max(float((total - step) / (total - warmup)), 0.0)
        return fields["peak"] * np.sin(np.pi / 2 * left) ** 2

    return lambda steps: np.array([one(int(step)) for step in np.atleast_1d(steps)])
