"""Rules for the batch size, from the loss or from the noise of the gradient."""

from __future__ import annotations

import math
from typing import Any, ClassVar, NamedTuple

from optax_lrs._value.arguments import positive
from optax_lrs.rules._answers import PlannedRun, RuleAnswer
from optax_lrs.rules._rule import Rule, power_law, whole_sequences


class MiniCPMBatch(Rule):
    r"""MiniCPM's optimal batch, from the final loss of the run.

    .. math:: B = 1.21 \cdot 10^9 / L^{6.24} \text{ tokens}

    for a loss of L nats per token on C4. The loss depends on the tokenizer: on other data, or with
    another vocabulary, the sixth power turns 5% of loss into 36% of batch. The source gives no
    range of losses.

    Args:
        batch_scale: 1.21e9.
        loss_exponent: 6.24.
        loss_range: empty: not given by the source.

    Raises:
        ValueError: if the range is not ordered, or a constant not positive.

    Example:
        >>> f"{MiniCPMBatch().batch_tokens(loss=2.5):,.0f}"
        '3,977,770'

    References:
        Hu et al., MiniCPM: Unveiling the Potential of Small Language Models, arXiv:2404.06395.
    """

    paper: ClassVar[str] = "arXiv:2404.06395"
    assumes: ClassVar[str] = (
        "the final loss on C4, in nats per token of MiniCPM's tokenizer; warmup-stable-decay, a decay of a tenth"
    )

    batch_scale: float = 1.21e9
    loss_exponent: float = 6.24
    loss_range: tuple[float, ...] = ()

    def check(self) -> None:
        super().check()
        for key in ("batch_scale", "loss_exponent"):
            self.require(getattr(self, key) > 0, f"{key} must be positive", key)

    def batch_tokens(self, *, loss: Any) -> Any:
        """The optimal number of tokens per update.

        Args:
            loss: the final loss in nats per token: a positive number or an array.
        """
        return power_law(self.batch_scale, (positive("MiniCPMBatch", "loss", loss), -self.loss_exponent))

    def answer(self, run: PlannedRun) -> RuleAnswer | str:
        found = _sequences_for(self, run)
        return found if isinstance(found, str) else self.row(run, batch_tokens=found)


class CriticalBatch(Rule):
    r"""The critical batch, beyond which a larger batch saves few steps, from the loss.

    .. math:: B_\text{crit} = 2.1 \cdot 10^8 / L^{4.8} \text{ tokens}

    A batch of that size takes twice the smallest number of steps and twice the smallest number of
    tokens, see :func:`batch_tradeoff`: it is a ceiling for a sensible batch, not an optimum. Where
    the noise of the gradient can be measured, :class:`GradientNoise` is better. Recalled, not
    verified. Later work finds that it grows with the tokens and hardly depends on the model
    (arXiv:2410.21676, its abstract), which a rule of the loss alone cannot show.

    Args:
        batch_scale: 2.1e8.
        loss_exponent: 4.8.
        loss_range: empty: not in our sources.

    Raises:
        ValueError: if the range is not ordered, or a constant not positive.

    Example:
        >>> f"{CriticalBatch().batch_tokens(loss=3.0):,.0f}"
        '1,076,558'

    References:
        Kaplan et al., Scaling Laws for Neural Language Models, arXiv:2001.08361.
    """

    paper: ClassVar[str] = "arXiv:2001.08361"
    remark: ClassVar[str] = "recalled, not verified"
    assumes: ClassVar[str] = "Adam, WebText2, the loss in nats per token"

    batch_scale: float = 2.1e8
    loss_exponent: float = 4.8
    loss_range: tuple[float, ...] = ()

    def check(self) -> None:
        super().check()
        for key in ("batch_scale", "loss_exponent"):
            self.require(getattr(self, key) > 0, f"{key} must be positive", key)

    def batch_tokens(self, *, loss: Any) -> Any:
        """The critical number of tokens per update.

        Args:
            loss: in nats per token: a positive number or an array.
        """
        return power_law(self.batch_scale, (positive("CriticalBatch", "loss", loss), -self.loss_exponent))

    def answer(self, run: PlannedRun) -> RuleAnswer | str:
        found = _sequences_for(self, run)
        return found if isinstance(found, str) else self.row(run, batch_tokens=found, is_ceiling=True)


