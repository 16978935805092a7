"""suggest: what every rule says of one run, side by side, with where each was found and whether it still holds there."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

from optax_lrs._horizon import Horizon
from optax_lrs._schedule import Schedule
from optax_lrs.rules._batch_rules import CriticalBatch, MiniCPMBatch
from optax_lrs.rules._gamma_rule import GammaRule, mup_widths
from optax_lrs.rules._rule import Rule, positive, positive_int, whole_sequences
from optax_lrs.rules._step_law_rule import StepLawRule
from optax_lrs.rules._suggestion_text import text

_FAR = 2.0  # a batch so many times the optimal one, or its inverse, is another batch: our choice, the source has none


@dataclasses.dataclass(frozen=True, kw_only=True)
class Suggestion:
    """What one rule says of the run.

    Attributes:
        rule: the rule's name.
        peak: its peak rate; None if it has none.
        is_mup: whether the rate is muP's.
        matrix_peak: under muP, the rate of the hidden matrices: ``peak`` by the ratio of widths; None if that is not given.
        batch_tokens: its own batch in whole sequences; None if it has none.
        is_ceiling: whether the batch is a critical one, which a sensible batch does not exceed, and not an optimal one.
        schedule: for the batch of :class:`Suggestions`, its peak rounded to three digits; None if there is none.
        paper: where the rule comes from.
        remark: what is to be known of the source, such as that it was recalled and not verified.
        validity: the range that it was fitted on.
        assumes: what the fitted runs had in common.
        outside: why the run is beyond that range; empty if it is not.
        notes: what else stands between the rule and this run.
    """

    rule: str
    peak: float | None = None
    is_mup: bool = False
    matrix_peak: float | None = None
    batch_tokens: int | None = None
    is_ceiling: bool = False
    schedule: Schedule | None = None
    paper: str = ""
    remark: str = ""
    validity: str = ""
    assumes: str = ""
    outside: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def warmup_steps(self) -> int | None:
        """The warmup of the schedule."""
        return getattr(self.schedule, "warmup_steps", None)

    @property
    def total_steps(self) -> int | None:
        """The length of the schedule."""
        return getattr(self.schedule, "total_steps", None)

    @property
    def rate(self) -> float | None:
        """The rate to compare with other rules': under muP that of the matrices, None where the widths are not known."""
        return self.matrix_peak if self.is_mup else self.peak

    @property
    def standing(self) -> str:
        """``inside``, ``OUTSIDE`` or ``not known``: where the run is, seen from the rule's range."""
        if self.outside:
            return "OUTSIDE"
        return "not known" if "not told" in self.validity else "inside"

    def to_dict(self) -> dict[str, Any]:
        """Names, numbers, lists and dicts; the schedule both as text and as ``Schedule.from_dict`` reads it."""
        held = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        schedule = held.pop("schedule")
        return {
            **{key: list(value) if isinstance(value, tuple) else value for key, value in held.items()},
            "standing": self.standing, "warmup_steps": self.warmup_steps, "total_steps": self.total_steps,
            "schedule": None if schedule is None else schedule.to_dict(),
            "schedule_repr": None if schedule is None else repr(schedule),
        }  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class Suggestions:
    """What the rules say of a run, the most trusted first; ``print`` shows it as a table.

    Attributes:
        params: the parameters, embeddings left out.
        tokens: the tokens of the run.
        sequence_length: the tokens of a sequence.
        batch_sequences: the sequences of an update that the schedules are for.
        total_steps: the updates that the tokens make.
        batch_asked: the tokens of an update that were asked for; None: the batch is StepLawRule's.
        rows: a :class:`Suggestion` for every rule.
        left_out: which rules were not asked, and what they need.
    """

    params: float
    tokens: float
    sequence_length: int
    batch_sequences: int
    total_steps: int
    batch_asked: float | None
    rows: tuple[Suggestion, ...]
    left_out: tuple[str, ...]

    @property
    def batch_tokens(self) -> int:
        """The tokens of an update that the schedules are for."""
        return self.batch_sequences * self.sequence_length

    @property
    def rate_spread(self) -> tuple[float, float]:
        """The lowest and the highest :attr:`Suggestion.rate`; of muP's rules only if the ratio of widths is given."""
        rates = [row.rate for row in self.rows if row.rate is not None]
        return min(rates), max(rates)

    @property
    def batch_spread(self) -> tuple[int, int]:
        """The smallest and the largest optimal batch of the rules, in tokens; critical ones are no optimal ones."""
        batches = [row.batch_tokens for row in self.rows if row.batch_tokens is not None and not row.is_ceiling]
        return min(batches), max(batches)

    def __getitem__(self, rule: str) -> Suggestion:
        """The row of a rule, by its name."""
        for row in self.rows:
            if row.rule == rule:
                return row
        raise KeyError(f"no rule {rule!r} was asked; there are {', '.join(row.rule for row in self.rows)}")

    def to_dict(self) -> dict[str, Any]:
        """Names, numbers, lists and dicts."""
        held = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        spreads = dict(rate_spread=list(self.rate_spread), batch_spread=list(self.batch_spread))
        rows = [row.to_dict() for row in self.rows]
        return {**held, "batch_tokens": self.batch_tokens, **spreads, "left_out": list(self.left_out), "rows": rows}

    def to_json(self, *, indent: int | None = None) -> str:
        """The same as JSON text."""
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    def __str__(self) -> str:
        return text(self)


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
) -> Suggestions:
    """Rate, batch, warmup and schedule for a run, by every rule there is, with sources and ranges of validity.

    A rule that is asked beyond its range answers, and is marked. The rules disagree by factors, not by percents: take
    their spread as the range of a sweep, and the first row as its middle.

    Args:
        params: the parameters of the model, embeddings left out.
        tokens: the tokens of the whole run.
        sequence_length: the tokens of a sequence; 2,048 by default, which StepLawRule was fitted with.
        batch_tokens: the tokens of an update, if they are settled; StepLawRule's by default. In whole sequences.
        multiple: what the number of sequences must be divisible by; 1 by default.
        width_ratio: under muP, the width of the model by that of the one whose rates were tuned; without it GammaRule's rate
            is that of the narrow model.
        loss: the final loss expected, in nats per token: for the rules that take the batch from the loss.
        noise_scale_tokens: the gradient's noise scale in tokens, :attr:`GradientNoise.scale` times the tokens of an example.

    Returns:
        The rules' rows, their spread, and the rules that were left out.

    Raises:
        ValueError: if a number is not positive, or a count no whole number.
        TypeError: if something is no number.

    Example:
        >>> said = suggest(params=1e9, tokens=100e9)
        >>> said["StepLawRule"].schedule
        Cosine(peak=0.00163, total_steps=90256, warmup_steps=2000, end=1e-05)
        >>> said["GammaRule"].outside
        ('params=1e+09 is 8.3 times the most that was fitted, 1.21e+08',)

    References:
        Li et al., arXiv:2503.04715. Shen et al., arXiv:2408.13359. Hu et al., arXiv:2404.06395. Kaplan et al.,
        arXiv:2001.08361. McCandlish et al., arXiv:1812.06162. The last two recalled, not verified.
    """
    params, tokens = (float(positive("suggest", *item)) for item in dict(params=params, tokens=tokens).items())
    sequence_length = positive_int("suggest", "sequence_length", sequence_length)
    how = dict(sequence_length=sequence_length, multiple=positive_int("suggest", "multiple", multiple))
    optimal = StepLawRule().batch_tokens(tokens=tokens)
    wanted = optimal if batch_tokens is None else float(positive("suggest", "batch_tokens", batch_tokens))
    sequences = whole_sequences(wanted, **how)
    per_step = sequences * sequence_length
    rows = [_step_law(params, tokens, per_step, how), _gamma_law(params, tokens, per_step, width_ratio)]
    left_out = []
    for rule in (MiniCPMBatch(), CriticalBatch()):
        if loss is None:
            left_out.append(f"{type(rule).__name__} needs the final loss")
        else:
            found = rule.batch_tokens(loss=loss)
            if not 0 < found < math.inf:
                raise ValueError(f"suggest: {type(rule).__name__} has no batch for loss={loss!r}")
            batch = whole_sequences(found, **how) * sequence_length
            is_ceiling = isinstance(rule, CriticalBatch)
            rows.append(_row(rule, dict(loss=loss), batch_tokens=batch, is_ceiling=is_ceiling))
    if noise_scale_tokens is None:
        left_out.append("GradientNoise needs the noise scale, measured")
    else:
        noise = float(positive("suggest", "noise_scale_tokens", noise_scale_tokens))
        rows.append(Suggestion(
            rule="GradientNoise", batch_tokens=whole_sequences(noise, **how) * sequence_length, is_ceiling=True,
            paper="arXiv:1812.06162", remark="recalled, not verified", validity="the run in which it was measured",
            assumes="measured in this run, or one like it; it grows as the loss falls",
        ))  # fmt: skip
    steps = Horizon.of(tokens=tokens, tokens_per_step=per_step).steps
    asked = None if batch_tokens is None else wanted
    return Suggestions(
        params=params, tokens=tokens, sequence_length=sequence_length, batch_sequences=sequences, total_steps=steps,
        batch_asked=asked, rows=tuple(rows), left_out=tuple(left_out),
    )  # fmt: skip


