"""Schedules, states and transforms of a user: treated like the package's own, or reported."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from flax import nnx

import optax_lrs as olrs
from optax_lrs.adoption import adopt, adopt_with_report, migrate, reset_schedule, step_of
from optax_lrs.checkpoint import Checkpoints
from optax_lrs.checkpoint._fingerprint import schedules_in
from optax_lrs.transforms import Roles

PARAMS = {"w": jnp.arange(1.0, 4.0)}


class Wobbly(olrs.Schedule):
    """A schedule of a user's."""

    peak: float

    def rate(self, clock):
        return self.peak * (1.0 + 0.0 * clock.done(0, 10))


class Wobble(NamedTuple):
    """Scales by a schedule in the state, and records. Its name does not end in State."""

    step: jax.Array
    rule: olrs.Schedule
    rows: jax.Array
    last: jax.Array
    first: Any
    mean: Any
    around: optax.OptState

    roles = Roles(
        rate_steps="step",
        live_schedules="rule",
        settings="rule",
        counts="rows",
        derived="last",
        applied_rates="last",
        measured="first",
        nested="around",
    )

    def observed(self, group=None):
        rows = int(jax.tree.leaves(self.rows)[0])
        return dict(steps=np.arange(rows), grad_norms=np.ones(rows), notes={})

    def averaged(self):
        (rows,) = jax.tree.leaves(self.rows)
        return self.mean, rows > 0


class Silent(NamedTuple):
    """The same without a word about it."""

    step: jax.Array
    rule: olrs.Schedule


class Bare(NamedTuple):
    """A state that only counts."""

    step: jax.Array


def wobble(schedule, inner):
    def init(params):
        zero = jnp.zeros((), jnp.int32)
        rule = jax.tree.map(jnp.asarray, schedule)
        first = jax.tree.map(jnp.copy, params)
        return Wobble(zero, rule, zero + 0, jnp.zeros(()), first, jax.tree.map(jnp.copy, params), inner.init(params))

    def update(updates, state, params=None, **extra):
        updates, around = inner.update(updates, state.around, params)
        rate = state.rule(state.step)
        updates = jax.tree.map(lambda g: -rate * g, updates)
        mean = optax.apply_updates(params, updates)
        return updates, Wobble(state.step + 1, state.rule, state.rows + 1, rate, state.first, mean, around)

    return optax.GradientTransformationExtraArgs(init, update)


def counting(kind, *rest):
    init = lambda params: kind(jnp.zeros((), jnp.int32), *rest)  # noqa: E731
    update = lambda u, state, params=None, **extra: (u, state._replace(step=state.step + 1))  # noqa: E731
    return optax.GradientTransformationExtraArgs(init, update)


def trained(tx, steps=3):
    params, state = PARAMS, tx.init(PARAMS)
    for _ in range(steps):
        updates, state = tx.update(jax.tree.map(jnp.ones_like, params), state, params)
        params = optax.apply_updates(params, updates)
    return params, state


def mine(peak=0.5):
    return optax.chain(wobble(Wobbly(peak=peak), optax.scale_by_adam()), olrs.scale_by_plateau())


def plain_tree(tree):
    """A state as dicts and lists, as checkpoints without types have it."""
    if hasattr(tree, "_fields"):
        return {field: plain_tree(child) for field, child in zip(tree._fields, tree)} or None
    if isinstance(tree, tuple):
        return [plain_tree(child) for child in tree]
    if isinstance(tree, olrs.Schedule):
        return {"peak": tree.peak}
    return tree


# ── with roles ────────────────────────────────────────────────────────────────────────────────


def test_its_rate_is_read():
    _, state = trained(mine())
    assert {path: float(rate) for path, rate in olrs.learning_rates(state).items()} == {"learning_rate": 0.5}
    scaled = (state[0], state[1]._replace(scale=jnp.float32(0.5)))
    assert float(olrs.learning_rate(scaled)) == 0.25
    nested = optax.MultiSteps(mine(), 1).init(PARAMS)._replace(inner_opt_state=state)
    assert list(olrs.learning_rates(nested)) == ["learning_rate"]


