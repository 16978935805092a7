"""Measures what a transform costs in the optimizer step on a TPU pod, without a TPU.

    python benchmarks/pods/pods.py --quick --bars         # four chips, a few chains: 1-2 minutes
    python benchmarks/pods/pods.py --bars --out results   # all chains; pods of 256 and 512 chips
    python benchmarks/pods/pods.py --chain my_module:my_chain --base clip+adamw

The real compiler compiles the step ahead of time, from shapes, with and without the transform. The
optimized program is read: bytes of HBM, collectives and their payload, temporary memory, arguments,
host transfers, branches, and whether donated arguments are updated in place. These facts of the
program are the same in every run with the same versions; nothing is timed.

It creates an environment with ``jax[tpu]`` (1 GB, once, in the folder of ``--cache``), or uses that
of ``--python``. The exit status is 1 with ``--bars`` if a bar does not hold, and 3 without a
compiler.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import time
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # for what all benchmarks share

import tpu_environment
from reporting import Bar, conclude, parser, print_table, progress, write_raw

NAN = float("nan")
SELF_CHECK = 0.005  # largest relative difference of the count from theory
BESIDE = 4096  # bytes of HBM that buffers of different lengths may differ by
AT = "v5p:2x2x1"  # where the bars on bytes bind
PODS = ("v5p:8x8x8", "v5e:16x16")


def arguments() -> argparse.Namespace:
    found = parser(__doc__.splitlines()[0])
    tpu_environment.add_arguments(found)
    found.add_argument(
        "--chain",
        action="append",
        default=[],
        metavar="MODULE:FUNCTION",
        help="measure only the chain that this function returns (found in the working folder); may be repeated",
    )
    found.add_argument(
        "--base", default="clip+adamw", help="the chain that --chain is compared with (default: %(default)s)"
    )
    found.add_argument("--every-schedule", action="store_true", help="measure all schedules, not only four")
    found.add_argument("--only", metavar="REGEX", help="measure only the variants whose names match")
    return found.parse_args()


def measure(entry: Any, place: Any) -> dict[str, Any]:
    """The facts of one chain in one place."""
    import hlo_facts
    import steps as pod_steps

    start = time.perf_counter()
    compiled, found = pod_steps.compile_step(entry.chain(), place, pod_steps.mesh_of(place), **entry.step)
    return found | hlo_facts.facts(compiled) | {"compile s": round(time.perf_counter() - start, 1)}


def row(place: str, name: str, base: str, mine: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The facts of a chain next to those of its base."""
    more = {
        f"{key} more": mine[key] - other[key]
        for key in (
            "hbm bytes",
            "all-reduces",
            "other collectives",
            "conditionals",
            "temp bytes",
            "argument bytes",
            "state bytes",
        )
    }
    ratios = {
        f"{key.removesuffix(' bytes')} of base": mine[key] / other[key] if other[key] else 1.0 if not mine[key] else NAN
        for key in ("hbm bytes", "cost_analysis bytes", "payload bytes")
    }
    return {
        "place": place,
        "variant": name,
        "base": base,
        "copies": mine["hbm bytes"] / mine["copy bytes"],
        **ratios,
        **mine,
        **more,
    }


def base_bars(place: str, name: str, base: Any, found: dict[str, Any]) -> list[Bar]:
    """Compares the count with what a base must read and write in theory."""
    if base.copies is None or not place.startswith(AT):
        return []
    off = abs(found["hbm bytes"] / (base.copies * found["copy bytes"]) - 1)
    return [
        Bar(f"{place}: {name}: relative difference of the counted bytes from {base.copies:g} copies", off, SELF_CHECK)
    ]


def variant_bars(entry: Any, found: dict[str, Any], rows: list[dict[str, Any]]) -> list[Bar]:
    """The bars of one chain in one place."""
    label, small, bars = (
        f"{found['place']}: {entry.name}",
        found["place"].startswith(AT),
        {key: most for key, most in entry.bars.items() if most is not None},
    )
    held = [
        ("host transfers", found["host transfers"], 0),
        ("gathers and the like more", found["other collectives more"], 0),
        ("donated arguments not aliased", found["unaliased"], 0),
        ("loops whose count was not read", found["unread loops"], 0),
    ]
    if small and "hbm" in bars:
        held.append(("HBM bytes, of the base's", found["hbm of base"], bars["hbm"]))
    if small and "hbm_beside" in bars:
        beside = [r["hbm bytes"] for r in rows if (r["place"], r["variant"]) == (found["place"], bars["hbm_beside"])]
        more = abs(found["hbm bytes"] - beside[0]) if beside else NAN
        held.append((f"HBM bytes apart from {bars['hbm_beside']}", more, BESIDE))
    if small and "temp" in bars:
        held.append(("temporary bytes more", found["temp bytes more"], bars["temp"]))
    if "collectives" in bars:
        held.append(
            ("collectives more", found["all-reduces more"] + found["other collectives more"], bars["collectives"])
        )
    if "payload" in bars:
        held.append(("bytes into collectives, of the base's", found["payload of base"], bars["payload"]))
    for key, column in dict(conditionals="conditionals", arguments="argument bytes", state="state bytes").items():
        if key in bars:
            held.append((f"{column} more", found[f"{column} more"], bars[key]))
    return [Bar(f"{label}: {what}", figure, limit) for what, figure, limit in held]


