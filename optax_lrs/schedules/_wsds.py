"""Warmup, then stable and decay phases in turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

from optax_lrs import profiles
from optax_lrs._clock import Clock
from optax_lrs._schedule import Schedule
from optax_lrs.schedules._decay_from import decay_length


class WSDS(Schedule):
    r"""A plateau with a decay before each boundary: one run with a model per budget (WSD-S).

    With the boundaries :math:`b_1 < b_2 < \dots < b_n` = ``boundaries`` and :math:`D_i` =
    ``decay_steps``,

    .. math::

        \eta(s) = \begin{cases} \text{peak} & b_{i-1} \le s < b_i - D_i \\
        \text{end} & s \ge b_n \\
        1/(x/\text{end} + (1 - x)/\text{peak})
          & b_i - D_i \le s < b_i,\; x = (s - b_i + D_i)/D_i \end{cases}

    times :math:`\min(1, s/W)`, :math:`W` = ``warmup_steps``. Training continues from each decayed
    model, through the jump and with its optimizer state. At a boundary the rate is the peak
    (Levanter; OLMo-core jumps one step later). "A decay of 10%" is 10% of each cycle
    (``of_cycles``; Levanter, OLMo-core) or of all steps so far (``of_run``; lingua).

    Args:
        peak: the rate of the plateaus.
        end: the rate at the end of each decay; a tenth of the peak in re-implementations of the
            paper.
        boundaries: the ends of the cycles, increasing.
        decay_steps: the length of each cycle's decay, one per boundary; 0 for no decay.
        warmup_steps: the length of the warmup of the first cycle; 0 by default.
        decay: the profile of the decays; :data:`optax_lrs.profiles.inverse` by default.

    Raises:
        ValueError: if a decay, or the warmup before the first one, does not fit into its cycle, or
            ``end`` is 0 or above ``peak``.
        TypeError: if a count is not an int, a rate is not a number, or ``decay`` is not a profile.

    Example:
        >>> lr = WSDS.of_cycles(peak=1e-3, end=1e-4, boundaries=(300, 700, 1000), share=0.1)
        >>> print(lr.decay_steps, lr.at([270, 300, 680, 1000]).round(6))
        (30, 40, 30) [0.001    0.001    0.000182 0.0001  ]

    References:
        Wen et al., Understanding Warmup-Stable-Decay Learning Rates: A River Valley Loss Landscape
        Perspective, arXiv:2410.05192.
    """

    paper: ClassVar[str] = "arXiv:2410.05192"
    example: ClassVar[dict[str, Any]] = dict(
        peak=1.0, end=0.1, boundaries=(25, 50, 100), decay_steps=(3, 5, 10), warmup_steps=5
    )

    peak: float
    end: float
    boundaries: tuple[int, ...]
    decay_steps: tuple[int, ...]
    warmup_steps: int = 0
    decay: profiles.Profile = profiles.inverse

    @classmethod
    def of_cycles(cls, *, boundaries: Sequence[int], share: float, **fields: Any) -> Self:
        """Gives each decay a share of its cycle, rounded to steps.

        Args:
            boundaries: the ends of the cycles, increasing.
            share: the decays' share, in [0, 1].
            **fields: the other fields: ``peak``, ``end``, ``warmup_steps``, ``decay``.
        """
        decays = tuple(round(share * (b - a)) for a, b in zip((0, *boundaries), boundaries))
        return cls(boundaries=tuple(boundaries), decay_steps=decays, **fields)

    @classmethod
    def of_run(cls, *, boundaries: Sequence[int], share: float, **fields: Any) -> Self:
        """Gives each decay a share of all steps until its end, rounded to steps.

        Args:
            boundaries: the ends of the cycles, increasing.
            share: the decays' share, in [0, 1].
            **fields: the other fields: ``peak``, ``end``, ``warmup_steps``, ``decay``.
        """
        decays = tuple(round(share * b) for b in boundaries)
        return cls(boundaries=tuple(boundaries), decay_steps=decays, **fields)

    def check(self) -> None:
        super().check()
        lengths, decays = [b - a for a, b in zip((0, *self.boundaries), self.boundaries)], self.decay_steps
        self.require(min(lengths, default=0) > 0, "boundaries must be positive and increasing", "boundaries")
        self.require(len(decays) == len(lengths), "decay_steps must be one per boundary", "decay_steps", "boundaries")
        fits = all(d <= length for d, length in zip((decays[0] + self.warmup_steps, *decays[1:]), lengths))
        rule = "each decay, and the warmup before the first, must fit into its cycle"
        self.require(fits, rule, "warmup_steps", "decay_steps", "boundaries")
        self.require(self.end > 0 or not self.decay.needs_end, f"{self.decay!r} needs a positive end", "end")

    @property
    def ends_at(self) -> int:
        return self.boundaries[-1]

    @property
    def corners(self) -> tuple[int, ...]:
        starts = (b - d for b, d in zip(self.boundaries, self.decay_steps))
        return tuple(sorted({0, self.warmup_steps, *starts, *self.boundaries}))

    def decayed_from(self, at: int, steps: int | None = None) -> Self:
        starts = (self.warmup_steps, *self.boundaries)
        cycle = min(sum(at >= end for end in self.boundaries), len(self.boundaries) - 1)
        own = self.decay_steps[cycle]
        steps = decay_length(self, at, steps, first=starts[cycle], last=self.boundaries[cycle] - own, own=own)
        return self.replace(
            boundaries=(*self.boundaries[:cycle], at + steps), decay_steps=(*self.decay_steps[:cycle], steps)
        )

    def rate(self, clock: Clock) -> Any:
        rate = self.peak
        for start, end, steps in zip((0, *self.boundaries), self.boundaries, self.decay_steps):
            cycle = self.decay.rate(clock.phase(end - steps, end), self.peak, self.end) if steps else self.peak
            rate = clock.xp.where(clock.reached(start), cycle, rate)
        return clock.done(0, self.warmup_steps) * rate
