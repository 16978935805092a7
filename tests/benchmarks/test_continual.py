"""benchmarks/continual/continual.py computes shares and intervals over seeds."""

import pathlib
import sys

import numpy as np
import pytest

BENCHMARKS = pathlib.Path(__file__).parents[2] / "benchmarks"
PATHS = [str(BENCHMARKS / "continual"), str(BENCHMARKS)]
sys.path[:0] = PATHS
try:
    import claims
finally:
    del sys.path[: len(PATHS)]


def test_claims_compare_runs_of_one_seed():
    arms = {"pre-trained, annealed": 1.0, "re-warm": 1.8, "re-warm, 5% replay": 1.2, "joint, from scratch": 1.0}
    runs = [
        dict(shift="weak", arm=arm, seed=seed, old=old + 0.1 * seed, new=2.0, average=(old + 0.1 * seed + 2) / 2)
        for arm, old in arms.items()
        for seed in (0, 1, 2)
    ]
    curves = [
        dict(shift="weak", arm="re-warm", seed=seed, step=step, old=1.0 + 0.1 * seed + rise, new=2.0)
        for seed in (0, 1, 2)
        for step, rise in ((0, 0.0), (1, 0.3), (10, 0.9), (20, 0.8))
    ]
    table = claims.Table(runs, curves)
    np.testing.assert_allclose(
        table.end("weak", "re-warm, 5% replay", "forgotten"), 0.2
    )  # the 0.1 of each seed cancels
    np.testing.assert_allclose(table.rise("weak", "re-warm"), 0.9)
    np.testing.assert_allclose(table.rise("weak", "re-warm", within=0.1), 0.3)
    found = claims.gap(table, "weak", "re-warm")
    assert found["windowed forgetting"] == pytest.approx(0.9) and found["windowed recovery"] == pytest.approx(0.1)
    # Student's t with two degrees of freedom: 4.3027 standard errors.
    middle, low, high = claims.mean(np.array([1.0, 2.0, 3.0]))
    assert (middle, high - middle, middle - low) == pytest.approx((2.0, 2.4841, 2.4841), rel=1e-4)
