"""The laws reproduce the published numbers and the papers' formulas."""

import numpy as np
import pytest

import optax_lrs as olrs
from optax_lrs import laws
from optax_lrs.laws._recurrences import annealing_area, drops
from optax_lrs.laws._solve import huber

TOY = [1, 1, 0.75, 0.5, 0.25, 0.25]
TOY_AREAS = {
    0.9: [0, 0, 0.25, 0.725, 1.4025, 2.01225],
    0.999: [0, 0, 0.25, 0.74975, 1.49900025, 2.24750124975],
    0.0: [0, 0, 0.25, 0.5, 0.75, 0.75],
}
# Tissue et al.'s fit at full size: peak 2e-4, 20,001 entries, a warmup of 500 as at peak; the
# losses after 1000, 10000, 18000 and 20000 steps.
TISSUE = [
    (olrs.Constant(value=2e-4), [3.66708733628, 2.92099952046, 2.8400692239, 2.82813007317]),
    (
        olrs.Cosine(peak=2e-4, total_steps=20000, warmup_steps=500),
        [3.66722238218, 2.91848433789, 2.84026423794, 2.83589360611],
    ),
    (
        olrs.WSD(peak=2e-4, total_steps=20000, decay_steps=4000, decay=olrs.profiles.cosine),
        [3.66708733628, 2.92099952046, 2.82343280624, 2.7738214311],
    ),
    (
        olrs.WSD(peak=2e-4, total_steps=20000, decay_steps=4000, decay=olrs.profiles.one_minus_sqrt),
        [3.66708733628, 2.92099952046, 2.80689742995, 2.77469193166],
    ),
    (
        olrs.WSD(peak=2e-4, total_steps=20000, decay_steps=4000),
        [3.66708733628, 2.92099952046, 2.8200359818, 2.77802665552],
    ),
    (
        olrs.Tabulated(lrs=[2e-4, 2e-4, 2e-5], steps=[0, 9999, 10000]),
        [3.66708733628, 2.9209400435, 2.83491479916, 2.83207317651],
    ),
    (
        olrs.Tabulated(lrs=[2e-5, 2e-5, 2e-4], steps=[0, 9999, 10000]),
        [6.31482099495, 3.66716131628, 3.01243333741, 2.98001398801],
    ),
]
# Luo et al.'s parameters for 25M, 100M, 400M: the loss at step 23999, counted as in their code.
LUO = {
    "cosine": (3.31518652314, 2.99002465607, 2.75706856537),
    "constant": (3.34584531418, 3.03305053869, 2.81684011961),
    "wsd": (3.26626033964, 2.93519704202, 2.69981290208),
    "wsdld": (3.26538531975, 2.93412247941, 2.69935023393),
    "cosine to 0": (3.31805745102, 2.99191000464, 2.75805543651),
    "linear": (3.26224969889, 2.92972226283, 2.69351069387),
    "1-sqrt": (3.26576227475, 2.93372971929, 2.69721759647),
    "power 1.5": (3.26374409278, 2.93138317009, 2.69485294516),
}
# One drop from 3e-4: by how much the loss falls after 1, 10, 100, 1000, 10000 steps (25M).
LUO_DROP = {
    3e-5: [0.00271886087442, 0.0204736936145, 0.0634298050873, 0.0882151029888, 0.095579599064],
    9e-5: [0.00308020422096, 0.0209215449876, 0.0541663322767, 0.0701850021752, 0.0747607546642],
    1.8e-4: [0.00222278915045, 0.013969146365, 0.032491982991, 0.0405789427319, 0.0428462478298],
}


@pytest.mark.parametrize("factor", TOY_AREAS)
def test_areas_of_a_toy_schedule(factor):
    np.testing.assert_allclose(annealing_area(drops(np.array(TOY)), factor), TOY_AREAS[factor], rtol=1e-12)


@pytest.mark.parametrize(
    ("factor", "areas"),
    [
        (0.99, [0.00018, 0.00172112264984, 0.0114114178571, 0.0179992229175]),
        (0.999, [0.00018, 0.00179192156225, 0.0171374135195, 0.113814823541, 0.179991876929]),
    ],
)
def test_area_after_one_drop(factor, areas):
    changes = np.zeros(10_001)
    changes[0] = 1.8e-4
    at = [1, 10, 100, 1000, 10_001][: len(areas)]
    np.testing.assert_allclose(annealing_area(changes, factor)[np.array(at) - 1], areas, rtol=1e-11)


@pytest.mark.parametrize(("schedule", "losses"), TISSUE, ids=lambda item: type(item).__name__)
def test_annealing_at_full_size(schedule, losses):
    law, lrs = laws.Annealing.published(), schedule.at(range(20_001))
    np.testing.assert_allclose(law.curve(lrs, [1000, 10_000, 18_000, 20_000]), losses, rtol=1e-11)


@pytest.mark.parametrize(
    ("total", "decay", "best", "loss"),
    [
        (20_000, "cosine", 0.25, 2.772881),
        (20_000, "linear", 0.25, 2.777497),
        (20_000, "one_minus_sqrt", 0.2, 2.774692),
        (60_000, "cosine", 0.2, 2.664329),
        (60_000, "linear", 0.2, 2.668540),
        (60_000, "one_minus_sqrt", 0.15, 2.666576),
    ],
)
def test_best_share_of_the_decay_under_annealing(total, decay, best, loss):
    law, found = laws.Annealing.published(), {}
    for share in (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0):
        steps = round(share * total)
        lrs = olrs.WSD(peak=2e-4, total_steps=total, decay_steps=steps, decay=getattr(olrs.profiles, decay)).at(
            range(total + 1)
        )
        found[share] = law.curve(lrs, [total])[0]
    assert min(found, key=found.get) == best
    assert found[best] == pytest.approx(loss, abs=6e-7)


