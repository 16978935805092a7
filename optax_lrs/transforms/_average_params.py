"""Averages of the parameters during training, with or instead of a decay of the rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from optax_lrs._float32 import wide
from optax_lrs._specs import axes_of
from optax_lrs._states import Roles
from optax_lrs._states.count import next_step
from optax_lrs._states.found import unboxed
from optax_lrs._value.arguments import given_params, number, row, whole
from optax_lrs.transforms._metric import MOST

_OWNER = "average_params"


class AverageParamsState(NamedTuple):
    """State of :func:`average_params`."""

    count: jax.Array  # int32, shape (), replicated: the step of the next update
    samples: jax.Array  # int32, shape (), replicated: the number of samples in the average
    skipped: jax.Array  # int32, shape (), replicated: the number of samples left out because they are not finite
    mass: jax.Array  # float32, shape (), replicated: the sum of the weights in the average; used with weights
    average: Any  # like the parameters: float32 or wider, shape and placement of the parameter; None where not averaged
    latest: Any  # like the parameters: type and placement of the parameter, shape [latest, *its shape]; or None

    roles = Roles(updates="count", counts=("samples", "skipped"), measured=("average", "latest"))  # type: Roles

    def averaged(self) -> tuple[Any, jax.Array]:
        """Returns the average, a tree like the parameters, and whether there is one yet."""
        samples = unboxed(self.samples)
        if self.latest is None:
            return self.average, samples > 0
        return jax.tree.map(lambda kept: _mean_of_latest(kept, samples), self.latest), samples > 0


def average_params(
    *,
    every_steps: int = 1,
    start: int | None = None,
    alpha: float | None = None,
    restart: int | None = None,
    weights: Sequence[float] | np.ndarray | None = None,
    latest: int | None = None,
    specs: Any = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Averages the parameters during training; the updates pass unchanged.

    .. math:: \bar\theta \leftarrow \bar\theta + r_n\,(\theta_{s_n} - \bar\theta), \qquad
              s_n = \text{start} + n \cdot \text{every\_steps}

    where :math:`\theta_s` are the parameters after s updates. The parameters are sampled every few
    steps.

    Place it **last** in a chain: it averages the parameters that the updates lead to. ``update``
    needs the parameters, and no extra argument. :func:`read_average` reads the average for an
    evaluation or a checkpoint::

        tx = optax.chain(optax.adamw(schedule), olrs.average_params(every_steps=10, alpha=0.05))
        ...
        loss = evaluate(olrs.read_average(opt_state, params))

    Pass at most one of these arguments to choose the average:

    =============  ================================  ============================================================
    argument       :math:`r_n`                       average
    =============  ================================  ============================================================
    none           :math:`1 / (n + 1)`               all samples from ``start`` on (stochastic weight averaging)
    ``alpha``      :math:`\alpha`; 1 at first        exponential moving average, initialized with the first sample;
                                                     its time constant is ``every_steps / alpha``
                                                     steps
    ``restart=k``  :math:`1 / (n \bmod k + 1)`       the samples since the last multiple of k: the average restarts
                                                     every k samples
    ``weights``    :math:`c_n / \sum_{j \le n} c_j`  :math:`\sum_j c_j \theta_{s_j}` over a window known in advance,
                                                     such as that of :func:`merge_weights`; sampling
                                                     ends with it
    ``latest=k``   –                                 exactly the latest k samples; keeps all k
    =============  ================================  ============================================================

    Published settings: EMA with decay 0.95, so ``alpha=0.05``, every 10 steps; and
    ``every_steps=5, restart=100`` (windows of 500 steps), which helped up to windows of 2500
    steps without reaching
    the loss of a cooldown (Hägele et al., read in their code). An average replaces a decay that was
    not made. At the end of a decay to zero there is little left to average.

    **Cost.** One copy of the parameters in float32, 4 bytes per parameter; with ``latest=k``, k
    copies in the type of the parameters. The average is sharded like the parameters. A step that
    samples reads the new parameters to check that they are finite, reads them again together with
    the average, and writes the average. Other steps do nothing (``lax.cond``). Memory traffic of a
    step, in float32 copies of the parameters, for clipping and AdamW on a 2B model compiled for
    four TPU v5p: 8.0 without averaging; 11.0 with ``every_steps=1`` (the check shares the pass of
    the update); otherwise 12.0 in steps that sample and 8.0 in the others; ``latest=4``: 11.0 and
    8.0. There is no temporary copy. Where shards are small, XLA changes the layout of the
    parameters for the branch: for 8B parameters on 512 chips, 64 MB per chip, that costs 0.7 copies
    more in steps that do not sample, and 3 (``latest=4``: 8) copies of temporary memory;
    ``every_steps=1`` avoids it. Steps that sample all-reduce one flag for each different sharding.

    **Parameters that are not finite.** If any parameter is not finite, the whole sample is left out
    of the average and counted in ``skipped``. With ``weights``, its weight is left out too: the
    average is over the weights that were used.

    **Windows.** The window of ``weights`` is counted in steps of the run. If the state begins
    inside the window, because :func:`adopt` set its count to the step of the run, the remaining
    samples get the weights of their positions, and the average is over these. If the state
    begins after the window, nothing is ever sampled. Then ``samples`` stays 0, and
    :func:`read_average` returns the parameters themselves without an error, because this is known
    only at run time. Set ``start`` beyond the step from which the run continues.

    **Inside other transforms.** Inside ``optax.MultiSteps`` steps are updates; outside they are
    micro-steps. Inside ``optax.apply_if_finite`` a rejected update is not counted; outside, the
    unchanged parameters are sampled again. Changes of the parameters after ``optax.apply_updates``,
    such as ``project_weights(mode="manual")``, are not in the average. Integer parameters are not
    averaged. Measure the statistics of batch normalization again with the averaged parameters.

    Args:
        every_steps: the number of steps between samples.
        start: the number of updates before the first sample; ``every_steps`` by default.
        alpha: the weight of the newest sample, in (0, 1].
        restart: the number of samples after which the mean restarts.
        weights: one for each sample of a window, in order; shape [samples], none negative, not all
            zero. Only their ratios matter.
        latest: the number of samples to keep and to average.
        specs: only inside ``shard_map``: the PartitionSpecs of the parameters, a tree or a prefix
            of it. All devices must agree on whether the parameters are finite.

    Returns:
        The transform; its state is an :class:`AverageParamsState`.

    Raises:
        ValueError: if an argument is out of range, or arguments ask for more than one kind of
            average; from ``update``, if it gets no parameters.
        TypeError: if an argument has the wrong type.

    Example:
        >>> from optax_lrs import read_average
        >>> tx = optax.chain(optax.sgd(1.0), average_params(every_steps=2))
        >>> params = {"w": jnp.zeros(2)}
        >>> state = tx.init(params)
        >>> for step in range(4):
        ...     updates, state = tx.update({"w": -jnp.ones(2)}, state, params)
        ...     params = optax.apply_updates(params, updates)
        >>> print(params["w"], read_average(state, params)["w"])  # (2 + 4) / 2
        [4. 4.] [3. 3.]

    References:
        Izmailov et al., Averaging Weights Leads to Wider Optima and Better Generalization,
        arXiv:1803.05407 (recalled, not verified). Hägele et al., Scaling Laws and Compute-Optimal
        Training Beyond Fixed Training Durations, arXiv:2405.18392. Tian et al., WSM,
        arXiv:2507.17634 (from notes).
    """
    every_steps = whole(_OWNER, "every_steps", every_steps, low=1, high=MOST)
    start = every_steps if start is None else whole(_OWNER, "start", start, low=1, high=MOST)
    kinds = {"alpha": alpha, "restart": restart, "weights": weights, "latest": latest}
    given = [name for name, value in kinds.items() if value is not None]
    if len(given) > 1:
        raise ValueError(f"{_OWNER}: pass only one of {' and '.join(given)}: they are different averages")
    alpha = None if alpha is None else number(_OWNER, "alpha", alpha, above=0.0, high=1.0)
    restart = None if restart is None else whole(_OWNER, "restart", restart, low=1, high=MOST)
    latest = None if latest is None else whole(_OWNER, "latest", latest, low=1, high=MOST)
    table = None if weights is None else _checked_weights(weights)
    axes = () if specs is None else axes_of(specs, _OWNER)

    def init(params):
        return AverageParamsState(
            count=jnp.zeros((), jnp.int32),
            samples=jnp.zeros((), jnp.int32),
            skipped=jnp.zeros((), jnp.int32),
            mass=jnp.zeros((), jnp.float32),
            # Copies, not zeros: XLA then gives them the layout of the parameters.
            average=None if latest else _map(lambda p: wide(jnp.copy(p)), params),
            latest=_map(lambda p: jnp.copy(jnp.broadcast_to(p, (latest, *p.shape))), params) if latest else None,
        )

    def sampled(state, new):
        """Returns the state after a sample: the parameters are averaged, or counted as skipped."""
        finite = _finite(new, axes)
        mass = state.mass
        if latest:
            slot = state.samples % latest

            def stored(p, old):
                return jax.lax.dynamic_update_index_in_dim(old, p, slot, 0)

            # A cond, not a where: a where computes the whole slot in a temporary buffer first.
            written = jax.lax.cond(finite, lambda old: _map(stored, new, old), lambda old: old, state.latest)
            state = state._replace(latest=written)
        else:
            if table is not None:
                # The position in the window, not the number of samples: adopt may begin inside it.
                position = (next_step(state.count) - start) // every_steps
                weight = jnp.asarray(table)[position]
                mass = mass + jnp.where(finite, weight, 0)
                # While all weights so far are zero, the average follows the parameters.
                rate = jnp.where(mass > 0, weight / jnp.where(mass > 0, mass, 1), 1)
            elif alpha is not None:
                rate = jnp.where(state.samples == 0, 1, jnp.float32(alpha))
            else:
                seen = state.samples if restart is None else state.samples % restart
                rate = 1 / (seen + 1).astype(jnp.float32)

            def moved(p, mean):
                share = rate.astype(mean.real.dtype)
                return jnp.where(finite, mean + share * (p.astype(mean.dtype) - mean), mean)

            state = state._replace(average=_map(moved, new, state.average))
        taken = finite.astype(jnp.int32)
        return state._replace(samples=state.samples + taken, skipped=state.skipped + 1 - taken, mass=mass)

    def update(updates, state, params=None, **extra_args):
        del extra_args
        params = given_params(_OWNER, params)
        # Outside the cond: XLA merges this addition with the optax.apply_updates that follows, so
        # that the cond gets an array that exists anyway. If the cond took the updates, each step
        # would write them to memory.
        new = jax.tree.map(_applied, updates, params, is_leaf=lambda leaf: leaf is None)
        count = next_step(state.count)
        since = count - start
        due = (since >= 0) & (since % every_steps == 0)
        if table is not None:
            due &= since // every_steps < len(table)
        if every_steps == 1 and start == 1 and table is None:
            after = sampled(state, new)
        else:
            after = jax.lax.cond(due, sampled, lambda state, new: state, state, new)
        return updates, after._replace(count=count)

    return optax.GradientTransformationExtraArgs(init, update)


