"""A schedule given by a table."""

from __future__ import annotations

from typing import Any, ClassVar

import jax

from optax_lrs._clock import Clock
from optax_lrs._schedule import Schedule
from optax_lrs._value.fields import Note


class Tabulated(Schedule):
    r"""Straight lines between the entries of a table.

    With entries :math:`(s_i, \eta_i)`,

    .. math::

        \eta(s) = \frac{(s_{i+1} - s)\,\eta_i + (s - s_i)\,\eta_{i+1}}{s_{i+1} - s_i}, \quad
          s_i \le s \le s_{i+1}

    The rate is constant before the first entry and after the last. Use it for rates without a
    formula: a refined schedule, the log of an earlier run, a curve drawn by hand. An entry for
    every step is exact. For smooth curves, a thousand entries (with ``steps``) are as good, and
    keep the compiled program, the checkpoint and the JSON small.

    Args:
        lrs: the rates, shape [n], not negative; a leaf, so that rates can be swept and
            differentiated.
        steps: the steps of the rates, n increasing ints; by default 0, 1, …, n - 1.
        source: text that says where the table comes from. It is printed and saved, and has no other
            effect: tables that differ only in it are equal and share a compiled program. Tables
            returned by a compiled program have none.

    Raises:
        ValueError: if the table is empty, a rate is negative or not finite, or the steps do not
            increase or are not n.
        TypeError: if the rates are not numbers, a step is not an int, or the source is not text.

    Example:
        >>> lr = Tabulated(lrs=[0.0, 1.0, 0.5], steps=[0, 10, 110])
        >>> print(lr.at([0, 5, 10, 60, 110, 999]))
        [0.   0.5  1.   0.75 0.5  0.5 ]
    """

    example: ClassVar[dict[str, Any]] = dict(lrs=[0.0, 0.6, 1.0, 0.8, 0.3, 0.0], steps=[0, 5, 10, 40, 80, 100])

    lrs: jax.Array
    steps: tuple[int, ...] | None = None
    source: Note = ""

    def check(self) -> None:
        super().check()
        if self.steps is not None:
            count = len(self.lrs)
            self.require(len(self.steps) == count, f"steps must be {count} steps, one per rate", "steps")
            rising = all(a < b for a, b in zip((-1, *self.steps), self.steps))
            self.require(rising, "steps must be increasing and not negative", "steps")

    @property
    def ends_at(self) -> int:
        return self.steps[-1] if self.steps else len(self.lrs) - 1

    @property
    def corners(self) -> tuple[int, ...]:
        return tuple(sorted({self.steps[0] if self.steps else 0, self.ends_at}))

    def rate(self, clock: Clock) -> Any:
        if len(self.lrs) == 1:
            return self.lrs[0]
        return clock.interpolate(self.steps or range(len(self.lrs)), self.lrs)
