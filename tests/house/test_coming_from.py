"""Every line of examples/coming_from.py: theirs and ours agree at every step, and past the end.

Optax is always compared, and so are the formulas of frameworks that these tests do not install
(`references_peers`). PyTorch, Transformers, timm and Keras are compared where they are installed:
`pip install -e ".[peers]"`.
"""

import importlib
import importlib.machinery
import importlib.util
import os
import subprocess
import sys
import types
from pathlib import Path

import jax
import numpy as np
import optax
import pytest

import optax_lrs as olrs
from oracles import peers as references_peers

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "examples"))
try:
    import coming_from
    from peers.row import DIFFERS, DIPS, FALLS, JUMPS, RAISES, RISES
finally:
    sys.path.remove(str(ROOT / "examples"))

STEPS = np.arange(300)  # the runs have 100


def f(step):
    """The function for `LambdaLR` and `MultiplicativeLR`."""
    return 1 / (1 + step / 300)


OURS = {"f": f}
exec("from math import *\nfrom optax_lrs import *", OURS)
INSTALLED = ("PyTorch", "Transformers", "timm", "Keras")


def ours(row) -> olrs.Schedule:
    return eval(row.ours, OURS)


# ── the rates of peers ────────────────────────────────────────────────────────────────────────


def optax_rates(text):
    schedule = eval(text, {"optax": optax})
    return np.array([schedule(int(s)) for s in STEPS], np.float64)


def followed(optimizer, step):
    """The rates that a scheduler writes into the optimizer; nan once it raises."""
    rates = np.full(len(STEPS), np.nan)
    for s in STEPS:
        rates[s] = optimizer.param_groups[0]["lr"]
        optimizer.step()
        try:
            step(s + 1)
        except ValueError:
            break
    return rates


def sgd():
    torch = pytest.importorskip("torch", reason='PyTorch is not installed: pip install -e ".[peers]"')
    parameter = torch.nn.Parameter(torch.zeros(1))
    parameter.grad = torch.zeros(1)
    return torch.optim.SGD([parameter], lr=1e-3, momentum=0.9)


def torch_rates(text):
    optimizer = sgd()
    names = {**vars(importlib.import_module("torch.optim.lr_scheduler")), "f": f}
    names["SWALR"] = importlib.import_module("torch.optim.swa_utils").SWALR
    scheduler = eval(text, names, {"optimizer": optimizer})
    return followed(optimizer, lambda s: scheduler.step())


def transformers_rates(text):
    optimizer = sgd()
    pytest.importorskip("transformers", reason='Transformers is not installed: pip install -e ".[peers]"')
    names = vars(importlib.import_module("transformers.optimization"))
    scheduler = eval(text, dict(names), {"optimizer": optimizer})
    return followed(optimizer, lambda s: scheduler.step())


def timm_rates(text):
    optimizer = sgd()
    names = {}
    for name in ("cosine_lr", "tanh_lr", "poly_lr", "step_lr", "multistep_lr", "wsd_lr"):
        names |= vars(timm_module(f"timm.scheduler.{name}"))
    scheduler = eval(text, names, {"optimizer": optimizer})
    scheduler.step(0)
    return followed(optimizer, scheduler.step)


def timm_module(name):
    """A module of timm, without the package's __init__, which imports torchvision."""
    found = importlib.machinery.PathFinder.find_spec("timm")
    if found is None:
        pytest.skip('timm is not installed: pip install -e ".[peers]"')
    for package in ("timm", "timm.scheduler"):
        if package not in sys.modules:
            stub = types.ModuleType(package)
            stub.__path__ = [os.path.join(os.path.dirname(found.origin), *package.split(".")[1:])]
            sys.modules[package] = stub
    return importlib.import_module(name)


def keras_rates(text):
    os.environ.setdefault("KERAS_BACKEND", "jax")
    if importlib.util.find_spec("keras") is None:
        pytest.skip('Keras is not installed: pip install -e ".[peers]"')
    schedules = importlib.import_module("keras.optimizers.schedules")
    schedule = eval(text, dict(vars(schedules)))
    return np.asarray(jax.vmap(schedule)(STEPS.astype(np.float32)), np.float64)  # one step at a time, as Keras requires


def reference(framework):
    names = {
        **vars(references_peers),
        "InvSqrtLrSchedule": references_peers.inv_sqrt,
        "PowerLrSchedule": references_peers.power,
    }

    def rates(text):
        if framework == "AXLearn":
            return eval(text, names)(STEPS)
        return eval(f"{framework}({text})", names)(STEPS)

    return rates


PEERS = {
    "Optax": optax_rates,
    "PyTorch": torch_rates,
    "Transformers": transformers_rates,
    "timm": timm_rates,
    "Keras": keras_rates,
    "MaxText": reference("maxtext"),
    "Levanter": reference("levanter"),
    "AXLearn": reference("AXLearn"),
    "Megatron-LM": reference("megatron"),
    "torchtitan": reference("torchtitan"),
    "big_vision": reference("big_vision"),
    "t5x": reference("t5x"),
}
SINGLE = ("Optax", "Keras")  # peers that compute in float32
ROWS = [row for row in coming_from.ROWS if row.ours]


