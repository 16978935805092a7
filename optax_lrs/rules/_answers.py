"""The answers of the rules about one run, and their table."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

from optax_lrs._schedule import Schedule

_AGREE = 1.1  # spreads below this factor count as agreement
_AROUND = 2.0  # the sweep on both sides of a rate that all rules give: our choice
_HEAD = ("rule", "rate", "batch in tokens", "warmup", "steps", "range")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """The run that rules are asked about.

    Attributes:
        params: the parameters, embeddings left out.
        tokens: the tokens of the whole run.
        tokens_per_step: the tokens of an update, in whole sequences.
        sequence_length: the tokens of a sequence.
        multiple: the number that must divide the number of sequences of an update.
        width_ratio: under muP, the width of the model / the width of the tuned one; None if
            unknown.
        loss: the expected final loss in nats per token; None if unknown.
    """

    params: float
    tokens: float
    tokens_per_step: int
    sequence_length: int = 2048
    multiple: int = 1
    width_ratio: float | None = None
    loss: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class RuleAnswer:
    """The answer of one rule for the run.

    Attributes:
        rule: the name of the rule.
        peak: its peak rate; None if it gives no rate.
        is_mup: whether the rate is for muP.
        matrix_peak: under muP, the rate of the hidden matrices: ``peak`` / ratio of widths; None if
            the ratio is unknown.
        batch_tokens: its batch in whole sequences; None if it gives no batch.
        is_ceiling: whether the batch is critical (a sensible batch does not exceed it) rather than
            optimal.
        schedule: for the batch of the :class:`RuleTable`, its peak rounded to three digits; None if
            there is none.
        paper: the source of the rule.
        remark: a remark on the source, such as that it was recalled and not verified.
        validity: the range of the fit.
        assumes: what the fitted runs had in common.
        outside: where the run is outside that range; empty if it is inside.
        notes: other limits of the rule for this run.
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
        """The warmup of the schedule; None if there is none."""
        return getattr(self.schedule, "warmup_steps", None)

    @property
    def total_steps(self) -> int | None:
        """The length of the schedule; None if there is none."""
        return getattr(self.schedule, "total_steps", None)

    @property
    def rate(self) -> float | None:
        """The rate to compare between rules.

        Under muP it is that of the matrices, and None where the widths are unknown.
        """
        return self.matrix_peak if self.is_mup else self.peak

    @property
    def standing(self) -> str:
        """Whether the run is in the range of the fit: ``inside``, ``OUTSIDE`` or ``not known``."""
        if self.outside:
            return "OUTSIDE"
        return "not known" if "not given" in self.validity else "inside"

    def to_dict(self) -> dict[str, Any]:
        """Returns the answer as nested dicts and lists.

        The schedule is included as text, and in the form that ``Schedule.from_dict`` reads.
        """
        held = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        schedule = held.pop("schedule")
        return {
            **{key: list(value) if isinstance(value, tuple) else value for key, value in held.items()},
            "standing": self.standing,
            "warmup_steps": self.warmup_steps,
            "total_steps": self.total_steps,
            "schedule": None if schedule is None else schedule.to_dict(),
            "schedule_repr": None if schedule is None else repr(schedule),
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class RuleTable:
    """The answers of all rules for a run, the most trusted first; ``print`` shows a table.

    Attributes:
        params: the parameters, embeddings left out.
        tokens: the tokens of the run.
        sequence_length: the tokens of a sequence.
        batch_sequences: the sequences of an update that the schedules are for.
        total_steps: the number of updates.
        batch_asked: the tokens of an update that the caller gave; None if the batch is
            StepLawRule's.
        rows: a :class:`RuleAnswer` for every rule that could answer.
        left_out: the rules that could not answer, and what they need.
    """

    params: float
    tokens: float
    sequence_length: int
    batch_sequences: int
    total_steps: int
    batch_asked: float | None
    rows: tuple[RuleAnswer, ...]
    left_out: tuple[str, ...]

    @property
    def batch_tokens(self) -> int:
        """The tokens of an update that the schedules are for."""
        return self.batch_sequences * self.sequence_length

    @property
    def rate_spread(self) -> tuple[float, float]:
        """The lowest and the highest :attr:`RuleAnswer.rate`.

        muP rules count only if the ratio of widths is given.
        """
        rates = [row.rate for row in self.rows if row.rate is not None]
        return min(rates), max(rates)

    @property
    def batch_spread(self) -> tuple[int, int]:
        """The smallest and the largest optimal batch in tokens; critical batches do not count."""
        batches = [row.batch_tokens for row in self.rows if row.batch_tokens is not None and not row.is_ceiling]
        return min(batches), max(batches)

    def __getitem__(self, rule: str) -> RuleAnswer:
        """Returns the answer of a rule by its name."""
        for row in self.rows:
            if row.rule == rule:
                return row
        raise KeyError(f"no rule {rule!r} was asked; the rules are {', '.join(row.rule for row in self.rows)}")

    def to_dict(self) -> dict[str, Any]:
        """Returns the table as nested dicts and lists."""
        held = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        spreads = dict(rate_spread=list(self.rate_spread), batch_spread=list(self.batch_spread))
        rows = [row.to_dict() for row in self.rows]
        return {**held, "batch_tokens": self.batch_tokens, **spreads, "left_out": list(self.left_out), "rows": rows}

    def to_json(self, *, indent: int | None = None) -> str:
        """Returns the table as JSON text."""
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    def __str__(self) -> str:
        return _text(self)


def rounded(schedule: Any, peak: float) -> Any:
    """The schedule with its peak rounded to the three digits that are known."""
    return None if schedule is None else schedule.replace(peak=max(float(f"{peak:.3g}"), schedule.end))


def _text(answers: RuleTable) -> str:
    """The run, a line for every rule, the spreads, and the details of each rule."""
    whose = "StepLawRule's" if answers.batch_asked is None else f"the nearest to {answers.batch_asked:,.0f}"
    sequences = f"{answers.batch_sequences:,} sequences"
    lines = [
        f"params  {answers.params:.6g}, without embeddings",
        f"tokens  {answers.tokens:.6g}",
        f"batch   {answers.batch_tokens:,} tokens = {sequences} of {answers.sequence_length:,} ({whose})",
        f"steps   {answers.total_steps:,}",
        "",
        *_table([_HEAD, *map(_cells, answers.rows)]),
        "",
        *_rates(answers),
        *_batches(answers),
    ]
    for row in answers.rows:
        lines += ["", row.rule, *(f"  {name:9} {what}" for name, what in _details(row))]
    if answers.left_out:
        lines += ["", f"not asked: {'; '.join(answers.left_out)}"]
    return "\n".join(lines)


def _cells(row: RuleAnswer) -> tuple[str, ...]:
    batch = "-" if row.batch_tokens is None else f"{'<= ' if row.is_ceiling else ''}{row.batch_tokens:,}"
    counts = ("-" if count is None else f"{count:,}" for count in (row.warmup_steps, row.total_steps))
    rate = "-" if row.peak is None else f"muP {row.peak:.3g}" if row.rate is None else f"{row.rate:.3g}"
    return row.rule, rate, batch, *counts, row.standing


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows)]
    return [
        f"{row[0]:<{widths[0]}}  {'  '.join(f'{cell:>{width}}' for cell, width in zip(row[1:], widths[1:]))}"
        for row in rows
    ]


