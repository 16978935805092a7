"""A longer horizon for a run that has already begun."""

from __future__ import annotations

from optax_lrs._schedule import Schedule
from optax_lrs._value.arguments import one_of, whole
from optax_lrs.schedules import WSD
from optax_lrs.schedules._cooled import with_cooldown
from optax_lrs.theory import adapted_cooldown, two_stage_factor

_WAYS = ("cooldown", "factor", "share")


def extend(
    schedule: WSD, *, at: int, total_steps: int, by: str = "cooldown", ramp_steps: int | None = None
) -> Schedule:
    """Extends the schedule of a WSD run beyond the length it was planned for.

    The result equals ``schedule`` before ``at``, to the last bit, so the run continues from its
    state at ``at`` as if the new horizon had been known from the start. A longer run needs a lower
    rate. You choose how to compensate:

    ==============  ==============================================================================
    ``"cooldown"``  the same peak, with the longer cooldown at which that peak is right
                    (:func:`optax_lrs.theory.adapted_cooldown`)
    ``"factor"``    from the step at which the old cooldown was due, the peak times
                    :func:`optax_lrs.theory.two_stage_factor`, reached by a linear ramp; the
                    cooldown keeps its share of the run
    ``"share"``     the same peak, and the cooldown keeps its share of the run: the usual practice
    ==============  ==============================================================================

    In the paper's runs (124M parameters, from 50k to 100k steps, cooldown of 20%) the loss was
    2.8878 with a cooldown of 60%, as the adapted one requires; 2.8975 with the factor; 2.9037 with
    the same share. Extended to 200k: 2.8552 with the factor, 2.8608 with the share. The adapted
    cooldown starts early, since it takes 63% of twice the run, so use it for runs that are extended
    early.

    The theory has no warmup. It is given the steps after it: ``total_steps - warmup_steps`` of both
    runs.

    Args:
        schedule: a :class:`WSD` with a decay, whose peak is right for its length.
        at: the step reached; its update is the first that may differ. At most the first step of the
            old decay.
        total_steps: the new length of the run, at least the old one.
        by: ``"cooldown"`` (the default), ``"factor"`` or ``"share"``.
        ramp_steps: the length of the ramp to the lower rate, for ``"factor"`` only; by default 2%
            of the old run (the paper's 1,000 of 50,000). Like the paper, the theory ignores it.

    Returns:
        A WSD for ``"cooldown"`` and ``"share"``; for ``"factor"`` a plateau with two cooldowns
        (:class:`optax_lrs.schedules.Cooled`).

    Raises:
        ValueError: if the old decay has begun, or the new one would begin before ``at``; if
            ``total_steps`` is shorter than before, ``by`` is unknown, there is no decay, or the
            ramp does not fit or is given with another ``by``.
        TypeError: if ``schedule`` is not a :class:`WSD`, or a count is not an int.

    Example:
        >>> lr = WSD(peak=1e-3, total_steps=50_000, decay_steps=10_000)
        >>> extend(lr, at=30_000, total_steps=100_000)
        WSD(peak=0.001, total_steps=100000, decay_steps=63430, warmup_steps=0, end=0.0,
            decay=profiles.linear)
        >>> longer = extend(lr, at=40_000, total_steps=100_000, by="factor")
        >>> print(longer.at([40_000, 41_000, 80_000, 90_000]).round(6))
        [0.001    0.000532 0.000532 0.000266]

    References:
        Schaipp et al., The Surprising Agreement Between Convex Optimization Theory and
        Learning-Rate Scheduling for Large Model Training, arXiv:2501.18965.
    """
    _require(schedule, by)
    at, total_steps = whole("extend", "at", at), whole("extend", "total_steps", total_steps)
    due = schedule.total_steps - schedule.decay_steps
    if total_steps < schedule.total_steps:
        text = f"{schedule.total_steps}, got {total_steps}; decay_from(schedule, at=...) ends a run early"
        raise ValueError(f"extend: total_steps must be at least the old {text}")
    if not 0 <= at <= due:
        text = f"the old decay began at {due}: continue from a checkpoint of its plateau, or rewarm(schedule, at=...)"
        raise ValueError(f"extend: at={at} must be from 0 to {due}; {text}")
    if ramp_steps is not None and by != "factor":
        raise ValueError(f"extend: ramp_steps must be None unless by='factor', got {ramp_steps=} with {by=}")
    if total_steps == schedule.total_steps:
        return schedule
    warmup, peak = schedule.warmup_steps, schedule.peak
    old, new_steps, decay = schedule.total_steps - warmup, total_steps - warmup, schedule.decay
    if by == "cooldown":
        decay_steps = adapted_cooldown(
            total_steps=old, decay_steps=schedule.decay_steps, new_total_steps=new_steps, decay=decay
        )
    else:  # the share of the whole run, warmup included, as is usual
        decay_steps = schedule.decay_steps * total_steps // schedule.total_steps
    new = schedule.replace(total_steps=total_steps, decay_steps=decay_steps)
    if (begins := total_steps - decay_steps) < at:
        text = f"{by!r} needs a decay of {decay_steps} of {total_steps} steps, which begins at {begins}"
        raise ValueError(f"extend: {text}, before at={at}: continue from an earlier checkpoint, or use by='factor'")
    if by != "factor":
        return new
    ramp_steps = round(0.02 * schedule.total_steps) if ramp_steps is None else whole("extend", "ramp_steps", ramp_steps)
    if due + ramp_steps > begins:
        text = f"ramp_steps={ramp_steps} from {due} on must end by {begins}, where the new decay begins"
        raise ValueError(f"extend: {text}")
    factor = two_stage_factor(
        total_steps=old,
        decay_steps=schedule.decay_steps,
        new_total_steps=new_steps,
        new_decay_steps=decay_steps,
        decay=decay,
    )
    plateau = schedule.replace(decay_steps=0)
    lower = with_cooldown(plateau, at=due, steps=ramp_steps, end=factor * peak)
    return with_cooldown(lower, at=begins, steps=decay_steps, profile=schedule.decay, end=schedule.end)


def _require(schedule: Schedule, by: str) -> None:
    if not isinstance(schedule, WSD):
        text = f"got {schedule!r:.80}; with_cooldown and rewarm take any schedule"
        raise TypeError(f"extend: schedule must be a WSD, which the theory covers, {text}")
    one_of("extend", "by", by, _WAYS)
    if not schedule.decay_steps:
        raise ValueError("extend: schedule must have a decay, got decay_steps=0; decay_from(schedule, at=...) ends it")
