"""Fits a law to observations: the problem, its weights, and the reasons for doubt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from optax_lrs._value import Value
from optax_lrs._value.arguments import number
from optax_lrs.laws._observations import Observations
from optax_lrs.laws._solve import Problem, Solution, solve
from optax_lrs.laws._warmup import warmup_length

NOT_CONVERGED = "the optimizer did not converge"

_LOOSE = 1e3  # condition of the Jacobian above which the runs hardly determine the parameters
_DROP = 0.02  # share of the peak by which the rate must fall within the observed steps, to show what a fall does


class FitReport(Value):
    """What a law was fitted to, and how the fit went.

    Args:
        objective: the weighted sum of Huber's losses of the logarithms, at the optimum.
        rmse: the root mean square of the residuals of the logarithms: 0.002 is 0.2% of the loss.
        highest_lr: the highest rate of the runs.
        longest_steps: the last step that was observed.
        points: the number of losses.
        runs: the number of runs.
        doubts: the reasons to doubt the fit; empty if there are none.
    """

    objective: float
    rmse: float
    highest_lr: float
    longest_steps: int
    points: int
    runs: int
    doubts: tuple[str, ...] = ()


def fitted(
    cls: Any,
    seen: Sequence[Observations],
    *,
    weights: Sequence[float] | Sequence[np.ndarray] | None = None,
    settings: Mapping[str, Any],
    delta: float,
    fixed: Mapping[str, float | None] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    prior: Mapping[str, tuple[float, float]] | None = None,
    starts: Sequence[Mapping[str, float]] | None = None,
) -> Any:
    """The law of class ``cls`` that fits best; the arguments are those of ``Law.fit``."""
    problem = problem_of(
        cls, seen, weights=weights, settings=settings, delta=delta, fixed=fixed, bounds=bounds, prior=prior
    )
    solution = solve(problem, starts or cls.starts)
    return law_of(cls, seen, problem, solution, settings)


def problem_of(
    cls: Any,
    seen: Sequence[Observations],
    *,
    weights: Sequence[float] | Sequence[np.ndarray] | None,
    settings: Mapping[str, Any],
    delta: float,
    fixed: Mapping[str, float | None] | None,
    bounds: Mapping[str, tuple[float, float]] | None,
    prior: Mapping[str, tuple[float, float]] | None,
) -> Problem:
    """The minimization problem; raises for mistakes in the arguments and gaps in the data."""
    owner, names = f"{cls.__name__}.fit", (*cls.linear, *cls.others)
    for argument, mapping in dict(fixed=fixed, bounds=bounds, prior=prior).items():
        unknown = [name for name in mapping or {} if name not in names]
        if unknown:
            raise ValueError(f"{owner}: {argument} names {unknown[0]!r}; the parameters are {', '.join(names)}")
    delta = number(owner, "delta", delta, above=0)
    for name, (low, high) in (bounds or {}).items():
        if not 0 <= low < high:
            raise ValueError(f"{owner}: bounds[{name!r}] must satisfy 0 <= lowest < highest, got {(low, high)!r}")
    for name, (center, width) in (prior or {}).items():
        if not (center > 0 and width > 0):
            raise ValueError(f"{owner}: prior[{name!r}] must be a positive (center, width), got {(center, width)!r}")
    held = {name: value for name, value in {**cls.held, **(fixed or {})}.items() if value is not None}
    for each in seen:
        if each.steps[-1] <= warmup_length(each.lrs):
            end = f"a run that ends at step {each.steps[-1]}, while its rate still rises from the start"
            raise ValueError(f"{owner}: every run must outlast its warmup, got {end}")
    count, needed = sum(len(each.steps) for each in seen), len(names) - len(held)
    if not seen or count <= needed:
        raise ValueError(f"{owner}: {count} losses in {len(seen)} runs cannot determine {needed} parameters")
    if cls.needs_decay and not any(_falls(each) for each in seen):
        raise ValueError(
            f"{owner}: the rate is constant in every run, which does not show what a fall of the rate does: add a run "
            "whose rate decays, or fit OnePower"
        )
    plans = [
        cls.plan(each.lrs, each.steps, **each_settings(cls, settings, len(seen), i)) for i, each in enumerate(seen)
    ]

    def basis(values: Mapping[str, float]) -> tuple[np.ndarray, dict[str, list[tuple[int, np.ndarray]]]]:
        parts = [cls.basis(plan, values) for plan in plans]
        slopes: dict[str, list[tuple[int, np.ndarray]]] = {}
        for name in parts[0][1]:
            each = [part[1][name] for part in parts]
            slopes[name] = [(same[0][0], np.concatenate([slope for _, slope in same])) for same in zip(*each)]
        return np.concatenate([part[0] for part in parts]), slopes

    return Problem(
        linear=cls.linear,
        others=cls.others,
        basis=basis,
        losses=np.concatenate([each.losses for each in seen]),
        weights=_weights(cls, seen, weights),
        delta=delta,
        bounds=bounds or {},
        prior=(cls.priors if prior is None else prior) or {},
        fixed=held,
        scales=cls.scales,
        slow=cls.slow,
    )


def law_of(
    cls: Any, seen: Sequence[Observations], problem: Problem, solution: Solution, settings: Mapping[str, Any]
) -> Any:
    """The law with its report."""
    columns, _ = problem.basis(solution.parameters)
    residuals = np.log(columns @ [solution.parameters[name] for name in cls.linear]) - np.log(problem.losses)
    doubts = []
    if not solution.converged:
        doubts.append(NOT_CONVERGED)
    if solution.condition > _LOOSE:
        condition = f"condition {solution.condition:.0e}"
        doubts.append(f"the runs hardly determine the parameters ({condition}): add a run with another schedule")
    report = FitReport(
        objective=solution.objective,
        rmse=float(np.sqrt(np.mean(residuals**2))),
        highest_lr=max(float(each.lrs.max()) for each in seen),
        longest_steps=max(int(each.steps[-1]) for each in seen),
        points=len(residuals),
        runs=len(seen),
        doubts=tuple(doubts),
    )
    return cls(**solution.parameters, **each_settings(cls, settings, len(seen), 0), report=report)


def each_settings(cls: Any, settings: Mapping[str, Any], count: int, index: int) -> dict[str, Any]:
    """The settings of one of the runs: from a sequence, the run's entry."""
    for name, value in settings.items():
        if name not in cls.settings:
            known = ", ".join(cls.settings)
            raise TypeError(f"{cls.__name__}.fit: unknown argument {name!r}; the settings of this law are {known}")
        if isinstance(value, (list, tuple)) and len(value) != count:
            rule = f"must be one value, or one for each of {count} runs"
            raise ValueError(f"{cls.__name__}.fit: {name} {rule}, got {value!r:.60}")
    return {name: value[index] if isinstance(value, (list, tuple)) else value for name, value in settings.items()}


