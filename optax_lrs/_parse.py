"""Builds a schedule from the text that ``repr`` prints, without executing it."""

from __future__ import annotations

import ast
from typing import Any

from optax_lrs._schedule import Schedule
from optax_lrs._value.arguments import text as checked_text
from optax_lrs._value.value import build


def parse(text: str) -> Schedule:
    """Returns the schedule that a ``repr`` describes. The text is parsed, never evaluated.

    Only registered classes are built. The text names classes, as ``repr`` prints them
    (``Joined(schedules=..., boundaries=...)``), not functions (``join(...)``). ``repr`` abridges a
    table of more than a thousand entries; save such a table with ``to_json``.

    Import the module of your class first. The class is found by its name, or as ``module.Name`` if
    another class has the same name; ``repr`` prints the form that is needed.

    Args:
        text: the description, such as ``"WSD(peak=3e-4, total_steps=10_000, decay_steps=2_000,
            decay=one_minus_sqrt)"``. The prefixes ``olrs.``, ``optax_lrs.`` and ``profiles.`` are
            optional. Numbers may be sums, products, quotients and powers.

    Raises:
        ValueError: if the text does not describe a schedule, if it names an unknown or ambiguous
            class or an unknown argument, or if the schedule rejects its arguments.
        TypeError: if an argument has the wrong type.

    Example:
        >>> parse("Cosine(peak=3e-4, total_steps=10 * 1000)")
        Cosine(peak=0.0003, total_steps=10000, warmup_steps=0, end=0.0)
    """
    checked_text("parse", "text", text)
    try:
        schedule = _read(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, RecursionError, MemoryError):
        raise ValueError(f"not a schedule: {text!r:.200}") from None
    if not isinstance(schedule, Schedule):
        raise ValueError(f"not a schedule: {text!r:.200}")
    return schedule


def _read(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=bool() | int() | float() | str() | None as value):
            return value
        case ast.Tuple(elts=items) | ast.List(elts=items):
            return tuple(_read(item) for item in items)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_operand(operand)
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div() | ast.Pow() as op, right=right):
            return _combined(op, _operand(left), _operand(right))
        case ast.Name() | ast.Attribute():
            return build(_name(node))
        case ast.Call(func=func, args=args, keywords=keywords):
            fields = {keyword.arg: _read(keyword.value) for keyword in keywords if keyword.arg}
            if len(fields) < len(keywords):
                raise ValueError(f"an argument is given twice, or by **: {ast.unparse(node)!r:.200}")
            return build(_name(func), *map(_read, args), **fields)
    raise ValueError(f"cannot read {ast.unparse(node)!r:.200}")


def _name(node: ast.expr) -> str:
    """A name or a dotted name, such as ``olrs.profiles.linear``."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(attr=name, value=ast.Name() | ast.Attribute() as value):
            return f"{_name(value)}.{name}"
    raise ValueError(f"cannot read {ast.unparse(node)!r:.200}")


def _operand(node: ast.expr) -> int | float:
    value = _read(node)
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise ValueError(f"not a number: {ast.unparse(node)!r:.200}")
    return value


def _combined(op: ast.operator, a: int | float, b: int | float) -> int | float:
    try:
        match op:
            case ast.Add():
                return a + b
            case ast.Sub():
                return a - b
            case ast.Mult():
                return a * b
            case ast.Div():
                return a / b
        if abs(b) > 1000 or abs(a) > 1e100:  # 9**9**9 would take forever
            raise OverflowError
        return a**b
    except (ArithmeticError, ValueError):
        raise ValueError(f"the number is not defined or too large: {a!r} and {b!r}") from None
