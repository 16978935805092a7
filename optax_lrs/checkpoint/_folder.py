"""A folder of checkpoints: Orbax's, with the schedule and a checksum beside the state."""

from __future__ import annotations

import dataclasses
import json
import operator
import os
import warnings
from collections.abc import Sequence
from typing import Any, Self

import jax

from optax_lrs._schedule import Schedule
from optax_lrs.checkpoint import _contents, _retention
from optax_lrs.checkpoint._error import CheckpointError, MisfitError
from optax_lrs.checkpoint._mismatch import CHOICES, kept, named_schedule
from optax_lrs.checkpoint._processes import agreed, together
from optax_lrs.checkpoint._restored import Restored, restored

_RESERVED = (_contents.ABOUT, _contents.STATE, "default", "metrics", "descriptor")


class Checkpoints:
    r"""The checkpoints of one run in a folder: saved while training goes on, and never taken for something else.

    A thin layer over ``orbax.checkpoint.CheckpointManager``: the item ``state`` of each step is plain Orbax, and what is
    added is one JSON item, ``about``, in the same atomic checkpoint. With it a restored state is

    - *that of the schedule you think*: the schedule is stored in readable form, and restoring with another one is an error
      until you say which of the two goes on (``on_mismatch``). Orbax alone restores silently: with ``adamw(schedule)``
      another schedule takes over, and with a live schedule the old rates meet the new counts.
    - *what was saved, to the bit*: a checksum of every array that does not depend on the mesh. Orbax alone notices a file
      that is cut or missing and damage to its indices, but not a changed bit in an array: its chunks have no checksum.
    - *of this model*: arrays of another model, another program's checkpoints and those of a newer version are errors that
      say so.

    Use it in the place of the manager; 2–5 checkpoints kept are enough, and ``keep_steps`` for those that a branch starts
    from. All processes of a job call every method, with the same arguments.

    Checkpoints may be restored on another mesh and by another number of hosts: the template says where arrays are to lie.

    Args:
        folder: where; created by the first :meth:`save`. Each step is a folder in it. All hosts must see the same files.
        schedule: the schedule that this program runs: stored with each checkpoint, compared when restoring. Needed for
            ``optax.adamw(schedule)``, whose state holds only a count; a live schedule in the state is stored in any case, and
            compared with this one. None: nothing but live schedules is stored and compared. After a restore with
            ``on_mismatch="keep"`` that kept another one, later saves store the one kept (``.schedule`` of this object says
            which), as the run goes on with it; restores go on comparing with the one given here.
        keep: how many of the last checkpoints are kept; None for all.
        keep_steps: steps whose checkpoints are kept for good, as those that a branch needs.
        keep_every: also keep every step that this divides.

    Raises:
        ValueError: if ``keep`` or ``keep_every`` is not positive, or one of ``keep_steps`` is negative.
        TypeError: if ``schedule`` is no :class:`Schedule`.

    Example:
        >>> import tempfile, jax.numpy as jnp, optax, optax_lrs as olrs
        >>> folder, lr = tempfile.TemporaryDirectory(), olrs.Linear(peak=0.5, total_steps=4)
        >>> tx = optax.sgd(lr)
        >>> params = {"w": jnp.ones(2)}
        >>> with Checkpoints(folder.name, schedule=lr) as checkpoints:
        ...     _ = checkpoints.save(2, (params, tx.init(params)), position={"batch": 2})
        >>> shapes = jax.eval_shape(lambda: (params, tx.init(params)))
        >>> restored = Checkpoints(folder.name, schedule=lr).restore(shapes)
        >>> restored.step, restored.extra, restored.schedule == lr
        (2, {'position': {'batch': 2}}, True)
        >>> Checkpoints(folder.name, schedule=lr.replace(peak=0.25)).restore(shapes)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: ... was saved with another schedule: peak is 0.5 there and 0.25 here...
        >>> folder.cleanup()
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        *,
        schedule: Schedule | None = None,
        keep: int | None = 3,
        keep_steps: Sequence[int] = (),
        keep_every: int | None = None,
    ):
        if schedule is not None and not isinstance(schedule, Schedule):
            raise TypeError(f"Checkpoints: schedule must be a Schedule or None, got {schedule!r:.80}")
        for key, count in dict(keep=keep, keep_every=keep_every).items():
            if count is not None and operator.index(count) < 1:
                raise ValueError(f"Checkpoints: {key} must be at least 1, or None, got {count}")
        self.folder = os.path.abspath(folder) if "://" not in str(folder) else str(folder)
        self.schedule = schedule  # that later saves store
        self._given = schedule  # that restores compare with
        self._keep, self._keep_every = keep, keep_every
        self._keep_steps = tuple(sorted(_step(step) for step in keep_steps))
        self._damaged: set[int] = set()  # those that restore() found so: moved aside when they are in the way
        self._manager: Any = None
        self._sweeper = _retention.Sweeper(self.folder)

    # ── what is there ─────────────────────────────────────────────────────────────────────────────

    def steps(self) -> list[int]:
        """The steps of the complete checkpoints on disk, in order; that of a save still going on is not among them."""
        import orbax.checkpoint as ocp

        folder = self._path()
        if folder.exists() and not folder.is_dir():
            raise CheckpointError(f"{self.folder} is a file, not a folder of checkpoints")
        there = [path for path in folder.iterdir() if path.name.isdigit()] if folder.exists() else []
        return sorted(int(path.name) for path in there if path.is_dir() and ocp.utils.is_checkpoint_finalized(path))

    @property
    def latest(self) -> int | None:
        """The last of :meth:`steps`; None if there are none."""
        return max(self.steps(), default=None)

    def schedule_at(self, step: int | None = None) -> Schedule | None:
        """The schedule that a checkpoint goes on with under ``on_mismatch="keep"``, to build the optimizer from.

        Args:
            step: which; None for the last.

        Returns:
            The live schedule in its state, or the one given when it was saved; None if it names none, or several that differ.

        Raises:
            CheckpointError: if there is no such checkpoint, or it is damaged.
            ValueError: if this program cannot build the schedule, as one of a class that is not imported.
        """
        step = self._chosen(step)
        contents = _contents.read(self._path(), step, self._where(step))
        return named_schedule(contents.plain, contents.live, contents.leaves, self._where(step))

    # ── saving ────────────────────────────────────────────────────────────────────────────────────

    def save(self, step: int, state: Any, **extra: Any) -> None:
        """Saves a state: waits until it is copied from the devices, and writes it while training goes on.

        The checkpoint appears under its step when it is complete, and not before: a process killed at any moment leaves
        the earlier ones. Whatever was damaged and skipped by :meth:`restore` is moved aside, as ``120.damaged``, if
        it is in the way; nothing else is, as what only did not fit the template, and nothing is overwritten.

        Args:
            step: how many updates the state has had.
            state: a pytree of arrays and numbers.
            **extra: JSON items by name, such as ``position=batches.get_state()``; of process 0.

        Raises:
            ValueError: if the folder has a checkpoint of that step or a later one, or an item is no JSON.
        """
        import orbax.checkpoint as ocp

        step = _step(step)
        for key, item in extra.items():
            if key in _RESERVED:
                raise ValueError(f"save: {key!r} cannot be the name of an item, it is used by Checkpoints or Orbax")
            try:
                extra[key] = json.loads(json.dumps(item, allow_nan=False))
            except (TypeError, ValueError, RecursionError) as error:
                raise ValueError(f"save: {key} must be what JSON can hold: {error}") from None
        about = _contents.about(step, state, extra, self.schedule)
        self.wait()
        self._make_way(step)
        self._sweeper.sweep(wait=False)
        items = {key: ocp.args.JsonSave(item) for key, item in (extra | {_contents.ABOUT: about}).items()}
        # force: every save that is asked for is made; Orbax would skip some silently, as those before a later step.
        self._open().save(step, args=ocp.args.Composite(state=ocp.args.StandardSave(state), **items), force=True)

    def wait(self) -> None:
        """Waits until the last save is complete on disk."""
        if self._manager is not None:
            self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits for the last save and lets go of Orbax's threads. Also at the end of a ``with``."""
        if self._manager is not None:
            self._manager.close()
            self._manager = None
            self._sweeper.sweep(wait=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # ── restoring ─────────────────────────────────────────────────────────────────────────────────

    def restore(
        self,
        template: Any,
        *,
        step: int | None = None,
        on_mismatch: str = "error",
        fallback: bool = False,
        verify: bool = True,
    ) -> Restored:
        """Restores a checkpoint; changes nothing in the folder.

        Args:
            template: the state's tree with ``jax.ShapeDtypeStruct`` leaves and their shardings, as from
                ``jax.eval_shape``; or a state. Leaves without a sharding come to the mesh in force (``jax.set_mesh``),
                replicated, or to the first device. Numbers and arrays of NumPy come back as such. A leaf of another
                dtype than was saved is converted, after it was verified: floats are rounded, and
                integers that would change are an error.
            step: which checkpoint; None for the last.
            on_mismatch: what to do if the checkpoint's schedule is not this program's. ``"error"``: raise and name the
                first difference. ``"keep"``: the checkpoint's goes on; a live schedule in the state is that, and
                ``.schedule`` says what an optimizer without one is to be built with, as a warning tells. ``"override"``:
                this program's goes on; a live schedule is replaced by it, at the same count. Rates are compared as float64,
                with a live schedule, which has no more, as float32; notes do not count. A program that is built around the
                state's structure (``out_shardings``, the graph of ``nnx.split``) keeps a schedule by building with
                :meth:`schedule_at`. Several live schedules that differ, and schedules in the state beside the live one
                (``again`` of ``scale_by_rewarming_schedule``), need a template with numbers, or ``"keep"``.
            fallback: where a checkpoint is damaged or does not fit, take the last earlier one that can be restored, warn,
                and tell in ``.skipped`` what was left out. A schedule that differs is no damage and always a choice.
            verify: compare the checksums: one pass over the restored arrays on the device.

        Returns:
            A :class:`Restored`: ``step``, ``state``, ``extra``, ``schedule``, ``skipped``.

        Raises:
            CheckpointError: (a ``ValueError``) if there is no checkpoint, or it is damaged, of another model or
                program, or of a newer version; the message names folder and step.
            ValueError: if the schedules differ or cannot be compared, and ``on_mismatch`` is ``"error"``.
        """
        if on_mismatch not in CHOICES:
            raise ValueError(f"restore: on_mismatch must be one of {CHOICES}, got {on_mismatch!r}")
        self.wait()
        first = self._chosen(step)
        earlier = [other for other in reversed(agreed(self.steps())) if other < first]
        skipped: dict[int, str] = {}
        damaged: set[int] = set()
        for number in [first, *earlier]:
            try:
                found = restored(self._path(), number, template, self._given, on_mismatch, verify, self._where(number))
            except CheckpointError as error:
                if not fallback:
                    last = "that can be restored" if isinstance(error, MisfitError) else "good one"
                    hint = f". Earlier ones: {', '.join(map(str, earlier))}; fallback=True takes the last {last}"
                    raise CheckpointError(f"{error}{hint if earlier else ''}") from error.__cause__
                skipped[number] = str(error)
                damaged |= set() if isinstance(error, MisfitError) else {number}
                continue
            except ValueError as error:
                if not skipped:  # the schedule differs, or cannot be compared: a choice, but one to make knowingly
                    raise
                raise ValueError(f"{error}. Skipped before it: {'; '.join(skipped.values())}") from error
            for other, why in skipped.items():
                warnings.warn(f"fell back to step {number} from step {other}: {why}", stacklevel=2)
            self._damaged |= damaged
            self.schedule = self._given
            if on_mismatch == "keep":
                self.schedule = kept(found.schedule, self._given, template, self._where(number))
            return dataclasses.replace(found, skipped=skipped)
        raise CheckpointError(f"no checkpoint of {self.folder} can be restored. " + "; ".join(skipped.values()))

    # ── the folder ────────────────────────────────────────────────────────────────────────────────

    def _path(self) -> Any:
        from etils import epath

        return epath.Path(self.folder)

    def _where(self, step: int) -> str:
        return f"{self.folder}, step {step}"

    def _chosen(self, step: int | None) -> int:
        there = agreed(self.steps())
        if step is None and not there:
            raise CheckpointError(f"{self.folder} holds no checkpoint")
        if step is not None and _step(step) not in there:
            listed = ", ".join(map(str, there)) or "none"
            raise CheckpointError(f"{self.folder} holds no checkpoint of step {step}; those there are: {listed}")
        return there[-1] if step is None else _step(step)

    def _open(self) -> Any:
        if self._manager is None:
            import orbax.checkpoint as ocp

            options = _retention.options(self.folder, self._keep, self._keep_steps, self._keep_every)
            self._manager = ocp.CheckpointManager(self.folder, options=options)
        return self._manager

    def _make_way(self, step: int) -> None:
        """Moves damaged checkpoints aside; raises if good ones, or something else, are in the way of ``step``."""
        there = agreed(self.steps())
        good = [other for other in there if other >= step and other not in self._damaged]
        if good:
            raise ValueError(
                f"save: {self.folder} already holds step {good[0]}, so step {step} cannot be saved there: go on from it, or "
                "save to another folder; nothing is overwritten"
            )
        if agreed(step not in there and (self._path() / str(step)).exists()):
            raise ValueError(f"save: {self.folder}/{step} is in the way and no checkpoint; nothing is overwritten")
        moved = [other for other in there if other in self._damaged]
        if not moved:
            return
        if jax.process_index() == 0:
            _retention.move_aside(self._path(), moved)
        together("moved aside")
        self._damaged -= set(moved)
        self.close()  # Orbax lists the folder when it is opened


def _step(step: Any) -> int:
    try:
        step = operator.index(step)
    except TypeError:
        raise TypeError(f"step must be an int, got {step!r:.60}") from None
    if step < 0:
        raise ValueError(f"step must be at least 0, got {step}")
    return step
