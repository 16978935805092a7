"""The solver of a fit: trust-region least squares on Huber's loss, from several starts."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from optax_lrs.laws._scales import LEAST, MOST, SCALES, Scale

Basis = Callable[[Mapping[str, float]], tuple[np.ndarray, Mapping[str, Sequence[tuple[int, np.ndarray]]]]]

_overshoot = np.errstate(over="ignore", invalid="ignore")  # a step that goes too far, which the optimizer rejects


@dataclasses.dataclass(frozen=True, eq=False)
class Problem:
    """The parameters, some of them linear, and the data.

    Attributes:
        linear: the names of the coefficients of the columns, in order.
        others: the names of the parameters that the columns depend on.
        basis: from values of ``others`` to the columns [n, m] and, by name, their derivatives as
            (column, [n]).
        losses: the observed losses, shape [n].
        weights: of the points, shape [n], mean 1.
        delta: where Huber's loss turns from a square into a line.
        bounds: (lowest, highest) by name.
        prior: (center, width of the unknown) by name.
        fixed: values that are not fitted, by name.
        scales: the scale of the unknown by name, ``"log"`` by default.
        slow: the names of parameters that are held at their starts first.
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
    scales: Mapping[str, str] = dataclasses.field(default_factory=dict)
    slow: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All parameters."""
        return (*self.linear, *self.others)

    @property
    def free(self) -> tuple[str, ...]:
        """The parameters that are fitted."""
        return tuple(name for name in self.names if name not in self.fixed)

    def scale(self, name: str) -> Scale:
        """The scale of a parameter."""
        return SCALES[self.scales.get(name, "log")]

    def range(self, name: str) -> tuple[float, float]:
        """The lowest and the highest unknown of a parameter."""
        low, high = (self.scale(name).unknown(side) for side in self.bounds.get(name, self.scale(name).bounds))
        return min(low, high), max(low, high)


@dataclasses.dataclass(frozen=True, eq=False)
class Solution:
    """The parameters, the objective without the prior's part, and how well they are determined."""

    parameters: dict[str, float]
    objective: float
    converged: bool
    condition: float  # of the Jacobian by the unknowns, columns scaled to one length: large where two are alike


def huber(residuals: np.ndarray, delta: float = 1e-3) -> np.ndarray:
    r"""Huber's loss: :math:`r^2/2` up to ``delta``, and :math:`\delta(|r| - \delta/2)` beyond.

    Example:
        >>> print(huber(np.array([5e-4, 2e-3])))
        [1.25e-07 1.50e-06]
    """
    size = np.abs(residuals)
    return np.where(size <= delta, 0.5 * size**2, delta * (size - 0.5 * delta))


def solve(problem: Problem, starts: Sequence[Mapping[str, float]], *, most_steps: int = 200) -> Solution:
    """Returns the best of the local optima found from the starts.

    The unknowns are the parameters on their scales, mostly logarithms, so that positive parameters
    stay positive. The solver takes trust-region steps on the exact Jacobian: the valleys of these
    laws are narrow and bent, and first-order methods stop in them early. A slow parameter is held
    at its start at first. Then it joins the others, from the best result so far.

    Args:
        problem: what to fit.
        starts: values of the parameters that are not linear. Linear ones are solved for if they are
            missing.
        most_steps: the most steps from each start.
    """
    starts = [{**start, **problem.fixed} for start in starts]
    starts = [start for index, start in enumerate(starts) if start not in starts[:index]]  # fixing may merge two
    slow = [name for name in problem.slow if name in problem.free]
    if slow and len(starts) > 1:
        found = []
        for start in starts:
            held = dataclasses.replace(problem, fixed={**problem.fixed, **{name: start[name] for name in slow}})
            found.append(_from(held, _completed(held, start), most_steps))
        starts = [min(found, key=lambda each: each[0])[1].parameters]
    solutions = [_from(problem, _completed(problem, start), most_steps) for start in starts]
    return min(solutions, key=lambda each: each[0])[1]


def _completed(problem: Problem, start: Mapping[str, float]) -> dict[str, float]:
    """The start, completed by the linear parameters that fit best in relative squares.

    Only parameters on a linear scale may be negative.
    """
    values = dict(start)
    if all(name in values for name in problem.linear):
        return values
    from scipy.optimize import nnls

    columns, _ = problem.basis(values)
    scaled = columns * (np.sqrt(problem.weights) / problem.losses)[:, None]
    signed = [index for index, name in enumerate(problem.linear) if problem.scales.get(name) == "linear"]
    lengths = np.linalg.norm(scaled, axis=0) + 1e-300
    unit, count = scaled / lengths, len(problem.linear)
    try:
        found = nnls(np.concatenate([unit, -unit[:, signed]], axis=1), np.sqrt(problem.weights))[0]
        found[signed] -= found[count:]
    except RuntimeError:  # too many iterations: any start is good enough
        found = np.full(count, 0.5 * np.linalg.norm(np.sqrt(problem.weights)))
    # A coefficient of zero has no logarithm: take a thousandth of what the column could explain
    # alone.
    least = 1e-3 * np.linalg.norm(np.sqrt(problem.weights))
    found = [f if index in signed else max(f, least) for index, f in zip(range(count), found)]
    return dict(zip(problem.linear, found / lengths)) | values


