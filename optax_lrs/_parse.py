"""From text to a schedule: what ``repr`` prints can be pasted back, and nothing is ever executed."""

from __future__ import annotations

import ast
from typing import Any

from optax_lrs._schedule import Schedule
from optax_lrs._value import Value, build


def parse(text: str) -> Schedule:
    """The schedule that a ``repr`` describes, built from registered classes only; the text is read, never evaluated.

    It knows classes (``Joined(schedules=..., boundaries=...)``), as ``repr`` prints them, not functions (``join(...)``). A
    table of more than a thousand entries is printed abridged: take ``to_json``.

    Args:
        text: such as ``"WSD(peak=3e-4, total_steps=10_000, decay_steps=2_000, decay=one_minus_sqrt)"``. Profiles may be
            written with or without ``profiles.``; sums, products and powers of numbers are allowed.

    Raises:
        ValueError: if the text is no schedule, or names an unknown class or field, or the schedule's own rules fail.
        TypeError: if a field has the wrong type.

    Example:
        >>> parse("Cosine(peak=3e-4, total_steps=10 * 1000)")
        Cosine(peak=0.0003, total_steps=10000, warmup_steps=0, end=0.0)
    """
    if not isinstance(text, str):
        raise TypeError(f"parse: text must be a str, got {text!r:.60}")
    try:
        schedule = _read(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, RecursionError, MemoryError):
        raise ValueError(f"not a schedule: {text!r:.200}") from None
    if not isinstance(schedule, Schedule):
        raise ValueError(f"not a schedule: {text!r}")
    return schedule


def _read(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=int() | float() | str() | None as value) if not isinstance(value, bool):
            return value
        case ast.Tuple(elts=items) | ast.List(elts=items):
            return tuple(_read(item) for item in items)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_operand(operand)
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div() | ast.Pow() as op, right=right):
            return _combine(op, _operand(left), _operand(right))
        case ast.Name() | ast.Attribute():
            name = _name(node)
            if name not in Value.registry:
                raise ValueError(f"unknown name {ast.unparse(node)!r}")
            return build(name)
        case ast.Call(func=func, args=args, keywords=keywords) if all(keyword.arg for keyword in keywords):
            fields = {keyword.arg: _read(keyword.value) for keyword in keywords}
            if len(fields) < len(keywords):
                raise ValueError(f"a field is given twice: {ast.unparse(node)!r}")
            return build(_name(func), *map(_read, args), **fields)
    raise ValueError(f"cannot read {ast.unparse(node)!r}")


def _name(node: ast.expr) -> str:
    """The last part of a name such as ``olrs.profiles.linear``."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(attr=name, value=ast.Name() | ast.Attribute()):
            return name
    raise ValueError(f"cannot read {ast.unparse(node)!r}")


def _operand(node: ast.expr) -> int | float:
    value = _read(node)
    if not isinstance(value, (int, float)):
        raise ValueError(f"not a number: {ast.unparse(node)!r}")
    return value


def _combine(op: ast.operator, a: int | float, b: int | float) -> int | float:
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
        if abs(b) > 1000 or abs(a) > 1e100:  # 9**9**9 would take for ever
            raise OverflowError
        return a**b
    except (ArithmeticError, ValueError):
        raise ValueError(f"the number is not defined or too large: {a!r} and {b!r}") from None
