"""The bound on the last iterate, for any rates and gradient norms."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from optax_lrs.theory._arrays import Inputs, Rates, prepared


class BoundTerms(NamedTuple):
    r"""The two terms of a bound.

    With the rates multiplied by :math:`\gamma`, the bound is :math:`T_1/\gamma + \gamma T_2`.
    """

    distance_term: Any  # T1: due to the distance from the start; falls as rates rise
    gradient_term: Any  # T2: due to the gradients of the steps; rises with the rates

    def bound(self, scale: Any = 1.0) -> Any:
        r"""The bound with all rates multiplied by ``scale``, :math:`\gamma`."""
        return self.distance_term / scale + scale * self.gradient_term

    @property
    def optimal_rate(self) -> Any:
        r"""The best factor on the rates, :math:`\gamma^* = \sqrt{T_1/T_2}`.

        It is infinite if all norms are zero.
        """
        with np.errstate(divide="ignore"):
            return (self.distance_term / self.gradient_term) ** 0.5

    @property
    def optimal_bound(self) -> Any:
        r"""The bound at the best factor, :math:`\Omega^* = 2\sqrt{T_1 T_2}`."""
        return 2.0 * self.distance_term**0.5 * self.gradient_term**0.5


def last_iterate_terms(
    lrs: Rates, grad_norms: Any = 1.0, distance: Any = 1.0, *, total_steps: int | None = None
) -> BoundTerms:
    r"""The two terms of the bound on the last iterate, in time and memory linear in the steps.

    For a convex function, subgradient steps :math:`x_{t+1} = x_t - \eta_t g_t` with
    :math:`\|g_t\| \le G_t` (or :math:`\mathbb{E}\|g_t\|^2 \le G_t^2`), :math:`t = 1 \dots T`, and
    :math:`D = \|x_1 - x_*\|`,

    .. math::

        \mathbb{E} f(x_T) - f_* \le \Omega_T = T_1 + T_2, \qquad
        T_1 = \frac{D^2}{2 \sum_{t=1}^T \eta_t}, \qquad
        T_2 = \frac12 \sum_{t=1}^T \frac{\eta_t^2 G_t^2}{\sum_{k=\min(t+1,\,T)}^T \eta_k} .

    This is the published double sum, rewritten exactly. All sums run from the tail and nothing is
    subtracted, so no digits are lost near the end: after a million steps the relative error is
    below 1e-13 in float64 and 1e-6 in float32.

    **Steps and the end.** ``lrs[s]`` is the rate of update s = 0, 1, …, as an Optax schedule
    counts, so :math:`\eta_t` = ``lrs[t - 1]``. The bound is on :math:`x_T`, the parameters at which
    the last gradient is taken. The last rate has not moved them, and a minimizer of the bound sets
    it freely (higher than its neighbor). It must still be positive (a schedule that reaches zero
    does so at step T, after the last update), and should not be tiny next to its neighbor: the
    bound grows with the ratio of the two. Zeros at the end move nothing: they and their norms are
    dropped, and T counts the updates up to the last positive rate. Zeros elsewhere are ordinary
    steps.

    Args:
        lrs: the rates, shape [T], not negative; or any ``optax.Schedule``, which is evaluated at
            the steps from 0 to ``total_steps`` - 1. Their scale matters: for a shape, compute the
            :func:`optimal_rate`.
        grad_norms: the norms of the gradients, shape [T], or one number for all; 1 by default.
        distance: the distance from the start to the optimum, a number; 1 by default.
        total_steps: the number of updates; required with a schedule.

    Returns:
        The terms. They are NumPy float64 if all inputs are NumPy's or Python's (no backend is
        started; the rates of a schedule without ``at`` are computed by JAX first), and
        differentiable JAX arrays if one input is JAX's or the schedule is traced.

    Raises:
        ValueError: if shapes do not match, ``total_steps`` is missing, a number is negative or not
            finite, or no rate is positive. With JAX arrays only shapes are checked, and without a
            positive rate the bound is infinite.
        TypeError: if an argument is not a number or an array of numbers.

    Example:
        >>> terms = last_iterate_terms([0.4, 0.3, 0.2, 0.1], grad_norms=[1.0, 2.0, 1.0, 0.5], distance=2.0)
        >>> print(f"{terms.distance_term:.6f} {terms.gradient_term:.6f}")
        2.000000 0.945833
        >>> print(f"{terms.optimal_rate:.6f} {terms.optimal_bound:.6f}")
        1.454145 2.750757

    References:
        Defazio, Cutkosky, Mehta and Mishchenko, arXiv:2310.07831, Theorem 10 (so cited by the code
        of the following; not verified).
        Schaipp, Hägele, Taylor, Simsekli and Bach, arXiv:2501.18965; formulas from the authors'
        code.
        The single sum: J. Su, kexue.fm/archives/11494.
    """
    return terms_of(prepared("last_iterate_terms", lrs, grad_norms, distance, total_steps))


def last_iterate_terms_and_gradient(
    lrs: Rates, grad_norms: Any = 1.0, distance: Any = 1.0, *, total_steps: int | None = None
) -> tuple[BoundTerms, BoundTerms]:
    r"""The terms and their gradients with respect to the rates, in O(T).

    For NumPy inputs it runs without JAX.

    With :math:`S_t = \sum_{k=t}^T \eta_k` and :math:`N_t = S_{\min(t+1,\,T)}`,

    .. math::

        \frac{\partial T_1}{\partial \eta_j} = -\frac{D^2}{2 S_1^2}, \qquad
        \frac{\partial T_2}{\partial \eta_j} = \frac{\eta_j G_j^2}{N_j}
          - \frac12 \sum_{t < j} \frac{\eta_t^2 G_t^2}{N_t^2} - \frac{G_T^2}{2} [j = T] .

    Use it with minimizers that run on the host. Multiply by the rates for the gradient in their
    logarithms. Zeros at the end are dropped, so their gradient is zero.

    Args:
        lrs, grad_norms, distance, total_steps: as for :func:`last_iterate_terms`.

    Returns:
        The terms, and their gradients, each of shape [T].

    Example:
        >>> terms, gradient = last_iterate_terms_and_gradient([1.0, 1.0])
        >>> terms
        BoundTerms(distance_term=np.float64(0.25), gradient_term=np.float64(1.0))
        >>> print(gradient.distance_term, gradient.gradient_term)
        [-0.125 -0.125] [1. 0.]
    """
    inputs = prepared("last_iterate_terms_and_gradient", lrs, grad_norms, distance, total_steps)
    xp, steps = inputs.xp, len(inputs.lrs)
    total, rates, ahead, used = _sums(inputs)
    last = xp.sum(used) - 1
    ratios = (rates * inputs.grad_norms / ahead) ** 2
    before = xp.cumsum(ratios) - xp.where(xp.arange(steps) == last, 0.0, ratios).astype(ratios.dtype)
    pull = rates * inputs.grad_norms**2 / ahead - 0.5 * before
    with np.errstate(divide="ignore"):
        push = -((inputs.distance / total) ** 2) / 2
    return terms_of(inputs), BoundTerms(xp.where(used, push, 0.0), xp.where(used, pull, 0.0))


def last_iterate_bound(
    lrs: Rates, grad_norms: Any = 1.0, distance: Any = 1.0, *, total_steps: int | None = None
) -> Any:
    r"""The bound on the last iterate at exactly these rates, :math:`\Omega_T = T_1 + T_2`.

    Use it for rates with the right scale, such as those of a run. To compare *shapes*, use
    :func:`optimal_bound`.

    Args:
        lrs, grad_norms, distance, total_steps: as for :func:`last_iterate_terms`.

    Returns:
        The bound, in NumPy or JAX as the terms of :func:`last_iterate_terms`.

    Example:
        >>> print(f"{last_iterate_bound([0.1] * 100):.6f}")
        0.358869
    """
    return terms_of(prepared("last_iterate_bound", lrs, grad_norms, distance, total_steps)).bound()


def optimal_rate(lrs: Rates, grad_norms: Any = 1.0, distance: Any = 1.0, *, total_steps: int | None = None) -> Any:
    r"""The factor on the rates that minimizes the bound, :math:`\gamma^* = \sqrt{T_1/T_2}`.

    If ``lrs`` is a shape with peak 1, this is its best base rate. It is proportional to
    ``distance`` / ``grad_norms``, which are unknown in practice: use *ratios* of it, between shapes
    and horizons, never its value.

    Args:
        lrs, grad_norms, distance, total_steps: as for :func:`last_iterate_terms`.

    Returns:
        The factor, in NumPy or JAX as the terms of :func:`last_iterate_terms`.

    Example:
        >>> import numpy as np
        >>> ratio = optimal_rate(1 - np.arange(400) / 400) / optimal_rate(np.ones(400))
        >>> print(f"linear decay needs {ratio:.2f} times the rate of a constant")
        linear decay needs 2.73 times the rate of a constant
    """
    return terms_of(prepared("optimal_rate", lrs, grad_norms, distance, total_steps)).optimal_rate


def optimal_bound(lrs: Rates, grad_norms: Any = 1.0, distance: Any = 1.0, *, total_steps: int | None = None) -> Any:
    r"""The bound of a shape at its best base rate; lower is better.

    .. math:: \Omega^* = 2\sqrt{T_1 T_2}

    It does not change when all rates are multiplied by a number. It is proportional to ``distance``
    · ``grad_norms``.

    Args:
        lrs, grad_norms, distance, total_steps: as for :func:`last_iterate_terms`.

    Returns:
        The bound, in NumPy or JAX as the terms of :func:`last_iterate_terms`.

    Example:
        >>> from optax_lrs import WSD, Cosine
        >>> short = WSD(peak=1.0, total_steps=400, decay_steps=80)
        >>> long = WSD(peak=1.0, total_steps=400, decay_steps=240)
        >>> for schedule in (short, Cosine(peak=1.0, total_steps=400), long):
        ...     print(f"{optimal_bound(schedule, total_steps=400):.4f}")
        0.1093
        0.1034
        0.1016
    """
    return terms_of(prepared("optimal_bound", lrs, grad_norms, distance, total_steps)).optimal_bound


def _sums(inputs: Inputs) -> tuple[Any, Any, Any, Any]:
    """The total of the rates, the rates, the sum ahead of each, and which steps are kept.

    For the last step, "ahead" is its own rate.
    """
    xp, lrs = inputs.xp, inputs.lrs
    steps = xp.arange(len(lrs))
    last = len(lrs) - 1 - xp.argmax(lrs[::-1] > 0)
    used = (steps <= last) & xp.any(lrs > 0)
    rates = xp.where(used, lrs, 0.0).astype(lrs.dtype)  # without gradients of dropped steps
    tails = xp.cumsum(rates[::-1])[::-1]
    ahead = xp.where(steps < last, xp.roll(tails, -1), tails)
    return tails[0], rates, xp.where(used, ahead, 1.0).astype(lrs.dtype), used


def terms_of(inputs: Inputs) -> BoundTerms:
    """The terms of prepared inputs."""
    xp, norms = inputs.xp, inputs.grad_norms
    total, rates, ahead, _ = _sums(inputs)
    with np.errstate(divide="ignore"):
        distance_term = inputs.distance**2 / (2.0 * total)
    return BoundTerms(distance_term, xp.sum(rates * norms * (rates * norms / ahead)) / 2.0)
