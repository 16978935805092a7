"""Law: predicts the loss that a sequence of learning rates leads to."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
import optax

from optax_lrs._run import Run
from optax_lrs._value import Value
from optax_lrs.laws._fit import FitReport, fitted
from optax_lrs.laws._observations import Between, Column, checked_lrs, checked_steps, listed, observe
from optax_lrs.laws._rates import rates
from optax_lrs.laws._scales import SCALES, ScaleName
from optax_lrs.laws._score import Metrics, score
from optax_lrs.laws._warmup import WARMUPS

_LONGER = 4.0  # times the longest fitted run: predictions beyond it are doubtful. Published: three times
_HIGHER = 1.5  # times the highest fitted rate

Slopes = dict[str, list[tuple[int, np.ndarray]]]


class LawWarning(UserWarning):
    """Warns that a fit or a prediction may be wrong; the message says why."""


class Law(Value, abstract=True):
    r"""A loss-curve law: from the learning rate of every step to the loss after it.

    A law is a value: it prints, compares, and converts to JSON and back. All laws are sums
    :math:`L(s) = \sum_j c_j \phi_j(s)` of columns that depend on the rates up to step s and on a
    few more parameters. To write your own, name the fields and give the columns with their
    derivatives. The fit and its checks, the bootstrap, :func:`choose` and :func:`plot` then work::

        class InverseSum(Law):
            linear = ("irreducible", "power_scale")
            others = ("shift",)
            starts = ({"shift": 0.1}, {"shift": 1.0})

            irreducible: float
            power_scale: float
            shift: float
            warmup: str = "counted"
            report: Static[FitReport | None] = None

            @classmethod
            def plan(cls, lrs, steps, warmup):
                return np.cumsum(lrs)[steps]

            @classmethod
            def basis(cls, sums, values, *, slopes=True):
                column = 1 / (values["shift"] + sums)
                columns = np.stack([np.ones_like(sums), column], axis=1)
                return columns, {"shift": [(1, -(column**2))]}

    :func:`lr_gradient` needs ``rate_slopes`` too, and :func:`optimize` needs ``rate_slopes`` and
    ``free_optimum = True``.

    Predictions are in the unit of the fitted losses (nats per token), for the model, data and batch
    size of the runs: a law transfers between schedules, not between models.
    """

    linear: ClassVar[tuple[str, ...]] = ()
    """The parameters that multiply a column, in the order of the columns."""
    others: ClassVar[tuple[str, ...]] = ()
    """The parameters that the columns depend on."""
    starts: ClassVar[tuple[Mapping[str, float], ...]] = ({},)
    """Where fits begin: values of ``others``."""
    scales: ClassVar[Mapping[str, ScaleName]] = {}
    """The scale on which a fit searches a parameter. ``"log"``, the default, is for positive
    parameters; ``"log_complement"``, the logarithm of 1 - x, for factors close to 1; ``"linear"``
    for linear parameters that may be negative."""
    slow: ClassVar[tuple[str, ...]] = ()
    """The parameters that are costly to change: a fit holds them first, then frees them."""
    held: ClassVar[Mapping[str, float]] = {}
    """The parameters that a fit holds at these values, unless ``fixed`` changes them."""
    priors: ClassVar[Mapping[str, tuple[float, float]]] = {}
    """The default prior of a fit: (center, width) by parameter."""
    settings: ClassVar[tuple[str, ...]] = ("warmup",)
    """The fields that set how the law reads the rates: set before the fit, passed to ``plan``."""
    late_weight: ClassVar[float] = 0.0
    """A fit weights each point of a run by this power of its step; 0 weights all points equally."""
    needs_decay: ClassVar[bool] = False
    """Whether a fit needs a run whose rate falls, because a parameter describes the effect."""
    free_optimum: ClassVar[bool] = False
    """Whether :func:`optimize` may search all schedules. Keep False for a law that is linear in the
    drops of the rate: its optimum jumps from one bound of the rate to the other."""
    paper: ClassVar[str] = ""
    """The source of the law: an arXiv number."""

    warmup: str
    report: FitReport | None

    # ── what a law defines ────────────────────────────────────────────────────────────────────

    @classmethod
    def plan(cls, lrs: np.ndarray, steps: np.ndarray, **settings: Any) -> Any:
        """Computes everything that depends on the rates alone.

        Args:
            lrs: the rate of every step, float64, shape [T].
            steps: the steps to predict, increasing, shape [n].
            **settings: the fields named in ``settings``.

        Returns:
            Anything that ``basis`` can use.
        """
        raise NotImplementedError(f"{cls.__name__} defines no plan")

    @classmethod
    def basis(cls, plan: Any, values: Mapping[str, float], *, slopes: bool = True) -> tuple[np.ndarray, Slopes]:
        """Computes the columns and their derivatives.

        Args:
            plan: what ``plan`` returned.
            values: the parameters by name.
            slopes: whether the derivatives are needed.

        Returns:
            The columns, shape [n, m]; and for each name in ``others`` its derivatives as pairs
            (column, shape [n]).
        """
        raise NotImplementedError(f"{cls.__name__} defines no basis")

    def rate_slopes(self, lrs: np.ndarray) -> np.ndarray:
        """Returns the derivatives of the last loss with respect to every rate, shape [T].

        :func:`lr_gradient` calls it with checked rates.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no rate_slopes")

    def last_loss(self, lrs: np.ndarray) -> float:
        """Returns the loss after the last of these rates.

        Override it if a single step is cheaper without the curve.
        """
        return float(self.curve(lrs, [len(lrs) - 1])[0])

    # ── predictions ───────────────────────────────────────────────────────────────────────────

    def check(self) -> None:
        for name, value in self.parameters.items():
            scale = SCALES[self.scales.get(name, "log")]
            self.require(value >= scale.lowest, f"{name} must not be negative", name)
            self.require(value <= scale.highest, f"{name} must be at most {scale.highest:g}", name)
        self.require(self.warmup in WARMUPS, f"warmup must be one of {', '.join(WARMUPS)}", "warmup")

    @property
    def parameters(self) -> dict[str, float]:
        """The fitted numbers by name."""
        return {name: getattr(self, name) for name in (*self.linear, *self.others)}

    def curve(self, lrs: Sequence[float] | np.ndarray, steps: Sequence[int] | np.ndarray | None = None) -> np.ndarray:
        """Predicts the loss from the rate of every step.

        Args:
            lrs: the rate of every step from 0 on, shape [T].
            steps: the steps to predict, ints from 0 to T - 1; by default all of them. A few steps
                are much cheaper than all of them for :class:`MultiPower`.

        Returns:
            The losses, float64, shape [T] or that of ``steps``. The entry of step s depends on the
            rates of steps 0 to s, as in the papers. It is infinite while their sum is zero.

        Raises:
            ValueError: if the rates are negative or not finite, or a step is not among them.
        """
        return curves([self], lrs, steps)[0]

    def predict(self, schedule: optax.Schedule, *, steps: int) -> np.ndarray:
        """Predicts the loss at every step of a run under a schedule.

        Args:
            schedule: a :class:`optax_lrs.Schedule` or any ``optax.Schedule``.
            steps: the number of updates.

        Returns:
            The losses, float64, shape [steps]. The last entry belongs to the last update of the
            run.

        Warns:
            LawWarning: if the fit was doubtful, or the schedule is far from the fitted ones; see
                :meth:`doubts`.

        Raises:
            ValueError: if ``steps`` is not positive, or the rates of the schedule are negative or
                not finite.
        """
        return self.curve(self._trusted(schedule, steps))

    def final_loss(self, schedule: optax.Schedule, *, steps: int) -> float:
        """Predicts the loss after the last update.

        The last entry of :meth:`predict`; for ``MultiPower`` hundreds of times as fast.
        """
        return float(self.curve(self._trusted(schedule, steps), [steps - 1])[0])

    def _trusted(self, schedule: optax.Schedule, steps: int) -> np.ndarray:
        lrs = rates(schedule, steps, type(self).__name__)
        doubts = self.doubts(lrs)
        if doubts:
            warnings.warn(f"{type(self).__name__}: {'; '.join(doubts)}", LawWarning, stacklevel=3)
        return lrs

    def doubts(self, lrs: Sequence[float] | np.ndarray) -> tuple[str, ...]:
        """The reasons to doubt a prediction for these rates; empty if there are none.

        They are the doubts of the fit, a run more than four times as long as the longest fitted
        one, and a rate more than 1.5 times the highest fitted one.
        """
        lrs = checked_lrs(type(self).__name__, lrs)
        if self.report is None:
            return ()
        found = list(self.report.doubts)
        if len(lrs) > _LONGER * (self.report.longest_steps + 1):
            found.append(f"{len(lrs)} steps, but the longest fitted run ends at {self.report.longest_steps}")
        if lrs.max() > _HIGHER * self.report.highest_lr:
            found.append(f"a rate of {lrs.max():.3g}, but the fitted rates go up to {self.report.highest_lr:.3g}")
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
        between: Between = "linear",
        column: Column | None = None,
        first_step: int | None = None,
        points: int | None = 1000,
        delta: float = 1e-3,
        fixed: Mapping[str, float | None] | None = None,
        bounds: Mapping[str, tuple[float, float]] | None = None,
        prior: Mapping[str, tuple[float, float]] | None = None,
        starts: Sequence[Mapping[str, float]] | None = None,
        **settings: Any,
    ) -> Self:
        r"""Fits the law to the losses of runs.

        .. math:: \min \sum_i w_i\,\mathrm{Huber}_\delta(\log \hat L_i - \log L_i)

        The fit starts from several points, uses exact gradients, and keeps the best result. A loss
        at step s is compared with the curve's entry s, as in the papers, though it may be the loss
        before the update. A law needs at least two cheap runs with different schedules, such as one
        constant and one that decays; three are better. Leave out the first few percent of the steps
        (``first_step``), where no law holds.

        Args:
            runs: runs with losses, and with a schedule or the rates at those steps.
            weights: the weight of each run; equal by default. Within a run the points have equal
                weights, or those of ``late_weight``.
            warmup: how the law reads the warmup; by default the class's ``warmup``. ``"counted"``:
                unchanged; its rise counts as a negative drop. ``"as_peak"``: as if the rate had
                been at its peak (Tissue et al.). ``"summed"``: the sum of rates includes it, but
                its rise is ignored (Luo et al.'s paper; their code counts it). The law keeps this
                setting.
            warmup_steps: the length of a warmup that ``lrs`` of the runs do not show; not needed
                with a schedule.
            between: the rate between recorded rows, ``"linear"`` or ``"hold"``; not needed with a
                schedule.
            column: the losses to use; by default ``val_losses`` if a run has any, else ``losses``.
            first_step: losses before this step are left out; by default those of the warmup.
            points: the largest number of losses taken from each run, evenly spread; None for all.
            delta: where Huber's loss turns from a square into a line, in relative units, so that
                outliers (spikes) have little weight.
            fixed: values of parameters that are not fitted; None to fit one that is ``held`` by
                default.
            bounds: (lowest, highest) by parameter.
            prior: (center, width) by parameter. Adds :math:`\frac{\delta^2}{2} (\log\theta - \log
                c)^2 / w^2`, as much as an observation with noise ``delta`` would. For a decay
                factor, the logarithm of ``1 - x``. By default the ``priors`` of the law; ``{}`` for
                none.
            starts: the starting values of the parameters that are not linear.
            **settings: other ``settings`` of the law; pass a sequence to give one for each run.

        Returns:
            The law, with a :class:`FitReport` in ``report``.

        Warns:
            LawWarning: if the data hardly determine the parameters, or the optimizer did not
                converge.

        Raises:
            ValueError: if there are too few points, no run shows the effect of a change of the
                rate, or a run has no usable loss, ends before its warmup, or has unknown rates.
        """
        owner = f"{cls.__name__}.fit"
        warmup = cls.__dataclass_fields__["warmup"].default if warmup is None else warmup
        seen = [
            observe(
                run,
                column=column,
                points=points,
                first_step=first_step,
                warmup_steps=warmup_steps,
                between=between,
                owner=owner,
            )
            for run in listed(runs)
        ]
        law = fitted(
            cls,
            seen,
            weights=weights,
            settings=dict(warmup=warmup, **settings),
            delta=delta,
            fixed=fixed,
            bounds=bounds,
            prior=prior,
            starts=starts,
        )
        if law.report.doubts:
            warnings.warn(f"{owner}: {'; '.join(law.report.doubts)}", LawWarning, stacklevel=2)
        return law

    def score(self, run: Run, **how: Any) -> Metrics:
        """Measures how well the law predicts a run: R², mean and worst errors.

        Args:
            run: a run with losses.
            **how: how to read the run, as in :meth:`fit` (``warmup_steps``, ``column``, …).
        """
        seen = observe(run, owner=f"{type(self).__name__}.score", **how)
        return score(seen.losses, self.curve(seen.lrs, seen.steps))


def curves(laws: Sequence[Law], lrs: Any, steps: Any = None) -> np.ndarray:
    """The curves of laws of one class and settings, shape [laws, steps]; they share a plan."""
    owner = type(laws[0]).__name__
    lrs = checked_lrs(owner, lrs)
    steps = checked_steps(owner, steps, len(lrs))
    order, places = np.unique(steps, return_inverse=True)
    plan = laws[0].plan(lrs, order, **{name: getattr(laws[0], name) for name in laws[0].settings})
    losses = np.zeros((len(laws), len(order)))
    for row, law in zip(losses, laws):
        columns, _ = law.basis(plan, law.parameters, slopes=False)
        for name, column in zip(law.linear, columns.T):
            scale = getattr(law, name)
            if scale:  # 0 times an infinite column is 0, not nan
                row += scale * column
    return losses[:, places.reshape(-1)].reshape(len(laws), *steps.shape)
