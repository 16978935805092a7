"""Arguments of the reactive transforms that are refused, and the messages."""

import functools
import math

import pytest

import optax_lrs as olrs

plateau = olrs.scale_by_plateau
greedy = functools.partial(olrs.scale_by_greedy, min_scale=0.01, max_scale=10.0)

MISTAKES = [
    ({"factor": 1.0}, ValueError, r"factor must be above 0 and below 1, got 1.0"),
    ({"factor": 0.0}, ValueError, "factor"),
    ({"factor": True}, TypeError, "factor must be a number"),
    ({"factor": "0.5"}, TypeError, "factor must be a number"),
    ({"patience": -1}, ValueError, "patience must be at least 0"),
    ({"patience": 2.5}, TypeError, "patience must be an int"),
    ({"patience": 2**31}, ValueError, "patience"),
    ({"cooldown": -1}, ValueError, "cooldown"),
    ({"accumulation": 0}, ValueError, "accumulation must be at least 1"),
    ({"accumulation": True}, TypeError, "accumulation"),
    ({"rtol": -0.1}, ValueError, "rtol must be at least 0 and at most 1"),
    ({"rtol": 1.5}, ValueError, "rtol"),
    ({"atol": -1.0}, ValueError, "atol must be at least 0, got -1.0"),
    ({"atol": math.inf}, ValueError, "atol"),
    ({"atol": math.nan}, ValueError, "atol"),
    ({"min_scale": 1.5}, ValueError, "min_scale must be"),
    ({"mode": "maximum"}, ValueError, "mode must be one of 'min', 'max', got 'maximum'"),
    ({"nonfinite": "ignore"}, ValueError, "nonfinite must be one of 'skip', 'bad', got 'ignore'"),
]
GREEDY_MISTAKES = [
    ({"min_scale": 0.0}, ValueError, "min_scale must be above 0 and at most 1"),
    ({"max_scale": 0.5}, ValueError, "scale_by_greedy: max_scale must be at least 1, got 0.5"),
    ({"warmup": -1}, ValueError, "warmup"),
    ({"reset": 0}, ValueError, "reset must be at least 1"),
]


@pytest.mark.parametrize(("wrong", "error", "says"), MISTAKES, ids=lambda x: str(x) if isinstance(x, dict) else "")
@pytest.mark.parametrize("make", [plateau, greedy], ids=["plateau", "greedy"])
def test_mistakes(make, wrong, error, says):
    with pytest.raises(error, match=says):
        make(**wrong)


@pytest.mark.parametrize(
    ("wrong", "error", "says"), GREEDY_MISTAKES, ids=lambda x: str(x) if isinstance(x, dict) else ""
)
def test_greedy_mistakes(wrong, error, says):
    with pytest.raises(error, match=says):
        greedy(**wrong)


def test_the_bounds_of_greedy_have_no_defaults():
    with pytest.raises(TypeError, match="min_scale"):
        olrs.scale_by_greedy()
