"""The scaling law with learning-rate annealing."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from optax_lrs._value import Static
from optax_lrs.laws._fit import FitReport
from optax_lrs.laws._law import Law, Slopes
from optax_lrs.laws._one_power import log_sum, power_column, power_slope
from optax_lrs.laws._recurrences import annealing_area, annealing_reach, annealing_slope, drops, slopes_by_drop
from optax_lrs.laws._scales import ScaleName
from optax_lrs.laws._warmup import slopes_by_rate, treated


class Annealing(Law):
    r"""Tissue et al.'s law: the sum of rates, and how much and how long ago the rate was annealed.

    .. math::
        L(s) = L_0 + A\,S_1(s)^{-\alpha} - C\,S_2(s), \qquad S_1(s) = \sum_{i=0}^{s} \eta_i, \qquad
        S_2(s) = \sum_{i=1}^{s} m_i, \quad m_i = \lambda m_{i-1} + (\eta_{i-1} - \eta_i)

    It has four parameters and a memory :math:`1/(1-\lambda)` of about a thousand steps. Fit it to
    a short constant run and a short cosine run; predictions for WSD, cosine and multi-step runs
    three times as long were within 0.15 to 0.32% (594M, reported). It is evaluated in O(T) and
    fitted in milliseconds. The memory depends on model, batch and schedule: :math:`\lambda` is
    0.999 everywhere in the paper, but 0.995 fits 25M better; ``fixed={"decay_factor": None}`` fits
    it. On the curves of Luo et al., ``warmup="counted"`` predicts better than the paper's
    treatment.

    The law is linear in the changes of the rate, so the schedule that minimizes it falls from the
    peak to zero within two steps. Use it to choose among schedules, not to optimize one freely.

    Args:
        irreducible: :math:`L_0`.
        power_scale: :math:`A`.
        power_exponent: :math:`\alpha`.
        drop_scale: :math:`C`.
        decay_factor: :math:`\lambda`, from 0 to 1.
        warmup: how the law reads the warmup; ``"as_peak"`` is the paper's. See :meth:`Law.fit`.
        report: the report of the fit; None for given parameters.

    Example:
        >>> import optax_lrs as olrs
        >>> law = Annealing.published()
        >>> wsd = olrs.WSD(peak=2e-4, total_steps=20_000, decay_steps=4_000)
        >>> cosine = olrs.Cosine(peak=2e-4, total_steps=20_000)
        >>> print(f"{law.predict(wsd, steps=20_000)[-1]:.3f} {law.predict(cosine, steps=20_000)[-1]:.3f}")
        2.778 2.840

    References:
        Tissue et al., *Scaling Law with Learning Rate Annealing*, arXiv:2408.11029 (NeurIPS 2025).
    """

    paper: ClassVar[str] = "arXiv:2408.11029"
    linear: ClassVar[tuple[str, ...]] = ("irreducible", "power_scale", "drop_scale")
    others: ClassVar[tuple[str, ...]] = ("power_exponent", "decay_factor")
    scales: ClassVar[Mapping[str, ScaleName]] = {"decay_factor": "log_complement"}
    slow: ClassVar[tuple[str, ...]] = ("decay_factor",)
    held: ClassVar[Mapping[str, float]] = {"decay_factor": 0.999}
    needs_decay: ClassVar[bool] = True
    starts: ClassVar[tuple[Mapping[str, float], ...]] = tuple(
        {"power_exponent": exponent, "decay_factor": factor}
        for factor in (0.999, 0.99, 0.995, 0.998, 0.9995, 0.9998)
        for exponent in (0.5, 0.25)
    )

    irreducible: float
    power_scale: float
    power_exponent: float
    drop_scale: float
    decay_factor: float = 0.999
    warmup: str = "counted"
    report: Static[FitReport | None] = None

    @classmethod
    def published(cls) -> Self:
        """The paper's fit to constant and cosine runs: 20,000 steps, 594M parameters, peak 2e-4."""
        return cls(irreducible=2.628, power_scale=0.429, power_exponent=0.550, drop_scale=0.411, warmup="as_peak")

    @classmethod
    def plan(cls, lrs: np.ndarray, steps: np.ndarray, warmup: str) -> Any:
        changes = drops(treated(lrs, warmup)[1])
        kept = functools.lru_cache(maxsize=1)  # the decay factor is usually fixed
        area = kept(lambda factor: annealing_area(changes, factor)[steps])
        slope = kept(lambda factor: annealing_slope(changes, factor)[steps])
        return log_sum(lrs, steps, warmup), area, slope

    @classmethod
    def basis(cls, plan: Any, values: Mapping[str, float], *, slopes: bool = True) -> tuple[np.ndarray, Slopes]:
        logs, area, area_slope = plan
        factor = values["decay_factor"]
        power, slope = power_column(logs, values["power_exponent"])
        columns = np.stack([np.ones_like(power), power, -area(factor)], axis=1)
        changes = {"power_exponent": [(1, slope)]}
        if slopes:
            changes["decay_factor"] = [(2, -area_slope(factor))]
        return columns, changes

    def rate_slopes(self, lrs: np.ndarray) -> np.ndarray:
        summed, _ = treated(lrs, self.warmup)
        by_sum = np.full(len(lrs), power_slope(summed, self.power_scale, self.power_exponent))
        by_drops = -self.drop_scale * slopes_by_drop(annealing_reach(self.decay_factor, len(lrs)))
        return slopes_by_rate(by_sum, by_drops, lrs, self.warmup)
