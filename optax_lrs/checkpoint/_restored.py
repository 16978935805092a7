"""Reads one checkpoint, verifies it, and lays it out as a template."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax

from optax_lrs._schedule import Schedule
from optax_lrs.checkpoint import _orbax
from optax_lrs.checkpoint._checksum import checksums
from optax_lrs.checkpoint._contents import Contents, read
from optax_lrs.checkpoint._error import CheckpointError, brief
from optax_lrs.checkpoint._fingerprint import with_schedules
from optax_lrs.checkpoint._mismatch import decide
from optax_lrs.checkpoint._processes import first_that_failed
from optax_lrs.checkpoint._template import as_saved, converted, placed, put_schedules, require_fit
from optax_lrs.checkpoint._unboxed import with_schedule_in


@dataclasses.dataclass(frozen=True)
class Restored:
    """What ``Checkpoints.restore`` returns."""

    step: int
    """The step of the checkpoint."""
    state: Any
    """The state, laid out as the template."""
    extra: dict[str, Any]
    """The JSON items saved with it, by name."""
    schedule: Schedule | None
    """The schedule that training continues with.

    None if neither the checkpoint nor the program names one.
    """
    skipped: dict[int, str]
    """With ``fallback=True``, the later checkpoints that could not be restored, and why."""


def read_checkpoint(
    folder: Any, step: int, given: Any, schedule: Schedule | None, on_mismatch: str, verify: bool, where: str
) -> Restored:
    """The checkpoint of that step.

    Everything that can be checked without its arrays is checked before they are read.
    """
    template = placed(given)
    contents = read(folder, step, where)
    decision = decide(contents.plain, contents.live, template, given, schedule, on_mismatch, where)
    require_fit(decision.template, contents.leaves, where)
    state = _arrays(folder / str(step) / contents.item, as_saved(decision.template, contents.leaves), where)
    if verify:
        _verify(state, contents, where)
    state = converted(state, decision.template, where)
    if on_mismatch == "override" and schedule is not None:
        state = with_schedule_in(state, schedule)
    if decision.replaced:
        state = with_schedules(state, put_schedules(template, decision.replaced))
    return Restored(step, state, contents.extra, decision.schedule, {})


def _arrays(path: Any, template: Any, where: str) -> Any:
    state, trouble = None, None
    try:
        state = _orbax.restore(path, template)
    except jax.errors.JaxRuntimeError:
        raise  # an error of the devices, such as full memory: nothing is wrong with the checkpoint
    except Exception as error:  # TensorStore and Orbax raise many types, bare Exceptions among them
        trouble = error
    where_failed = first_that_failed(trouble is not None)
    if trouble is None and where_failed is not None:
        trouble = OSError(f"process {where_failed} could not read it")
    if trouble is not None:
        raise CheckpointError(f"{where}: state is damaged, it cannot be read: {brief(trouble)}") from trouble
    return state


def _verify(state: Any, contents: Contents, where: str) -> None:
    saved = {key: leaf["checksum"] for key, leaf in contents.leaves.items() if "checksum" in leaf}
    if not saved:
        return
    found = checksums(state)
    wrong = [key for key in saved if found.get(key) != saved[key]]
    if wrong:
        some = ", ".join(wrong[:3]) + (", …" if len(wrong) > 3 else "")
        raise CheckpointError(
            f"{where}: state is damaged: {len(wrong)} of {len(saved)} arrays differ from what was saved: {some}"
        )
