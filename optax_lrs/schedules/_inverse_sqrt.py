"""Inverse square root decay."""

from __future__ import annotations

from typing import ClassVar

from optax_lrs._schedule import Schedule

_DEFAULT_TIMESCALE = 10_000  # of HF transformers, where there is no warmup


class InverseSqrt(Schedule):
    r"""Linear warmup, then one over the square root of the step, without end.

    With :math:`W` = ``warmup_steps`` and :math:`\tau` = ``timescale_steps``,

    .. math:: \eta(s) = \begin{cases} \text{peak}\; s/W & s < W \\ \text{peak}\,\sqrt{\tau/(\tau + s - W)} & s \ge W \end{cases}

    For runs of unknown length, as T5 and ViT were trained; end one with a cooldown, for example
    ``switch(InverseSqrt(...), ..., at=...)``. With :math:`\tau = W`, the default, it is :math:`\text{peak} \sqrt{W/s}`, the
    schedule of the first transformer (there the peak is :math:`1/\sqrt{d W}`, :math:`W = 4000`).

    Args:
        peak: the rate at the end of the warmup.
        warmup_steps: the length of the warmup; 0 by default.
        timescale_steps: the steps after the warmup until the rate has fallen by :math:`\sqrt 2`; at least 1. By default
            the length of the warmup, or 10,000 if there is none.

    Raises:
        ValueError: if ``timescale_steps`` is below 1, or a number is negative.
        TypeError: if a count is no int or a rate is no number.

    Example:
        >>> lr = InverseSqrt(peak=1e-2, warmup_steps=100)
        >>> print(lr.at([0, 50, 100, 400, 10_000]))
        [0.    0.005 0.01  0.005 0.001]

    References:
        Vaswani et al., Attention Is All You Need, arXiv:1706.03762. Zhai et al., Scaling Vision Transformers,
        arXiv:2106.04560.
    """

    paper: ClassVar = "arXiv:1706.03762"
    example: ClassVar = dict(peak=1.0, warmup_steps=10)

    peak: float
    warmup_steps: int = 0
    timescale_steps: int | None = None

    def check(self):
        """Besides the glossary's rules: the timescale is a step at least."""
        super().check()
        self.require(self.timescale_steps is None or self.timescale_steps >= 1, "timescale_steps must be at least 1",
                     "timescale_steps")  # fmt: skip

    def rate(self, clock):
        """The formula."""
        timescale = self.timescale_steps or self.warmup_steps or _DEFAULT_TIMESCALE
        fall = clock.xp.sqrt(1.0 + clock.since(self.warmup_steps) / float(timescale))
        return clock.done(0, self.warmup_steps) * (self.peak / fall)
