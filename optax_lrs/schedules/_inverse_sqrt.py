"""Inverse square root decay."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from optax_lrs import profiles
from optax_lrs._clock import Clock
from optax_lrs._schedule import Schedule
from optax_lrs.schedules._decay_from import decay_length

_DEFAULT_TIMESCALE = 10_000  # as in Hugging Face transformers without a warmup


class InverseSqrt(Schedule):
    r"""Linear warmup, then one over the square root of the step, open-ended or with a cooldown.

    With :math:`W` = ``warmup_steps``, :math:`\tau` = ``timescale_steps`` and the cooldown
    :math:`g`, which is 1 until it begins,

    .. math:: \eta(s) = g \cdot \begin{cases} \text{peak}\; s/W & s < W \\
              \text{peak}\,\sqrt{\tau/(\tau + s - W)} & s \ge W \end{cases}

    Use it for runs of unknown length; T5 and ViT were trained with it. With :math:`\tau = W`, the
    default, it is :math:`\text{peak} \sqrt{W/s}`, the schedule of the first transformer (``noam``).
    Other conventions, with :math:`r` = ``InverseSqrt(...)``: big_vision's shift :math:`\sigma` is
    ``peak`` :math:`/\sqrt{1 + \sigma/\tau}` and :math:`\tau + \sigma`; a rate that is constant
    until :math:`k` (T5) is ``shifted(r, by=k)`` with ``timescale_steps=k``; Tensor2Tensor's step +
    1 is ``shifted(r, by=-1)``.

    Args:
        peak: the rate at the end of the warmup.
        warmup_steps: the length of the warmup; 0 by default.
        timescale_steps: the steps after the warmup in which the rate falls by :math:`\sqrt 2`; at
            least 1. By default the length of the warmup, or 10,000 without a warmup.
        total_steps: the end of the cooldown, required with one; None by default.
        cooldown_steps: the length of a cooldown to 0, which multiplies the falling root; 0, the
            default, for none.
        cooldown: the profile of the cooldown; linear by default, as in big_vision.

    Raises:
        ValueError: if ``timescale_steps`` is below 1, the phases exceed ``total_steps``, or a
            number is negative.
        TypeError: if a count is not an int, a rate is not a number, or ``cooldown`` is not a
            profile.

    Example:
        >>> lr = InverseSqrt(peak=1e-2, warmup_steps=100)
        >>> print(lr.at([0, 50, 100, 400, 10_000]))
        [0.    0.005 0.01  0.005 0.001]

    References:
        Vaswani et al., Attention Is All You Need, arXiv:1706.03762.
        Zhai et al., Scaling Vision Transformers, arXiv:2106.04560.
    """

    paper: ClassVar[str] = "arXiv:1706.03762"
    example: ClassVar[dict[str, Any]] = dict(peak=1.0, warmup_steps=10)

    peak: float
    warmup_steps: int = 0
    timescale_steps: int | None = None
    total_steps: int | None = None
    cooldown_steps: int = 0
    cooldown: profiles.Profile = profiles.linear

    @classmethod
    def noam(cls, *, width: int, warmup_steps: int = 4000, factor: float = 1.0) -> Self:
        """The first transformer's schedule; its peak is factor / √(width · warmup_steps).

        Args:
            width: the width of the model, 512 in the paper.
            warmup_steps: the length of the warmup; 4,000 by default.
            factor: multiplies every rate; 1 by default.
        """
        return cls(peak=factor * (width * warmup_steps) ** -0.5, warmup_steps=warmup_steps)

    def check(self) -> None:
        super().check()
        legal = self.timescale_steps is None or self.timescale_steps >= 1
        self.require(legal, "timescale_steps must be at least 1", "timescale_steps")
        if self.cooldown_steps:
            fits, named = self.warmup_steps + self.cooldown_steps, ("warmup_steps", "cooldown_steps", "total_steps")
            self.require(fits <= (self.total_steps or 0), "warmup and cooldown must fit into total_steps", *named)
            self.require(not self.cooldown.needs_end, f"{self.cooldown!r} cannot cool down to 0", "cooldown")

    @property
    def ends_at(self) -> int | None:
        return self._cooldown[1] if self._cooldown else None

    @property
    def corners(self) -> tuple[int, ...]:
        return tuple(sorted({0, self.warmup_steps, *(self._cooldown or ())}))

    @property
    def _cooldown(self) -> tuple[int, int] | None:
        """The first and the last step of the cooldown, if there is one."""
        if not self.cooldown_steps or self.total_steps is None:
            return None
        return self.total_steps - self.cooldown_steps, self.total_steps

    def decayed_from(self, at: int, steps: int | None = None) -> Self:
        last = self._cooldown[0] if self._cooldown else None
        steps = decay_length(self, at, steps, first=self.warmup_steps, last=last, own=self.cooldown_steps)
        return self.replace(total_steps=at + steps, cooldown_steps=steps)

    def rate(self, clock: Clock) -> Any:
        timescale = self.timescale_steps or self.warmup_steps or _DEFAULT_TIMESCALE
        fall = clock.xp.sqrt(1.0 + clock.since(self.warmup_steps) / float(timescale))
        rate = clock.done(0, self.warmup_steps) * (self.peak / fall)
        return rate * self.cooldown.shape(clock.phase(*self._cooldown)) if self._cooldown else rate
