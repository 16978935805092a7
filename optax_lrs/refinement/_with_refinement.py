"""Repeated training of one task: each run refines the schedule of the next."""

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
from optax_lrs._value import flax_serialization
from optax_lrs._value.arguments import instance, number, share, whole
from optax_lrs.refinement._norms import POWERS, known_optimizer
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
_MOST = 4096  # norms: up to so many, all are smoothed
_POINTS = 1024  # the norms that are smoothed in longer runs
_BATCH = 2**20  # norms that are smoothed together, so that a sweep over seeds fits into memory


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """The arguments of refinement: part of the structure of the state, without leaves."""

    optimizer: str
    total_steps: int
    knots: int
    smoothing: float
    floor: float
    clamp_fraction: float


flax_serialization.offer_structure(Recipe)


class RefinementState(NamedTuple):
    """State of :func:`with_refinement`."""

    record: RecordGradNormState  # the norms of the present run
    inner: Any  # the state of the optimizer, with a live schedule in it
    finished_runs: jax.Array  # int32, shape (), replicated: the number of earlier runs
    recipe: Recipe  # without leaves

    roles = Roles(
        nested=("record", "inner"),
        updates="record/count",  # in step with the schedule, unlike a recorder outside
        learned="inner",
        counts="finished_runs",
        structure="recipe",
    )  # type: Roles


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
    """Wraps an optimizer for repeated training: each run refines the schedule of the next.

    The first run follows ``schedule``. Each run records the norms of its gradients, before the
    optimizer changes them. :func:`next_run` then starts the next run from the schedule refined from
    these norms, everything else fresh: on the device, in one program that never recompiles, for all
    seeds of a sweep at once. All of it is in the optimizer state, so a checkpoint holds it::

        tx = olrs.with_refinement(
            lambda rate: optax.chain(optax.clip_by_global_norm(1.0), optax.scale_by_adam(), rate),
            olrs.Linear(peak=1e-3, total_steps=T), optimizer="adam", total_steps=T)
        restart = jax.jit(functools.partial(olrs.refinement.next_run, tx))
        opt_state = tx.init(params)
        for params in starts:                            # each trains T steps with tx.update, then:
            ...
            opt_state = restart(opt_state, params)

    ``learning_rates`` reads the applied rate, ``Run.from_state`` the present run, ``with_schedule``
    replaces the schedule by another table of the same knots. One repetition is what the paper does;
    whether more of them help is measured in the benchmarks, not promised.

    The next schedule is that of :func:`refine` in float32; for runs longer than 4,096 steps the
    running median is taken at 1,024 steps, which moves the schedule by up to 2% of the peak
    (relative noise of 30%, 5,000 steps; 0.2% at 100,000). It is a table of ``knots`` entries,
    evenly spread; up to ``total_steps`` = ``knots`` - 1 it has one at every step. For longer runs
    the first run follows ``schedule`` on lines between the entries. The recorder keeps 4 bytes a
    step; if the state is donated, it does not slow the step.

    Args:
        make_optimizer: builds the optimizer from the transformation that scales by the rate, which
            must come last: ``lambda rate: optax.chain(optax.scale_by_adam(), rate)``.
        schedule: the schedule of the first run.
        optimizer: ``"sgd"`` or ``"adam"``, as for :func:`refine`.
        total_steps: the length of every run. Later steps train at the last rate and are not
            recorded. If a run is stopped earlier, its last norm stands for the rest.
        smoothing, floor, clamp_fraction: as for :func:`refine`.
        knots: the entries of the table, at least 3.

    Raises:
        ValueError, TypeError: if an argument is out of its range, or the schedule is zero
            everywhere.

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
        Defazio et al., When, Why and How Much? Adaptive Learning Rate Scheduling by Refinement,
        arXiv:2310.07831.
    """
    recipe = Recipe(
        optimizer=known_optimizer("with_refinement", optimizer),
        total_steps=whole("with_refinement", "total_steps", total_steps, low=2),
        knots=whole("with_refinement", "knots", knots, low=3),
        smoothing=share("with_refinement", "smoothing", smoothing),
        floor=number("with_refinement", "floor", floor, low=0),
        clamp_fraction=share("with_refinement", "clamp_fraction", clamp_fraction, high=0.5),
    )
    instance("with_refinement", "schedule", schedule, Schedule, example="Constant(value=0.1)")
    table = _table(schedule, recipe)
    if not 0 <= recipe.floor <= table.lrs.max() or not table.lrs.max() > 0:
        raise ValueError(
            f"with_refinement: 0 <= floor <= peak must hold, got floor={floor} and a peak of {table.lrs.max():g}"
        )
    record = record_grad_norm(norms=(_NORMS[optimizer],), steps=recipe.total_steps)
    inner = optax.with_extra_args_support(make_optimizer(scale_by_live_schedule(table)))

    def init(params: Any) -> Any:
        recorded: Any = record.init(params)
        return RefinementState(recorded, inner.init(params), jnp.zeros((), jnp.int32), recipe)

    def update(updates: Any, state: Any, params: Any = None, **extra_args: Any) -> tuple[Any, Any]:
        recorded: Any
        updates, recorded = record.update(updates, state.record, params)
        updates, within = inner.update(updates, state.inner, params, **extra_args)
        return updates, RefinementState(recorded, within, state.finished_runs, state.recipe)

    return optax.GradientTransformationExtraArgs(init, update)


