"""A law defined by a user works wherever a law of the package works."""

from typing import ClassVar

import numpy as np
import pytest

import optax_lrs as olrs
from optax_lrs import laws

T, PEAK = 2000, 1e-2


class NoisyInverse(laws.Law):
    """The inverse of the sum of rates, and noise that grows with the square of the current rate."""

    linear = ("irreducible", "power_scale", "noise_scale")
    others = ("shift",)
    starts = ({"shift": 0.1}, {"shift": 1.0})
    scales: ClassVar = {"noise_scale": "linear"}
    free_optimum = True

    irreducible: float
    power_scale: float
    noise_scale: float
    shift: float
    warmup: str = "counted"
    report: laws.FitReport | None = None

    @classmethod
    def plan(cls, lrs, steps, warmup):
        return np.cumsum(lrs)[steps], lrs[steps]

    @classmethod
    def basis(cls, plan, values, *, slopes=True):
        sums, rates = plan
        column = 1 / (values["shift"] + sums)
        return np.stack([np.ones_like(sums), column, rates**2], axis=1), {"shift": [(1, -(column**2))]}

    def rate_slopes(self, lrs):
        slopes = np.full(len(lrs), -self.power_scale / (self.shift + lrs.sum()) ** 2)
        slopes[-1] += 2 * self.noise_scale * lrs[-1]
        return slopes


LAW = NoisyInverse(irreducible=2.0, power_scale=1.5, noise_scale=500.0, shift=0.3)
CANDIDATES = {
    "constant": olrs.Constant(value=PEAK),
    "cosine": olrs.Cosine(peak=PEAK, total_steps=T),
    "linear": olrs.Linear(peak=PEAK, total_steps=T),
}


def run_of(schedule):
    steps = np.arange(100, T, 20)
    return olrs.Run(steps=steps, losses=LAW.curve(schedule.at(range(T)), steps), schedule=schedule)


RUNS = [run_of(CANDIDATES["constant"]), run_of(CANDIDATES["cosine"])]


@pytest.fixture(scope="module")
def fitted():
    return NoisyInverse.fit(RUNS)


def test_fit_json_and_score(fitted):
    np.testing.assert_allclose(list(fitted.parameters.values()), list(LAW.parameters.values()), rtol=1e-4)
    assert laws.Law.from_json(fitted.to_json()) == fitted
    assert fitted.score(RUNS[1]).worst_error < 1e-5


def test_a_linear_scale_fits_negative_parameters():
    law = LAW.replace(noise_scale=-300.0)
    runs = [
        olrs.Run(steps=r.steps, losses=law.curve(r.schedule.at(range(T)), r.steps), schedule=r.schedule) for r in RUNS
    ]
    assert NoisyInverse.fit(runs).noise_scale == pytest.approx(-300.0, rel=1e-3)


def test_bootstrap_and_choose(fitted):
    ensemble = laws.bootstrap(fitted, RUNS, n=3)
    assert len(ensemble.members) == 3 and type(ensemble.members[0]) is NoisyInverse
    choice = laws.choose(ensemble, CANDIDATES, steps=T)
    finals = {name: LAW.final_loss(schedule, steps=T) for name, schedule in CANDIDATES.items()}
    assert choice.best == min(finals, key=finals.get)


def test_lr_gradient():
    lrs = CANDIDATES["linear"].at(range(T))
    gradient = laws.lr_gradient(LAW, lrs)
    for step in (0, 1000, T - 1):
        change = np.zeros(T)
        change[step] = 1e-6
        slope = (LAW.last_loss(lrs + change) - LAW.last_loss(lrs - change)) / 2e-6
        assert gradient[step] == pytest.approx(slope, rel=1e-5)


def test_optimize():
    lr = laws.optimize(LAW, steps=T, peak=PEAK, knots=40)
    best = LAW.final_loss(lr, steps=T)
    assert all(best < LAW.final_loss(schedule, steps=T) for schedule in CANDIDATES.values())
    assert "NoisyInverse" in lr.source


def test_plot(fitted):
    import matplotlib.pyplot as plt

    above, _ = laws.plot(fitted, RUNS)
    assert len(above.lines) == 4
    plt.close("all")


def test_errors_name_a_missing_declaration():
    class Bare(laws.Law):
        linear = ("irreducible",)
        irreducible: float
        warmup: str = "counted"
        report: laws.FitReport | None = None

    law = Bare(irreducible=1.0)
    with pytest.raises(TypeError, match="lr_gradient: law must define rate_slopes, got a Bare"):
        laws.lr_gradient(law, [0.1])
    with pytest.raises(ValueError, match="optimize: law must declare free_optimum, got a Bare"):
        laws.optimize(law, steps=10, peak=0.1)
    with pytest.raises(NotImplementedError, match="Bare defines no plan"):
        law.curve([0.1])


def test_slopes_of_the_wrong_shape_are_an_error():
    class Short(laws.Law):
        linear = ("irreducible",)
        irreducible: float
        warmup: str = "counted"
        report: laws.FitReport | None = None

        def rate_slopes(self, lrs):
            return np.zeros(1)

    with pytest.raises(ValueError, match="rate_slopes must have the shape of lrs"):
        laws.lr_gradient(Short(irreducible=1.0), [0.1, 0.1])


def test_every_law_of_the_package_is_declared_completely():
    """A new law fails this test for each declaration that is missing or wrong."""
    found = [cls for cls in vars(laws).values() if isinstance(cls, type) and issubclass(cls, laws.Law)]
    found.remove(laws.Law)
    assert len(found) >= 5
    for cls in found:
        names = {*cls.linear, *cls.others}
        assert names and set(cls.scales) | set(cls.held) | set(cls.priors) | set(cls.slow) <= names, cls
        assert all(set(cls.others) <= set(start) for start in cls.starts), cls
        assert set(cls.settings) <= set(cls.__dataclass_fields__) and "report" in cls.__dataclass_fields__, cls
        assert not cls.free_optimum or cls.rate_slopes is not laws.Law.rate_slopes, cls
        assert cls.__doc__ and "References:" in cls.__doc__ and "Example:" in cls.__doc__, cls
        assert cls.paper == "" or cls.paper.removeprefix("arXiv:") in cls.__doc__, cls