def _rates(answers: RuleTable) -> list[str]:
    rows = [row for row in answers.rows if row.rate is not None]
    low, high = answers.rate_spread
    if len(rows) == 1:
        found = f"{low:.2g} by one rule"
    elif high < _AGREE * low:
        found = f"about {low:.2g}: the rules agree"
    else:
        found = f"{low:.2g} to {high:.2g}, a factor of {high / low:.2g}"
    if high < _AGREE * low:  # one rule is not more certain than two that disagree
        low, high = low / _AROUND, high * _AROUND
    sweep = (f"{rate:.2g}" for rate in (low, math.sqrt(low * high), high))
    return [f"rate    {found}{_doubts(rows)}", f"        sweep it: {', '.join(sweep)}"]


def _batches(answers: RuleTable) -> list[str]:
    low, high = answers.batch_spread
    rows = [row for row in answers.rows if row.batch_tokens is not None and not row.is_ceiling]
    if len(rows) == 1:
        found = f"{_about(low)} tokens by one rule"
    elif high < _AGREE * low:
        found = f"about {_about(low)} tokens: the rules agree"
    else:
        found = f"{_about(low)} to {_about(high)} tokens, a factor of {high / low:.2g}"
    lines = [f"batch   {found}{_doubts(rows)}"]
    for row in answers.rows:
        if row.is_ceiling and row.batch_tokens is not None and answers.batch_tokens > row.batch_tokens:
            times = f"{answers.batch_tokens / row.batch_tokens:.2g} times {row.rule}'s ceiling"
            lines.append(f"        the batch is {times}: more of it saves few steps")
    return lines


def _doubts(rows: list[RuleAnswer]) -> str:
    """Names the rules that are outside their range for this run, or may be."""
    marks = {"OUTSIDE": "outside of its range", "not known": "range not known"}
    held = {mark: [row.rule for row in rows if row.standing == mark] for mark in marks}
    return "".join(f"; {marks[mark]}: {', '.join(rules)}" for mark, rules in held.items() if rules)


def _about(count: int) -> str:
    """Formats a count with two digits: 1.1M."""
    two = float(f"{count:.2g}")
    for unit, name in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if two >= unit:
            return f"{two / unit:g}{name}"
    return f"{two:g}"


def _details(row: RuleAnswer) -> list[tuple[str, str]]:
    details = [("schedule", repr(row.schedule))] if row.schedule is not None else []
    source = f"{row.paper} ({row.remark})" if row.remark else row.paper
    details += [("source", source), ("range", row.validity), ("assumes", row.assumes)]
    details += [("OUTSIDE", why) for why in row.outside]
    return details + [("note", note) for note in row.notes]
