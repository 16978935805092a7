"""Properties of the bound: scales, minimizers, zeros, and the bound along a run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from matrices.theory_functions import SHAPES, T, best, close
from optax_lrs import theory
from oracles import theory as ref

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("name", SHAPES)
def test_scales(name):
    lrs, norms = SHAPES[name], np.linspace(3, 1, T)
    rate, bound = best(lrs, norms)
    for c in (0.1, 0.5, 1.0, 3.0):
        close(theory.last_iterate_bound(c * rate * lrs, norms), bound * (c + 1 / c) / 2, rtol=1e-12)
        close(theory.last_iterate_terms(lrs, norms).bound(c * rate), bound * (c + 1 / c) / 2, rtol=1e-12)
        close(best(c * lrs, norms), (rate / c, bound), rtol=1e-12)
    close(theory.optimal_bound(lrs, 5 * norms, 7.0), 35 * bound, rtol=1e-12)
    close(theory.optimal_rate(lrs, 5 * norms, 7.0), 7 / 5 * rate, rtol=1e-12)


def test_linear_decay_is_best_of_the_shapes():
    bounds = {name: theory.optimal_bound(lrs) for name, lrs in SHAPES.items()}
    assert min(bounds, key=bounds.get) == "linear"


def test_the_minimizer_of_the_bound_is_linear_decay():
    """The rates are close to linear, except for the last, which has not yet moved x_T."""

    def objective(logs):
        terms, gradient = theory.last_iterate_terms_and_gradient(np.exp(logs))
        return terms.bound(), (gradient.distance_term + gradient.gradient_term) * np.exp(logs)

    linear = ref.wsd(60, 1.0)
    found = minimize(objective, np.full(60, -3.0), jac=True, method="L-BFGS-B", options=dict(maxiter=5000, maxfun=9999))
    shape = np.exp(found.x)
    assert 0.97 < found.fun / theory.optimal_bound(linear) < 1.0
    assert np.abs(shape / shape.max() - linear)[:-1].max() < 0.04
    assert shape[-1] > 2 * shape[-2]


def test_zeros_at_the_end_are_dropped_and_others_are_not():
    lrs, norms = RNG.random(20) + 0.1, RNG.random(20)
    longer = np.append(lrs, np.zeros(5)), np.append(norms, np.full(5, 9.0))
    close(theory.last_iterate_terms(*longer), theory.last_iterate_terms(lrs, norms), rtol=1e-15)
    on_device = jax.jit(theory.last_iterate_terms_and_gradient)(*(jnp.asarray(x, jnp.float32) for x in longer))
    gradients = [np.append(x, np.zeros(5)) for x in theory.last_iterate_terms_and_gradient(lrs, norms)[1]]
    close(on_device[0], theory.last_iterate_terms(lrs, norms), rtol=1e-6)
    for got, device, wanted in zip(theory.last_iterate_terms_and_gradient(*longer)[1], on_device[1], gradients):
        close(got, wanted, rtol=1e-12)
        np.testing.assert_allclose(device, wanted, rtol=1e-5, atol=1e-6)
    lrs[[0, 7, 8]] = 0.0
    close(theory.last_iterate_terms(lrs, norms), ref.sums(lrs, norms, 1.0), rtol=1e-13)


def test_nothing_is_nan():
    for zeros in (jnp.zeros(4), jnp.zeros(1)):
        bound, gradient = jax.jit(jax.value_and_grad(theory.last_iterate_bound))(zeros)
        assert bound == np.inf and np.all(np.asarray(gradient) == 0.0)
        assert jax.jit(theory.average_iterate_bound)(zeros) == np.inf
    assert theory.optimal_rate([1.0, 0.5], 0.0) == np.inf
    assert theory.optimal_bound([1.0, 0.5], 0.0) == 0.0
    tiny = jnp.asarray([1e-25, 1e-25], jnp.float32)  # their squares underflow in float32
    close(jax.jit(theory.last_iterate_terms)(tiny), theory.last_iterate_terms([1e-25, 1e-25]), rtol=1e-6)


def test_the_bound_along_a_run_is_that_of_its_beginnings():
    lrs, norms = RNG.random(30), RNG.random(30)
    lrs[0] = 0.0
    wanted = [np.inf] + [sum(ref.sums(lrs[: s + 1], norms[: s + 1], 2.0)) for s in range(1, 30)]
    close(theory.bound_along_run(lrs, norms, 2.0, at=range(30)), wanted, rtol=1e-12)
    close(theory.bound_along_run(lrs, norms, 2.0, at=29), theory.last_iterate_bound(lrs, norms, 2.0), rtol=1e-15)
    assert theory.bound_along_run(lrs, at=[]).shape == (0,)
    device = jax.jit(lambda lrs: theory.bound_along_run(lrs, norms, 2.0, at=range(30)))(jnp.asarray(lrs, jnp.float32))
    close(device, wanted, rtol=1e-5)


def test_the_cooldown_is_where_the_bound_drops():
    lrs = SHAPES["wsd"] * theory.optimal_rate(SHAPES["wsd"])
    start, middle, last = theory.bound_along_run(lrs, at=[160, 319, 399])
    assert (middle - last) / middle > 0.28 > 0.26 > (start - middle) / start
