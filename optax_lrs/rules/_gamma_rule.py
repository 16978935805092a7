"""GammaRule: a rate in proportion to the batch; and the factors of muP for a wider model."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np

from optax_lrs._horizon import Horizon
from optax_lrs._value.arguments import positive
from optax_lrs.rules._answers import PlannedRun, RuleAnswer, rounded
from optax_lrs.rules._rule import Rule, plain, power_law
from optax_lrs.schedules import WSD


class GammaRule(Rule):
    r"""The peak rate under muP from batch and tokens, for warmup-stable-decay (power scheduler).

    With :math:`T` tokens in all and :math:`\beta` sequences of 4,096 tokens in an update,

    .. math:: \eta = \min(\text{cap}, \beta\, \gamma), \qquad \gamma = 4.6\, T^{-0.51}

    Ten times the tokens: 0.31 times the rate. Twice the batch: twice the rate. The rate is for muP,
    at the width at which the rule was tuned: matrices of a wider model take it divided by the ratio
    of widths, see :func:`mup_widths`. Under muP it does not depend on the number of parameters:
    fits at 12M, 36M and 121M parameters gave (3.81, -0.503), (5.17, -0.518) and (3.76, -0.502). The
    authors used it for models of 1B and 3B parameters and 1T tokens or more. For a run without a
    horizon use :class:`optax_lrs.PowerLaw`, which has their setting: amplitude 4 (they found 3 to 5
    alike).

    Other sequence lengths count in proportion, 1,024 sequences of 2,048 tokens as 512 (our
    reading). The paper's statement, 0.0011 for 10T tokens and 1,024 sequences, comes from 4.6
    (0.001104), not from 4 (0.00096).

    Args:
        amplitude: 4.6.
        b: the exponent of the tokens; -0.51.
        cap: the highest rate; 0.02.
        sequence_length: the tokens of the sequences that amplitude refers to; 4,096.
        warmup_tokens: of the schedule; 1B, as in the paper's search.
        decay_fraction: of the schedule; 0.1.
        params_range: the smallest and the largest model of the fits.
        tokens_range: empty: not in our notes on the paper.

    Raises:
        ValueError: if a range is not ordered, or a number is out of its range.

    Example:
        >>> rule = GammaRule()
        >>> print(f"{rule.peak(tokens=1e13, batch_tokens=1024 * 4096):.6f}")
        0.001104

    References:
        Shen et al., Power Scheduler: A Batch Size and Token Number Agnostic Learning Rate
        Scheduler, arXiv:2408.13359.
    """

    paper: ClassVar[str] = "arXiv:2408.13359"
    assumes: ClassVar[str] = (
        "AdamW under muP, a warmup of 1B tokens, a constant rate, a decay over the last tenth; "
        "sequences of 4,096 tokens; "
        "used by its authors at 1B and 3B parameters and 1T tokens"
    )

    amplitude: float = 4.6
    b: float = -0.51
    cap: float = 0.02
    sequence_length: int = 4096
    warmup_tokens: int = 10**9
    decay_fraction: float = 0.1
    params_range: tuple[float, ...] = (12e6, 121e6)
    tokens_range: tuple[float, ...] = ()

    def check(self) -> None:
        super().check()
        for key in ("amplitude", "cap", "sequence_length"):
            self.require(getattr(self, key) > 0, f"{key} must be positive", key)
        self.require(self.b < 0, "b must be negative", "b")
        self.require(0 <= self.decay_fraction <= 1, "decay_fraction must be from 0 to 1", "decay_fraction")
        self.require(self.warmup_tokens >= 0, "warmup_tokens must not be negative", "warmup_tokens")

    def ratio(self, *, tokens: Any) -> Any:
        """The rate per sequence of the batch, :math:`\\gamma`."""
        return power_law(self.amplitude, (positive("GammaRule", "tokens", tokens), self.b))

    def peak(self, *, tokens: Any, batch_tokens: Any) -> Any:
        """The peak rate for muP, before any division by a ratio of widths.

        Args:
            tokens: the tokens of the whole run: a positive number or an array.
            batch_tokens: the tokens of an update, likewise.
        """
        sequences = positive("GammaRule", "batch_tokens", batch_tokens) / self.sequence_length
        return plain(np.minimum(self.cap, sequences * self.ratio(tokens=tokens)))

    def capped_until(self, *, batch_tokens: Any) -> Any:
        """The tokens of the longest run whose rate is the cap."""
        sequences = positive("GammaRule", "batch_tokens", batch_tokens) / self.sequence_length
        return power_law(1.0, (self.cap / (sequences * self.amplitude), 1 / self.b))

    def schedule(self, *, tokens: float, tokens_per_step: int) -> WSD:
        """A warmup, the peak, and a linear decay to zero over the last tenth.

        The shape of the decay is our choice.

        Raises:
            ValueError: if warmup and decay are longer than the run.
        """
        run = Horizon.of(tokens=tokens, tokens_per_step=tokens_per_step)
        warmup, decay = run.tokens(self.warmup_tokens), run.fraction(self.decay_fraction)
        if warmup + decay > run.steps:
            raise ValueError(
                f"GammaRule: warmup and decay of {warmup:,} and {decay:,} steps are longer than the run, {run.steps:,}"
            )
        peak = self.peak(tokens=tokens, batch_tokens=tokens_per_step)
        return WSD(peak=peak, total_steps=run.steps, warmup_steps=warmup, decay_steps=decay)

    def answer(self, run: PlannedRun) -> RuleAnswer:
        peak = self.peak(tokens=run.tokens, batch_tokens=run.tokens_per_step)
        notes, matrix_peak, schedule = [], None, None
        if run.width_ratio is None:
            notes.append("a rate for muP, at the tuned width: pass the ratio of widths to compare it with the others")
        else:
            matrix_peak = peak * mup_widths(width_ratio=run.width_ratio).matrix_rate
            notes.append(f"under muP: hidden matrices take {matrix_peak:.3g}, the rest the schedule's {peak:.3g}")
        if peak == self.cap:
            notes.append(f"held at its cap of {self.cap:g}")
        try:
            schedule = self.schedule(tokens=run.tokens, tokens_per_step=run.tokens_per_step)
        except ValueError as error:  # the run is too short
            notes.append(f"no schedule: {str(error).partition(': ')[2]}")
        schedule, found = rounded(schedule, peak), dict(peak=peak, is_mup=True, matrix_peak=matrix_peak)
        return self.row(run, schedule=schedule, notes=tuple(notes), **found)


class MupFactors(NamedTuple):
    """The factors of muP for a model that is wider than the tuned one.

    Attributes:
        matrix_rate: the rate of hidden matrices: one over the ratio of widths. Embeddings, norms
            and biases keep theirs (recalled, not verified).
        matrix_init: the standard deviation of their initial entries: one over the root of that
            ratio.
        attention_logits: the factor of queries times keys: one over the width of a head; None if
            that is not given.
    """

    matrix_rate: float
    matrix_init: float
    attention_logits: float | None


def mup_widths(*, width_ratio: float, head_width: int | None = None) -> MupFactors:
    r"""The factors of muP that go with the power scheduler, from the ratio of widths.

    .. math:: \eta_\text{matrix} = \eta / m, \qquad \sigma_\text{matrix} = \sigma / \sqrt{m}, \qquad
              \text{logits} = q \cdot k / d_\text{head}

    The models of the paper also multiply embeddings by 12 and what a block adds to the residual
    stream by 0.22 to 0.28.

    Args:
        width_ratio: m, the width of the model / the width of the tuned one.
        head_width: the width of an attention head; None by default.

    Raises:
        ValueError: if a number is not positive.

    Example:
        >>> mup_widths(width_ratio=4.0, head_width=128)
        MupFactors(matrix_rate=0.25, matrix_init=0.5, attention_logits=0.0078125)

    References:
        Shen et al., Power Scheduler: A Batch Size and Token Number Agnostic Learning Rate
        Scheduler, arXiv:2408.13359.
    """
    ratio = float(positive("mup_widths", "width_ratio", width_ratio))
    if not 1.0 / ratio < np.inf:
        raise ValueError(f"mup_widths: one over width_ratio must be finite, got {width_ratio!r}")
    head = None if head_width is None else 1.0 / float(positive("mup_widths", "head_width", head_width))
    return MupFactors(matrix_rate=1.0 / ratio, matrix_init=ratio**-0.5, attention_logits=head)
