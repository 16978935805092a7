"""Damages the files of a run, and restores them with Orbax alone and with optax_lrs.checkpoint."""

from __future__ import annotations

import json
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from reporting import Bar, progress
from runs import SCHEDULE, STEPS, Place, Reader

import optax_lrs as olrs
from optax_lrs.checkpoint import CheckpointError, Checkpoints
from optax_lrs.checkpoint._fingerprint import digest


def flip(path: pathlib.Path, at: int, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << bit
    path.write_bytes(data)


def cut(path: pathlib.Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: pathlib.Path) -> None:
    path.write_bytes(b"")


def zero(path: pathlib.Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def unlink(path: pathlib.Path) -> None:
    path.unlink()


def flip_in_the_middle(path: pathlib.Path) -> None:
    flip(path, path.stat().st_size // 2, 3)


def part(step: pathlib.Path, name: str) -> pathlib.Path:
    """A file of a checkpoint, by its contents."""
    state = step / "state"
    folders = {"the arrays": state / "ocdbt.process_0" / "d", "the small arrays and their index": state / "d"}
    if name in folders:
        return max(folders[name].iterdir(), key=lambda path: path.stat().st_size)
    return {
        "the index of files": state / "manifest.ocdbt",
        "the tree": state / "_METADATA",
        "the position of the data": step / "position" / "metadata",
        "what it says of itself": step / "about" / "metadata",
    }[name]


PARTS = (
    "the arrays",
    "the small arrays and their index",
    "the index of files",
    "the tree",
    "the position of the data",
    "what it says of itself",
)
HARM = {"a bit flipped": flip_in_the_middle, "cut": cut, "emptied": empty, "zeroed": zero, "gone": unlink}


def no_files(step: pathlib.Path) -> None:
    shutil.rmtree(step)
    step.mkdir()


def another_program(step: pathlib.Path) -> None:
    no_files(step)
    (step / "model.safetensors").write_bytes(bytes(100))


def another_model(step: pathlib.Path) -> None:
    elsewhere = step.parent.parent / "elsewhere"
    with Checkpoints(elsewhere, schedule=SCHEDULE) as checkpoints:
        checkpoints.save(int(step.name), {"params": {"w": jax.numpy.ones((4, 4))}}, position={})
    shutil.rmtree(step)
    (elsewhere / step.name).rename(step)


def newer_version(step: pathlib.Path) -> None:
    path = step / "about" / "metadata"
    about = json.loads(path.read_text()) | {"format": 2}
    del about["digest"]
    path.write_text(json.dumps(about | {"digest": digest(about)}))


WHOLE: dict[str, Callable[[pathlib.Path], None]] = {
    "the folder emptied": no_files,
    "another program's": another_program,
    "another model's": another_model,
    "of a newer version": newer_version,
    "the state gone": lambda step: shutil.rmtree(step / "state"),
    "what it says of itself gone": lambda step: shutil.rmtree(step / "about"),
    "the position gone": lambda step: shutil.rmtree(step / "position"),
}


def contents(folder: pathlib.Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def same(a: Any, b: Any) -> bool:
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.asarray(x).tobytes() == np.asarray(y).tobytes() for x, y in pairs)


def with_orbax(reader: Reader, step: pathlib.Path, expected: Any) -> str:
    """The result of Orbax alone: an error, the same state, or silently another one."""
    try:
        with ocp.StandardCheckpointer() as checkpointer:
            state = checkpointer.restore(step / "state", reader.template)
        position = json.loads((step / "position" / "metadata").read_text())
    except Exception:
        return "error"
    return "same" if same(state, expected.state) and position == expected.extra["position"] else "wrong, silently"


def with_ours(reader: Reader, folder: pathlib.Path, step: int, expected: Any) -> str:
    try:
        found = reader.restore(folder, step=step)
    except CheckpointError as error:
        return "error" if str(folder) in str(error) and f"step {step}" in str(error) else "error without the place"
    good = same(found.state, expected.state) and found.extra == expected.extra and found.schedule == SCHEDULE
    return "same" if good else "wrong, silently"


def damaged_checkpoints(reader: Reader, source: pathlib.Path, work: pathlib.Path) -> list[dict[str, Any]]:
    """Each kind of damage to the last and to the earlier checkpoint of a run."""
    steps = Checkpoints(source).steps()
    expected = {step: reader.restore(source, step=step) for step in steps}
    kinds = {
        f"{where}: {how}": lambda step, where=where, harm=harm: harm(part(step, where))
        for where in PARTS
        for how, harm in HARM.items()
    } | WHOLE
    rows = []
    for (name, damage), hit in progress([(kind, step) for kind in kinds.items() for step in steps], "kinds of damage"):
        folder = work / "run"
        shutil.copytree(source, folder)
        damage(folder / str(hit))
        before = contents(folder)
        orbax = with_orbax(reader, folder / str(hit), expected[hit])
        ours = with_ours(reader, folder, hit, expected[hit])
        found = reader.restore(folder, fallback=True)
        fell = "wrong" if not same(found.state, expected[found.step].state) else found.step
        rows.append(
            {
                "damage": name,
                "to the": "last" if hit == max(steps) else "earlier",
                "Orbax alone": orbax,
                "ours": ours,
                "fallback to": fell,
                "expected": max(steps) if ours == "same" else max(set(steps) - {hit}),
                "changed on disk": int(contents(folder) != before),
            }
        )
        shutil.rmtree(work)
    return rows


def flipped_bits(reader: Reader, source: pathlib.Path, work: pathlib.Path, count: int) -> list[dict[str, Any]]:
    """Flips one bit at random places of each kind of file.

    Counts how often it is noticed, harmless, or restored as something else.
    """
    step = max(Checkpoints(source).steps())
    expected = reader.restore(source, step=step)
    generator, rows = np.random.default_rng(0), []
    outcomes_counted = ("error", "same", "wrong, silently")
    folder = work / "run"
    shutil.copytree(source, folder)
    for name in progress(PARTS, "files with flipped bits"):
        path = part(folder / str(step), name)
        good = path.read_bytes()
        outcomes: dict[str, list[str]] = {"orbax": [], "ours": []}
        for _ in range(count):
            flip(path, int(generator.integers(len(good))), int(generator.integers(8)))
            outcomes["orbax"].append(with_orbax(reader, folder / str(step), expected))
            outcomes["ours"].append(with_ours(reader, folder, step, expected))
            path.write_bytes(good)
        rows.append(
            {"file": name, "bytes": len(good), "flips": count}
            | {f"{who}: {what}": found.count(what) for who, found in outcomes.items() for what in outcomes_counted}
            | {"error without the place": outcomes["ours"].count("error without the place")}
        )
    shutil.rmtree(work)
    return rows


def damaged_files(work: pathlib.Path, every: int) -> list[dict[str, Any]]:
    """A schedule's JSON and a run's record, cut at each byte and with a bit flipped in each."""
    work.mkdir()
    run = olrs.Run(steps=range(50), losses=np.linspace(3, 2, 50), schedule=SCHEDULE, notes={"seed": 0})
    rows = []
    for name, value, read in (("lr.json", SCHEDULE, olrs.Schedule.read), ("run.npz", run, olrs.Run.read)):
        path = work / name
        value.write(path)
        good = path.read_bytes()
        flips = [(at, 1 << at % 8) for at in range(0, len(good), every)]
        damaged = {"cut": [good[:at] for at in range(0, len(good), every)], "a bit flipped": []}
        damaged["a bit flipped"] = [good[:at] + bytes([good[at] ^ bit]) + good[at + 1 :] for at, bit in flips]
        newer = {"lr.json": good.replace(b'"version": 1', b'"version": 2')}.get(name)
        for kind, versions in (damaged | ({"of a newer version": [newer]} if newer else {})).items():
            outcomes = []
            for data in versions:
                path.write_bytes(data)
                try:
                    outcomes.append("same" if read(path) == value else "another value")
                except ValueError as error:
                    outcomes.append("error" if str(path) in str(error) else "error without the place")
            kinds = ("error", "same", "another value", "error without the place")
            rows.append({"file": name, "damage": kind, "tried": len(versions)} | {k: outcomes.count(k) for k in kinds})
    return rows


def damaged_runs(place: Place, reader: Reader) -> list[dict[str, Any]]:
    """Resumes the example from a damaged checkpoint, without and with --fallback."""
    name, rows = "straight-1", []
    expected = reader.params(place.folder(name), STEPS)
    (place.path / name / "wsd" / "run.npz").unlink()  # as if killed before the record was written
    flip_in_the_middle(part(place.folder(name) / str(STEPS), "the arrays"))
    before = contents(place.folder(name))
    status, err = place.run(name, 1, "--resume")
    said = [line for line in err.splitlines() if line.startswith("pretrain.py: error: ")]
    named = len(said) == 1 and str(place.folder(name)) in said[0] and f"step {STEPS}" in said[0]
    rows.append(
        {
            "flags": "--resume",
            "status": status,
            "as it should be": int(status == 2 and named and contents(place.folder(name)) == before),
        }
    )
    status, err = place.run(name, 1, "--resume", "--fallback")
    kept = contents(place.folder(name) / f"{STEPS}.damaged") if not status else {}
    good = not status and np.array_equal(reader.params(place.folder(name), STEPS), expected)
    aside = kept == {key.removeprefix(f"{STEPS}/"): data for key, data in before.items() if key.startswith(f"{STEPS}/")}
    rows.append({"flags": "--resume --fallback", "status": status, "as it should be": int(good and aside)})
    return rows


def bars_of_damage(checkpoints: list[dict], bits: list[dict], files: list[dict], runs: list[dict]) -> list[Bar]:
    return [
        Bar(
            "damaged checkpoints restored as something else",
            sum(row["ours"] == "wrong, silently" for row in checkpoints),
            0,
        ),
        Bar(
            "errors that do not name folder and step",
            sum(row["ours"] == "error without the place" for row in checkpoints)
            + sum(row["error without the place"] for row in bits + files),
            0,
        ),
        Bar(
            "fallbacks to another step than the last good one",
            sum(row["fallback to"] != row["expected"] for row in checkpoints),
            0,
        ),
        Bar("folders that reading has changed", sum(row["changed on disk"] for row in checkpoints), 0),
        Bar("flipped bits restored as something else", sum(row["ours: wrong, silently"] for row in bits), 0),
        Bar(
            "damaged records of runs read as another run",
            sum(row["another value"] for row in files if row["file"] == "run.npz"),
            0,
        ),
        Bar("damaged runs not resumed as they should", sum(not row["as it should be"] for row in runs), 0),
    ]
