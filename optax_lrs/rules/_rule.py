"""Rule: suggests a rate or a batch from the size of a run."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from optax_lrs._value import Value
from optax_lrs._value.arguments import positive, whole
from optax_lrs.rules._answers import PlannedRun, RuleAnswer

ANY_SIZE = 10**300  # the highest count: sizes are not indices, and may be absurd


class Rule(Value, abstract=True):
    """A fitted rule of thumb: from the size of a run to its rate or batch.

    A rule is a value: it prints, compares, and converts to JSON and back. Its constants are fields,
    so your own fit is the same rule with other numbers; then also give its range. A rule does not
    predict the loss; a :class:`Law` does.

    Every field ``…_range`` holds the least and the greatest value of an input that the constants
    were fitted on. It is empty where the source does not give the range. Beyond a range a rule
    still answers; :meth:`outside` reports it.

    To write your own, define the fields and :meth:`answer`, and pass it to
    ``suggest(more_rules=...)``::

        class HalfStep(Rule):
            paper = "arXiv:0000.00000"
            rate_scale: float = 3.0
            params_range: tuple[float, ...] = (1e6, 1e9)

            def answer(self, run):
                return self.row(run, peak=self.rate_scale * run.params**-0.5)
    """

    paper: ClassVar[str] = ""
    """Where the rule comes from: an arXiv number."""
    remark: ClassVar[str] = ""
    """How far to trust the source, such as that it was recalled and not verified."""
    assumes: ClassVar[str] = ""
    """What the fitted runs had in common."""

    def answer(self, run: PlannedRun) -> RuleAnswer | str:
        """The answer for a run: a :meth:`row`, or the missing input in words."""
        raise NotImplementedError(f"{type(self).__name__} defines no answer")

    def row(self, run: PlannedRun, **found: Any) -> RuleAnswer:
        """An answer with the source of the rule, its ranges, and where the run is outside them."""
        known = {name: getattr(run, name, None) for name in self.ranges}
        outside = self.outside(**{name: value for name, value in known.items() if value is not None})
        about = dict(paper=self.paper, remark=self.remark, validity=self.validity, assumes=self.assumes)
        return RuleAnswer(rule=type(self).__name__, outside=outside, **about, **found)

    def check(self) -> None:
        for key in self._kinds:
            if key.endswith("_range"):
                ends = getattr(self, key)
                ordered = not ends or (len(ends) == 2 and 0 < ends[0] <= ends[1])
                self.require(ordered, f"{key} must be (least, greatest), both positive, or empty", key)

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """The least and the greatest fitted value by input, where known."""
        held = {key.removesuffix("_range"): getattr(self, key) for key in self._kinds if key.endswith("_range")}
        return {name: (float(ends[0]), float(ends[1])) for name, ends in held.items() if ends}

    @property
    def unknown_ranges(self) -> tuple[str, ...]:
        """The inputs whose range the source does not give."""
        keys = (key for key in self._kinds if key.endswith("_range") and not getattr(self, key))
        return tuple(key.removesuffix("_range") for key in keys)

    def outside(self, **inputs: float) -> tuple[str, ...]:
        """Lists the inputs outside the fitted range, a sentence for each; empty if none is.

        Args:
            **inputs: such as ``params=7e9, tokens=1e12``. Inputs without a range are ignored.

        Example:
            >>> from optax_lrs.rules import StepLawRule
            >>> StepLawRule().outside(params=7e9, tokens=5e10)
            ('params=7e+09 is 6.5 times the most that was fitted, 1.07e+09',)
        """
        found = []
        for name, value in inputs.items():
            low, high = self.ranges.get(name, (0.0, np.inf))
            if value > high:
                found.append(f"{name}={value:.3g} is {_times(value / high)} the most that was fitted, {high:.3g}")
            elif value < low:
                least = f"the least that was fitted, {low:.3g}"
                found.append(f"{name}={value:.3g} is below {least}, by {_times(low / value)}")
        return tuple(found)

    @property
    def validity(self) -> str:
        """The ranges in one line."""
        known = [f"{name} {low:.3g} to {high:.3g}" for name, (low, high) in self.ranges.items()]
        return ", ".join([*known, *(f"{name} not given by the source" for name in self.unknown_ranges)])


def power_law(scale: float, *factors: tuple[np.ndarray, float]) -> Any:
    """The scale times every base to its exponent: a float for single numbers, else an array.

    Results beyond the range of float64 are 0 or infinite, without a warning.
    """
    product: Any = scale
    with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
        for base, exponent in factors:
            product = product * base**exponent
    return plain(product)


def plain(numbers: Any) -> Any:
    """A float for a single number, else the array."""
    return float(numbers) if np.ndim(numbers) == 0 else numbers


def whole_sequences(batch_tokens: float, *, sequence_length: int, multiple: int = 1) -> int:
    """Rounds a batch in tokens to whole sequences.

    The result is the nearest multiple of ``multiple``, at least one multiple.

    Args:
        batch_tokens: the wanted number of tokens per update.
        sequence_length: the tokens of a sequence.
        multiple: the number that must divide the number of sequences, such as the number of
            data-parallel devices; 1 by default.

    Raises:
        ValueError: if a number is not positive.
        TypeError: if a count is not an int.

    Example:
        >>> whole_sequences(1_107_715, sequence_length=2048)
        541
        >>> whole_sequences(1_107_715, sequence_length=2048, multiple=64)
        512
    """
    wanted = float(positive("whole_sequences", "batch_tokens", batch_tokens))
    length = whole("whole_sequences", "sequence_length", sequence_length, low=1, high=ANY_SIZE)
    multiple = whole("whole_sequences", "multiple", multiple, low=1, high=ANY_SIZE)
    return max(round(wanted / (length * multiple)), 1) * multiple


def _times(ratio: float) -> str:
    return f"{ratio:.2g} times" if ratio < 100 else f"{ratio:.0e} times"
