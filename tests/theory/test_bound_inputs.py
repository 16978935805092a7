"""Inputs of the bound: NumPy, JAX, schedules, and mistakes."""

import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.test_util import check_grads

import optax_lrs as olrs
from matrices.theory_functions import FUNCTIONS, IDS, SHAPES, T, close
from optax_lrs import profiles, theory
from oracles import theory as ref

ROOT = Path(__file__).parents[2]
RNG = np.random.default_rng(0)


@pytest.mark.parametrize("function", FUNCTIONS, ids=IDS)
def test_jax_gives_what_numpy_gives(function):
    lrs, norms = RNG.random((3, 10)) + 0.1, RNG.random((3, 10)) + 0.1
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"):
        batch = jax.jit(jax.vmap(function, in_axes=(0, 0, None)))(jnp.asarray(lrs), jnp.asarray(norms), 2.0)
        assert all(isinstance(leaf, jax.Array) and leaf.dtype == np.float64 for leaf in jax.tree.leaves(batch))
        for i in range(3):
            host = function(lrs[i], norms[i], 2.0)
            assert all(isinstance(leaf, (np.ndarray, np.float64)) for leaf in jax.tree.leaves(host))
            jax.tree.map(lambda got, wanted, i=i: close(got[i], wanted, rtol=1e-11), batch, host)


@pytest.mark.parametrize("function", FUNCTIONS[:1] + FUNCTIONS[2:], ids=IDS[:1] + IDS[2:])
def test_gradients(function):
    with jax.enable_x64(True):
        args = jnp.asarray(RNG.random(10) + 0.2), jnp.asarray(RNG.random(10) + 0.2), jnp.asarray(2.0)
        check_grads(jax.jit(function), args, order=1, modes=["rev"], rtol=1e-6)


def test_the_gradient_without_jax():
    lrs, norms = RNG.random(10) + 0.2, RNG.random(10) + 0.2
    terms, gradient = theory.last_iterate_terms_and_gradient(lrs, norms, 2.0)
    assert terms == theory.last_iterate_terms(lrs, norms, 2.0)
    with jax.enable_x64(True):
        jacobian = jax.jit(jax.jacrev(lambda x: theory.last_iterate_terms(x, norms, 2.0)))(jnp.asarray(lrs))
    for got, wanted in zip(gradient, jacobian):
        np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-15)


def test_precision_follows_the_arrays():
    lrs = np.linspace(1, 0.1, 8)
    assert jax.eval_shape(theory.last_iterate_bound, jnp.asarray(lrs, jnp.bfloat16)).dtype == jnp.float32
    assert jax.eval_shape(theory.last_iterate_bound, jnp.arange(8)).dtype == jnp.float32
    assert jax.eval_shape(lambda d: theory.last_iterate_bound(lrs, 1.0, d), jnp.float32(2)).dtype == jnp.float32
    close(theory.last_iterate_bound(lrs.astype(np.float32)), theory.last_iterate_bound(lrs), rtol=1e-6)
    assert theory.last_iterate_bound(lrs.astype(np.float32)).dtype == np.float64


def test_any_schedule_will_do():
    wanted = theory.optimal_bound(SHAPES["cosine"])
    schedule = optax.cosine_decay_schedule(1.0, T)
    bound = theory.optimal_bound(schedule, total_steps=T)
    close(bound, wanted, rtol=1e-5)  # Optax loses digits at the end, in float32
    assert isinstance(bound, np.float64)
    close(
        theory.optimal_bound(lambda step: 1.0 - step / T, total_steps=T),
        theory.optimal_bound(SHAPES["linear"]),
        rtol=1e-5,
    )
    close(
        theory.optimal_bound(optax.constant_schedule(0.1), total_steps=T), theory.optimal_bound(np.ones(T)), rtol=1e-12
    )
    close(theory.optimal_bound(olrs.Cosine(peak=1.0, total_steps=T), total_steps=T), wanted, rtol=1e-13)
    ends_early = olrs.Linear(peak=1.0, total_steps=T)
    close(theory.optimal_bound(ends_early, total_steps=3 * T), theory.optimal_bound(SHAPES["linear"]), rtol=1e-13)


def test_schedules_differentiate():
    def bound(peak, end):
        return theory.last_iterate_bound(olrs.Cosine(peak=peak, total_steps=20, end=end), total_steps=20)

    gradient = jax.jit(jax.grad(bound, argnums=(0, 1)))(0.5, 0.1)
    numeric = [(bound(0.5 + h, 0.1 + k) - bound(0.5 - h, 0.1 - k)) / 2e-6 for h, k in ((1e-6, 0), (0, 1e-6))]
    close(gradient, numeric, rtol=1e-4)
    at_the_best = jax.jit(jax.grad(bound))(float(theory.optimal_rate(ref.cosine(20))), 0.0)
    assert abs(at_the_best) < 1e-5


