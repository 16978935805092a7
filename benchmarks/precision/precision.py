"""Measures the float32 error of every rate, over whole runs of up to 2**31 - 1 steps.

    python benchmarks/precision/precision.py [--quick] [--bars] [--out DIR]

Each schedule and each profile is compared with an oracle that shares no code with the package:
float64 with integer differences. The oracles come from ``exact_rates.py``, where they are checked
against 50 digits, or from the tests. Optax's own rates are measured too. The steps are the first
and last 3,000, 3,000 on each side of every boundary between phases, and a random sample. An error
is relative to the rate at that step: where the formula is zero, only zero passes. Two compiled
forms are measured, and the worse one counts: the schedule's numbers as constants of the program
(``optax.adamw(schedule)``) and as its arguments (a live schedule).
"""

from __future__ import annotations

import dataclasses
import decimal
import functools
import pathlib
import sys
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # for what all benchmarks share

import exact_rates as exact
import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax_equivalents as theirs
from reporting import Bar, conclude, parse_args, print_table, progress, write_raw

import optax_lrs as olrs
from optax_lrs import profiles

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "tests"))  # for the oracles of the tests
from matrices import combinators_cases as cases_combinators
from matrices import continual_cases as cases_continual
from matrices import cyclic_cases as cases_cyclic
from matrices import literature_cases as cases_literature

BAR = 2e-6  # relative error of the rate
ORACLE_BAR = 2e-14  # for the oracle itself, against 50 digits
HORIZONS = {"1e5": 10**5, "1e6": 10**6, "2^24": 2**24, "1e8": 10**8, "2^31-1": 2**31 - 1}
NEAR = 3_000  # steps on each side of a boundary
SAMPLE = 20_000  # random steps
CHECKED = 40  # steps at which the oracle is compared with 50 digits
PEAK = 3e-4  # not a float32, as a user would write it
SMALLEST = float(np.finfo(np.float32).tiny)  # below this a float32 loses digits under any formula

PROFILES = {
    "linear": [()], "cosine": [()], "mirror_cosine": [()], "one_minus_sqrt": [()], "one_minus_square": [()],
    "exponential": [()], "inverse": [()],
    "power": [(0.5,), (1.0,), (1.5,), (2.0,), (3.0,)],
    "rex": [(-1.0,), (0.0,), (0.5,), (0.9,)],
    "uba": [(0.25,), (0.5,), (1.0,), (2.0,), (5.0,), (10.0,)],
    "cosine_power": [(0.5,), (1.0,), (2.0,), (10.0,), (100.0,)],
    "shifted_exponential": [(-2.0,), (0.0,), (float(np.log(2)),), (1.0,), (5.0,)],
    "half_life": [(1.0,), (0.5,), (0.2,), (0.1,)],
}  # fmt: skip


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
                schedule = olrs.WSD(peak=PEAK, total_steps=total, warmup_steps=warmup, decay_steps=decay, end=end,
                                    decay=ours)  # fmt: skip
                oracle = exact.Decay(formula, PEAK, total - decay, total, warmup, end)
                other = wsd and wsd(PEAK, total, warmup, decay, end=end)
                yield Case(f"WSD({ours!r}, end={end:g})", schedule, oracle, other)
    for steps in (0, warmup):
        for end in (0.0, PEAK / 10):
            fields = dict(peak=PEAK, total_steps=total, warmup_steps=steps, end=end)
            oracle = functools.partial(exact.Decay, peak=PEAK, start=steps, stop=total, warmup=steps, end=end)
            text = f"warmup={'yes' if steps else 'no'}, end={end:g}"
            yield Case(f"Linear({text})", olrs.Linear(**fields), oracle(exact.linear),
                       theirs.linear(PEAK, total, steps, end))  # fmt: skip
            yield Case(f"Cosine({text})", olrs.Cosine(**fields), oracle(exact.cosine),
                       theirs.cosine(PEAK, total, steps, end))  # fmt: skip
            for d in (-1.0, 0.5, 0.9):
                yield Case(f"REX(d={d:g}, {text})", olrs.REX(**fields, d=d), oracle(exact.rex(d)))
            for phi in (0.25, 1.0, 10.0):
                yield Case(f"UBA(phi={phi:g}, {text})", olrs.UBA(**fields, phi=phi), oracle(exact.uba(phi)))
            for p in (1.0, 2.0, 10.0):
                yield Case(f"CosinePower(p={p:g}, {text})", olrs.CosinePower(**fields, p=p),
                           oracle(exact.cosine_power(p)))  # fmt: skip


