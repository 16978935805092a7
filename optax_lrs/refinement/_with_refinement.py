"""Repeated training of one task: each run records, and the next one starts from the refined schedule, on the device."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from optax_lrs._schedule import Schedule
from optax_lrs._states import Roles
from optax_lrs._states.found import nodes_in, states_in, with_nodes
from optax_lrs._value.arguments import number, whole
from optax_lrs.refinement._norms import POWERS, share_of
from optax_lrs.refinement._refine import knots_of
from optax_lrs.schedules import Tabulated
from optax_lrs.theory import refined_shape
from optax_lrs.transforms import (
    RecordGradNormState,
    record_grad_norm,
    scale_by_live_schedule,
    with_schedule,
)

_NORMS = {"sgd": "l2", "adam": "l1"}
_MOST = 4096  # norms that are all smoothed
_POINTS = 1024  # of longer runs, the steps at which they are
_BATCH = 2**20  # norms that are looked at together, so that a sweep over seeds has the memory


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """How the next run is refined: structure of the state, no leaf."""

    optimizer: str
    total_steps: int
    knots: int
    smoothing: float
    floor: float
    clamp_fraction: float


class RefinementState(NamedTuple):
    """State of :func:`with_refinement`."""

    record: RecordGradNormState  # the norms of the present run
    inner: Any  # of the optimizer that was made, a live schedule in it
    finished_runs: jax.Array  # int32, shape (), replicated: how many runs came before this one
    recipe: Recipe  # no leaf

    roles = Roles(
        nested=("record", "inner"),
        updates="record/count",  # in step with the schedule, unlike a recorder outside
        learned="inner",
        counts="finished_runs",
        structure="recipe",
    )


def with_refinement(
    make_optimizer: Callable[[optax.GradientTransformation], optax.GradientTransformation],
    schedule: Schedule,
    *,
    optimizer: str,
    total_steps: int,
    smoothing: float = 0.1,
    floor: float = 0.0,
    knots: int = 1024,
    clamp_fraction: float = 1e-3,
) -> optax.GradientTransformationExtraArgs:
    """An optimizer for training one task again and again: every run refines the schedule of the next.

    The first run follows ``schedule``. Each records the norms of its gradients, before whatever the optimizer does to
    them, and :func:`next_run` starts the next one from the schedule that they ask for, everything else fresh: on the
    device, in one program that never compiles anew, for all seeds of a sweep at a time. All of it is in the optimizer
    state, so that a checkpoint holds it::

        tx = olrs.with_refinement(
            lambda rate: optax.chain(optax.clip_by_global_norm(1.0), optax.scale_by_adam(), rate),
            olrs.Linear(peak=1e-3, total_steps=T), optimizer="adam", total_steps=T)
        restart = jax.jit(functools.partial(olrs.refinement.next_run, tx))
        opt_state = tx.init(params)
        for params in starts:                            # each trains T steps with tx.update, then:
            ...
            opt_state = restart(opt_state, params)

    ``learning_rates`` reads the applied rate, ``Run.from_state`` the present run, ``with_schedule`` replaces the schedule by
    another table of the same knots. One repetition is what the paper does; whether more of them help is measured in
    the benchmarks, not promised.

    The next schedule is that of :func:`refine` in float32; of runs longer than 4,096 steps the running median is taken at
    1,024 of them, which moves the schedule by up to 2% of the peak (relative noise of 30%, 5,000 steps; 0.2% at
    100,000). It is a table of ``knots`` entries, evenly spread; up to ``total_steps`` = ``knots``
    - 1 it has one at every step, above, the first run follows ``schedule`` on lines between them. The recorder keeps 4
    bytes a step, which donated cost the step nothing.

    Args:
        make_optimizer: builds the optimizer from the transformation that scales by the rate, which comes last in it:
            ``lambda rate: optax.chain(optax.scale_by_adam(), rate)``.
        schedule: the schedule of the first run.
        optimizer: ``"sgd"`` or ``"adam"``, as for :func:`refine`.
        total_steps: the length of every run. What comes after it is trained at the last rate and not recorded; of a run
            that is stopped earlier the last norm stands for the rest.
        smoothing, floor, clamp_fraction: as for :func:`refine`.
        knots: the entries of the table, at least 3.

    Raises:
        ValueError, TypeError: if an argument is out of its range, or the schedule is zero everywhere.

    Example:
        >>> import functools
        >>> from optax_lrs import Constant
        >>> tx = with_refinement(lambda rate: rate, Constant(value=0.5), optimizer="sgd", total_steps=4, smoothing=0.0)
        >>> update, restart = jax.jit(tx.update), jax.jit(functools.partial(next_run, tx))
        >>> state = tx.init({"w": jnp.zeros(1)})
        >>> for norm in (4.0, 2.0, 1.0, 1.0):
        ...     updates, state = update({"w": jnp.full(1, norm)}, state)
        >>> state = restart(state, {"w": jnp.zeros(1)})
        >>> print(state.inner.schedule.lrs.round(4))
        [0.0508 0.1875 0.5    0.25   0.    ]

    References:
        Defazio et al., When, Why and How Much? Adaptive Learning Rate Scheduling by Refinement, arXiv:2310.07831.
    """
    recipe = Recipe(
        optimizer=_known(optimizer),
        total_steps=whole("refined", "total_steps", total_steps),
        knots=whole("refined", "knots", knots),
        smoothing=share_of("smoothing", smoothing, highest=1.0),
        floor=number("refined", "floor", floor),
        clamp_fraction=share_of("clamp_fraction", clamp_fraction, highest=0.5),
    )
    if not isinstance(schedule, Schedule):
        raise TypeError(f"refined: schedule must be a Schedule, such as Constant(value=0.1), got {schedule!r:.80}")
    if recipe.total_steps < 2 or recipe.knots < 3:
        raise ValueError(f"refined: total_steps must be at least 2 and knots 3, got {total_steps} and {knots}")
    table = _table(schedule, recipe)
    if not 0 <= recipe.floor <= table.lrs.max() or not table.lrs.max() > 0:
        raise ValueError(f"refined: 0 <= floor <= peak must hold, got floor={floor} and a peak of {table.lrs.max():g}")
    record = record_grad_norm(norms=(_NORMS[optimizer],), steps=recipe.total_steps)
    inner = optax.with_extra_args_support(make_optimizer(scale_by_live_schedule(table)))

    def init(params):
        return RefinementState(record.init(params), inner.init(params), jnp.zeros((), jnp.int32), recipe)

    def update(updates, state, params=None, **extra_args):
        updates, recorded = record.update(updates, state.record, params)
        updates, within = inner.update(updates, state.inner, params, **extra_args)
        return updates, RefinementState(recorded, within, state.finished_runs, state.recipe)

    return optax.GradientTransformationExtraArgs(init, update)


def next_run(tx: optax.GradientTransformation, opt_state: Any, params: Any) -> Any:
    """The state in which the next run starts: fresh, but for the schedule, which is refined from the run that ended.

    To be jitted, and vmapped over seeds: ``jax.vmap(functools.partial(next_run, tx))(opt_states, params)``. The peak stays
    that of the run that ended. A run with fewer than two finite norms, or mostly norms of zero, leaves its schedule as it
    was: nothing is raised on a device.

    Args:
        tx: an optimizer with a :func:`with_refinement` in it, at any depth; several are refined each for itself.
        opt_state: its state at the end of a run.
        params: the parameters that the next run starts from.

    Raises:
        ValueError: if there is no :func:`with_refinement` in the state.
    """
    is_refined = lambda node: isinstance(node, RefinementState)  # noqa: E731
    ended = [node for _, node in nodes_in(opt_state, is_refined)]
    following = iter(ended)

    def started(fresh: RefinementState) -> RefinementState:
        old = next(following)
        inner = with_schedule(fresh.inner, _refined_table(old))
        return fresh._replace(inner=inner, finished_runs=old.finished_runs + 1)

    state = with_nodes(tx.init(params), is_refined, started)
    if not ended:
        raise ValueError("next_run: there is no with_refinement(...) in this optimizer state")
    return state


def _refined_table(state: RefinementState) -> Tabulated:
    """As :func:`optax_lrs.refine`, in JAX, and in float32."""
    recipe = state.recipe
    live = next(schedule for found in states_in(state.inner) for _, schedule in found.values("live_schedules"))
    at, old = knots_of(recipe.total_steps, recipe.knots), live
    (norms,) = state.record.store.norms.values()
    norms, enough = _without_gaps(norms)
    smooth = _running_median(norms, recipe.smoothing)
    middle = jnp.median(smooth)
    usable = enough & (middle > 0)
    smooth = jnp.where(usable, jnp.maximum(smooth, recipe.clamp_fraction * middle), 1.0)
    shape = refined_shape(jnp.append(smooth, smooth[-1]), power=POWERS[recipe.optimizer])
    # The shape stands at even times and the knots at whole steps; both are known when this is traced.
    place = at * (len(smooth) / recipe.total_steps)
    low = np.minimum(place.astype(np.int64), len(smooth) - 1)
    part = jnp.asarray(place - low, jnp.float32)
    shares = shape[low] * (1 - part) + shape[low + 1] * part
    peak = jnp.max(old.lrs)
    lrs = jnp.maximum(peak * (shares / jnp.max(shares)), recipe.floor)
    return old.replace(lrs=jnp.where(usable, lrs, old.lrs))


def _without_gaps(norms: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The norms with lines over what is not finite, constant at the ends; and whether two of them are finite."""
    index, count = jnp.arange(norms.shape[0]), norms.shape[0]
    known = jnp.isfinite(norms)
    before = jax.lax.cummax(jnp.where(known, index, -1))
    after = jax.lax.cummin(jnp.where(known, index, count), reverse=True)
    left, right = jnp.where(before < 0, after, before), jnp.where(after == count, before, after)
    left, right = jnp.clip(left, 0, count - 1), jnp.clip(right, 0, count - 1)
    part = (index - left) / jnp.maximum(right - left, 1)
    values = jnp.where(known, norms, 0.0)
    return values[left] * (1 - part) + values[right] * part, jnp.sum(known) >= 2


