"""Rule: a value that says which rate or batch suits a run of so many parameters and tokens, and where that was found."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from optax_lrs._value import Value


class Rule(Value, abstract=True):
    """A rule of thumb with numbers: from the size of a run to its rate or batch, with the range that it was fitted on.

    A rule is a value: it prints, compares, goes to JSON and back. Its constants are fields, so that your own fit is the
    same rule with other numbers; then give its range too. It predicts no loss: that is what a :class:`Law` does.

    Every field ``…_range`` holds the least and the greatest of an input that the constants were fitted on; empty where
    the source does not tell. Beyond a range a rule still answers; :meth:`outside` says that it is beyond.
    """

    paper: ClassVar[str] = ""
    """Where the rule comes from: an arXiv number."""
    remark: ClassVar[str] = ""
    """What is to be known of the source, such as that it was recalled and not read again."""
    assumes: ClassVar[str] = ""
    """What the runs had in common that the rule was fitted on."""

    def check(self) -> None:
        """Ranges go from a positive number to one that is not less."""
        for key in self._kinds:
            if key.endswith("_range"):
                ends = getattr(self, key)
                ordered = not ends or (len(ends) == 2 and 0 < ends[0] <= ends[1])
                self.require(ordered, f"{key} must be (least, greatest), both positive, or empty", key)

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """The least and the greatest of every input that the rule was fitted on, as far as known, by the input's name."""
        held = {key.removesuffix("_range"): getattr(self, key) for key in self._kinds if key.endswith("_range")}
        return {name: (float(ends[0]), float(ends[1])) for name, ends in held.items() if ends}

    @property
    def unknown_ranges(self) -> tuple[str, ...]:
        """The inputs whose range the source does not tell."""
        keys = (key for key in self._kinds if key.endswith("_range") and not getattr(self, key))
        return tuple(key.removesuffix("_range") for key in keys)

    def outside(self, **inputs: float) -> tuple[str, ...]:
        """Why these inputs are beyond what the rule was fitted on, a sentence for each; empty if none is.

        Args:
            **inputs: such as ``params=7e9, tokens=1e12``. Inputs without a range are not judged.

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
                found.append(
                    f"{name}={value:.3g} is below the least that was fitted, {low:.3g}, by {_times(low / value)}"
                )
        return tuple(found)

    @property
    def validity(self) -> str:
        """The ranges in one line."""
        known = [f"{name} {low:.3g} to {high:.3g}" for name, (low, high) in self.ranges.items()]
        return ", ".join([*known, *(f"{name} not told by the source" for name in self.unknown_ranges)])


def positive(owner: str, name: str, value: Any) -> np.ndarray:
    """The number or numbers in float64: positive and finite, or an error that names them."""
    try:
        numbers = np.asarray(float(value) if type(value) is int else value)  # NumPy has no ints beyond 64 bits
    except OverflowError:
        numbers = np.asarray(np.inf)
    if numbers.dtype.kind not in "iuf":
        raise TypeError(f"{owner}: {name} must be a number, got {value!r:.60}")
    numbers = numbers.astype(np.float64)
    if not np.all(np.isfinite(numbers)) or not np.all(numbers > 0):
        raise ValueError(f"{owner}: {name} must be positive and finite, got {value!r:.60}")
    return numbers


def positive_int(owner: str, name: str, value: Any) -> int:
    """The count: a whole number that is positive, or an error that names it; 4096.0 is one too."""
    number = positive(owner, name, value)
    if number.ndim or number != np.floor(number):
        raise ValueError(f"{owner}: {name} must be a whole number, got {value!r:.60}")
    return int(value)


def power_law(scale: float, *factors: tuple[np.ndarray, float]) -> Any:
    """The scale times every base to its exponent: a float where there is one number, else the array.

    What no float64 holds is 0 or infinite, without a warning.
    """
    with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
        for base, exponent in factors:
            scale = scale * base**exponent
    return plain(scale)


def plain(numbers: Any) -> Any:
    """A float where there is one number, else the array."""
    return float(numbers) if np.ndim(numbers) == 0 else numbers


def whole_sequences(batch_tokens: float, *, sequence_length: int, multiple: int = 1) -> int:
    """A batch of about so many tokens in whole sequences: the nearest multiple of ``multiple``, one multiple at least.

    Args:
        batch_tokens: the tokens wanted in an update.
        sequence_length: the tokens of a sequence.
        multiple: what the number of sequences must be divisible by, such as the number of data-parallel devices; 1 by
            default.

    Raises:
        ValueError: if a number is not positive, or a count no whole number.

    Example:
        >>> whole_sequences(1_107_715, sequence_length=2048), whole_sequences(1_107_715, sequence_length=2048, multiple=64)
        (541, 512)
    """
    wanted = float(positive("whole_sequences", "batch_tokens", batch_tokens))
    length = positive_int("whole_sequences", "sequence_length", sequence_length)
    multiple = positive_int("whole_sequences", "multiple", multiple)
    return max(round(wanted / (length * multiple)), 1) * multiple


def _times(ratio: float) -> str:
    return f"{ratio:.2g} times" if ratio < 100 else f"{ratio:.0e} times"
