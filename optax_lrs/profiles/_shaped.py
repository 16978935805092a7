"""The profiles with a parameter."""

from __future__ import annotations

from typing import Any

import numpy as np

from optax_lrs._clock.phase import Phase
from optax_lrs.profiles._profile import Profile

_LN2 = 0.6931471805599453


class power(Profile):
    r"""A power of the share of the decay that is left.

    .. math:: g = z^p

    ``p=1`` is linear. ``p=1.5`` is close to the optimum of the multi-power law (arXiv:2503.12811).
    With the capacity exponent :math:`b` of arXiv:2602.06797, ``p = 2b - 1``.

    Args:
        p: the exponent, positive.
    """

    p: float

    def check(self) -> None:
        self.require(self.p > 0, "p must be positive", "p")

    def shape(self, phase: Phase) -> Any:
        xp, left = phase.xp, phase.left
        some = left > 0  # at 0 the gradient of a root is infinite; it would make a stretched schedule's nan
        return xp.where(some, xp.power(xp.where(some, left, 1.0), self.p), 0.0)


class rex(Profile):
    r"""Reflected exponential: stays up, then falls fast.

    .. math:: g = z / ((1 - d) + d z)

    ``d=0.5`` is the paper's; ``d=0`` is linear, and towards ``d=1`` the rate stays up longer and
    falls later. Popular ports use 0.9, which is much flatter than the paper.

    Args:
        d: the bend, below 1; 0.5 by default.

    References:
        Chen, Wolfe, Kyrillidis, REX: Revisiting Budgeted Training with an Improved Schedule,
            arXiv:2107.04197.
    """

    d: float = 0.5

    def check(self) -> None:
        self.require(np.float32(self.d) < 1, "d must be below 1", "d")

    def shape(self, phase: Phase) -> Any:
        return phase.left / ((1.0 - self.d) + self.d * phase.left)


class uba(Profile):
    r"""Unified budget-aware: a cosine bent up or down.

    .. math:: g = 2u / (\varphi + (2 - \varphi) u), \quad u = (1 + \cos \pi x)/2

    ``phi=2`` is cosine; smaller stays up longer, larger falls earlier. It is :class:`rex` with
    :math:`d = 1 - \varphi/2` applied to the cosine. The paper ties phi to the condition number;
    which value suits which optimizer was not verified; sweep 0.25, 0.5, 1, 2, 5, 10.

    Args:
        phi: the shape, positive; 1 by default.

    References:
        Tang et al., Stepsize anything: A unified learning rate schedule for budgeted-iteration
        training, arXiv:2505.24452. The cosine's argument :math:`\pi x` is a re-implementation's
        reading of the paper.
    """

    phi: float = 1.0

    def check(self) -> None:
        self.require(self.phi > 0, "phi must be positive", "phi")

    def shape(self, phase: Phase) -> Any:
        cosine = phase.xp.sin(phase.left * (phase.xp.pi / 2)) ** 2
        return 2.0 * cosine / (self.phi * (1.0 - cosine) + 2.0 * cosine)


class cosine_power(Profile):
    r"""A cosine in the exponent: falls early and spends long near the end.

    .. math:: g = (p^u - 1) / (p - 1), \quad u = (1 + \cos \pi x)/2

    ``p=1`` is cosine (the limit); larger falls faster early on and spends longer near the end:
    half-way it is at :math:`1/(1 + \sqrt p)`.

    Args:
        p: the base, positive; 10 by default, as in the authors' code.

    References:
        Hundt, Jain, Hager, sharpDARTS: Faster and More Accurate Differentiable Architecture Search,
            arXiv:1903.09900.
    """

    p: float = 10.0

    def check(self) -> None:
        self.require(self.p > 0, "p must be positive", "p")

    def shape(self, phase: Phase) -> Any:
        cosine = phase.xp.sin(phase.left * (phase.xp.pi / 2)) ** 2
        return _exponential_shape(phase.xp, phase.xp.log(self.p), cosine)


class shifted_exponential(Profile):
    r"""An exponential moved down to reach zero.

    .. math:: g = (e^{kz} - 1) / (e^k - 1)

    Megatron-LM's "exponential" WSD decay is ``k = ln 2``, lm-engine's is ``k = 1``; ``k = 0`` is
    linear (the limit).

    Args:
        k: the steepness; 1 by default.
    """

    k: float = 1.0

    def check(self) -> None:
        self.require(abs(self.k) <= 80, "k must be from -80 to 80", "k")

    def shape(self, phase: Phase) -> Any:
        return _exponential_shape(phase.xp, self.k, phase.left)


class inverse_sqrt(Profile):
    r"""One over the square root, scaled to reach the end rate.

    .. math:: g = 1 - h(x)/h(1), \quad h(x) = 1/\sqrt{1 + \alpha x} - 1

    A cooldown of the infinite learning rate: a piece of :math:`1/\sqrt{1 + \alpha x}`, scaled to
    reach the end rate. ``alpha=0`` is linear (the limit); larger falls faster early on.

    Args:
        alpha: the timescale, above -1; 10 by default, as in the authors' vision code (GPT-NeoX: 1).

    References:
        Ibrahim et al., Simple and Scalable Strategies to Continually Pre-train Large Language
        Models, arXiv:2403.08763.
    """

    alpha: float = 10.0

    def check(self) -> None:
        self.require(self.alpha > -1, "alpha must be above -1", "alpha")

    def shape(self, phase: Phase) -> Any:
        # The differences of roots are multiplied out: no cancellation, and no limit at alpha = 0.
        at, last = phase.xp.sqrt(1.0 + self.alpha * phase.done), phase.xp.sqrt(1.0 + self.alpha)
        return phase.left * (1.0 + last) / (at * (at + last))


class half_life(Profile):
    r"""Halving at a constant pace, without reaching the end rate.

    .. math:: g = 2^{-x/h}

    MiniCPM's decay: to halve the rate every 5,000 steps in a decay of 25,000, use ``h = 0.2``.
    Unlike the other profiles it does not reach the end rate: it stops at :math:`2^{-1/h}` of the
    way from the end rate to the peak. The relative error in float32 grows with the number of
    halvings, 2e-6 at about ten.

    Args:
        h: the half-life, as a share of the decay; positive.

    References:
        Hu et al., MiniCPM: Unveiling the Potential of Small Language Models, arXiv:2404.06395.
    """

    h: float
    reaches_end = False

    def check(self) -> None:
        self.require(self.h > 0, "h must be positive", "h")

    def shape(self, phase: Phase) -> Any:
        xp, done, left = phase.xp, phase.done, phase.left
        early = done <= 0.5  # from the nearer end, as the exponential
        halvings = xp.where(early, done, -left) / self.h
        return xp.where(early, 1.0, xp.exp2(-1.0 / self.h)) * xp.exp(-_LN2 * halvings)


def _exponential_shape(xp: Any, k: Any, z: Any) -> Any:
    """``expm1(k z) / expm1(k)``, and its limit ``z`` where k vanishes."""
    small = abs(k) < 1e-5
    safe = xp.where(small, 1.0, k)
    series = z * (1.0 + k * (z - 1.0) * (0.5 + k * (2.0 * z - 1.0) / 12.0))  # the next term is below 1e-16
    return xp.where(small, series, xp.expm1(safe * z) / xp.expm1(safe))
