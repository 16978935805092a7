"""Measures what a schedule costs in the compiled step, on the host, in compilations and at import.

    python benchmarks/schedules/schedules.py [--quick] [--bars] [--out DIR]

Each figure is compared with that of Optax's own schedule:

(a) The compiled optimizer step: fusions, collectives, host transfers, bytes and memory. It is
    compiled for one CPU, for eight virtual CPUs with sharded parameters, and for a TPU if libtpu is
    installed.
(b) One rate on the host (``schedule.at``), a million rates, and an eager ``schedule(step)``.
(c) Eight peaks through one jitted training step: how often it compiles.
(d) The time that ``import optax_lrs`` adds to ``import optax``.
"""

from __future__ import annotations

import os
import pathlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # for what all benchmarks share

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax_equivalents as theirs
from compiled_step import compare, in_own_process, shapes, targets
from reporting import Bar, conclude, parse_args, print_table, progress, write_raw

import optax_lrs as olrs
from optax_lrs import profiles

AT_BAR = 10e-6  # seconds for one rate on the host
MILLION_BAR = 20e-3  # seconds for a million of them
EAGER_BAR = 1.0  # of Optax's time
BYTES_BAR = 1.005  # of Optax's: the parameters are megabytes, and a schedule adds a few scalars
TEMP_BAR = 2**20  # bytes of temporary memory above Optax's
IMPORT_BAR = 30e-3  # seconds above `import optax`
KEPT_OUT = ("flax", "orbax", "scipy", "matplotlib")  # packages that the import must not load
PEAKS = [1e-4 * 2**k for k in range(8)]


# ── (a) the compiled step ─────────────────────────────────────────────────────────────────────────


def compiled_steps(quick: bool) -> tuple[list[dict[str, Any]], list[Bar]]:
    rows = []
    for target in targets():
        names = ["WSD", "cosine"][: 2 if target == "cpu x1" else 1] if quick else list(shapes())
        rows += in_own_process(compare, target, names)
    bars = []
    for row in rows:
        name = f"{row['target']}, {row['schedule']}, {row['form']}"
        bars += [
            Bar(f"{name}: {key} above Optax's", row[key] - row[f"{key} Optax"], 0)
            for key in ("fusions", "collectives", "branches", "host")
        ]
        bars += [
            Bar(f"{name}: bytes, of Optax's", row["bytes"] / row["bytes Optax"], BYTES_BAR),
            Bar(f"{name}: temporary bytes above Optax's", row["temp bytes"] - row["temp bytes Optax"], TEMP_BAR),
        ]
    shown = ("fusions", "instructions", "collectives", "branches", "host")
    print_table(
        "(a) The compiled optimizer step: ours / with Optax's schedule",
        [
            {"target": row["target"], "schedule": row["schedule"], "form": row["form"]}
            | {key: f"{row[key]}/{row[f'{key} Optax']}" for key in shown}
            | {
                "bytes ratio": f"{row['bytes'] / row['bytes Optax']:.5f}",
                "temp ratio": f"{row['temp bytes'] / row['temp bytes Optax']:.5f}",
            }
            for row in rows
        ],
    )
    return rows, bars


# ── (b) single rates ──────────────────────────────────────────────────────────────────────────────


def registered() -> dict[str, olrs.Schedule]:
    """An instance of each schedule of the package, and of WSD with each profile."""
    classes = [cls for cls in olrs.Schedule.registry.values() if cls.__module__.startswith("optax_lrs.")]
    found = {cls.__name__: cls(**cls.example) for cls in classes if issubclass(cls, olrs.Schedule)}
    arguments = {"power": (1.5,), "half_life": (0.2,)}
    for name, cls in olrs.Schedule.registry.items():
        if cls in classes and issubclass(cls, profiles.Profile):
            decay = cls(*arguments.get(name, ()))
            found[f"WSD({name})"] = olrs.WSD(**olrs.WSD.example, end=0.01, decay=decay)
    return found


def seconds(call: Callable[[int], Any], step: int, repeats: int, clock: Callable[[], float]) -> float:
    """The mean time of a call by that clock."""
    start = clock()
    for _ in range(repeats):
        result = call(step)
    jax.block_until_ready(result)
    return (clock() - start) / repeats


