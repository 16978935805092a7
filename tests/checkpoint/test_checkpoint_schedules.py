"""Restoring under another schedule: an error, or the schedule that was chosen."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest

import optax_lrs as olrs
from matrices.checkpoint_folders import LR, OTHER_RATE, OTHER_STEPS, OTHERS, assert_same, forge, live, shapes, trained
from optax_lrs.checkpoint import CheckpointError, Checkpoints
from optax_lrs.checkpoint._fingerprint import schedules_in

pytestmark = pytest.mark.filterwarnings("ignore:::orbax", "ignore:::tensorstore")


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("kind", ["live", "plain"])
def test_another_schedule_is_a_choice(saved, kind, other):
    new, field = OTHERS[other]
    tx = live(new) if kind == "live" else optax.adamw(new)
    checkpoints = Checkpoints(saved / kind, schedule=new)
    with pytest.raises(ValueError) as caught:
        checkpoints.restore(shapes(tx), fallback=True)  # no damage: nothing to fall back from
    message = str(caught.value)
    assert not isinstance(caught.value, CheckpointError)
    for part in (str(saved / kind), "step 20", f"{field} is", repr(LR), repr(new), "keep", "override", "error"):
        assert part in message
    expected = trained(live(LR) if kind == "live" else optax.adamw(LR), steps=2)

    with warnings.catch_warnings() if kind == "live" else pytest.warns(UserWarning, match="Build it with `.schedule`"):
        kept = checkpoints.restore(shapes(tx), on_mismatch="keep")
    assert kept.schedule == LR == checkpoints.schedule_at() == checkpoints.schedule
    assert_same(kept.state, expected)  # of a live schedule the structure, too

    taken = checkpoints.restore(shapes(tx), on_mismatch="override")
    assert taken.schedule == new == checkpoints.schedule
    if kind == "live":
        assert_same(taken.state, expected | {"opt_state": olrs.with_schedule(expected["opt_state"], new)})
    else:
        assert_same(taken.state, expected)
    grads = jax.tree.map(jnp.ones_like, expected["params"])
    _, after = tx.update(grads, taken.state["opt_state"], taken.state["params"])
    (rate,) = olrs.learning_rates(after, new).values()
    assert rate == new(2)


def test_the_live_schedule_that_a_controller_put_there_counts(tmp_path):
    state = trained(live(LR))
    state["opt_state"] = olrs.with_schedule(state["opt_state"], OTHER_RATE)
    with Checkpoints(tmp_path, schedule=LR) as checkpoints:
        checkpoints.save(3, state)
        checkpoints.wait()
        with pytest.raises(ValueError, match=r"peak is 0\.0002 there and 0\.0003 here"):
            checkpoints.restore(shapes(live(LR)))
        assert checkpoints.schedule_at() == OTHER_RATE
        assert checkpoints.restore(shapes(live(LR)), on_mismatch="keep").schedule == OTHER_RATE
        assert Checkpoints(tmp_path, schedule=OTHER_RATE).restore(shapes(live(OTHER_RATE))).schedule == OTHER_RATE


def test_shapes_alone_cannot_be_compared_and_a_state_can(saved):
    checkpoints = Checkpoints(saved / "live")
    with pytest.raises(ValueError, match="say which schedule this program runs"):
        checkpoints.restore(shapes(live(LR)))
    with pytest.raises(ValueError, match="say which schedule this program runs"):
        checkpoints.restore(shapes(live(LR)), on_mismatch="override")
    assert checkpoints.restore(shapes(live(OTHER_STEPS)), on_mismatch="keep").schedule == LR
    assert checkpoints.restore(trained(live(LR))).step == 20
    with pytest.raises(ValueError, match=r"peak is 0\.0003 there and 0\.0002"):
        checkpoints.restore(trained(live(OTHER_RATE)))
    found = checkpoints.restore(trained(live(OTHER_RATE)), on_mismatch="override").state
    assert float(found["opt_state"][1].schedule.peak) == np.float32(2e-4)
    with pytest.raises(ValueError, match="schedule= is not the live schedule of the template"):
        Checkpoints(saved / "live", schedule=OTHER_STEPS).restore(shapes(live(LR)))


def test_a_schedule_that_was_kept_is_what_later_saves_store(folder):
    path, tx = folder("plain"), optax.adamw(OTHER_RATE)
    with Checkpoints(path, schedule=OTHER_RATE) as checkpoints:
        with pytest.warns(
            UserWarning, match="step 20: its schedule is kept, WSD.*0003.* continues with its own, WSD.*0002"
        ):
            state = checkpoints.restore(shapes(tx), on_mismatch="keep").state
        checkpoints.save(21, state)
    next_start = Checkpoints(path, schedule=OTHER_RATE)
    assert next_start.schedule_at(21) == LR
    with pytest.raises(ValueError, match=r"step 21 was saved with another schedule: peak is 0\.0003 there and 0\.0002"):
        next_start.restore(shapes(tx))
    with Checkpoints(path, schedule=OTHER_RATE) as checkpoints:
        state = checkpoints.restore(shapes(tx), on_mismatch="override").state
        checkpoints.save(22, state)
    assert next_start.restore(shapes(tx)).schedule == OTHER_RATE


def factored(factor):
    return olrs.with_rates_by_path(optax.identity(), LR, {"w": factor, ".*": 1.0})


AGAIN = olrs.Linear(peak=2e-4, total_steps=50)


@pytest.mark.parametrize("kind", ["rewarming", "factors"])
def test_a_schedule_in_the_state_that_is_not_the_live_one(tmp_path, kind):
    """Its shapes cannot be compared, and schedule= does not name it.

    A state can be compared, and "keep" compares nothing.
    """

    def make(inner):
        tx = olrs.scale_by_rewarming_schedule(LR, again=inner) if kind == "rewarming" else factored(inner)
        return lambda: {"opt_state": tx.init({"w": jnp.ones(2), "b": jnp.ones(2)})}

    def inner(state):
        (peak,) = (float(node.peak) for node, is_live in schedules_in(state).values() if not is_live)
        return peak

    with Checkpoints(tmp_path, schedule=LR) as checkpoints:
        checkpoints.save(1, make(AGAIN)())
    assert checkpoints.schedule_at() == LR
    other = make(AGAIN.replace(peak=9e-4))
    for choice in ("error", "override"):
        with pytest.raises(ValueError, match=r"has a schedule at .*, Linear.*Give a template with numbers"):
            checkpoints.restore(jax.eval_shape(other), on_mismatch=choice)
    kept = checkpoints.restore(jax.eval_shape(other), on_mismatch="keep")
    assert kept.schedule == LR and inner(kept.state) == inner(make(AGAIN)()) == np.float32(2e-4)
    assert_same(checkpoints.restore(make(AGAIN)()).state, make(AGAIN)())
    with pytest.raises(ValueError, match=r"peak is 0\.0002 there and 0\.0009 here"):
        checkpoints.restore(other())
    assert inner(checkpoints.restore(other(), on_mismatch="override").state) == inner(other())


def test_rewarming_and_factors_without_their_own_schedule(tmp_path):
    for name, tx in (("a", olrs.scale_by_rewarming_schedule(LR)), ("b", factored(0.5))):
        init = lambda: tx.init({"w": jnp.ones(2), "b": jnp.ones(2)})  # noqa: B023, E731
        with Checkpoints(tmp_path / name, schedule=LR) as checkpoints:
            checkpoints.save(1, init())
        assert_same(checkpoints.restore(jax.eval_shape(init)).state, init())
        assert checkpoints.schedule_at() == LR


def test_several_live_schedules_are_not_made_one(tmp_path):
    def init(*schedules):
        rates = {str(i): olrs.scale_by_live_schedule(schedule) for i, schedule in enumerate(schedules)}
        tx = optax.partition(rates, {"a": "0", "b": "1"})
        return lambda: tx.init({"a": jnp.ones(2), "b": jnp.ones(3)})

    two, same = init(LR, OTHER_RATE), init(LR, LR)
    for name, state in (("two", two()), ("same", same())):
        with Checkpoints(tmp_path / name, schedule=LR) as checkpoints:
            checkpoints.save(1, state)
    for schedule, choice in ((LR, "error"), (LR, "override"), (None, "error"), (None, "override")):
        with pytest.raises(ValueError, match=r"only the shapes of 2 live schedules .* give a template with numbers"):
            Checkpoints(tmp_path / "two", schedule=schedule).restore(jax.eval_shape(two), on_mismatch=choice)
    unsaid = Checkpoints(tmp_path / "two")
    assert unsaid.schedule_at() is None
    assert_same(unsaid.restore(two()).state, two())
    assert_same(unsaid.restore(jax.eval_shape(two), on_mismatch="keep").state, two())
    assert_same(unsaid.restore(init(LR, AGAIN)(), on_mismatch="override").state, init(LR, AGAIN)())
    found = Checkpoints(tmp_path / "same", schedule=LR).restore(jax.eval_shape(same))
    assert found.schedule == LR and Checkpoints(tmp_path / "same").schedule_at() == LR
    with ocp.CheckpointManager(tmp_path / "orbax") as manager:
        manager.save(1, args=ocp.args.StandardSave(two()))
    with pytest.raises(ValueError, match="only the shapes of 2 live schedules"):
        Checkpoints(tmp_path / "orbax", schedule=LR).restore(jax.eval_shape(two), on_mismatch="override")


@pytest.mark.slow
def test_the_state_of_an_nnx_optimizer(tmp_path):
    """nnx.split drops the types: rates are found by name, and counts are in the graph."""
    from flax import nnx

    def make(schedule):
        model = nnx.Linear(4, 4, rngs=nnx.Rngs(0))
        return model, nnx.Optimizer(model, live(schedule), wrt=nnx.Param)

    def restored(schedule, **options):
        graph, shapes = nnx.split(nnx.eval_shape(lambda: make(schedule)))
        found = Checkpoints(tmp_path, schedule=schedule).restore(shapes, **options)
        return found.schedule, nnx.merge(graph, found.state)[1].opt_state[1].schedule

    with Checkpoints(tmp_path, schedule=LR) as checkpoints:
        state = nnx.split(make(OTHER_RATE))[1]  # a controller has changed the rate meanwhile
        checkpoints.save(1, state)
    assert checkpoints.schedule_at() == OTHER_RATE
    with pytest.raises(ValueError, match=r"peak is 0\.0002 there and 0\.0003 here"):
        restored(LR)
    for schedule, inside in (restored(OTHER_RATE), restored(LR, on_mismatch="keep")):
        assert schedule == OTHER_RATE and np.float32(inside.peak) == np.float32(2e-4)
    schedule, inside = restored(OTHER_STEPS, on_mismatch="override")
    assert schedule == OTHER_STEPS and np.float32(inside.peak) == np.float32(3e-4) and inside.total_steps == 200
    with pytest.raises(ValueError, match=r"build the optimizer with checkpoints\.schedule_at"):
        restored(OTHER_STEPS, on_mismatch="keep")
    with pytest.raises(ValueError, match="say which schedule this program runs"):
        Checkpoints(tmp_path).restore(state)
    with pytest.raises(ValueError, match="the live schedule in this state has the rates end, peak"):
        Checkpoints(tmp_path, schedule=olrs.Constant(value=0.1)).save(2, state)


def test_a_schedule_that_was_never_named(tmp_path):
    tx = optax.adamw(LR)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, trained(tx))
    assert Checkpoints(tmp_path).restore(shapes(tx)).schedule is None
    asked = Checkpoints(tmp_path, schedule=LR)
    for choice in ("error", "keep"):
        with pytest.raises(ValueError, match="does not say its schedule"):
            asked.restore(shapes(tx), on_mismatch=choice)
    assert asked.restore(shapes(tx), on_mismatch="override").schedule == LR


def test_notes_are_ignored_and_digits_are_not(tmp_path):
    noted = olrs.Tabulated(lrs=[0.1, 0.2])
    tx = optax.adamw(noted)
    with Checkpoints(tmp_path, schedule=noted) as checkpoints:
        checkpoints.save(1, trained(tx))
    assert Checkpoints(tmp_path, schedule=noted).restore(shapes(tx)).schedule == noted
    with pytest.raises(ValueError, match=r"lrs\[1\] is 0\.2 there and 0\.2000000\d+ here"):
        Checkpoints(tmp_path, schedule=olrs.Tabulated(lrs=[0.1, 0.20000001])).restore(shapes(tx))


def test_an_error_about_a_table_is_short(tmp_path):
    table = olrs.Tabulated(lrs=np.linspace(1, 0.5, 900))
    with Checkpoints(tmp_path, schedule=table) as checkpoints:
        checkpoints.save(1, {"w": jnp.ones(2)})
    with pytest.raises(ValueError, match="type is 'Tabulated' there and 'WSD' here") as caught:
        Checkpoints(tmp_path, schedule=LR).restore({"w": jnp.ones(2)})
    assert len(str(caught.value)) < 1000


def test_a_schedule_class_that_is_not_imported(folder):
    path = folder("plain")
    forge(path / "20", lambda about: about["schedule"].update(type="Sawtooth"))
    checkpoints = Checkpoints(path, schedule=LR)
    with pytest.raises(ValueError, match="type is 'Sawtooth' there and 'WSD' here"):
        checkpoints.restore(shapes(optax.adamw(LR)))
    with pytest.raises(ValueError, match="import its module"):
        checkpoints.restore(shapes(optax.adamw(LR)), on_mismatch="keep")
    assert checkpoints.restore(shapes(optax.adamw(LR)), on_mismatch="override").schedule == LR
    assert Checkpoints(path).restore(shapes(optax.adamw(LR))).schedule is None


def test_a_checkpoint_of_orbax_alone(tmp_path):
    state = trained(live(LR))
    with ocp.CheckpointManager(tmp_path) as manager:
        manager.save(3, args=ocp.args.StandardSave(state))
    checkpoints, tx = Checkpoints(tmp_path, schedule=OTHER_RATE), live(OTHER_RATE)
    with pytest.raises(ValueError, match="does not say which schedule its arrays at opt_state/1/schedule belong to"):
        checkpoints.restore(shapes(tx))
    kept = checkpoints.restore(shapes(tx), on_mismatch="keep")
    assert_same(kept.state, state)
    assert kept.schedule is None
    taken = checkpoints.restore(shapes(tx), on_mismatch="override")
    assert_same(taken.state["opt_state"], olrs.with_schedule(state["opt_state"], OTHER_RATE))
    with pytest.raises(CheckpointError, match=r"params/w \(\[32, 16\] there, \[32, 8\] here\)"):
        checkpoints.restore(shapes(tx, width=8), on_mismatch="keep")
