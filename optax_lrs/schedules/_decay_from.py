"""Branches: a schedule whose own decay begins at a chosen step of its plateau."""

from __future__ import annotations

from optax_lrs._schedule import Schedule
from optax_lrs._value.arguments import instance, whole


def decay_from(schedule: Schedule, *, at: int, steps: int | None = None) -> Schedule:
    """Begins a schedule's own decay at a step of its plateau: a branch of a stable run.

    The result equals ``schedule`` before ``at``, to the last bit, and has the same class, so a
    branch can continue from the stable run's state at ``at``. It begins the decay of :class:`WSD`,
    :class:`WSDS`, :class:`WSDC` or :class:`PowerLaw`, the annealing of :class:`Infinite`, or the
    cooldown of :class:`InverseSqrt`, with its profile and its end. It also works inside ``scaled``,
    ``shifted``, ``on_tokens`` and ``with_cooldown``, and on the last piece of ``join`` and
    ``switch``. For your own schedule, define ``decayed_from(self, at, steps)``, which returns
    the branch. Schedules without a decay are cooled down by :func:`with_cooldown`.

    Args:
        schedule: the schedule until ``at``.
        at: the first step of the decay: after the warmup, and not after the schedule's own decay
            begins.
        steps: the length of the decay. None (the default) for the length of the schedule's own
            decay.

    Returns:
        A schedule of the same class.

    Raises:
        ValueError: if ``at`` lies in the warmup or after the decay began, or no length is known.
        TypeError: if ``schedule`` is not a :class:`Schedule` or has no decay to begin, or a count
            is not an int.

    Example:
        >>> from optax_lrs import WSD
        >>> lr = WSD(peak=1e-3, total_steps=10_000, warmup_steps=500, decay_steps=2_000)
        >>> decay_from(lr, at=4_000)
        WSD(peak=0.001, total_steps=6000, decay_steps=2000, warmup_steps=500, end=0.0,
            decay=profiles.linear)
        >>> decay_from(lr, at=4_000, steps=800).at(4_400)
        np.float64(0.0005)
    """
    instance("decay_from", "schedule", schedule, Schedule)
    at = whole("decay_from", "at", at)
    steps = None if steps is None else whole("decay_from", "steps", steps, low=1)
    return schedule.decayed_from(at, steps)


def decay_length(
    schedule: Schedule, at: int, steps: int | None, *, first: int, last: int | None, own: int | None
) -> int:
    """The length of a decay that begins at ``at``; ``own`` where ``steps`` is None.

    Args:
        schedule: the schedule that decays, for error messages.
        at: the first step of the decay.
        steps: the length that was asked for, if any.
        first: the first step at which a decay may begin.
        last: the last such step; None for no limit.
        own: the length of the schedule's own decay, if it has one.
    """
    name, cooled = type(schedule)._name, "with_cooldown(schedule, at=..., steps=...) decays from any step"
    if at < first:
        raise ValueError(f"decay_from: at={at} is before the plateau of this {name}, which begins at {first}; {cooled}")
    if last is not None and at > last:
        raise ValueError(f"decay_from: at={at} is after the decay of this {name} has begun, at {last}; {cooled}")
    length = steps or own
    if not length:
        raise ValueError(f"decay_from: steps must be given, because this {name} has no decay, got {steps}")
    return length
