"""An ensemble of laws: what the runs leave open."""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import optax

from optax_lrs._run import Run
from optax_lrs._value import Value
from optax_lrs.laws._fit import fitted
from optax_lrs.laws._law import Law, LawWarning, curves
from optax_lrs.laws._observations import observe
from optax_lrs.laws._rates import rates


class Ensemble(Value):
    """A fitted law, and others of its class that the same runs do not rule out; :meth:`Law.bootstrap` makes one.

    Args:
        law: the fit to the runs as they are: its predictions are the ensemble's.
        members: fits to the runs weighted otherwise.
    """

    law: Law
    members: tuple[Law, ...]

    def check(self) -> None:
        """Members are there, and of the law's class and settings."""
        self.require(len(self.members) > 0, "members must be one at least", "members")
        alike = all(
            type(each) is type(self.law) and all(getattr(each, s) == getattr(self.law, s) for s in each.settings)
            for each in self.members
        )
        if not alike:
            raise ValueError(
                f"Ensemble: members must be of the class and the settings of law, {type(self.law).__name__}"
            )

    def curve(self, lrs: Any, steps: Any = None) -> np.ndarray:
        """The law's curve; see :meth:`Law.curve`."""
        return self.law.curve(lrs, steps)

    def curves(self, lrs: Any, steps: Any = None) -> np.ndarray:
        """The members' curves, shape [members, steps]."""
        return curves(self.members, lrs, steps)

    def predict(self, schedule: optax.Schedule, *, steps: int) -> np.ndarray:
        """The law's prediction; see :meth:`Law.predict`."""
        return self.law.predict(schedule, steps=steps)

    def doubts(self, lrs: np.ndarray) -> tuple[str, ...]:
        """The law's doubts; see :meth:`Law.doubts`."""
        return self.law.doubts(lrs)

    def final_losses(self, schedule: optax.Schedule, *, steps: int) -> np.ndarray:
        """What the members predict for the last step, shape [members]: compare schedules member by member."""
        return self.curves(rates(schedule, steps), [steps - 1])[:, 0]

    def interval(self, lrs: Any, steps: Any = None, *, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        r"""Bounds between which a loss should lie, if the law is right.

        The logarithm's half-width is :math:`\sqrt{a^2 + b^2}`: a is how far the quantile of the members is from the law, b
        what a normal residual of the fit's size adds. Both are small when the law fits well, and know nothing of a schedule for
        which it fails: test it on a run that was left out. On the held-out 25M and 100M curves of Luo et al. the 90%
        intervals of three laws held 77 to 91% of the losses, and fewer of the runs three times as long.

        Args:
            lrs: the rate of every step, shape [T].
            steps: the steps wanted; by default all.
            level: the share of losses that should lie inside.

        Returns:
            The lower and the upper bounds.

        Raises:
            ValueError: if the level is not between 0 and 1, or as :meth:`Law.curve`.
        """
        if not 0 < level < 1:
            raise ValueError(f"Ensemble.interval: level must be between 0 and 1, got {level!r}")
        center = np.log(self.curve(lrs, steps))
        members = np.log(self.curves(lrs, steps))
        low, high = np.quantile(members, [(1 - level) / 2, (1 + level) / 2], axis=0)
        rmse = self.law.report.rmse if self.law.report else 0.0
        noise = statistics.NormalDist().inv_cdf((1 + level) / 2) * rmse
        below, above = np.maximum(center - low, 0.0), np.maximum(high - center, 0.0)
        return np.exp(center - np.hypot(below, noise)), np.exp(center + np.hypot(above, noise))


def bootstrap(law: Law, runs: Sequence[Run], *, n: int, seed: int, segments: int, **how: Any) -> Ensemble:
    """The ensemble of :meth:`Law.bootstrap`."""
    for name, value in dict(n=n, segments=segments).items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"bootstrap: {name} must be a positive int, got {value!r}")
    cls, rng = type(law), np.random.default_rng(seed)
    reading = ("column", "points", "first_step", "warmup_steps", "between")
    seen = [observe(run, **{"points": 1000, **{key: how[key] for key in reading if key in how}}) for run in runs]
    solving = {key: value for key, value in how.items() if key not in reading and key not in ("starts", *cls.settings)}
    # A parameter that was held stays where the law has it.
    solving["fixed"] = {key: getattr(law, key) for key in cls.held} | dict(solving.get("fixed") or {})
    settings = {key: how.get(key, getattr(law, key)) for key in cls.settings}
    given = solving.pop("weights", None) or [1.0] * len(runs)
    members = []
    for _ in range(n):
        weights = [
            one * rng.exponential() * _by_segment(rng.exponential(size=segments), len(each.steps))
            for one, each in zip(given, seen)
        ]
        start = {name: value for name, value in law.parameters.items()}
        member = fitted(cls, seen, weights=weights, settings=settings, **{"delta": 1e-3, **solving}, starts=[start])
        members.append(member.replace(**{key: getattr(law, key) for key in cls.settings}))
    failed = sum("the optimizer did not converge" in member.report.doubts for member in members)
    if failed:
        warnings.warn(f"{cls.__name__}.bootstrap: {failed} of {n} fits did not converge", LawWarning, stacklevel=3)
    return Ensemble(law=law, members=tuple(members))


def _by_segment(weights: np.ndarray, count: int) -> np.ndarray:
    return weights[np.arange(count) * len(weights) // count]
