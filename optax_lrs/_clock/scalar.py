"""The array functions on Python numbers."""

from __future__ import annotations

import math

import numpy as np


class Scalar:
    """The functions that a formula may ask of ``clock.xp``, on Python numbers: ten times as fast as NumPy's."""

    pi = math.pi
    sin, cos, sqrt, exp, expm1, log, log1p, floor = (
        math.sin, math.cos, math.sqrt, math.exp, math.expm1, math.log, math.log1p, math.floor,
    )  # fmt: skip
    power, ldexp, abs, maximum, minimum = math.pow, math.ldexp, abs, max, min

    @staticmethod
    def where(condition, x, y):
        return x if condition else y

    def __getattr__(self, name):
        return getattr(np, name)


SCALAR = Scalar()
