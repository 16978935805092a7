"""The bound at the steps of a run, before its end."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from optax_lrs.theory._arrays import Inputs, Rates, prepared
from optax_lrs.theory._last_iterate import terms_of


def bound_along_run(
    lrs: Rates, grad_norms: Any = 1.0, distance: Any = 1.0, *, at: Any, total_steps: int | None = None
) -> Any:
    r"""The bound at chosen steps of a run, :math:`\Omega_t` for :math:`t` = ``at`` + 1.

    This is the counterpart of a loss curve. Entry i bounds the gap at the parameters of step
    ``at[i]``, before its update, where ``Run.losses`` are taken. It is the
    :func:`last_iterate_bound` of the rates up to that step, and shows what a cooldown gains: a
    small slope on the plateau, a drop in the cooldown. The rates must have the right scale:
    multiply a shape by its :func:`optimal_rate` first.

    Each step costs a sum over the steps before it (its square in the paper's form): a hundred steps
    of a run of 200,000 take well under a second. With JAX arrays, memory does not grow with the
    number of steps in ``at``.

    Args:
        lrs: the rates, shape [T]; or any ``optax.Schedule``, with ``total_steps``.
        grad_norms: the norms of the gradients, shape [T], or one number for all; 1 by default.
        distance: the distance from the start to the optimum, a number; 1 by default.
        at: the steps, from 0 to T - 1: an int or a 1-D array of ints, known at trace time.
        total_steps: the number of updates; required with a schedule.

    Returns:
        The bounds, with the shape of ``at``; infinite at steps before the first positive rate takes
        effect.

    Raises:
        ValueError: if a step is not in the run; and as :func:`last_iterate_terms`.
        TypeError: if the steps are not ints; and as :func:`last_iterate_terms`.

    Example:
        >>> from optax_lrs import WSD, theory
        >>> shape = WSD(peak=1.0, total_steps=400, decay_steps=80).at(range(400))
        >>> print(bound_along_run(shape * theory.optimal_rate(shape), at=[0, 160, 320, 360, 399]).round(3))
        [19.718  0.207  0.155  0.131  0.109]

    References:
        Schaipp et al., arXiv:2501.18965.
    """
    inputs = prepared("bound_along_run", lrs, grad_norms, distance, total_steps)
    steps, count = np.asarray(at), len(inputs.lrs)
    if steps.ndim > 1 or (steps.size and steps.dtype.kind not in "iu"):
        raise TypeError(f"bound_along_run: at must be an int or a 1-D array of ints, got {at!r:.60}")
    if np.any((steps < 0) | (steps >= count)):
        raise ValueError(f"bound_along_run: at must be steps of the run, from 0 to {count - 1}, got {at!r:.60}")

    if inputs.xp is np:

        def until(step: int) -> Any:
            lrs, norms = inputs.lrs[: step + 1], inputs.grad_norms[: step + 1]
            return terms_of(Inputs(np, lrs, norms, inputs.distance)).bound()

        return np.array([until(step) for step in steps.reshape(-1).tolist()], np.float64).reshape(steps.shape)[()]

    def masked(step: jax.Array) -> jax.Array:  # zeros at the end are dropped, so a mask acts as a slice
        lrs = jnp.where(jnp.arange(count, dtype=jnp.int32) <= step, inputs.lrs, 0.0).astype(inputs.lrs.dtype)
        return terms_of(inputs._replace(lrs=lrs)).bound()

    return jax.lax.map(masked, jnp.asarray(steps.reshape(-1), jnp.int32)).reshape(steps.shape)
