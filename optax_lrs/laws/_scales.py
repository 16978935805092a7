"""The scales on which a fit searches its parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import numpy as np

LEAST, MOST = 1e-12, 1e12  # the bounds of a positive parameter that has none

ScaleName = Literal["log", "log_complement", "linear"]


class Scale(NamedTuple):
    """A change of variables, and what a parameter on that scale may be."""

    unknown: Callable[[float], float]  # from the parameter
    value: Callable[[float], float]  # from the unknown
    stretch: Callable[[float], float]  # the derivative of the parameter by its unknown, at the parameter
    bounds: tuple[float, float]  # of the parameter in a fit, unless given
    lowest: float  # that a law accepts
    highest: float


SCALES: Mapping[str, Scale] = {
    "log": Scale(
        unknown=lambda value: float(np.log(max(value, LEAST))),
        value=lambda unknown: float(np.exp(unknown)),
        stretch=lambda value: value,
        bounds=(LEAST, MOST),
        lowest=0.0,
        highest=np.inf,
    ),
    "log_complement": Scale(
        unknown=lambda value: float(np.log1p(-value)),
        value=lambda unknown: float(-np.expm1(unknown)),
        stretch=lambda value: value - 1,
        bounds=(0.5, 1 - 1e-6),
        lowest=0.0,
        highest=1.0,
    ),
    "linear": Scale(
        unknown=float, value=float, stretch=lambda value: 1.0, bounds=(-MOST, MOST), lowest=-np.inf, highest=np.inf
    ),
}
"""The scales by name; ``log_complement`` is for a factor close to 1, such as a memory."""