def test_lazy_and_on_the_host():
    code = (
        "import sys, optax_lrs\n"
        "assert 'optax_lrs.theory' not in sys.modules\n"
        "from optax_lrs import theory\n"
        "assert optax_lrs.theory is theory and 'scipy' not in vars(theory)\n"
        "theory.optimal_bound(optax_lrs.Cosine(peak=1.0, total_steps=9), total_steps=9)\n"
        "theory.last_iterate_terms_and_gradient([1.0, 0.5]), theory.bound_along_run([1.0, 0.5], at=[0, 1])\n"
        "theory.adapted_cooldown(total_steps=100, decay_steps=20, new_total_steps=200)\n"
        "from jax._src import xla_bridge\n"
        "assert not xla_bridge.backends_are_initialized()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize("function", FUNCTIONS, ids=IDS)
@pytest.mark.parametrize(
    "args, error, words",
    [
        (([],), ValueError, "lrs must be a 1-D array of one or more rates"),
        ((0.1,), ValueError, "lrs must be a 1-D array of one or more rates"),
        (([[0.1]],), ValueError, "lrs must be a 1-D array of one or more rates"),
        (([0.0] * 10,), ValueError, "lrs must have a positive rate, got 10 zeros"),
        (([0.1, -0.1],), ValueError, "lrs must be finite and not negative"),
        (([0.1, np.nan],), ValueError, "lrs must be finite and not negative"),
        ((["a"],), TypeError, "lrs must be real numbers"),
        (([1j],), TypeError, "lrs must be real numbers"),
        (([0.1] * 3, [1.0] * 2), ValueError, "grad_norms must be a number or have the shape of lrs, (3,), got (2,)"),
        (([0.1] * 3, np.inf), ValueError, "grad_norms must be finite"),
        (([0.1] * 3, 1.0, [1.0] * 3), ValueError, "distance must be a number"),
        (([0.1] * 3, 1.0, -1.0), ValueError, "distance must be finite and not negative"),
        (([0.1] * 3, None), TypeError, "grad_norms must be real numbers"),
        ((olrs.Constant(value=0.1),), ValueError, "total_steps must be given with a schedule"),
        (
            (jnp.ones(3), jnp.ones(2)),
            ValueError,
            "grad_norms must be a number or have the shape of lrs, (3,), got (2,)",
        ),
    ],
)
def test_mistakes(function, args, error, words):
    with pytest.raises(error) as raised:
        function(*args)
    assert words in str(raised.value)


RUN = dict(total_steps=9, decay_steps=2)
TRANSFERS = (theory.rate_transfer, theory.adapted_cooldown, theory.two_stage_factor)


@pytest.mark.parametrize(
    "call, error, words",
    [
        (
            lambda: theory.last_iterate_terms([0.1] * 3, total_steps=4),
            ValueError,
            "total_steps=4 must be the length of lrs",
        ),
        (
            lambda: theory.last_iterate_terms(olrs.Constant(value=1.0), total_steps=2.0),
            TypeError,
            "total_steps must be an int",
        ),
        (
            lambda: theory.last_iterate_terms(olrs.Constant(value=1.0), total_steps=0),
            ValueError,
            "lrs must be a 1-D array of one or more",
        ),
        (lambda: theory.bound_along_run([0.1], at=1), ValueError, "at must be steps of the run, from 0 to 0, got 1"),
        (lambda: theory.bound_along_run([0.1], at=[-1]), ValueError, "at must be steps of the run"),
        (lambda: theory.bound_along_run([0.1], at=0.5), TypeError, "at must be an int or a 1-D array of ints"),
        (lambda: theory.wsd_terms(total_steps=0, decay_steps=0), ValueError, "total_steps must be at least 1"),
        (lambda: theory.wsd_terms(total_steps=5, decay_steps=6), ValueError, "must be at most total_steps, got 6 of 5"),
        (lambda: theory.wsd_terms(total_steps=5, decay_steps=0.2), TypeError, "decay_steps must be an int"),
        (
            lambda: theory.wsd_terms(total_steps=5, decay_steps=2, grad_norm="a"),
            TypeError,
            "grad_norm must be a number",
        ),
        (lambda: theory.wsd_terms(total_steps=5, decay_steps=2, distance=-1), ValueError, "distance must be above 0"),
        (
            lambda: theory.wsd_terms(total_steps=5, decay_steps=2, decay="linear"),
            TypeError,
            "decay must be a Profile, such as profiles.linear",
        ),
        (
            lambda: theory.wsd_terms(total_steps=5, decay_steps=2, decay=profiles.inverse),
            ValueError,
            "needs a positive end",
        ),
        (lambda: theory.worst_case_optimum(total_steps=0), ValueError, "total_steps must be at least 1"),
        (
            lambda: theory.worst_case_optimum(total_steps=5, grad_norm=0.0),
            ValueError,
            "grad_norm must be above 0, got 0.0",
        ),
        (lambda: theory.adapted_cooldown(**RUN, new_total_steps=8), ValueError, "at least total_steps, got 8 and 9"),
        (lambda: theory.two_stage_factor(**RUN, new_total_steps=8), ValueError, "at least total_steps, got 8 and 9"),
        (
            lambda: theory.two_stage_factor(**RUN, new_total_steps=12, new_decay_steps=6),
            ValueError,
            "to keep the first 7",
        ),
        *((lambda f=f: f(total_steps=9, decay_steps=10, new_total_steps=12), ValueError, "at most") for f in TRANSFERS),
        *((lambda f=f: f(**RUN, new_total_steps=12.0), TypeError, "new_total_steps must be an int") for f in TRANSFERS),
    ],
)
def test_mistakes_of_counts(call, error, words):
    with pytest.raises(error) as raised:
        call()
    assert words in str(raised.value)
