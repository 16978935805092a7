"""Suggestions as a table for people."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optax_lrs.rules._suggest import Suggestion, Suggestions

_AGREE = 1.1  # a spread of less is none
_AROUND = 2.0  # how far to look on both sides of a rate that all rules give: our choice
_HEAD = ("rule", "rate", "batch in tokens", "warmup", "steps", "range")


def text(said: Suggestions) -> str:
    """The run, a line for every rule, the spread, and what stands behind each."""
    whose = "StepLawRule's" if said.batch_asked is None else f"the nearest to {said.batch_asked:,.0f}"
    lines = [
        f"params  {said.params:.6g}, without embeddings",
        f"tokens  {said.tokens:.6g}",
        f"batch   {said.batch_tokens:,} tokens = {said.batch_sequences:,} sequences of {said.sequence_length:,} ({whose})",
        f"steps   {said.total_steps:,}",
        "",
        *_table([_HEAD, *map(_cells, said.rows)]),
        "",
        *_rates(said),
        *_batches(said),
    ]
    for row in said.rows:
        lines += ["", row.rule, *(f"  {name:9} {what}" for name, what in _details(row))]
    if said.left_out:
        lines += ["", f"not asked: {'; '.join(said.left_out)}"]
    return "\n".join(lines)


def _cells(row: Suggestion) -> tuple[str, ...]:
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


def _rates(said: Suggestions) -> list[str]:
    rows = [row for row in said.rows if row.rate is not None]
    low, high = said.rate_spread
    if len(rows) == 1:
        found = f"{low:.2g} by one rule"
    elif high < _AGREE * low:
        found = f"about {low:.2g}: the rules agree"
    else:
        found = f"{low:.2g} to {high:.2g}, a factor of {high / low:.2g}"
    if high < _AGREE * low:  # what one rule gives is no more certain than where two disagree
        low, high = low / _AROUND, high * _AROUND
    sweep = (f"{rate:.2g}" for rate in (low, math.sqrt(low * high), high))
    return [f"rate    {found}{_doubts(rows)}", f"        sweep it: {', '.join(sweep)}"]


def _batches(said: Suggestions) -> list[str]:
    low, high = said.batch_spread
    rows = [row for row in said.rows if row.batch_tokens is not None and not row.is_ceiling]
    if len(rows) == 1:
        found = f"{_about(low)} tokens by one rule"
    elif high < _AGREE * low:
        found = f"about {_about(low)} tokens: the rules agree"
    else:
        found = f"{_about(low)} to {_about(high)} tokens, a factor of {high / low:.2g}"
    lines = [f"batch   {found}{_doubts(rows)}"]
    for row in said.rows:
        if row.is_ceiling and said.batch_tokens > row.batch_tokens:
            lines.append(
                f"        the batch is {said.batch_tokens / row.batch_tokens:.2g} times {row.rule}'s ceiling: more of it saves"
                " few steps"
            )
    return lines


def _doubts(rows: list[Suggestion]) -> str:
    """Which of the rules do not hold for this run, or may not."""
    marks = {"OUTSIDE": "outside of its range", "not known": "range not known"}
    held = {mark: [row.rule for row in rows if row.standing == mark] for mark in marks}
    return "".join(f"; {marks[mark]}: {', '.join(rules)}" for mark, rules in held.items() if rules)


def _about(count: int) -> str:
    """Two digits: 1.1M."""
    two = float(f"{count:.2g}")
    for unit, name in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if two >= unit:
            return f"{two / unit:g}{name}"
    return f"{two:g}"


def _details(row: Suggestion) -> list[tuple[str, str]]:
    said = [("schedule", repr(row.schedule))] if row.schedule is not None else []
    source = f"{row.paper} ({row.remark})" if row.remark else row.paper
    said += [("source", source), ("range", row.validity), ("assumes", row.assumes)]
    said += [("OUTSIDE", why) for why in row.outside]
    return said + [("note", note) for note in row.notes]
