"""Horizon: the length of a run in tokens, epochs and fractions, turned into steps once, on the host."""

from __future__ import annotations

import dataclasses
from fractions import Fraction


@dataclasses.dataclass(frozen=True, kw_only=True)
class Horizon:
    """The length of a run, and what else is given in its units.

    Schedules take steps, always; a ``Horizon`` turns tokens, epochs and shares of the run into them, exactly (in
    integers, beyond 2³¹ too). Amounts that must be covered are rounded up, so that no token is left out; fractions go to
    the nearest step.

    Args:
        steps: the number of updates.
        tokens_per_step: how many tokens (or images, or examples) an update takes: batch times length; None if not known.
        steps_per_epoch: how many updates an epoch takes; may be a ``Fraction``; None if not known.

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
        """The horizon of so many steps, tokens or epochs: exactly one of the three.

        Args:
            steps: the length in updates.
            tokens: the length in tokens; needs ``tokens_per_step``.
            epochs: the length in passes over the data; needs ``examples`` and ``batch_size``.
            tokens_per_step: tokens per update.
            examples: the size of the data set.
            batch_size: examples per update.

        Raises:
            ValueError: if not exactly one length is given, its unit is missing, or a number is not positive.
            TypeError: if something is no number.
        """
        given = {
            key: value for key, value in dict(steps=steps, tokens=tokens, epochs=epochs).items() if value is not None
        }
        if len(given) != 1:
            raise ValueError(f"Horizon: give exactly one of steps, tokens and epochs, got {given or 'none'}")
        if (examples is None) != (batch_size is None):
            raise ValueError(f"Horizon: examples and batch_size go together, got {examples=}, {batch_size=}")
        per_epoch = None
        if examples is not None:
            per_epoch = _amount("examples", examples, positive=True) / _amount("batch_size", batch_size, positive=True)
        if tokens_per_step is not None:
            tokens_per_step = _whole("tokens_per_step", _amount("tokens_per_step", tokens_per_step, positive=True))
        unit = cls(steps=0, tokens_per_step=tokens_per_step, steps_per_epoch=per_epoch)
        if steps is not None:
            length = _whole("steps", _amount("steps", steps))
        else:
            length = unit.tokens(tokens) if tokens is not None else unit.epochs(epochs)
        return dataclasses.replace(unit, steps=length)

    def tokens(self, count: float) -> int:
        """The steps that ``count`` tokens take, rounded up."""
        if self.tokens_per_step is None:
            raise ValueError(f"Horizon: tokens={count!r} needs tokens_per_step")
        return _ceil(_amount("tokens", count) / self.tokens_per_step)

    def epochs(self, count: float) -> int:
        """The steps that ``count`` epochs take, rounded up."""
        if self.steps_per_epoch is None:
            raise ValueError(f"Horizon: epochs={count!r} needs examples and batch_size")
        return _ceil(_amount("epochs", count) * self.steps_per_epoch)

    def fraction(self, share: float) -> int:
        """The steps that are this share of the run, from 0 to 1, to the nearest step."""
        share = _amount("fraction", share)
        if share > 1:
            raise ValueError(f"Horizon: fraction must be from 0 to 1, got {float(share)!r}")
        return round(share * self.steps)


def _amount(name: str, value: float, *, positive: bool = False) -> Fraction:
    """The exact number; 20e9 and 0.2 are what they are written as."""
    if isinstance(value, (bool, str, bytes)):
        raise TypeError(f"Horizon: {name} must be a number, got {value!r}")
    try:
        amount = Fraction(repr(float(value))) if isinstance(value, float) else Fraction(value)
    except TypeError:
        raise TypeError(f"Horizon: {name} must be a number, got {value!r}") from None
    except (ValueError, OverflowError):
        raise ValueError(f"Horizon: {name} must be finite, got {value!r}") from None
    if amount < 0 or (positive and amount == 0):
        raise ValueError(f"Horizon: {name} must {'be positive' if positive else 'not be negative'}, got {value!r}")
    return amount


def _whole(name: str, amount: Fraction) -> int:
    if amount.denominator != 1:
        raise ValueError(f"Horizon: {name} must be a whole number, got {float(amount)!r}")
    return int(amount)


def _ceil(amount: Fraction) -> int:
    return -(-amount.numerator // amount.denominator)