def other_cases(total: int) -> Iterator[Case]:
    """What has no end, what has a table, and what is composed of others."""
    warmup, decay, half = total // 97, total // 5 + 1, total // 2 + 1
    yield Case("Constant", olrs.Constant(value=PEAK), exact.Plateau(PEAK), optax.constant_schedule(PEAK))
    yield Case("WSD(decay_steps=0)", olrs.WSD(peak=PEAK, total_steps=total, warmup_steps=warmup, decay_steps=0),
               exact.Plateau(PEAK, warmup))  # fmt: skip
    for steps, timescale in ((0, None), (warmup, None), (warmup, 1), (warmup, total // 3)):
        schedule = olrs.InverseSqrt(peak=PEAK, warmup_steps=steps, timescale_steps=timescale)
        oracle = exact.InverseSqrt(PEAK, steps, timescale or steps or 10_000)
        yield Case(f"InverseSqrt(warmup={'yes' if steps else 'no'}, timescale={timescale})", schedule, oracle)

    knots = (*(total * k // 13 + k % 3 for k in range(13)), total)
    drawn = tuple(PEAK * (1 + k % 4) / (1 + k) for k in range(14))
    yield Case("Tabulated(14 entries)", olrs.Tabulated(lrs=drawn, steps=knots), exact.Table(drawn, knots),
               theirs.table(drawn, knots))  # fmt: skip
    to_zero = (0.0, *drawn[1:-1], 0.0)
    yield Case("Tabulated(14 entries, from zero to zero)", olrs.Tabulated(lrs=to_zero, steps=knots),
               exact.Table(to_zero, knots))  # fmt: skip
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
    yield Case("switch(InverseSqrt, WSD)", olrs.switch(endless, tail, at=half),
               exact.Sequence((exact.InverseSqrt(PEAK, warmup, warmup), tail_exact), (half,), False))  # fmt: skip
    yield Case("scaled(WSD, 0.3)", olrs.scaled(tail, factor=0.3), exact.Changed(tail_exact, factor=0.3))
    short = olrs.Cosine(peak=PEAK, total_steps=half, warmup_steps=warmup)
    short_exact = exact.Decay(exact.cosine, PEAK, warmup, half, warmup)
    for by in (-1, total - half, -warmup - 7):
        yield Case(f"shifted(Cosine, {by})", olrs.shifted(short, by=by), exact.Changed(short_exact, by=by))
    for factor in (1.9, 1 / 3):
        length = min(int(total / factor), 2**31 - 1)
        long = olrs.Linear(peak=PEAK, total_steps=length, warmup_steps=length // 97)
        long_exact = exact.Decay(exact.linear, PEAK, length // 97, length, length // 97)
        yield Case(f"stretched(Linear, {factor:.3g})", olrs.stretched(long, factor=factor),
                   exact.Changed(long_exact, slower=factor))  # fmt: skip
        wave = long.replace(end=PEAK / 10) if factor < 1 else olrs.Cosine(peak=PEAK, total_steps=length)
        wave_exact = (dataclasses.replace(long_exact, end=PEAK / 10) if factor < 1
                      else exact.Decay(exact.cosine, PEAK, 0, length))  # fmt: skip
        yield Case(f"stretched({type(wave).__name__}, {factor:.3g}), again", olrs.stretched(wave, factor=factor),
                   exact.Changed(wave_exact, slower=factor))  # fmt: skip
    if total > 2**30:  # the clock exceeds int32: on the device it is a float, by contract
        beyond = olrs.Linear(peak=PEAK, total_steps=3 * total)
        yield Case("stretched(Linear, 0.333), clock beyond 2^31: no bar", olrs.stretched(beyond, factor=1 / 3),
                   exact.Changed(exact.Decay(exact.linear, PEAK, 0, 3 * total), slower=1 / 3), bar=np.inf)  # fmt: skip
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


def literature_cases(total: int) -> Iterator[Case]:
    """The other schedules of the literature and combinators, with the oracles of their tests."""
    for area in (cases_literature, cases_cyclic, cases_combinators, cases_continual):
        for case in area.cases(total):
            corners = [corner for corner in (*case.schedule.corners, case.schedule.ends_at or 0) if corner <= total]
            yield Case(case.name, case.schedule, Tested(case.oracle, corners))


def kinds(item: Any) -> set[type]:
    """The classes of a value and of all values inside it."""
    if isinstance(item, tuple):
        return set().union(*map(kinds, item))
    if not isinstance(item, olrs.Schedule | profiles.Profile):
        return set()
    return {type(item), *kinds(tuple(vars(item).values()))}


def missing(cases: list[Case]) -> list[str]:
    """The schedules and profiles that no case covers.

    Each needs an oracle, in ``exact_rates.py`` or in its test.
    """
    ours = {cls for cls in olrs.Schedule.registry.values()
            if issubclass(cls, olrs.Schedule | profiles.Profile) and cls.__module__.startswith("optax_lrs.")}  # fmt: skip
    return sorted(cls.__name__ for cls in ours - kinds(tuple(case.schedule for case in cases)))


def steps_around(corners: list[int], total: int, generator: np.random.Generator) -> np.ndarray:
    """The first and last steps, both sides of each corner, and a random sample, as int32."""
    near = np.add.outer([0, total, *corners], np.arange(-NEAR, NEAR + 1)).ravel()
    steps = np.concatenate([near, generator.integers(0, total, SAMPLE)])
    return np.unique(np.clip(steps, 0, 2**31 - 1)).astype(np.int32)


def errors(rates: Any, oracle: np.ndarray) -> np.ndarray:
    """The error at each step, relative to the oracle.

    Infinite where the rate should be zero and is not, nan for nan.
    """
    rates = np.broadcast_to(np.asarray(rates, np.float64), oracle.shape)
    difference = np.abs(rates - oracle)
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = difference / oracle
    relative[difference == 0] = 0.0
    relative[(oracle < SMALLEST) & (rates < SMALLEST) & (oracle > 0)] = 0.0
    return relative


@jax.jit
def as_arguments(schedule: olrs.Schedule, steps: jax.Array) -> jax.Array:
    return schedule(steps)


def measure(case: Case, horizon: str, generator: np.random.Generator) -> dict[str, Any]:
    total = HORIZONS[horizon]
    steps = steps_around(case.oracle.corners, total, generator)
    rates = case.oracle.float64(steps.astype(np.int64))

    checked = generator.choice(steps, CHECKED)
    oracle_error = 0.0
    if case.oracle.exact is not None:
        with decimal.localcontext(decimal.Context(prec=exact.DIGITS + 10, Emin=-(10**6), Emax=10**6)):
            digits = [float(case.oracle.exact(Fraction(int(step)))) for step in checked]
        oracle_error = errors(rates[np.searchsorted(steps, checked)], np.asarray(digits)).max()

    constants = errors(jax.jit(lambda steps: case.schedule(steps))(steps), rates)
    arguments = errors(as_arguments(case.schedule, steps), rates)
    ours = np.maximum(constants, arguments)
    row = {
        "schedule": case.name, "horizon": horizon, "bar": case.bar, "steps": len(steps), "error": float(ours.max()),
        "at step": int(steps[ours.argmax()]), "on the host": float(errors(case.schedule.at(steps), rates).max()),
        "oracle": float(oracle_error), "optax": None, "optax at step": None,
    }  # fmt: skip
    if case.optax is not None:
        # One step at a time: Optax's interpolation takes only scalars.
        one_by_one = jax.vmap(lambda step: jnp.asarray(case.optax(step), jnp.float32))
        other = errors(jax.jit(one_by_one)(steps), rates)
        other[rates == 0] = 0.0  # its rate may stay above zero; only the rates before count here
        row |= {"optax": float(other.max()), "optax at step": int(steps[other.argmax()])}
    return row


def summary(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The row with the largest error; nan counts as the largest."""
    top = max(rows, key=lambda row: row["error"])
    others = [row["optax"] for row in rows if row["optax"] is not None]
    return {"": name, "float32": top["error"], "at horizon": top["horizon"], "at step": top["at step"],
            "host float64": max(row["on the host"] for row in rows),
            "Optax float32": float(np.max(others)) if others else None}  # fmt: skip


def main() -> int:
    args = parse_args(__doc__.splitlines()[0])
    names = ["1e6", "2^31-1"] if args.quick else list(HORIZONS)
    kinds_of_cases = (decaying_cases, other_cases, literature_cases)
    cases = [(case, name) for name in names for kind in kinds_of_cases for case in kind(HORIZONS[name])]
    uncovered = missing([case for case, _ in cases])
    if args.quick:  # all cases at the longest horizon, every seventh at the other
        cases = [item for number, item in enumerate(cases) if item[1] != names[0] or number % 7 == 0]
    generator = np.random.default_rng(0)
    rows = [measure(case, name, generator) for case, name in progress(cases, "schedules x horizons")]

    print_table("Worst relative error of the rate, over all horizons and steps (an Optax rate may also be nan)", [
        summary(row["schedule"], [other for other in rows if other["schedule"] == row["schedule"]])
        for number, row in enumerate(rows) if row["schedule"] not in {row["schedule"] for row in rows[:number]}
    ])  # fmt: skip
    barred = [row for row in rows if row["bar"] < np.inf]
    print_table("By horizon", [
        summary(name, [row for row in barred if row["horizon"] == name])
        | {"steps tried": sum(row["steps"] for row in barred if row["horizon"] == name)}
        for name in names
    ])  # fmt: skip

    bars = [Bar(f"{row['schedule']} at {row['horizon']}, step {row['at step']}", row["error"], BAR) for row in barred]
    bars += [Bar("the oracle against 50 digits", max(row["oracle"] for row in rows), ORACLE_BAR)]
    bars += [Bar(f"without an oracle: {', '.join(uncovered) or 'none'}", len(uncovered), 0)]
    write_raw(args, bars, errors=rows)
    top = max(barred, key=lambda row: row["error"])
    where = f"{top['schedule']} at {top['horizon']}, step {top['at step']}"
    return conclude(args, bars, f"worst relative error {top['error']:.2e}, at most {BAR:g}: {where}")


if __name__ == "__main__":
    sys.exit(main())
