"""The array functions on Python numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


class Scalar:
    """The functions that formulas take from ``clock.xp``, for Python numbers: ten times as fast as
    NumPy."""

    pi = math.pi
    sin, cos, sqrt, floor = math.sin, math.cos, math.sqrt, math.floor
    exp, expm1, log, log1p = math.exp, math.expm1, math.log, math.log1p
    power, ldexp, abs, maximum, minimum = math.pow, math.ldexp, abs, max, min

    @staticmethod
    def where(condition: Any, x: Any, y: Any) -> Any:
        return x if condition else y

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


SCALAR = Scalar()
