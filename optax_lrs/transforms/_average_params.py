"""An average of the parameters within the training, in place of a decay of the rate or beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from optax_lrs._paths import parameter_path
from optax_lrs._states import Roles
from optax_lrs.transforms._metric import count as whole
from optax_lrs.transforms._metric import number
from optax_lrs.transforms._tree_norms import axes_of

_OWNER = "average_params"


class AverageParamsState(NamedTuple):
    """State of :func:`average_params`."""

    count: jax.Array  # int32, shape (), replicated: the step that the next update is given
    samples: jax.Array  # int32, shape (), replicated: how many parameters were taken into the average
    skipped: jax.Array  # int32, shape (), replicated: how many were left out, as not finite
    mass: (
        jax.Array
    )  # float32, shape (), replicated: the sum of the weights that were given to the average; with weights
    average: Any  # a tree as the parameters, float32 or wider, shape and placement of the parameter; None: not averaged
    latest: Any  # a tree as the parameters: type and placement of the parameter, shape [latest, *its shape]; or None

    roles = Roles(updates="count", counts=("samples", "skipped"), measured=("average", "latest"))


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
    r"""Averages the parameters of a training, sampled every so many steps; the updates pass unchanged.

    .. math:: \bar\theta \leftarrow \bar\theta + r_n\,(\theta_{s_n} - \bar\theta), \qquad
              s_n = \text{start} + n \cdot \text{every\_steps}

    where :math:`\theta_s` are the parameters after s updates. It needs them, and goes **last** in a chain: it averages what
    the updates lead to. :func:`read_average` reads the average for an evaluation or a checkpoint::

        tx = optax.chain(optax.adamw(schedule), olrs.average_params(every_steps=10, alpha=0.05))
        ...
        loss = evaluate(olrs.read_average(opt_state, params))

    Which average:

    =============  ================================  ========================================================================
    argument       :math:`r_n`                       average
    =============  ================================  ========================================================================
    none           :math:`1 / (n + 1)`               of all samples from ``start`` on (stochastic weight averaging)
    ``alpha``      :math:`\alpha`; at first 1        exponential moving average, begun at the first sample; its time constant
                                                     is ``every_steps / alpha`` steps
    ``restart=k``  :math:`1 / (n \bmod k + 1)`       of the samples since the last multiple of k: begun anew every k samples
    ``weights``    :math:`c_n / \sum_{j \le n} c_j`  :math:`\sum_j c_j \theta_{s_j}` over a window known in advance, as of
                                                     :func:`merge_weights`; nothing is sampled after it
    ``latest=k``   –                                 of exactly the latest k samples; keeps all k
    =============  ================================  ========================================================================

    Published: EMA of decay 0.95, so ``alpha=0.05``, every 10 steps; and ``every_steps=5, restart=100`` (windows of 500
    steps), which helped up to windows of 2500 steps without reaching a cooldown (Hägele et al., read in their code). An
    average stands for a decay that was not made: at the end of a decay to zero there is little left to average.

    **Cost.** One copy of the parameters in float32, 4 bytes a parameter; with ``latest=k`` k copies in the parameters' type.
    The average is sharded as the parameters. A step that samples reads the new parameters to see whether they are finite,
    reads them again with the average and writes that; steps in between do nothing (``lax.cond``). In traffic of memory, in
    float32 copies of the parameters, clip and AdamW of a 2B model compiled for four TPU v5p: 8.0 without; 11.0 with
    ``every_steps=1`` (the check rides along in the update's pass); else 12.0 in steps that sample and 8.0 in between;
    ``latest=4``: 11.0 and 8.0; no temporary copy. Where shards are small XLA lays the parameters out anew for the branch:
    8B over 512 chips, 64 MB a chip, 0.7 copies more in steps between and 3 (``latest=4``: 8) copies of temporary memory;
    ``every_steps=1`` is without this. Steps that sample all-reduce a flag, once for each different sharding.

    **Parameters that are not finite** are left out of the average, all of them, and counted in ``skipped``. With ``weights``
    their weight is left out too: the average is over the weights that were given.

    **A window of** ``weights`` **is counted in the steps of the run.** In a state that begins later (:func:`adopt` sets its
    count to the run's step) inside the window, the samples that are left get the weights of their own places, and the
    average is over these. If the window is over by then, nothing is ever sampled, and :func:`read_average` gives the
    parameters as they are, without a word, as this is known only at run time: ``samples`` is 0 then. Set ``start`` past the
    step that the run goes on from.

    **Inside others.** Inside ``optax.MultiSteps`` the steps are its updates; outside they are micro-steps. Inside
    ``optax.apply_if_finite`` a rejected update is not counted; outside the unchanged parameters are sampled once more.
    What is done to parameters after ``optax.apply_updates`` (``project_weights(mode="manual")``) is not in the average.
    Integer parameters are not averaged. Statistics of batch normalizations must be measured anew with the average.

    Args:
        every_steps: the distance of the samples.
        start: how many updates are made before the first sample; ``every_steps`` by default.
        alpha: the weight of the newest sample, in (0, 1].
        restart: after how many samples the mean is begun anew.
        weights: one for each sample of a window, in order; none negative, not all zero. Only their proportions matter.
        latest: how many samples to keep and to average.
        specs: only inside ``shard_map``: the PartitionSpecs of the parameters, a tree or a prefix of it, so that all
            devices agree whether the parameters are finite.

    Raises:
        ValueError, TypeError: if an argument is out of its range or more than one kind of average is asked for; from
            ``update``, if it is given no parameters.

    Example:
        >>> tx = optax.chain(optax.sgd(1.0), average_params(every_steps=2))
        >>> params = {"w": jnp.zeros(2)}
        >>> state = tx.init(params)
        >>> for step in range(4):
        ...     updates, state = tx.update({"w": -jnp.ones(2)}, state, params)
        ...     params = optax.apply_updates(params, updates)
        >>> print(params["w"], read_average(state, params)["w"])  # (2 + 4) / 2
        [4. 4.] [3. 3.]

    References:
        Izmailov et al., Averaging Weights Leads to Wider Optima and Better Generalization, arXiv:1803.05407 (recalled, not
        verified). Hägele et al., Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations, arXiv:2405.18392.
        Tian et al., WSM, arXiv:2507.17634 (from notes).
    """
    every_steps = whole("every_steps", every_steps, 1)
    start = every_steps if start is None else whole("start", start, 1)
    kinds = {"alpha": alpha, "restart": restart, "weights": weights, "latest": latest}
    given = [name for name, value in kinds.items() if value is not None]
    if len(given) > 1:
        raise ValueError(f"{_OWNER}: {' and '.join(given)} are different averages: give one of them")
    alpha = None if alpha is None else number("alpha", alpha, 0.0, 1.0, without=(0.0,))
    restart = None if restart is None else whole("restart", restart, 1)
    latest = None if latest is None else whole("latest", latest, 1)
    table = None if weights is None else _checked_weights(weights)
    axes = () if specs is None else axes_of(specs, _OWNER)

    def init(params):
        return AverageParamsState(
            count=jnp.zeros((), jnp.int32),
            samples=jnp.zeros((), jnp.int32),
            skipped=jnp.zeros((), jnp.int32),
            mass=jnp.zeros((), jnp.float32),
            # Copies, not zeros: XLA then lays them out as the parameters, and nothing is aliased.
            average=None if latest else _map(lambda p: jnp.copy(p).astype(_wide(p)), params),
            latest=_map(lambda p: jnp.copy(jnp.broadcast_to(p, (latest, *p.shape))), params) if latest else None,
        )

    def sampled(state, new):
        """The state with the parameters taken in, or counted as skipped."""
        finite = _finite(new, axes)
        mass = state.mass
        if latest:
            slot = state.samples % latest

            def stored(p, old):
                return jax.lax.dynamic_update_index_in_dim(old, p, slot, 0)

            # A cond, not a where: that would have the whole slot computed beside the buffer before it is put there.
            written = jax.lax.cond(finite, lambda old: _map(stored, new, old), lambda old: old, state.latest)
            state = state._replace(latest=written)
        else:
            if table is not None:
                # By the place in the window, not by how many were sampled: adopt may begin at any step of it.
                place = (optax.safe_increment(state.count) - start) // every_steps
                weight = jnp.asarray(table)[place]
                mass = mass + jnp.where(finite, weight, 0)
                # While all weights were zero it follows the parameters: it is an average at any time.
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
        if params is None:
            raise ValueError(f"{_OWNER}: update needs the parameters: tx.update(grads, state, params)")
        # Outside the cond: XLA makes one of this and of the optax.apply_updates that follows, so the cond is given what is
        # there anyway. Given the updates, it would have them written out at each step.
        new = jax.tree.map(_applied, updates, params, is_leaf=lambda leaf: leaf is None)
        count = optax.safe_increment(state.count)
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


def read_average(opt_state: Any, params: optax.Params) -> optax.Params:
    """The average that :func:`average_params` has in an optimizer state, in the parameters' types.

    Through ``chain``, ``partition``, ``masked``, ``MultiSteps``, ``apply_if_finite``, ``nnx.Optimizer`` and whatever else nests
    states. Before the first sample, or if the window of ``weights`` was over before it began, it is the parameters themselves;
    so are, at any time, parameters that are not averaged: integers, and those that a mask leaves out. Averages of several
    groups (``optax.partition``) make one tree. It may be called inside ``jit``.

    Args:
        opt_state: the state of one optimizer; or an ``nnx.Optimizer`` or ``TrainState``, of which the ``opt_state`` is taken.
        params: the parameters as they are now, as given to the optimizer.

    Returns:
        A tree as ``params``.

    Raises:
        ValueError: if the state holds no average, two of the same parameter, or one of other parameters.

    Example:
        >>> tx = optax.chain(optax.sgd(1.0), average_params(alpha=0.5))
        >>> params = {"w": jnp.zeros(2)}
        >>> print(read_average(tx.init(params), params)["w"])
        [0. 0.]
    """
    opt_state = getattr(opt_state, "opt_state", opt_state)
    is_state = lambda node: isinstance(node, AverageParamsState)  # noqa: E731
    states = [node for node in jax.tree.leaves(opt_state, is_leaf=is_state) if is_state(node)]
    if not states:
        raise ValueError("read_average: this optimizer state holds no average; put average_params last in the chain")
    found = {}
    for state in states:
        (samples,) = jax.tree.leaves(state.samples)  # flax.nnx boxes each leaf of an optimizer state
        exact = state.average is None
        for key, leaf in jax.tree.flatten_with_path(state.latest if exact else state.average)[0]:
            path = parameter_path(key)
            if path in found:
                raise ValueError(f"read_average: this optimizer state holds two averages of {path!r}")
            found[path] = (samples, exact, leaf)

    def read(key, p):
        samples, exact, leaf = found.pop(parameter_path(key), (None, False, p))
        if samples is None:
            return p
        if leaf.shape[exact:] != jnp.shape(p):
            raise ValueError(
                f"read_average: the average of {parameter_path(key)!r} is of shape {leaf.shape[exact:]}, "
                f"the parameter of {jnp.shape(p)}"
            )
        average = _mean_of_latest(leaf, samples) if exact else leaf
        return jnp.where(samples > 0, average.astype(p.dtype), p)

    read_all = jax.tree_util.tree_map_with_path(read, params)
    if found:
        raise ValueError(f"read_average: params has no {next(iter(found))!r}, of which the state holds an average")
    return read_all


def _mean_of_latest(kept: jax.Array, samples: jax.Array) -> jax.Array:
    count = kept.shape[0]
    shape = (count,) + (1,) * (kept.ndim - 1)
    taken = jnp.reshape(jnp.arange(count) < samples, shape)
    wide = _wide(kept)
    total = jnp.sum(jnp.where(taken, kept.astype(wide), 0), axis=0)
    return total / jnp.clip(samples, 1, count).astype(total.real.dtype)


def _applied(u: Any, p: Any) -> Any:
    """As optax.apply_updates adds and rounds."""
    return p if u is None else (p + u).astype(p.dtype)


def _map(function: Any, *trees: Any) -> Any:
    """Over the leaves that are averaged; None for the others, integers."""

    def on(p, *others):
        return function(p, *others) if jnp.issubdtype(p.dtype, jnp.inexact) else None

    return jax.tree.map(on, *trees)


def _wide(leaf: jax.Array) -> Any:
    return jnp.promote_types(leaf.dtype, jnp.float32)


def _finite(params: Any, axes: tuple[str, ...]) -> jax.Array:
    """Whether every number of the averaged parameters is finite, on all devices along the axes."""
    leaves = [leaf for leaf in jax.tree.leaves(params) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    flags = [jnp.all(jnp.isfinite(leaf)) for leaf in leaves]
    finite = jnp.all(jnp.stack(flags)) if flags else jnp.ones((), bool)
    return jax.lax.pmin(finite.astype(jnp.int32), axes) > 0 if axes else finite


def _checked_weights(weights: Any) -> np.ndarray:
    try:
        table = np.asarray(weights, np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"weights must be numbers, one a sample, got {weights!r:.60}") from None
    if table.ndim != 1 or not np.all((table >= 0) & (table < np.inf)) or not table.any():
        raise ValueError(f"weights must be numbers in a row, none negative, not all zero, got {weights!r:.80}")
    return table.astype(np.float32)
