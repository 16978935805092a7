"""Recording gradient norms, from which schedules are refined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from optax_lrs._specs import axes_of
from optax_lrs._states import Roles
from optax_lrs._states.count import next_step
from optax_lrs._states.found import unboxed
from optax_lrs._value.arguments import whole
from optax_lrs.transforms._norm_stores import BinnedNorms, ExactNorms, bins_within, store_of
from optax_lrs.transforms._tree_norms import NORMS, checked_groups, columns_of, require_matches, tree_norms

_OWNER = "record_grad_norm"
_DEFAULT_BYTES = 64 * 1024  # of the binned store without groups


class RecordGradNormState(NamedTuple):
    """State of :func:`record_grad_norm`."""

    count: jax.Array  # int32, shape (), replicated: the step of the next update
    skipped: jax.Array  # int32, shape (), replicated: the number of steps with a norm that is not finite
    store: ExactNorms | BinnedNorms  # float32 buffers, replicated

    # count: the steps of the record, which begin with it, not with the run
    roles = Roles(counts=("count", "skipped"))  # type: Roles

    def logged(self) -> dict[str, Any]:
        """Returns the last step's norms and the number of skipped steps, for ``log_dict``."""
        norms = self.store.latest(jnp.asarray(unboxed(self.count)))
        names = {column: column.removeprefix("l2").strip("_") for column in norms}
        return {
            **{"_".join(filter(None, ("grad_norm", names[column]))): norm for column, norm in norms.items()},
            "skipped_steps": self.skipped,
        }

    def observed(self, group: str | None = None) -> dict[str, Any]:
        """Returns the record as columns of a :class:`Run`; ``Run.from_state`` calls it."""
        count, skipped = (np.asarray(unboxed(leaf)) for leaf in (self.count, self.skipped))
        if count.ndim:
            raise ValueError(f"{_OWNER}: this state is a batch of shape {count.shape}; select one run first")
        count, skipped = int(count), int(skipped)
        steps, norms, notes = store_of(self.store).observed(count)
        suffix = f"_{group}" if group else ""
        names = {"l2": "grad_norms", "l1": "grad_norms_l1"}
        columns = {names[norm]: norms[norm + suffix] for norm in NORMS if norm + suffix in norms}
        if not columns:
            known = sorted({column.split("_", 1)[1] for column in norms if "_" in column})
            raise ValueError(f"{_OWNER}: group must be one of the recorded groups {known}, got {group!r}")
        notes = {"skipped_steps": skipped, **notes}
        return dict(steps=steps, **columns, notes=notes | ({"group": group} if group else {}))


