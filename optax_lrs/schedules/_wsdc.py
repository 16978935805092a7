"""Warmup, stable, decay, constant."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from optax_lrs import profiles
from optax_lrs._clock import Clock
from optax_lrs._schedule import Schedule
from optax_lrs.schedules._decay_from import decay_length


class WSDC(Schedule):
    r"""Warmup, a plateau, a decay, and a low constant rate without end (WSD-C).

    Each phase is given by its length. With :math:`W` = ``warmup_steps``, :math:`S` =
    ``stable_steps``, :math:`D` = ``decay_steps`` and the profile :math:`g`,

    .. math::

        \eta(s) = \begin{cases} \text{peak}\; s/W & s < W \\
        \text{peak} & W \le s < W + S \\
        \text{end} + (\text{peak} - \text{end})\, g\big((s - W - S)/D\big)
          & W + S \le s < W + S + D \\
        \text{end} & s \ge W + S + D \end{cases}

    Use it for training in stages: the final constant is for the best data (mid-training), for as
    long as there is any. It equals ``WSD`` with ``total_steps`` = W + S + D. DeepSeek-V3's schedule
    (recalled, not verified) drops once more within the constant: 2.2e-4 until 10T tokens, a cosine
    to 2.2e-5 over 4.3T, and 7.3e-6 for the last 167B:
    ``switch(WSDC(...), Constant(value=7.3e-6), at=...)``.

    Args:
        peak: the rate of the plateau.
        end: the constant rate after the decay, at most ``peak``.
        stable_steps: the length of the plateau.
        decay_steps: the length of the decay; 0 drops to ``end`` at once.
        warmup_steps: the length of the warmup; 0 by default.
        decay: the profile of the decay; :data:`optax_lrs.profiles.cosine` by default (our choice).

    Raises:
        ValueError: if ``end`` exceeds ``peak`` or is 0 where the profile needs it positive, or a
            number is negative.
        TypeError: if a count is not an int, a rate is not a number, or ``decay`` is not a profile.

    Example:
        >>> lr = WSDC(peak=1e-3, end=1e-4, warmup_steps=100, stable_steps=500, decay_steps=300)
        >>> print(lr.at([50, 100, 600, 750, 900, 5000]))
        [0.0005  0.001   0.001   0.00055 0.0001  0.0001 ]

    References:
        PLM: Efficient Peripheral Language Models, arXiv:2503.12167. Only its abstract was read: the
        formula is our reading of the name.
    """

    paper: ClassVar[str] = "arXiv:2503.12167"
    example: ClassVar[dict[str, Any]] = dict(peak=1.0, end=0.1, warmup_steps=10, stable_steps=40, decay_steps=30)

    peak: float
    end: float
    stable_steps: int
    decay_steps: int
    warmup_steps: int = 0
    decay: profiles.Profile = profiles.cosine

    def check(self) -> None:
        super().check()
        self.require(self.end > 0 or not self.decay.needs_end, f"{self.decay!r} needs a positive end", "end")

    @property
    def ends_at(self) -> int:
        return self.warmup_steps + self.stable_steps + self.decay_steps

    @property
    def corners(self) -> tuple[int, ...]:
        return tuple(sorted({0, self.warmup_steps, self.warmup_steps + self.stable_steps, self.ends_at}))

    def decayed_from(self, at: int, steps: int | None = None) -> Self:
        last = self.warmup_steps + self.stable_steps
        steps = decay_length(self, at, steps, first=self.warmup_steps, last=last, own=self.decay_steps)
        return self.replace(stable_steps=at - self.warmup_steps, decay_steps=steps)

    def rate(self, clock: Clock) -> Any:
        decay = clock.phase(self.warmup_steps + self.stable_steps, self.ends_at)
        return clock.done(0, self.warmup_steps) * self.decay.rate(decay, self.peak, self.end)
