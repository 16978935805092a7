# /// script
# requires-python = ">=3.11"
# dependencies = ["optax_lrs[examples]"]
#
# [tool.uv.sources]
# optax_lrs = { path = "..", editable = true }
# ///
"""Continues a pre-training run on new data in ten ways, and shows what each learns and forgets.

    uv run examples/continual.py      # or: pip install -e '.[examples]' && python
    examples/continual.py

The model has read Python's standard library. The new data are the source of the installed packages
(a weak shift) and C headers (a strong shift). The ten ways see the same number of new tokens: a
constant low rate, repeated cosines, re-warming with 0, 1, 5 and 25% of old data, the infinite
schedule, a WSD branch, merged checkpoints instead of a decay, and training from scratch on both
texts as the reference. The example pre-trains a small model itself, or uses the runs of
examples/pretrain.py (--from). SIGTERM and Ctrl-C save a checkpoint and exit with status 143 or 130.
The same command with --resume then continues, bit for bit, also after a kill. It runs on all
devices of one machine.
"""

import argparse
import dataclasses
import functools
import pathlib
import signal
import sys
from collections.abc import Sequence
from typing import Any

import jax
from new_data.arms import Arm, arms, beginnings
from new_data.begin import SHARED, Beginning, found_in, pretrain
from new_data.data import SHIFTS, mixed_batches, new_text
from new_data.loop import Job, Merging, ends, train_arm
from new_data.picture import draw
from new_data.step import Continuation
from new_data.table import rows_of, table, write_table
from pretrain import Parser, mesh_axes, positive
from training.byte_text import ByteText, read_text, training_batches, validation_batches
from training.loop import Plan, Stop
from training.run_folder import RunFolder
from training.sharded_step import Model, check_fit, make_mesh, put_validation
from training.transformer import Size

import optax_lrs as olrs

