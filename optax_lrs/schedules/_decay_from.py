"""Branches: a schedule with its own decay begun at a step of its plateau."""

from __future__ import annotations

from optax_lrs._schedule import Schedule
from optax_lrs._value.arguments import whole


def decay_from(schedule: Schedule, *, at: int, steps: int | None = None) -> Schedule:
    """The same schedule with its own decay begun at a step of its plateau: the branch of a stable run.

    Equal to ``schedule`` before ``at``, to the last bit, and of its class: so the state at ``at`` of a run with
    ``schedule`` is the branch's too. What begins is the decay of :class:`WSD`, :class:`WSDS`, :class:`WSDC`,
    :class:`PowerLaw`, the annealing of :class:`Infinite`, the cooldown of :class:`InverseSqrt`, with its profile and its
    end; within ``scaled``, ``shifted``, ``join`` (its last piece), ``switch`` (likewise) and ``with_cooldown`` as well. For a
    schedule of your own define ``decayed_from(self, at, steps)``, which returns it. What has no decay of its own is
    cooled down by :func:`with_cooldown`.

    Args:
        schedule: what runs until ``at``.
        at: the first step of the decay, after the warmup and not after the schedule's own decay has begun.
        steps: the length of the decay; None, the default: that of the schedule's own.

    Raises:
        ValueError: if ``at`` lies in the warmup or after the decay began, or no length is known.
        TypeError: if ``schedule`` is no :class:`Schedule` or has no decay to begin, or a count is no int.

    Example:
        >>> from optax_lrs import WSD
        >>> lr = WSD(peak=1e-3, total_steps=10_000, warmup_steps=500, decay_steps=2_000)
        >>> decay_from(lr, at=4_000)
        WSD(peak=0.001, total_steps=6000, decay_steps=2000, warmup_steps=500, end=0.0, decay=profiles.linear)
        >>> decay_from(lr, at=4_000, steps=800).at(4_400)
        np.float64(0.0005)
    """
    if not isinstance(schedule, Schedule):
        raise TypeError(f"decay_from: schedule must be a Schedule, got {schedule!r:.80}")
    at = whole("decay_from", "at", at)
    if steps is not None and (steps := whole("decay_from", "steps", steps)) < 1:
        raise ValueError(f"decay_from: steps must be at least 1, got {steps}")
    return schedule.decayed_from(at, steps)


def decay_length(
    schedule: Schedule, at: int, steps: int | None, *, first: int, last: int | None, own: int | None
) -> int:
    """The length of a decay begun at a step from ``first`` to ``last`` (None: any); ``own`` if none is given."""
    name, cooled = type(schedule)._name, "with_cooldown(schedule, at=..., steps=...) decays from any step"
    if at < first:
        raise ValueError(f"decay_from: at={at} is before the plateau of this {name}, which begins at {first}; {cooled}")
    if last is not None and at > last:
        raise ValueError(f"decay_from: at={at} is after the decay of this {name} has begun, at {last}; {cooled}")
    if not (steps or own):
        raise ValueError(f"decay_from: steps must be given, for this {name} has no decay yet, got {steps}")
    return steps or own
