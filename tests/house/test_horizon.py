"""Horizon: exact conversions and clear errors."""

from fractions import Fraction

import pytest

from optax_lrs import Horizon


def test_tokens():
    run = Horizon.of(tokens=20e9, tokens_per_step=2**19)
    assert (run.steps, run.tokens(300e6), run.fraction(0.2)) == (38147, 573, 7629)
    assert Horizon.of(tokens=15e12, tokens_per_step=4_000_000).steps == 3_750_000
    assert Horizon.of(tokens=10**18 + 1, tokens_per_step=10**6).steps == 10**12 + 1, "beyond the integers of float64"
    assert Horizon.of(tokens=2**19, tokens_per_step=2**19).steps == 1
    assert Horizon.of(tokens=0, tokens_per_step=5).steps == 0


def test_epochs():
    run = Horizon.of(epochs=90, examples=1_281_167, batch_size=1024)
    assert run.steps == -(-90 * 1_281_167 // 1024) and run.steps_per_epoch == Fraction(1_281_167, 1024)
    assert run.epochs(0.5) == 626
    assert Horizon.of(steps=7, examples=10, batch_size=5).epochs(3) == 6


def test_fractions():
    run = Horizon.of(steps=10**12)
    assert run.fraction(0.1) == 10**11 and run.fraction(0) == 0 and run.fraction(1) == 10**12
    assert Horizon.of(steps=10).fraction(0.29) == 3 and Horizon.of(steps=1000).fraction(0.015) == 15


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (dict(), ValueError, "exactly one of steps, tokens and epochs, got none"),
        (dict(steps=1, tokens=2), ValueError, "exactly one"),
        (dict(tokens=1e9), ValueError, "needs tokens_per_step"),
        (dict(epochs=1), ValueError, "needs examples and batch_size"),
        (dict(epochs=1, examples=10), ValueError, "go together"),
        (dict(steps=-1), ValueError, "steps must be at least 0, got -1"),
        (dict(steps=1.5), ValueError, "steps must be a whole number, got 1.5"),
        (dict(tokens=float("nan"), tokens_per_step=1), ValueError, "tokens must be at least 0, got nan"),
        (dict(tokens="1e9", tokens_per_step=1), TypeError, "tokens must be a number, got '1e9'"),
        (dict(tokens=1e9, tokens_per_step=0), ValueError, "tokens_per_step must be above 0, got 0"),
        (dict(tokens=1e9, tokens_per_step=0.5), ValueError, "tokens_per_step must be a whole number"),
        (dict(steps=True), TypeError, "steps must be a number, got True"),
    ],
)
def test_mistakes(arguments, error, message):
    with pytest.raises(error, match=message):
        Horizon.of(**arguments)


def test_shares_are_at_most_one():
    with pytest.raises(ValueError, match="fraction must be at least 0 and at most 1, got 20"):
        Horizon.of(steps=100).fraction(20)
    with pytest.raises(ValueError, match="needs tokens_per_step"):
        Horizon.of(steps=100).tokens(5)
