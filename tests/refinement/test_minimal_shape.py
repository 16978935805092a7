"""Refinement by minimizing the bound: the minimum, and its use in refine."""

import sys

import numpy as np
import pytest

from matrices.refinement_cases import BOUNDS, noisy, run_of
from optax_lrs import refine, theory
from optax_lrs.refinement._bound import minimal_shape
from optax_lrs.refinement._norms import running_median
from oracles import refine as references


@pytest.mark.parametrize("norms", [norms for norms, _, _ in BOUNDS] + [noisy(400), np.ones(400)])
def test_no_nearby_shape_has_a_lower_bound(norms):
    found = minimal_shape(norms)
    closed = theory.refined_shape(np.append(norms, norms[-1]), power=2)
    linear = 1 - np.arange(len(norms)) / len(norms)
    lowest, of_closed = (references.bound(shape[:-1].tolist(), norms.tolist()) for shape in (found, closed))
    assert lowest <= of_closed <= theory.optimal_bound(linear, norms) * (1 + 1e-12)
    assert found[-1] == 0 and found.max() == 1 and np.all(found[:-1] > 0) and len(found) == len(norms) + 1
    rng = np.random.default_rng(0)  # every nearby shape is worse: it is a minimum, not only lower
    for _ in range(20):
        near = found[:-1] * np.exp(1e-2 * rng.standard_normal(len(norms)))
        assert theory.optimal_bound(near, norms) > lowest


def test_refine_by_the_bound():
    norms = noisy(3000)
    closed, bound = (
        refine(run_of(norms), optimizer="sgd", peak=1.0, method=m, knots=None) for m in ("closed_form", "bound")
    )
    smooth = running_median(norms, 0.1)
    assert theory.optimal_bound(bound.lrs[:-1], smooth) < theory.optimal_bound(closed.lrs[:-1], smooth)
    assert np.max(np.abs(bound.lrs - closed.lrs)) < 0.3
    # Adam's form is SGD's for the square roots of the norms.
    adam = refine(run_of(norms), optimizer="adam", norm="l2", peak=1.0, method="bound", knots=None)
    sgd = refine(run_of(norms**0.5), optimizer="sgd", peak=1.0, method="bound", knots=None)
    np.testing.assert_allclose(adam.lrs, sgd.lrs, atol=1e-6)


def test_minimization_over_many_steps_is_coarse(monkeypatch):
    norms = running_median(noisy(3000), 0.1)
    fine = minimal_shape(norms)
    monkeypatch.setattr(sys.modules["optax_lrs.refinement._bound"], "_MOST", 500)
    coarse = minimal_shape(norms)
    assert len(coarse) == len(fine) and coarse[-1] == 0
    closed = theory.refined_shape(np.append(norms, norms[-1]), power=2)
    best, near, start = (theory.optimal_bound(shape[:-1], norms) for shape in (fine, coarse, closed))
    assert best < near < start
