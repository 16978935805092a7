"""Trains under one schedule, from its last checkpoint or from the start.

Letters in names are axes: N batches, B batch, L position.
"""

import argparse
import dataclasses
import signal
import sys
import time

import jax
import numpy as np
from jax.experimental import multihost_utils
from tqdm import tqdm
from training.byte_text import ByteText, training_batches
from training.run_folder import RunFolder
from training.sharded_step import Model, local_rows, make_training, put_batch
from training.transformer import Size

import optax_lrs as olrs

LOOK_EVERY = 10  # steps between reads from the device, for the bar, and checks of signals


@dataclasses.dataclass(frozen=True)
class Plan:
    """Everything that follows from the arguments, checked."""

    options: argparse.Namespace
    size: Size
    steps: int
    text: ByteText
    mesh: jax.sharding.Mesh
    validation_NxBxL: np.ndarray
    schedules: dict[str, olrs.Schedule]
    folders: dict[str, RunFolder]


class Stop:
    """Remembers the first SIGTERM or Ctrl-C; a second one ends the process as usual."""

    def __init__(self):
        self.signal = 0
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._remember)

    def _remember(self, number, frame):
        self.signal = number
        signal.signal(number, signal.SIG_DFL)

    def agreed(self, step: int) -> bool:
        """Whether to stop after this step.

        If any process got a signal, all stop, because they must save the same step.
        """
        if jax.process_count() > 1 and step % LOOK_EVERY == 0:
            self.signal = int(np.max(multihost_utils.process_allgather(np.int32(self.signal))))
            return self.signal != 0
        return self.signal != 0 and jax.process_count() == 1


class Bar:
    """Shows loss, applied rate, speed and remaining time, on process 0.

    It reads values of the previous step: the device already has its next step and never waits for
    the host.
    """

    def __init__(self, name: str, start: int, steps: int, tokens_per_step: int):
        self._tokens_per_step = tokens_per_step
        self._looked, self._clock = start, time.monotonic()
        self._speed = 0.0
        self._val_loss = ""
        self._bar = tqdm(
            desc=f"{name:>10}",
            initial=start,
            total=steps,
            disable=jax.process_index() != 0,
            dynamic_ncols=True,
            mininterval=0.1 if sys.stderr.isatty() else 20,  # a log file needs fewer lines than a terminal
            bar_format="{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]",
        )

    def look(self, done: int, loss: jax.Array, lr: jax.Array, val_loss: jax.Array | None) -> None:
        loss, lr = float(loss), float(lr)  # waits for the step before the latest one
        now = time.monotonic()
        if done > self._looked:
            self._speed = (done - self._looked) * self._tokens_per_step / (now - self._clock)
            self._looked, self._clock = done, now
        if val_loss is not None:
            self._val_loss = f", val {float(val_loss):.3f}"
        self._bar.set_postfix_str(
            f"loss {loss:.3f}{self._val_loss}, lr {lr:.2e}, {self._speed:,.0f} tokens/s", refresh=False
        )
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        self._bar.close()


def train(plan: Plan, name: str, model: Model, validation_NxBxL: jax.Array, stop: Stop) -> olrs.Run | None:
    """Trains; returns the whole record of the run, resumed parts included, or None if stopped."""
    options, folder, steps = plan.options, plan.folders[name], plan.steps
    training = make_training(model, plan.schedules[name], steps)
    rows = local_rows(plan.mesh, options.batch_size)
    batches = training_batches(
        plan.text, context=plan.size.context, batch_size=options.batch_size, seed=options.seed, rows=rows
    )
    restored = folder.restore(training.shapes)
    if restored is None:
        start, state = 0, training.init()
    else:
        start, state, position = restored
        batches.set_state(position)

    bar = Bar(name, start, steps, options.batch_size * plan.size.context)
    before = val_loss = None
    for step in range(start, steps):
        batch_BxL = put_batch(plan.mesh, next(batches), options.batch_size)
        state, loss, lr = training.step(state, step, batch_BxL)
        done = step + 1
        if done % LOOK_EVERY == 0 and before is not None:
            bar.look(done, *before, val_loss)
            val_loss = None
        before = loss, lr
        if done % options.eval_every == 0 or done == steps:
            record, val_loss = model.validate(state.params, state.record, step, validation_NxBxL)
            state = state._replace(record=record)
        stopping = stop.agreed(done) and done < steps
        if done % options.checkpoint_every == 0 or done == steps or stopping:
            folder.save(done, state, batches.get_state())
        if stopping:
            bar.close()
            folder.close()
            return None
    if before is not None:
        bar.look(steps, *before, val_loss)
    bar.close()

    losses, lrs, val_losses = (np.asarray(values_T, np.float64) for values_T in state.record)
    run = dataclasses.replace(
        olrs.Run.from_state(state.opt_state),  # the norms of the gradients
        lrs=lrs,
        losses=losses,
        val_losses=val_losses,
        schedule=plan.schedules[name],
        notes={**folder.settings, "source": plan.text.source, "unigram_entropy": plan.text.unigram_entropy()},
    )
    folder.finish(run)
    return run