def record_grad_norm(
    *,
    norms: Sequence[str] = ("l2",),
    steps: int | None = None,
    bins: int | None = None,
    groups: Mapping[str, str] | None = None,
    specs: Any = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Records the norms of the gradients in the optimizer state. The updates pass unchanged.

    .. math:: G_t = \lVert g_t \rVert_2 = \Big(\sum_i g_{t,i}^2\Big)^{1/2}, \qquad
              \lVert g_t \rVert_1 = \sum_i |g_{t,i}|

    over all parameters, in float32 whatever their type.

    Place it *first* in a chain, where the gradients are raw. It needs no extra argument::

        recorder = olrs.record_grad_norm()
        tx = optax.chain(recorder, optax.clip_by_global_norm(1.0), optax.adamw(first))
        ...
        run = olrs.Run.from_state(opt_state, schedule=first)

    :func:`optax_lrs.refine` needs what it records: l2 norms for SGD, l1 norms for Adam and its
    relatives. Nothing leaves the device before ``Run.from_state``.

    **Cost.** The gradients are read in the pass that clipping makes, and the sums share its
    all-reduces (compiled for TPU v5p: no additional collective, HBM bytes x1.000). With bfloat16
    gradients, clipping sums in bfloat16. The sums here are in float32 and then need all-reduces of
    their own (x1.005). Donate the optimizer state to the compiled step (``donate_argnums``);
    otherwise each step copies the buffers.

    **Two stores.** With ``steps``, every step's norm is kept, 4 bytes per step and column; later
    steps are counted but not kept. Without ``steps``, the norms go into bins that double their span
    when all are full: 64 KiB for a run of any length, which is 3272 bins for one norm or 1816 for
    both. The first steps, as many as there are bins, are kept one by one. Up to four times as many
    are kept except for the order within each four. Beyond that, a bin keeps the number, mean and
    variance of the logarithms of its norms, and the lowest and highest norm. In a Run a bin becomes
    up to 32 rows with that distribution.

    **What bins lose.** This table decided what a bin becomes. It compares refining from bins with
    refining from every step: a median over 10% of the run, then weights :math:`G^{-1}` or
    :math:`G^{-2}`. The numbers are the largest difference at any of 50,000 steps, in percent of the
    peak, with bins of 32 steps, on nine traces with three seeds, as median and worst. Three traces
    are those of a 124M language model with resampled residuals; six are synthetic, with heavy
    tails, spikes and bursts (``benchmarks/binned_norms/binned_norms.py``):

    ======================================  ================  ================
    a bin becomes                           :math:`G^{-1}`    :math:`G^{-2}`
    ======================================  ================  ================
    its mean                                5.9, worst 32.8   8.2, worst 32.2
    its mean without the two extremes       5.1, worst 14.1   7.7, worst 15.8
    its geometric mean                      4.5, worst 14.2   7.5, worst 12.6
    its median                              4.5, worst 13.1   8.5, worst 12.4
    four of its steps                       2.9, worst 5.8    3.9, worst 9.9
    32 rows as here                         1.3, worst 2.0    1.9, worst 2.8
    the same with 3272 bins                 1.0, worst 2.0    1.5, worst 2.4
    ======================================  ================  ================

    One row per bin is too few even if it is the median of the bin, because smoothing depends on the
    *distribution* of single norms. Smoothing also repeats the very first norm before the start. So
    that norm is kept, and is the first row: without it the worst is 14.4 for :math:`G^{-1}`. With
    bins of 64 steps and heavy late spikes, differences up to 5.3 were seen. Pass ``steps`` to
    record every norm exactly.

    **Skipped steps.** A step with a norm that is nan or infinite is counted in ``skipped`` and left
    out. (In float32 the square of a norm beyond 1.8e19 is infinite.) Inside ``optax.MultiSteps``
    the count is of updates, and the norm that of the averaged gradient, as the schedule and the
    refinement rule need it; outside it is of micro-batches. Inside ``optax.apply_if_finite``
    skipped updates are not counted at all; outside, they are in ``skipped``, and recording reads
    the gradients once more.

    Args:
        norms: ``"l2"`` or ``"l1"`` or both.
        steps: the number of steps to keep exactly; None for bins.
        bins: the number of bins, an even number; None for as many as fit in 64 KiB without the
            groups. A bin takes 4 bytes, and 16 more for each norm of all parameters and of each
            group. Not used with ``steps``.
        groups: patterns by name, such as ``{"embed": "embed/.*"}``. Records also the norms of the
            parameters whose *whole* path matches the regular expression, for
            ``Run.from_state(opt_state, group="embed")``. Groups may overlap.
        specs: only inside ``shard_map``: the PartitionSpecs of the gradients, a tree or a prefix of
            it, as given to ``shard_map``; ``P("fsdp")`` means that every leaf is split over fsdp.
            Sums go over all axes that a spec names, in one ``psum``. A leaf is not counted twice
            over an axis that its own spec does not name. Gradients must already be summed over the
            axes that split only the batch.

    Returns:
        The transform; its state is a :class:`RecordGradNormState`.

    Raises:
        ValueError: if an argument is out of range; from ``init``, if the pattern of a group matches
            no path.
        TypeError: if an argument has the wrong type.

    Example:
        >>> from optax_lrs import Run
        >>> tx = optax.chain(record_grad_norm(), optax.sgd(0.1))
        >>> state = tx.init({"w": jnp.zeros(2)})
        >>> for scale in (2.0, 1.0):
        ...     updates, state = tx.update({"w": scale * jnp.array([3.0, 4.0])}, state)
        >>> print(Run.from_state(state).grad_norms.round(4))
        [10.  5.]

    References:
        Defazio et al., When, Why and How Much? Adaptive Learning Rate Scheduling by Refinement,
        arXiv:2310.07831. Chan, Golub, LeVeque, Algorithms for Computing the Sample Variance, The
        American Statistician 37, 1983 (recalled, not verified): how bins are merged.
    """
    if isinstance(norms, str) or not norms or len(set(norms)) < len(norms) or not set(norms) <= set(NORMS):
        raise ValueError(f'{_OWNER}: norms must be one or both of "l1" and "l2", such as ("l2",), got {norms!r:.60}')
    norms, patterns = tuple(norms), checked_groups(groups, _OWNER)
    columns = columns_of(norms, patterns)
    if steps is not None:
        steps = whole(_OWNER, "steps", steps, low=1, high=2**31 - 1)
    bins = bins_within(_DEFAULT_BYTES, len(norms)) if bins is None else whole(_OWNER, "bins", bins, low=4, high=2**15)
    if bins % 2:
        raise ValueError(f"{_OWNER}: bins must be even, because bins are merged in pairs, got {bins}")
    if specs is not None:
        axes_of(specs, _OWNER)

    def init(params):
        require_matches(params, patterns, _OWNER)
        store = BinnedNorms.empty(columns, bins) if steps is None else ExactNorms.empty(columns, steps)
        return RecordGradNormState(jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32), store)

    def update(updates, state, params=None, **extra_args):
        del params, extra_args
        found = tree_norms(updates, norms=norms, groups=patterns, specs=specs)
        finite = jnp.all(jnp.isfinite(jnp.stack(list(found.values()))))
        skipped = state.skipped + (1 - finite.astype(jnp.int32))
        store = state.store.put(state.count, found, finite)
        return updates, RecordGradNormState(next_step(state.count), skipped, store)

    return optax.GradientTransformationExtraArgs(init, update)