def single_rates(quick: bool) -> tuple[list[dict[str, Any]], list[Bar]]:
    # Host times are CPU times of this process, which other processes disturb least.
    schedules, steps = registered(), np.arange(1_000_000)
    best = {name: [float("inf")] * 3 for name in schedules}
    for _ in progress(range(7 if quick else 25), "rates on the host"):
        for name, schedule in schedules.items():
            step = 3 * (schedule.ends_at or 100) // 4 + 20  # after the warmup, in the decay
            times = (
                seconds(schedule.at, step, 500, time.process_time),
                seconds(lambda _, at=schedule.at: at(steps), 0, 1, time.process_time),
                seconds(schedule, step, 100, time.perf_counter),
            )
            best[name] = [min(pair) for pair in zip(best[name], times)]
    rows = [
        {"schedule": name, "at us": 1e6 * at, "million ms": 1e3 * million, "eager us": 1e6 * eager}
        for name, (at, million, eager) in best.items()
    ]
    bars = [Bar(f"{name}.at(int), seconds", at, AT_BAR, timing=True) for name, (at, _, _) in best.items()]
    bars += [
        Bar(f"{name}.at(a million steps), seconds", million, MILLION_BAR, timing=True)
        for name, (_, million, _) in best.items()
    ]
    print_table(
        "(b) One rate and a million on the host by .at (CPU time), and an eager call (wall time); best of several",
        rows,
    )
    return rows, bars


def eager_calls(quick: bool) -> tuple[list[dict[str, Any]], list[Bar]]:
    rows, bars, step = [], [], 90_000
    for name, (ours, other) in progress(list(shapes().items()), "eager calls"):
        ours(step), other(step)
        pairs = [
            tuple(seconds(call, step, 100, time.perf_counter) for call in (ours, other))
            for _ in range(5 if quick else 25)
        ]
        mine, theirs = (min(times) for times in zip(*pairs))
        computes = isinstance(other(step), jax.Array)  # optax.constant_schedule returns its Python number
        rows.append(
            {
                "schedule": name,
                "ours us": 1e6 * mine,
                "Optax us": 1e6 * theirs,
                "ratio of best": mine / theirs if computes else None,
                "median ratio": statistics.median(a / b for a, b in pairs) if computes else None,
                "note": "" if computes else "Optax computes nothing: no bar",
            }
        )
        if computes:
            bars.append(Bar(f"eager {name}, of Optax's time", mine / theirs, EAGER_BAR, timing=True))
    print_table("(b) An eager schedule(step) of a Python int; ours and Optax's in turn", rows)
    return rows, bars


# ── (c) eight peaks ───────────────────────────────────────────────────────────────────────────────

PLAN = dict(total_steps=100, warmup_steps=10, decay_steps=20)
INPUTS = np.random.default_rng(0).normal(size=(64, 32)).astype(np.float32)


def loss(params: dict[str, jax.Array]) -> jax.Array:
    return jnp.mean((jnp.tanh(INPUTS @ params["in"]) @ params["out"] - 1.0) ** 2)


def update(tx: optax.GradientTransformation, params: Any, state: Any) -> tuple[Any, Any]:
    updates, state = tx.update(jax.grad(loss)(params), state, params)
    return optax.apply_updates(params, updates), state


def train(step: Callable[..., Any], params: Any, state: Any, *more: Any) -> None:
    for _ in range(20):
        params, state = step(params, state, *more)
    jax.block_until_ready(params)


def argument(params: Any) -> None:
    """The schedule as an argument of the step."""

    @jax.jit
    def training_step(params, state, schedule):
        return update(optax.adamw(schedule), params, state)

    for peak in PEAKS:
        schedule = olrs.WSD(peak=peak, **PLAN)
        train(training_step, params, optax.adamw(schedule).init(params), schedule)


def live(params: Any) -> None:
    """The schedule in the optimizer state, replaced there."""
    schedule = olrs.WSD(peak=0.0, **PLAN)
    tx = optax.chain(optax.scale_by_adam(), optax.add_decayed_weights(1e-4), olrs.scale_by_live_schedule(schedule))

    @jax.jit
    def training_step(params, state):
        return update(tx, params, state)

    state = tx.init(params)
    for peak in PEAKS:
        train(training_step, params, olrs.with_schedule(state, schedule.replace(peak=peak)))


def closures(params: Any) -> None:
    """Optax's schedules: functions, so each needs another optimizer and another step."""
    for peak in PEAKS:
        tx = optax.adamw(theirs.wsd_linear(peak, PLAN["total_steps"], PLAN["warmup_steps"], PLAN["decay_steps"]))

        @jax.jit
        def training_step(params, state, tx=tx):
            return update(tx, params, state)

        train(training_step, params, tx.init(params))


