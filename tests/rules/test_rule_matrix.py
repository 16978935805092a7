"""Every rule: its golden value, JSON, and its report on inputs outside the fitted ranges."""

import pickle

import pytest

from matrices import law_cases
from optax_lrs import rules

ROWS = [pytest.param(case, id=name) for name, case in law_cases.RULES.items()]


@pytest.mark.parametrize("case", ROWS)
def test_golden_value(case):
    assert f"{getattr(case.rule, case.method)(**case.inputs):.12g}" == case.golden


@pytest.mark.parametrize("case", ROWS)
def test_json_and_pickle(case):
    assert rules.Rule.from_json(case.rule.to_json()) == case.rule == pickle.loads(pickle.dumps(case.rule))


@pytest.mark.parametrize("case", ROWS)
def test_ranges(case):
    """A rule reports inputs outside its ranges, or that its source gives no ranges."""
    assert bool(case.rule.ranges) == bool(case.outside)
    for name, (least, most) in case.rule.ranges.items():
        assert case.rule.outside(**{name: least}) == case.rule.outside(**{name: most}) == ()
    assert len(case.rule.outside(**case.outside)) == len(case.outside)
    assert case.rule.ranges or case.rule.unknown_ranges