def next_run(tx: optax.GradientTransformation, opt_state: Any, params: Any) -> Any:
    """The optimizer state for the next run: fresh, except for the schedule, which is refined.

    Jit it, and vmap it over seeds: ``jax.vmap(functools.partial(next_run, tx))(opt_states,
    params)``. The schedule is refined from the run that ended, and keeps its peak. A run with fewer
    than two finite norms, or mostly norms of zero, keeps its schedule: nothing is raised on a
    device.

    Args:
        tx: an optimizer with a :func:`with_refinement` in it, at any depth; several are refined
            separately.
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
    """The same as :func:`optax_lrs.refine`, in JAX and in float32."""
    recipe = state.recipe
    live = next(schedule for found in states_in(state.inner) for _, schedule in found.values("live_schedules"))
    at, old = knots_of(recipe.total_steps, recipe.knots), live
    store: Any = state.record.store  # one for every step, not binned
    (norms,) = store.norms.values()
    norms, enough = _without_gaps(norms)
    smooth = _running_median(norms, recipe.smoothing)
    middle = jnp.median(smooth)
    usable = enough & (middle > 0)
    smooth = jnp.where(usable, jnp.maximum(smooth, recipe.clamp_fraction * middle), 1.0)
    shape = refined_shape(jnp.append(smooth, smooth[-1]), power=POWERS[recipe.optimizer])
    # The shape is at even times, the knots at whole steps; both are known when this is traced.
    place = at * (len(smooth) / recipe.total_steps)
    low = np.minimum(place.astype(np.int64), len(smooth) - 1)
    part = jnp.asarray(place - low, jnp.float32)
    shares = shape[low] * (1 - part) + shape[low + 1] * part
    peak = jnp.max(old.lrs)
    lrs = jnp.maximum(peak * (shares / jnp.max(shares)), recipe.floor)
    return old.replace(lrs=jnp.where(usable, lrs, old.lrs))


def _without_gaps(norms: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The norms, interpolated where they are not finite; and whether at least two are finite."""
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
    """The running median of ``refine``, by bisection: sorting takes ten times as long."""
    count = norms.shape[0]
    half = int(smoothing * count) // 2
    width = 2 * half + 1
    mirrored = norms[count - 1 - half : count - 1][::-1]
    padded = jnp.concatenate([jnp.full((half,), norms[0]), norms, mirrored])
    at = np.arange(count) if count <= _MOST else np.arange(_POINTS, dtype=np.int64) * count // _POINTS
    bits = jax.lax.bitcast_convert_type(padded, jnp.int32)  # nonnegative floats order as their bits do

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
    lrs: Any = schedule.at(at)
    return Tabulated(lrs=lrs, steps=steps)