def _falls(seen: Observations) -> bool:
    """Whether the rate falls visibly between the first step observed and the last."""
    during = seen.lrs[seen.steps[0] : seen.steps[-1] + 1]
    return float(np.max(np.maximum.accumulate(during) - during)) > _DROP * float(seen.lrs.max())


def _weights(cls: Any, seen: Sequence[Observations], weights: Any) -> np.ndarray:
    """A weight for each point, mean 1, from one for each run (or one for each point of a run)."""
    counts = [len(each.steps) for each in seen]
    if weights is None and not cls.late_weight:
        return np.ones(sum(counts))
    weights = np.ones(len(seen)) if weights is None else weights
    weights = [np.asarray(weight, np.float64) for weight in weights]
    if len(weights) != len(seen) or any(np.any(~np.isfinite(weight)) or np.any(weight < 0) for weight in weights):
        raise ValueError(f"{cls.__name__}.fit: weights must be {len(seen)} numbers, one for each run, not negative")
    each = np.concatenate([np.broadcast_to(weight, (count,)) for weight, count in zip(weights, counts)])
    each = each * np.concatenate([one.steps for one in seen]) ** cls.late_weight
    if not each.sum() > 0:
        raise ValueError(f"{cls.__name__}.fit: weights must not all be zero")
    return each * len(each) / each.sum()
