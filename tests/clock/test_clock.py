"""The clock agrees with exact fractions under random phases, shifts and stretches."""

import random
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optax_lrs._clock import Clock

LAST = 2**31 - 1


def clocks(step):
    yield Clock.of_host(step), 1e-15
    yield Clock.of_host(np.array([step])), 1e-15
    if step <= LAST:
        yield Clock.of_device(jnp.int32(step)), 3e-7
        yield Clock.of_device(jnp.array([step], jnp.int32)), 3e-7


def holds(actual, exact, rtol):
    np.testing.assert_allclose(np.asarray(actual, np.float64).item(), float(exact), rtol=rtol, atol=0)


@pytest.mark.parametrize("seed", range(40))
def test_fractions_are_exact_to_rounding(seed):
    draw = random.Random(seed)
    size = draw.choice([10, 10**5, 2**24, 10**9, LAST, 10**12])
    start = draw.choice([0, draw.randrange(size)])
    end = start + draw.choice([1, draw.randrange(1, size + 1)])
    shift = draw.choice([0, 1, -1, draw.randrange(size), -draw.randrange(size)])
    for step in {
        start,
        end,
        end - 1,
        end + 1,
        start + 1,
        (start + end) // 2,
        draw.randrange(size),
        max(start + shift, 0),
        max(end + shift - 1, 0),
    }:
        at = step - shift
        done = Fraction(min(max(at - start, 0), end - start), end - start)
        for clock, rtol in clocks(step):
            clock = clock.shift(shift)
            holds(clock.done(start, end), done, rtol)
            holds(clock.left(start, end), 1 - done, rtol)
            holds(clock.since(start), max(at - start, 0), rtol)
            holds(clock.until(end), max(end - at, 0), rtol)
            assert bool(np.asarray(clock.reached(start)).item()) == (at >= start)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
