# /// script
# requires-python = ">=3.11"
# dependencies = ["optax_lrs[examples]"]
#
# [tool.uv.sources]
# optax_lrs = { path = "..", editable = true }
# ///
"""Trains the transformer of pretrain.py with Muon and Adam, every hyper-parameter on a schedule.

    uv run examples/muon_and_adam.py
    pip install -e '.[examples]' && python examples/muon_and_adam.py      (the same without uv)

Muon trains the matrices, Adam the embedding, the output layer and the norms. Muon has a rate, a
momentum that warms up and a weight decay that falls to zero; Adam has a rate and a weight decay.
Each is a live schedule in the optimizer state. They are saved with it, and --resume continues, also
on another number of devices. --replace changes one of them in the running job, without recompiling.
The values that each update applied are written to applied.npz and shown in muon_and_adam.png.
"""

import argparse
import pathlib
import sys
from collections.abc import Sequence

import jax
import numpy as np
from training.byte_text import read_text, training_batches
from training.groups import make_grouped_training, schedules
from training.picture import draw_applied
from training.sharded_step import Model, check_fit, local_rows, make_mesh, put_batch
from training.transformer import Size

import optax_lrs as olrs


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("muon_and_adam.py", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--steps", type=int, default=300, help="of the schedules (default: %(default)s)")
    add("--stop-at", type=int, metavar="STEP", help="save and stop after this many steps; --resume continues")
    add("--resume", action="store_true", help="continue from the checkpoint in --out")
    another = 'at this step another schedule, such as: 150 muon/learning_rate "Constant(value=0.005)"'
    add("--replace", nargs=3, metavar=("STEP", "PATH", "REPR"), help=another)
    add("--data", nargs="+", default=[], metavar="PATH", help="text files or folders (default: Python's own source)")
    add("--out", type=pathlib.Path, default=pathlib.Path("muon_and_adam_run"), help="folder of all results")
    add("--virtual-devices", type=int, metavar="N", help="run the CPU as N devices")
    add("--batch-size", type=int, default=16)
    add("--seed", type=int, default=0)
    for name in ("width", "depth", "heads", "context"):
        add(f"--{name}", type=int, default=getattr(Size, name))
    return parser.parse_args(argv)


def train(options: argparse.Namespace) -> dict[str, np.ndarray]:
    """Returns what each step applied, by hyper-parameter and group, and its losses."""
    size = Size(options.width, options.depth, options.heads, options.context)
    mesh = make_mesh({})
    check_fit(mesh, size, options.batch_size)
    text = read_text(options.data)
    rows = local_rows(mesh, options.batch_size)
    batches = training_batches(text, context=size.context, batch_size=options.batch_size, seed=options.seed, rows=rows)
    stop = min(options.stop_at or options.steps, options.steps)
    at, path, schedule = options.replace or (None, "", "")
    with jax.set_mesh(mesh), olrs.checkpoint.Checkpoints(options.out / "checkpoints", keep=2) as checkpoints:
        training = make_grouped_training(Model(size, mesh, options.seed), schedules(options.steps))
        start, state, log = 0, training.init(), []
        if options.resume:
            # "keep": a schedule that was replaced in the job stays replaced.
            found = checkpoints.restore(training.shapes, on_mismatch="keep")
            start, state = found.step, found.state
            batches.set_state(found.extra["position"])
            log = [dict(zip(found.extra["names"], row)) for row in found.extra["log"]]
        for step in range(start, stop):
            if at is not None and step == int(at):
                replaced = olrs.with_schedule(state.opt_state, olrs.parse(schedule), path=path)
                state = state._replace(opt_state=replaced)
            state, loss = training.step(state, put_batch(mesh, next(batches), options.batch_size))
            # This waits for the step. A large run does it every few steps.
            log.append({"loss": float(loss), **olrs.log_dict(state.opt_state)})
            if (step + 1) % 50 == 0:
                shown = ", ".join(f"{name} {value:.3g}" for name, value in log[-1].items())
                print(f"step {step + 1}: {shown}", flush=True)
        if training.step._cache_size() > 1:
            print(f"the step was compiled {training.step._cache_size()} times", file=sys.stderr)
        names = list(log[0])
        history = [[row[name] for name in names] for row in log]
        checkpoints.save(stop, state, position=batches.get_state(), names=names, log=history)
    return {name: np.array([row[name] for row in log]) for name in names}


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(argv)
    if options.virtual_devices:
        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_num_cpu_devices", options.virtual_devices)
    applied = train(options)
    np.savez(options.out / "applied.npz", **applied)
    draw_applied(options.out / "muon_and_adam.png", applied)
    print(
        f"{len(applied['loss'])} steps, final loss {applied['loss'][-1]:.4f}; picture: {options.out}/muon_and_adam.png"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
