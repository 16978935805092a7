"""StepLawRule: the optimal rate and batch from the numbers of parameters and tokens."""

from __future__ import annotations

from typing import Any, ClassVar

from optax_lrs._horizon import Horizon
from optax_lrs._value.arguments import positive
from optax_lrs.rules._answers import PlannedRun, RuleAnswer, rounded
from optax_lrs.rules._rule import Rule, power_law, whole_sequences
from optax_lrs.schedules import Cosine

_FAR = 2.0  # a batch this many times the optimal one, or its inverse, is another batch: our choice, not the source's
_FITTED_LENGTH = 2048


class StepLawRule(Rule):
    r"""The optimal peak rate from parameters and tokens, and the optimal batch from tokens alone.

    With :math:`N` parameters and :math:`D` tokens,

    .. math:: \eta = 1.79\, N^{-0.713} D^{0.307}, \qquad B = 0.58\, D^{0.571} \text{ tokens}

    Four times the tokens: 1.53 times the rate, 2.2 times the batch. Twice the parameters: 0.61
    times the rate. The two belong together: the rate is for the optimal batch, and the rule gives
    none for another batch. The optimum is broad: in the published grids the nearest point to the
    rule is on average 0.096% above the best loss (17 cells, at most 0.31%).

    It holds for AdamW, 2,000 steps of warmup and a cosine to a *fixed* rate of 1e-5: not to a tenth
    of the peak, which moves the optimum. Its parameters are counted without embeddings, its batch
    in tokens. The published runs have 215M to 1.07B parameters, 4B to 100B tokens and sequences of
    2,048 tokens; the paper says that it holds for mixtures of experts, whatever their sparsity
    (from notes on the paper, not the paper).

    Args:
        rate_scale: 1.79.
        params_exponent: of the parameters in the rate; -0.713.
        tokens_exponent: of the tokens in the rate; 0.307.
        batch_scale: 0.58.
        batch_exponent: of the tokens in the batch; 0.571.
        warmup_steps: of the schedule; 2,000.
        end: the last rate of the schedule; 1e-5.
        params_range: the least and the greatest fitted number of parameters.
        tokens_range: the least and the greatest fitted number of tokens.

    Raises:
        ValueError: if a range is not ordered, or a scale not positive.

    Example:
        >>> rule = StepLawRule()
        >>> print(f"{rule.peak(params=1e9, tokens=1e11):.6f} {rule.batch_tokens(tokens=1e11):,.0f}")
        0.001632 1,107,715
        >>> rule.schedule(params=1e9, tokens=1e11, tokens_per_step=541 * 2048).total_steps
        90256

    References:
        Li et al., Predictable Scale: Part I, Step Law, arXiv:2503.04715.
    """

    paper: ClassVar[str] = "arXiv:2503.04715"
    assumes: ClassVar[str] = (
        "AdamW, 2,000 steps of warmup, a cosine to 1e-5 (fixed, not a share of the peak), sequences of 2,048 tokens; "
        "params without embeddings"
    )

    rate_scale: float = 1.79
    params_exponent: float = -0.713
    tokens_exponent: float = 0.307
    batch_scale: float = 0.58
    batch_exponent: float = 0.571
    warmup_steps: int = 2000
    end: float = 1e-5
    params_range: tuple[float, ...] = (0.215e9, 1.07e9)
    tokens_range: tuple[float, ...] = (4e9, 1e11)

    def check(self) -> None:
        super().check()
        for key in ("rate_scale", "batch_scale"):
            self.require(getattr(self, key) > 0, f"{key} must be positive", key)
        for key in ("warmup_steps", "end"):
            self.require(getattr(self, key) >= 0, f"{key} must not be negative", key)

    def peak(self, *, params: Any, tokens: Any) -> Any:
        """The optimal peak rate.

        Args:
            params: the parameters, embeddings left out: a positive number or an array.
            tokens: the tokens of the whole run, likewise.

        Returns:
            A float, or a float64 array.
        """
        params, tokens = positive("StepLawRule", "params", params), positive("StepLawRule", "tokens", tokens)
        return power_law(self.rate_scale, (params, self.params_exponent), (tokens, self.tokens_exponent))

    def batch_tokens(self, *, tokens: Any) -> Any:
        """The optimal tokens per update, from the tokens of the whole run; not rounded."""
        return power_law(self.batch_scale, (positive("StepLawRule", "tokens", tokens), self.batch_exponent))

    def batch_sequences(self, *, tokens: float, sequence_length: int = 2048, multiple: int = 1) -> int:
        """The optimal batch in whole sequences; see :func:`whole_sequences`."""
        wanted = self.batch_tokens(tokens=tokens)
        return whole_sequences(wanted, sequence_length=sequence_length, multiple=multiple)

    def schedule(self, *, params: float, tokens: float, tokens_per_step: int) -> Cosine:
        """The schedule of the fitted runs, at the rule's peak.

        Args:
            params: the parameters, embeddings left out.
            tokens: the tokens of the whole run.
            tokens_per_step: the tokens of an update: ``batch_sequences`` times the sequence length.

        Raises:
            ValueError: if the run is too short for the warmup, or the peak is below the fixed end.
        """
        peak = self.peak(params=params, tokens=tokens)
        steps = Horizon.of(tokens=tokens, tokens_per_step=tokens_per_step).steps
        if steps < self.warmup_steps:
            raise ValueError(
                f"StepLawRule: a run of {steps:,} steps is shorter than the warmup of {self.warmup_steps:,}"
            )
        if peak < self.end:
            raise ValueError(f"StepLawRule: the peak, {peak:.3g}, is below the fixed end, {self.end:.3g}")
        return Cosine(peak=peak, total_steps=steps, warmup_steps=self.warmup_steps, end=self.end)

    def answer(self, run: PlannedRun) -> RuleAnswer:
        notes, schedule = [], None
        sequences = self.batch_sequences(tokens=run.tokens, sequence_length=run.sequence_length, multiple=run.multiple)
        batch = sequences * run.sequence_length
        times = run.tokens_per_step / batch
        if not 1 / _FAR <= times <= _FAR:
            notes.append(f"the rate is for the rule's own batch, {batch:,} tokens; yours is {times:.2g} times that")
        if run.sequence_length != _FITTED_LENGTH:
            notes.append(f"fitted with sequences of {_FITTED_LENGTH:,} tokens, not {run.sequence_length:,}")
        try:
            schedule = self.schedule(params=run.params, tokens=run.tokens, tokens_per_step=run.tokens_per_step)
        except ValueError as error:  # the run is too short, or the peak is below the end
            notes.append(f"no schedule: {str(error).partition(': ')[2]}")
        peak = self.peak(params=run.params, tokens=run.tokens)
        return self.row(run, peak=peak, batch_tokens=batch, schedule=rounded(schedule, peak), notes=tuple(notes))
