"""Law: a value that says which loss a sequence of learning rates leads to."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import optax

from optax_lrs._run import Run
from optax_lrs._value import Value
from optax_lrs.laws._fit import fitted
from optax_lrs.laws._observations import WARMUPS, checked_lrs, checked_steps, observe
from optax_lrs.laws._quality import Quality, quality
from optax_lrs.laws._rates import rates

if TYPE_CHECKING:
    from optax_lrs.laws._ensemble import Ensemble

_FAR = 4.0  # times the longest run that was fitted: beyond it a prediction is doubted. Published: three times
_HIGH = 1.5  # times the highest rate that was fitted


class LawWarning(UserWarning):
    """A fit or a prediction that should not be trusted without a look: the message says why."""


class Law(Value, abstract=True):
    r"""A loss-curve law: from the learning rate of every step to the loss after it.

    A law is a value: it prints, compares, goes to JSON and back. All laws here are sums
    :math:`L(s) = \sum_j c_j \phi_j(s)` of columns that depend on the rates up to step s and on few other parameters.
    To write your own, name the fields and give the columns with their derivatives; the fit, its checks, the bootstrap and
    the pictures follow::

        class InverseSum(Law):
            linear = ("irreducible", "power_scale")
            others = ("shift",)
            starts = ({"shift": 0.1}, {"shift": 1.0})

            irreducible: float
            power_scale: float
            shift: float
            warmup: str = "counted"
            report: FitReport | None = None

            @classmethod
            def plan(cls, lrs, steps, warmup):
                return np.cumsum(lrs)[steps]

            @classmethod
            def basis(cls, sums, values, *, slopes=True):
                column = 1 / (values["shift"] + sums)
                return np.stack([np.ones_like(sums), column], axis=1), {"shift": [(1, -(column**2))]}

    Predictions are in the unit of the losses that the law was fitted to (nats per token), for the model, data and batch
    size of the runs: a law transfers between schedules, not between models.
    """

    linear: ClassVar[tuple[str, ...]] = ()
    """The parameters that multiply a column, in the columns' order."""
    others: ClassVar[tuple[str, ...]] = ()
    """The parameters that the columns depend on."""
    starts: ClassVar[tuple[Mapping[str, float], ...]] = ({},)
    """Where fits begin: values of ``others``."""
    signed: ClassVar[tuple[str, ...]] = ()
    """The linear parameters that may be negative."""
    held: ClassVar[Mapping[str, float]] = {}
    """Parameters that a fit holds unless it is told to fit them."""
    priors: ClassVar[Mapping[str, tuple[float, float]]] = {}
    """The prior of a fit that is given none: (center, width) by parameter."""
    settings: ClassVar[tuple[str, ...]] = ("warmup",)
    """The fields that say how the law reads the rates: known before the fit, arguments of ``plan``."""
    late_weight: ClassVar[float] = 0.0
    """The power of the step with which a fit weighs the points of a run: 0 is alike."""
    optimum_is_a_corner: ClassVar[bool] = False
    """Whether the schedule that minimizes it jumps from one bound of the rate to another: no law to optimize freely."""
    paper: ClassVar[str] = ""
    """Where the law comes from: an arXiv number."""

    # ── what a law defines ────────────────────────────────────────────────────────────────────

    @classmethod
    def plan(cls, lrs: np.ndarray, steps: np.ndarray, **settings: Any) -> Any:
        """What can be worked out from the rates, for increasing steps, before the parameters are known."""
        raise NotImplementedError(f"{cls.__name__} defines no plan")

    @classmethod
    def basis(
        cls, plan: Any, values: Mapping[str, float], *, slopes: bool = True
    ) -> tuple[np.ndarray, dict[str, list[tuple[int, np.ndarray]]]]:
        """The columns, shape [n, m], and by name of ``others`` their derivatives as (column, [n]), unless not wanted."""
        raise NotImplementedError(f"{cls.__name__} defines no basis")

    # ── predictions ───────────────────────────────────────────────────────────────────────────

    def check(self) -> None:
        """Parameters are not negative; a decay factor is below 1; the warmup is known."""
        for name in self.parameters:
            self.require(name in self.signed or getattr(self, name) >= 0, f"{name} must not be negative", name)
        if "decay_factor" in self.others:
            self.require(self.decay_factor <= 1, "decay_factor must be at most 1", "decay_factor")
        self.require(self.warmup in WARMUPS, f"warmup must be one of {', '.join(WARMUPS)}", "warmup")

    @property
    def parameters(self) -> dict[str, float]:
        """The fitted numbers by name."""
        return {name: getattr(self, name) for name in (*self.linear, *self.others)}

    def curve(self, lrs: Sequence[float] | np.ndarray, steps: Sequence[int] | np.ndarray | None = None) -> np.ndarray:
        """The loss that the law predicts.

        Args:
            lrs: the rate of every step from 0 on, shape [T].
            steps: the steps wanted, ints from 0 to T - 1; by default all of them. Few are much cheaper than all for
                :class:`MultiPower`.

        Returns:
            The losses, float64, shape [T] or that of ``steps``. The entry of step s depends on the rates of steps
            0 to s, as in the papers; it is infinite while their sum is zero.

        Raises:
            ValueError: if the rates are negative or not finite, or a step is not among them.
        """
        return curves([self], lrs, steps)[0]

    def predict(self, schedule: optax.Schedule, *, steps: int) -> np.ndarray:
        """The loss at every step of a run under a schedule.

        Args:
            schedule: a :class:`optax_lrs.Schedule` or any ``optax.Schedule``.
            steps: the number of updates.

        Returns:
            The losses, float64, shape [steps]: the last is that of the run's last update.

        Warns:
            LawWarning: if the fit was doubtful, or the schedule is far from what the law was fitted to: :meth:`doubts`.

        Raises:
            ValueError: if ``steps`` is not positive or the schedule's rates are negative or not finite.
        """
        return self.curve(self._trusted(schedule, steps))

    def final_loss(self, schedule: optax.Schedule, *, steps: int) -> float:
        """The last entry of :meth:`predict`, without the others; for ``MultiPower`` hundreds of times as fast."""
        return float(self.curve(self._trusted(schedule, steps), [steps - 1])[0])

    def _trusted(self, schedule: optax.Schedule, steps: int) -> np.ndarray:
        lrs = rates(schedule, steps)
        doubts = self.doubts(lrs)
        if doubts:
            warnings.warn(f"{type(self).__name__}: {'; '.join(doubts)}", LawWarning, stacklevel=3)
        return lrs

    def doubts(self, lrs: np.ndarray) -> tuple[str, ...]:
        """Why a prediction for these rates should not be trusted; empty if nothing speaks against it.

        What was found doubtful in the fit; a run more than four times as long as the longest that was fitted; a rate
        more than half as high again as the highest.
        """
        lrs = checked_lrs(lrs)
        if self.report is None:
            return ()
        found = list(self.report.doubts)
        if len(lrs) > _FAR * (self.report.longest_steps + 1):
            found.append(
                f"{len(lrs)} steps, but the longest run that it was fitted to ends at {self.report.longest_steps}"
            )
        if lrs.max() > _HIGH * self.report.highest_lr:
            found.append(f"a rate of {lrs.max():.3g}, but it was fitted to rates up to {self.report.highest_lr:.3g}")
        return tuple(found)

    # ── fit ───────────────────────────────────────────────────────────────────────────────────

    @classmethod
    def fit(
        cls,
        runs: Run | Sequence[Run],
        *,
        weights: Sequence[float] | None = None,
        warmup: Literal["counted", "as_peak", "summed"] | None = None,
        warmup_steps: int | None = None,
        between: Literal["linear", "hold"] = "linear",
        column: Literal["losses", "val_losses"] | None = None,
        first_step: int | None = None,
        points: int | None = 1000,
        delta: float = 1e-3,
        fixed: Mapping[str, float | None] | None = None,
        bounds: Mapping[str, tuple[float, float]] | None = None,
        prior: Mapping[str, tuple[float, float]] | None = None,
        starts: Sequence[Mapping[str, float]] | None = None,
        **settings: Any,
    ) -> Self:
        r"""The law that fits the runs best: it minimizes :math:`\sum_i w_i\,\mathrm{Huber}_\delta(\log \hat L_i - \log L_i)`.

        From several starts, with exact gradients; the best is kept. A loss at step s is compared with the curve's entry s,
        as in the papers, though it may be that before the update. Two cheap runs with different schedules are the
        least that determines a law, such as one constant and one that decays; three are better. Leave out the first
        percents of the steps (``first_step``), where no law holds.

        Args:
            runs: runs with losses, and with a schedule or the rates at those steps.
            weights: how much each run counts; by default all alike. Its points count alike, or as ``late_weight`` says.
            warmup: how the law sees the warmup; by default the class's ``warmup``. ``"counted"``: as it was; its rise
                counts as a negative drop.
                ``"as_peak"``: as if the rate had been at its peak (Tissue et al.). ``"summed"``: it counts in the sum of
                rates, its rise does not (Luo et al.'s paper; their code counts it). Kept in the law.
            warmup_steps: the length of a warmup that the runs' ``lrs`` do not show; with a schedule it is not needed.
            between: how the rate went between recorded rows, ``"linear"`` or ``"hold"``; with a schedule not needed.
            column: which losses; by default ``val_losses`` where a run has any, else ``losses``.
            first_step: losses before it are left out; by default those of the warmup.
            points: the most losses taken of each run, evenly spread; None takes all.
            delta: where Huber's loss turns from a square into a line, in relative units: outliers (spikes) weigh little.
            fixed: values of parameters that are not fitted; None for one that is fitted though ``held`` by default.
            bounds: (lowest, highest) by parameter.
            prior: (center, width) by parameter: adds :math:`\frac{\delta^2}{2} (\log\theta - \log c)^2 / w^2`, as much
                as an observation with noise ``delta`` would. Of a decay factor, the logarithm of ``1 - x``.
                By default the law's ``priors``; ``{}`` for none.
            starts: where to begin: values of the parameters that are not linear.
            **settings: other ``settings`` of the law; a sequence has one for each run.

        Returns:
            The law, with a :class:`FitReport` in ``report``.

        Warns:
            LawWarning: if the data hardly determine the parameters, or the optimizer did not converge.

        Raises:
            ValueError: if there are too few points, or no run shows what a change of the rate does, or a run has no
                usable loss, ends before its warmup does, or its rates are not known.
        """
        runs = [runs] if isinstance(runs, Run) else list(runs)
        warmup = cls.__dataclass_fields__["warmup"].default if warmup is None else warmup
        how = dict(column=column, points=points, first_step=first_step, warmup_steps=warmup_steps, between=between)
        seen = [observe(run, **how) for run in runs]
        law = fitted(cls, seen, weights=weights, settings=dict(warmup=warmup, **settings), delta=delta, fixed=fixed,
                     bounds=bounds, prior=prior, starts=starts)  # fmt: skip
        if law.report.doubts:
            warnings.warn(f"{cls.__name__}.fit: {'; '.join(law.report.doubts)}", LawWarning, stacklevel=2)
        return law

    def quality(self, run: Run, **how: Any) -> Quality:
        """How well the law predicts a run: R², mean and worst errors; ``how`` as in :meth:`fit` (``warmup_steps``, …)."""
        seen = observe(run, **how)
        return quality(seen.losses, self.curve(seen.lrs, seen.steps))

    def bootstrap(
        self, runs: Run | Sequence[Run], *, n: int = 50, seed: int = 0, segments: int = 8, **how: Any
    ) -> Ensemble:
        """Laws that fit the same runs almost as well: how uncertain the parameters, and the predictions, are.

        Each member is fitted with other weights (the Bayesian bootstrap): every run, and every segment of a run, counts
        with a weight drawn from the exponential distribution. Neighbouring losses are too alike for weights of their own.
        It shows what these runs leave open, not what is wrong with the law itself.

        Args:
            runs: those that the law was fitted to.
            n: how many members.
            seed: of the weights.
            segments: of each run, with as many losses each.
            **how: what else :meth:`fit` was given, besides ``warmup``.

        Raises:
            ValueError: as :meth:`fit`; or if ``n`` or ``segments`` is not positive.
        """
        from optax_lrs.laws._ensemble import bootstrap

        return bootstrap(
            self, [runs] if isinstance(runs, Run) else list(runs), n=n, seed=seed, segments=segments, **how
        )

    def plot(
        self, runs: Run | Sequence[Run], *, labels: Sequence[str] | None = None, axes: Any = None, **how: Any
    ) -> Any:
        """Draws the runs' losses and the law's, and below the residuals in percent.

        Args:
            runs: what to draw; those of the fit or others.
            labels: a name for each; by default its number.
            axes: two matplotlib axes; by default new ones, above each other.
            **how: how the runs are read, as in :meth:`fit` (``warmup_steps``, ``column``, …).

        Returns:
            The two axes. Nothing is shown and nothing saved.
        """
        from optax_lrs.laws._plot import plot_fit

        return plot_fit(self, [runs] if isinstance(runs, Run) else list(runs), labels=labels, axes=axes, **how)


def curves(laws: Sequence[Law], lrs: Any, steps: Any = None) -> np.ndarray:
    """The curves of laws of one class with the same settings, shape [laws, steps]: what they share is worked out once."""
    lrs = checked_lrs(lrs)
    steps = checked_steps(steps, len(lrs))
    order, places = np.unique(steps, return_inverse=True)
    plan = laws[0].plan(lrs, order, **{name: getattr(laws[0], name) for name in laws[0].settings})
    losses = np.zeros((len(laws), len(order)))
    for row, law in zip(losses, laws):
        columns, _ = law.basis(plan, law.parameters, slopes=False)
        for name, column in zip(law.linear, columns.T):
            scale = getattr(law, name)
            if scale:  # 0 times an infinite column is nothing, not nan
                row += scale * column
    return losses[:, places.reshape(-1)].reshape(len(laws), *steps.shape)
