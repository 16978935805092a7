"""Trains one arm, from its last checkpoint or from the end of the pre-training run."""

import argparse
import dataclasses
import pathlib
import shutil
from typing import Any

import numpy as np
from new_data.arms import Arm
from new_data.data import mixed_batches
from new_data.step import Continuation, State
from training.byte_text import ByteText
from training.loop import LOOK_EVERY, Bar, Stop
from training.run_folder import RunFolder
from training.sharded_step import local_rows, put_batch
from training.transformer import Size

import optax_lrs as olrs

RECORDER = "0/.*"  # of norms; first in the chain of examples/pretrain.py
MERGED = 10  # checkpoints to average where merging replaces a decay


@dataclasses.dataclass(frozen=True)
class Job:
    """One arm on one shift."""

    name: str
    arm: Arm
    at: int  # the first step on new data; an arm from scratch starts at 0
    end: int
    old: ByteText
    new: ByteText
    size: Size
    folder: RunFolder
    options: argparse.Namespace

    @property
    def first(self) -> int:
        return self.at if self.arm.start else 0


class Merging:
    """The checkpoints to average at the end: only parameters, evenly spread over the last steps."""

    def __init__(self, job: Job):
        every = max(1, job.arm.merge_steps // MERGED)
        self.steps = [job.end - every * i for i in reversed(range(MERGED))] if job.arm.merge_steps else []
        self.checkpoints = olrs.checkpoint.Checkpoints(self.place(job.folder), keep=None)

    @staticmethod
    def place(folder: RunFolder) -> pathlib.Path:
        return folder.path / "merged_from"

    @classmethod
    def clear(cls, folder: RunFolder) -> None:
        """Deletes the checkpoints of a replaced run: its parameters differ at the same steps."""
        shutil.rmtree(cls.place(folder), ignore_errors=True)

    def look(self, done: int, params: Any) -> None:
        # A resumed run passes this step again, with the same parameters.
        if done in self.steps and done not in self.checkpoints.steps():
            self.checkpoints.save(done, params)
            self.checkpoints.wait()  # before the checkpoint from which a resumed run would continue

    def close(self) -> None:
        self.checkpoints.close()

    def mean(self, params: Any) -> Any:
        """The average: as if the rate had decayed linearly over those steps (arXiv:2507.17634)."""
        weights = olrs.merge_weights(len(self.steps), decay=olrs.profiles.linear)
        return olrs.checkpoint.average(
            self.checkpoints.folder, params, weights=weights, steps=self.steps, path="", item="state"
        )


def train_arm(job: Job, training: Continuation, found: Any, validation: tuple[Any, Any], stop: Stop) -> olrs.Run | None:
    """Trains; returns the record of this arm, resumed parts included, or None if it was stopped."""
    options, folder, mesh = job.options, job.folder, training.model.mesh
    batches = mixed_batches(
        job.old,
        job.new,
        replay=job.arm.replay,
        context=job.size.context,
        batch_size=options.batch_size,
        seed=options.seed + 1,
        rows=local_rows(mesh, options.batch_size),
    )
    restored = folder.restore(training.shapes)
    if restored is None:
        start, state = job.first, training.begin(job.arm.schedule, found, drop=RECORDER)
        record, _, _ = training.validate(state.params, state.record, start, *validation)
        state = state._replace(record=record)
    else:
        start, state, position = restored
        batches.set_state(position)

    bar = Bar(job.name, start - job.first, job.end - job.first, options.batch_size * job.size.context)
    merging = Merging(job)
    before = new_loss = None
    for done in range(start + 1, job.end + 1):
        state, loss, lr = training.step(state, done, put_batch(mesh, next(batches), options.batch_size))
        if done % LOOK_EVERY == 0 and before is not None:
            bar.look(done - job.first, *before, new_loss)
            new_loss = None
        before = loss, lr
        if done % options.eval_every == 0 or done == job.end:
            record, _, new_loss = training.validate(state.params, state.record, done, *validation)
            state = state._replace(record=record)
        merging.look(done, state.params)
        stopping = stop.agreed(done) and done < job.end
        if done % options.checkpoint_every == 0 or done == job.end or stopping:
            folder.save(done, state, batches.get_state())
        if stopping:
            bar.close()
            merging.close()
            folder.close()
            return None
    bar.close()
    merging.close()
    run = record_of(job, state)
    if merging.steps:
        old, new = training.losses(merging.mean(state.params), *validation)
        run.notes["merged"] = {"old": float(old), "new": float(new)}
    folder.finish(run)
    return run


def record_of(job: Job, state: State) -> olrs.Run:
    """The record, from the first step on new data.

    `val_losses` are those on the new text; those on the old text are a note.
    """
    losses, lrs, old, new = (np.asarray(values_T, np.float64) for values_T in state.record)
    steps = np.arange(job.first, job.end)
    looks = np.flatnonzero(np.isfinite(old))
    return olrs.Run(
        steps=steps,
        losses=losses[steps + 1],
        lrs=lrs[steps + 1],
        val_losses=new[steps + 1],
        schedule=job.arm.schedule,
        notes={
            **job.folder.settings,
            "validation": [[int(done), float(old[done]), float(new[done])] for done in looks],
        },
    )


def ends(run: olrs.Run) -> tuple[float, float]:
    """The final losses on the old and the new text; those of merged parameters, if merged."""
    merged = run.notes.get("merged")
    return (merged["old"], merged["new"]) if merged else tuple(run.notes["validation"][-1][1:])
