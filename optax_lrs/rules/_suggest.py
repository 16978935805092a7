"""suggest: what every rule says about one run, and whether it still holds there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from optax_lrs._value.arguments import instance, positive, whole
from optax_lrs.rules._answers import PlannedRun, RuleAnswer, RuleTable
from optax_lrs.rules._batch_rules import CriticalBatch, MiniCPMBatch
from optax_lrs.rules._gamma_rule import GammaRule
from optax_lrs.rules._rule import ANY_SIZE, Rule, whole_sequences
from optax_lrs.rules._step_law_rule import StepLawRule

RULES: tuple[type[Rule], ...] = (StepLawRule, GammaRule, MiniCPMBatch, CriticalBatch)
"""The rules that :func:`suggest` asks, the most trusted first."""


def suggest(
    *,
    params: float,
    tokens: float,
    sequence_length: int = 2048,
    batch_tokens: float | None = None,
    multiple: int = 1,
    width_ratio: float | None = None,
    loss: float | None = None,
    noise_scale_tokens: float | None = None,
    more_rules: Sequence[Rule] = (),
) -> RuleTable:
    """Suggests rate, batch, warmup and schedule for a run, by every rule, with sources and ranges.

    A rule that is asked outside its range answers, and is marked. The rules disagree by factors,
    not by percents: use their spread as the range of a sweep, and the first row as its middle.

    Args:
        params: the parameters of the model, embeddings left out.
        tokens: the tokens of the whole run.
        sequence_length: the tokens of a sequence; 2,048 by default, which StepLawRule was fitted
            with.
        batch_tokens: the tokens of an update, if you have settled on a number; StepLawRule's by
            default. Rounded to whole sequences.
        multiple: what the number of sequences must be divisible by; 1 by default.
        width_ratio: under muP, the width of the model / the width of the tuned one; without it
            GammaRule's rate is that of the narrow model.
        loss: the expected final loss, in nats per token, for the rules that take the batch from the
            loss.
        noise_scale_tokens: the gradient's noise scale in tokens, :attr:`GradientNoise.scale` times
            the tokens of an example.
        more_rules: your own rules, asked after those of the package.

    Returns:
        The answers of the rules, their spread, and the rules that could not answer.

    Raises:
        ValueError: if a number is not positive.
        TypeError: if an argument is not a number, or a count is not an int.

    Example:
        >>> said = suggest(params=1e9, tokens=100e9)
        >>> said["StepLawRule"].schedule
        Cosine(peak=0.00163, total_steps=90256, warmup_steps=2000, end=1e-05)
        >>> said["GammaRule"].outside
        ('params=1e+09 is 8.3 times the most that was fitted, 1.21e+08',)

    References:
        Li et al., arXiv:2503.04715. Shen et al., arXiv:2408.13359. Hu et al., arXiv:2404.06395.
        Kaplan et al., arXiv:2001.08361. McCandlish et al., arXiv:1812.06162. The last two recalled,
        not verified.
    """
    params, tokens = (float(positive("suggest", *item)) for item in dict(params=params, tokens=tokens).items())
    sequence_length = whole("suggest", "sequence_length", sequence_length, low=1, high=ANY_SIZE)
    multiple = whole("suggest", "multiple", multiple, low=1, high=ANY_SIZE)
    optimal = StepLawRule().batch_tokens(tokens=tokens)
    wanted = optimal if batch_tokens is None else float(positive("suggest", "batch_tokens", batch_tokens))
    sequences = whole_sequences(wanted, sequence_length=sequence_length, multiple=multiple)
    run = PlannedRun(
        params=params,
        tokens=tokens,
        tokens_per_step=sequences * sequence_length,
        sequence_length=sequence_length,
        multiple=multiple,
        width_ratio=width_ratio,
        loss=loss,
    )
    rows, left_out = [], []
    for rule in (*(cls() for cls in RULES), *(instance("suggest", "more_rules", rule, Rule) for rule in more_rules)):
        found = rule.answer(run)
        if isinstance(found, str):
            left_out.append(f"{type(rule).__name__} needs {found}")
        else:
            rows.append(found)
    if noise_scale_tokens is None:
        left_out.append("GradientNoise needs the noise scale, measured")
    else:
        rows.append(_noise(float(positive("suggest", "noise_scale_tokens", noise_scale_tokens)), run))
    return RuleTable(
        params=params,
        tokens=tokens,
        sequence_length=sequence_length,
        batch_sequences=sequences,
        total_steps=math.ceil(Fraction(repr(tokens)) / run.tokens_per_step),  # exact, for absurd sizes too
        batch_asked=None if batch_tokens is None else wanted,
        rows=tuple(rows),
        left_out=tuple(left_out),
    )


def _noise(scale: float, run: PlannedRun) -> RuleAnswer:
    """The critical batch of a measured noise scale; it has no constants, so it is not a rule."""
    batch = whole_sequences(scale, sequence_length=run.sequence_length, multiple=run.multiple) * run.sequence_length
    return RuleAnswer(
        rule="GradientNoise",
        batch_tokens=batch,
        is_ceiling=True,
        paper="arXiv:1812.06162",
        remark="recalled, not verified",
        validity="the run in which it was measured",
        assumes="measured in this run, or one like it; it grows as the loss falls",
    )