def eight_peaks(quick: bool) -> tuple[list[dict[str, Any]], list[Bar]]:
    """Counts the step's compilations, as JAX reports them, and times them from empty caches."""
    compiled = []

    def listen(event: str, duration: float, **details: Any) -> None:
        if event.endswith("backend_compile_duration") and "training_step" in details.get("fun_name", ""):
            compiled.append(duration)

    jax.monitoring.register_event_duration_secs_listener(listen)
    generator = np.random.default_rng(1)
    params = {"in": jnp.asarray(generator.normal(size=(32, 64)), jnp.float32), "out": jnp.ones((64, 1))}
    counts, walls = {}, {}
    ways = (argument, live, closures)
    for _ in range(1 if quick else 5):
        for way in progress(ways, "eight peaks"):
            jax.clear_caches()
            compiled.clear()
            start = time.perf_counter()
            way(params)
            walls.setdefault(way, []).append(time.perf_counter() - start)
            counts[way] = len(compiled)
    rows = [{"peaks as": way.__doc__, "compilations": counts[way], "wall s": min(walls[way])} for way in ways]
    print_table("(c) Eight peaks through one training step of a small network, 20 steps each", rows)
    bars = [
        Bar(f"eight peaks, {way.__name__}: compilations more than one", abs(counts[way] - 1), 0) for way in ways[:2]
    ]
    return rows, bars


# ── (d) the import ────────────────────────────────────────────────────────────────────────────────

CLOCKED = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"
# As a user sees it, and without Python's collector, which may walk all of JAX's heap at any
# allocation.
COLLECTOR = {"on": "", "off": "import gc; gc.disable(); "}


def imports(quick: bool) -> tuple[list[dict[str, Any]], list[Bar]]:
    # Bytecode is kept, as for an installed package.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def run(code: str) -> str:
        return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout

    loaded = set(run("import sys, optax_lrs; print(*sys.modules)").split())
    unwanted = [name for name in KEPT_OUT if name in loaded]
    times: dict[tuple[str, str], list[float]] = {}
    for _ in progress(range(3 if quick else 25), "imports"):
        for collector, first in COLLECTOR.items():
            for name in ("optax", "optax_lrs"):
                found = float(run(first + CLOCKED.format(name)))
                times.setdefault((name, collector), []).append(found)
    rows = []
    for collector in COLLECTOR:
        base, ours = times["optax", collector], times["optax_lrs", collector]
        rows.append(
            {
                "collector": collector,
                "optax ms": 1e3 * statistics.median(base),
                "optax_lrs ms": 1e3 * statistics.median(ours),
                "median difference ms": 1e3 * statistics.median(b - a for a, b in zip(base, ours)),
                "difference of minima ms": 1e3 * (min(ours) - min(base)),
            }
        )
    print_table("(d) Import, in fresh processes in turn", rows)
    print(f"of {', '.join(KEPT_OUT)}, import optax_lrs loads: {', '.join(unwanted) or 'none'}")
    figure = min(rows[0]["median difference ms"], rows[0]["difference of minima ms"]) / 1e3
    bars = [Bar("import above optax's, collector off, seconds", figure, IMPORT_BAR, timing=True)]
    bars += [Bar(f"{name} in sys.modules", int(name in unwanted), 0) for name in KEPT_OUT]
    return rows, bars


def main() -> int:
    args = parse_args(__doc__.splitlines()[0])
    parts = {
        "imports": imports,
        "eager": eager_calls,
        "host": single_rates,
        "peaks": eight_peaks,
        "step": compiled_steps,
    }
    tables, bars = {}, []
    for name, part in parts.items():
        tables[name], found = part(args.quick)
        bars += found
    write_raw(args, bars, **tables)
    eager = max((bar for bar in bars if bar.name.startswith("eager")), key=lambda bar: bar.figure)
    at = max((bar for bar in bars if ".at(int)" in bar.name), key=lambda bar: bar.figure)
    own = next(bar.figure for bar in bars if bar.name.startswith("import"))
    programs = [bar for bar in bars if bar.name.endswith(("fusions above Optax's", "collectives above Optax's"))]
    more = sum(bar.figure > bar.limit for bar in programs)
    return conclude(
        args,
        bars,
        f"{more} of {len(programs) // 2} compiled steps with more fusions or collectives than allowed; slowest .at"
        f" {at.figure * 1e6:.1f} us; eager call at most {eager.figure:.2f} of Optax's; import {own * 1e3:.0f} ms",
    )


if __name__ == "__main__":
    sys.exit(main())
