# /// script
# requires-python = ">=3.11"
# dependencies = ["optax_lrs[examples]"]
#
# [tool.uv.sources]
# optax_lrs = { path = "..", editable = true }
# ///
"""Pre-trains a small byte-level transformer under several schedules and compares them.

    uv run examples/pretrain.py      # or: pip install -e '.[examples]' && python
    examples/pretrain.py

By default it reads the source of Python's standard library and compares constant, cosine and WSD in
a few minutes on two CPU cores. The same command trains on GPUs, TPUs and several hosts; see --help.
SIGTERM and Ctrl-C save a checkpoint and exit with status 143 or 130. The same command with --resume
then continues, bit for bit.
"""

import argparse
import dataclasses
import pathlib
import signal
import sys
from collections.abc import Sequence

import jax
import numpy as np
from jax.experimental import multihost_utils
from training.byte_text import read_text, training_batches, validation_batches
from training.loop import Plan, Stop, train
from training.picture import draw
from training.run_folder import RunFolder
from training.sharded_step import Model, check_fit, make_mesh, put_validation
from training.transformer import Size

import optax_lrs as olrs

# For the default schedules. At this peak the noise of a constant rate raises the loss.
PEAK = 1e-2
DEFAULT_STEPS = 600


class Parser(argparse.ArgumentParser):
    def error(self, message: str):
        """Prints one line, without the usage."""
        self.exit(2, f"{self.prog}: error: {message}\n")


def positive(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)


