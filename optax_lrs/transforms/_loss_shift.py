"""Detecting a change of the data from the loss: a one-sided CUSUM of standardized losses."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from optax_lrs._float32 import on_mesh
from optax_lrs._states import Roles
from optax_lrs._value import Value
from optax_lrs.transforms._metric import chosen, require_scalar

_LEAST = 1e-6  # a standard deviation below this fraction of the mean is float32 rounding


class LossShiftState(NamedTuple):
    """State of a :class:`LossShift`."""

    mean: jax.Array  # float32, shape (), replicated: the mean of the losses
    variance: jax.Array  # float32, shape (), replicated: the variance of the losses
    excess: jax.Array  # float32, shape (), replicated: the sum S; a shift when it exceeds the threshold
    count: jax.Array  # int32, shape (), replicated: the number of losses in mean and variance, at most memory_steps
    rest_count: jax.Array  # int32, shape (), replicated: the number of losses still to ignore

    roles = Roles(counts=("count", "rest_count"))  # type: Roles


class LossShift(Value):
    r"""Detects from the loss alone that the training data have changed.

    A one-sided CUSUM of standardized losses. With the loss :math:`x_t`, its mean :math:`\mu` and
    standard deviation :math:`\sigma` so far, :math:`k` = ``drift``, :math:`h` = ``threshold``,
    :math:`c` = ``cap``, :math:`M` = ``memory_steps`` and :math:`n` losses seen,

    .. math:: z_t &= \operatorname{clip}\big((x_t - \mu)/\sigma,\, -c,\, c\big), \qquad
              S \leftarrow \max(0,\, S + z_t - k) \\
              \mu &\leftarrow \mu + a \sigma z_t, \qquad
              \sigma^2 \leftarrow (1 - a)(\sigma^2 + a \sigma^2 z_t^2), \qquad a = \max(1/n,\, 1/M)

    and a shift is reported when :math:`S > h`.

    Pass it to :func:`scale_by_rewarming_schedule` as ``detector``, or call it yourself, as in the
    example.

    The first :math:`M` losses only set the mean and the variance, and are not clipped. After a
    shift, whether detected or announced, ``rest_steps`` losses are ignored, because a new warmup
    changes the loss itself; then the mean and variance are estimated again. Only a rise counts:
    easier new data go unnoticed. A loss that is not finite is skipped. The cap keeps a single
    spike, however high, from being a shift: a shift takes at least h / (c - k) losses.

    **False alarms**, with the defaults, on 3.2 million losses of each kind
    (``benchmarks/loss_shift/loss_shift.py``): none where losses are independent, heavy-tailed
    (Student's t with 3 degrees of freedom), spiky, falling as during training, or correlated by 0.5
    from one to the next; 55 per 100,000 with a correlation of 0.9 (4 with ``threshold=80``) and 88
    with 0.99. So pass the loss of each batch, not a smoothed loss.

    **Delay**, with the defaults: a jump of one standard deviation is found after 101 losses
    (median; 99% within 1,000), of two after 29, of three after 18; in nine of ten cases within 166,
    35 and 20. ``threshold=20`` halves that, and costs 4 false alarms per 100,000 with a correlation
    of 0.5. Jumps below ``drift`` and slow drifts are not found, because the mean follows them.

    Args:
        threshold: :math:`h`, in standard deviations; positive.
        drift: :math:`k`, in standard deviations; not negative. The excess over the mean that is
            ignored. Half of the smallest jump that matters is the classical choice.
        memory_steps: :math:`M`; at least 2.
        rest_steps: the number of losses that are ignored after a shift.
        cap: :math:`c`, in standard deviations; more than ``drift``.

    Raises:
        ValueError: if a number is out of range.
        TypeError: if a count is not an int, or another argument not a number.

    Example:
        >>> detector = LossShift(memory_steps=10, threshold=5.0)
        >>> state = detector.begin()
        >>> for step, loss in enumerate([2.0, 2.1] * 10 + [2.5] * 10):
        ...     shifted, state = detector.seen(state, loss)
        ...     if shifted:
        ...         print(step)
        21

    References:
        Page, Continuous Inspection Schemes, Biometrika 41 (1954). The moving mean, the cap and the
        rest are ours.
    """

    threshold: float = 40.0
    drift: float = 0.5
    memory_steps: int = 500
    rest_steps: int = 200
    cap: float = 4.0

    def check(self) -> None:
        self.require(self.threshold > 0, "threshold must be positive", "threshold")
        self.require(self.drift >= 0, "drift must not be negative", "drift")
        self.require(self.cap > self.drift, "cap must be above drift, or no loss would count", "cap", "drift")
        self.require(2 <= self.memory_steps < 2**31 - 1, "memory_steps must be from 2 to 2**31 - 2", "memory_steps")
        self.require(self.rest_steps < 2**31 - 1, "rest_steps must be below 2**31 - 1", "rest_steps")

    def begin(self) -> LossShiftState:
        """Returns the state before the first loss."""
        return LossShiftState(
            mean=jnp.zeros((), jnp.float32),
            variance=jnp.zeros((), jnp.float32),
            excess=jnp.zeros((), jnp.float32),
            count=jnp.zeros((), jnp.int32),
            rest_count=jnp.zeros((), jnp.int32),
        )

    def restarted(self, state: LossShiftState) -> LossShiftState:
        """Returns the state after a shift: empty, with ``rest_steps`` losses to ignore."""
        empty = jax.tree.map(jnp.zeros_like, state)
        return empty._replace(rest_count=empty.rest_count + self.rest_steps)

    def seen(self, state: LossShiftState, value: Any) -> tuple[jax.Array, LossShiftState]:
        """Takes in one loss.

        Args:
            state: the state before this loss.
            value: the loss, a scalar.

        Returns:
            Whether this loss makes a shift (bool, shape ()), and the new state, restarted if it
            does.

        Raises:
            ValueError: if ``value`` is not a scalar.
        """
        require_scalar(type(self).__name__, "value", value)
        return _seen(self, state, value)


@jax.jit
def _seen(detector: LossShift, state: LossShiftState, value: Any) -> tuple[jax.Array, LossShiftState]:
    """``LossShift.seen`` as one program, for calls from outside a compiled step."""
    loss = on_mesh(value)
    finite, resting = jnp.isfinite(loss), state.rest_count > 0
    loss = jnp.where(finite, loss, state.mean)
    knows = state.count >= detector.memory_steps
    count = jnp.minimum(state.count + 1, detector.memory_steps)
    share = 1.0 / count.astype(jnp.float32)
    width = jnp.maximum(jnp.sqrt(state.variance), _LEAST * jnp.abs(state.mean) + 1e-30)
    away = loss - state.mean
    away = jnp.where(knows, jnp.clip(away, -detector.cap * width, detector.cap * width), away)
    excess = jnp.where(knows, jnp.maximum(state.excess + away / width - detector.drift, 0.0), 0.0)
    updated = LossShiftState(
        mean=state.mean + share * away,
        variance=(1.0 - share) * (state.variance + share * away * away),
        excess=excess,
        count=count,
        rest_count=state.rest_count,
    )
    rested = state._replace(rest_count=jnp.maximum(state.rest_count - 1, 0))
    after = chosen(finite, chosen(resting, rested, updated), state)
    shifted = after.excess > detector.threshold
    return shifted, chosen(shifted, detector.restarted(state), after)
