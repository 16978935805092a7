"""refine: computes the schedule that fits the gradient norms of a run."""

from __future__ import annotations

import json

import numpy as np

from optax_lrs._run import Run
from optax_lrs._value.arguments import known_number, one_of, whole
from optax_lrs.refinement._bound import minimal_shape
from optax_lrs.refinement._norms import ObservedNorms, prepare_norms
from optax_lrs.schedules import Tabulated
from optax_lrs.theory import refined_shape

_METHODS = {"closed_form": "in closed form", "bound": "by minimizing the bound"}
_LONGEST = 300  # characters of a schedule or of notes that the source of a table repeats


def refine(
    run: Run,
    *,
    optimizer: str,
    peak: float | None = None,
    total_steps: int | None = None,
    smoothing: float = 0.1,
    floor: float = 0.0,
    knots: int | None = 1024,
    norm: str | None = None,
    method: str = "closed_form",
    clamp_fraction: float = 1e-3,
) -> Tabulated:
    r"""Computes a schedule, warmup and decay, from the gradient norms of one run.

    With the smoothed norms :math:`\hat G_s` of updates :math:`s = 0 \dots N-1`, and the last
    repeated as :math:`\hat G_N`,

    .. math:: w_s = \hat G_s^{-p}, \qquad \eta(s) = \text{peak}\;
        \frac{w_s \sum_{k=s+1}^{N} w_k}{\max_r w_r \sum_{k=r+1}^{N} w_k}, \qquad \eta(N) = 0

    with :math:`p = 2` and l2 norms for SGD, :math:`p = 1` and l1 norms for Adam. Constant norms
    give exactly ``Linear(peak=peak, total_steps=N)``; large early norms give a warmup; norms that
    grow late, a decay faster than linear. Train once with any schedule and :func:`record_grad_norm`
    (raw gradients, before clipping), then::

        second = olrs.refine(olrs.Run.from_state(opt_state, schedule=first), optimizer="adam")
        path.write_text(second.to_json())

    Refinement finds the shape, not the size: the peak is the old one unless you pass another, and
    is worth a sweep. It minimizes the loss at the *end*, on the same task, model and batch size;
    the theory is convex, and for Adam an argument by coordinate. Do not raise the tail to a minimum
    rate without a reason (``floor``): late growth of the norms makes tails like :math:`(1 - x)^3`,
    which are intended.

    What to expect (measured by us, ``benchmarks/results``): small networks on digits ended lower
    than with linear decay in 7 of 8 cases; logistic regression did not (0.35% higher, and far
    higher where the data can be separated), nor did 400 steps of a small transformer (equal).
    Refining the refined schedule once more made it worse wherever the norms had fallen because the
    network had memorized its data.

    The running median has an odd window of ``smoothing`` · n norms, the end mirrored, the first
    value repeated before the start. So the first norm alone decides the first rates. In language
    models it is large, and gives the warmup. Where it is small by chance (few parameters, tiny
    batches) it can dominate the whole schedule: check :func:`prepare_norms`, and drop it if so.
    Norms that are not finite are left out; for uneven steps the norms are interpolated.

    Unlike the paper's code, the last norm counts once more, otherwise the last update would have
    rate zero; the window is relative to the length of the run, and the first and last norms are
    kept; norms are kept away from zero.

    Args:
        run: the recorded run; the norms may be logged at any interval. A run that starts late gives
            the schedule of the recorded part, from step 0.
        optimizer: ``"sgd"``; or ``"adam"``, for AdamW and every other optimizer that works by
            coordinate. There is no default, because the two forms differ.
        peak: the highest rate; by default that of the run: of ``run.lrs``, or else of
            ``run.schedule``.
        total_steps: the length of the schedule; by default that of the observed run. Another length
            stretches the shape.
        smoothing: the window of the running median, as a share of the run; 0.1 as in the paper's
            code, 0 for none.
        floor: the lowest rate, up to the end; 0 by default.
        knots: the most entries of the table, evenly spread; None for one at every step. With 1024
            (the default) lines between them are within 0.2% of the peak from all entries on smooth
            norms, and within 1.2% on noisy ones (relative noise of 30%, 100,000 steps,
            ``smoothing=0.1``). Refined tables of one length and as many knots replace each other in
            a live schedule without compiling.
        norm: ``"l2"`` lets ``optimizer="adam"`` use l2 norms, the only ones in most logs, instead
            of l1 norms, also with :math:`p = 1`: valid as long as the ratio of the two stays the
            same over the run. By default the norm that the theory needs.
        method: ``"closed_form"``; or ``"bound"``, which minimizes the bound on the last iterate
            numerically, from there. The closed form is its limit in long runs: with smoothed norms
            the bound falls by 0.3% over 1,000 steps, 0.02% over 10,000, 0.002% over 100,000 (0.5
            s); by 4% over 400 steps of norms that fall tenfold.
        clamp_fraction: norms below this share of their median count as this share of it: one that
            is zero would take all the weight. At most 0.5.

    Returns:
        A :class:`Tabulated` of ``total_steps``, whose ``source`` states how it was made.

    Raises:
        ValueError: if the run lacks the norms or has fewer than two finite ones, the peak is
            neither given nor known, or an argument is out of its range; the message names it.
        TypeError: if ``run`` is not a :class:`Run`, or a numeric argument is not a number.
        ImportError: if scipy is not installed (``pip install 'optax_lrs[refine]'``).

    Example:
        >>> run = Run(steps=range(5), grad_norms=[4.0, 2.0, 1.0, 1.0, 1.0])
        >>> schedule = refine(run, optimizer="sgd", peak=0.1, smoothing=0.0)
        >>> print(schedule.at(range(6)).round(4))
        [0.0089 0.0333 0.1    0.0667 0.0333 0.    ]
        >>> schedule.source
        'refined for sgd from 5 l2 norms, steps 0 to 4; in closed form, without smoothing'

    References:
        Defazio, Cutkosky, Mehta and Mishchenko, When, Why and How Much? Adaptive Learning Rate
        Scheduling by Refinement, arXiv:2310.07831; the algorithm as in the authors' code.
    """
    norms = prepare_norms(run, optimizer=optimizer, norm=norm, smoothing=smoothing, clamp_fraction=clamp_fraction)
    one_of("refine", "method", method, tuple(_METHODS))
    peak = known_number("refine", "peak", _peak(run) if peak is None else peak)
    floor = known_number("refine", "floor", floor)
    if not 0 <= floor <= peak or not peak > 0:
        raise ValueError(f"refine: peak must be positive and floor from 0 to peak, got floor={floor}, peak={peak}")
    total_steps = _length(run, norms) if total_steps is None else whole("refine", "total_steps", total_steps, low=1)
    shape = shape_of(norms, method)
    steps = knots_of(total_steps, knots)
    shares = np.interp(steps * len(norms.smooth) / total_steps, np.arange(len(shape)), shape)  # the end exactly there
    lrs = np.maximum(peak * (shares / shares.max()), floor)
    every = len(steps) == total_steps + 1
    source = _source(run, norms, optimizer, method, smoothing)
    return Tabulated(lrs=lrs, steps=None if every else steps.tolist(), source=source)


