"""Warmup, stable, decay."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from optax_lrs import profiles
from optax_lrs._clock import Clock
from optax_lrs._schedule import Schedule
from optax_lrs.schedules._decay_from import decay_length


class WSD(Schedule):
    r"""Linear warmup, a plateau, and a decay at the end.

    With :math:`W` = ``warmup_steps``, :math:`T` = ``total_steps``, :math:`D` = ``decay_steps`` and
    the profile :math:`g`,

    .. math::

        \eta(s) = \begin{cases} \text{peak}\; s/W & s < W \\
        \text{peak} & W \le s < T - D \\
        \text{end} + (\text{peak} - \text{end})\, g\big((s - T + D)/D\big) & T - D \le s < T \\
        \text{end} & s \ge T \end{cases}

    Use it when the length of the run may change: the plateau has no horizon, and any checkpoint of
    it can be cooled down. A decay of 10–20% of the run matches a cosine of the same length; longer
    decays beat it (124M parameters, 50k steps: cosine to zero 2.9635; linear decay of 20% 2.9660,
    of 40% 2.9548, of 60% 2.9529). ``one_minus_sqrt`` is the best profile for short decays (20%:
    2.9607). Start from about half of the cosine's best peak. Decay to zero, unless you average the
    last checkpoints: then decay moderately, to ``end`` = ``peak/3`` (arXiv:2511.18903, 1.5B
    parameters, ``one_minus_sqrt`` from 3e-3 to 1e-3, six checkpoints). ``decay_steps=0`` is a
    warmup and a constant.

    Args:
        peak: the rate of the plateau.
        total_steps: the length of the run, warmup and decay included; if there is a decay, the rate
            is ``end`` from this step on.
        decay_steps: the length of the decay.
        warmup_steps: the length of the warmup; 0 by default.
        end: the last rate, at most ``peak``; 0 by default.
        decay: the profile of the decay; :data:`optax_lrs.profiles.linear` by default.

    Raises:
        ValueError: if warmup and decay are longer than the run, ``end`` exceeds ``peak`` or is 0
            where the profile needs it positive (exponential, inverse), or a number is negative.
        TypeError: if a count is not an int, a rate is not a number, or ``decay`` is not a profile.

    Example:
        >>> from optax_lrs import profiles
        >>> lr = WSD(peak=1e-3, total_steps=1000, warmup_steps=100, decay_steps=200, decay=profiles.one_minus_sqrt)
        >>> print(lr.at([0, 50, 100, 800, 850, 1000]))
        [0.     0.0005 0.001  0.001  0.0005 0.    ]

    References:
        Hu et al., MiniCPM: Unveiling the Potential of Small Language Models, arXiv:2404.06395.
        Hägele et al., Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations,
        arXiv:2405.18392.
    """

    paper: ClassVar[str] = "arXiv:2404.06395"
    example: ClassVar[dict[str, Any]] = dict(peak=1.0, total_steps=100, warmup_steps=10, decay_steps=20)

    peak: float
    total_steps: int
    decay_steps: int
    warmup_steps: int = 0
    end: float = 0.0
    decay: profiles.Profile = profiles.linear

    def check(self) -> None:
        super().check()
        self.require(self.end > 0 or not self.decay.needs_end, f"{self.decay!r} needs a positive end", "end")

    def decayed_from(self, at: int, steps: int | None = None) -> Self:
        last = self.total_steps - self.decay_steps if self.decay_steps else None
        steps = decay_length(self, at, steps, first=self.warmup_steps, last=last, own=self.decay_steps)
        return self.replace(total_steps=at + steps, decay_steps=steps)

    def rate(self, clock: Clock) -> Any:
        if not self.decay_steps:  # without a decay, the plateau never ends
            return clock.done(0, self.warmup_steps) * self.peak
        decay = clock.phase(self.total_steps - self.decay_steps, self.total_steps)
        return clock.done(0, self.warmup_steps) * self.decay.rate(decay, self.peak, self.end)
