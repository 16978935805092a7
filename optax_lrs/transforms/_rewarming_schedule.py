"""Re-warming on the device: a schedule that starts again when the data change."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from optax_lrs._float32 import on_mesh
from optax_lrs._schedule import Schedule
from optax_lrs._states.count import next_step
from optax_lrs._value.arguments import instance
from optax_lrs.transforms._live_schedule import EXAMPLE, RewarmingState, advanced, descent, live_state
from optax_lrs.transforms._loss_shift import LossShift

_OWNER = "scale_by_rewarming_schedule"


def scale_by_rewarming_schedule(
    schedule: Schedule, *, again: Schedule | None = None, detector: LossShift | None = None
) -> optax.GradientTransformationExtraArgs:
    r"""Scales updates by the negative rate of a schedule that starts again when the data change.

    With boundaries at steps :math:`b_1 < b_2 < \dots`, which may be unknown when the program is
    compiled,

    .. math:: u_t \leftarrow -\eta(t)\, u_t, \qquad
              \eta(t) = \begin{cases} \text{schedule}(t) & t < b_1 \\
              \text{again}(t - b_i) & b_i \le t < b_{i+1} \end{cases}

    Place it last in a chain, where :func:`scale_by_live_schedule` would go. Until the first
    boundary both are equal. Announce a change with the first batch of the new data::

        again = olrs.Cosine(peak=3e-4, ...)
        rate = olrs.scale_by_rewarming_schedule(first, again=again)
        tx = optax.chain(optax.scale_by_adam(), rate)
        updates, opt_state = tx.update(grads, opt_state, params, boundary=shard_is_new)

    That update is the first of the new cycle: its rate is already ``again(0)``, as with
    ``rewarm(at=...)``. Use ``rewarm`` where the steps of the boundaries are known in advance.

    **The extra argument** ``boundary`` is an argument of the training step, as the batch is: a bool
    of Python, NumPy or JAX. All three share one program, and nothing recompiles. (A literal
    ``True`` written inside the compiled function is a constant of its program, and so a boundary at
    every step.) Without ``boundary``, or with None, there is no boundary.

    **The extra argument** ``value`` is the loss, for a ``detector``:
    ``tx.update(..., value=loss)``. The detector finds boundaries by itself. A step is
    a boundary if it is announced
    or detected; an announced boundary restarts the detector. There is no detector by default: see
    :class:`LossShift` for what it finds and what it misses. ``value`` must be the same on every
    device. The detector does not see updates without ``value``, such as those of
    ``TrainState.apply_gradients``.

    Adam's moments are kept; the papers reset them (``tx.init`` makes a new state).

    :func:`learning_rates` reports the rate, and :func:`with_schedule` replaces both schedules or
    one of them. In the state, ``live.count`` counts all updates and ``boundary_count`` the
    boundaries. Inside ``optax.MultiSteps``, which drops the states of all but the last micro-batch,
    pass ``boundary`` with every micro-batch of the update. Under ``optax.apply_if_finite`` a
    boundary that comes with a skipped update is lost. **Cost**: four scalars of state and the
    numbers of the schedules; five scalars more for the detector.

    Args:
        schedule: the rate until the first boundary: of the first training, or what is left of it.
        again: the rate after a boundary, counted from its step 0: the warmup and decay for each new
            part of the data. None, the default: ``schedule`` itself.
        detector: finds boundaries from the loss. None, the default: boundaries are only announced.

    Returns:
        The transform; its state is a :class:`RewarmingState`.

    Raises:
        TypeError: if a schedule is not a :class:`Schedule` or ``detector`` not a
            :class:`LossShift`; from ``update``, if ``boundary`` is not a bool.
        ValueError: from ``update``, if ``boundary`` or ``value`` is not a scalar.

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
        Ibrahim et al., Simple and Scalable Strategies to Continually Pre-train Large Language
        Models, arXiv:2403.08763.
    """
    instance(_OWNER, "schedule", schedule, Schedule, example=EXAMPLE)
    if again is not None:
        instance(_OWNER, "again", again, Schedule, example=EXAMPLE)
    if detector is not None:
        instance(_OWNER, "detector", detector, LossShift, example="LossShift()")

    def init(params: Any) -> Any:
        del params
        watch = None if detector is None else detector.begin()
        later = None if again is None else jax.tree.map(on_mesh, again)
        return RewarmingState(live_state(schedule), later, jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32), watch)

    def update(
        updates: Any, state: Any, params: Any = None, *, boundary: Any = None, value: Any = None, **extra_args: Any
    ) -> Any:
        del params, extra_args
        new, watch = _announced(boundary), state.detector
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
        after = advanced(state.live, rate)
        return descent(updates, rate), RewarmingState(after, state.again, next_step(since), boundaries, watch)

    return optax.GradientTransformationExtraArgs(init, update)


def _announced(boundary: Any) -> jax.Array:
    """Whether the caller announces a boundary: bool, shape (), on the mesh in force."""
    if boundary is None:
        return jnp.zeros((), bool)
    new = jnp.asarray(boundary)
    if new.dtype != bool:
        raise TypeError(f"{_OWNER}: boundary must be a bool, got {boundary!r:.60}")
    if new.shape != ():
        raise ValueError(f"{_OWNER}: boundary must be a scalar, got shape {new.shape}")
    return jnp.zeros((), bool) | new
