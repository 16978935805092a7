r"""Profiles: the shapes of a decay on the unit interval, defined once and shared by every schedule that decays.

A profile falls from 1 to 0 while :math:`x` (what is done of the decay) goes from 0 to 1. The rate is then

.. math:: \eta(x) = \text{peak} \cdot g(x) + \text{end} \cdot (1 - g(x)),

except for :data:`exponential` and :data:`inverse`, which interpolate the logarithm and the inverse of the rate and
therefore need ``end > 0``. Give one to a schedule: ``WSD(..., decay=profiles.one_minus_sqrt)``.

Each formula is written in what is *left*, :math:`z = 1 - x`, wherever the rate goes to zero, so that float32 keeps its
digits to the last step of any run.
"""

from __future__ import annotations

from typing import Any, ClassVar

from optax_lrs._clock import Phase
from optax_lrs._value import Value

__all__ = [
    "Profile",
    "cosine",
    "cosine_power",
    "exponential",
    "half_life",
    "inverse",
    "linear",
    "mirror_cosine",
    "one_minus_sqrt",
    "one_minus_square",
    "power",
    "rex",
    "shifted_exponential",
    "uba",
]

_LN2 = 0.6931471805599453


class Profile(Value, abstract=True):
    """The shape of a decay. Subclasses define ``shape(phase)``, or ``rate`` where the shape depends on the rates."""

    _keyword_only: ClassVar[bool] = False
    needs_end: ClassVar[bool] = False
    """Whether the end rate must be positive."""
    reaches_end: ClassVar[bool] = True
    """Whether the rate is the end rate when the phase is over."""

    def shape(self, phase: Phase) -> Any:
        """The fraction of the way from the end rate to the peak, in [0, 1]."""
        raise NotImplementedError(f"{type(self).__name__} defines no shape(phase)")

    def rate(self, phase: Phase, peak: Any, end: Any) -> Any:
        """The rate: ``peak`` before the phase, ``end`` after it."""
        shape = self.shape(phase)
        return peak * shape + end * (1.0 - shape)  # exact at both ends, and no cancellation

    def __repr__(self) -> str:
        text = super().__repr__() if self._kinds else self._name
        return f"profiles.{text}" if type(self).__module__ == __name__ else text


class _Linear(Profile, name="linear"):
    def shape(self, phase):
        return phase.left


class _Cosine(Profile, name="cosine"):
    def shape(self, phase):
        return phase.xp.sin(phase.left * (phase.xp.pi / 2)) ** 2  # (1 + cos πx) / 2, without its cancellation


class _MirrorCosine(Profile, name="mirror_cosine"):
    def shape(self, phase):
        return 2.0 * phase.left - phase.xp.sin(phase.left * (phase.xp.pi / 2)) ** 2


class _OneMinusSqrt(Profile, name="one_minus_sqrt"):
    def shape(self, phase):
        return phase.left / (1.0 + _sqrt(phase.xp, phase.done))  # 1 - √x = (1 - x) / (1 + √x)


class _OneMinusSquare(Profile, name="one_minus_square"):
    def shape(self, phase):
        return phase.left * (1.0 + phase.done)


class _Exponential(Profile, name="exponential"):
    needs_end = True

    def rate(self, phase, peak, end):
        xp, done, left = phase.xp, phase.done, phase.left
        fall = xp.log(end / peak)
        # From the nearer end: exact there, and half the exponent, hence half the error, in the middle.
        early, late = peak * xp.exp(fall * xp.minimum(done, 0.5)), end * xp.exp(-fall * xp.minimum(left, 0.5))
        return xp.where(done <= 0.5, early, late)


class _Inverse(Profile, name="inverse"):
    needs_end = True

    def rate(self, phase, peak, end):
        from_end, from_peak = phase.done * peak, phase.left * end
        share = from_peak + from_end
        return peak * (from_peak / share) + end * (from_end / share)


class power(Profile):
    r"""A power of what is left, :math:`z^p`.

    ``p=1`` is linear. ``p=1.5`` is close to the optimum of the multi-power law (arXiv:2503.12811). With the capacity
    exponent :math:`b` of arXiv:2602.06797, ``p = 2b - 1``.

    Args:
        p: the exponent, positive.
    """

    p: float

    def check(self):
        """``p`` is positive."""
        self.require(self.p > 0, "p must be positive", "p")

    def shape(self, phase):
        """The formula."""
        return phase.xp.power(phase.left, self.p)


class rex(Profile):
    r"""Reflected exponential: :math:`z / ((1 - d) + d z)`.

    ``d=0.5`` is the paper's; ``d=0`` is linear, and towards ``d=1`` the rate stays up longer and falls later. Popular ports
    use 0.9, which is much flatter than the paper.

    Args:
        d: the bend, below 1; 0.5 by default.

    References:
        Chen, Wolfe, Kyrillidis, REX: Revisiting Budgeted Training with an Improved Schedule, arXiv:2107.04197.
    """

    d: float = 0.5

    def check(self):
        """``d`` is below 1."""
        self.require(self.d < 1, "d must be below 1", "d")

    def shape(self, phase):
        """The formula."""
        return phase.left / ((1.0 - self.d) + self.d * phase.left)


