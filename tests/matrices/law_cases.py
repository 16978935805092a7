"""Every public law and rule, with golden values of its source.

They are the rows of tests/laws/test_law_matrix.py and tests/rules/test_rule_matrix.py. Add a row
for each new one; tests/house/test_discovery.py reports a missing one.
"""

import dataclasses
from typing import Any

import numpy as np

import optax_lrs as olrs
from optax_lrs import laws, rules


@dataclasses.dataclass(frozen=True)
class LawCase:
    """A law, its source's losses at ``steps`` of a run with the rates ``lrs``, and a law to fit."""

    law: laws.Law
    lrs: Any
    steps: list[int]
    losses: list[float]
    truth: laws.Law  # its curves at a peak of 1e-3 over 6,000 steps determine it
    fit: dict = dataclasses.field(default_factory=dict)  # arguments of Law.fit


@dataclasses.dataclass(frozen=True)
class RuleCase:
    """A rule, what its source gives for some inputs, and inputs outside its ranges."""

    rule: rules.Rule
    method: str
    inputs: dict[str, float]
    golden: str
    outside: dict[str, float] = dataclasses.field(default_factory=dict)  # empty if the source gives no range


LUO = laws.MultiPower.published("25M")
TOY_LRS = [3e-4] * 5 + [2e-4, 1e-4, 1e-4, 5e-5]
TOY = (TOY_LRS, [0, 4, 5, 6, 8], [35.3297741303, 17.2989594265, 16.4188848886, 16.0336693921, 15.5121248896])
WARMUP_OF_LUO = np.concatenate([np.linspace(0, 3e-4, 2160), np.full(70_000, 3e-4)])

POWER = dict(irreducible=2.6, power_scale=0.5, power_exponent=0.5)
DROPS = dict(drop_scale=130.0, drop_speed=1.2, drop_exponent=0.5, lr_exponent=0.55)
SHIFT = dict(former_drop_scale=0.3, drop_scale=0.3, shift_scale=0.3, shift_speed=20.0, shift_exponent=0.5)


def with_parameters_of_luo(law, **others):
    """A law with the published constants of the multi-power law that it shares with it."""
    shared = {name: value for name, value in LUO.parameters.items() if name in (*law.linear, *law.others)}
    return law(**shared, **others)


LAWS = {
    "Annealing": LawCase(
        laws.Annealing.published(),
        olrs.WSD(peak=2e-4, total_steps=20_000, decay_steps=4000).at(range(20_001)),
        [1000, 10_000, 18_000, 20_000],
        [3.66708733628, 2.92099952046, 2.8200359818, 2.77802665552],
        laws.Annealing(**POWER, drop_scale=0.3, decay_factor=0.995),
        fit={"fixed": {"decay_factor": None}},
    ),
    "ContinualAnnealing": LawCase(
        laws.ContinualAnnealing.published("target", switch_step=8),
        [0.5] * 12,
        [8, 11],
        [2.71549791609, 2.65093181864],
        laws.ContinualAnnealing(**POWER, **SHIFT, switch_step=3000, decay_factor=0.99),
        fit={"switch_step": 3000, "fixed": {"decay_factor": 0.99}},
    ),
    "MultiPower": LawCase(LUO, *TOY, laws.MultiPower(**POWER, **DROPS)),
    "OnePower": LawCase(
        with_parameters_of_luo(laws.OnePower, warmup="summed"),
        WARMUP_OF_LUO,
        (2159 + np.array([0, 100, 1000, 10_000, 69_840])).tolist(),
        [3.97044413794, 3.92954580457, 3.70713619707, 3.32553243566, 3.15150082807],
        laws.OnePower(**POWER),
    ),
    # With a power of one it is MultiPower.
    "SublinearPower": LawCase(
        with_parameters_of_luo(laws.SublinearPower, lr_power=1.0, warmup="counted"),
        *TOY,
        laws.SublinearPower(**POWER, **DROPS, warmup="summed"),
    ),
}

RULES = {
    "CriticalBatch": RuleCase(rules.CriticalBatch(), "batch_tokens", {"loss": 32.0}, f"{2.1e8 / 2**24:.12g}"),
    "GammaRule": RuleCase(
        rules.GammaRule(),
        "peak",
        {"tokens": 1e12, "batch_tokens": 1024 * 4096},
        "0.00357320380942",
        outside={"params": 1e9},
    ),
    "MiniCPMBatch": RuleCase(rules.MiniCPMBatch(), "batch_tokens", {"loss": 3.0}, "1275113.19786"),
    "StepLawRule": RuleCase(
        rules.StepLawRule(), "peak", {"params": 1e9, "tokens": 1e11}, "0.00163249940245", outside={"tokens": 1e12}
    ),
}
