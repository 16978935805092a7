"""The annealing law of continual pre-training."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np

from optax_lrs._value import Static
from optax_lrs._value.arguments import one_of
from optax_lrs.laws._annealing import Annealing
from optax_lrs.laws._fit import FitReport
from optax_lrs.laws._law import Law, Slopes
from optax_lrs.laws._one_power import log_sum, power_column
from optax_lrs.laws._recurrences import annealing_area, annealing_slope, drops
from optax_lrs.laws._scales import ScaleName
from optax_lrs.laws._warmup import treated

_PUBLISHED = {
    "general": (3.057, 0.490, 0.497, 0.299, 0.298, 0.366, 28.0, 0.189),
    "target": (3.024, 0.412, 0.677, 0.278, 0.324, -0.666, 5662.0, 0.146),
}
_FIELDS = (
    "irreducible",
    "power_scale",
    "power_exponent",
    "former_drop_scale",
    "drop_scale",
    "shift_scale",
    "shift_speed",
    "shift_exponent",
)


class ContinualAnnealing(Law):
    r"""The annealing law of a run that continues on other data from one step on.

    .. math::
        L = L_0 + A (S_1^{\mathrm{pt}} + S_1^{\mathrm{cpt}})^{-\alpha}
            - C_1 S_2^{\mathrm{pt}} - C_2 S_2^{\mathrm{cpt}}
            + B \left(1 - (1 + E\,S_1^{\mathrm{cpt}})^{-\beta}\right)

    It has the sums of :class:`Annealing`, separately for the pre-training (pt) and the continued
    pre-training (cpt), and a term for the change of data, which raises the loss on the former data
    (B > 0, forgetting) and lowers it on the new data (B < 0). It needs runs with losses before and
    after the change, under at least two schedules. Reported: a checkpoint that was annealed less
    reaches a lower loss on the new data.

    The formula and the published fits come from a summary of the paper. How its areas are split at
    the change is inferred: here a drop counts in the area of the phase in which it happens; the
    step from the last rate of the one phase to the first of the other counts in the second
    (re-warming is a negative drop); and the first area keeps the value it had at the change.

    Args:
        irreducible: :math:`L_0`.
        power_scale: :math:`A`.
        power_exponent: :math:`\alpha`.
        former_drop_scale: :math:`C_1`.
        drop_scale: :math:`C_2`.
        shift_scale: :math:`B`; may be negative.
        shift_speed: :math:`E`.
        shift_exponent: :math:`\beta`.
        switch_step: the first step on the new data. Pass one for each run to ``fit(...,
            switch_step=[…])``; the law keeps the first.
        decay_factor: :math:`\lambda`.
        warmup: how the law reads the first warmup; see :meth:`Law.fit`.
        report: the report of the fit; None for given parameters.

    Example:
        >>> law = ContinualAnnealing.published("general", switch_step=20_000)
        >>> law.curve(np.full(22_500, 2e-4), [19_999, 22_499]).round(3)
        array([3.303, 3.436])

    References:
        *Learning Dynamics in Continual Pre-Training for Large Language Models*, arXiv:2505.07796
        (ICML 2025).
    """

    paper: ClassVar[str] = "arXiv:2505.07796"
    linear: ClassVar[tuple[str, ...]] = ("irreducible", "power_scale", "former_drop_scale", "drop_scale", "shift_scale")
    others: ClassVar[tuple[str, ...]] = ("power_exponent", "shift_speed", "shift_exponent", "decay_factor")
    scales: ClassVar[Mapping[str, ScaleName]] = {"shift_scale": "linear", **Annealing.scales}
    slow: ClassVar[tuple[str, ...]] = Annealing.slow
    held: ClassVar[Mapping[str, float]] = Annealing.held
    settings: ClassVar[tuple[str, ...]] = ("warmup", "switch_step")
    needs_decay: ClassVar[bool] = True
    starts: ClassVar[tuple[Mapping[str, float], ...]] = tuple(
        {"power_exponent": 0.5, "shift_speed": speed, "shift_exponent": exponent, "decay_factor": 0.999}
        for speed in (10.0, 1000.0)
        for exponent in (0.2, 1.0)
    )

    irreducible: float
    power_scale: float
    power_exponent: float
    former_drop_scale: float
    drop_scale: float
    shift_scale: float
    shift_speed: float
    shift_exponent: float
    switch_step: int
    decay_factor: float = 0.999
    warmup: str = "counted"
    report: Static[FitReport | None] = None

    @classmethod
    def published(cls, domain: Literal["general", "target"], *, switch_step: int) -> Self:
        """The paper's fit of the loss on one domain (recalled from a summary, not verified)."""
        numbers = _PUBLISHED[one_of("ContinualAnnealing.published", "domain", domain, _PUBLISHED)]
        return cls(**dict(zip(_FIELDS, numbers)), switch_step=switch_step, warmup="as_peak")

    def check(self) -> None:
        super().check()
        self.require(self.switch_step > 0, "switch_step must be positive", "switch_step")

    @classmethod
    def plan(cls, lrs: np.ndarray, steps: np.ndarray, warmup: str, switch_step: int) -> Any:
        summed, seen = treated(lrs, warmup)
        changes, after = drops(seen), np.arange(len(lrs)) >= switch_step
        since = np.cumsum(np.where(after, summed, 0.0))[steps]
        before_at = np.minimum(steps, switch_step - 1)

        def split(total):
            """The sums of both phases by decay factor; cached: the factor is usually fixed."""

            def both(factor):
                return total(changes, factor)[before_at], total(changes * after, factor)[steps]

            return functools.lru_cache(maxsize=1)(both)

        return log_sum(lrs, steps, warmup), since, split(annealing_area), split(annealing_slope)

    @classmethod
    def basis(cls, plan: Any, values: Mapping[str, float], *, slopes: bool = True) -> tuple[np.ndarray, Slopes]:
        logs, since, areas, area_slopes = plan
        factor, speed, exponent = values["decay_factor"], values["shift_speed"], values["shift_exponent"]
        power, slope = power_column(logs, values["power_exponent"])
        grown = np.log1p(speed * since)
        left = np.exp(-exponent * grown)
        former, latter = areas(factor)
        columns = np.stack([np.ones_like(power), power, -former, -latter, -np.expm1(-exponent * grown)], axis=1)
        changes = {
            "power_exponent": [(1, slope)],
            "shift_speed": [(4, exponent * left * since / (1 + speed * since))],
            "shift_exponent": [(4, grown * left)],
        }
        if slopes:
            bends = area_slopes(factor)
            changes["decay_factor"] = [(2, -bends[0]), (3, -bends[1])]
        return columns, changes