def test_stretching_is_exact(seed):
    """The rest of a stretched phase agrees with exact fractions, up to its last step."""
    draw = random.Random(seed)
    factor = np.float32(
        draw.choice(
            [1.0, 2.0, 3.0, 1.5, 1 / 3, 0.999, 1.0001, 1000.0, draw.uniform(0.5, 20), 2 ** draw.uniform(-6, 10)]
        )
    )
    exact = Fraction(float(factor))
    total = int(draw.choice([100, 10**5, 10**8, LAST]) / max(1.0, float(factor)) * min(1.0, float(factor))) or 1
    total = min(total, int(LAST * min(1.0, float(factor))))
    end = int(total * exact)
    read = jax.jit(
        lambda s, f: [Clock.of_device(s).stretch(f).left(0, total), Clock.of_device(s).stretch(f).done(0, total)]
    )
    for step in {0, 1, end // 2, end // 3, max(end - 3, 0), max(end - 1, 0), end, end + 1}:
        if step > LAST:
            continue
        left = max(1 - Fraction(step) / (total * exact), Fraction(0))
        clock = Clock.of_host(step).stretch(float(factor))
        np.testing.assert_allclose(clock.left(0, total), float(left), rtol=1e-9, atol=1e-16 / total)
        got_left, got_done = read(jnp.int32(step), factor)
        # A remainder of at least a hundredth of a step is exact to float32; a smaller one has an
        # error of a few 1e-7 of a step.
        np.testing.assert_allclose(got_left, float(left), rtol=1e-6, atol=1e-6 / float(total * exact))
        np.testing.assert_allclose(got_done, float(min(1 - left, 1)), rtol=1e-6, atol=1e-6 / float(total * exact))


def test_an_empty_phase_is_a_jump():
    for step, done in ((4, 0.0), (5, 1.0), (6, 1.0)):
        for clock, _ in clocks(step):
            assert float(np.asarray(clock.done(5, 5)).item()) == done == 1 - float(np.asarray(clock.left(5, 5)).item())


def test_the_whole_phase_is_exactly_one():
    """XLA multiplies by rounded reciprocals; a whole phase must still be exactly 1."""
    for length in [*range(1, 400), 950, 10**6 + 3, 2**24 + 1, LAST]:
        assert float(Clock.of_device(jnp.int32(length)).done(0, length)) == 1.0
        assert float(Clock.of_device(jnp.int32(0)).left(0, length)) == 1.0


def test_negative_steps_equal_step_0():
    for clock in (
        Clock.of_host(-5),
        Clock.of_host(-0.5),
        Clock.of_device(jnp.int32(-5)),
        Clock.of_device(jnp.float32(-5)),
    ):
        assert float(clock.done(0, 10)) == 0.0 and float(clock.left(0, 10)) == 1.0


def test_fractional_steps():
    for clock in (Clock.of_host(2.5), Clock.of_host(np.array(2.5)), Clock.of_device(jnp.float32(2.5))):
        assert float(clock.done(0, 10)) == 0.25 and float(clock.left(0, 10)) == 0.75
        assert float(clock.since(2)) == 0.5 and float(clock.until(3)) == 0.5 and not bool(clock.reached(3))


def test_segments():
    knots = (0, 10, 15, 10**10)
    for step, expected in {0: (0, 0, 1), 5: (0, 0.5, 0.5), 10: (1, 0, 1), 14: (1, 0.8, 0.2), 15: (2, 0, 1)}.items():
        for clock, rtol in clocks(step):
            for got, want in zip(clock.segment(knots), expected):
                holds(got, want, rtol)
    for clock, rtol in clocks(LAST):
        holds(clock.segment(knots)[2], Fraction(10**10 - LAST, 10**10 - 15), rtol)
    index, done, left = Clock.of_host(10**11).segment(knots)
    assert (index, done, left) == (2, 1.0, 0.0)


def test_a_step_must_be_a_number():
    for step in (jnp.array(True), jnp.array(1j)):
        with pytest.raises(TypeError, match="step must be an int or a float"):
            Clock.of_device(step)


def test_int64_and_uint64_steps():
    with jax.enable_x64(True):
        clock = Clock.of_device(jnp.asarray(10**12 - 1, jnp.int64))
        holds(clock.left(0, 10**12), Fraction(1, 10**12), 3e-7)
        assert clock.left(0, 10**12).dtype == jnp.float32


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
def test_counting_tokens_is_exact(seed):
    """A clock of tokens: phases that begin and end within a step, counts above 2**31 and 2**53."""
    draw = random.Random(seed)
    per_step = draw.choice([1, 2, 7, 2**19, 4_000_001])
    size = draw.choice([10, 10**5, 10**9, LAST])
    start, shift = draw.randrange(size * per_step), draw.choice([0, draw.randrange(size)])
    end = start + draw.randrange(1, size * per_step + 1)
    edges = {(edge + nudge) // per_step + shift for edge in (start, end) for nudge in (0, 1, -1, per_step, -per_step)}
    for step in {*edges, draw.randrange(size), size}:
        if step < 0:
            continue
        at = (step - shift) * per_step
        done = Fraction(min(max(at - start, 0), end - start), end - start)
        for clock, rtol in clocks(step):
            clock = clock.shift(shift).count(per_step)
            holds(clock.done(start, end), done, rtol * 2)
            holds(clock.left(start, end), 1 - done, rtol * 2)
            assert bool(np.asarray(clock.reached(start)).item()) == (at >= start)
            index, segment_done, segment_left = clock.segment((start, end, end + 2 * per_step))
            if start <= at < end:
                assert int(np.asarray(index).item()) == 0
                holds(segment_done, done, rtol * 2)
                holds(segment_left, 1 - done, rtol * 2)


def test_counting_with_fractional_steps():
    for clock in (Clock.of_host(2.5), Clock.of_host(np.array(2.5)), Clock.of_device(jnp.float32(2.5))):
        clock = clock.count(10)  # 25 tokens
        for start in (0, 20, 24, 25, 26, 30):
            holds(clock.since(start), max(25 - start, 0), 1e-6)
            holds(clock.until(start), max(start - 25, 0), 1e-6)
            assert bool(clock.reached(start)) == (25 >= start)
        holds(clock.segment((20, 24, 28))[1], Fraction(1, 4), 1e-6)


def test_cycles_and_samples():
    for step in (0, 6, 7, 13, 14, 10**6, LAST):
        for clock, rtol in clocks(step):
            index, inside = clock.shift(-3).cycle(7)
            assert int(np.asarray(index).item()) == (min(step + 3, LAST) if clock.xp is jnp else step + 3) // 7
            if step < LAST:
                holds(inside.done(0, 7), Fraction((step + 3) % 7, 7), rtol)
                holds(clock.sampled(10).since(0), step - step % 10, rtol)


def test_a_phase_run_backwards():
    for step in (0, 3, 5, 6, 10**6 - 1, 10**6, LAST):
        for clock, rtol in clocks(step):
            phase = clock.phase(3, 10**6)
            done = Fraction(min(max(step - 3, 0), 10**6 - 3), 10**6 - 3)
            holds(phase.backwards.left, done, rtol)
            holds(phase.backwards.done, 1 - done, rtol)
            holds(phase.backwards.backwards.left, 1 - done, rtol)
            assert phase.backwards.xp is clock.xp


def test_stretching_by_an_int_is_exact():
    for factor in (1, 7, 2**24 + 1, LAST, 2**40 + 1):
        for step in (0, 1, 6, 7, 8, 2**24, 2**24 + 1, LAST - 1, LAST):
            for clock, rtol in clocks(step):
                clock = clock.stretch(factor)
                holds(clock.since(0), Fraction(step, factor), rtol)
                index, rest = clock.cycle(1)
                assert int(np.asarray(index).item()) == step // factor
                holds(rest.done(0, 1), Fraction(step % factor, factor), rtol)
                holds(clock.sampled(1).since(0), step // factor, rtol)