def test_huber():
    np.testing.assert_allclose(
        huber(np.array([5e-4, 1e-3, 2e-3, -1e-2])), [1.25e-07, 5e-07, 1.5e-06, 9.5e-06], rtol=1e-12
    )


def test_multi_power_toy():
    law = laws.MultiPower.published("25M")
    lrs = [3e-4] * 5 + [2e-4, 1e-4, 1e-4, 5e-5]
    expected = [35.3297741303, 17.2989594265, 16.4188848886, 16.0336693921, 15.5121248896]
    np.testing.assert_allclose(law.curve(lrs, [0, 4, 5, 6, 8]), expected, rtol=1e-11)
    bare = law.replace(irreducible=0.0, power_scale=0.0)
    np.testing.assert_allclose(
        -bare.curve(lrs, [4, 5, 6, 8]), [0, 0.00191859937089, 0.00429996443442, 0.0080754512271], rtol=1e-11
    )


@pytest.mark.parametrize("low", LUO_DROP)
def test_multi_power_after_one_drop(low):
    law = laws.MultiPower.published("25M").replace(irreducible=0.0, power_scale=0.0)
    lrs = np.array([3e-4] + [low] * 10_000)
    np.testing.assert_allclose(-law.curve(lrs, [1, 10, 100, 1000, 10_000]), LUO_DROP[low], rtol=1e-11)
    assert law.drop_scale * (3e-4 - low) == pytest.approx(
        {3e-5: 0.0982226293794, 9e-5: 0.0763953784062, 1.8e-4: 0.0436545019464}[low]
    )


def test_one_power_after_a_warmup_that_is_summed():
    law = laws.MultiPower.published("25M").replace(warmup="summed")  # a warmup of 2160 steps sums to 0.324
    lrs = np.concatenate([np.linspace(0, 3e-4, 2160), np.full(70_000, 3e-4)])
    at = 2159 + np.array([0, 100, 1000, 10_000, 69_840])
    expected = [3.97044413794, 3.92954580457, 3.70713619707, 3.32553243566, 3.15150082807]
    np.testing.assert_allclose(law.curve(lrs, at), expected, rtol=1e-11)


def published_lrs(name, total=24_000, warmup=2160):
    """The rates of the authors' runs: their warmup reaches the peak one step early."""
    lrs, steps = np.full(total, 3e-4), np.arange(total)
    lrs[:warmup] = np.linspace(0, 3e-4, warmup)
    done, late = (steps[warmup:] - warmup) / (total - warmup), np.maximum(steps - 20_000, 0) / 4000
    left = np.minimum((total - steps) / 6000, 1)
    if name == "cosine":
        lrs[warmup:] = 3e-5 + 2.7e-4 * (1 + np.cos(np.pi * done)) / 2
    elif name == "cosine to 0":
        lrs[warmup:] = 3e-4 * (1 + np.cos(np.pi * done)) / 2
    elif name != "constant":
        lrs *= {
            "wsd": 0.1**late,
            "wsdld": 1 - 0.9 * late,
            "linear": left,
            "1-sqrt": 1 - np.sqrt(1 - left),
            "power 1.5": left**1.5,
        }[name]
    return lrs


@pytest.mark.parametrize("name", LUO)
def test_multi_power_at_full_size(name):
    for size, loss in zip(("25M", "100M", "400M"), LUO[name]):
        found = laws.MultiPower.published(size).curve(published_lrs(name), [23_999])[0]
        assert found == pytest.approx(loss, rel=2e-9), size  # interpolation contributes 1e-9


@pytest.mark.parametrize(
    ("size", "decay", "loss"), [("25M", 2500, 3.25825656), ("100M", 2500, 2.92492097), ("400M", 3000, 2.68940431)]
)
def test_best_power_decay_under_multi_power(size, decay, loss):
    """The published optimum of the decay (1 - x)^1.5 on a grid of 250 steps."""
    law, found = laws.MultiPower.published(size), {}
    for steps in (decay - 250, decay, decay + 250):
        left = np.minimum((23_999 - np.arange(24_000)) / steps, 1)
        found[steps] = law.curve(published_lrs("constant") * left**1.5, [23_999])[0]
    assert min(found, key=found.get) == decay and found[decay] == pytest.approx(loss, abs=1.5e-8)


CONTINUAL = [  # S1 and S2 before the change of data, since; the loss on the general and on the target domain
    ((4, 0, 0, 0), 3.30302104809, 3.18517682704),
    ((4, 0, 0.5, 0), 3.43565142561, 2.71549791609),
    ((4, 0, 2, 0), 3.45366052258, 2.65093181864),
    ((2.05, 0.1975, 0.5, -0.1), 3.48207891714, 2.76277887468),
    ((2.05, 0.1975, 1, 0.1975), 3.39292451526, 2.62135356696),
    ((3.6, 0.16, 1, 0.1), 3.38119064438, 2.61634039928),
]


@pytest.mark.parametrize(("sums", "general", "target"), CONTINUAL)
def test_continual_annealing(sums, general, target):
    before, former, since, area = map(np.array, [[each] for each in sums])
    plan = (np.log(before + since), since, lambda factor: (former, area), lambda factor: (former, area))
    for domain, loss in (("general", general), ("target", target)):
        law = laws.ContinualAnnealing.published(domain, switch_step=1)
        columns, _ = law.basis(plan, law.parameters)
        assert (columns @ [getattr(law, name) for name in law.linear])[0] == pytest.approx(loss, rel=1e-11)
