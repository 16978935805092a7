"""A schedule repeated."""

from __future__ import annotations

from typing import Any, ClassVar

from optax_lrs._clock import Clock
from optax_lrs._schedule import Schedule
from optax_lrs.schedules._cosine import Cosine
from optax_lrs.schedules._stopped import stopped


def cycled(schedule: Schedule, *, period_steps: int, cycles: int | None = None) -> Cycled:
    """Repeats the first ``period_steps`` steps of a schedule.

    Step ``period_steps`` is step 0 of the next cycle. The rate that the schedule has at
    ``period_steps`` appears only after the last cycle, and is held from then on. For peaks that
    fall from cycle to cycle, multiply: ``product(cycled(lr, period_steps=k), sampled(envelope,
    every=k))``. On the device, cycles are exact for as long as the schedule's own clock reads an
    int32.

    Args:
        schedule: any schedule.
        period_steps: the length of a cycle; at least 1.
        cycles: the number of cycles, at least 1. None (the default) repeats forever.

    Returns:
        A :class:`optax_lrs.schedules.Cycled`.

    Raises:
        ValueError: if ``period_steps`` or ``cycles`` is below 1.
        TypeError: if ``schedule`` is not a :class:`Schedule`, or a count is not an int.

    Example:
        >>> from optax_lrs import Linear
        >>> print(cycled(Linear(peak=1.0, total_steps=10), period_steps=10, cycles=2).at([0, 5, 9, 10, 15, 19, 20, 99]))
        [1.  0.5 0.1 1.  0.5 0.1 0.  0. ]
    """
    return Cycled(schedule=schedule, period_steps=period_steps, cycles=cycles)


class Cycled(Schedule):
    """A schedule repeated; built by ``cycled``.

    The corners are those of the first two cycles and of the last.
    """

    example: ClassVar[dict[str, Any]] = dict(
        schedule=Cosine(peak=1.0, total_steps=50, warmup_steps=5), period_steps=50, cycles=2
    )

    schedule: Schedule
    period_steps: int
    cycles: int | None = None

    def check(self) -> None:
        super().check()
        self.require(self.period_steps >= 1, "period_steps must be at least 1", "period_steps")
        self.require(self.cycles is None or self.cycles >= 1, "cycles must be at least 1", "cycles")

    @property
    def ends_at(self) -> int | None:
        return None if self.cycles is None else self.cycles * self.period_steps

    @property
    def corners(self) -> tuple[int, ...]:
        inside = {0, *(corner for corner in self.schedule.corners if corner < self.period_steps)}
        last = 1 if self.cycles is None else self.cycles - 1
        starts = {cycle * self.period_steps for cycle in (0, min(1, last), last)}
        end = {(last + 1) * self.period_steps}
        return tuple(sorted({start + corner for start in starts for corner in inside} | end))

    def rate(self, clock: Clock) -> Any:
        _, within = clock.cycle(self.period_steps)
        rate, end_step = self.schedule.rate(within), self.ends_at
        if end_step is None:
            return rate
        end = self.schedule.rate(stopped(clock, self.period_steps))
        return clock.xp.where(clock.reached(end_step), end, rate)