def name(row):
    return f"{row.framework}: {row.theirs}"


# ── the rows ──────────────────────────────────────────────────────────────────────────────────


def test_every_framework_has_rows_and_every_row_has_a_schedule_or_a_note():
    assert {row.framework for row in coming_from.ROWS} == set(PEERS)
    assert all(row.ours or row.note for row in coming_from.ROWS)
    for row in ROWS:  # they agree for the whole run, unless the row excludes some steps
        first, last = row.steps
        assert first == 0 or row.but or (row.framework == "t5x" and first == 1)
        assert last is None or (last >= 100 and row.but)
    assert len({(row.framework, row.theirs) for row in coming_from.ROWS}) == len(coming_from.ROWS)


@pytest.mark.parametrize("row", ROWS, ids=name)
def test_our_line_is_a_schedule_that_can_be_saved(row):
    schedule = ours(row)
    assert isinstance(schedule, olrs.Schedule)
    assert olrs.parse(repr(schedule)) == schedule == olrs.Schedule.from_json(schedule.to_json())


@pytest.mark.filterwarnings("ignore:.*epoch parameter in `scheduler.step:UserWarning")
@pytest.mark.parametrize("row", ROWS, ids=name)
def test_theirs_and_ours_agree(row):
    """To 1e-9 of the rate, or 1e-12 of the peak where a peer's sums cancel.

    Peers that compute in float32 agree to 1e-6 and 2e-7.
    """
    theirs, mine = PEERS[row.framework](row.theirs), ours(row).at(STEPS)
    first, last = row.steps
    peak = mine.max()
    if row.framework in SINGLE:
        # Their low rates are differences (1 + cos, 1 - share) of shares rounded as the step grows.
        tolerance = np.maximum(1e-6 * mine, 2e-7 * peak * np.maximum(1, STEPS / 100))
    else:
        tolerance = 1e-9 * mine + 1e-12 * peak
    wrong = np.flatnonzero(~(np.abs(theirs - mine) <= tolerance)[first:last]) + first
    assert not wrong.size, (wrong[:5], theirs[wrong[:5]], mine[wrong[:5]])


@pytest.mark.filterwarnings("ignore:.*epoch parameter in `scheduler.step:UserWarning")
@pytest.mark.parametrize("row", [row for row in ROWS if row.but], ids=name)
def test_where_they_differ_the_peer_does_what_the_row_says(row):
    theirs, mine = PEERS[row.framework](row.theirs), ours(row).at(STEPS)
    first, last = row.steps
    peak, end = mine.max(), ours(row).ends_at
    after = slice(last, None)
    if row.but == RAISES:
        assert np.isnan(theirs[last + 1 :]).all() and np.isfinite(mine).all()
    elif row.but == RISES:
        assert theirs[after].max() > mine[last - 1] + 0.1 * peak
    elif row.but == DIPS:
        assert theirs[after].min() < mine[-1] - 0.1 * peak and theirs[after].min() < 0  # not only below the floor
    elif row.but == FALLS:
        assert theirs[-1] < 0.8 * mine[-1]
    elif row.but == JUMPS:
        at = (first if last is None else last) - 1  # from this step to the next
        kinks = [abs(np.diff(rates)[at] - np.diff(rates)[at - 1 if at else 1]) for rates in (theirs, mine)]
        assert kinks[0] > 0.05 * peak and kinks[0] > 5 * kinks[1]
    elif row.but == DIFFERS:
        assert np.abs(theirs - mine).max() > 0.001 * peak
    else:
        raise AssertionError(f"unknown remark {row.but!r}")
    assert np.all(mine >= 0) and np.all(np.isfinite(mine))
    if end is not None and last is not None:
        assert np.all(mine[max(end, last - 1) :] == mine[-1])  # ours stays at its end


def test_the_three_conventions():
    first, last = {"0": 0.0, "1/4": 0.25}, {"1/8": 0.125, "0": 0.0}
    for convention in coming_from.CONVENTIONS:
        schedule = eval(convention.ours, OURS)
        assert schedule.at([0, 4, 39]) == pytest.approx(
            [1e-3 * first[convention.first], 1e-3, 1e-3 * last[convention.last]], rel=1e-12, abs=0
        )
    run = dict(learning_rate=1e-3, steps=40, warmup_steps_fraction=0.1, learning_rate_final_fraction=0.0)
    maxtext = references_peers.maxtext(lr_schedule_type="wsd", wsd_decay_steps_fraction=0.2, **run)
    titan = references_peers.torchtitan(warmup_steps=4, decay_ratio=0.2, total_steps=40)
    levanter = references_peers.levanter(
        lr_schedule="linear", learning_rate=1e-3, warmup=4, decay=8, min_lr_ratio=0.0, num_train_steps=40
    )
    steps = np.arange(40)
    for theirs, convention in zip((levanter, titan, maxtext), coming_from.CONVENTIONS):
        np.testing.assert_allclose(eval(convention.ours, OURS).at(steps), theirs(steps), rtol=1e-12, atol=1e-16)


