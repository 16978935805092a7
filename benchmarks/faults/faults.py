"""Kills a training run at random moments and damages its files, and checks what it recovers.

    python benchmarks/faults/faults.py [--quick] [--bars] [--out DIR] [--work DIR]

The kills are ``kill -9``, many of them in the middle of a save. The damage is of every kind.
"""

from __future__ import annotations

import pathlib
import shutil
import sys
import tempfile
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # for what all benchmarks share
sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "examples"))  # for its model and data

import numpy as np
from damage import bars_of_damage, damaged_checkpoints, damaged_files, damaged_runs, flipped_bits
from reporting import Bar, conclude, parser, print_table, progress, write_raw
from runs import EVERY, STEPS, Moment, Place, Reader, kill

CHAINS = ["1", "8", "1 8", "8 1"]  # the numbers of devices of a run's processes, in turn
KILLS = 3  # kills of one run
LEAST_KILLS = 30
ACROSS = 1e-3  # relative l2 difference of the parameters in runs that changed the mesh


def moments(generator: np.random.Generator, seconds: float) -> list[Moment]:
    """When to kill the processes of one run.

    The steps are uniform over the run; every other kill is inside a save.
    """
    steps = np.sort(generator.integers(0, STEPS - EVERY, KILLS))
    found = []
    for number, step in enumerate(steps):
        if (number + generator.integers(2)) % 2 == 0:
            found.append(Moment(int(step // EVERY * EVERY + EVERY), generator.uniform(0, 0.15), "save"))
        else:
            delay = generator.uniform(0, seconds if step < EVERY else 0.5)
            found.append(Moment(int(step // EVERY * EVERY), delay, "anywhere"))
    return found


def killed_run(place: Place, reader: Reader, name: str, devices: list[int], plan: list[Moment]) -> list[dict[str, Any]]:
    """Kills the run, checks what is left, resumes on the next number of devices, until the end."""
    folder, rows = place.folder(name), []
    for number, moment in enumerate(plan):
        now = devices[number % len(devices)]
        found = kill(place.start(name, now, *(["--resume"] if number else [])), folder, moment)
        if found is None:  # the run ended before this moment
            break
        before, after = found["complete before"], found["complete after"]
        unreadable = reader.unreadable(folder) if folder.is_dir() else []
        rows.append(
            {
                "run": name,
                "devices": now,
                "aim": moment.aim,
                "at step": moment.step,
                "delay": round(moment.delay, 4),
                **{key: " ".join(map(str, item)) if isinstance(item, list) else item for key, item in found.items()},
                "lost": int(bool(before) and max(before) not in after),
                "unreadable": " | ".join(unreadable),
            }
        )
    status, err = place.run(name, devices[len(rows) % len(devices)], "--resume")
    if status:
        raise RuntimeError(f"{name} failed: {err[-2000:]}")
    return rows


def kills(place: Place, reader: Reader, quick: bool) -> tuple[list[dict], list[dict]]:
    """All kills, and each run at its end compared with the undisturbed one."""
    straight, seconds = {}, 8.0
    for devices in (1, 8):
        status, err = place.run(f"straight-{devices}", devices)
        if status:
            raise RuntimeError(f"the undisturbed run failed: {err[-2000:]}")
        folder = place.folder(f"straight-{devices}")
        straight[devices] = reader.params(folder, STEPS), reader.checksums(folder, STEPS)
    chains = [
        (f"{chain.replace(' ', '-')}-{number}", [int(count) for count in chain.split()])
        for number in range(1 if quick else 3)
        for chain in (CHAINS[:1] if quick else CHAINS)
    ]
    every, ends = [], []
    for number, (name, devices) in enumerate(progress(chains, "killed runs")):
        generator = np.random.default_rng(number)
        rows = killed_run(place, reader, name, devices, moments(generator, seconds))
        every += rows
        end = reader.params(place.folder(name), STEPS)
        first, sums = straight[devices[0]]
        ends.append(
            {
                "run": name,
                "devices": " ".join(map(str, devices)),
                "kills": len(rows),
                "same state": int(np.array_equal(end, first) and reader.checksums(place.folder(name), STEPS) == sums),
                "relative difference": relative(end, first),
            }
        )
        if not rows[-1:] or not rows[-1]["unreadable"]:
            shutil.rmtree(place.path / name)
    ends.append(
        {
            "run": "undisturbed",
            "devices": "1, and 8 apart",
            "kills": 0,
            "same state": 0,
            "relative difference": relative(straight[8][0], straight[1][0]),
        }
    )
    return every, ends


def relative(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a.astype(np.float64) - b) / np.linalg.norm(b.astype(np.float64)))


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Counts of kills by devices and aim."""
    groups = sorted({(row["devices"], row["aim"]) for row in rows})
    chosen = {group: [row for row in rows if (row["devices"], row["aim"]) == group] for group in groups}
    return [
        {
            "devices": devices,
            "aim": aim,
            "kills": len(found),
            "while one was written": sum(bool(row["being written"]) for row in found),
            "while one was deleted": sum(bool(row["being deleted"]) for row in found),
            "lost": sum(row["lost"] for row in found),
            "unreadable": sum(bool(row["unreadable"]) for row in found),
        }
        for (devices, aim), found in chosen.items()
    ]


def main() -> int:
    parse = parser(__doc__.splitlines()[0])
    parse.add_argument(
        "--work", type=pathlib.Path, metavar="DIR", help="the folder of the runs (default: a temporary folder)"
    )
    args = parse.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = Place(args.work or pathlib.Path(temporary))
        place.make()
        reader = Reader()
        every, ends = kills(place, reader, args.quick)
        source = place.folder("straight-8")
        checkpoints = damaged_checkpoints(reader, source, place.path / "damage")
        bits = flipped_bits(reader, source, place.path / "damage", count=3 if args.quick else 40)
        files = damaged_files(place.path / "files", every=29 if args.quick else 1)
        runs = [] if args.quick else damaged_runs(place, reader)

    print_table("Kills", summary(every))
    print_table("Runs at their end, compared with the undisturbed one on the devices they started with", ends)
    print_table("Damage to one of two checkpoints", checkpoints)
    print_table("One flipped bit, at random places of a file", bits)
    print_table("Schedule files and records of runs: cut, and one flipped bit a byte", files)
    print_table("examples/pretrain.py --resume, with a changed bit in its last checkpoint", runs)

    same = [row for row in ends if row["devices"] in ("1", "8")]
    across = [row["relative difference"] for row in ends if " " in row["devices"] and row["kills"]]
    inside = sum(bool(row["being written"]) for row in every)
    bars = [
        Bar("kills missing to 30", max(0, LEAST_KILLS - len(every)) * (not args.quick), 0),
        Bar("kills inside a save missing to a third", max(0.0, len(every) / 3 - inside) * (not args.quick), 0),
        Bar("complete checkpoints lost", sum(row["lost"] for row in every), 0),
        Bar("kills that left an unreadable checkpoint", sum(bool(row["unreadable"]) for row in every), 0),
        Bar("runs on one mesh that ended with other bits", sum(not row["same state"] for row in same), 0),
        Bar("relative difference across meshes", max(across, default=0.0), ACROSS),
        *bars_of_damage(checkpoints, bits, files, runs),
    ]
    write_raw(args, bars, kills=every, ends=ends, damage=checkpoints, bits=bits, files=files, runs=runs)
    return conclude(
        args,
        bars,
        f"{len(every)} kills, {inside} of them inside a save, none lost a complete checkpoint"
        if not sum(row["lost"] for row in every)
        else "checkpoints were lost",
    )


if __name__ == "__main__":
    sys.exit(main())
