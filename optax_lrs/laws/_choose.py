"""choose: ranks schedules by the final loss that a law predicts."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping

import numpy as np
import optax

from optax_lrs._schedule import Schedule
from optax_lrs._value.arguments import instance, number, whole
from optax_lrs.laws._ensemble import Ensemble
from optax_lrs.laws._law import Law, LawWarning
from optax_lrs.laws._rates import rates

_DRAWS = 20_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Difference:
    """Two candidates compared.

    Attributes:
        better: the name of the candidate with the lower predicted loss.
        worse: the name of the other.
        gap: how much lower the loss is, in its unit.
        low: the lower bound of the gap at the level of the comparison.
        high: the upper bound.
    """

    better: str
    worse: str
    gap: float
    low: float
    high: float

    @property
    def is_real(self) -> bool:
        """Whether the law and its runs distinguish the two: zero is outside the bounds."""
        return self.low > 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice:
    """The ranked candidates, lowest predicted loss first; ``print`` shows a table.

    Attributes:
        losses: the predicted final loss by name.
        bounds: by name the (low, high) bounds of the loss at the level; equal to the loss if its
            errors are unknown.
        probabilities: by name the probability of ending lowest, if the law is right; nan if errors
            are unknown.
        steps: by name the length of the run.
        doubts: by name the reasons to doubt the prediction.
        level: the level of the bounds, such as 0.9.
        draws: samples of the final losses, shape [draws, candidates], in the order of ``losses``;
            None if errors are unknown.
    """

    losses: Mapping[str, float]
    bounds: Mapping[str, tuple[float, float]]
    probabilities: Mapping[str, float]
    steps: Mapping[str, int]
    doubts: Mapping[str, tuple[str, ...]]
    level: float
    draws: np.ndarray | None = dataclasses.field(repr=False, compare=False)

    @property
    def best(self) -> str:
        """The name of the candidate with the lowest predicted loss."""
        return next(iter(self.losses))

    def difference(self, one: str, other: str) -> Difference:
        """Compares two candidates, named in either order.

        Raises:
            ValueError: if a name is not among the candidates.
        """
        for name in (one, other):
            if name not in self.losses:
                raise ValueError(f"difference: names must be among {', '.join(self.losses)}, got {name!r}")
        names = list(self.losses)
        better, worse = sorted((one, other), key=names.index)
        gap = self.losses[worse] - self.losses[better]
        low = high = float("nan")
        if self.draws is not None:
            apart = self.draws[:, names.index(worse)] - self.draws[:, names.index(better)]
            low, high = np.quantile(apart, [(1 - self.level) / 2, (1 + self.level) / 2])
        return Difference(better=better, worse=worse, gap=gap, low=float(low), high=float(high))

    def differences(self) -> tuple[Difference, ...]:
        """Compares every pair of candidates."""
        names = list(self.losses)
        return tuple(self.difference(a, b) for i, a in enumerate(names) for b in names[i + 1 :])

    def tied(self) -> tuple[str, ...]:
        """The best candidate and those not distinguishable from it; choose by other criteria."""
        return tuple(name for name in self.losses if name == self.best or not self.difference(self.best, name).is_real)

    def __str__(self) -> str:
        width, known = max(9, *map(len, self.losses)), self.draws is not None
        share = f"{self.level:.0%} bounds"
        lines = [f"{'candidate':{width}}  {'steps':>9}  {'loss':>8}  {share:>18}  {'best':>5}  behind the best"]
        tied = self.tied()
        for name, loss in self.losses.items():
            low, high = self.bounds[name]
            bounds = f"{low:8.4f} – {high:8.4f}" if known else "not known"
            best = f"{self.probabilities[name]:.0%}" if known else "–"
            gap = loss - self.losses[self.best]
            said = "" if name == self.best else f"{gap:.4f}, " + ("not told apart" if name in tied else "told apart")
            said = said if known or name == self.best else f"{gap:.4f}"
            lines.append(
                f"{name:{width}}  {self.steps[name]:>9,}  {loss:8.4f}  {bounds:>18}  {best:>5}  {said}".rstrip()
            )
        for doubt in dict.fromkeys(doubt for each in self.doubts.values() for doubt in each):
            who = [name for name, each in self.doubts.items() if doubt in each]
            lines.append(f"doubt ({'all' if len(who) == len(self.losses) else ', '.join(who)}): {doubt}")
        return "\n".join(lines)


def choose(
    law: Law | Ensemble,
    candidates: Mapping[str, optax.Schedule],
    *,
    steps: int | None = None,
    level: float = 0.9,
    seed: int = 0,
) -> Choice:
    r"""Ranks schedules by the final loss that a law predicts, and finds which differences are real.

    Two sources of error are sampled. The first is the uncertainty that the runs leave: the
    ensemble's members, shifted to the law's prediction. The second is the misfit of the law on the
    runs that it was fitted to: a normal error of the size of the fit's residuals, sampled for each
    candidate separately. The second is cautious for similar schedules, whose errors are similar,
    too. It does not cover schedules unlike all fitted ones. Differences smaller than the fit's
    residuals are never called real. The result is still optimistic: on the 124M runs of Schaipp et
    al., fitted to two, of 54 pairs called real at 90% by :class:`SublinearPower` 49 were in the
    right order, of 52 by :class:`MultiPower` 42, of 71 by :class:`Annealing` 59. The probability
    that a candidate ends lowest is the share of samples in which it does.

    Args:
        law: a fitted law or, better, its ensemble from :func:`bootstrap`. For a single law only the
            residuals are known. For a law with given parameters no errors are known, and no
            difference is called real.
        candidates: schedules by name.
        steps: the length of the runs; by default that of each schedule, which must then have an
            end. Runs of different lengths can be compared, but their costs differ.
        level: the level of the bounds; a difference is real if zero is outside its bounds.
        seed: the seed of the samples.

    Returns:
        The choice; print it for a table.

    Warns:
        LawWarning: if a candidate is far from the fitted schedules, or the fit was doubtful.

    Raises:
        ValueError: if there are no candidates, the level is not between 0 and 1, or a schedule has
            no end and ``steps`` is not given; also those of :meth:`Law.predict`.

    Example:
        >>> import optax_lrs as olrs
        >>> law = olrs.laws.MultiPower.published("25M")
        >>> wsd = olrs.WSD(peak=3e-4, total_steps=24_000, warmup_steps=2160, decay_steps=4000, end=3e-5)
        >>> cosine = olrs.Cosine(peak=3e-4, total_steps=24_000, warmup_steps=2160, end=3e-5)
        >>> choice = choose(law, {"cosine": cosine, "wsd": wsd})
        >>> choice.best, round(choice.difference("wsd", "cosine").gap, 3)
        ('wsd', 0.05)
    """
    if not isinstance(law, Ensemble):
        instance("choose", "law", law, Law)
    if not candidates:
        raise ValueError(f"choose: candidates must be at least one schedule, by name, got {candidates!r:.60}")
    level = number("choose", "level", level, above=0, below=1)
    lengths = {name: run_length(name, schedule, steps) for name, schedule in candidates.items()}
    every = {name: rates(schedule, lengths[name], "choose") for name, schedule in candidates.items()}
    last = {name: [len(lrs) - 1] for name, lrs in every.items()}
    losses = {name: float(law.curve(lrs, last[name])[0]) for name, lrs in every.items()}
    names = sorted(losses, key=losses.__getitem__)
    doubts = {name: tuple(law.doubts(every[name])) for name in names}
    if any(doubts.values()):
        said = "; ".join(dict.fromkeys(doubt for each in doubts.values() for doubt in each))
        warnings.warn(f"choose: {said}", LawWarning, stacklevel=2)
    centers = np.log([losses[name] for name in names])
    draws, low, high = None, np.exp(centers), np.exp(centers)
    chances = np.full(len(names), np.nan)
    if isinstance(law, Ensemble) or law.report is not None:
        draws = np.exp(centers + _errors(law, [every[name] for name in names], seed))
        low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
        chances = np.bincount(np.argmin(draws, axis=1), minlength=len(names)) / len(draws)
    return Choice(
        losses={name: losses[name] for name in names},
        bounds={name: (float(a), float(b)) for name, a, b in zip(names, low, high)},
        probabilities=dict(zip(names, map(float, chances))),
        steps={name: lengths[name] for name in names},
        doubts=doubts,
        level=level,
        draws=draws,
    )


def _errors(law: Law | Ensemble, every: list[np.ndarray], seed: int) -> np.ndarray:
    """Samples of the errors of the logarithms, shape [draws, candidates]."""
    rng, report = np.random.default_rng(seed), (law.law if isinstance(law, Ensemble) else law).report
    errors = (report.rmse if report else 0.0) * rng.standard_normal((_DRAWS, len(every)))
    if isinstance(law, Ensemble):
        members = np.log(np.stack([law.curves(lrs, [len(lrs) - 1])[:, 0] for lrs in every], axis=1))
        spread = members - np.median(members, axis=0)
        errors += spread[rng.integers(len(spread), size=_DRAWS)]
    return errors


def run_length(name: str, schedule: optax.Schedule, steps: int | None) -> int:
    """The number of steps to predict for a candidate: ``steps``, or the end of its schedule."""
    if steps is not None:
        return whole("choose", "steps", steps, low=1)
    end = schedule.ends_at if isinstance(schedule, Schedule) else None
    if not end:
        raise ValueError(f"choose: steps is needed, because the candidate {name!r} has no end")
    return end
