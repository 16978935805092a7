"""Closed forms: the bounds of WSD, a constant and linear decay, and worst-case optima."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from optax_lrs import profiles
from optax_lrs._clock import Clock
from optax_lrs._value.arguments import instance, known_number, whole
from optax_lrs.theory._guaranteed import GuaranteedRates
from optax_lrs.theory._last_iterate import BoundTerms, last_iterate_terms


class Tail(NamedTuple):
    """The end of a schedule: all that the bound depends on if the norms are equal."""

    total: float  # the sum of its rates
    noise: float  # the sum of η² over the sum of later rates: 2 T₂ of the tail alone, at norms of 1

    def scaled(self, by: float) -> Tail:
        """The tail with all rates multiplied by a number."""
        return Tail(by * self.total, by * self.noise)

    def after_plateau(self, steps: int) -> Tail:
        """The tail after ``steps`` steps of rate 1.

        They add the sum of 1/(total + j) over j < steps: a difference of two digammas.
        """
        from scipy.special import digamma

        return Tail(steps + self.total, digamma(steps + self.total) - digamma(self.total) + self.noise)

    @property
    def terms(self) -> BoundTerms:
        """The terms of the bound for norms and a distance of 1."""
        return BoundTerms(np.float64(0.5 / self.total), np.float64(0.5 * self.noise))


def cooldown(owner: str, decay_steps: int, decay: profiles.Profile) -> Tail:
    """The cooldown of WSD; without one, the last step of a constant.

    Costs O(1) for a linear cooldown, O(decay_steps) for others.
    """
    instance(owner, "decay", decay, profiles.Profile, example="profiles.linear")
    if decay.needs_end:
        raise ValueError(f"{owner}: decay must fall to zero, got {decay!r}, which needs a positive end")
    if decay_steps <= 1:
        return Tail(1.0, 1.0)
    if decay == profiles.linear:
        from scipy.special import digamma

        harmonic = digamma(decay_steps) + np.euler_gamma  # 1 + 1/2 + … + 1/(decay_steps - 1)
        return Tail((decay_steps + 1) / 2, (1 + 2 * (decay_steps - 1 + harmonic)) / decay_steps)
    rates = decay.rate(Clock.of_host(np.arange(decay_steps)).phase(0, decay_steps), 1.0, 0.0)
    terms = last_iterate_terms(rates)
    return Tail(0.5 / terms.distance_term, 2.0 * terms.gradient_term)


def wsd(owner: str, total_steps: int, decay_steps: int, decay: profiles.Profile) -> Tail:
    """A whole run of WSD."""
    return cooldown(owner, decay_steps, decay).after_plateau(total_steps - max(decay_steps, 1))


def wsd_terms(
    *,
    total_steps: int,
    decay_steps: int,
    grad_norm: float = 1.0,
    distance: float = 1.0,
    decay: profiles.Profile = profiles.linear,
) -> BoundTerms:
    r"""The two terms of the bound for WSD with peak 1 and equal norms, in closed form.

    They equal :func:`last_iterate_terms` of those rates. With :math:`T` = ``total_steps``,
    :math:`d` = ``decay_steps`` > 1, linear decay, :math:`S = (d + 1)/2`, harmonic numbers :math:`H`
    and the digamma function :math:`\psi`,

    .. math::

        T_1 = \frac{D^2}{2 (T - d + S)}, \qquad
        T_2 = \frac{G^2}{2} \Big[ \psi(T - d + S) - \psi(S)
          + \frac{1 + 2 (d - 1 + H_{d-1})}{d} \Big] .

    Both extremes are included. ``decay_steps=total_steps`` is linear decay. ``decay_steps=0`` is
    the constant, with :math:`T_2 = \frac{G^2}{2} (1 + H_{T-1})`; its
    :math:`\Omega^* = (DG/\sqrt T) \sqrt{1 + H_{T-1}}` carries a factor that grows with
    :math:`\log T`, which a cooldown over a share of the run avoids. Any horizon costs the same;
    with a profile other than linear, the cost is proportional to ``decay_steps``.

    Unlike the paper, whose closed form for WSD bounds :math:`\Omega^*` from above (by a fifth to a
    quarter), this is exact.

    Args:
        total_steps: the length of the run; there is no warmup.
        decay_steps: the length of the cooldown; at its end, after the last update, the rate is 0.
        grad_norm: the norm of all gradients, positive; 1 by default.
        distance: the distance from the start to the optimum, positive; 1 by default.
        decay: the profile of the cooldown, as for :class:`optax_lrs.WSD`; linear by default. It
            must not need an end.

    Returns:
        The terms, which give the optimal rate (of the plateau), the optimal bound, and the bound at
        any rate.

    Raises:
        ValueError: if there are no steps, the cooldown is longer than the run, a number is not
            positive, or the profile needs an end.
        TypeError: if a count is not an int, another number is not a number, or ``decay`` is not a
            profile.

    Example:
        >>> for decay_steps in (0, 200_000, 1_000_000):
        ...     terms = wsd_terms(total_steps=1_000_000, decay_steps=decay_steps)
        ...     print(f"{terms.optimal_bound:.6f}")
        0.003923
        0.002160
        0.002000

    References:
        Schaipp et al., arXiv:2501.18965, for the bound and the constant; WSD's sum is ours.
    """
    total_steps, decay_steps = run_of("wsd_terms", total_steps, decay_steps)
    grad_norm, distance = _positive("wsd_terms", grad_norm=grad_norm, distance=distance)
    terms = wsd("wsd_terms", total_steps, decay_steps, decay).terms
    return BoundTerms(terms.distance_term * distance**2, terms.gradient_term * grad_norm**2)


def worst_case_optimum(*, total_steps: int, grad_norm: float = 1.0, distance: float = 1.0) -> GuaranteedRates:
    r"""The rates with the best worst-case guarantee, which is linear decay, and that guarantee.

    .. math::

        \eta_t = \frac{D}{G \sqrt T} \Big(1 - \frac tT\Big), \quad t = 1 \dots T, \qquad
        f(x_T) - f_* \le \frac{DG}{\sqrt T} .

    No subgradient method does better on all convex functions with these :math:`D` and :math:`G`. So
    linear decay is the schedule to start with while nothing is known about the task; once norms are
    known, refine instead.

    :math:`T` counts points, as in the paper: the last rate is zero, and T - 1 updates lead to
    :math:`x_T`. The guarantee is half of the :func:`optimal_bound` of the same shape, which holds
    for any rates and is looser.

    Args:
        total_steps: the number of points, T.
        grad_norm: a bound on the norms of the gradients, positive; 1 by default.
        distance: the distance from the start to the optimum, positive; 1 by default.

    Returns:
        The rates, float64 of shape [total_steps], and the bound.

    Raises:
        ValueError: if there are no steps, or a number is not positive.
        TypeError: if an argument is not a number.

    Example:
        >>> print(worst_case_optimum(total_steps=4))
        GuaranteedRates(lrs=array([0.375, 0.25 , 0.125, 0.   ]), bound=0.5)

    References:
        Defazio et al., arXiv:2310.07831 (the constants are recalled, and proved again by this
        package's tests).
    """
    owner = "worst_case_optimum"
    total_steps, _ = run_of(owner, total_steps, 0)
    grad_norm, distance = _positive(owner, grad_norm=grad_norm, distance=distance)
    left = np.arange(total_steps - 1, -1, -1) / total_steps
    return GuaranteedRates(left * (distance / (grad_norm * total_steps**0.5)), distance * grad_norm / total_steps**0.5)


def run_of(
    owner: str, total_steps: int, decay_steps: int, names: tuple[str, str] = ("total_steps", "decay_steps")
) -> tuple[int, int]:
    """The two lengths, checked; ``names`` are their names in error messages."""
    total, decay = whole(owner, names[0], total_steps, low=1), whole(owner, names[1], decay_steps)
    if decay > total:
        raise ValueError(f"{owner}: {names[1]} must be at most {names[0]}, got {decay} of {total}")
    return total, decay


def _positive(owner: str, **values: float) -> list[float]:
    return [known_number(owner, name, value, above=0) for name, value in values.items()]
