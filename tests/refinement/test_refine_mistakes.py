"""Mistakes in the arguments of refinement, and a missing or old SciPy."""

import sys

import jax.numpy as jnp
import numpy as np
import pytest

import optax_lrs as olrs
from matrices.refinement_cases import noisy, run_of
from optax_lrs import Run, refine, theory
from optax_lrs.refinement import fit_warmup_power

RUN = run_of([1.0, 2.0, 3.0], lrs=[0.1, 0.1, 0.1])
MISTAKES = [
    (lambda: refine([1.0, 2.0], optimizer="sgd"), TypeError, r"run must be a Run, such as .*, got \[1.0, 2.0\]"),
    (lambda: refine(RUN), TypeError, "optimizer"),
    (lambda: refine(RUN, optimizer="adamw"), ValueError, "optimizer must be 'sgd' or 'adam' .*got 'adamw'"),
    (lambda: refine(RUN, optimizer="adam"), ValueError, "needs l1 norms, run.grad_norms_l1.*norm='l2'"),
    (lambda: refine(RUN, optimizer="sgd", norm="l1"), ValueError, "norm='l1' is for optimizer='adam'"),
    (lambda: refine(RUN, optimizer="adam", norm="l3"), ValueError, "norm must be one of 'l2', 'l1', got 'l3'"),
    (lambda: refine(Run(steps=[0, 1]), optimizer="sgd"), ValueError, "run.grad_norms is None"),
    (lambda: refine(Run(steps=[0, 1]), optimizer="adam"), ValueError, "run.grad_norms_l1 is None"),
    (lambda: refine(RUN, optimizer="sgd", method="newton"), ValueError, "method must be .* got 'newton'"),
    (lambda: refine(RUN, optimizer="sgd", smoothing=1.5), ValueError, "at least 0 and at most 1, got 1.5"),
    (lambda: refine(RUN, optimizer="sgd", smoothing="0.x"), TypeError, "smoothing must be a number"),
    (lambda: refine(RUN, optimizer="sgd", clamp_fraction=0.9), ValueError, "at least 0 and at most 0.5, got 0.9"),
    (lambda: refine(RUN, optimizer="sgd", knots=1), ValueError, "knots must be at least 2, got 1"),
    (lambda: refine(RUN, optimizer="sgd", knots=2.5), TypeError, "knots must be an int, got 2.5"),
    (lambda: refine(RUN, optimizer="sgd", total_steps=0), ValueError, "total_steps must be at least 1, got 0"),
    (lambda: refine(RUN, optimizer="sgd", floor=0.2), ValueError, "got floor=0.2, peak=0.1"),
    (lambda: refine(RUN, optimizer="sgd", peak=0.0), ValueError, "peak=0.0"),
    (lambda: refine(RUN, optimizer="sgd", peak="high"), TypeError, "peak must be a number, got 'high'"),
    (lambda: refine(run_of([1.0, 2.0]), optimizer="sgd"), ValueError, "neither lrs nor a schedule"),
    (lambda: refine(run_of([1.0, np.nan]), optimizer="sgd"), ValueError, "at least two finite norms, got 1 among 2"),
    (lambda: refine(run_of([]), optimizer="sgd"), ValueError, "got 0 among 0"),
    (lambda: refine(run_of([1.0, -2.0]), optimizer="sgd"), ValueError, "got np.float64.-2.0. at step 1"),
    (lambda: theory.refined_shape([1.0], power=2), ValueError, r"array of two or more norms, got shape \(1,\)"),
    (lambda: theory.refined_shape(jnp.ones((2, 2)), power=2), ValueError, r"got shape \(2, 2\)"),
    (lambda: theory.refined_shape([1.0, 0.0], power=2), ValueError, "positive and finite"),
    (lambda: theory.refined_shape([1.0, np.nan], power=2), ValueError, "positive and finite"),
    (lambda: theory.refined_shape(["a", "b"], power=2), TypeError, "real numbers"),
    (lambda: theory.refined_shape([1.0, 1.0], power=0), ValueError, "power must be above 0, got 0"),
    (lambda: fit_warmup_power(lambda step: 0.1), TypeError, "schedule must be a Schedule"),
    (lambda: fit_warmup_power(olrs.InverseSqrt(peak=1.0)), ValueError, "total_steps is needed"),
    (lambda: fit_warmup_power(olrs.Constant(value=1.0), total_steps=1), ValueError, "at least 2, got 1"),
    (lambda: fit_warmup_power(olrs.Constant(value=0.0), total_steps=10), ValueError, "all rates are zero"),
]


@pytest.mark.parametrize(("make", "error", "message"), MISTAKES)
def test_mistakes(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_an_old_scipy_is_refused_for_long_runs(monkeypatch):
    import scipy

    monkeypatch.setattr(scipy, "__version__", "1.14.1")
    assert refine(run_of(noisy(1000)), optimizer="sgd", peak=1.0).ends_at == 1000
    with pytest.raises(ImportError, match=r"100,000 norms need scipy 1.15 or newer, got 1.14.1: pip install"):
        refine(run_of(noisy(100_000)), optimizer="sgd", peak=1.0)


def test_without_scipy(monkeypatch):
    for module in ("scipy", "scipy.ndimage", "scipy.optimize"):
        monkeypatch.setitem(sys.modules, module, None)
    run = run_of(noisy(100))
    assert refine(run, optimizer="sgd", peak=1.0, smoothing=0.0).ends_at == 100
    for how in (dict(), dict(method="bound", smoothing=0.0)):
        with pytest.raises(ImportError, match=r"needs scipy: pip install 'optax_lrs\[refine\]'"):
            refine(run, optimizer="sgd", peak=1.0, **how)
