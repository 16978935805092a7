"""A checkpoint of one optimizer continued by another."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from optax_lrs._paths import checked_pattern
from optax_lrs.adoption._fill import Filled, fill
from optax_lrs.adoption._parts import Parts, parts_of
from optax_lrs.adoption._report import account
from optax_lrs.adoption._steps import checked_step


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class AdoptionReport:
    """What :func:`adopt_with_report` returns: the state, and an account of every array in it and of those that are not.

    Args:
        state: the fresh state with what the checkpoint has.
        taken: by the path in ``state`` where an array was in the checkpoint.
        set_to_step: the counts of schedules that the checkpoint does not have: they were set to ``step``.
        fresh: the paths of what is as the new optimizer begins: what the checkpoint knows nothing of, and settings.
        left: the paths of what the checkpoint has and ``state`` does not.
        step: the step of ``set_to_step``; None if there are none.
        account: the same by state, as text: what ``print`` shows.
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
    """A new optimizer's fresh state with all that a checkpoint of another optimizer has.

    For a run that goes on with something changed: a schedule in place of a constant rate, another schedule, a clip, a
    recorder, ``project_weights``, ``MultiSteps``, a mask. Orbax restores only into the structure that was saved; restore with the
    old optimizer's, or with none, and then::

        old = checkpointer.restore(path, jax.eval_shape(old_tx.init, params))    # or without a template
        opt_state = olrs.adopt(tx.init(params), old)

    **What goes where.** States are told by their types (in what was restored without a template by their fields) and
    their order, whatever is around them. Of several of one kind: by equal paths; else, under masks and partitions, by their
    parameters (one Adam may be split among groups, or several joined); else by order if there are as many. If that leaves
    a choice it is an error. See :func:`adopt_with_report` for an account of what went where.

    **What stays the new optimizer's.** Its schedule, hyperparameters and factors: they are what is being changed. (In a
    :func:`with_refinement` the schedule has been learnt, and is taken.) And whatever the checkpoint knows nothing of: the radii of a
    ``project_weights`` that is new are those of the parameters that ``tx.init`` was given, so give it the restored ones.

    **The step.** A schedule's count is the old schedule's, or where there was none the step by another count, such as
    Adam's (:func:`step_of`): no schedule begins at 0 unasked, and neither does ``MultiSteps``. A recorder that is new has no rows
    yet; tell ``Run.from_state`` its first step with ``at=``. Adam's count goes only with Adam's moments.

    **What is lost.** Nothing without being told: if something that is not zero, a count or a setting has no place in the
    new state, such as Adam's moments when one changes to SGD, that is an error until ``drop`` names it. Arrays of
    another shape are errors, and so is a type that cannot hold the old one's numbers.

    Arrays are placed as the fresh ones are, so that a checkpoint may move to another mesh. They are not copied where they
    lie there already: after a step that donates the state, ``restored`` and ``fresh`` are used up too. (No array is in the state
    twice.)

    Args:
        fresh: ``tx.init(params)`` of the new optimizer and the restored parameters; or a ``TrainState``, ``nnx.Optimizer``, its
            ``nnx.state``, or a dict with ``"opt_state"``. Then everything beside the optimizer's state, such as parameters and
            ``step``, is taken by its path and must be there; of a ``TrainState`` the optimizer's state is begun anew with
            the parameters taken.
        restored: the old optimizer's, likewise. If ``fresh`` is an optimizer's state alone, only that of it is looked at.
        rename: which states belong together where that is not clear: paths of old states, or of wrappers of such, to
            those of new ones.
        drop: patterns of whole paths (see :func:`with_rates_by_path`) of the checkpoint's arrays that shall not be taken.
        new: patterns of the fresh state's arrays that shall stay as they are, such as the moments of a new head,
            ``".*/head/.*"``. In a state that has counted many updates Adam's first steps with them are about 3 times as large.
        step: where all schedules begin, in place of the above: 0 for a schedule that starts anew.

    Returns:
        A state with the tree, shapes, types and placements of ``fresh``.

    Raises:
        ValueError: if the match is ambiguous, an array does not fit, something would be lost or cannot be filled, or the
            step is not known; with the paths, and how to decide it.
        TypeError: if an argument is of another type.

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
    """What :func:`adopt` does, with an account of it: print it before a long run.

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
    options = dict(rename=dict(rename or {}), drop=_patterns("drop", drop), new=_patterns("new", new), step=step)
    mine, theirs, known = _sides(fresh, restored)
    if _makes_its_own(fresh) and mine.loose.leaves:
        # What the new optimizer measures must be measured on the parameters that it will be given.
        begun = fill(mine, theirs, known, **options, only_loose=True).state(mine)
        fresh = begun.replace(opt_state=begun.tx.init(begun.params))
        mine = parts_of(fresh)
        theirs = parts_of(restored, like=mine)
    return _adoption(mine, fill(mine, theirs, known, **options))


def _adoption(mine: Parts, filled: Filled) -> AdoptionReport:
    return AdoptionReport(
        state=filled.state(mine),
        taken=filled.taken,
        set_to_step=tuple(filled.set_to_step),
        fresh=tuple(filled.fresh),
        left=tuple(filled.left),
        step=filled.step,
        account=account(mine, filled),
    )


def _sides(fresh: Any, restored: Any) -> tuple[Parts, Parts, Any]:
    """Both trees taken apart, and the step beside the old optimizer's state, if there is one."""
    for name, tree in (("fresh", fresh), ("restored", restored)):
        if isinstance(tree, (str, bytes, int, float)) or callable(getattr(tree, "init", None)):
            what = "give what was restored from it" if isinstance(tree, (str, bytes)) else "give tx.init(params)"
            raise TypeError(f"adopt: {name} must be a tree of arrays, got {tree!r:.60}: {what}")
    mine = parts_of(fresh)
    held, holder = _opt_state(restored), _opt_state(fresh)
    if held is not None and holder is None:
        beside = parts_of(restored, like=mine).loose.leaves.get("step")
        return mine, parts_of(held, like=mine), beside
    theirs = parts_of(restored, like=mine)
    if holder is not None and held is None and not theirs.loose.leaves:
        raise ValueError(
            "adopt: fresh holds an optimizer's state and more, restored only such a state: adopt fresh.opt_state"
        )
    return mine, theirs, None


def _opt_state(tree: Any) -> Any:
    """The optimizer's state in a TrainState, an nnx.Optimizer, its nnx.state or a dict."""
    if isinstance(tree, Mapping):
        return tree.get("opt_state")
    return None if isinstance(tree, tuple) else getattr(tree, "opt_state", None)


def _makes_its_own(tree: Any) -> bool:
    return all(hasattr(tree, name) for name in ("tx", "params", "opt_state", "replace"))


def _patterns(name: str, patterns: Any) -> tuple[str, ...]:
    patterns = (patterns,) if isinstance(patterns, str) else patterns
    if not isinstance(patterns, (list, tuple)):
        raise TypeError(f"adopt: {name} must be a pattern or a sequence of patterns, got {patterns!r:.60}")
    return tuple(checked_pattern(pattern, f"adopt: {name}") for pattern in patterns)