def _sequences_for(rule: MiniCPMBatch | CriticalBatch, run: PlannedRun) -> int | str:
    """The rule's batch for the run's loss, in whole sequences; or the missing input."""
    if run.loss is None:
        return "the final loss"
    found = rule.batch_tokens(loss=run.loss)
    if not 0 < found < math.inf:
        raise ValueError(f"suggest: {type(rule).__name__} has no batch for loss={run.loss!r}")
    sequences = whole_sequences(found, sequence_length=run.sequence_length, multiple=run.multiple)
    return sequences * run.sequence_length


class GradientNoise(NamedTuple):
    r"""The size and the noise of the gradient, from its norms at two batch sizes.

    .. math:: |G|^2 = \frac{B |G_B|^2 - b |G_b|^2}{B - b}, \qquad
              S = \frac{|G_b|^2 - |G_B|^2}{1/b - 1/B}, \qquad
              B_\text{noise} = S / |G|^2

    One measurement is noisy, and either estimate may come out negative: average ``squared_norm``
    and ``variance`` over many steps, separately, and only then take the :attr:`scale`. In
    data-parallel training the gradient of one device and that of all are the two sizes. Recalled,
    not verified.

    Attributes:
        squared_norm: :math:`|G|^2`, the squared norm of the true gradient.
        variance: :math:`S`, the trace of the covariance of one example's gradient.

    Example:
        >>> GradientNoise.of(small_squared_norm=2.0, big_squared_norm=1.25, small_batch=32, big_batch=128)
        GradientNoise(squared_norm=1.0, variance=32.0)

    References:
        McCandlish et al., An Empirical Model of Large-Batch Training, arXiv:1812.06162.
    """

    squared_norm: float
    variance: float

    @classmethod
    def of(
        cls, *, small_squared_norm: float, big_squared_norm: float, small_batch: float, big_batch: float
    ) -> GradientNoise:
        """Estimates both from the squared norms of the gradients of a small and a big batch.

        Raises:
            ValueError: if a number is not positive or ``big_batch`` is not above ``small_batch``.
        """
        given = dict(
            small_squared_norm=small_squared_norm,
            big_squared_norm=big_squared_norm,
            small_batch=small_batch,
            big_batch=big_batch,
        )
        small_norm, big_norm, small, big = (float(positive("GradientNoise", *item)) for item in given.items())
        if small >= big:
            raise ValueError(f"GradientNoise: small_batch must be below big_batch={big_batch!r}, got {small_batch!r}")
        squared = (big * big_norm - small * small_norm) / (big - small)
        return cls(squared_norm=squared, variance=(small_norm - big_norm) / (1 / small - 1 / big))

    @property
    def scale(self) -> float:
        """The noise scale: the critical batch, in the unit of the measured batches.

        Raises:
            ValueError: if an estimate is not positive.
        """
        if not (self.squared_norm > 0 and self.variance > 0):
            raise ValueError(f"{self}: both must be positive to have a scale; average them over more steps")
        return self.variance / self.squared_norm


class RelativeCost(NamedTuple):
    """The cost of a batch size, as multiples of the least possible.

    Attributes:
        steps: the steps, relative to an unlimited batch.
        tokens: the tokens, relative to the smallest batch.
        rate: the optimal rate of SGD, relative to an unlimited batch.
    """

    steps: float
    tokens: float
    rate: float


def batch_tradeoff(*, batch: float, critical: float) -> RelativeCost:
    r"""The steps, tokens and rate of a batch size, from the critical batch.

    .. math:: \frac{S}{S_\min} = 1 + \frac{B_\text{crit}}{B}, \qquad
              \frac{E}{E_\min} = 1 + \frac{B}{B_\text{crit}}, \qquad
              \frac{\eta}{\eta_\max} = \frac{1}{1 + B_\text{noise}/B}

    At the critical batch all are known: twice the steps, twice the tokens, half the rate. The rate
    is that of SGD; Adam's grows more slowly, about as the root of the batch. Recalled, not
    verified.

    Args:
        batch: the batch.
        critical: the critical batch, or the noise scale, in the same unit.

    Raises:
        ValueError: if a number is not positive.

    Example:
        >>> batch_tradeoff(batch=32, critical=32)
        RelativeCost(steps=2.0, tokens=2.0, rate=0.5)

    References:
        McCandlish et al., An Empirical Model of Large-Batch Training, arXiv:1812.06162.
    """
    share = float(positive("batch_tradeoff", "batch", batch) / positive("batch_tradeoff", "critical", critical))
    return RelativeCost(steps=1 + 1 / share, tokens=1 + share, rate=share / (1 + share))
