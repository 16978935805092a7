"""Searches for the schedule with the lowest predicted loss: among all, or in a family."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import optax

from optax_lrs._value.arguments import instance, number, whole
from optax_lrs.laws._ensemble import Ensemble
from optax_lrs.laws._law import Law, LawWarning
from optax_lrs.laws._lr_gradient import lr_gradient
from optax_lrs.laws._rates import rates
from optax_lrs.schedules import Tabulated

_CORNER = (
    "a law that is linear in the drops of the rate is lowest at a corner: "
    "the schedule stays at the peak and falls to its end within two steps, which no run confirms. "
    "Use optimize_family, or MultiPower"
)
_LEAST = 1e-3  # share of the peak that is still to fall: no drop starts at zero, where its gradient would be zero


def optimize(
    law: Law | Ensemble,
    *,
    steps: int,
    peak: float,
    warmup_steps: int = 0,
    end: float = 0.0,
    knots: int | None = 200,
    most_iterations: int = 500,
) -> Tabulated:
    r"""Finds the schedule with the lowest final loss under a law, never rising after the warmup.

    .. math:: \min_{\delta \ge 0}\ L(T-1), \qquad
              \eta_{k} = \text{peak} - \sum_{j \le k} \delta_j, \quad
              \sum_j \delta_j \le \text{peak} - \text{end}

    As in Luo et al. the unknowns are the drops of the rate. Unlike the paper, which takes 10,000
    and more steps of Adam and clips, the drops are squares that sum to the peak with what is left
    at the end, :math:`\delta_j = (\text{peak} - \text{end})\,v_j^2 / \sum_i v_i^2`, which needs no
    clipping; L-BFGS with the exact gradient finds v from several starts. The drops are at knots,
    closer together towards the end, with straight lines between.

    For the published laws the result is a plateau of 87% and a decay close to :math:`(1-x)^{1.5}`,
    down to a hundredth of the peak or less: no more than 0.0004 below the best schedule of that
    family (:func:`optimize_family` with :data:`optax_lrs.profiles.power`), and 0.05 below cosine
    (Luo et al. measured more than 0.02 in real runs). How far this is true depends on the law: an
    optimum favors schedules whose loss the law underestimates. Also run the best simple shape, to
    compare.

    :class:`Annealing` and :class:`OnePower` are refused. Apart from the sum of rates, the annealing
    law is linear in the drops of the rate, and the optimum of a linear function is a corner of the
    allowed set: the peak, and zero within two steps (Luo et al., appendix F). Under the published
    fit at 20,000 steps, the peak to step 18,000 and zero from there on "ends" at 2.769, below the
    best cosine tail, 2.773. A family of shapes, whose decay cannot be arbitrarily short, is safe.

    Args:
        law: a law with ``free_optimum`` and ``rate_slopes``, such as a fitted :class:`MultiPower`
            or :class:`SublinearPower`; or an ensemble, whose law is used.
        steps: the number of updates.
        peak: the rate after the warmup.
        warmup_steps: the length of a linear warmup from zero.
        end: the lowest rate allowed at the last step; the law may choose a higher one.
        knots: the number of drops; None for one at every step.
        most_iterations: the largest number of iterations of L-BFGS, from each start.

    Returns:
        The schedule; its ``source`` names the law.

    Warns:
        LawWarning: if there are reasons to doubt the prediction for the schedule.

    Raises:
        ValueError: if the law does not declare ``free_optimum``, or a number is out of its range.
        TypeError: if ``law`` is not a law, or defines no ``rate_slopes``.

    Example:
        >>> from optax_lrs.laws import MultiPower
        >>> lr = optimize(MultiPower.published("25M"), steps=2000, peak=3e-4, warmup_steps=200, knots=60)
        >>> bool(lr.at(1999) < lr.at(200) / 10)
        True

    References:
        Luo et al., arXiv:2503.12811, section 5 and appendix F.
    """
    law = law.law if isinstance(law, Ensemble) else law
    _checked(law, steps, peak, warmup_steps, end, knots)
    places = _places(steps, warmup_steps, knots)
    every, warm = np.arange(steps), np.arange(min(warmup_steps, steps)) / max(warmup_steps, 1)
    left = np.clip(np.searchsorted(places, every, side="right") - 1, 0, len(places) - 2)
    share = np.clip((every - places[left]) / (places[left + 1] - places[left]), 0, 1)

    def lrs_of(at_knots: np.ndarray) -> np.ndarray:
        lrs = at_knots[left] * (1 - share) + at_knots[left + 1] * share
        lrs[: len(warm)] = peak * warm
        return lrs

    def objective(roots: np.ndarray) -> tuple[float, np.ndarray]:
        squares, total = roots**2, roots @ roots
        drops = (peak - end) * squares / total
        lrs = np.maximum(lrs_of(np.concatenate([[peak], peak - np.cumsum(drops[:-1])])), 0.0)
        by_step = lr_gradient(law, lrs)
        by_step[: len(warm)] = 0.0
        from_left = np.bincount(left, by_step * (1 - share), len(places))
        by_knot = from_left + np.bincount(left + 1, by_step * share, len(places))
        by_drop = np.append(-np.cumsum(by_knot[::-1])[::-1][1:], 0.0)  # a drop lowers its knot and all later ones
        by_root = 2 * (peak - end) * roots / total * (by_drop - by_drop @ squares / total)
        return law.last_loss(lrs), by_root

    from scipy.optimize import minimize

    found = []
    for fraction, power in ((0.15, 1.5), (1.0, 1.0)):
        begin = steps - 1 - fraction * (steps - 1 - warmup_steps)
        shape = np.clip((steps - 1 - places) / (steps - 1 - begin), 0, 1) ** power
        squares = np.append(-np.diff(shape), 0.02) + _LEAST / len(places)
        how = dict(maxiter=most_iterations, maxcor=30, ftol=1e-12, gtol=1e-9)
        found.append(minimize(objective, np.sqrt(squares), jac=True, method="L-BFGS-B", options=how))
    best = min(found, key=lambda each: each.fun)
    drops = (peak - end) * best.x**2 / (best.x @ best.x)
    at_knots = np.maximum(np.concatenate([[peak], peak - np.cumsum(drops[:-1])]), end)
    table: Any = at_knots
    at = places
    if warmup_steps:
        table, at = np.concatenate([[0.0], at_knots]), np.concatenate([[0], places])
    source = f"best of all that never rise, by {type(law).__name__}: loss {best.fun:.4f} after {steps:,} steps"
    schedule = Tabulated(lrs=table, steps=tuple(map(int, at)), source=source)
    _warn(law, schedule, steps, "optimize")
    return schedule


class BestSchedule(NamedTuple):
    """The result of :func:`optimize_family`.

    Attributes:
        schedule: the best schedule.
        loss: its predicted final loss.
        arguments: its arguments of the family, by name.
        edges: the numeric arguments whose best value is the lowest or the highest tried: the true
            best may be beyond.
        tried: all points, as dicts of the arguments and ``loss``, the lowest loss first.
    """

    schedule: optax.Schedule
    loss: float
    arguments: dict[str, Any]
    edges: tuple[str, ...]
    tried: tuple[dict[str, Any], ...]


def optimize_family(
    law: Law | Ensemble,
    family: Callable[..., optax.Schedule],
    grid: Mapping[str, Sequence[Any]],
    *,
    steps: int,
) -> BestSchedule:
    """Finds the best schedule of a family under a law, by trying every combination of values.

    It works with any law, including :class:`Annealing`, as long as no decay of the family is
    arbitrarily short. For shapes like those of the fitted runs the law is right up to its errors,
    which :func:`choose` reports for the best few. A law predicts the effect of the peak poorly: try
    few values, none beyond the fitted rates.

    Args:
        law: a law, or an ensemble, whose law is used.
        family: a function from the values, by name, to a schedule.
        grid: the values to try by name, numbers in increasing order.
        steps: the length of the run.

    Returns:
        The best schedule, with the arguments whose best value is at an edge of the grid.

    Warns:
        LawWarning: if there are reasons to doubt the prediction for the best schedule, or the best
            value is at an edge of the grid.

    Raises:
        ValueError: if the grid is empty; also those of :meth:`Law.predict`.

    Example:
        >>> import optax_lrs as olrs
        >>> def tail(share):
        ...     return olrs.WSD(peak=2e-4, total_steps=20_000, decay_steps=round(share * 20_000))
        >>> law, grid = olrs.laws.Annealing.published(), {"share": (0.1, 0.2, 0.25, 0.3, 0.5)}
        >>> best = optimize_family(law, tail, grid, steps=20_000)
        >>> best.arguments, round(best.loss, 4)
        ({'share': 0.25}, 2.7775)
    """
    if not grid or not all(len(values) for values in grid.values()):
        raise ValueError(f"optimize_family: grid must have names, and values for each, got {dict(grid)!r:.80}")
    law = law.law if isinstance(law, Ensemble) else law
    tried, schedules = [], []
    for values in itertools.product(*grid.values()):
        point = dict(zip(grid, values))
        schedules.append(family(**point))
        tried.append(
            {**point, "loss": float(law.curve(rates(schedules[-1], steps, "optimize_family"), [steps - 1])[0])}
        )
    order = sorted(range(len(tried)), key=lambda index: tried[index]["loss"])
    best = {name: tried[order[0]][name] for name in grid}
    edges = tuple(
        name
        for name, values in grid.items()
        if len(values) > 1 and isinstance(best[name], (int, float)) and best[name] in (min(values), max(values))
    )
    _warn(law, schedules[order[0]], steps, "optimize_family", *(f"the best {name} is at the edge" for name in edges))
    return BestSchedule(schedules[order[0]], tried[order[0]]["loss"], best, edges, tuple(tried[i] for i in order))


def _checked(law: Law, steps: int, peak: float, warmup_steps: int, end: float, knots: int | None) -> None:
    instance("optimize", "law", law, Law)
    if not law.free_optimum:
        raise ValueError(f"optimize: law must declare free_optimum, got a {type(law).__name__}: {_CORNER}")
    for name, value, least in (("steps", steps, 2), ("warmup_steps", warmup_steps, 0), ("knots", knots or 2, 2)):
        whole("optimize", name, value, low=least)
    if warmup_steps > steps - 2:
        raise ValueError(
            f"optimize: warmup_steps must leave at least 2 of steps={steps} to decay in, got {warmup_steps}"
        )
    number("optimize", "peak", peak, above=0)
    if not 0 <= number("optimize", "end", end) < peak:
        raise ValueError(f"optimize: end must be at least 0 and below peak={peak!r}, got {end!r}")


def _places(steps: int, warmup_steps: int, knots: int | None) -> np.ndarray:
    """Steps from the end of the warmup to the last, denser towards the end."""
    span = steps - 1 - warmup_steps
    if knots is None or knots >= span + 1:
        return np.arange(warmup_steps, steps)
    return np.unique(steps - 1 - np.round(span * np.linspace(0, 1, knots) ** 2).astype(np.int64))


def _warn(law: Law, schedule: optax.Schedule, steps: int, who: str, *more: str) -> None:
    doubts = (*law.doubts(rates(schedule, steps, who)), *more)
    if doubts:
        warnings.warn(f"{who}: {'; '.join(doubts)}", LawWarning, stacklevel=3)
