"""A longer horizon for a run that has begun."""

from __future__ import annotations

from optax_lrs._schedule import Schedule
from optax_lrs._value.arguments import whole
from optax_lrs.schedules import WSD
from optax_lrs.schedules._cooled import with_cooldown
from optax_lrs.theory import adapted_cooldown, two_stage_factor

_WAYS = ("cooldown", "factor", "share")


def extend(
    schedule: WSD, *, at: int, total_steps: int, by: str = "cooldown", ramp_steps: int | None = None
) -> Schedule:
    r"""The schedule of a WSD run that is to go on longer than it was planned for, after some of it has run.

    Equal to ``schedule`` before ``at``, to the last bit, so that the run continues from its state at ``at`` as if the new
    horizon had been known from the start. A longer run wants a lower rate; what is left to choose is

    ==============  ==============================================================================================
    ``"cooldown"``  the same peak, and the longer cooldown for which it is right (:func:`optax_lrs.theory.adapted_cooldown`)
    ``"factor"``    from the step at which the old cooldown was due the peak times the factor
                    :func:`optax_lrs.theory.two_stage_factor`, reached by a linear ramp; the cooldown's share is kept
    ``"share"``     the same peak, and the cooldown's share of the run is kept: what most people do
    ==============  ==============================================================================================

    In the paper's runs (124M parameters, from 50k to 100k steps, cooldown of 20%): 2.8878 with a cooldown of 60%, as
    the adapted one asks; 2.8975 with the factor; 2.9037 with the same share. To 200k: 2.8552 with the factor, 2.8608 with
    the share. The adapted cooldown is early: 63% of twice the run, so it is there for runs that are extended early.

    The theory knows no warmup: it is asked for the steps after it, ``total_steps - warmup_steps`` of either run.

    Args:
        schedule: a :class:`WSD` whose peak is right for its length, with a decay.
        at: the step reached; its update is the first that may differ. At most the first step of the old decay.
        total_steps: the new length of the run, at least the old one.
        by: ``"cooldown"``, ``"factor"`` or ``"share"``.
        ramp_steps: the length of the ramp to the lower rate, for ``"factor"`` alone; by default 2% of the old run (the
            paper's 1,000 of 50,000). Like the paper, the theory leaves it out of account.

    Returns:
        A WSD for ``"cooldown"`` and ``"share"``; for ``"factor"`` a plateau with two cooldowns (:class:`Cooled`).

    Raises:
        ValueError: if the old decay has begun, or the new one would have had to before ``at``; if ``total_steps`` is
            shorter than before, ``by`` is unknown, there is no decay, or the ramp does not fit or is for another ``by``.
        TypeError: if ``schedule`` is no :class:`WSD`, or a count no int.

    Example:
        >>> lr = WSD(peak=1e-3, total_steps=50_000, decay_steps=10_000)
        >>> extend(lr, at=30_000, total_steps=100_000)
        WSD(peak=0.001, total_steps=100000, decay_steps=63430, warmup_steps=0, end=0.0, decay=profiles.linear)
        >>> print(extend(lr, at=40_000, total_steps=100_000, by="factor").at([40_000, 41_000, 80_000, 90_000]).round(6))
        [0.001    0.000532 0.000532 0.000266]

    References:
        Schaipp et al., The Surprising Agreement Between Convex Optimization Theory and Learning-Rate Scheduling for Large
        Model Training, arXiv:2501.18965.
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
        raise ValueError(f"extend: ramp_steps is for by='factor', got {ramp_steps=} and {by=}")
    if total_steps == schedule.total_steps:
        return schedule
    warmup, peak = schedule.warmup_steps, schedule.peak
    old = dict(total_steps=schedule.total_steps - warmup, decay_steps=schedule.decay_steps, decay=schedule.decay)
    if by == "cooldown":
        decay_steps = adapted_cooldown(**old, new_total_steps=total_steps - warmup)
    else:  # the share of the whole run, warmup included, as people say it
        decay_steps = schedule.decay_steps * total_steps // schedule.total_steps
    new = schedule.replace(total_steps=total_steps, decay_steps=decay_steps)
    if (begins := total_steps - decay_steps) < at:
        text = f"{by!r} asks for a decay of {decay_steps} of {total_steps} steps, which would have begun at {begins}"
        raise ValueError(f"extend: {text}, before at={at}: continue from a checkpoint until then, or by='factor'")
    if by != "factor":
        return new
    ramp_steps = round(0.02 * schedule.total_steps) if ramp_steps is None else whole("extend", "ramp_steps", ramp_steps)
    if due + ramp_steps > begins:
        text = f"ramp_steps={ramp_steps} from {due} on must end by {begins}, where the new decay begins"
        raise ValueError(f"extend: {text}")
    factor = two_stage_factor(**old, new_total_steps=total_steps - warmup, new_decay_steps=decay_steps)
    plateau = schedule.replace(decay_steps=0)
    lower = with_cooldown(plateau, at=due, steps=ramp_steps, end=factor * peak)
    return with_cooldown(lower, at=begins, steps=decay_steps, profile=schedule.decay, end=schedule.end)


def _require(schedule: Schedule, by: str) -> None:
    if not isinstance(schedule, WSD):
        text = f"got {schedule!r:.80}; with_cooldown and rewarm take any schedule"
        raise TypeError(f"extend: schedule must be a WSD, for which there is a theory, {text}")
    if by not in _WAYS:
        raise ValueError(f"extend: by must be one of {', '.join(map(repr, _WAYS))}, got {by!r}")
    if not schedule.decay_steps:
        raise ValueError(
            "extend: a WSD with decay_steps=0 has no horizon to extend; decay_from(schedule, at=...) ends it"
        )
