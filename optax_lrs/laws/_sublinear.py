"""Our law: the multi-power law in a power of the rate below one."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from optax_lrs.laws._fit import FitReport
from optax_lrs.laws._law import Law
from optax_lrs.laws._multi_power import MultiPower

REFERENCE = 1e-3  # the rate that stands for itself


def effective(lrs: np.ndarray, lr_power: float) -> np.ndarray:
    """The rates as the law sees them: their power, in units in which 1e-3 stays 1e-3."""
    return REFERENCE * (np.asarray(lrs, np.float64) / REFERENCE) ** lr_power


class SublinearPower(Law):
    r"""The multi-power law in :math:`\eta^p` in the place of :math:`\eta`, p = 0.8. Ours, not from a paper.

    .. math::
        L(t) = L_0 + A\,S_1(t)^{-\alpha} - B \sum_{k=1}^{t} (\zeta_{k-1} - \zeta_k)\,
            G\!\left(\zeta_k^{-\gamma} \sum_{\tau=k}^{t} \zeta_\tau\right), \qquad
            \zeta = \eta_\text{ref} \left(\frac{\eta}{\eta_\text{ref}}\right)^{p}, \quad S_1 = \sum_{\tau \le t} \zeta_\tau

    with :math:`G(x) = 1 - (1 + Cx)^{-\beta}` and :math:`\eta_\text{ref}` = 1e-3, which only sets the units. Both published laws
    promise too low a loss for decays that are longer than those they were fitted to: they count a step at half the rate as
    half a step of progress, and give for the fall to half the rate half of what a fall to zero gives. A power below one makes a
    low rate worth more progress, and moves the gain to the end of the decay, as the curves do.

    Take it where you would take :class:`MultiPower`, which is p = 1; it needs no more runs: two (a constant one and one that
    decays) are enough for the prior to be fitted with, three are better. ``lr_power`` is known before the fit and not
    fitted. It was chosen among 0.6, 0.7, 0.8, 0.85, 0.9 and 1 by the mean error over splits other than the published ones
    of the 25M, 100M and 124M curves of Luo et al. and Schaipp et al.: the best differs little by size (0.9, 0.8 and 0.8), and
    from 0.7 to 0.9 every one of the three is better than p = 1. The prior is MultiPower's.

    Held-out mean absolute errors, same splits, same prior, :class:`Annealing` / :class:`MultiPower` / this law: 25M, published
    split, 0.0052 / 0.0040 / 0.0037; 100M 0.0043 / 0.0038 / 0.0029; 124M, fit to a stable run and a cosine, 0.0075 / 0.0095 /
    0.0040 (0.13% of the loss). ``benchmarks/laws.py`` has the ablation: the sum of rates alone in the power, the drops alone,
    and other powers. Not tested on other optimisers than AdamW, nor above 124M parameters.

    Args:
        irreducible: :math:`L_0`.
        power_scale: :math:`A`.
        power_exponent: :math:`\alpha`.
        drop_scale: :math:`B`.
        drop_speed: :math:`C`.
        drop_exponent: :math:`\beta`.
        lr_exponent: :math:`\gamma`.
        lr_power: :math:`p`, above 0 and at most 1; an argument of :meth:`Law.fit`.
        warmup: how the law sees the warmup; see :meth:`Law.fit`.
        report: of the fit; None for given parameters.

    Example:
        >>> law = SublinearPower(irreducible=2.7, power_scale=0.9, power_exponent=0.5, drop_scale=250.0, drop_speed=1.0,
        ...                      drop_exponent=0.5, lr_exponent=0.5)
        >>> print(law.curve([1e-3] * 900 + [2e-4] * 100, [899, 999]).round(3))
        [3.649 3.564]

    References:
        Ours. The law that it changes: Luo et al., arXiv:2503.12811.
    """

    linear: ClassVar = MultiPower.linear
    others: ClassVar = MultiPower.others
    starts: ClassVar = MultiPower.starts
    priors: ClassVar = MultiPower.priors
    settings: ClassVar = ("warmup", "lr_power")
    late_weight: ClassVar = 0.5

    irreducible: float
    power_scale: float
    power_exponent: float
    drop_scale: float
    drop_speed: float
    drop_exponent: float
    lr_exponent: float
    lr_power: float = 0.8
    warmup: str = "summed"
    report: FitReport | None = None

    def check(self) -> None:
        """Besides a law's rules: the power is above zero and at most one."""
        super().check()
        self.require(0 < self.lr_power <= 1, "lr_power must be above 0 and at most 1", "lr_power")

    @classmethod
    def plan(cls, lrs, steps, warmup, lr_power=0.8):
        """That of the multi-power law, for the power of the rates."""
        if not 0 < lr_power <= 1:
            raise ValueError(f"SublinearPower: lr_power must be above 0 and at most 1, got {lr_power!r}")
        return MultiPower.plan(effective(lrs, lr_power), steps, warmup)

    @classmethod
    def basis(cls, plan, values, *, slopes=True):
        """That of the multi-power law."""
        return MultiPower.basis(plan, values, slopes=slopes)

    def as_multi_power(self) -> MultiPower:
        """The multi-power law that says of the powers of rates what this law says of the rates."""
        return MultiPower(**self.parameters, warmup=self.warmup, report=self.report)
