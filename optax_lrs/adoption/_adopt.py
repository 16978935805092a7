"""Continues a checkpoint of one optimizer with another."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from optax_lrs._paths import checked_pattern
from optax_lrs._states.found import held_state
from optax_lrs.adoption._fill import Filled, fill
from optax_lrs.adoption._parts import Leaf, Parts, parts_of
from optax_lrs.adoption._report import account
from optax_lrs.adoption._steps import checked_step


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class AdoptionReport:
    """The state that :func:`adopt_with_report` made, and where each of its arrays came from.

    Args:
        state: the fresh state, filled from the checkpoint.
        taken: for each array taken from the checkpoint, its path in ``state`` and its path there.
        set_to_step: the paths of counts that the checkpoint does not have and that were set to
            ``step``.
        fresh: the paths of arrays that are as the new optimizer begins: settings, and what the
            checkpoint does not have.
        left: the paths of the checkpoint's arrays that ``state`` does not have.
        step: the step of ``set_to_step``; None if that is empty.
        account: the same by state, as text. ``print`` shows it.
    """

    state: Any
    taken: Mapping[str, str]
    set_to_step: tuple[str, ...]
    fresh: tuple[str, ...]
    left: tuple[str, ...]
    step: Any
    account: str

    def __repr__(self) -> str:
        return self.account


def adopt(
    fresh: Any,
    restored: Any,
    *,
    rename: Mapping[str, str] | None = None,
    drop: str | Sequence[str] = (),
    new: str | Sequence[str] = (),
    step: int | None = None,
) -> Any:
    """Fills a new optimizer's fresh state from a checkpoint of another optimizer.

    Use it to continue a run with a change: a schedule instead of a constant rate, another schedule,
    a clip, a recorder, ``project_weights``, ``MultiSteps``, a mask. Orbax restores only into the
    structure that was saved. Restore with the old optimizer's structure, or without a template, and
    then::

        old = checkpointer.restore(path, jax.eval_shape(old_tx.init, params))    # or without a template
        opt_state = olrs.adopt(tx.init(params), old)

    **What goes where.** States are matched by their types and their order, whatever is around them.
    In a tree restored without a template, the names of the fields give the type. Several states of
    one type are matched by equal paths; else, under masks and partitions, by their parameters (one
    Adam may be split among groups, or several joined); else by order, if there are equally many. If
    more than one match is left, that is an error. :func:`adopt_with_report` shows what went where.

    **What stays the new optimizer's.** Its schedule, hyperparameters and factors, which are the
    point of the change. (In a :func:`with_refinement` the schedule was learned, and is taken.) So
    does everything that the checkpoint does not have. The radii of a new ``project_weights`` are
    those of the parameters given to ``tx.init``, so give it the restored ones.

    **The step.** A schedule's count is the old schedule's. Where there was none it is the step of
    another count, such as Adam's (:func:`step_of`). No schedule begins at 0 unless asked to, and
    neither does ``MultiSteps``. A new recorder has no rows yet; pass its first step to
    ``Run.from_state`` as ``at=``. Adam's count stays with Adam's moments. Your own state class
    declares what its fields count (:class:`optax_lrs.transforms.Roles`). A new integer that no
    class declares is an error.

    **What is lost.** Nothing without an error: everything in the checkpoint that has no place in
    the new state must be named by ``drop``, such as Adam's moments on a change to SGD, unless it is
    zero, a count or a setting. Arrays of another shape are errors, and so is a type that cannot
    hold the old one's numbers.

    Arrays are placed like the fresh ones, so a checkpoint may move to another mesh. They are not
    copied if they are there already: after a step that donates the state, ``restored`` and
    ``fresh`` are deleted, too. No array is in the state twice.

    Args:
        fresh: ``tx.init(params)`` of the new optimizer and the restored parameters; or a
            ``TrainState``, ``nnx.Optimizer``, its ``nnx.state``, or a dict with ``"opt_state"``.
            Then everything next to the optimizer state, such as parameters and ``step``, is taken
            by its path and must be there. The optimizer state of a ``TrainState`` is initialized
            again with the parameters taken.
        restored: the old optimizer's, in the same forms. If ``fresh`` is an optimizer state alone,
            only the optimizer state in it is used.
        rename: which states belong together where that is not clear: paths of old states, or of
            their wrappers, to those of new ones.
        drop: patterns of whole paths (see :func:`with_rates_by_path`) of the checkpoint's arrays to
            leave out.
        new: patterns of the fresh state's arrays to leave as they are, such as the moments of a new
            head, ``".*/head/.*"``. In a state that has counted many updates Adam's first steps with
            them are about 3 times as large.
        step: the step at which all schedules begin, instead of the above: 0 for a schedule that
            starts again.

    Returns:
        A state with the tree, shapes, types and placements of ``fresh``.

    Raises:
        ValueError: if the match is ambiguous, an array does not fit, something would be lost or
            cannot be filled, or the step is not known. The message has the paths, and how to
            decide.
        TypeError: if an argument has another type.

    Example:
        >>> import jax.numpy as jnp, optax
        >>> from optax_lrs import WSD
        >>> params = {"w": jnp.ones(2)}
        >>> old = optax.adamw(1e-3)
        >>> _, restored = old.update(params, old.init(params), params)
        >>> tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(WSD(peak=1e-3, total_steps=9, decay_steps=3)))
        >>> adopt_with_report(tx.init(params), restored)
        AdoptionReport at step 1
          1/0 ScaleByAdamState: from 0
          1/2 ScaleByScheduleState: the step
    """
    return adopt_with_report(fresh, restored, rename=rename, drop=drop, new=new, step=step).state


def adopt_with_report(
    fresh: Any,
    restored: Any,
    *,
    rename: Mapping[str, str] | None = None,
    drop: str | Sequence[str] = (),
    new: str | Sequence[str] = (),
    step: int | None = None,
) -> AdoptionReport:
    """Adopts as :func:`adopt`, and reports where every array came from.

    Print it before a long run.

    Args:
        fresh, restored, rename, drop, new, step: as for :func:`adopt`.

    Returns:
        An :class:`AdoptionReport`, whose ``state`` is what ``adopt`` returns.

    Raises:
        ValueError, TypeError: as :func:`adopt`.
    """
    if rename is not None and not isinstance(rename, Mapping):
        raise TypeError(f"adopt: rename must be a mapping from old paths to new ones, got {rename!r:.60}")
    step = None if step is None else checked_step("adopt", step)
    options: dict[str, Any] = dict(
        rename=dict(rename or {}), drop=_patterns("drop", drop), new=_patterns("new", new), step=step
    )
    mine, theirs, known = _sides(fresh, restored)
    if _makes_its_own(fresh) and mine.loose.leaves:
        # What the new optimizer measures must be measured on the parameters that it will be given.
        begun = fill(mine, theirs, known, **options, only_loose=True).state(mine)
        fresh = begun.replace(opt_state=begun.tx.init(begun.params))
        mine = parts_of(fresh)
        theirs = parts_of(restored, like=mine)
    return _report(mine, fill(mine, theirs, known, **options))


def _report(mine: Parts, filled: Filled) -> AdoptionReport:
    return AdoptionReport(
        state=filled.state(mine),
        taken=filled.taken,
        set_to_step=tuple(filled.set_to_step),
        fresh=tuple(filled.fresh),
        left=tuple(filled.left),
        step=filled.step,
        account=account(mine, filled),
    )


def _sides(fresh: Any, restored: Any) -> tuple[Parts, Parts, Leaf | None]:
    """Both trees taken apart, and the step next to the old optimizer state, if there is one."""
    for name, tree in (("fresh", fresh), ("restored", restored)):
        if isinstance(tree, (str, bytes, int, float)) or callable(getattr(tree, "init", None)):
            what = "give what was restored from it" if isinstance(tree, (str, bytes)) else "give tx.init(params)"
            raise TypeError(f"adopt: {name} must be a tree of arrays, got {tree!r:.60}: {what}")
    mine = parts_of(fresh)
    held, holder = held_state(restored), held_state(fresh)
    if held is not None and holder is None:
        known = parts_of(restored, like=mine).loose.leaves.get("step")
        return mine, parts_of(held, like=mine), known
    theirs = parts_of(restored, like=mine)
    if holder is not None and held is None and not theirs.loose.leaves:
        raise ValueError(
            "adopt: fresh holds an optimizer's state and more, restored only an optimizer's state: pass fresh.opt_state"
        )
    return mine, theirs, None


def _makes_its_own(tree: Any) -> bool:
    """Whether a tree can initialize its optimizer state, as a ``TrainState`` can."""
    return all(hasattr(tree, name) for name in ("tx", "params", "opt_state", "replace"))


def _patterns(name: str, patterns: Any) -> tuple[str, ...]:
    patterns = (patterns,) if isinstance(patterns, str) else patterns
    if not isinstance(patterns, (list, tuple)):
        raise TypeError(f"adopt: {name} must be a pattern or a sequence of patterns, got {patterns!r:.60}")
    return tuple(checked_pattern(pattern, f"adopt: {name}") for pattern in patterns)
