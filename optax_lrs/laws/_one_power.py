"""The one-power law: only the sum of rates matters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from optax_lrs._value import Static
from optax_lrs.laws._fit import FitReport
from optax_lrs.laws._law import Law, Slopes
from optax_lrs.laws._warmup import slopes_by_rate, treated


class OnePower(Law):
    r"""The baseline: a power of the sum of rates, whatever their order.

    .. math:: L(s) = L_0 + A\,S_1(s)^{-\alpha}, \qquad S_1(s) = \sum_{i=0}^{s} \eta_i

    It cannot describe that the loss drops when the rate drops. On the held-out 25M curves of Luo et
    al. its R² is 0.94 (0.83 in their table), against 0.998 of :class:`Annealing`. Use it as a
    baseline, and for runs of one constant rate.

    Args:
        irreducible: :math:`L_0`.
        power_scale: :math:`A`.
        power_exponent: :math:`\alpha`.
        warmup: how the law reads the warmup; see :meth:`Law.fit`.
        report: the report of the fit; None for given parameters.

    Example:
        >>> law = OnePower(irreducible=2.0, power_scale=1.0, power_exponent=0.5)
        >>> print(law.curve([1.0, 2.0, 1.0]))
        [3.         2.57735027 2.5       ]

    References:
        Luo et al., *A Multi-Power Law for Loss Curve Prediction Across Learning Rate Schedules*,
        arXiv:2503.12811 (ICLR 2025), which uses it as the baseline.
    """

    paper: ClassVar[str] = "arXiv:2503.12811"
    linear: ClassVar[tuple[str, ...]] = ("irreducible", "power_scale")
    others: ClassVar[tuple[str, ...]] = ("power_exponent",)
    starts: ClassVar[tuple[Mapping[str, float], ...]] = (
        {"power_exponent": 0.2},
        {"power_exponent": 0.5},
        {"power_exponent": 1.0},
    )

    irreducible: float
    power_scale: float
    power_exponent: float
    warmup: str = "counted"
    report: Static[FitReport | None] = None

    @classmethod
    def plan(cls, lrs: np.ndarray, steps: np.ndarray, warmup: str) -> Any:
        return log_sum(lrs, steps, warmup)

    @classmethod
    def basis(cls, plan: Any, values: Mapping[str, float], *, slopes: bool = True) -> tuple[np.ndarray, Slopes]:
        power, slope = power_column(plan, values["power_exponent"])
        return np.stack([np.ones_like(power), power], axis=1), {"power_exponent": [(1, slope)]}

    def rate_slopes(self, lrs: np.ndarray) -> np.ndarray:
        summed, _ = treated(lrs, self.warmup)
        by_sum = np.full(len(lrs), power_slope(summed, self.power_scale, self.power_exponent))
        return slopes_by_rate(by_sum, np.zeros(len(lrs)), lrs, self.warmup)


def log_sum(lrs: np.ndarray, steps: np.ndarray, warmup: str) -> np.ndarray:
    """The logarithm of the sum of rates up to each step; minus infinity for a sum of zero."""
    with np.errstate(divide="ignore"):
        return np.log(np.cumsum(treated(lrs, warmup)[0])[steps])


def power_column(logs: np.ndarray, exponent: float) -> tuple[np.ndarray, np.ndarray]:
    """The power of the sum, infinite where the sum is zero, and its derivative by the exponent."""
    with np.errstate(over="ignore", invalid="ignore"):
        power = np.exp(-exponent * logs)
        return power, -logs * power


def power_slope(summed: np.ndarray, scale: float, exponent: float) -> float:
    """The derivative of the scaled power of the sum by each of its rates."""
    return -scale * exponent * summed.sum() ** (-exponent - 1)