def test_its_schedule_is_replaced():
    _, state = trained(mine())
    new = olrs.with_schedule(state, Wobbly(peak=0.25))
    assert new[0].rule == Wobbly(peak=0.25) and int(new[0].step) == 3
    assert olrs.with_schedule(state, olrs.Constant(value=1.0), path="0")[0].rule == olrs.Constant(value=1.0)
    with pytest.raises(ValueError, match="no scale_by_live_schedule in this optimizer state at '1'"):
        olrs.with_schedule(state, Wobbly(peak=0.25), path="1")


def test_its_step():
    _, state = trained(mine())
    assert step_of(state) == 3
    again = reset_schedule(state, step=1)
    assert int(again[0].step) == 1 and int(again[0].rows) == 3 and int(again[0].around.count) == 3


def test_its_run_and_its_average():
    params, state = trained(mine())
    assert len(olrs.Run.from_state(state)) == 3
    np.testing.assert_array_equal(olrs.read_average(state, params)["w"], params["w"])


@pytest.mark.parametrize("way", ["typed", "raw", "orbax"])
def test_it_is_adopted(way, tmp_path):
    """From an optimizer without it, into one without it, and from itself."""
    params, old = trained(optax.adamw(0.1))
    _, own = trained(mine())
    if way == "raw":
        old, own = plain_tree(old), plain_tree(own)
    elif way == "orbax":
        with ocp.StandardCheckpointer() as checkpointer:
            checkpointer.save(tmp_path / "old", old)
            checkpointer.save(tmp_path / "own", own)
            checkpointer.wait_until_finished()
            old, own = checkpointer.restore(tmp_path / "old"), checkpointer.restore(tmp_path / "own")
    move = adopt if way == "typed" else lambda fresh, raw, **options: migrate(raw, mine(), params, **options)
    state = move(mine().init(params), old)
    assert int(state[0].step) == 3 and int(state[0].rows) == 0 and int(state[0].around.count) == 3

    state = move(mine(0.25).init(params) if way == "typed" else None, own)
    assert (int(state[0].step), int(state[0].rows)) == (3, 3)
    assert state[0].rule == Wobbly(peak=0.25 if way == "typed" else 0.5)  # the new optimizer's
    assert int(move(mine().init(params), own, step=0)[0].step) == 0

    schedule = optax.scale_by_learning_rate(Wobbly(peak=0.5))
    plain = optax.chain(optax.scale_by_adam(), schedule, olrs.scale_by_plateau())
    drop = "0/(first|mean)/.*"
    left = adopt(plain.init(params), own, drop=drop)
    assert (int(left[0].count), int(left[1].count)) == (3, 3)
    with pytest.raises(ValueError, match=r"0/first/w \(Wobble\) has no place"):
        adopt(plain.init(params), own)


def test_what_it_measures_is_measured_on_the_restored_parameters():
    params, old = trained(optax.adam(0.1))
    fresh = {"params": PARAMS, "opt_state": mine().init(PARAMS)}
    with pytest.raises(ValueError, match=r"opt_state/0 \(Wobble\) was begun with other parameters"):
        adopt(fresh, {"params": params, "opt_state": old})


def test_a_checkpoint_compares_its_schedule(tmp_path):
    _, state = trained(mine())
    assert schedules_in({"opt_state": state}) == {"opt_state/0/rule": (state[0].rule, True)}
    with Checkpoints(tmp_path, schedule=Wobbly(peak=0.5)) as checkpoints:
        checkpoints.save(3, state)
        checkpoints.wait()
        assert checkpoints.schedule_at() == Wobbly(peak=0.5)
        kept = checkpoints.restore(mine(0.5).init(PARAMS))
        assert kept.schedule == Wobbly(peak=0.5) and int(kept.state[0].step) == 3
    other = Checkpoints(tmp_path, schedule=Wobbly(peak=0.25))
    with pytest.raises(ValueError, match=r"at 0/rule\): peak is 0\.5 there and 0\.25 here"):
        other.restore(mine(0.25).init(PARAMS))
    taken = other.restore(mine(0.25).init(PARAMS), on_mismatch="override")
    assert taken.state[0].rule == Wobbly(peak=0.25) and int(taken.state[0].step) == 3


