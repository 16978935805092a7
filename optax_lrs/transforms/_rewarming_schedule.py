"""Re-warming on the device: a schedule that starts again when the stream changes."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from optax_lrs._schedule import Schedule
from optax_lrs.transforms._live_schedule import RewarmingState, _on_the_mesh, _require_schedule, scale_by_live_schedule
from optax_lrs.transforms._loss_shift import LossShift


def scale_by_rewarming_schedule(
    schedule: Schedule, *, again: Schedule | None = None, detector: LossShift | None = None
) -> optax.GradientTransformationExtraArgs:
    r"""Scales updates by minus the rate of a schedule that starts again, on the device, at each boundary of a stream.

    With the boundaries :math:`b_1 < b_2 < \dots`, which nobody needs to know when the program is compiled,

    .. math:: u_t \leftarrow -\eta(t)\, u_t, \qquad \eta(t) = \begin{cases} \text{schedule}(t) & t < b_1 \\
              \text{again}(t - b_i) & b_i \le t < b_{i+1} \end{cases}

    It stands where :func:`scale_by_live_schedule` stands, the last of a chain, and is equal to it until the first
    boundary. Whoever knows of a change says so with the first batch of the new data::

        tx = optax.chain(optax.scale_by_adam(), olrs.scale_by_rewarming_schedule(first, again=olrs.Cosine(peak=3e-4, ...)))
        updates, opt_state = tx.update(grads, opt_state, params, boundary=shard_is_new)

    That update is the first of the new cycle: its rate is already ``again(0)``, as with ``rewarm(at=...)``, which is the
    choice where the steps are known. Nothing compiles anew: ``boundary`` is an argument of the step like the batch, as a
    Python bool, NumPy's or JAX's, and all three share one program. (A ``True`` written inside the compiled function is a
    constant of its program, and a boundary at every step.) Without ``boundary`` or with None nothing is new.

    A ``detector`` may say it instead, from the loss: ``tx.update(..., value=loss)``; the two are or-ed, and a boundary that
    is told restarts the detector. It is off by default: see :class:`LossShift` for what it finds and misses. ``value`` must
    be the same on every device; updates without one, as by ``TrainState.apply_gradients``, are not watched. Adam's moments
    stay as they are; the papers reset them (``tx.init`` for a new state).

    :func:`learning_rates` tells the rate, :func:`with_schedule` replaces both schedules or one; in the state ``live.count``
    counts all updates and ``boundary_count`` the boundaries. Inside ``optax.MultiSteps``, which drops the states of all
    but the last micro-batch, tell every micro-batch of the update; under ``optax.apply_if_finite`` a boundary that comes
    with a skipped update is lost.

    Args:
        schedule: the rate until the first boundary: of the first training, or what is left of it.
        again: the rate since a boundary, from its step 0: the warmup and decay of each new stream. None, the default:
            ``schedule`` itself.
        detector: a :class:`LossShift`; None, the default: boundaries are told, not found.

    Raises:
        TypeError: if a schedule is no :class:`Schedule` or the detector no :class:`LossShift`; from ``update``, if
            ``boundary`` is no bool.
        ValueError: from ``update``, if ``boundary`` or ``value`` is no scalar.

    Example:
        >>> from optax_lrs import Constant, Linear
        >>> tx = scale_by_rewarming_schedule(Constant(value=0.5), again=Linear(peak=1.0, total_steps=4, warmup_steps=2))
        >>> state = tx.init({})
        >>> for new in (False, False, True, False, False):
        ...     updates, state = tx.update({"w": jnp.ones(1)}, state, boundary=new)
        ...     print(updates["w"])
        [-0.5]
        [-0.5]
        [-0.]
        [-0.5]
        [-1.]

    References:
        Ibrahim et al., Simple and Scalable Strategies to Continually Pre-train Large Language Models, arXiv:2403.08763.
    """
    live = scale_by_live_schedule(schedule)
    if again is not None:
        _require_schedule(again)
    if detector is not None and not isinstance(detector, LossShift):
        raise TypeError(f"rewarming: detector must be a LossShift, got {detector!r:.80}")

    def init(params):
        zero = jnp.zeros((), jnp.int32)
        watch = None if detector is None else detector.begin()
        return RewarmingState(
            live.init(params), None if again is None else _on_the_mesh(again), zero, jnp.zeros((), jnp.int32), watch
        )

    def update(updates, state, params=None, *, boundary=None, value=None, **extra_args):
        del params, extra_args
        new, watch = _told(boundary), state.detector
        if detector is not None:
            shifted = jnp.zeros((), bool)
            if value is not None:
                shifted, watch = detector.seen(watch, value)
            watch = jax.tree.map(lambda a, b: jnp.where(new, a, b), detector.restarted(watch), watch)
            new = new | shifted
        since = jnp.where(new, 0, state.since_count)
        boundaries = state.boundary_count + new.astype(jnp.int32)
        first = state.live.schedule
        if state.again is None:
            rate = first(since)
        else:
            rate = jnp.where(boundaries > 0, state.again(since), first(state.live.count))
        # Negated before the cast and cast to each leaf's type, as optax.scale_by_learning_rate does.
        updates = jax.tree.map(lambda g: (-rate).astype(g.dtype) * g, updates)
        after = state.live._replace(count=optax.safe_increment(state.live.count), learning_rate=rate)
        return updates, RewarmingState(after, state.again, optax.safe_increment(since), boundaries, watch)

    return optax.GradientTransformationExtraArgs(init, update)


def _told(boundary: Any) -> jax.Array:
    if boundary is None:
        return jnp.zeros((), bool)
    new = jnp.asarray(boundary)
    if new.dtype != bool:
        raise TypeError(f"rewarming: boundary must be a bool, got {boundary!r:.60}")
    if new.shape != ():
        raise ValueError(f"rewarming: boundary must be a scalar, got one of shape {new.shape}")
    return jnp.zeros((), bool) | new  # on the mesh in force, as the state is
