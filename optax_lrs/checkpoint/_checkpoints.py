"""The store: checkpoints in a folder, each with its schedule and checksums."""

from __future__ import annotations

import dataclasses
import json
import os
import warnings
from collections.abc import Sequence
from typing import Any, Self

from optax_lrs._schedule import Schedule
from optax_lrs._value import arguments
from optax_lrs.checkpoint import _contents, _orbax, _retention
from optax_lrs.checkpoint._error import CheckpointError, MisfitError
from optax_lrs.checkpoint._folder import Folder
from optax_lrs.checkpoint._mismatch import CHOICES, kept, named_schedule
from optax_lrs.checkpoint._processes import agreed
from optax_lrs.checkpoint._restored import Restored, read_checkpoint

_RESERVED = (_contents.ABOUT, _contents.STATE, *_orbax.RESERVED_ITEMS)


class Checkpoints:
    r"""Saves and restores the checkpoints of one run, and verifies their schedule and their arrays.

    A thin layer over ``orbax.checkpoint.CheckpointManager``. The item ``state`` of each step is
    plain Orbax. A second item in the same atomic checkpoint, ``about``, is JSON and makes three
    guarantees about a restored state:

    - *It has the schedule that you expect.* The schedule is stored in readable form. Restoring with
      another one is an error until you choose which of the two to continue with (``on_mismatch``).
      Orbax alone restores silently: with ``adamw(schedule)`` another schedule takes over, and with
      a live schedule the old rates meet the new counts.
    - *It is what was saved, bit for bit.* Each array has a checksum that does not depend on the
      mesh. Orbax alone notices files that are cut or missing and damage to its indices, but not a
      changed bit in an array: its chunks have no checksum.
    - *It belongs to this model.* Arrays of another model, checkpoints of another program and
      checkpoints of a newer version raise errors that say so.

    Use it instead of the manager. Keeping 2–5 checkpoints is enough; list the steps that a branch
    starts from in ``keep_steps``. Every process of a job must call every method with the same
    arguments.

    Checkpoints can be restored on another mesh and by another number of hosts: the template says
    where each array goes.

    Args:
        folder: where the checkpoints are. The first :meth:`save` creates it. Each step is a
            subfolder. All hosts must see the same files.
        schedule: the schedule that this program runs. It is stored with each checkpoint and
            compared on restore. Pass it with ``optax.adamw(schedule)``, whose state holds only a
            count. A live schedule in the state is always stored, and compared with this one. None:
            only live schedules are stored and compared. After a restore with ``on_mismatch="keep"``
            that kept another schedule, later saves store the one kept, since the run continues with
            it (read it from ``.schedule`` of this object); restores still compare with the one
            given here.
        keep: how many of the latest checkpoints to keep; None for all.
        keep_steps: steps to keep for good, such as those that a branch needs.
        keep_every: also keep every step that is a multiple of this.

    Raises:
        ValueError: if ``keep`` or ``keep_every`` is not positive, or one of ``keep_steps`` is
            negative.
        TypeError: if ``schedule`` is not a :class:`Schedule`.

    Example:
        >>> import tempfile, jax, jax.numpy as jnp, optax, optax_lrs as olrs
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

    folder: str
    """The folder, absolute."""
    schedule: Schedule | None
    """The schedule that later saves store."""

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        schedule: Schedule | None = None,
        keep: int | None = 3,
        keep_steps: Sequence[int] = (),
        keep_every: int | None = None,
    ):
        owner = "Checkpoints"
        if schedule is not None:
            arguments.instance(owner, "schedule", schedule, Schedule)
        self._keep = None if keep is None else arguments.whole(owner, "keep", keep, low=1)
        self._keep_every = None if keep_every is None else arguments.whole(owner, "keep_every", keep_every, low=1)
        self._keep_steps = tuple(sorted(arguments.whole(owner, "keep_steps", step, low=0) for step in keep_steps))
        self._folder = Folder(folder)
        self.folder = self._folder.name
        self.schedule = schedule
        self._given = schedule  # the one that restores compare with
        self._damaged: set[int] = set()  # steps that restore() found damaged: moved aside when they are in the way
        self._manager: Any = None
        self._sweeper = _retention.Sweeper(self.folder)

    # ── what is there ─────────────────────────────────────────────────────────────────────────────

    def steps(self) -> list[int]:
        """The steps of the complete checkpoints on disk, in order.

        A save that is still running is not among them.
        """
        return self._folder.steps()

    @property
    def latest(self) -> int | None:
        """The last of :meth:`steps`; None if there are none."""
        return max(self.steps(), default=None)

    def schedule_at(self, step: int | None = None) -> Schedule | None:
        """The schedule of a checkpoint, to build the optimizer before ``on_mismatch="keep"``.

        Args:
            step: the checkpoint; None for the last.

        Returns:
            The live schedule in its state, or the one given when it was saved. None if it records
            none, or several different ones.

        Raises:
            CheckpointError: if this checkpoint does not exist, or is damaged.
            ValueError: if this program cannot build the schedule, for example because its class is
                not imported.
        """
        step = self._folder.chosen("Checkpoints.schedule_at", step)
        where = self._folder.where(step)
        contents = _contents.read(self._folder.path, step, where)
        return named_schedule(contents.plain, contents.live, contents.leaves, where)

    # ── saving ────────────────────────────────────────────────────────────────────────────────────

    def save(self, step: int, state: Any, **extra: Any) -> None:
        """Saves a state in the background, once it is copied from the devices.

        The checkpoint appears under its step only once it is complete: a process killed at any
        moment leaves the earlier ones intact. A checkpoint that :meth:`restore` found damaged and
        skipped is renamed, for example to ``120.damaged``, if it is in the way. Nothing else is
        renamed, not even a checkpoint that does not fit the template, and nothing is overwritten.

        Args:
            step: how many updates the state has had.
            state: a pytree of arrays and numbers.
            **extra: JSON items by name, such as ``position=batches.get_state()``. Those of process
                0 are stored.

        Raises:
            ValueError: if the folder has a checkpoint of that step or a later one, or an item is
                not valid JSON.
        """
        owner = "Checkpoints.save"
        step = arguments.whole(owner, "step", step, low=0)
        for key, item in extra.items():
            if key in _RESERVED:
                raise ValueError(f"{owner}: {key!r} cannot name an item: Checkpoints or Orbax uses that name")
            try:
                extra[key] = json.loads(json.dumps(item, allow_nan=False))
            except (TypeError, ValueError, RecursionError) as error:
                raise ValueError(f"{owner}: {key} must be valid JSON, got {item!r:.60}: {error}") from None
        about = _contents.about(step, state, extra, self.schedule)
        self.wait()
        moved = self._folder.make_way(owner, step, self._damaged)
        if moved:
            self._damaged -= set(moved)
            self.close()  # Orbax lists the folder when it is opened
        self._sweeper.sweep(wait=False)
        _orbax.save(self._open(), step, _contents.STATE, state, extra | {_contents.ABOUT: about})

    def wait(self) -> None:
        """Waits until the last save is complete on disk."""
        if self._manager is not None:
            self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits for the last save and stops Orbax's threads.

        A ``with`` statement calls it at its end.
        """
        if self._manager is not None:
            self._manager.close()
            self._manager = None
            self._sweeper.sweep(wait=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _open(self) -> Any:
        if self._manager is None:
            self._manager = _orbax.manager(
                self.folder,
                keep=self._keep,
                keep_steps=self._keep_steps,
                keep_every=self._keep_every,
                deleted=_retention.deleted_subfolder(self.folder),
            )
        return self._manager

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
        """Restores a checkpoint. Changes nothing in the folder.

        Args:
            template: the state's tree with ``jax.ShapeDtypeStruct`` leaves and their shardings, for
                example from ``jax.eval_shape``; or a state. A leaf without a sharding is replicated
                on the current mesh (``jax.set_mesh``), or put on the first device if there is none.
                Python numbers and NumPy arrays come back as such. A leaf whose dtype differs from
                what was saved is verified first and then converted: floats are rounded, and
                integers that would change are an error.
            step: the checkpoint; None for the last.
            on_mismatch: what to do if the checkpoint's schedule differs from this program's.
                ``"error"``: raise, and name the first difference. ``"keep"``: continue with the
                checkpoint's. A live schedule in the state is already that one; build an optimizer
                without a live schedule with ``.schedule`` of the result, as a warning says.
                ``"override"``: continue with this program's. It replaces a live schedule, at the
                same count. Rates are compared as float64, or as float32 with a live schedule, which
                has no more digits; notes are ignored. A program that is built around the state's
                structure (``out_shardings``, the graph of ``nnx.split``) keeps a schedule by
                building with :meth:`schedule_at`. Several live schedules that differ, and schedules
                in the state that are not live (``again`` of ``scale_by_rewarming_schedule``), need
                a template with numbers, or ``"keep"``.
            fallback: if a checkpoint is damaged or does not fit, take the last earlier one that can
                be restored, warn, and report in ``.skipped`` what was left out. A schedule that
                differs is not damage: it always needs a choice.
            verify: compare the checksums. Costs one pass over the restored arrays on the device.

        Returns:
            A :class:`Restored`: ``step``, ``state``, ``extra``, ``schedule``, ``skipped``.

        Raises:
            CheckpointError: (a ``ValueError``) if there is no checkpoint, or it is damaged, of
                another model or program, or of a newer version. The message names folder and step.
            ValueError: if the schedules differ or cannot be compared, and ``on_mismatch`` is
                ``"error"``.
        """
        owner = "Checkpoints.restore"
        arguments.one_of(owner, "on_mismatch", on_mismatch, CHOICES)
        self.wait()
        path, where = self._folder.path, self._folder.where
        first = self._folder.chosen(owner, step)
        earlier = [other for other in reversed(agreed(self.steps())) if other < first]
        skipped: dict[int, str] = {}
        damaged: set[int] = set()
        for number in [first, *earlier]:
            try:
                found = read_checkpoint(path, number, template, self._given, on_mismatch, verify, where(number))
            except CheckpointError as error:
                if not fallback:
                    last = "that can be restored" if isinstance(error, MisfitError) else "good one"
                    hint = f". Earlier ones: {', '.join(map(str, earlier))}; fallback=True takes the last {last}"
                    raise CheckpointError(f"{error}{hint if earlier else ''}") from error.__cause__
                skipped[number] = str(error)
                damaged |= set() if isinstance(error, MisfitError) else {number}
                continue
            except ValueError as error:
                if not skipped:  # the schedule differs, or cannot be compared: that needs a choice
                    raise
                raise ValueError(f"{error}. Skipped before it: {'; '.join(skipped.values())}") from error
            for other, why in skipped.items():
                warnings.warn(f"fell back to step {number} from step {other}: {why}", stacklevel=2)
            self._damaged |= damaged
            self.schedule = self._given
            if on_mismatch == "keep":
                self.schedule = kept(found.schedule, self._given, template, where(number))
            return dataclasses.replace(found, skipped=skipped)
        raise CheckpointError(f"no checkpoint of {self.folder} can be restored. " + "; ".join(skipped.values()))