# ── what goes wrong in Optax ──────────────────────────────────────────────────────────────────


def test_optax_loses_the_digits_of_a_long_runs_last_steps():
    total = 1_000_000
    last = np.float64(optax.cosine_decay_schedule(1e-3, total)(total - 20))
    exact = olrs.Cosine(peak=1e-3, total_steps=total)
    assert abs(last - exact.at(total - 20)) > 0.5 * exact.at(total - 20)
    assert np.float64(exact(total - 20)) == pytest.approx(exact.at(total - 20), rel=2e-6, abs=0)


def test_optax_has_no_horizon_beyond_int32():
    with pytest.raises(OverflowError):
        jax.jit(optax.linear_schedule(1e-3, 0.0, 3_000_000_000))(5)
    assert jax.jit(olrs.Linear(peak=1e-3, total_steps=3_000_000_000))(5) == np.float32(1e-3)


def test_optax_joins_lists_of_the_wrong_length_and_differentiates_inactive_pieces():
    pieces = [optax.constant_schedule(rate) for rate in (1.0, 2.0, 3.0)]
    assert optax.join_schedules(pieces, [5])(100) == 2.0  # the third is never used
    with pytest.raises(ValueError, match="boundaries"):
        olrs.join(*(olrs.Constant(value=rate) for rate in (1.0, 2.0, 3.0)), at=5)
    joined = optax.join_schedules([optax.constant_schedule(1.0), lambda step: step**-0.5], [5])
    assert np.isnan(jax.grad(joined)(2.0))
    assert (
        jax.grad(olrs.join(olrs.Constant(value=1.0), olrs.InverseSqrt(peak=1.0, timescale_steps=1), at=5))(2.0) == 0.0
    )


# ── what goes wrong in other frameworks ───────────────────────────────────────────────────────


def test_levanter_accepts_phases_that_do_not_fit():
    climbing = references_peers.levanter(lr_schedule="constant", learning_rate=1e-3, warmup=150)
    # Never at its peak, and still rising after the end.
    assert climbing(np.array(99)) < 0.7e-3 and climbing(np.array(140)) > 0.9e-3
    whole = references_peers.levanter(lr_schedule="constant", learning_rate=1e-3, warmup=1)
    assert whole(np.array(50)) == 0.5e-3  # warmup=1 is the whole run
    with pytest.raises(ValueError, match="warmup_steps"):
        olrs.Linear(peak=1e-3, total_steps=100, warmup_steps=150)


def test_maxtext_does_not_decay_in_one_step():
    settings = dict(learning_rate=1.0, steps=100, warmup_steps_fraction=0.1, learning_rate_final_fraction=0.0)
    stuck = references_peers.maxtext(lr_schedule_type="wsd", wsd_decay_steps_fraction=0.01, **settings)
    assert stuck(np.array(99)) == stuck(np.array(1000)) == 1.0
    assert olrs.WSD(peak=1.0, total_steps=100, warmup_steps=10, decay_steps=1).at(100) == 0.0


def test_timm_takes_the_wrong_cycle_where_its_logarithm_rounds():
    """243 is 3 to the power of 5, but math.log(243, 3) is below 5: the restart is one step late."""
    optimizer = sgd()
    make = timm_module("timm.scheduler.cosine_lr").CosineLRScheduler
    scheduler = make(optimizer, t_initial=10, cycle_mul=3.0, cycle_limit=9)
    scheduler.step(1210)
    assert optimizer.param_groups[0]["lr"] == 0.0
    assert olrs.SGDR(peak=1e-3, period_steps=10, growth=3).at(1210) == 1e-3


# ── the text ──────────────────────────────────────────────────────────────────────────────────


def run(*args):
    script = ROOT / "examples" / "coming_from.py"
    return subprocess.run([sys.executable, script, *args], capture_output=True, text=True)


def test_the_tables_of_the_document_are_up_to_date():
    """To renew them, write the output of coming_from.py --markdown below the mark."""
    _, mark, tables = (ROOT / "docs" / "coming_from.md").read_text().partition("--markdown -->\n")
    assert mark and tables.strip() == run("--markdown").stdout.strip()


def test_it_prints_one_framework_or_all():
    printed = run("timm").stdout
    assert "WSDLRScheduler" in printed and "Megatron" not in printed
    everything = run().stdout
    assert all(row.theirs in everything for row in coming_from.ROWS)
    unknown = run("caffe")
    assert unknown.returncode == 1 and not unknown.stdout and "caffe" in unknown.stderr and "timm" in unknown.stderr