class uba(Profile):
    r"""Unified budget-aware: :math:`2u / (\varphi + (2 - \varphi) u)` with the cosine :math:`u = (1 + \cos \pi x)/2`.

    ``phi=2`` is cosine; smaller stays up longer, larger falls earlier. It is :class:`rex` with
    :math:`d = 1 - \varphi/2` applied to the cosine. The paper ties phi to the condition number; which value suits which
    optimizer was not verified, so sweep 0.25, 0.5, 1, 2, 5, 10.

    Args:
        phi: the shape, positive; 1 by default.

    References:
        Tang et al., Stepsize anything: A unified learning rate schedule for budgeted-iteration training,
        arXiv:2505.24452. The cosine's argument :math:`\pi x` is a re-implementation's reading of the paper.
    """

    phi: float = 1.0

    def check(self):
        """``phi`` is positive."""
        self.require(self.phi > 0, "phi must be positive", "phi")

    def shape(self, phase):
        """The formula."""
        cosine = phase.xp.sin(phase.left * (phase.xp.pi / 2)) ** 2
        return 2.0 * cosine / (self.phi * (1.0 - cosine) + 2.0 * cosine)


class cosine_power(Profile):
    r"""Cosine power: :math:`(p^u - 1) / (p - 1)` with the cosine :math:`u = (1 + \cos \pi x)/2`.

    ``p=1`` is cosine (the limit); larger falls faster early on and spends longer near the end: half-way it is at
    :math:`1/(1 + \sqrt p)`.

    Args:
        p: the base, positive; 10 by default, as in the authors' code.

    References:
        Hundt, Jain, Hager, sharpDARTS: Faster and More Accurate Differentiable Architecture Search, arXiv:1903.09900.
    """

    p: float = 10.0

    def check(self):
        """``p`` is positive."""
        self.require(self.p > 0, "p must be positive", "p")

    def shape(self, phase):
        """The formula."""
        cosine = phase.xp.sin(phase.left * (phase.xp.pi / 2)) ** 2
        return _exponential_shape(phase.xp, phase.xp.log(self.p), cosine)


class shifted_exponential(Profile):
    r"""An exponential moved down to reach zero: :math:`(e^{kz} - 1) / (e^k - 1)`.

    Megatron-LM's "exponential" WSD decay is ``k = ln 2``, lm-engine's is ``k = 1``; ``k = 0`` is linear (the limit).

    Args:
        k: the steepness; 1 by default.
    """

    k: float = 1.0

    def shape(self, phase):
        """The formula."""
        return _exponential_shape(phase.xp, self.k, phase.left)


class half_life(Profile):
    r"""Halving at a steady pace: :math:`2^{-x/h}`.

    MiniCPM's decay: to halve every 5,000 steps within a decay of 25,000, ``h = 0.2``. Unlike the other profiles it does
    not arrive: it stops at :math:`2^{-1/h}` of the way from the end rate to the peak, and stays there. The relative
    error in float32 grows with the number of halvings, 2e-6 at about ten.

    Args:
        h: the half-life, as a share of the decay; positive.

    References:
        Hu et al., MiniCPM: Unveiling the Potential of Small Language Models, arXiv:2404.06395.
    """

    h: float
    reaches_end = False

    def check(self):
        """``h`` is positive."""
        self.require(self.h > 0, "h must be positive", "h")

    def shape(self, phase):
        """The formula."""
        xp, done, left = phase.xp, phase.done, phase.left
        early = xp.exp(-_LN2 / self.h * xp.minimum(done, 0.5))
        late = xp.exp2(-1.0 / self.h) * xp.exp(_LN2 / self.h * xp.minimum(left, 0.5))
        return xp.where(done <= 0.5, early, late)


def _sqrt(xp: Any, x: Any) -> Any:
    """The square root with gradient 0 at 0, where its own is infinite and would poison a stretched schedule's."""
    positive = x > 0
    return xp.where(positive, xp.sqrt(xp.where(positive, x, 1.0)), 0.0)


def _exponential_shape(xp: Any, k: Any, z: Any) -> Any:
    """``expm1(k z) / expm1(k)``, and its limit ``z`` where k vanishes."""
    small = abs(k) < 1e-5
    safe = xp.where(small, 1.0, k)
    series = z * (1.0 + k * (z - 1.0) * (0.5 + k * (2.0 * z - 1.0) / 12.0))  # the next term is below 1e-16
    return xp.where(small, series, xp.expm1(safe * z) / xp.expm1(safe))


linear = _Linear()
r""":math:`z`: a straight line. The default decay of WSD, and D2Z's."""
cosine = _Cosine()
r""":math:`(1 + \cos \pi x)/2`: slow at both ends."""
mirror_cosine = _MirrorCosine()
r""":math:`2z - (1 + \cos \pi x)/2`: the cosine mirrored at the line, fast at both ends (Hägele et al., arXiv:2405.18392)."""
one_minus_sqrt = _OneMinusSqrt()
r""":math:`1 - \sqrt x`: falls fast at first; the best cooldown in Hägele et al., arXiv:2405.18392."""
one_minus_square = _OneMinusSquare()
r""":math:`1 - x^2`: stays up at first (Hägele et al., arXiv:2405.18392)."""
exponential = _Exponential()
r""":math:`\text{peak}^{1-x}\,\text{end}^{x}`: a constant ratio per step; needs ``end > 0``."""
inverse = _Inverse()
r""":math:`1/(x/\text{end} + (1-x)/\text{peak})`: the inverse rate is a line; WSD-S's decay (arXiv:2410.05192); needs
``end > 0``."""
