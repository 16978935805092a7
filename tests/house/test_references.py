"""The oracles agree with the papers' formulas in 50 digits."""

import mpmath as mp
import numpy as np
import pytest

from oracles import schedules as references

mp.mp.dps = 50

PAPER = {
    "linear": lambda x: 1 - x,
    "cosine": lambda x: (1 + mp.cos(mp.pi * x)) / 2,
    "mirror_cosine": lambda x: 2 * (1 - x) - (1 + mp.cos(mp.pi * x)) / 2,
    "one_minus_sqrt": lambda x: 1 - mp.sqrt(x),
    "one_minus_square": lambda x: 1 - x**2,
    "power": lambda x, p: (1 - x) ** mp.mpf(p),
    "rex": lambda x, d: (1 - x) / ((1 - mp.mpf(d)) + mp.mpf(d) * (1 - x)),
    "uba": lambda x, phi: 2 * (1 + mp.cos(mp.pi * x)) / (2 * phi + (2 - mp.mpf(phi)) * (1 + mp.cos(mp.pi * x))),
    "cosine_power": lambda x, p: (mp.mpf(p) ** ((1 + mp.cos(mp.pi * x)) / 2) - 1) / (mp.mpf(p) - 1),
    "shifted_exponential": lambda x, k: (mp.e ** (k * (1 - x)) - 1) / (mp.e ** mp.mpf(k) - 1),
    "half_life": lambda x, h: mp.mpf(2) ** (-x / mp.mpf(h)),
}
SHAPES = [
    ("linear", {}), ("cosine", {}), ("mirror_cosine", {}), ("one_minus_sqrt", {}), ("one_minus_square", {}),
    ("power", dict(p=1.5)), ("rex", dict(d=0.9)), ("uba", dict(phi=5.0)), ("cosine_power", dict(p=10.0)),
    ("shifted_exponential", dict(k=1.0)), ("half_life", dict(h=0.2)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "shape"), SHAPES, ids=lambda x: x if isinstance(x, str) else "")
@pytest.mark.parametrize("total", [100, 10**6, 2**31 - 1])
def test_profile(name, shape, total):
    for step in (0, 1, 2, total // 7, total // 2, total - 20, total - 2, total - 1, total):
        done, left = references.fraction(step, 0, total)
        expected = PAPER[name](mp.mpf(step) / total, **shape)
        np.testing.assert_allclose(
            references.PROFILES[name](done, left, **shape), float(expected), rtol=1e-13, atol=1e-60
        )
