"""The fit: Huber's loss of the logarithms, by trust-region least squares from several starts."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

Basis = Callable[[Mapping[str, float]], tuple[np.ndarray, Mapping[str, Sequence[tuple[int, np.ndarray]]]]]

_LEAST, _MOST = 1e-12, 1e12  # of a parameter without bounds: all are positive
_far_off = np.errstate(over="ignore", invalid="ignore")  # a step too far, which the optimizer takes back


@dataclasses.dataclass(frozen=True, eq=False)
class Problem:
    """Parameters, some of them linear, and the data.

    Attributes:
        linear: the names of the coefficients of the columns, in their order.
        others: the names of the parameters that the columns depend on.
        basis: from values of ``others`` to the columns [n, m] and, by name, their derivatives as (column, [n]).
        losses: what is to be predicted, shape [n].
        weights: of the points, shape [n], mean 1.
        delta: where Huber's loss turns from a square into a line.
        bounds: (lowest, highest) by name.
        prior: (center, width of the logarithm) by name.
        fixed: values that are not fitted, by name.
        signed: the linear parameters that may be negative.
    """

    linear: tuple[str, ...]
    others: tuple[str, ...]
    basis: Basis
    losses: np.ndarray
    weights: np.ndarray
    delta: float
    bounds: Mapping[str, tuple[float, float]]
    prior: Mapping[str, tuple[float, float]]
    fixed: Mapping[str, float]
    signed: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.linear, *self.others)

    @property
    def free(self) -> tuple[str, ...]:
        """Those that are fitted."""
        return tuple(name for name in self.names if name not in self.fixed)


@dataclasses.dataclass(frozen=True, eq=False)
class Solution:
    """Parameters by name, the objective (without the prior's part), and how well the data determine them."""

    parameters: dict[str, float]
    objective: float
    converged: bool
    condition: float  # of the Jacobian in the logarithms, its columns scaled to one length: large where two are alike


def huber(residuals: np.ndarray, delta: float = 1e-3) -> np.ndarray:
    r"""Huber's loss: :math:`r^2/2` up to ``delta``, and :math:`\delta(|r| - \delta/2)` beyond.

    Example:
        >>> print(huber(np.array([5e-4, 2e-3])))
        [1.25e-07 1.50e-06]
    """
    size = np.abs(residuals)
    return np.where(size <= delta, 0.5 * size**2, delta * (size - 0.5 * delta))


def solve(problem: Problem, starts: Sequence[Mapping[str, float]], *, most_steps: int = 200) -> Solution:
    """The best of the local optima that the starts lead to.

    Unknowns are logarithms (of ``1 - x`` for a ``decay_factor``), so that all but the signed stay positive. Trust-region
    steps on the exact Jacobian, for the valleys of these laws are narrow and bent: first-order methods stop in them early.
    A ``decay_factor``, each new value of which takes a pass over all steps, is held at its start at first; then it joins the
    others from the best that was found.

    Args:
        problem: what to fit.
        starts: values of the parameters that are not linear; of the linear ones too, or they are solved for.
        most_steps: of each start.
    """
    starts = [{**start, **problem.fixed} for start in starts]
    starts = [
        start for index, start in enumerate(starts) if start not in starts[:index]
    ]  # what is fixed may make two one
    slow = "decay_factor"
    if slow in problem.free and len(starts) > 1:
        held = [dataclasses.replace(problem, fixed={**problem.fixed, slow: start[slow]}) for start in starts]
        found = [_from(each, _completed(each, start), most_steps) for each, start in zip(held, starts)]
        starts = [min(found, key=lambda each: each[0])[1].parameters]
    solutions = [_from(problem, _completed(problem, start), most_steps) for start in starts]
    return min(solutions, key=lambda each: each[0])[1]


def _completed(problem: Problem, start: Mapping[str, float]) -> dict[str, float]:
    """The start with the linear parameters that fit best in relative squares, none of them negative."""
    values = dict(start)
    if all(name in values for name in problem.linear):
        return values
    from scipy.optimize import nnls

    columns, _ = problem.basis(values)
    scaled = columns * (np.sqrt(problem.weights) / problem.losses)[:, None]
    signed = [problem.linear.index(name) for name in problem.signed]
    lengths = np.linalg.norm(scaled, axis=0) + 1e-300
    unit, count = scaled / lengths, len(problem.linear)
    try:
        found = nnls(np.concatenate([unit, -unit[:, signed]], axis=1), np.sqrt(problem.weights))[0]
        found[signed] -= found[count:]
    except RuntimeError:  # too many iterations: any start will do
        found = np.full(count, 0.5 * np.linalg.norm(np.sqrt(problem.weights)))
    # A coefficient of zero has no logarithm: a thousandth of what the column could explain alone.
    least = 1e-3 * np.linalg.norm(np.sqrt(problem.weights))
    found = [f if name in problem.signed else max(f, least) for name, f in zip(problem.linear, found)]
    return dict(zip(problem.linear, found / lengths)) | values


def _from(problem: Problem, start: Mapping[str, float], most_steps: int) -> tuple[float, Solution]:
    """What is minimized, at the optimum that this start leads to, and that optimum."""
    from scipy.optimize import least_squares

    free = problem.free
    pulled = [(free.index(name), *problem.prior[name]) for name in problem.prior if name in free]
    rows, log_losses = len(problem.losses), np.log(problem.losses)
    lower, upper = np.array([_range(problem, name) for name in free]).reshape(-1, 2).T

    def parameters(unknowns):
        return {**problem.fixed, **{name: _value(problem, name, float(u)) for name, u in zip(free, unknowns)}}

    @functools.lru_cache(maxsize=1)
    def basis(key):  # residuals and Jacobian are wanted at the same unknowns, one after the other
        return problem.basis(parameters(np.frombuffer(key)))

    @_far_off
    def residuals(unknowns):
        values = parameters(unknowns)
        columns, _ = basis(unknowns.tobytes())
        data = _log(columns @ [values[name] for name in problem.linear]) - log_losses
        pulls = [
            problem.delta * (unknowns[i] - _unknown(problem, free[i], center)) / width for i, center, width in pulled
        ]
        return np.concatenate([data, pulls])

    @_far_off
    def jacobian(unknowns):
        values = parameters(unknowns)
        columns, slopes = basis(unknowns.tobytes())
        coefficients = np.array([values[name] for name in problem.linear])
        predicted = np.maximum(columns @ coefficients, _LEAST)
        matrix = np.zeros((rows + len(pulled), len(free)))
        for index, name in enumerate(free):
            if name in problem.linear:
                change = columns[:, problem.linear.index(name)] * _stretch(problem, name, values[name])
            else:
                change = sum(coefficients[column] * slope for column, slope in slopes[name]) * _stretch(
                    problem, name, values[name]
                )
            matrix[:rows, index] = change / predicted
        for row, (index, _, width) in enumerate(pulled, rows):
            matrix[row, index] = problem.delta / width
        # Where nothing holds the parameters, a step may take them so far that a product of two overflows.
        return np.nan_to_num(matrix, nan=0.0, posinf=_MOST, neginf=-_MOST)

    def loss(squares):
        # Weighted Huber for the data, squares for the prior. The second derivative is left out: beyond delta Huber's is
        # zero, and a start from which all residuals are large would have no curvature to step by.
        size = np.sqrt(np.maximum(squares, 1e-300))
        outside = size > 1
        rho = np.array(
            [np.where(outside, 2 * size - 1, squares), np.where(outside, 1 / size, 1.0), np.zeros_like(size)]
        )
        rho[:, :rows] *= problem.weights
        rho[0, rows:], rho[1, rows:] = squares[rows:], 1.0
        return rho

    origin = np.clip(np.array([_unknown(problem, name, start[name]) for name in free]), lower + 1e-9, upper - 1e-9)
    if not free:
        objective = float(problem.weights @ huber(residuals(origin), problem.delta))
        return objective, Solution(parameters(origin), objective, True, 1.0)
    found = least_squares(
        residuals, origin, jacobian, bounds=(lower, upper), method="trf", x_scale="jac", loss=loss, f_scale=problem.delta,
        ftol=1e-10, xtol=1e-10, gtol=1e-14, max_nfev=most_steps,
    )  # fmt: skip
    objective = float(problem.weights @ huber(residuals(found.x)[:rows], problem.delta))
    return float(found.cost), Solution(
        parameters(found.x), objective, found.status > 0, _condition(jacobian(found.x)[:rows])
    )


def _log(predicted: np.ndarray) -> np.ndarray:
    # A step that goes too far may predict a negative loss, or one that overflows.
    return np.log(np.clip(np.nan_to_num(predicted, nan=_MOST), _LEAST, _MOST))


def _unknown(problem: Problem, name: str, value: float) -> float:
    if name in problem.signed:
        return float(value)
    return float(np.log1p(-value) if name == "decay_factor" else np.log(max(value, _LEAST)))


def _value(problem: Problem, name: str, unknown: float) -> float:
    if name in problem.signed:
        return unknown
    return float(-np.expm1(unknown) if name == "decay_factor" else np.exp(unknown))


def _stretch(problem: Problem, name: str, value: float) -> float:
    """The derivative of the value in its unknown."""
    if name in problem.signed:
        return 1.0
    return value - 1 if name == "decay_factor" else value


def _range(problem: Problem, name: str) -> tuple[float, float]:
    default = (
        (-_MOST, _MOST) if name in problem.signed else (0.5, 1 - 1e-6) if name == "decay_factor" else (_LEAST, _MOST)
    )
    return tuple(sorted(_unknown(problem, name, side) for side in problem.bounds.get(name, default)))


def _condition(matrix: np.ndarray) -> float:
    lengths = np.linalg.norm(matrix, axis=0)
    if np.any(lengths == 0):
        return float("inf")
    values = np.linalg.svd(matrix / lengths, compute_uv=False)
    return float(values[0] / max(values[-1], 1e-300))