def _step_law(params: float, tokens: float, per_step: int, how: dict[str, int]) -> Suggestion:
    rule = StepLawRule()
    notes = []
    batch = rule.batch_sequences(tokens=tokens, **how) * how["sequence_length"]
    if not 1 / _FAR <= per_step / batch <= _FAR:
        notes.append(f"the rate is that of its own batch, {batch:,} tokens; yours is {per_step / batch:.2g} times that")
    if how["sequence_length"] != 2048:
        notes.append(f"fitted with sequences of 2,048 tokens, not {how['sequence_length']:,}")
    schedule = None
    try:
        schedule = rule.schedule(params=params, tokens=tokens, tokens_per_step=per_step)
    except ValueError as error:  # too short a run, or an end above the peak
        notes.append(f"no schedule: {str(error).partition(': ')[2]}")
    peak = rule.peak(params=params, tokens=tokens)
    inputs = dict(params=params, tokens=tokens)
    return _row(rule, inputs, peak=peak, batch_tokens=batch, schedule=_rounded(schedule, peak), notes=tuple(notes))


def _gamma_law(params: float, tokens: float, per_step: int, width_ratio: float | None) -> Suggestion:
    rule = GammaRule()
    peak = rule.peak(tokens=tokens, batch_tokens=per_step)
    notes, matrix_peak, schedule = [], None, None
    if width_ratio is None:
        notes.append(
            "a rate for muP, at the width that was tuned: give the ratio of widths to compare it with the others"
        )
    else:
        matrix_peak = peak * mup_widths(width_ratio=width_ratio).matrix_rate
        notes.append(f"under muP: hidden matrices take {matrix_peak:.3g}, the rest the schedule's {peak:.3g}")
    if peak == rule.cap:
        notes.append(f"held at its cap of {rule.cap:g}")
    try:
        schedule = rule.schedule(tokens=tokens, tokens_per_step=per_step)
    except ValueError as error:  # too short a run
        notes.append(f"no schedule: {str(error).partition(': ')[2]}")
    inputs = dict(params=params, tokens=tokens)
    schedule = _rounded(schedule, peak)
    rates = dict(peak=peak, is_mup=True, matrix_peak=matrix_peak)
    return _row(rule, inputs, schedule=schedule, notes=tuple(notes), **rates)


def _row(rule: Rule, inputs: dict[str, float], **said: Any) -> Suggestion:
    about = dict(paper=rule.paper, remark=rule.remark, validity=rule.validity, assumes=rule.assumes)
    return Suggestion(rule=type(rule).__name__, outside=rule.outside(**inputs), **about, **said)


def _rounded(schedule: Schedule | None, peak: float) -> Schedule | None:
    """The schedule with three digits of its peak: more would pretend to be known."""
    return None if schedule is None else schedule.replace(peak=max(float(f"{peak:.3g}"), schedule.end))
