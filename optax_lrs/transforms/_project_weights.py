"""Normalize-and-Project: the norms of hidden weights stay where they began."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from optax_lrs.transforms._block_norms import axes_of, spread
from optax_lrs.transforms._metric import count as whole
from optax_lrs.transforms._metric import one_of
from optax_lrs.transforms._projection import Blocks, Projection, ProjectWeightsState, can_scale, scale_to, wide
from optax_lrs.transforms._radii import checked_radius, radii_of
from optax_lrs.transforms._weight_blocks import Heads, checked_weights

_OWNER = "project_weights"


def project_weights(
    weights: str | Sequence[str] | Callable[[str, Any], bool] | None = None,
    *,
    without: str | Sequence[str] = (),
    separate: int | Heads | Sequence[int | Heads] | Mapping[str, Any] = (),
    joint: str | Sequence[str] = (),
    radius: float | Callable[[tuple[int, ...]], float] | Mapping[str, Any] | None = None,
    schedule: optax.Schedule | None = None,
    mode: str = "exact",
    every_steps: int = 1,
    specs: Any = None,
) -> Projection:
    r"""Scales chosen weights back to a fixed norm after each update (the long text follows)."""
    which = checked_weights(_OWNER, weights, without, separate, joint)
    radius = checked_radius(_OWNER, radius)
    one_of("mode", mode, ("exact", "deferred", "manual"))
    every_steps = whole("every_steps", every_steps, 1)
    if every_steps > 1 and mode != "exact":
        raise ValueError(f"{_OWNER}: every_steps is for mode='exact', got every_steps={every_steps} with mode={mode!r}")
    if schedule is not None and not callable(schedule):
        raise TypeError(f"{_OWNER}: schedule must be a schedule, such as Constant(value=1.0), got {schedule!r:.80}")
    if specs is not None:
        axes_of(specs, _OWNER)
    blocks_of = functools.partial(Blocks, which=which, specs=specs, owner=_OWNER)

    def radii(params, blocks, norms):
        return radii_of(radius, params, blocks.pieces, norms, _OWNER)

    def init(params):
        blocks = blocks_of(params)
        _, norms = blocks.norms(blocks.chosen())
        return ProjectWeightsState(
            count=jnp.zeros((), jnp.int32),
            radii=radii(params, blocks, norms),
            factor=jnp.ones((), jnp.float32),
            norms=norms,
            skipped=jnp.zeros((), jnp.int32),
        )

    def update(updates, state, params=None, *, project_weights=True, **extra_args):
        del extra_args
        if params is None:
            raise ValueError(f"{_OWNER}: update needs the parameters: tx.update(grads, state, params)")
        blocks = blocks_of(params)
        factor = state.factor
        if schedule is not None:
            factor = jnp.zeros((), jnp.float32) + jnp.asarray(schedule(state.count), jnp.float32)
        after = state._replace(count=optax.safe_increment(state.count), factor=factor)
        if not project_weights or mode == "manual" or not blocks.pieces:
            return updates, after
        all_us = blocks.tree.flatten_up_to(updates)
        ps, us = [blocks.leaves[p.index] for p in blocks.pieces], [all_us[p.index] for p in blocks.pieces]
        step = functools.partial(_deferred if mode == "deferred" else _exact, blocks, ps, state.radii * factor)
        if every_steps == 1:
            us, norms, skipped = step(us, state.norms)
        else:
            due = (state.count + 1) % every_steps == 0
            us, norms, skipped = jax.lax.cond(due, step, lambda us, norms: (us, norms, state.skipped), us, state.norms)
        return blocks.replaced(all_us, us), after._replace(norms=norms, skipped=skipped)

    return Projection.of(init, update, blocks_of, radii)


def _exact(
    blocks: Blocks, ps: list, targets: jax.Array, us: list, norms: jax.Array
) -> tuple[list, jax.Array, jax.Array]:
    """The updates that lead onto the spheres: scale (p + u) - p. Two passes: the norms are known after the first."""
    del norms
    # Not s u + (s - 1) p, which is the same on paper: that loses the small difference of two large numbers.
    candidates = [wide(p) if u is None else wide(p) + wide(u) for p, u in zip(ps, us)]
    norms, vector = blocks.norms(candidates)

    def led(p, u, candidate, norm, target):
        if u is None:
            return None
        moved = spread(scale_to(target, norm), p) * candidate - wide(p)
        return jnp.where(spread(can_scale(target, norm), p), moved.astype(u.dtype), u)

    us = [led(*each) for each in zip(ps, us, candidates, norms, blocks.split(targets))]
    return us, vector, jnp.sum(~can_scale(targets, vector), dtype=jnp.int32)


def _deferred(
    blocks: Blocks, ps: list, targets: jax.Array, us: list, norms: jax.Array
) -> tuple[list, jax.Array, jax.Array]:
    """The updates with the scale that the last step's norms ask for; and the norms that they leave, in the same pass."""
    skipped = jnp.sum(~can_scale(targets, norms), dtype=jnp.int32)
    # No condition on an element: where nothing can be scaled the scale is 1, and u + 0 p is u.
    changes = blocks.split(scale_to(targets, norms) - 1)
    us = [u if u is None else (wide(u) + spread(c, p) * wide(p)).astype(u.dtype) for p, u, c in zip(ps, us, changes)]
    # As optax.apply_updates adds them and rounds: what is measured is what will be there.
    after = [wide(p) if u is None else wide((p + u).astype(p.dtype)) for p, u in zip(ps, us)]
    return us, blocks.norms(after)[1], skipped
