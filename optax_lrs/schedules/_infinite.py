"""The infinite learning-rate schedule."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from optax_lrs import profiles
from optax_lrs._clock import Clock
from optax_lrs._schedule import Schedule
from optax_lrs.schedules._decay_from import decay_length


class Infinite(Schedule):
    r"""Warmup, a cooldown to an open-ended plateau, and an annealing when a model is needed.

    With :math:`W` = ``warmup_steps``, :math:`t_c = W + C`, :math:`C` = ``cooldown_steps``,
    :math:`t_a = t_c` + ``stable_steps``, :math:`A` = ``anneal_steps`` and the profile :math:`g`,

    .. math::

        \eta(s) = \begin{cases} \text{peak}\; s/W & s < W \\
        \text{plateau} + (\text{peak} - \text{plateau})\, g\big((s - W)/C\big) & W \le s < t_c \\
        \text{plateau} & t_c \le s < t_a \\
        \text{plateau}\, (\text{end}/\text{plateau})^{(s - t_a)/A} & t_a \le s < t_a + A \\
        \text{end} & s \ge t_a + A \end{cases}

    Use it for continual pre-training without re-warming: anneal a branch to get a model, and
    continue with the next data set from the weights before the annealing. The paper's 405M models
    (recalled, not verified): rates 3e-4, 1.65e-4, 3e-5; warmup 1% of the run, cooldown to 60%,
    plateau to 85%. Unlike the paper's Eq. (1) as others quote it, ``end`` is reached after
    ``anneal_steps``.

    Args:
        peak: the rate at the end of the warmup.
        plateau: the rate of the plateau, at most ``peak``.
        cooldown_steps: the length of the cooldown.
        warmup_steps: the length of the warmup; 0 by default.
        stable_steps: the length of the plateau before the annealing; 0 by default, and ignored
            without one.
        anneal_steps: the length of the annealing; 0, the default, is an infinite plateau.
        end: the last rate, at most ``plateau``; positive if there is an annealing, 0 by default.
        cooldown: the profile of the cooldown; cosine by default. The paper also uses
            :class:`optax_lrs.profiles.inverse_sqrt`.

    Raises:
        ValueError: if the rates rise, ``end`` is 0 with an annealing, or a number is negative.
        TypeError: if a count is not an int, a rate is not a number, or ``cooldown`` is not a
            profile.

    Example:
        >>> lr = Infinite(peak=3e-4, plateau=1.5e-4, cooldown_steps=500, warmup_steps=100)
        >>> print(lr.at([50, 100, 350, 600, 10**9]))
        [0.00015  0.0003   0.000225 0.00015  0.00015 ]

    References:
        Ibrahim et al., Simple and Scalable Strategies to Continually Pre-train Large Language
        Models, arXiv:2403.08763.
        Singh et al., Beyond Cosine Decay, arXiv:2503.02844.
    """

    paper: ClassVar[str] = "arXiv:2403.08763"
    example: ClassVar[dict[str, Any]] = dict(
        peak=1.0, plateau=0.5, cooldown_steps=55, stable_steps=30, anneal_steps=15, end=0.1
    )

    peak: float
    plateau: float
    cooldown_steps: int
    warmup_steps: int = 0
    stable_steps: int = 0
    anneal_steps: int = 0
    end: float = 0.0
    cooldown: profiles.Profile = profiles.cosine

    def check(self) -> None:
        super().check()
        falls = self.end <= self.plateau <= self.peak
        self.require(falls, "the rates must not rise: end, plateau, peak", "end", "plateau", "peak")
        self.require(self.end > 0 or not self.anneal_steps, "an annealing needs a positive end", "end", "anneal_steps")
        self.require(self.plateau > 0 or not self.cooldown.needs_end, f"{self.cooldown!r} needs a plateau", "plateau")

    @property
    def ends_at(self) -> int:
        return self.corners[-1]

    @property
    def corners(self) -> tuple[int, ...]:
        stable = self.warmup_steps + self.cooldown_steps
        anneal = stable + self.stable_steps if self.anneal_steps else stable
        return tuple(sorted({0, self.warmup_steps, stable, anneal, anneal + self.anneal_steps}))

    def decayed_from(self, at: int, steps: int | None = None) -> Self:
        stable = self.warmup_steps + self.cooldown_steps
        last = stable + self.stable_steps if self.anneal_steps else None
        steps = decay_length(self, at, steps, first=stable, last=last, own=self.anneal_steps)
        return self.replace(stable_steps=at - stable, anneal_steps=steps)

    def rate(self, clock: Clock) -> Any:
        cooled = self.warmup_steps + self.cooldown_steps
        rate = self.cooldown.rate(clock.phase(self.warmup_steps, cooled), self.peak, self.plateau)
        if self.anneal_steps:
            start = self.ends_at - self.anneal_steps
            annealed = profiles.exponential.rate(clock.phase(start, self.ends_at), self.plateau, self.end)
            rate = clock.xp.where(clock.reached(start), annealed, rate)
        return clock.done(0, self.warmup_steps) * rate
