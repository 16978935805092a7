"""The step that an optimizer state is at, and functions that read and set it."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from optax_lrs._value.arguments import is_traced, whole
from optax_lrs.adoption._parts import Leaf, Parts, parts_of
from optax_lrs.adoption._place import filled, is_abstract, is_counter

_LAST = 2**31 - 1
_EVIDENCE = (("rate_steps",), ("schedule_steps", "seen_updates"), ("updates",))
"""The roles by which a step is known, the first that is there."""


def step_of(state: Any, *, path: str | None = None) -> Any:
    r"""Returns the step that a state is at: the number of updates made.

    It is the step that a schedule is given next:

    It is the step that a schedule is given next:

    .. math:: \eta_{\text{next}} = \text{schedule}(\text{step\_of}(\textit{state}))

    It is read from the first of these that the state has, and all of that kind must agree:

    1. the counts of rate schedules (``optax.adamw(schedule)``, ``inject_hyperparams``,
       :func:`scale_by_live_schedule`);
    2. the counts of other schedules, and of updates that moments have seen, such as Adam's: so a
       run at a constant rate has a step, too;
    3. counts of all updates, such as ``gradient_step`` of ``optax.MultiSteps``;
    4. the ``step`` of a ``TrainState`` or ``nnx.Optimizer``, which counts micro-batches under
       ``MultiSteps``.

    A recorder's count is the number of its rows and is not used. Your own state class declares what
    its fields count (:class:`optax_lrs.transforms.Roles`).

    Args:
        state: an optimizer state, at any depth; a ``TrainState``, ``nnx.Optimizer`` or dict with
            one in it; or what Orbax restores of any of these without a template.
        path: use only the counts at or below this path, as the error messages name it.

    Returns:
        An int. Inside ``jit`` an int32 array of shape ().

    Raises:
        ValueError: if nothing is known to count updates, or counts disagree (inside ``jit``: if
            there are several).

    Example:
        >>> import optax
        >>> tx = optax.adam(1e-3)
        >>> params = {"w": jnp.ones(2)}
        >>> state = tx.init(params)
        >>> for _ in range(3):
        ...     _, state = tx.update(params, state)
        >>> step_of(state)
        3
    """
    parts = parts_of(state)
    step = found_step(parts, owner="step_of", path=path)
    if step is None:
        where = "" if path is None else f" at {path!r}"
        unknown = _unexplained(parts, path)
        raise ValueError(f"step_of: nothing in this state counts updates{where}" + (f"; {unknown}" if unknown else ""))
    return step


def reset_schedule(opt_state: Any, *, step: int = 0, path: str | None = None) -> Any:
    r"""Returns the state with its schedules at another step; Adam's counts and all else stay.

    A schedule that is used for a second run must start at its warmup again, while Adam's moments
    stay corrected for the updates that are in them. ``optax.tree.set(state, count=0)`` sets Adam's
    count, too, and the update after t others is then

    .. math:: \frac{1-\beta_1^{t+1}}{1-\beta_1} \sqrt{\frac{1-\beta_2}{1-\beta_2^{t+1}}}

    times as large as it should be: with the usual numbers 2 after ten updates, and a third after
    thousands.

    It sets the counts that schedules read: of ``optax.scale_by_learning_rate(schedule)`` and
    ``scale_by_schedule``, ``inject_hyperparams``, :func:`scale_by_live_schedule`,
    ``with_rates_by_path``, ``decay_weights``, ``decay_to_init``, ``project_weights``,
    ``record_effective_learning_rate``, and of every state that declares such a count
    (:class:`optax_lrs.transforms.Roles`). It does not set Adam's and similar counts, the
    ``gradient_step`` of ``MultiSteps``, which counts the updates made, or that of
    :func:`record_grad_norm`, which counts its rows. To replace the schedule as well, use
    :func:`with_schedule`.

    Args:
        opt_state: any state with a schedule in it, at any depth; a ``TrainState`` or
            ``nnx.Optimizer``, too, whose ``step`` stays.
        step: the step of the next update.
        path: set only the counts at or below this path, as :func:`learning_rates` names it; None
            for all.

    Returns:
        A new state with the types, placement and boxes of the old one.

    Raises:
        ValueError: if no schedule reads a count (at that path), no role says what an integer in the
            state counts, ``step`` is not from 0 to 2**31 - 1, or a schedule is inside a
            :func:`with_refinement`, whose record is in step with it: use ``next_run``.
        TypeError: if ``step`` is not an int.

    Example:
        >>> import optax
        >>> tx = optax.adam(optax.cosine_decay_schedule(1e-3, 10))
        >>> params = {"w": jnp.ones(2)}
        >>> _, state = tx.update(params, tx.init(params))
        >>> [int(count) for _, count in optax.tree.get_all_with_path(reset_schedule(state), "count")]
        [1, 0]
    """
    step = checked_step("reset_schedule", step)
    parts = parts_of(opt_state)
    found = {}
    for part in parts.states:
        for key, leaf in part.leaves.items():
            if part.steps(key) and _within(leaf.path, part.path, path):
                learner = part.learned_by()
                if learner is not None:
                    raise ValueError(
                        f"reset_schedule: {part.path!r} is inside a {learner.kind}, whose record is in step with its"
                        " schedule: begin a new run instead, as refinement.next_run does"
                    )
                found[leaf.index] = filled(leaf.value, step)
    unknown = _unexplained(parts, path)
    if unknown:
        raise ValueError(f"reset_schedule: {unknown}. Or choose the schedules by path=")
    if not found:
        where = "" if path is None else f" at {path!r}"
        raise ValueError(f"reset_schedule: no schedule in this state reads a count{where}")
    leaves = jax.tree.leaves(opt_state)
    return jax.tree.unflatten(parts.tree, [found.get(index, leaf) for index, leaf in enumerate(leaves)])


def found_step(parts: Parts, *, owner: str, path: str | None = None) -> Any:
    """The step by the first kind of count that is there, or None; ``owner`` is for messages."""
    kinds: list[list[Leaf]] = [[], [], [], []]
    for part in parts.states:
        for key, leaf in part.leaves.items():
            if not _within(leaf.path, part.path, path) or not _counts(leaf.value):
                continue
            for rank, roles in enumerate(_EVIDENCE):
                if any(part.has(role, key) for role in roles):
                    kinds[rank].append(leaf)
                    break
    kinds[3] += [leaf for key, leaf in parts.loose.leaves.items() if key == "step" and _within(leaf.path, "", path)]
    leaves = next((leaves for leaves in kinds if leaves), None)
    if leaves is None:
        return None
    traced = is_traced(*(leaf.value for leaf in leaves))
    if traced and len(leaves) == 1:
        return jnp.asarray(leaves[0].value, jnp.int32)
    if traced:
        paths = [leaf.path for leaf in leaves]
        raise ValueError(f"{owner}: inside jit the counts at {paths} cannot be compared: choose one by path=")
    for leaf in leaves:
        if is_abstract(leaf.value):
            raise ValueError(f"{owner}: the count at {leaf.path!r} is a shape without a value")
    values = {leaf.path: np.unique(np.asarray(leaf.value)) for leaf in leaves}
    steps = {int(step) for each in values.values() for step in each}
    if len(steps) > 1:
        listed = ", ".join(f"{name}: {'/'.join(map(str, each))}" for name, each in values.items())
        how = "choose one by path=" if owner == "step_of" else "choose one by step="
        raise ValueError(f"{owner}: the counts disagree ({listed}): {how}")
    return steps.pop()


def _unexplained(parts: Parts, path: str | None) -> str:
    """Names the integers without a role, and says how to declare one; "" if there are none."""
    found = {
        leaf.path: part.kind
        for part in parts.states
        for leaf in part.unexplained()
        if _within(leaf.path, part.path, path)
    }
    if not found:
        return ""
    listed = ", ".join(f"{leaf!r} ({kind})" for leaf, kind in found.items())
    kind = next(iter(found.values()))
    return (
        f"no role says what the integers at {listed} count: declare it in the class,"
        f" {kind}.roles = optax_lrs.transforms.Roles(...)"
    )


def checked_step(owner: str, step: Any) -> Any:
    """The step as an int, or the scalar array that is being traced."""
    if is_traced(step) and step.ndim == 0 and jnp.issubdtype(step.dtype, np.integer):
        return step
    return whole(owner, "step", step, low=0, high=_LAST)


def _counts(value: Any) -> bool:
    return is_counter(value) or (np.ndim(value) > 0 and jnp.issubdtype(value.dtype, np.integer))


def _within(leaf: str, state: str, path: str | None) -> bool:
    return not path or leaf == path or state == path or state.startswith(f"{path}/")
