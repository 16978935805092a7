"""A checkpoint continued by another optimizer: what is taken, what stays, what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optax_lrs as olrs
from matrices import adoption_cases as cases
from matrices.adoption_cases import CASES, STEPS, S, assert_identical, params, restored, saved, train
from optax_lrs.adoption import adopt, adopt_with_report, migrate, reset_schedule


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The old optimizer of every case after STEPS updates, with types and without."""
    olds = list(dict.fromkeys(case.old for case in CASES))
    trained = [train(old(), params(), old().init(params()), 0, STEPS) for old in olds]
    path = saved([state for _, state in trained], tmp_path_factory.mktemp("runs") / "all")
    typed, raw = restored(path, jax.eval_shape(lambda: [old().init(params()) for old in olds])), restored(path)
    found = {old: (p, a, b) for old, (p, _), a, b in zip(olds, trained, typed, raw)}
    return {case.name: found[case.old] for case in CASES}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=str)
def test_old_to_new(case, runs):
    p, old, raw = runs[case.name]
    tx = case.new()
    fresh = tx.init(p)
    expected = case.expected(fresh, old)
    assert_identical(adopt(fresh, old, **case.options), expected)
    assert_identical(migrate(raw, tx, p, **case.options), expected)


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if case.same], ids=str)
def test_a_change_that_is_none_changes_no_bit(case, runs):
    p, old, _ = runs[case.name]
    tx = case.new()
    changed, _ = train(tx, p, adopt(tx.init(p), old, **case.options), STEPS, 2)
    unchanged, _ = train(case.old(), p, old, STEPS, 2)
    if "inject" not in case.name:
        return assert_identical(changed, unchanged)
    for a, b in zip(jax.tree.leaves(changed), jax.tree.leaves(unchanged)):
        np.testing.assert_allclose(a, b, rtol=0, atol=2 * 0.1 * 1.3e-5)  # two updates, whose 1 - b2 is off by 1.3e-5


# ── wrong on purpose ──────────────────────────────────────────────────────────────────────────


def restarts(fresh, old):
    return fresh


def forgets_the_step(fresh, old):
    return optax.tree.set(adopt(fresh, old), count=jnp.int32(0))


def fills_by_order(fresh, old):
    """Array by array, as long as shapes agree."""
    leaves = iter(jax.tree.leaves(old))
    return jax.tree.map(lambda x: next((y for y in leaves if y.shape == x.shape), x), fresh)


def fills_by_name(fresh, old):
    """Every field from the first of that name."""
    for name in ("count", "mu", "nu", "norms", "radii", "scale"):
        found = optax.tree.get_all_with_path(old, name)
        fresh = optax.tree.set(fresh, **{name: found[0][1]}) if found else fresh
    return fresh


@pytest.mark.parametrize("wrong", [restarts, forgets_the_step, fills_by_order, fills_by_name])
def test_the_table_catches(wrong, runs):
    caught = 0
    for case in CASES:
        p, old, _ = runs[case.name]
        fresh = case.new().init(p)
        try:
            assert_identical(wrong(fresh, old), case.expected(fresh, old))
        except (AssertionError, ValueError, TypeError, KeyError):
            caught += 1
    assert caught >= 10, caught


ADAM = optax.scale_by_adam()


def trained(tx, steps=2, p=None):
    p = params() if p is None else p
    return train(tx, p, tx.init(p), 0, steps)[1]


def other_model():
    return jax.tree.map(lambda x: jnp.ones((6, *x.shape[1:]), x.dtype), params())


def bigger():
    return params() | {"new_head": {"kernel": jnp.ones((4, 2))}}


def apart():
    state = trained(cases.partition(lambda: optax.adamw(S)))
    second = reset_schedule(state, step=9, path="inner_states/b")
    return optax.tree.set(second, lambda path, _: "'b'" in str(path), count=jnp.int32(9))


