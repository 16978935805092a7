"""The functions of the theory, shapes to try them on, and how close results must be."""

import numpy as np

from optax_lrs import theory
from oracles import theory as ref

T = 400
SHAPES = {
    "wsd": ref.wsd(T, 0.2),
    "linear": ref.wsd(T, 1.0),
    "cosine": ref.cosine(T),
    "constant": np.ones(T),
    "inverse_sqrt": ref.inverse_sqrt(T),
    "one_minus_sqrt": ref.wsd(T, 1.0, "sqrt"),
    "wsd, one_minus_sqrt": ref.wsd(T, 0.2, "sqrt"),
}


def close(got, wanted, rtol=1e-9):
    """Asserts that all numbers agree relative to their size."""
    np.testing.assert_allclose(np.asarray(got, np.float64), wanted, rtol=rtol, atol=0)


def best(lrs, norms=1.0):
    """The optimal rate and the optimal bound."""
    terms = theory.last_iterate_terms(lrs, norms)
    return terms.optimal_rate, terms.optimal_bound


FUNCTIONS = [
    theory.last_iterate_terms,
    theory.last_iterate_terms_and_gradient,
    theory.last_iterate_bound,
    theory.optimal_rate,
    theory.optimal_bound,
    theory.average_iterate_terms,
    theory.average_iterate_bound,
    lambda *args: theory.bound_along_run(*args, at=[0, 3, 9]),
]
IDS = [getattr(f, "__name__", "").replace("<lambda>", "bound_along_run") for f in FUNCTIONS]