def _mean_of_latest(kept: jax.Array, samples: jax.Array) -> jax.Array:
    count = kept.shape[0]
    shape = (count,) + (1,) * (kept.ndim - 1)
    taken = jnp.reshape(jnp.arange(count) < samples, shape)
    total = jnp.sum(jnp.where(taken, wide(kept), 0), axis=0)
    return total / jnp.clip(samples, 1, count).astype(total.real.dtype)


def _applied(u: Any, p: Any) -> Any:
    """Adds and rounds as ``optax.apply_updates`` does."""
    return p if u is None else (p + u).astype(p.dtype)


def _map(function: Any, *trees: Any) -> Any:
    """Maps over the leaves that are averaged; others, integers, become None."""

    def on(p, *others):
        return function(p, *others) if jnp.issubdtype(p.dtype, jnp.inexact) else None

    return jax.tree.map(on, *trees)


def _finite(params: Any, axes: tuple[str, ...]) -> jax.Array:
    """Whether all averaged parameters are finite, on all devices along the axes."""
    leaves = [leaf for leaf in jax.tree.leaves(params) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    flags = [jnp.all(jnp.isfinite(leaf)) for leaf in leaves]
    finite = jnp.all(jnp.stack(flags)) if flags else jnp.ones((), bool)
    return jax.lax.pmin(finite.astype(jnp.int32), axes) > 0 if axes else finite


def _checked_weights(weights: Any) -> np.ndarray:
    if isinstance(weights, jax.Array):
        weights = np.asarray(weights)
    table = row(_OWNER, "weights", weights, low=0.0)
    if not table.any():
        raise ValueError(f"{_OWNER}: weights must not all be zero, got {weights!r:.60}")
    return table.astype(np.float32)