MISTAKES = {
    "another model": (
        lambda: optax.adamw(S).init(other_model()),
        lambda: trained(optax.adamw(S)),
        {},
        r"0/mu/head/kernel has shape \(4, 4\), not \(6, 4\), for 0/mu/head/kernel",
    ),
    "another type": (
        lambda: optax.adamw(S, mu_dtype=jnp.bfloat16).init(params()),
        lambda: trained(optax.adamw(S)),
        {},
        "0/mu/head/kernel has type float32, not bfloat16",
    ),
    "two for one": (
        lambda: ADAM.init(params()),
        lambda: trained(optax.chain(ADAM, ADAM)),
        {},
        "'0' and '1' could go to",
    ),
    "one for two": (
        lambda: optax.chain(ADAM, optax.adamw(S)).init(params()),
        lambda: trained(optax.adamw(S)),
        {},
        r"ScaleByAdamState at '0' could go to the new optimizer's at '0' and '1/0'.*rename=\{'0': '0'\}",
    ),
    "moments lost": (
        lambda: optax.sgd(S).init(params()),
        lambda: trained(optax.adamw(S)),
        {},
        r"0/mu/\.\* \(ScaleByAdamState\) has no place in the new state.*drop='0/mu/\.\*'",
    ),
    "in the middle of an accumulation": (
        lambda: optax.adamw(S).init(params()),
        lambda: trained(cases.multi(2, optax.adamw(S)), 3),
        {},
        "acc_grads/.* has no place",
    ),
    "a new head": (
        lambda: optax.adamw(S).init(bigger()),
        lambda: trained(optax.adamw(S)),
        {},
        "0/mu/new_head/kernel is not in the checkpoint.*new='0/mu/new_head/kernel'",
    ),
    "a head less": (
        lambda: optax.adamw(S).init(params()),
        lambda: trained(optax.adamw(S), p=bigger()),
        {},
        "0/mu/new_head/kernel .* has no place .*drop='0/mu/new_head/kernel'",
    ),
    "nothing": (lambda: optax.adamw(S).init(params()), tuple, {}, "restored is empty"),
    "None": (lambda: optax.adamw(S).init(params()), lambda: None, {}, "restored is empty"),
    "no state": (lambda: optax.adamw(S).init(params()), params, {}, r"head/\.\*|head/kernel \(in no known state\)"),
    "the wrong way round": (
        lambda: trained(optax.adamw(S)),
        lambda: optax.adamw(S).init(params()),
        {},
        "the first state has counted 2 updates at '0/count'",
    ),
    "no step": (lambda: optax.sgd(S).init(params()), lambda: trained(optax.sgd(0.1)), {}, "counts no updates.*step="),
    "two steps": (lambda: optax.chain(optax.adamw(S)).init(params()), apart, {}, "joins several that differ"),
    "an idle drop": (
        lambda: optax.adamw(S).init(params()),
        lambda: trained(optax.adamw(S)),
        dict(drop="1/.*"),
        r"drop='1/\.\*' matches no path; the paths are 0/count",
    ),
    "an idle new": (
        lambda: optax.adamw(S).init(params()),
        lambda: trained(optax.adamw(S)),
        dict(new="mu"),
        "new='mu' matches",
    ),
    "an idle rename": (
        lambda: optax.adamw(S).init(params()),
        lambda: trained(optax.adamw(S)),
        dict(rename={"0": "7"}),
        "names no pair of states; the checkpoint has states at",
    ),
    "two renamed to one": (
        lambda: optax.adamw(S).init(params()),
        lambda: trained(optax.chain(ADAM, ADAM)),
        dict(rename={"0": "0", "1": "0"}),
        "two to one",
    ),
    "shapes only": (
        lambda: optax.adamw(S).init(params()),
        lambda: jax.eval_shape(optax.adamw(S).init, params()),
        {},
        "restored holds shapes without values, the first at '0/count'",
    ),
    "a recorder of another length": (
        lambda: optax.chain(olrs.record_grad_norm(steps=5), ADAM).init(params()),
        lambda: trained(optax.chain(cases.RECORD(), ADAM)),
        {},
        r"0/store/norms/l2 has shape \(12,\), not \(5,\)",
    ),
    "a whole for a part": (
        lambda: dict(params=params(), opt_state=ADAM.init(params())),
        lambda: trained(ADAM),
        {},
        "fresh holds an optimizer's state and more",
    ),
    "parameters missing": (
        lambda: dict(params=params(), opt_state=ADAM.init(params())),
        lambda: dict(opt_state=trained(ADAM)),
        {},
        "params/head/kernel is not in the checkpoint, while the rest of the tree is",
    ),
    "measured elsewhere": (
        lambda: dict(params=params(), opt_state=optax.chain(ADAM, cases.PROJECT()).init(params())),
        lambda: dict(params=jax.tree.map(lambda p: 2 * p, params()), opt_state=trained(ADAM)),
        {},
        "begun with other parameters.*with the restored ones",
    ),
    "refined at another step": (
        lambda: cases.with_refinement(ADAM).init(params()),
        lambda: trained(cases.with_refinement(ADAM)),
        dict(step=3),
        "inside a RefinementState.*leave step= out",
    ),
    "another refined": (
        lambda: cases.with_refinement(ADAM, steps=7).init(params()),
        lambda: trained(cases.with_refinement(ADAM)),
        {},
        "total_steps=7.*the checkpoint's .*total_steps=9",
    ),
    "a bad step": (
        lambda: optax.sgd(S).init(params()),
        lambda: trained(optax.sgd(0.1)),
        dict(step=-1),
        "step must be at least 0",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name):
    fresh, old, options, message = MISTAKES[name]
    with pytest.raises(ValueError, match=f"(?s)adopt: .*({message})"):
        adopt(fresh(), old(), **options)


@pytest.mark.parametrize(
    ("args", "options", "message"),
    [
        (("a/path", ()), {}, "give what was restored from it"),
        ((optax.adamw(S), ()), {}, r"give tx.init\(params\)"),
        (((), ()), dict(rename=["0"]), "rename must be a mapping"),
        (((), ()), dict(drop=3), "drop must be a pattern"),
        (((), ()), dict(step=1.5), "step must be an int"),
    ],
)
def test_other_types(args, options, message):
    with pytest.raises(TypeError, match=message):
        adopt(*args, **options)


def test_what_a_message_says_to_write_works():
    state = trained(optax.adamw(S))
    two = optax.chain(ADAM, optax.adamw(S)).init(params())
    assert_identical(adopt(two, state, rename={"0": "1/0"})[1], state)
    assert_identical(adopt(two, state, new="0/.*")[1], state)
    both = trained(optax.chain(ADAM, ADAM))
    assert_identical(adopt(ADAM.init(params()), both, drop="0/.*"), both[1])
    assert_identical(adopt(ADAM.init(params()), both, rename={"1": ""}, drop="0/.*"), both[1])
    fresh = optax.adamw(S).init(bigger())
    adopted = adopt(fresh, state, new=".*/new_head/.*")
    assert not jnp.any(adopted[0].mu["new_head"]["kernel"]) and adopted[0].count == 2
    assert_identical(
        adopt(optax.sgd(S).init(params()), state, drop=["0/mu/.*", "0/nu/.*"]), (optax.EmptyState(), state[2])
    )
    assert_identical(adopt(optax.sgd(S).init(params()), trained(optax.sgd(0.1)), step=7)[1].count, jnp.int32(7))
    steps = adopt(cases.partition(lambda: optax.sgd(S)).init(params()), apart(), step=5, drop=".*/(mu|nu)/.*")
    assert [int(count) for _, count in optax.tree.get_all_with_path(steps, "count")] == [5, 5]


def test_a_wider_type_takes_all():
    narrow, wide = optax.adamw(S, mu_dtype=jnp.bfloat16), optax.adamw(S)
    state = trained(narrow)
    expected = state[0]._replace(mu=optax.tree.cast(state[0].mu, jnp.float32))
    assert_identical(adopt(wide.init(params()), state)[0], expected)


def test_the_account():
    tx = optax.chain(cases.RECORD(), cases.adam_live(S))
    report = adopt_with_report(tx.init(params()), trained(optax.adamw(S)))
    assert report.step == 2 and report.set_to_step == ("1/2/count",) and report.left == ("2/count",)
    assert report.taken["1/0/mu/layer/bias"] == "0/mu/layer/bias" and "0/store/norms/l2" in report.fresh
    assert "1/2/schedule/peak" in report.fresh
    lines = repr(report).splitlines()
    assert lines[0] == "AdoptionReport at step 2" and "  1/0 ScaleByAdamState: from 0" in lines
    assert "  0 RecordGradNormState: fresh" in lines and "  left: 2/count" in lines
    every = set(report.taken) | set(report.set_to_step) | set(report.fresh)
    assert len(every) == len(jax.tree.leaves(report.state))