PEAK = 1e-2
GIVEN = dict(width=64, depth=2, heads=4, context=64, batch_size=16, seed=0, steps=1000)  # without --from


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser("continual.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument_group("what to compare").add_argument
    add("--new-steps", type=positive, default=300, metavar="STEPS", help="updates on new data (default: %(default)s)")
    add("--shift", nargs="+", choices=list(SHIFTS), help="shifts to texts of this machine (default: all)")
    add("--new", nargs="+", metavar="PATH", help="other new data: text files or folders, each a separate shift")
    add("--arms", nargs="+", metavar="NAME", help='such as "re-warm, 5%% replay" (default: all)')

    add = parser.add_argument_group("the pre-training run").add_argument
    add(
        "--from",
        dest="start",
        type=pathlib.Path,
        metavar="DIR",
        help="the --out of pretrain.py; missing runs are trained",
    )
    add("--data", nargs="+", default=[], metavar="PATH", help="the old data (default: Python's standard library)")
    add("--peak", type=float, help=f"peak of all schedules (default: {PEAK:g}, or as in --from)")
    for name, value in GIVEN.items():
        add(
            f"--{name.replace('_', '-')}",
            type=int if name == "seed" else positive,
            help=f"(default: {value}, or as in --from)",
        )

    add = parser.add_argument_group("validation, checkpoints, results").add_argument
    add("--out", type=pathlib.Path, default=pathlib.Path("continual_runs"), help="(default: %(default)s)")
    add("--eval-every", type=positive, default=25, metavar="STEPS", help="(default: %(default)s)")
    add("--eval-batches", type=positive, default=16, help="(default: %(default)s)")
    add("--checkpoint-every", type=positive, default=100, metavar="STEPS", help="(default: %(default)s)")
    add("--resume", action="store_true", help="continue from the checkpoints in --out; start runs without one")
    add("--fallback", action="store_true", help="with --resume: use an earlier checkpoint if the last is damaged")
    add("--overwrite", action="store_true", help="replace the runs in --out")

    add = parser.add_argument_group("devices").add_argument
    add("--mesh", type=mesh_axes, default={}, metavar="data=4,model=2", help="(default: all devices along data)")
    add("--virtual-devices", type=positive, metavar="N", help="split the CPU into N virtual devices")
    options = parser.parse_args(argv)
    if options.resume and options.overwrite:
        parser.error("--resume and --overwrite exclude each other")
    if options.fallback and not options.resume:
        parser.error("--fallback needs --resume")
    if options.shift and options.new:
        parser.error("--shift and --new exclude each other")
    if options.new_steps < 20:
        parser.error(f"--new-steps {options.new_steps} is less than 20: too few to decay and to merge in")
    given = [name for name in GIVEN if getattr(options, name) is not None]
    if options.start and given:
        parser.error(f"--{given[0].replace('_', '-')} is set by the runs in --from {options.start}")
    for name in GIVEN:
        setattr(options, name, GIVEN[name] if getattr(options, name) is None else getattr(options, name))
    return options


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Everything that follows from the arguments, checked."""

    before: Plan  # of pre-training
    begun: dict[str, Beginning]
    arms: dict[str, Arm]
    news: dict[str, ByteText]
    folders: dict[tuple[str, str], RunFolder]  # by shift and arm
    total_steps: int


def slug(name: str) -> str:
    return "-".join(name.replace(",", " ").replace("%", "").lower().split())


def make_plan(options: argparse.Namespace) -> Comparison:
    """Checks the arguments and writes nothing; ValueError if they do not fit together."""
    found = found_in(options.start) if options.start else {}
    for settings in [one.settings for one in found.values()][:1]:
        vars(options).update({name: settings[name] for name in ("steps", "batch_size", "seed")}, **settings["model"])
    size = Size(**{field.name: getattr(options, field.name) for field in dataclasses.fields(Size)})
    at, end = options.steps, options.steps + options.new_steps

    old = read_text(options.data)
    for one in found.values():
        if one.settings["text"] != old.fingerprint:
            raise ValueError(f"{one.folder.path} has read another text than {old.source}; pass that text with --data")
    named = {pathlib.Path(path).resolve().name: path for path in options.new or []}
    if len(named) < len(options.new or []) or "pretrain" in map(slug, named):
        raise ValueError(f"--new {' '.join(options.new)}: results are named after the last part, which must differ")
    news = {name: new_text(named.get(name, name)) for name in (named or options.shift or SHIFTS)}
    mesh = make_mesh(options.mesh)
    check_fit(mesh, size, options.batch_size)

    if options.peak is not None and not options.peak > 0:
        raise ValueError(f"--peak {options.peak} is not positive")
    peak = options.peak or max((float(one.schedule.at(range(at)).max()) for one in found.values()), default=PEAK)
    common = dict(
        model=dataclasses.asdict(size), steps=at, batch_size=options.batch_size, seed=options.seed, text=old.fingerprint
    )
    folder_of = functools.partial(RunFolder, fallback=options.fallback)
    every = {
        name: found.get(name)
        or Beginning(
            schedule,
            folder_of(options.out / "pretrain" / name, dict(schedule=repr(schedule), **common), schedule=schedule),
        )
        for name, schedule in beginnings(peak, at).items()
    }
    ways = arms({name: one.schedule for name, one in every.items()}, peak=peak, at=at, steps=options.new_steps)
    unknown = set(options.arms or ()) - set(ways)
    if unknown:
        raise ValueError(f"--arms {unknown.pop()}: there are {', '.join(ways)}")
    ways = {name: arm for name, arm in ways.items() if name in (options.arms or ways)}
    needed = {"annealed", *(arm.start for arm in ways.values())}  # forgetting is measured against "annealed"
    begun = {name: one for name, one in every.items() if name in needed}

    folders = {}
    for shift, new in news.items():
        # Texts that are too short raise before anything is written.
        mixed_batches(old, new, replay=0.5, context=size.context, batch_size=options.batch_size, seed=0, rows=[0])
        validation_batches(new, context=size.context, batch_size=options.batch_size, count=options.eval_batches)
        for name, arm in ways.items():
            start = {key: begun[arm.start].settings[key] for key in ("schedule", *SHARED)} if arm.start else common
            settings = dict(
                schedule=repr(arm.schedule),
                replay=arm.replay,
                merge_steps=arm.merge_steps,
                start=start,
                new_steps=options.new_steps,
                new_text=new.fingerprint,
                eval_batches=options.eval_batches,
                eval_every=options.eval_every,
            )
            folders[shift, name] = folder_of(options.out / slug(shift) / slug(name), settings)
    training_batches(old, context=size.context, batch_size=options.batch_size, seed=0, rows=[0])
    validation = validation_batches(
        old, context=size.context, batch_size=options.batch_size, count=options.eval_batches
    )
    ours = {name: one.folder for name, one in begun.items() if name not in found}
    if options.out.exists() and not options.out.is_dir():
        raise ValueError(f"--out {options.out} is a file")
    for folder in (*ours.values(), *folders.values()):
        folder.check(resume=options.resume, overwrite=options.overwrite)
    before = Plan(options, size, at, old, mesh, validation, {name: begun[name].schedule for name in ours}, ours)
    return Comparison(before, begun, ways, news, folders, end)


def compare(plan: Comparison, stop: Stop) -> tuple[list[dict[str, Any]], dict[str, dict[str, olrs.Run]]] | None:
    """Trains all unfinished runs; returns the rows and all records, or None if it was stopped."""
    options, before, mesh = plan.before.options, plan.before, plan.before.mesh
    model = Model(before.size, mesh, options.seed)
    old_validation = put_validation(mesh, before.validation_NxBxL)
    print(f"{model.count():,} parameters, updates of {options.batch_size * before.size.context:,} tokens")
    for name in before.schedules:
        print(f"pre-training, {name}: {before.schedules[name]}")
        if not pretrain(before, name, model, old_validation, stop):
            return None

    training = Continuation(model, plan.total_steps)
    states: dict[str, Any] = {}

    def state(name: str | None) -> Any:
        """The last state of a pre-training run, read when it is first needed."""
        if name is not None and name not in states:
            states[name] = plan.begun[name].state(model)
        return states.get(name)

    rows, runs = [], {}
    for shift, new in plan.news.items():
        batches = validation_batches(
            new, context=before.size.context, batch_size=options.batch_size, count=options.eval_batches
        )
        validation = (old_validation, put_validation(mesh, batches))
        old_loss, new_loss = map(float, training.losses(state("annealed").params, *validation))
        entropy = new.unigram_entropy()
        print(f"{shift} shift: {new.source}, {len(new.train):,} bytes to train on, unigram entropy {entropy:.4f}")
        print(f"the pre-trained model's loss: {old_loss:.4f} on the old text, {new_loss:.4f} on the new")
        runs[shift] = {}
        for name, arm in plan.arms.items():
            folder = plan.folders[shift, name]
            if folder.finished():
                runs[shift][name] = olrs.Run.read(folder.record)
                continue
            job = Job(name, arm, before.steps, plan.total_steps, before.text, new, before.size, folder, options)
            run = train_arm(job, training, state(arm.start), validation, stop)
            if run is None:
                return None
            runs[shift][name] = run
        rows += rows_of(shift, (old_loss, new_loss), {name: ends(run) for name, run in runs[shift].items()})
    return rows, runs


def complain(error: Exception, advice: str = "") -> int:
    """Prints the error as one line; returns the exit status."""
    print("continual.py: error:", " ".join(str(error).split()) + advice, file=sys.stderr)
    return 2


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(argv)
    try:
        if options.virtual_devices:
            jax.config.update("jax_platforms", "cpu")
            jax.config.update("jax_num_cpu_devices", options.virtual_devices)
        plan = make_plan(options)
    except (ValueError, TypeError, OSError) as error:
        return complain(error)
    for folder in (*plan.before.folders.values(), *plan.folders.values()):
        if options.overwrite:
            Merging.clear(folder)
        folder.claim(overwrite=options.overwrite)

    stop = Stop()
    try:
        with jax.set_mesh(plan.before.mesh):
            found = compare(plan, stop)
    except olrs.checkpoint.CheckpointError as error:
        return complain(error, "; --resume --fallback uses the last good one, --overwrite starts again")
    if found is None:
        print(f"stopped by {signal.Signals(stop.signal).name}: the same command with --resume continues")
        return 128 + stop.signal
    rows, runs = found
    for shift in plan.news:
        print(f"\n{shift} shift: validation losses (nats per byte) on the old and the new text")
        print(table([row for row in rows if row["shift"] == shift]))
    write_table(options.out / "table.csv", rows)
    draw(options.out / "continual.png", runs, rows, plan.before.steps)
    out = options.out
    print(f"\npicture: {out / 'continual.png'}; table: {out / 'table.csv'}; records: {out}/*/*/run.npz")
    return 0


if __name__ == "__main__":
    sys.exit(main())
