"""The power scheduler."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from optax_lrs import profiles
from optax_lrs._clock import Clock
from optax_lrs._clock.scalar import SCALAR
from optax_lrs._schedule import Schedule
from optax_lrs.schedules._decay_from import decay_length


class PowerLaw(Schedule):
    r"""The power scheduler: a power of the tokens seen, proportional to the batch size.

    Numbers tuned on a small run carry over to a large one. With :math:`n` tokens seen,
    :math:`\beta` = ``sequences_per_step``, :math:`a` = ``amplitude`` and the profile :math:`g`,

    .. math::

        \eta(n) = \begin{cases} \eta_p(N_w)\, n/N_w & n < N_w \\
        \eta_p(n) & N_w \le n < N - N_d \\
        \text{end} + (\eta_p(N - N_d) - \text{end})\, g\big((n - N + N_d)/N_d\big)
          & N - N_d \le n < N \\
        \text{end} & n \ge N \end{cases}, \quad
          \eta_p(n) = \min(\text{peak}, \beta\, a\, \max(n, 1)^b)

    The paper uses the defaults with ``peak=0.02``, 1,024 sequences of 4,096 tokens per step (other
    counts scale in proportion: our reading), a warmup of 1B tokens, and an exponential decay over
    the last tenth or more, under muP. The paper's fit for WSD, and Levanter, have
    ``amplitude=4.6``. Without ``decay_tokens`` the schedule has no horizon.

    Args:
        peak: the upper limit of the rate.
        tokens_per_step: the tokens of one update; totals may exceed :math:`2^{31}`.
        sequences_per_step: the sequences of one update.
        total_tokens: the end of the decay, required with one; None by default.
        warmup_tokens: the length of the warmup; 0 by default.
        decay_tokens: the length of the decay; 0, the default, for none.
        end: the last rate, at most the rate at the start of the decay; 0 by default.
        amplitude: the power law's rate at one token, for a batch of one sequence; 4 by default.
        b: the exponent, not positive; -0.51 by default.
        decay: the profile of the decay; linear by default. The exponential one needs an ``end``
            (the paper prints none).

    Raises:
        ValueError: if the phases exceed ``total_tokens``, or ``b``, ``end`` or a count is out of
            its range.
        TypeError: if a count is not an int, a rate is not a number, or ``decay`` is not a profile.

    Example:
        >>> lr = PowerLaw(peak=0.02, tokens_per_step=2**22, sequences_per_step=1024)
        >>> print(lr.at([6_000, 12_000, 1_200_000]).round(6))
        [0.02     0.01427  0.001363]

    References:
        Shen et al., Power Scheduler: A Batch Size and Token Number Agnostic Learning Rate
        Scheduler, arXiv:2408.13359.
    """

    paper: ClassVar[str] = "arXiv:2408.13359"
    example: ClassVar[dict[str, Any]] = dict(
        peak=0.02,
        tokens_per_step=2**32,
        sequences_per_step=1024,
        total_tokens=400 * 10**9,
        warmup_tokens=10**10,
        decay_tokens=10**11,
    )

    peak: float
    tokens_per_step: int
    sequences_per_step: int
    total_tokens: int | None = None
    warmup_tokens: int = 0
    decay_tokens: int = 0
    end: float = 0.0
    amplitude: float = 4.0
    b: float = -0.51
    decay: profiles.Profile = profiles.linear

    def check(self) -> None:
        super().check()
        for key, least in dict(tokens_per_step=1, sequences_per_step=1, warmup_tokens=0, decay_tokens=0).items():
            self.require(getattr(self, key) >= least, f"{key} must be at least {least}", key)
        self.require(self.b <= 0, "b must not be positive", "b")
        if self.decay_tokens or self.total_tokens is not None:
            fits, named = self.warmup_tokens + self.decay_tokens, ("warmup_tokens", "decay_tokens", "total_tokens")
            self.require(fits <= (self.total_tokens or 0), "warmup and decay must be at most total_tokens", *named)
        if self._decay:
            start = self._power(SCALAR, float(max(self._decay[0], 1)))
            self.require(
                self.end <= start, f"end must be at most {start:.3g}, the rate at which the decay starts", "end"
            )
            self.require(self.end > 0 or not self.decay.needs_end, f"{self.decay!r} needs a positive end", "end")

    @property
    def ends_at(self) -> int | None:
        return self._step_of(self._decay[1]) if self._decay else None

    @property
    def corners(self) -> tuple[int, ...]:
        return tuple(sorted({self._step_of(tokens) for tokens in (0, self.warmup_tokens, *(self._decay or ()))}))

    @property
    def _decay(self) -> tuple[int, int] | None:
        """The tokens at which the decay starts and ends, if there is one."""
        if not self.decay_tokens or self.total_tokens is None:
            return None
        return self.total_tokens - self.decay_tokens, self.total_tokens

    def _step_of(self, tokens: int) -> int:
        """The first step by which this many tokens were seen."""
        return -(-tokens // self.tokens_per_step)

    def decayed_from(self, at: int, steps: int | None = None) -> Self:
        per_step = self.tokens_per_step
        last = self._decay[0] // per_step if self._decay else None
        tokens = None if steps is None else steps * per_step
        first = self._step_of(self.warmup_tokens)
        tokens = decay_length(self, at, tokens, first=first, last=last, own=self.decay_tokens)
        return self.replace(total_tokens=at * per_step + tokens, decay_tokens=tokens)

    def rate(self, clock: Clock) -> Any:
        clock = clock.count(self.tokens_per_step)
        tokens = clock.xp.maximum(clock.since(0), float(max(self.warmup_tokens, 1)))
        if not self._decay:
            return clock.done(0, self.warmup_tokens) * self._power(clock.xp, tokens)
        power = self._power(clock.xp, clock.xp.minimum(tokens, float(max(self._decay[0], 1))))
        return clock.done(0, self.warmup_tokens) * self.decay.rate(clock.phase(*self._decay), power, self.end)

    def _power(self, xp: Any, tokens: Any) -> Any:
        """The power law with its cap, min(peak, β a n^b).

        The exponent b ln n is about -14, and rounding it to float32 would cost 1e-6. So most of it
        is computed exactly.
        """
        whole = xp.floor(xp.log(tokens))
        coarse = xp.floor(self.b * 1024 + 0.5) / 1024  # coarse * whole fits a float32
        rest = (self.b - coarse) * whole + self.b * xp.log(tokens * xp.exp(-whole))
        power = xp.exp(coarse * whole) * (1.0 + xp.expm1(rest))  # XLA would merge exp(x) exp(y) into exp(x + y)
        return xp.minimum(self.peak, self.sequences_per_step * self.amplitude * power)
