"""The recorder of gradient norms: what it records, where it stands, and what it costs in the compiled program."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import transform_rules as rules
from transform_rules import Case

import optax_lrs as olrs

BOTH = ("l2", "l1")
CASES = [
    Case("binned", lambda: olrs.record_grad_norm()),
    Case("binned, few bins, both norms", lambda: olrs.record_grad_norm(norms=BOTH, bins=4)),
    Case("exact", lambda: olrs.record_grad_norm(steps=2)),
    Case("before a clip and adamw", lambda: optax.chain(
        olrs.record_grad_norm(norms=BOTH, steps=9), optax.clip_by_global_norm(0.1), optax.adamw(0.1))),
]  # fmt: skip


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_rule(case, rule):
    rule(case)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_survives_a_checkpoint(case, tmp_path):
    rules.survives_a_checkpoint(case, tmp_path)
