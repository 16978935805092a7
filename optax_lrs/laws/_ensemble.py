"""An ensemble of laws: shows the uncertainty that the runs leave."""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import optax

from optax_lrs._run import Run
from optax_lrs._value import Value
from optax_lrs._value.arguments import instance, number, whole
from optax_lrs.laws._fit import NOT_CONVERGED, fitted
from optax_lrs.laws._law import Law, LawWarning, curves
from optax_lrs.laws._observations import listed, observe
from optax_lrs.laws._rates import rates

_READING = ("column", "points", "first_step", "warmup_steps", "between")  # the arguments of fit that read the runs


class Ensemble(Value):
    """A fitted law, and others that fit the same runs; made by :func:`bootstrap`.

    Args:
        law: the fit with the original weights. Its predictions are those of the ensemble.
        members: fits to the same runs with other weights.
    """

    law: Law
    members: tuple[Law, ...]

    def check(self) -> None:
        self.require(len(self.members) > 0, "members must not be empty", "members")
        alike = all(
            type(each) is type(self.law) and all(getattr(each, s) == getattr(self.law, s) for s in each.settings)
            for each in self.members
        )
        if not alike:
            raise ValueError(
                f"Ensemble: members must have the class and the settings of law, {type(self.law).__name__}"
            )

    def curve(self, lrs: Any, steps: Any = None) -> np.ndarray:
        """The curve of the law; see :meth:`Law.curve`."""
        return self.law.curve(lrs, steps)

    def curves(self, lrs: Any, steps: Any = None) -> np.ndarray:
        """The curves of the members, shape [members, steps]."""
        return curves(self.members, lrs, steps)

    def predict(self, schedule: optax.Schedule, *, steps: int) -> np.ndarray:
        """The prediction of the law; see :meth:`Law.predict`."""
        return self.law.predict(schedule, steps=steps)

    def doubts(self, lrs: Sequence[float] | np.ndarray) -> tuple[str, ...]:
        """The doubts of the law; see :meth:`Law.doubts`."""
        return self.law.doubts(lrs)

    def final_losses(self, schedule: optax.Schedule, *, steps: int) -> np.ndarray:
        """Returns the final losses of the members, to compare schedules; shape [members]."""
        return self.curves(rates(schedule, steps, "Ensemble.final_losses"), [steps - 1])[:, 0]

    def interval(self, lrs: Any, steps: Any = None, *, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        r"""Returns bounds within which a loss should lie, if the law is right.

        The half-width in the logarithm is :math:`\sqrt{a^2 + b^2}`: a is the distance from the law
        to the quantile of the members, b is the part of a normal residual of the fit's size. Both
        are small when the law fits well, even for a schedule for which the law fails: test it on a
        held-out run. On the held-out 25M and 100M curves of Luo et al. the 90% intervals of three
        laws contained 77 to 91% of the losses, and fewer for runs three times as long.

        Args:
            lrs: the rate of every step, shape [T].
            steps: the steps to predict; by default all.
            level: the share of losses that should lie inside.

        Returns:
            The lower and the upper bounds.

        Raises:
            ValueError: if the level is not between 0 and 1; also those of :meth:`Law.curve`.
        """
        level = number("Ensemble.interval", "level", level, above=0, below=1)
        center = np.log(self.curve(lrs, steps))
        members = np.log(self.curves(lrs, steps))
        low, high = np.quantile(members, [(1 - level) / 2, (1 + level) / 2], axis=0)
        rmse = self.law.report.rmse if self.law.report else 0.0
        noise = statistics.NormalDist().inv_cdf((1 + level) / 2) * rmse
        below, above = np.maximum(center - low, 0.0), np.maximum(high - center, 0.0)
        return np.exp(center - np.hypot(below, noise)), np.exp(center + np.hypot(above, noise))


def bootstrap(
    law: Law, runs: Run | Sequence[Run], *, n: int = 50, seed: int = 0, segments: int = 8, **how: Any
) -> Ensemble:
    """Fits more laws to the same runs, to show how uncertain parameters and predictions are.

    Each member is fitted with other weights (the Bayesian bootstrap): every run, and every segment
    of a run, gets a weight drawn from the exponential distribution. Single losses do not get
    separate weights, because neighboring losses are too similar. The ensemble shows the uncertainty
    that these runs leave, not the errors of the law itself.

    Args:
        law: the fitted law.
        runs: the runs that the law was fitted to.
        n: the number of members.
        seed: the seed of the weights.
        segments: the number of segments of each run, with equally many losses.
        **how: the other arguments that :meth:`Law.fit` was given, except ``warmup``.

    Raises:
        TypeError: if ``law`` is not a :class:`Law`.
        ValueError: those of :meth:`Law.fit`; or if ``n`` or ``segments`` is not positive.

    Example:
        >>> import optax_lrs as olrs
        >>> steps, law = np.arange(100, 2000, 50), olrs.laws.Annealing.published()
        >>> schedules = olrs.Constant(value=2e-4), olrs.Linear(peak=2e-4, total_steps=2000)
        >>> runs = [olrs.Run(steps=steps, losses=law.predict(s, steps=2000)[steps], schedule=s) for s in schedules]
        >>> len(bootstrap(law, runs, n=3).members)
        3
    """
    law, cls = instance("bootstrap", "law", law, Law), type(law)
    n, segments = whole("bootstrap", "n", n, low=1), whole("bootstrap", "segments", segments, low=1)
    rng, runs = np.random.default_rng(seed), listed(runs)
    reading = {"points": 1000, **{key: how[key] for key in _READING if key in how}}
    seen = [observe(run, owner="bootstrap", **reading) for run in runs]
    solving = {key: value for key, value in how.items() if key not in (*_READING, "starts", *cls.settings)}
    # A parameter that was held keeps its value in the law.
    solving["fixed"] = {key: getattr(law, key) for key in cls.held} | dict(solving.get("fixed") or {})
    settings = {key: how.get(key, getattr(law, key)) for key in cls.settings}
    given = solving.pop("weights", None) or [1.0] * len(runs)
    members: list[Law] = []
    for _ in range(n):
        weights = [
            one * rng.exponential() * _by_segment(rng.exponential(size=segments), len(each.steps))
            for one, each in zip(given, seen)
        ]
        start = dict(law.parameters)
        member = fitted(cls, seen, weights=weights, settings=settings, **{"delta": 1e-3, **solving}, starts=[start])
        members.append(member.replace(**{key: getattr(law, key) for key in cls.settings}))
    failed = sum(member.report is not None and NOT_CONVERGED in member.report.doubts for member in members)
    if failed:
        warnings.warn(f"bootstrap: {failed} of {n} fits of {cls.__name__} did not converge", LawWarning, stacklevel=2)
    return Ensemble(law=law, members=tuple(members))


def _by_segment(weights: np.ndarray, count: int) -> np.ndarray:
    return weights[np.arange(count) * len(weights) // count]