def test_it_is_found_in_an_nnx_optimizer():
    model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, mine(), wrt=nnx.Param)
    optimizer.update(model, nnx.grad(lambda m: m(jnp.ones((1, 2))).sum())(model))
    assert step_of(optimizer) == 1 and len(olrs.Run.from_state(optimizer)) == 1
    assert [float(rate) for rate in olrs.learning_rates(optimizer).values()] == [0.5]
    assert step_of(nnx.state(optimizer)) == 1


# ── without roles ─────────────────────────────────────────────────────────────────────────────


def test_an_unknown_count_is_not_set_in_silence():
    params, old = trained(optax.adam(0.1))
    tx = optax.chain(optax.adam(0.1), counting(Bare))
    with pytest.raises(
        ValueError, match=r"1/step is an integer, and Bare declares no role for it.*Bare\.roles = .*new="
    ):
        adopt(tx.init(params), old)
    report = adopt_with_report(tx.init(params), old, new="1/step")
    assert int(report.state[1].step) == 0 and "1/step" in report.fresh
    both = trained(tx)[1]
    assert int(adopt(tx.init(params), both)[1].step) == 3  # the checkpoint has it: nothing is guessed
    with pytest.raises(ValueError, match="Bare declares no role"):
        adopt(tx.init(params), both, step=7)


def test_an_unknown_count_is_no_step():
    _, state = trained(counting(Bare))
    with pytest.raises(ValueError, match=r"step_of: nothing in this state counts updates; .*'step' \(Bare\)"):
        step_of(state)
    assert step_of((state, optax.scale_by_adam().init(PARAMS))) == 0
    chain = (state, optax.ScaleByScheduleState(jnp.int32(5)))
    with pytest.raises(ValueError, match=r"reset_schedule: no role says .*'0/step' \(Bare\).*path="):
        reset_schedule(chain)
    assert int(reset_schedule(chain, path="1")[1].count) == 0


def test_an_unknown_schedule_is_not_passed_over():
    _, state = trained(counting(Silent, Wobbly(peak=0.5)))
    with pytest.raises(ValueError, match=r"with_schedule: Silent holds a schedule at 'rule' and declares no roles"):
        olrs.with_schedule(state, Wobbly(peak=0.25))
    with pytest.raises(ValueError, match=r"learning_rates: .*no roles: Silent at ''"):
        olrs.learning_rates(state)


def test_roles_may_be_declared_from_outside():
    class Theirs(NamedTuple):
        step: jax.Array

    params, old = trained(optax.adam(0.1))
    tx = optax.chain(optax.adam(0.1), counting(Theirs))
    with pytest.raises(ValueError, match=r"Theirs\.roles"):
        adopt(tx.init(params), old)
    Theirs.roles = Roles(schedule_steps="step")
    assert int(adopt(tx.init(params), old)[1].step) == 3


def test_a_misspelled_role_is_an_error():
    class Typo(NamedTuple):
        step: jax.Array

        roles = Roles(rate_steps="stpe")

    with pytest.raises(TypeError, match=r"Typo\.roles: rate_steps names 'stpe', which is not a field.*Fields: step"):
        step_of(Typo(jnp.int32(3)))
    with pytest.raises(TypeError, match="Roles: counts must be the name of a field or a tuple of names"):
        Roles(counts=["step"])
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        Roles(rate_step="step")


def test_parameters_that_are_named_tuples_are_not_states():
    class Layer(NamedTuple):
        kernel: jax.Array
        calls: jax.Array

    params = Layer(jnp.ones(2), jnp.ones(()))
    tx = optax.chain(optax.adam(0.1), olrs.record_grad_norm(steps=3))
    state = optax.adam(0.1).init(params)
    report = adopt_with_report(tx.init(params), state)
    assert report.taken["0/0/mu/kernel"] == "0/mu/kernel" and report.fresh == (
        "1/count",
        "1/skipped",
        "1/store/norms/l2",
    )
