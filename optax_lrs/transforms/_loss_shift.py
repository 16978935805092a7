"""A detector of a change in the loss: one-sided, standardised CUSUM."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from optax_lrs._states import Roles
from optax_lrs._value import Value
from optax_lrs.transforms._metric import chosen

_LEAST = 1e-6  # of the mean: below it a deviation is float32's rounding


class LossShiftState(NamedTuple):
    """State of a :class:`LossShift`: what it remembers of the losses."""

    mean: jax.Array  # float32, shape (), replicated: of the losses
    variance: jax.Array  # float32, shape (), replicated: of the losses
    excess: jax.Array  # float32, shape (), replicated: the sum S; it is a shift when it exceeds the threshold
    count: jax.Array  # int32, shape (), replicated: the losses that mean and variance have seen
    rest_count: jax.Array  # int32, shape (), replicated: how many more losses pass unseen

    roles = Roles(counts=("count", "rest_count"))


class LossShift(Value):
    r"""Tells from the loss alone that the data have changed: a one-sided CUSUM of standardised losses.

    With the loss :math:`x_t`, its mean :math:`\mu` and standard deviation :math:`\sigma` so far, :math:`k` = ``drift``,
    :math:`h` = ``threshold``, :math:`c` = ``cap``, :math:`M` = ``memory_steps`` and :math:`n` losses seen,

    .. math:: z_t &= \operatorname{clip}\big((x_t - \mu)/\sigma,\, -c,\, c\big), \qquad S \leftarrow \max(0,\, S + z_t - k) \\
              \mu &\leftarrow \mu + a \sigma z_t, \qquad
              \sigma^2 \leftarrow (1 - a)(\sigma^2 + a \sigma^2 z_t^2), \qquad a = \max(1/n,\, 1/M)

    and a shift when :math:`S > h`. The first :math:`M` losses only teach it the mean and the variance, unclipped. After a
    shift, its own or one that it was told of, ``rest_steps`` losses pass unseen, for a new warmup makes a loss of its own,
    and then it learns anew. Only a rise counts: new data that are easier go unnoticed. A loss that is not finite is
    skipped. The cap keeps a single spike, however high, from being a shift: it takes h / (c - k) losses at least.

    The defaults, measured on 3.2 million losses of each kind (``benchmarks/loss_shift/loss_shift.py``): no false alarm where losses
    are independent, heavy-tailed (Student's t with 3 degrees of freedom), spiky, falling as a training's do, or correlated
    by 0.5 from one to the next; 55 per 100,000 with a correlation of 0.9 (4 with ``threshold=80``) and 88 with 0.99. So
    give it the loss of each batch, not a smoothed one. A jump of one standard deviation is found after 101 losses (median;
    99% within 1,000), of two after 29, of three after 18; in nine of ten cases within 166, 35 and 20. ``threshold=20``
    halves that, and costs 4 false alarms per 100,000 with a correlation of 0.5. Jumps below ``drift``, and slow drifts, are
    not found: the mean follows them.

    Args:
        threshold: :math:`h`, in standard deviations; positive.
        drift: :math:`k`, in standard deviations: what a loss may lie above the mean without telling anything; half of the
            smallest jump that matters is the classical choice. Not negative.
        memory_steps: :math:`M`; at least 2.
        rest_steps: the losses that pass unseen after a shift.
        cap: :math:`c`, in standard deviations; more than ``drift``.

    Raises:
        ValueError: if a number is out of its range.
        TypeError: if a count is no int or another number is none.

    Example:
        >>> detector = LossShift(memory_steps=10, threshold=5.0)
        >>> state = detector.begin()
        >>> for step, loss in enumerate([2.0, 2.1] * 10 + [2.5] * 10):
        ...     shifted, state = detector.seen(state, loss)
        ...     if shifted:
        ...         print(step)
        21

    References:
        Page, Continuous Inspection Schemes, Biometrika 41 (1954). The moving mean, the cap and the rest are ours.
    """

    threshold: float = 40.0
    drift: float = 0.5
    memory_steps: int = 500
    rest_steps: int = 200
    cap: float = 4.0

    def check(self):
        """Numbers in their ranges."""
        self.require(self.threshold > 0, "threshold must be positive", "threshold")
        self.require(self.drift >= 0, "drift must not be negative", "drift")
        self.require(self.cap > self.drift, "cap must be above drift, or no loss would count", "cap", "drift")
        self.require(2 <= self.memory_steps < 2**31 - 1, "memory_steps must be from 2 to 2**31 - 2", "memory_steps")
        self.require(self.rest_steps < 2**31 - 1, "rest_steps must be below 2**31 - 1", "rest_steps")

    def begin(self) -> LossShiftState:
        """The state before the first loss."""
        floats = (jnp.zeros((), jnp.float32) for _ in range(3))
        return LossShiftState(*floats, jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32))

    def restarted(self, state: LossShiftState) -> LossShiftState:
        """The state after a shift: nothing is known, and the next losses pass unseen."""
        empty = jax.tree.map(jnp.zeros_like, state)
        return empty._replace(rest_count=empty.rest_count + self.rest_steps)

    def seen(self, state: LossShiftState, value: Any) -> tuple[jax.Array, LossShiftState]:
        """Whether this loss, a scalar, makes a shift; and the state after it, restarted if it does."""
        if jnp.shape(value) != ():
            raise ValueError(
                f"value must be a scalar, got one of shape {jnp.shape(value)}: pass its mean over the batch"
            )
        return _seen(self, state, value)


@jax.jit
def _seen(detector: LossShift, state: LossShiftState, value: Any) -> tuple[jax.Array, LossShiftState]:
    """One program, for who calls it outside of a compiled step."""
    loss = jnp.zeros((), jnp.float32) + jnp.asarray(value, jnp.float32)  # on the mesh in force, as the state is
    finite, resting = jnp.isfinite(loss), state.rest_count > 0
    loss = jnp.where(finite, loss, state.mean)
    knows = state.count >= detector.memory_steps
    count = jnp.minimum(state.count + 1, detector.memory_steps)
    share = 1.0 / count.astype(jnp.float32)
    width = jnp.maximum(jnp.sqrt(state.variance), _LEAST * jnp.abs(state.mean) + 1e-30)
    away = loss - state.mean
    away = jnp.where(knows, jnp.clip(away, -detector.cap * width, detector.cap * width), away)
    excess = jnp.where(knows, jnp.maximum(state.excess + away / width - detector.drift, 0.0), 0.0)
    learnt = LossShiftState(
        mean=state.mean + share * away,
        variance=(1.0 - share) * (state.variance + share * away * away),
        excess=excess,
        count=count,
        rest_count=state.rest_count,
    )
    rested = state._replace(rest_count=jnp.maximum(state.rest_count - 1, 0))
    after = chosen(finite, chosen(resting, rested, learnt), state)
    shifted = after.excess > detector.threshold
    return shifted, chosen(shifted, detector.restarted(state), after)
