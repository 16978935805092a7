"""A cooldown of any schedule."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from optax_lrs import profiles
from optax_lrs._clock import Clock
from optax_lrs._schedule import Schedule
from optax_lrs._value.arguments import instance, whole
from optax_lrs.schedules._decay_from import decay_length
from optax_lrs.schedules._inverse_sqrt import InverseSqrt


def with_cooldown(
    schedule: Schedule, *, at: int, steps: int, profile: profiles.Profile = profiles.linear, end: float = 0.0
) -> Cooled:
    r"""Follows a schedule up to a step, then decays from its rate there to ``end``.

    With :math:`a` = ``at``, :math:`D` = ``steps`` and the profile :math:`g`,

    .. math::

        \eta(s) = \begin{cases} \text{schedule}(s) & s < a \\
        \text{end} + (\text{schedule}(a) - \text{end})\, g\big((s - a)/D\big) & a \le s < a + D \\
        \text{end} & s \ge a + D \end{cases}

    Use it to get a finished model from a run that may continue, or to end a run early. The rate is
    continuous at ``at`` for any schedule, even one that is already decaying. To branch a schedule
    that has a plateau and a decay, prefer :func:`decay_from`, which keeps its profile and its end.
    A cooldown of 10–20% of the steps so far gets most of the gain (see :class:`WSD`);
    ``one_minus_sqrt`` is the best profile for short cooldowns.

    On a clock of tokens (``on_tokens``) the cooldown starts from the rate of the first update at or
    after ``at``.

    Args:
        schedule: any schedule. Its numbers stay leaves, and the start of the cooldown follows them.
        at: the first step of the cooldown.
        steps: the length of the cooldown; 0 drops to ``end`` at once.
        profile: the profile of the cooldown; :data:`optax_lrs.profiles.linear` by default.
        end: the last rate, at most the schedule's rate at ``at``; 0 by default, positive where the
            profile needs it.

    Returns:
        A :class:`optax_lrs.schedules.Cooled`.

    Raises:
        ValueError: if ``at`` or ``steps`` is negative, or ``end`` exceeds the rate at ``at`` or is
            0 where the profile needs it positive (exponential, inverse).
        TypeError: if ``schedule`` is not a :class:`Schedule`, a count is not an int, ``end`` is not
            a number, or ``profile`` is not a profile.

    Example:
        >>> lr = with_cooldown(InverseSqrt(peak=1.0, warmup_steps=100), at=400, steps=100)
        >>> print(lr.at([100, 399, 400, 450, 500, 999]).round(4))
        [1.     0.5006 0.5    0.25   0.     0.    ]
    """
    at, steps = whole("with_cooldown", "at", at), whole("with_cooldown", "steps", steps, low=0)
    instance("with_cooldown", "profile", profile, profiles.Profile, example="profiles.linear")
    return Cooled(schedule=schedule, boundary=at, decay_steps=steps, end=end, decay=profile)


class Cooled(Schedule):
    """A schedule that decays from a step on; built by ``with_cooldown``."""

    example: ClassVar[dict[str, Any]] = dict(
        schedule=InverseSqrt(peak=1.0, warmup_steps=10), boundary=60, decay_steps=40
    )

    schedule: Schedule
    boundary: int
    decay_steps: int
    end: float = 0.0
    decay: profiles.Profile = profiles.linear

    def check(self) -> None:
        super().check()
        self.require(self.boundary >= 0, "at must not be negative", "boundary")
        self.require(self.end > 0 or not self.decay.needs_end, f"{self.decay!r} needs a positive end", "end")
        if self.schedule._plain:
            rate = self.schedule.at(self.boundary)
            self.require(self.end <= rate, f"end must be at most {rate:.3g}, the rate at which the decay starts", "end")

    @property
    def ends_at(self) -> int:
        return self.boundary + self.decay_steps

    @property
    def corners(self) -> tuple[int, ...]:
        old = {corner for corner in self.schedule.corners if corner < self.boundary}
        return tuple(sorted({0, *old, self.boundary, self.ends_at}))

    def decayed_from(self, at: int, steps: int | None = None) -> Self:
        steps = decay_length(self, at, steps, first=0, last=self.boundary, own=self.decay_steps)
        return self.replace(boundary=at, decay_steps=steps)

    def rate(self, clock: Clock) -> Any:
        # Held at the boundary: one evaluation gives the old rate and the start of the decay.
        rate = self.schedule.rate(clock.between(0, self.boundary))
        reached = clock.reached(self.boundary)
        start = clock.xp.where(reached, rate, self.end)  # a rate of 0 would poison a ratio's gradient
        return clock.xp.where(reached, self.decay.rate(clock.phase(self.boundary, self.ends_at), start, self.end), rate)