def _from(problem: Problem, start: Mapping[str, float], most_steps: int) -> tuple[float, Solution]:
    """The minimum from this start, with the prior's part, and the solution there."""
    from scipy.optimize import least_squares

    free = problem.free
    scales = [problem.scale(name) for name in free]
    pulled = [(free.index(name), *problem.prior[name]) for name in problem.prior if name in free]
    rows, log_losses = len(problem.losses), np.log(problem.losses)
    lower, upper = np.array([problem.range(name) for name in free]).reshape(-1, 2).T

    def parameters(unknowns: np.ndarray) -> dict[str, float]:
        return {**problem.fixed, **{name: s.value(float(u)) for name, s, u in zip(free, scales, unknowns)}}

    @functools.lru_cache(maxsize=1)
    def basis(key: bytes):  # the residuals and the Jacobian are computed at the same unknowns, one after the other
        return problem.basis(parameters(np.frombuffer(key)))

    @_overshoot
    def residuals(unknowns: np.ndarray) -> np.ndarray:
        values = parameters(unknowns)
        columns, _ = basis(unknowns.tobytes())
        data = _log(columns @ [values[name] for name in problem.linear]) - log_losses
        pulls = [problem.delta * (unknowns[i] - scales[i].unknown(center)) / width for i, center, width in pulled]
        return np.concatenate([data, pulls])

    @_overshoot
    def jacobian(unknowns: np.ndarray) -> np.ndarray:
        values = parameters(unknowns)
        columns, slopes = basis(unknowns.tobytes())
        coefficients = np.array([values[name] for name in problem.linear])
        predicted = np.maximum(columns @ coefficients, LEAST)
        matrix = np.zeros((rows + len(pulled), len(free)))
        for index, (name, scale) in enumerate(zip(free, scales)):
            stretch = scale.stretch(values[name])
            if name in problem.linear:
                change = columns[:, problem.linear.index(name)] * stretch
            else:
                change = sum(coefficients[column] * slope for column, slope in slopes[name]) * stretch
            matrix[:rows, index] = change / predicted
        for row, (index, _, width) in enumerate(pulled, rows):
            matrix[row, index] = problem.delta / width
        # Where nothing holds the parameters, a step may take them so far that a product of two
        # overflows.
        return np.nan_to_num(matrix, nan=0.0, posinf=MOST, neginf=-MOST)

    def loss(squares: np.ndarray) -> np.ndarray:
        # Weighted Huber for the data, squares for the prior. The second derivative is left out:
        # beyond delta Huber's is zero, and a start from which all residuals are large would have no
        # curvature to step by.
        size = np.sqrt(np.maximum(squares, 1e-300))
        outside = size > 1
        first, second = np.where(outside, 2 * size - 1, squares), np.where(outside, 1 / size, 1.0)
        rho = np.array([first, second, np.zeros_like(size)])
        rho[:, :rows] *= problem.weights
        rho[0, rows:], rho[1, rows:] = squares[rows:], 1.0
        return rho

    origin = np.array([scale.unknown(start[name]) for name, scale in zip(free, scales)])
    origin = np.clip(origin, lower + 1e-9, upper - 1e-9)
    if not free:
        objective = float(problem.weights @ huber(residuals(origin), problem.delta))
        return objective, Solution(parameters(origin), objective, True, 1.0)
    solver: Any = least_squares  # the stubs know neither a function as jac nor one as loss
    found = solver(
        residuals,
        origin,
        jacobian,
        bounds=(lower, upper),
        method="trf",
        x_scale="jac",
        loss=loss,
        f_scale=problem.delta,
        ftol=1e-10,
        xtol=1e-10,
        gtol=1e-14,
        max_nfev=most_steps,
    )
    objective = float(problem.weights @ huber(residuals(found.x)[:rows], problem.delta))
    condition = _condition(jacobian(found.x)[:rows])
    return float(found.cost), Solution(parameters(found.x), objective, found.status > 0, condition)


def _log(predicted: np.ndarray) -> np.ndarray:
    # A step that goes too far may predict a negative loss, or one that overflows.
    return np.log(np.clip(np.nan_to_num(predicted, nan=MOST), LEAST, MOST))


def _condition(matrix: np.ndarray) -> float:
    lengths = np.linalg.norm(matrix, axis=0)
    if np.any(lengths == 0):
        return float("inf")
    values = np.linalg.svd(matrix / lengths, compute_uv=False)
    return float(values[0] / max(values[-1], 1e-300))