def _running_median(norms: jax.Array, smoothing: float) -> jax.Array:
    """The running median of ``refine``, at every step or at enough of them, by bisection: sorting takes ten times as long."""
    count = norms.shape[0]
    half = int(smoothing * count) // 2
    width = 2 * half + 1
    mirrored = norms[count - 1 - half : count - 1][::-1]
    padded = jnp.concatenate([jnp.full((half,), norms[0]), norms, mirrored])
    at = np.arange(count) if count <= _MOST else np.arange(_POINTS, dtype=np.int64) * count // _POINTS
    bits = jax.lax.bitcast_convert_type(padded, jnp.int32)  # of numbers that are not negative, in their order

    def median_from(start):
        window = jax.lax.dynamic_slice(bits, (start,), (width,))

        def halved(_, bounds):  # the lowest number that more than half of the window does not exceed
            low, high = bounds
            middle = low + (high - low) // 2
            reached = jnp.sum(window <= middle) > half
            return jnp.where(reached, low, middle + 1), jnp.where(reached, middle, high)

        low, _ = jax.lax.fori_loop(0, 31, halved, (jnp.int32(0), jnp.int32(2**31 - 1)))
        return jax.lax.bitcast_convert_type(low, jnp.float32)

    return jax.lax.map(median_from, jnp.asarray(at, jnp.int32), batch_size=min(max(_BATCH // width, 1), len(at)))


def _table(schedule: Schedule, recipe: Recipe) -> Tabulated:
    at = knots_of(recipe.total_steps, recipe.knots)
    steps = None if len(at) == recipe.total_steps + 1 else at.tolist()
    return Tabulated(lrs=schedule.at(at), steps=steps)


def _known(optimizer: str) -> str:
    if optimizer not in POWERS:
        raise ValueError(f"refined: optimizer must be 'sgd' or 'adam', got {optimizer!r}")
    return optimizer
