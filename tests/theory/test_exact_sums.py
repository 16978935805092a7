"""The bound as a single sum and in closed form: exact, and without loss of digits."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import optax_lrs as olrs
from matrices.theory_functions import best, close
from optax_lrs import profiles, theory
from oracles import theory as ref

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("kind", ["even", "spread", "early", "late", "warmup", "holes"])
@pytest.mark.parametrize("steps", [1, 2, 3, 50, 300])
def test_the_single_sum_is_the_double_sum(kind, steps):
    rng = np.random.default_rng(steps)
    lrs, norms = rng.random(steps) + 0.01, rng.random(steps) + 0.1
    if kind == "spread":
        lrs, norms = 10 ** rng.uniform(-6, 0, steps), 10 ** rng.uniform(-3, 3, steps)
    elif kind in ("early", "late"):
        lrs = np.exp(np.linspace(0, -12, steps))[:: 1 if kind == "early" else -1]
    elif kind == "warmup" and steps > 1:
        lrs = np.minimum(np.arange(steps) / max(1, steps // 5), 1.0)
    elif kind == "holes":
        lrs[:-1] *= rng.random(steps - 1) < 0.5
    close(theory.last_iterate_terms(lrs, norms, 1.7), ref.sums(lrs, norms, 1.7), rtol=1e-12)


@pytest.mark.parametrize("decay_steps", [0, 1, 2, 3, 40, 199, 200])
@pytest.mark.parametrize("decay", [profiles.linear, profiles.one_minus_sqrt], ids=repr)
def test_the_closed_form_is_the_sum(decay_steps, decay):
    lr = olrs.WSD(peak=1.0, total_steps=200, decay_steps=decay_steps, decay=decay)
    close(
        theory.wsd_terms(total_steps=200, decay_steps=decay_steps, grad_norm=3.0, distance=0.5, decay=decay),
        theory.last_iterate_terms(lr, 3.0, 0.5, total_steps=200),
        rtol=1e-12,
    )


@pytest.mark.parametrize("steps", [1, 2, 17, 1000])
def test_the_constant_has_the_published_form(steps):
    terms = theory.wsd_terms(total_steps=steps, decay_steps=0)
    close((terms.optimal_rate, terms.optimal_bound), ref.constant_optimum(steps), rtol=1e-13)
    close(best(np.full(steps, 0.3))[1], ref.constant_optimum(steps)[1], rtol=1e-13)


def in_many_digits(steps, d):
    """WSD's T1 and T2 by the formula of its docstring, in 40 digits."""
    with mpmath.workdps(40):
        tail = mpmath.mpf(d + 1) / 2
        noise = (
            mpmath.psi(0, steps - d + tail)
            - mpmath.psi(0, tail)
            + (1 + 2 * (d - 1 + mpmath.harmonic(d - 1))) / mpmath.mpf(d)
        )
        return float(1 / (2 * (steps - d + tail))), float(noise / 2)


@pytest.mark.parametrize("decay_steps", [2, 200_000, 1_000_000])
def test_no_digits_are_lost_at_the_end_of_a_million_steps(decay_steps):
    lrs = np.minimum(1.0, np.arange(10**6, 0, -1) / decay_steps)
    exact = in_many_digits(10**6, decay_steps)
    close(theory.last_iterate_terms(lrs), exact, rtol=1e-12)
    close(theory.wsd_terms(total_steps=10**6, decay_steps=decay_steps), exact, rtol=1e-13)
    close(jax.jit(theory.last_iterate_terms)(jnp.asarray(lrs, jnp.float32)), exact, rtol=3e-6)


@pytest.mark.skipif(np.finfo(np.longdouble).eps > 1e-18, reason="long double is double here")
def test_no_digits_are_lost_with_any_rates():
    lrs, norms = 10 ** RNG.uniform(-6, 0, 10**6), 10 ** RNG.uniform(-2, 2, 10**6)
    long, g = lrs.astype(np.longdouble), norms.astype(np.longdouble)
    tails = np.cumsum(long[::-1])[::-1]
    exact = 1 / (2 * tails[0]), np.sum(long**2 * g**2 / np.append(tails[1:], long[-1])) / 2
    close(theory.last_iterate_terms(lrs, norms), np.asarray(exact, np.float64), rtol=1e-12)
    device = jax.jit(theory.last_iterate_terms)(jnp.asarray(lrs, jnp.float32), jnp.asarray(norms, jnp.float32))
    close(device, np.asarray(exact, np.float64), rtol=3e-6)


def test_differences_of_sums_from_the_start_would_lose_them():
    """The previous test can fail."""
    lrs = np.minimum(1.0, np.arange(10**6, 0, -1) / 10**6).astype(np.float32)
    sums = np.cumsum(lrs, dtype=np.float32)
    ahead = np.append(sums[-1] - sums[:-1], lrs[-1])
    with np.errstate(divide="ignore"):
        wrong = 0.5 * np.sum(lrs**2 / ahead, dtype=np.float64)
    assert not 0.999 < wrong / in_many_digits(10**6, 10**6)[1] < 1.001


def test_the_formula_in_exact_fractions():
    lrs, norms = [Fraction(k, 7) for k in (0, 3, 6, 0, 5, 1, 2)], [Fraction(k, 3) for k in (9, 1, 4, 1, 5, 9, 2)]
    second = sum(lr * lr * g * g / sum(lrs[t + 1 :] or [lr]) for t, (lr, g) in enumerate(zip(lrs, norms))) / 2
    double = sum(lr * lr * g * g for lr, g in zip(lrs, norms)) / sum(lrs) / 2 + sum(
        lrs[k] / sum(lrs[k + 1 :]) * sum(lr * lr * g * g for lr, g in zip(lrs[k:], norms[k:])) / sum(lrs[k:]) / 2
        for k in range(len(lrs) - 1)
    )
    assert second == double
    got = theory.last_iterate_terms([float(lr) for lr in lrs], [float(g) for g in norms])
    close(got, (float(1 / sum(lrs) / 2), float(second)), rtol=1e-15)
