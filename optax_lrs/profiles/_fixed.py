"""The profiles without a parameter."""

from __future__ import annotations

from typing import Any

from optax_lrs._clock.phase import Phase
from optax_lrs.profiles._profile import Profile


class _Linear(Profile, name="linear"):
    r"""A straight line.

    .. math:: g = z

    The default decay of WSD, and D2Z's.
    """

    def shape(self, phase: Phase) -> Any:
        return phase.left


class _Cosine(Profile, name="cosine"):
    r"""Half a cosine: slow at both ends.

    .. math:: g = (1 + \cos \pi x)/2 = \sin^2(\tfrac{\pi}{2} z)
    """

    def shape(self, phase: Phase) -> Any:
        return phase.xp.sin(phase.left * (phase.xp.pi / 2)) ** 2  # (1 + cos πx) / 2, without its cancellation


class _MirrorCosine(Profile, name="mirror_cosine"):
    r"""The cosine mirrored at the straight line: fast at both ends.

    .. math:: g = 2z - (1 + \cos \pi x)/2

    References:
        Hägele et al., Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations,
        arXiv:2405.18392.
    """

    def shape(self, phase: Phase) -> Any:
        return 2.0 * phase.left - phase.xp.sin(phase.left * (phase.xp.pi / 2)) ** 2


class _OneMinusSqrt(Profile, name="one_minus_sqrt"):
    r"""One minus the square root: falls fast at first.

    .. math:: g = 1 - \sqrt x

    The best cooldown of WSD in the study below.

    References:
        Hägele et al., Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations,
        arXiv:2405.18392.
    """

    def shape(self, phase: Phase) -> Any:
        return phase.left / (1.0 + _sqrt(phase.xp, phase.done))  # 1 - √x = (1 - x) / (1 + √x)


class _OneMinusSquare(Profile, name="one_minus_square"):
    r"""One minus the square: falls slowly at first.

    .. math:: g = 1 - x^2

    References:
        Hägele et al., Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations,
        arXiv:2405.18392.
    """

    def shape(self, phase: Phase) -> Any:
        return phase.left * (1.0 + phase.done)


class _Exponential(Profile, name="exponential"):
    r"""A constant ratio per step; needs a positive end.

    .. math:: \eta = \text{peak}^{1-x}\,\text{end}^{x}
    """

    needs_end = True

    def rate(self, phase: Phase, peak: Any, end: Any) -> Any:
        xp, done, left = phase.xp, phase.done, phase.left
        fall = xp.log(end / peak)
        # From the nearer end: exact there; half the exponent in the middle, hence half the error.
        early = done <= 0.5
        return xp.where(early, peak, end) * xp.exp(fall * xp.where(early, done, -left))


class _Inverse(Profile, name="inverse"):
    r"""The inverse of the rate is a straight line; needs a positive end.

    .. math:: 1/\eta = x/\text{end} + (1-x)/\text{peak}

    WSD-S's decay.

    References:
        Wen et al., Understanding Warmup-Stable-Decay Learning Rates: A River Valley Loss Landscape
        Perspective, arXiv:2410.05192.
    """

    needs_end = True

    def rate(self, phase: Phase, peak: Any, end: Any) -> Any:
        from_end, from_peak = phase.done * peak, phase.left * end
        share = from_peak + from_end
        return peak * (from_peak / share) + end * (from_end / share)


def _sqrt(xp: Any, x: Any) -> Any:
    """The square root with gradient 0 at 0, where the true one is infinite and would make others
    nan."""
    positive = x > 0
    return xp.where(positive, xp.sqrt(xp.where(positive, x, 1.0)), 0.0)


linear: Profile = _Linear()
cosine: Profile = _Cosine()
mirror_cosine: Profile = _MirrorCosine()
one_minus_sqrt: Profile = _OneMinusSqrt()
one_minus_square: Profile = _OneMinusSquare()
exponential: Profile = _Exponential()
inverse: Profile = _Inverse()
