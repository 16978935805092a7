"""Horizon: converts tokens, epochs and fractions of a run into steps."""

from __future__ import annotations

import dataclasses
import numbers
from fractions import Fraction

from optax_lrs._value.arguments import number


@dataclasses.dataclass(frozen=True, kw_only=True)
class Horizon:
    """The length of a run; converts tokens, epochs and fractions of it into steps.

    Schedules take steps only. A ``Horizon`` computes them from other units in exact integer
    arithmetic, beyond 2³¹ too. Tokens and epochs are rounded up, so that none is left out;
    fractions are rounded to the nearest step.

    Args:
        steps: the number of updates.
        tokens_per_step: how many tokens (or images, or examples) an update consumes: batch size
            times length; None if unknown.
        steps_per_epoch: how many updates an epoch takes; may be a ``Fraction``; None if unknown.

    Example:
        >>> run = Horizon.of(tokens=20e9, tokens_per_step=2**19)
        >>> run.steps, run.tokens(300e6), run.fraction(0.2)
        (38147, 573, 7629)
        >>> run = Horizon.of(epochs=90, examples=1_281_167, batch_size=1024)
        >>> run.steps, run.epochs(5)
        (112603, 6256)
    """

    steps: int
    tokens_per_step: int | None = None
    steps_per_epoch: Fraction | None = None

    @classmethod
    def of(
        cls,
        *,
        steps: int | None = None,
        tokens: float | None = None,
        epochs: float | None = None,
        tokens_per_step: int | None = None,
        examples: int | None = None,
        batch_size: int | None = None,
    ) -> Horizon:
        """Returns the horizon of a number of steps, tokens or epochs: pass exactly one of the
        three.

        Args:
            steps: the length in updates.
            tokens: the length in tokens; needs ``tokens_per_step``.
            epochs: the length in passes over the data; needs ``examples`` and ``batch_size``.
            tokens_per_step: tokens per update.
            examples: the size of the data set.
            batch_size: examples per update.

        Raises:
            ValueError: if not exactly one length is given, its unit is missing, or a number is not
                positive.
            TypeError: if an argument is not a number.
        """
        given = {
            key: value for key, value in dict(steps=steps, tokens=tokens, epochs=epochs).items() if value is not None
        }
        if len(given) != 1:
            raise ValueError(f"Horizon: pass exactly one of steps, tokens and epochs, got {given or 'none'}")
        if (examples is None) != (batch_size is None):
            raise ValueError(f"Horizon: examples and batch_size go together, got {examples=}, {batch_size=}")
        per_epoch = None
        if examples is not None and batch_size is not None:
            per_epoch = _amount("examples", examples, above=0) / _amount("batch_size", batch_size, above=0)
        if tokens_per_step is not None:
            tokens_per_step = _count("tokens_per_step", tokens_per_step, above=0)
        unit = cls(steps=0, tokens_per_step=tokens_per_step, steps_per_epoch=per_epoch)
        if steps is not None:
            length = _count("steps", steps)
        else:
            length = unit.epochs(epochs) if epochs is not None else unit.tokens(tokens or 0)
        return dataclasses.replace(unit, steps=length)

    def tokens(self, count: float) -> int:
        """Returns the steps that ``count`` tokens take, rounded up."""
        if self.tokens_per_step is None:
            raise ValueError(f"Horizon: tokens={count!r} needs tokens_per_step")
        return _ceil(_amount("tokens", count) / self.tokens_per_step)

    def epochs(self, count: float) -> int:
        """Returns the steps that ``count`` epochs take, rounded up."""
        if self.steps_per_epoch is None:
            raise ValueError(f"Horizon: epochs={count!r} needs examples and batch_size")
        return _ceil(_amount("epochs", count) * self.steps_per_epoch)

    def fraction(self, share: float) -> int:
        """Returns the steps that are this share of the run, from 0 to 1, rounded to the nearest
        step."""
        return round(_amount("fraction", share, high=1) * self.steps)


def _amount(name: str, value: float, *, above: float | None = None, high: float | None = None) -> Fraction:
    """The exact number: 20e9 and 0.2 are what they are written as."""
    number("Horizon", name, value, low=0 if above is None else None, above=above, high=high)
    return Fraction(value) if isinstance(value, numbers.Rational) else Fraction(repr(float(value)))


def _count(name: str, value: float, *, above: float | None = None) -> int:
    """The number, which may be written as a float, such as 2e9, but must be whole."""
    amount = _amount(name, value, above=above)
    if amount.denominator != 1:
        raise ValueError(f"Horizon: {name} must be a whole number, got {value!r}")
    return int(amount)


def _ceil(amount: Fraction) -> int:
    return -(-amount.numerator // amount.denominator)
