"""Every schedule and profile as a case, with its oracle and Optax's schedule of the same shape."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import exact_rates as exact
import numpy as np
import optax
import optax_equivalents as theirs

import optax_lrs as olrs
from matrices import combinators_cases, continual_cases, cyclic_cases, literature_cases
from optax_lrs import profiles

BAR = 2e-6  # relative error of the rate
PEAK = 3e-4  # not a float32, as a user would write it

PROFILES = {
    "linear": [()],
    "cosine": [()],
    "mirror_cosine": [()],
    "one_minus_sqrt": [()],
    "one_minus_square": [()],
    "exponential": [()],
    "inverse": [()],
    "power": [(0.5,), (1.0,), (1.5,), (2.0,), (3.0,)],
    "rex": [(-1.0,), (0.0,), (0.5,), (0.9,)],
    "uba": [(0.25,), (0.5,), (1.0,), (2.0,), (5.0,), (10.0,)],
    "cosine_power": [(0.5,), (1.0,), (2.0,), (10.0,), (100.0,)],
    "shifted_exponential": [(-2.0,), (0.0,), (float(np.log(2)),), (1.0,), (5.0,)],
    "half_life": [(1.0,), (0.5,), (0.2,), (0.1,)],
}


@dataclasses.dataclass(frozen=True)
class Case:
    """A schedule, its oracle, and Optax's schedule of the same shape, if there is one."""

    name: str
    schedule: olrs.Schedule
    oracle: Any
    optax: optax.Schedule | None = None
    bar: float = BAR


def decaying_cases(total: int) -> Iterator[Case]:
    """WSD with each profile, and the schedules that consist of a warmup and one profile."""
    warmup, decay = total // 97, total // 5 + 1
    own = {"linear": theirs.wsd_linear, "cosine": theirs.wsd_cosine, "exponential": theirs.wsd_exponential}
    for name, shapes in PROFILES.items():
        for numbers in shapes:
            ours, formula = getattr(profiles, name), getattr(exact, name)
            if numbers:
                ours, formula = ours(*numbers), formula(*numbers)
            wsd = own.get(name) or (functools.partial(theirs.wsd_power, p=numbers[0]) if name == "power" else None)
            for end in (PEAK / 50,) if ours.needs_end else (0.0, PEAK / 10):
                schedule = olrs.WSD(
                    peak=PEAK, total_steps=total, warmup_steps=warmup, decay_steps=decay, end=end, decay=ours
                )
                oracle = exact.Decay(formula, PEAK, total - decay, total, warmup, end)
                other = wsd and wsd(PEAK, total, warmup, decay, end=end)
                yield Case(f"WSD({ours!r}, end={end:g})", schedule, oracle, other)
    for steps in (0, warmup):
        for end in (0.0, PEAK / 10):
            fields = dict(peak=PEAK, total_steps=total, warmup_steps=steps, end=end)
            oracle = functools.partial(exact.Decay, peak=PEAK, start=steps, stop=total, warmup=steps, end=end)
            text = f"warmup={'yes' if steps else 'no'}, end={end:g}"
            yield Case(
                f"Linear({text})", olrs.Linear(**fields), oracle(exact.linear), theirs.linear(PEAK, total, steps, end)
            )
            yield Case(
                f"Cosine({text})", olrs.Cosine(**fields), oracle(exact.cosine), theirs.cosine(PEAK, total, steps, end)
            )
            for d in (-1.0, 0.5, 0.9):
                yield Case(f"REX(d={d:g}, {text})", olrs.REX(**fields, d=d), oracle(exact.rex(d)))
            for phi in (0.25, 1.0, 10.0):
                yield Case(f"UBA(phi={phi:g}, {text})", olrs.UBA(**fields, phi=phi), oracle(exact.uba(phi)))
            for p in (1.0, 2.0, 10.0):
                yield Case(
                    f"CosinePower(p={p:g}, {text})", olrs.CosinePower(**fields, p=p), oracle(exact.cosine_power(p))
                )