def shape_of(norms: ObservedNorms, method: str = "closed_form") -> np.ndarray:
    """The refined rates as a share of their peak: one for each norm, and a final zero."""
    if method == "bound":
        return minimal_shape(norms.effective)
    return refined_shape(np.append(norms.smooth, norms.smooth[-1]), power=norms.power)


def knots_of(total_steps: int, knots: int | None) -> np.ndarray:
    """The steps of a table: all, or ``knots`` of them, evenly spread, ends included."""
    if knots is not None:
        knots = whole("refine", "knots", knots, low=2)
    if knots is None or total_steps + 1 <= knots:
        return np.arange(total_steps + 1)
    return np.round(np.linspace(0, total_steps, knots)).astype(np.int64)


def _length(run: Run, norms: ObservedNorms) -> int:
    """The length of the observed run, or the end of its schedule within one row of it."""
    end = None if run.schedule is None else run.schedule.ends_at
    return end if end and abs(end - norms.total_steps) < norms.spacing else norms.total_steps


def _peak(run: Run) -> float:
    if run.lrs is not None and np.any(np.isfinite(run.lrs)):
        return float(np.nanmax(np.where(np.isfinite(run.lrs), run.lrs, np.nan)))
    if run.schedule is not None:
        last = run.schedule.ends_at if run.schedule.ends_at is not None else int(run.steps[-1])
        corners = [corner for corner in run.schedule.corners if corner <= last]
        return float(np.max(run.schedule.at(np.append(np.linspace(0, last, 4097).astype(np.int64), corners))))
    raise ValueError("refine: peak is needed, because the run has neither lrs nor a schedule to take it from")


def _source(run: Run, norms: ObservedNorms, optimizer: str, method: str, smoothing: float) -> str:
    text = f"refined for {optimizer} from {len(run):,} {norms.norm} norms, steps {run.steps[0]:,} to {run.steps[-1]:,}"
    if run.schedule is not None:
        text += f" of {_brief(repr(run.schedule))}"
    text += f"; {_METHODS[method]}, {f'running median of {smoothing:.4g}' if smoothing else 'without smoothing'}"
    if norms.left_out:
        text += f"; {norms.left_out:,} not finite left out"
    if run.notes:
        text += f"; {_brief(json.dumps(dict(run.notes), default=str))}"
    return text


def _brief(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
