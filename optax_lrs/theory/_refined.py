"""Refinement in closed form: the schedule implied by recorded gradient norms."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from optax_lrs._value.arguments import known_number
from optax_lrs.theory._guaranteed import GuaranteedRates


def refined_shape(grad_norms: Any, *, power: float) -> Any:
    r"""The refined schedule of recorded gradient norms, as a share of its peak.

    With the norms :math:`G_1 \dots G_T` of one run and :math:`w_t = G_t^{-p}`,

    .. math:: \eta_t \propto w_t \sum_{k=t+1}^T w_k, \qquad \max_t \eta_t = 1 .

    Each step's weight, times the sum of all later weights. Large norms at the start become a
    warmup. The sum of later weights becomes the decay to zero, exactly linear where the norms are
    constant; norms that grow towards the end make it faster. How a rate compares with later rates
    depends only on the norms from its step on. The last rate is always zero, which would waste an
    update: give one norm more than there are updates, as :func:`optax_lrs.refine` does.

    The sum runs from the end, because a total minus a running sum has no correct digit there. The
    result is exact to a few roundings in float64, and to about 1e-6 in float32 over a million
    steps. Norms are divided by the smallest first, so nothing overflows.

    Args:
        grad_norms: the norms, shape [T], positive, at least two; smooth them first.
        power: 2 with l2 norms, for SGD; 1 with l1 norms, for Adam and other coordinate-wise
            optimizers.

    Returns:
        The shares, shape [T], from 0 to 1: NumPy float64, or a JAX array that is differentiable in
        the norms if they are one.

    Raises:
        ValueError: if there are fewer than two norms, a norm is not positive and finite, or
            ``power`` is not positive. For JAX arrays only the shape is checked.
        TypeError: if a norm is not a number.

    Example:
        >>> print(refined_shape([4.0, 2.0, 1.0, 1.0, 2.0], power=2))
        [0.125 0.45  1.    0.2   0.   ]
        >>> print(refined_shape([3.0, 3.0, 3.0, 3.0, 3.0], power=1))
        [1.   0.75 0.5  0.25 0.  ]

    References:
        Defazio, Cutkosky, Mehta and Mishchenko, arXiv:2310.07831; formula and powers as in the
        authors' code.
    """
    power = known_number("refined_shape", "power", power, above=0)
    xp, norms, smallest = _norms("refined_shape", grad_norms)
    weights = (norms / smallest) ** -power
    raw = weights * _ahead(xp, weights)
    return raw / xp.max(raw)


def refined_rates(grad_norms: Any, distance: Any = 1.0) -> GuaranteedRates:
    r"""The refined rates of SGD in absolute size, and the bound that they guarantee.

    With :math:`D` the distance from the start to the optimum and :math:`Q = \sum_{t=1}^T G_t^{-2}`,

    .. math::

        \eta_t = \frac{D}{Q^{3/2}}\, G_t^{-2} \sum_{k=t+1}^T G_k^{-2}, \qquad
        \mathbb{E} f(x_T) - f_* \le \frac{D}{\sqrt Q}

    for a convex function whose subgradients have these norms. Constant norms :math:`G` give
    :math:`\frac{D}{G\sqrt T} (1 - t/T)` and :math:`DG/\sqrt T`. Use it for theory and tests. In
    practice the distance is unknown, and you tune the peak of :func:`refined_shape`.

    Args:
        grad_norms: l2 norms, shape [T], positive, at least two.
        distance: :math:`D`, a number; 1 by default.

    Returns:
        The rates, shape [T], and the bound: NumPy float64, or JAX arrays if one input is JAX's.

    Raises:
        ValueError, TypeError: as :func:`refined_shape`.

    Example:
        >>> lrs, bound = refined_rates([4.0, 2.0, 1.0, 1.0, 2.0], distance=3.0)
        >>> print(lrs.round(4), round(float(bound), 4))
        [0.1143 0.4114 0.9142 0.1828 0.    ] 1.8741

    References:
        Defazio, Cutkosky, Mehta and Mishchenko, arXiv:2310.07831; the rates as in J. Su,
        kexue.fm/archives/11530, the bound recalled and derived from the same theorem.
    """
    if isinstance(distance, jax.Array):
        grad_norms = jnp.asarray(grad_norms)
    xp, norms, smallest = _norms("refined_rates", grad_norms)
    weights = (norms / smallest) ** -2
    total = xp.sum(weights)
    lrs = (distance / smallest) * weights * (_ahead(xp, weights) / total**1.5)
    return GuaranteedRates(lrs, distance * smallest / total**0.5)


def _norms(owner: str, grad_norms: Any) -> tuple[ModuleType, Any, Any]:
    """The array namespace, the norms in it, and the smallest norm.

    The smallest norm cancels in every result, so no gradient flows through it.
    """
    if isinstance(grad_norms, jax.Array):
        xp, norms = jnp, grad_norms.astype(jnp.promote_types(grad_norms.dtype, jnp.float32))
    else:
        xp, norms = np, np.asarray(grad_norms)
        if norms.dtype.kind not in "iuf":
            raise TypeError(f"{owner}: grad_norms must be real numbers, got {norms!r:.60}")
        norms = norms.astype(np.float64)
    if norms.ndim != 1 or len(norms) < 2:
        raise ValueError(f"{owner}: grad_norms must be a 1-D array of two or more norms, got shape {norms.shape}")
    if xp is np and not np.all((norms > 0) & (norms < np.inf)):
        raise ValueError(f"{owner}: grad_norms must be positive and finite, got {norms!r:.60}")
    return xp, norms, xp.min(norms) if xp is np else jax.lax.stop_gradient(xp.min(norms))


def _ahead(xp: ModuleType, weights: Any) -> Any:
    """The sum of all later weights; zero for the last."""
    tails = np.cumsum(weights[::-1])[::-1] if xp is np else jax.lax.cumsum(weights, reverse=True)
    return xp.concatenate([tails[1:], xp.zeros(1, weights.dtype)])