def other_cases(total: int) -> Iterator[Case]:
    """What has no end, what has a table, and what is composed of others."""
    warmup, decay, half = total // 97, total // 5 + 1, total // 2 + 1
    yield Case("Constant", olrs.Constant(value=PEAK), exact.Plateau(PEAK), optax.constant_schedule(PEAK))
    yield Case(
        "WSD(decay_steps=0)",
        olrs.WSD(peak=PEAK, total_steps=total, warmup_steps=warmup, decay_steps=0),
        exact.Plateau(PEAK, warmup),
    )
    for steps, timescale in ((0, None), (warmup, None), (warmup, 1), (warmup, total // 3)):
        schedule = olrs.InverseSqrt(peak=PEAK, warmup_steps=steps, timescale_steps=timescale)
        oracle = exact.InverseSqrt(PEAK, steps, timescale or steps or 10_000)
        yield Case(f"InverseSqrt(warmup={'yes' if steps else 'no'}, timescale={timescale})", schedule, oracle)

    knots = (*(total * k // 13 + k % 3 for k in range(13)), total)
    drawn = tuple(PEAK * (1 + k % 4) / (1 + k) for k in range(14))
    yield Case(
        "Tabulated(14 entries)",
        olrs.Tabulated(lrs=drawn, steps=knots),
        exact.Table(drawn, knots),
        theirs.table(drawn, knots),
    )
    to_zero = (0.0, *drawn[1:-1], 0.0)
    yield Case(
        "Tabulated(14 entries, from zero to zero)",
        olrs.Tabulated(lrs=to_zero, steps=knots),
        exact.Table(to_zero, knots),
    )
    every = tuple(PEAK * (1 - k / 10**5) ** 2 for k in range(10**5 + 1))
    if total == 10**5:
        yield Case("Tabulated(every step)", olrs.Tabulated(lrs=every), exact.Table(every, tuple(range(len(every)))))

    first = olrs.Cosine(peak=PEAK, total_steps=half, warmup_steps=warmup, end=PEAK / 10)
    second = olrs.Linear(peak=PEAK / 2, total_steps=total - half, warmup_steps=warmup)
    first_exact = exact.Decay(exact.cosine, PEAK, warmup, half, warmup, PEAK / 10)
    second_exact = exact.Decay(exact.linear, PEAK / 2, warmup, total - half, warmup)
    joined, joined_exact = olrs.join(first, second, at=half), exact.Sequence((first_exact, second_exact), (half,), True)
    pieces = [theirs.cosine(PEAK, half, warmup, PEAK / 10), theirs.linear(PEAK / 2, total - half, warmup)]
    yield Case("join(Cosine, Linear)", joined, joined_exact, optax.join_schedules(pieces, [half]))

    tail = olrs.WSD(peak=PEAK, total_steps=total, decay_steps=decay, decay=profiles.one_minus_sqrt)
    tail_exact = exact.Decay(exact.one_minus_sqrt, PEAK, total - decay, total)
    endless = olrs.InverseSqrt(peak=PEAK, warmup_steps=warmup)
    yield Case(
        "switch(InverseSqrt, WSD)",
        olrs.switch(endless, tail, at=half),
        exact.Sequence((exact.InverseSqrt(PEAK, warmup, warmup), tail_exact), (half,), False),
    )
    yield Case("scaled(WSD, 0.3)", olrs.scaled(tail, factor=0.3), exact.Changed(tail_exact, factor=0.3))
    short = olrs.Cosine(peak=PEAK, total_steps=half, warmup_steps=warmup)
    short_exact = exact.Decay(exact.cosine, PEAK, warmup, half, warmup)
    for by in (-1, total - half, -warmup - 7):
        yield Case(f"shifted(Cosine, {by})", olrs.shifted(short, by=by), exact.Changed(short_exact, by=by))
    for factor in (1.9, 1 / 3):
        length = min(int(total / factor), 2**31 - 1)
        long = olrs.Linear(peak=PEAK, total_steps=length, warmup_steps=length // 97)
        long_exact = exact.Decay(exact.linear, PEAK, length // 97, length, length // 97)
        yield Case(
            f"stretched(Linear, {factor:.3g})",
            olrs.stretched(long, factor=factor),
            exact.Changed(long_exact, slower=factor),
        )
        wave = long.replace(end=PEAK / 10) if factor < 1 else olrs.Cosine(peak=PEAK, total_steps=length)
        wave_exact = (
            dataclasses.replace(long_exact, end=PEAK / 10) if factor < 1 else exact.Decay(exact.cosine, PEAK, 0, length)
        )
        yield Case(
            f"stretched({type(wave).__name__}, {factor:.3g}), again",
            olrs.stretched(wave, factor=factor),
            exact.Changed(wave_exact, slower=factor),
        )
    if total > 2**30:  # the clock exceeds int32: on the device it is a float, by contract
        beyond = olrs.Linear(peak=PEAK, total_steps=3 * total)
        yield Case(
            "stretched(Linear, 0.333), clock beyond 2^31: no bar",
            olrs.stretched(beyond, factor=1 / 3),
            exact.Changed(exact.Decay(exact.linear, PEAK, 0, 3 * total), slower=1 / 3),
            bar=np.inf,
        )
    yield Case("stretched(join, 1.25)", olrs.stretched(joined, factor=1.25), exact.Changed(joined_exact, slower=1.25))


@dataclasses.dataclass(frozen=True)
class Tested:
    """An oracle of the test suite in float64 NumPy.

    Tests compare it with published values; it is not checked against 50 digits here.
    """

    rates: Any
    corners: list[int]
    exact = None

    def float64(self, steps: np.ndarray) -> np.ndarray:
        return np.broadcast_to(np.asarray(self.rates(steps), np.float64), steps.shape)


def tested_cases(total: int) -> Iterator[Case]:
    """The other schedules of the literature and combinators, with the oracles of their tests."""
    for area in (literature_cases, cyclic_cases, combinators_cases, continual_cases):
        for case in area.cases(total):
            corners = [corner for corner in (*case.schedule.corners, case.schedule.ends_at or 0) if corner <= total]
            yield Case(case.name, case.schedule, Tested(case.oracle, corners))