def table(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The columns that people read."""
    return [
        {
            "chain": each["variant"],
            "HBM copies": f"{each['copies']:.3f}",
            "of base": f"{each['hbm of base']:.4f}",
            "cost_analysis": f"{each['cost_analysis of base']:.4f}",
            "all-reduces": f"{each['all-reduces']}{each['all-reduces more']:+d}"
            if each["base"]
            else each["all-reduces"],
            "others": each["other collectives"],
            "payload B": each["payload bytes"],
            "temp MB": f"{each['temp bytes'] / 1e6:.1f}",
            "args more B": each["argument bytes more"],
            "state more B": each["state bytes more"],
            "host": each["host transfers"],
            "branches": each["conditionals"],
            "not aliased": each["unaliased"],
        }
        for each in rows
    ]


def inside(args: argparse.Namespace) -> int:
    import re

    import steps as pod_steps
    import variants as pod_variants

    bases = pod_variants.BASES
    if args.chain:
        if args.base not in bases:
            raise ValueError(f"--base must be one of {', '.join(bases)}, got {args.base!r}")
        chosen = [pod_variants.own(text, args.base) for text in args.chain]
    else:
        chosen = [*pod_variants.VARIANTS, *([] if args.quick else pod_variants.literature(args.every_schedule))]
        chosen = [entry for entry in chosen if entry.quick or not args.quick]
    if args.only:
        chosen = [entry for entry in chosen if re.search(args.only, entry.name)]
    beside = {entry.bars["hbm_beside"] for entry in chosen if "hbm_beside" in entry.bars} - {e.name for e in chosen}
    chosen = [*(entry for entry in pod_variants.VARIANTS if entry.name in beside), *chosen]
    try:
        pod_steps.mesh_of(pod_steps.PLACES[AT])
    except Exception as error:
        print(f"pods.py: no TPU compiler: {str(error).splitlines()[0]}", file=sys.stderr)
        return tpu_environment.NO_COMPILER
    places = [AT] if args.quick else [AT, f"{AT} fsdp", *PODS]
    jobs = [
        (place, entry)
        for place in places
        for entry in chosen
        if place == AT or entry.pods or (args.chain and place in PODS)
    ]
    checked = [] if args.only or args.chain else [name for name, base in bases.items() if base.copies]
    rows: list[dict[str, Any]] = []
    bars: list[Bar] = []
    known: dict[tuple[str, str], dict[str, Any]] = {}

    def base_of(place: str, name: str) -> dict[str, Any]:
        if (place, name) not in known:
            known[place, name] = found = measure(bases[name], pod_steps.PLACES[place])
            rows.append(row(place, name, "", found, found))
            bars.extend(base_bars(place, name, bases[name], found))
        return known[place, name]

    for name in progress(checked, "self-check"):
        base_of(AT, name)
    for place, entry in progress(jobs, "steps compiled"):
        other = base_of(place, entry.base)
        try:
            found = measure(entry, pod_steps.PLACES[place])
        except Exception as error:  # one chain that the compiler refuses is a result, and the others are still wanted
            print(f"{place}: {entry.name}: {type(error).__name__}: {str(error).splitlines()[0]}", file=sys.stderr)
            bars.append(Bar(f"{place}: {entry.name}: compiles", NAN, 0))
            continue
        rows.append(row(place, entry.name, entry.base, found, other))
        bars += variant_bars(entry, rows[-1], rows)
    for entry, what in progress(
        [] if args.only or args.chain or args.quick else pod_variants.WRONG, "wrong on purpose"
    ):
        found = row(AT, entry.name, entry.base, measure(entry, pod_steps.PLACES[AT]), base_of(AT, entry.base))
        caught = [bar for bar in variant_bars(entry, found, rows) if bar.name.endswith(what) and not bar.holds(False)]
        bars.append(Bar(f"{AT}: {entry.name}: not caught by the bar …{what}", int(not caught), 0))
        rows.append(found)
    for place in places:
        here = [each for each in rows if each["place"] == place]
        size = here[0]["copy bytes"] / 1e9 if here else 0
        print_table(f"{place}: one copy of a chip's parameters is {size:.3f} GB", table(here))
    write_raw(args, bars, steps=rows)
    changed = [each for each in rows if each["base"] and each["variant"] not in {e.name for e, _ in pod_variants.WRONG}]
    worst = max((each["hbm of base"] for each in changed if each["place"] == AT), default=NAN)
    return conclude(
        args,
        bars,
        f"{len(changed)} steps compared with their bases; at most {worst:.4f} of the base's HBM bytes on {AT}",
    )


def main() -> int:
    args = arguments()
    if tpu_environment.inside():
        return inside(args)
    ours, words = [], iter(sys.argv[1:])  # without the environment's location, which does not affect the result
    for word in words:
        if word in ("--python", "--cache"):
            next(words)
        elif not word.startswith(("--python=", "--cache=")):
            ours.append(word)
    return tpu_environment.run_there(args, pathlib.Path(__file__), ours)


if __name__ == "__main__":
    sys.exit(main())
