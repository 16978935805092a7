"""One cycle: a rise, a fall, and optionally a further fall."""

from __future__ import annotations

from typing import Any, ClassVar

from optax_lrs import profiles
from optax_lrs._clock import Clock
from optax_lrs._schedule import Schedule


class OneCycle(Schedule):
    r"""Rises from a low rate to a high one, then falls to a very low one, in 2 or 3 phases.

    With :math:`W` = ``warmup_steps``, :math:`T` = ``total_steps``, :math:`A` = ``anneal_steps`` and
    the profile :math:`g`,

    .. math::

        \eta(s) = \begin{cases} \text{peak} + (\text{start} - \text{peak})\, g(s/W) & s < W \\
        \text{start} + (\text{peak} - \text{start})\, g\big((s - W)/(T - A - W)\big)
          & W \le s < T - A \\
        \text{end} + (\text{start} - \text{end})\, g\big((s - T + A)/A\big) & T - A \le s < T \\
        \text{end} & s \ge T \end{cases}

    Without ``anneal_steps`` the rate falls directly from ``peak`` to ``end``, over :math:`T - W`
    steps. Use it for short runs at a high rate ("super-convergence"). Customary values are a rise
    of 30% of the run, ``start = peak / 25`` and ``end = start / 1e4``. Libraries place the peak
    differently. For a run of :math:`N` steps with a rise of 30%:

    - Optax: the cosine has ``total_steps=N, warmup_steps=int(0.3 * N)``; the linear one adds
      ``anneal_steps=N - int(0.85 * N), decay=profiles.linear``.
    - PyTorch: ``total_steps=N - 1, warmup_steps=0.3 * N - 1``, here as an int; with three phases,
      ``anneal_steps=N + 1 - 0.6 * N``.

    Args:
        peak: the rate at the end of the rise.
        total_steps: the length of the run; from this step on the rate is ``end``.
        warmup_steps: the length of the rise.
        anneal_steps: the length of the third phase, from ``start`` to ``end``. None (the default)
            for two phases.
        start: the rate at step 0, at most ``peak``; 0 by default.
        end: the last rate, at most ``peak``, and with three phases at most ``start``; 0 by default.
        decay: the profile of every phase, mirrored in the rise; :data:`optax_lrs.profiles.cosine`
            by default.

    Raises:
        ValueError: if the phases are longer than the run, ``start`` or ``end`` is too high, or 0
            where the profile needs it positive, or a number is negative.
        TypeError: if a count is not an int, a rate is not a number, or ``decay`` is not a profile.

    Example:
        >>> print(OneCycle(peak=0.1, total_steps=100, warmup_steps=30, start=0.004).at([0, 15, 30, 65, 100]))
        [0.004 0.052 0.1   0.05  0.   ]

    References:
        Smith, Topin, Super-Convergence: Very Fast Training of Neural Networks Using Large Learning
        Rates, arXiv:1708.07120.
    """

    paper: ClassVar[str] = "arXiv:1708.07120"
    example: ClassVar[dict[str, Any]] = dict(peak=1.0, total_steps=100, warmup_steps=30, start=0.04)

    peak: float
    total_steps: int
    warmup_steps: int
    anneal_steps: int | None = None
    start: float = 0.0
    end: float = 0.0
    decay: profiles.Profile = profiles.cosine

    def check(self) -> None:
        super().check()
        last = self.anneal_steps or 0
        fits, named = self.warmup_steps + last <= self.total_steps, ("warmup_steps", "anneal_steps", "total_steps")
        self.require(fits, "warmup_steps + anneal_steps must be at most total_steps", *named)
        self.require(self.start <= self.peak, "start must be at most peak", "start", "peak")
        self.require(self.anneal_steps is None or self.end <= self.start, "end must be at most start", "end", "start")
        positive = min(self.start, self.end) > 0 or not self.decay.needs_end
        self.require(positive, f"{self.decay!r} needs a positive start and end", "start", "end")

    @property
    def corners(self) -> tuple[int, ...]:
        return tuple(sorted({0, self.warmup_steps, self.total_steps - (self.anneal_steps or 0), self.total_steps}))

    def rate(self, clock: Clock) -> Any:
        warmup, fallen = self.warmup_steps, self.total_steps - (self.anneal_steps or 0)
        rise = self.decay.rate(clock.phase(0, warmup).backwards, self.peak, self.start)
        fall, last = clock.phase(warmup, fallen), clock.phase(fallen, self.total_steps)
        if self.anneal_steps is None:
            down = self.decay.rate(fall, self.peak, self.end)
        else:
            annealed = self.decay.rate(last, self.start, self.end)
            down = clock.xp.where(clock.reached(fallen), annealed, self.decay.rate(fall, self.peak, self.start))
        return clock.xp.where(clock.reached(warmup), down, rise)