def mesh_axes(text: str) -> dict[str, int]:
    axes = {}
    for part in text.split(","):
        name, _, length = part.partition("=")
        if name not in ("data", "model") or name in axes or not length.isdigit() or int(length) == 0:
            raise argparse.ArgumentTypeError(f"{text!r} is not of the form data=4,model=2")
        axes[name] = int(length)
    return axes


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser("pretrain.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument_group("what to compare").add_argument
    add(
        "--schedule",
        nargs="+",
        action="extend",
        default=[],
        metavar="REPR",
        help='such as "WSD(peak=3e-3, total_steps=400, decay_steps=80)"; several are compared, each from the same '
        "parameters on the same data (default: constant, cosine and WSD)",
    )
    add(
        "--schedule-file",
        nargs="+",
        action="extend",
        default=[],
        metavar="JSON",
        help="files as Schedule.write writes them",
    )
    add("--steps", type=positive, help="updates for each schedule (default: the schedules' total_steps, else 600)")
    add("--seed", type=int, default=0, help="for the parameters and the data order (default: %(default)s)")

    add = parser.add_argument_group("data and model").add_argument
    add(
        "--data",
        nargs="+",
        default=[],
        metavar="PATH",
        help="text files or folders (default: Python's standard library)",
    )
    add(
        "--batch-size",
        type=positive,
        default=16,
        help="windows for each update, over all devices (default: %(default)s)",
    )
    for field in dataclasses.fields(Size):
        add(f"--{field.name}", type=positive, default=field.default, help="(default: %(default)s)")

    add = parser.add_argument_group("validation, checkpoints, results").add_argument
    add(
        "--out",
        type=pathlib.Path,
        default="pretrain_runs",
        help="the folder of all results, on every host (default: %(default)s)",
    )
    add("--eval-every", type=positive, default=50, metavar="STEPS", help="(default: %(default)s)")
    add("--eval-batches", type=positive, default=32, help="(default: %(default)s)")
    add("--checkpoint-every", type=positive, default=100, metavar="STEPS", help="(default: %(default)s)")
    add("--resume", action="store_true", help="continue from the checkpoints in --out; start runs without one")
    add("--fallback", action="store_true", help="with --resume: use an earlier checkpoint if the last is damaged")
    add("--overwrite", action="store_true", help="replace the runs in --out")

    add = parser.add_argument_group("devices").add_argument
    add("--mesh", type=mesh_axes, default={}, metavar="data=4,model=2", help="(default: all devices along data)")
    add("--virtual-devices", type=positive, metavar="N", help="split the CPU into N virtual devices")
    add("--distributed", action="store_true", help="one of several processes; run the same command in each")
    add("--coordinator", metavar="HOST:PORT", help="address of process 0, if the cluster does not provide it; also:")
    add("--num-processes", type=positive)
    add("--process-id", type=int)
    options = parser.parse_args(argv)
    if options.resume and options.overwrite:
        parser.error("--resume and --overwrite exclude each other")
    if options.fallback and not options.resume:
        parser.error("--fallback needs --resume")
    if not options.distributed and (options.coordinator, options.num_processes, options.process_id) != (None,) * 3:
        parser.error("--coordinator, --num-processes and --process-id need --distributed")
    return options


def start_devices(options: argparse.Namespace) -> None:
    """Sets up the devices. Must run before anything uses one: afterwards their number is fixed."""
    if options.virtual_devices:
        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_num_cpu_devices", options.virtual_devices)
    if options.distributed:
        jax.distributed.initialize(options.coordinator, options.num_processes, options.process_id)


def chosen_schedules(options: argparse.Namespace) -> dict[str, olrs.Schedule]:
    """The schedules by name; the name is also that of the run's folder."""
    chosen = []
    for text in options.schedule:
        try:
            chosen.append(olrs.parse(text))
        except (ValueError, TypeError) as error:
            raise ValueError(f"--schedule {text}: {error}") from None
    for path in options.schedule_file:
        try:
            chosen.append(olrs.Schedule.read(path))
        except (ValueError, TypeError, OSError) as error:
            raise ValueError(f"--schedule-file {path}: {error}") from None
    if not chosen:
        steps = options.steps or DEFAULT_STEPS
        common = dict(peak=PEAK, total_steps=steps, warmup_steps=steps // 20)
        return {
            "constant": olrs.WSD(**common, decay_steps=0),
            "cosine": olrs.Cosine(**common),
            "wsd": olrs.WSD(**common, decay_steps=steps // 4),
        }
    named: dict[str, olrs.Schedule] = {}
    for schedule in chosen:
        name = kind = type(schedule).__name__.lower()
        count = 1
        while name in named:
            count += 1
            name = f"{kind}-{count}"
        named[name] = schedule
    return named


def make_plan(options: argparse.Namespace) -> Plan:
    """Checks the arguments and writes nothing; ValueError if they do not fit together."""
    schedules = chosen_schedules(options)
    lengths = [getattr(schedule, "total_steps", 0) for schedule in schedules.values()]
    steps = options.steps or max(lengths) or DEFAULT_STEPS
    size = Size(**{field.name: getattr(options, field.name) for field in dataclasses.fields(Size)})
    text = read_text(options.data)
    validation = validation_batches(
        text, context=size.context, batch_size=options.batch_size, count=options.eval_batches
    )
    training_batches(text, context=size.context, batch_size=options.batch_size, seed=options.seed, rows=[0])
    mesh = make_mesh(options.mesh)
    check_fit(mesh, size, options.batch_size)
    if options.out.exists() and not options.out.is_dir():
        raise ValueError(f"--out {options.out} is a file")
    folders = {}
    for name, schedule in schedules.items():
        settings = dict(
            schedule=repr(schedule),
            model=dataclasses.asdict(size),
            steps=steps,
            batch_size=options.batch_size,
            seed=options.seed,
            text=text.fingerprint,
        )
        folders[name] = RunFolder(options.out / name, settings, schedule=schedule, fallback=options.fallback)
    for folder in folders.values():
        folder.check(resume=options.resume, overwrite=options.overwrite)
    return Plan(options, size, steps, text, mesh, validation, schedules, folders)


def table(runs: dict[str, olrs.Run], schedules: dict[str, olrs.Schedule], unigram_entropy: float) -> str:
    """The validation losses, best first."""
    ends = {name: run.val_losses[-1] for name, run in runs.items()}
    best = min((end for end in ends.values() if np.isfinite(end)), default=np.nan)
    width = max(len(name) for name in [*runs, "unigram entropy"])
    lines = [f"{'':{width}}  validation loss (nats per byte)", f"{'unigram entropy':{width}}  {unigram_entropy:.4f}"]
    for name, end in sorted(ends.items(), key=lambda item: (np.isnan(item[1]), item[1])):
        behind = "best   " if end == best else f"+{end - best:.4f}"
        lines.append(f"{name:{width}}  {end:.4f}  {behind}  {schedules[name]}")
    return "\n".join(lines)


def complain(error: Exception, advice: str = "") -> int:
    """Prints the error as one line; returns the exit status."""
    print("pretrain.py: error:", " ".join(str(error).split()) + advice, file=sys.stderr)
    return 2


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(argv)
    try:
        start_devices(options)
        plan = make_plan(options)
    except (ValueError, TypeError, OSError) as error:
        return complain(error)
    leader = jax.process_index() == 0
    say = print if leader else lambda *_: None
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices("checked")  # no process writes before all have checked
    if leader:
        for folder in plan.folders.values():
            folder.claim(overwrite=options.overwrite)
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices("claimed")

    entropy = plan.text.unigram_entropy()
    mesh = ", ".join(f"{axis}={length}" for axis, length in plan.mesh.shape.items())
    say(f"{plan.text.source}: {len(plan.text.train):,} bytes to train on, {len(plan.text.validation):,} to validate on")
    say(f"{jax.device_count()} x {jax.devices()[0].device_kind}, mesh {mesh}")
    say(f"unigram entropy of the validation text: {entropy:.4f} nats per byte")

    for name, schedule in plan.schedules.items():
        if getattr(schedule, "total_steps", plan.steps) != plan.steps:
            say(f"note: {name} ends at step {schedule.total_steps}, and the training at {plan.steps}")

    stop = Stop()
    runs: dict[str, olrs.Run] = {}
    with jax.set_mesh(plan.mesh):
        model = Model(plan.size, plan.mesh, options.seed)
        say(f"{model.count():,} parameters, {plan.steps:,} steps of {options.batch_size * plan.size.context:,} tokens")
        validation_NxBxL = put_validation(plan.mesh, plan.validation_NxBxL)
        for name, folder in plan.folders.items():
            if folder.finished():
                say(f"{name}: finished before, see {folder.record}")
                runs[name] = olrs.Run.read(folder.record)
                continue
            try:
                run = train(plan, name, model, validation_NxBxL, stop)
            except olrs.checkpoint.CheckpointError as error:
                return complain(error, "; --fallback resumes from the last good one, --overwrite starts again")
            if run is None:
                by = signal.Signals(stop.signal).name
                say(f"stopped by {by}, {name} is saved: the same command with --resume continues")
                return 128 + stop.signal
            runs[name] = run

    if leader:
        print(table(runs, plan.schedules, entropy))
        picture = options.out / "pretrain.png"
        draw(picture, runs, entropy)
        print(f"picture: {picture}; records: {options.out}/*/run.npz")
    return 0


if __name__ == "__main__":
    sys.exit(main())
