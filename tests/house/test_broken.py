"""Tests of the matrix: each schedule here is wrong on purpose and must fail the rule next to it."""

import numpy as np
import pytest

import optax_lrs as olrs
from matrices import schedule_rules as rules
from oracles import schedules as references


class RisesAgain(olrs.Schedule):
    """A cosine that does not stop at its end."""

    peak: float
    total_steps: int

    def rate(self, clock):
        return self.peak * (0.5 + 0.5 * clock.xp.cos(clock.since(0) * (np.pi / self.total_steps)))


class BranchesOnARate(olrs.Schedule):
    peak: float
    total_steps: int

    def rate(self, clock):
        return self.peak * clock.left(0, self.total_steps) if self.peak > 0 else 0.0 * clock.since(0)


class HoldsAnAbsoluteRate(olrs.Schedule):
    peak: float
    total_steps: int

    def rate(self, clock):
        return clock.xp.maximum(self.peak * clock.left(0, self.total_steps), 1e-5)


class HoldsAnAbsoluteCount(olrs.Schedule):
    peak: float
    total_steps: int

    def rate(self, clock):
        return self.peak * clock.done(0, 100) * clock.left(0, self.total_steps)


class HasNanGradients(olrs.Schedule):
    peak: float
    total_steps: int

    def rate(self, clock):
        return clock.xp.sqrt(self.peak * self.peak * clock.left(0, self.total_steps))


class HasAWrongGradient(olrs.Schedule):
    peak: float
    total_steps: int

    def rate(self, clock):
        peak = self.peak if clock.xp is not __import__("jax").numpy else __import__("jax").lax.stop_gradient(self.peak)
        return peak * clock.left(0, self.total_steps)


class GoesNegative(olrs.Schedule):
    peak: float
    total_steps: int

    def rate(self, clock):
        return self.peak * (clock.left(0, self.total_steps) - 0.1)


class DiffersOnTheHost(olrs.Schedule):
    peak: float
    total_steps: int

    def rate(self, clock):
        factor = 1.00001 if clock.xp is np else 1.0
        return factor * self.peak * clock.left(0, self.total_steps)


class RecompilesForARate(olrs.Schedule):
    peak: olrs.Static[float]  # structure, unlike a float
    slope: float
    total_steps: int

    def rate(self, clock):
        return self.slope * self.peak * clock.left(0, self.total_steps)


class LosesAField(olrs.Schedule):
    peak: float
    total_steps: int

    def rate(self, clock):
        return self.peak * clock.left(0, self.total_steps)

    def __repr__(self):
        return f"LosesAField(peak={self.peak:.1e}, total_steps={self.total_steps})"


class MissesItsMarks(olrs.Schedule):
    peak: float
    total_steps: int
    warmup_steps: int = 0
    end: float = 0.0

    def rate(self, clock):
        return self.end + (self.peak - self.end) * clock.left(self.warmup_steps, self.total_steps - 1) ** 1.0 + 1e-12


class LosesDigits(olrs.Schedule):
    """1 - step / total, the usual way to write it."""

    peak: float
    total_steps: int

    def rate(self, clock):
        return self.peak * (1.0 - clock.done(0, self.total_steps))


class CooledFromTheHost(olrs.Schedule):
    """A cooldown from the rate that the schedule had when it was built."""

    schedule: olrs.Schedule
    boundary: int
    decay_steps: int

    def rate(self, clock):
        start = float(self.schedule.at(self.boundary))
        left = clock.left(self.boundary, self.boundary + self.decay_steps)
        return clock.xp.where(clock.reached(self.boundary), start * left, self.schedule.rate(clock))


ARGS = dict(peak=3e-4, total_steps=1000)
COOLED = CooledFromTheHost(schedule=olrs.Linear(**ARGS), boundary=500, decay_steps=100)
BROKEN = [
    (RisesAgain(**ARGS), rules.is_constant_after_its_end),
    (BranchesOnARate(**ARGS), rules.agrees_everywhere),
    (BranchesOnARate(**ARGS), rules.sweeps),
    (HoldsAnAbsoluteRate(**ARGS), rules.scales_with_its_rates),
    (HoldsAnAbsoluteCount(**ARGS), rules.stretches_with_its_counts),
    (HasNanGradients(**ARGS), rules.has_the_right_gradients),
    (HasAWrongGradient(**ARGS), rules.has_the_right_gradients),
    (GoesNegative(**ARGS), rules.is_finite_and_not_negative),
    (DiffersOnTheHost(**ARGS), rules.agrees_everywhere),
    (LosesAField(**(ARGS | dict(peak=3.14159e-4))), rules.survives_text_and_pickle),
    (MissesItsMarks(**ARGS), rules.touches_its_marks),
    (COOLED, rules.sweeps),
    (COOLED, rules.does_not_recompile),
]


@pytest.mark.parametrize(("schedule", "rule"), BROKEN, ids=lambda x: getattr(x, "__name__", type(x).__name__))
def test_the_matrix_catches(schedule, rule):
    with pytest.raises((AssertionError, ValueError, TypeError, NameError)):
        rule(schedule)


def test_the_matrix_catches_a_recompilation():
    traces = []
    import jax

    step = jax.jit(lambda lr, s: traces.append(s) or lr(s))
    for peak in (1.0, 2.0):
        step(RecompilesForARate(peak=peak, slope=1.0, total_steps=10), 3)
    assert len(traces) == 2  # does_not_recompile counts these, for a rate that is not a leaf


def test_the_matrix_catches_lost_digits():
    total = 10**8
    steps = np.arange(total - 3000, total)
    oracle = lambda s: references.budgeted("linear")(s, peak=3e-4, total_steps=total)  # noqa: E731
    assert rules.precision(LosesDigits(peak=3e-4, total_steps=total), oracle, steps) > 0.5
    assert rules.precision(olrs.Linear(peak=3e-4, total_steps=total), oracle, steps) < 2e-6
