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

import decimal
import pathlib
import sys
from fractions import Fraction
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # for what all benchmarks share
sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "tests"))  # for the oracles of the tests

import exact_rates as exact
import jax
import jax.numpy as jnp
import numpy as np
from cases import BAR, Case, decaying_cases, other_cases, tested_cases
from reporting import Bar, conclude, parse_args, print_table, progress, write_raw

import optax_lrs as olrs
from optax_lrs import profiles

ORACLE_BAR = 2e-14  # for the oracle itself, against 50 digits
HORIZONS = {"1e5": 10**5, "1e6": 10**6, "2^24": 2**24, "1e8": 10**8, "2^31-1": 2**31 - 1}
NEAR = 3_000  # steps on each side of a boundary
SAMPLE = 20_000  # random steps
CHECKED = 40  # steps at which the oracle is compared with 50 digits
SMALLEST = float(np.finfo(np.float32).tiny)  # below this a float32 loses digits under any formula


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
    ours = {
        cls
        for cls in olrs.Schedule.registry.values()
        if issubclass(cls, olrs.Schedule | profiles.Profile) and cls.__module__.startswith("optax_lrs.")
    }
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
        "schedule": case.name,
        "horizon": horizon,
        "bar": case.bar,
        "steps": len(steps),
        "error": float(ours.max()),
        "at step": int(steps[ours.argmax()]),
        "on the host": float(errors(case.schedule.at(steps), rates).max()),
        "oracle": float(oracle_error),
        "optax": None,
        "optax at step": None,
    }
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
    return {
        "": name,
        "float32": top["error"],
        "at horizon": top["horizon"],
        "at step": top["at step"],
        "host float64": max(row["on the host"] for row in rows),
        "Optax float32": float(np.max(others)) if others else None,
    }


def main() -> int:
    args = parse_args(__doc__.splitlines()[0])
    names = ["1e6", "2^31-1"] if args.quick else list(HORIZONS)
    kinds_of_cases = (decaying_cases, other_cases, tested_cases)
    cases = [(case, name) for name in names for kind in kinds_of_cases for case in kind(HORIZONS[name])]
    uncovered = missing([case for case, _ in cases])
    if args.quick:  # all cases at the longest horizon, every seventh at the other
        cases = [item for number, item in enumerate(cases) if item[1] != names[0] or number % 7 == 0]
    generator = np.random.default_rng(0)
    rows = [measure(case, name, generator) for case, name in progress(cases, "schedules x horizons")]

    print_table(
        "Worst relative error of the rate, over all horizons and steps (an Optax rate may also be nan)",
        [
            summary(row["schedule"], [other for other in rows if other["schedule"] == row["schedule"]])
            for number, row in enumerate(rows)
            if row["schedule"] not in {row["schedule"] for row in rows[:number]}
        ],
    )
    barred = [row for row in rows if row["bar"] < np.inf]
    print_table(
        "By horizon",
        [
            summary(name, [row for row in barred if row["horizon"] == name])
            | {"steps tried": sum(row["steps"] for row in barred if row["horizon"] == name)}
            for name in names
        ],
    )

    bars = [Bar(f"{row['schedule']} at {row['horizon']}, step {row['at step']}", row["error"], BAR) for row in barred]
    bars += [Bar("the oracle against 50 digits", max(row["oracle"] for row in rows), ORACLE_BAR)]
    bars += [Bar(f"without an oracle: {', '.join(uncovered) or 'none'}", len(uncovered), 0)]
    write_raw(args, bars, errors=rows)
    top = max(barred, key=lambda row: row["error"])
    where = f"{top['schedule']} at {top['horizon']}, step {top['at step']}"
    return conclude(args, bars, f"worst relative error {top['error']:.2e}, at most {BAR:g}: {where}")


if __name__ == "__main__":
    sys.exit(main())
