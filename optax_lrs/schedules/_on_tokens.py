"""A schedule whose steps are tokens."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, ClassVar, Self

from optax_lrs._clock import Clock
from optax_lrs._schedule import Schedule
from optax_lrs.schedules._cosine import Cosine
from optax_lrs.schedules._sequences import listed


def on_tokens(schedule: Schedule, *, tokens_per_step: int | Sequence[int], at: int | Sequence[int] = ()) -> OnTokens:
    """Runs a schedule on a clock of tokens, so that it does not change with the batch size.

    The schedule's steps are tokens, and each update takes ``tokens_per_step`` of them; for a ramp,
    give one number per stage. Tokens are exact beyond 2³¹. You can count examples or images
    instead. ``ends_at`` is the number of updates until the schedule is over. Apply ``cycled``,
    ``sampled`` and ``stretched`` to the result: *inside* ``on_tokens`` they read the tokens as a
    float32 on the device, which is exact up to 2²⁴ tokens.

    Args:
        schedule: any schedule, with lengths in tokens.
        tokens_per_step: the tokens of an update, at least 1; or one number per stage of a ramp.
        at: the steps at which the second, third, … stage begins, not decreasing.

    Returns:
        A :class:`optax_lrs.schedules.OnTokens`.

    Raises:
        ValueError: if ``tokens_per_step`` is below 1, the number of steps is not one less than the
            number of stages, or the steps decrease or are negative.
        TypeError: if ``schedule`` is not a :class:`Schedule`, or a count is not an int.

    Example:
        >>> from optax_lrs import Linear
        >>> lr = on_tokens(Linear(peak=1.0, total_steps=8000), tokens_per_step=[100, 200], at=20)
        >>> print(lr.at([0, 20, 30, 50]), lr.ends_at)
        [1.   0.75 0.5  0.  ] 50
    """
    return OnTokens(schedule=schedule, tokens_per_step=listed(tokens_per_step), boundaries=listed(at))


class OnTokens(Schedule):
    """A schedule on a clock of tokens; built by ``on_tokens``.

    ``ends_at`` and the corners are in updates, rounded up.
    """

    example: ClassVar[dict[str, Any]] = dict(
        schedule=Cosine(peak=1.0, total_steps=150_000, warmup_steps=10_000),
        tokens_per_step=(1000, 2000),
        boundaries=(50,),
    )

    schedule: Schedule
    tokens_per_step: tuple[int, ...]
    boundaries: tuple[int, ...] = ()

    def check(self) -> None:
        super().check()
        stages = self.tokens_per_step
        self.require(
            min(stages, default=0) >= 1, "tokens_per_step must be one or more counts of at least 1", "tokens_per_step"
        )
        rule = f"at must have one step fewer than the {len(stages)} tokens_per_step"
        self.require(len(stages) == len(self.boundaries) + 1, rule, "boundaries")
        rising = all(a <= b for a, b in zip((0, *self.boundaries), self.boundaries))
        self.require(rising, "at must not decrease or be negative", "boundaries")

    @property
    def ends_at(self) -> int | None:
        return None if self.schedule.ends_at is None else self._step_of(self.schedule.ends_at)

    @property
    def corners(self) -> tuple[int, ...]:
        return tuple(sorted({0, *self.boundaries, *map(self._step_of, self.schedule.corners)}))

    def decayed_from(self, at: int, steps: int | None = None) -> Self:
        first = self._token_of(at)
        tokens = None if steps is None else self._token_of(at + steps) - first
        return self.replace(schedule=self.schedule.decayed_from(first, tokens))

    def rate(self, clock: Clock) -> Any:
        rate = None
        for start, end, per_step, before in self._stages():
            tokens = clock.between(start, end).shift(start).count(per_step).shift(-before)
            stage = self.schedule.rate(tokens)
            rate = stage if rate is None else clock.xp.where(clock.reached(start), stage, rate)
        return rate

    def _stages(self):
        """The start, end and tokens per step of each stage, and the tokens before it."""
        starts = (0, *self.boundaries)
        lengths = (end - start for start, end in itertools.pairwise(starts))
        before = itertools.accumulate((n * per for n, per in zip(lengths, self.tokens_per_step)), initial=0)
        return zip(starts, (*self.boundaries, None), self.tokens_per_step, before)

    def _token_of(self, step: int) -> int:
        """The tokens seen before an update."""
        *_, (start, _, per_step, before) = (stage for stage in self._stages() if stage[0] <= step)
        return before + (step - start) * per_step

    def _step_of(self, token: int) -> int:
        """The first update before which this many tokens were seen."""
        for start, end, per_step, before in self._stages():
            step = start - (before - token) // per_step
            if end is None or step <= end:
                return max(step, 0)
        raise AssertionError("the last stage has no end")
