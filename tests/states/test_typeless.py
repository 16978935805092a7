"""States that have lost their types: every state in every form in which it is saved or split.

The product: each exported transform's states, and those of Optax's wrappers, in seven forms,
through every function that reads a state, replaces its schedule or step, or continues it. In each
form the result is that of the object itself. Where a combination has no meaning, such as the rate
of a state without one, the expected error is checked.
"""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from flax import nnx, serialization

import optax_lrs as olrs
from matrices import transform_cases
from matrices.transform_rules import Case, params
from optax_lrs._states.found import nodes_in, states_in
from optax_lrs.adoption import adopt, migrate, reset_schedule, step_of

STEP = 2  # of every count, in every state here
LR = olrs.WSD(peak=0.1, total_steps=20, warmup_steps=3, decay_steps=10)


def adam_live():
    return optax.chain(optax.scale_by_adam(), olrs.scale_by_live_schedule(LR))


def by_rank(params):
    return jax.tree.map(lambda p: "matrices" if p.ndim > 1 else "vectors", params)


def multi_steps(tx):
    return optax.MultiSteps(tx, 2).gradient_transformation()


def everything():
    return optax.chain(
        olrs.record_grad_norm(steps=3),
        optax.clip_by_global_norm(1.0),
        olrs.partition_by_path(
            frozen=(".*/bias", None), muon=(".*", olrs.with_hyperparams(optax.contrib.muon, learning_rate=LR, beta=0.9))
        ),
        olrs.average_params(alpha=0.5),
    )


WRAPPERS = [
    Case("partition", lambda: optax.partition({"matrices": adam_live(), "vectors": optax.adamw(LR)}, by_rank)),
    Case("frozen group", lambda: optax.partition({"matrices": adam_live(), "vectors": optax.set_to_zero()}, by_rank)),
    Case("masked", lambda: optax.masked(adam_live(), transform_cases.matrices_only)),
    Case("muon", lambda: optax.contrib.muon(LR)),
    Case("inject_hyperparams", lambda: optax.inject_hyperparams(optax.adamw)(learning_rate=LR)),
    Case("MultiSteps", lambda: multi_steps(adam_live())),
    Case("apply_if_finite", lambda: optax.apply_if_finite(adam_live(), 2)),
    Case("named_chain", lambda: optax.named_chain(("trace", optax.trace(0.9)), ("rate", adam_live()))),
    Case("nothing", lambda: optax.sgd(0.1)),
    Case("everything", everything),
]
CASES = {**transform_cases.cases(), **{f"optax: {case}": case for case in WRAPPERS}}
QUICK = transform_cases.quick() | {f"optax: {case}" for case in WRAPPERS}


# ── the forms ─────────────────────────────────────────────────────────────────────────────────


class Model(nnx.Module):
    """Has the parameters of the matrices' cases."""

    def __init__(self):
        self.layer = nnx.Dict(**{name: nnx.Param(value) for name, value in params()["layer"].items()})


def trained(key, leaf):
    """A leaf as after some updates: counts are STEP, and no number is the fresh state's."""
    if leaf.dtype == bool or "store" in jax.tree_util.keystr(key):  # a record has its own rules
        return leaf
    return jnp.asarray(np.full(leaf.shape, STEP, leaf.dtype) if leaf.dtype.kind in "iu" else np.asarray(leaf) + 0.25)


@functools.cache
def objects(key):
    """The optimizer, its fresh state, the state of a run, and the nnx.Optimizer of that run."""
    tx = optax.with_extra_args_support(CASES[key].make())
    fresh = tx.init(params())
    optimizer = nnx.Optimizer(Model(), tx, wrt=nnx.Param)
    nnx.update(optimizer, jax.tree_util.tree_map_with_path(trained, nnx.state(optimizer)))
    return tx, fresh, jax.tree_util.tree_map_with_path(trained, fresh), optimizer


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Every state, and every nnx.state, as Orbax restores it without a template."""
    path = tmp_path_factory.mktemp("typeless") / "all"
    trees = {key: {"object": objects(key)[2], "nnx": nnx.state(objects(key)[3])} for key in CASES}
    numbered = {str(i): tree for i, tree in enumerate(trees.values())}
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(path, numbered)
        checkpointer.wait_until_finished()
        restored = checkpointer.restore(path)
    return {key: restored[str(i)] for i, key in enumerate(trees)}


def by_msgpack(tree):
    return serialization.msgpack_restore(serialization.to_bytes(tree))


FORMS = {
    "object": lambda key, checkpoint: objects(key)[2],
    "nnx.Optimizer": lambda key, checkpoint: objects(key)[3],
    "nnx.state": lambda key, checkpoint: nnx.state(objects(key)[3]),
    "pure dict": lambda key, checkpoint: nnx.to_pure_dict(nnx.state(objects(key)[3])),
    "raw Orbax": lambda key, checkpoint: checkpoint[key]["object"],
    "raw Orbax of nnx.state": lambda key, checkpoint: checkpoint[key]["nnx"],
    "msgpack": lambda key, checkpoint: by_msgpack(objects(key)[2]),
}
OF_NNX = ("nnx.Optimizer", "nnx.state", "pure dict", "raw Orbax of nnx.state")
BOXED = ("nnx.Optimizer", "nnx.state", "raw Orbax of nnx.state")


def leaves(tree, boxed=False):
    """The arrays of an optimizer state by path, in whatever form it is."""
    tree = tree.opt_state if isinstance(tree, nnx.Optimizer) else tree
    found = {}
    for key, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        path = jax.tree_util.keystr(key, simple=True, separator="/").removeprefix("opt_state/")
        path = path.removesuffix("/value") if boxed else path
        if path != "step":
            found[path] = np.asarray(leaf)
    return found


def assert_same(found, expected, where):
    assert found.keys() == expected.keys(), where
    for path, leaf in expected.items():
        assert found[path].dtype == leaf.dtype, (where, path)
        np.testing.assert_array_equal(found[path], leaf, err_msg=f"{where} {path}")


# ── what each function does in each form ──────────────────────────────────────────────────────

STATELESS = (
    r"record_grad_norm: (binned|exact).*|scale_by_greedy: (min|max|no).*|scale_by_plateau.*|scale_by_weight_norm.*"
    r"|optax: nothing"
)
NO_RATE = rf"{STATELESS}|average_params.*|decay_to_init.*|decay_weights: (alone|masked)|project_weights.*|record_.*"
WITHOUT_MEANING = {  # the cases in which a function has nothing to do, and the error
    "step_of": (STATELESS, "nothing in this state counts updates"),
    "reset_schedule": (
        rf"{STATELESS}|average_params.*|record_grad_norm.*|with_refinement.*",
        "no schedule in this state reads a count|in step with its schedule",
    ),
    "with_schedule": (rf"{NO_RATE}|optax: (muon|inject_hyperparams)", "with_schedule: no"),
    "learning_rates": (rf"{NO_RATE}|partition_by_path: two.*|optax: (partition|muon)", "holds no rate"),
    "read_average": (r"(?!average_params|optax: everything).*", "holds no average"),
    "Run.from_state": (r"(?!record_grad_norm|with_refinement|optax: everything).*", "no recorder"),
}


def another_schedule(state):
    """A live schedule of the state with other numbers, and its path."""
    (found, *_) = (each for each in states_in(state) if each.roles and each.roles.live_schedules)
    name = found.roles.live_schedules[0]
    ((_, schedule), *_) = nodes_in([value for _, value in found.values("live_schedules")], olrs_schedule)
    return jax.tree.map(lambda leaf: leaf + 1, schedule), "/".join(filter(None, (found.path, name)))


def olrs_schedule(node):
    return isinstance(node, olrs.Schedule)


def rates(tree):
    return {path: float(rate) for path, rate in olrs.learning_rates(tree).items()}


def averages(tree):
    return leaves(olrs.read_average(tree, params()))


def record(tree):
    run = olrs.Run.from_state(tree, group=None)
    return {"steps": run.steps, "norms": run.grad_norms}


def replaced(tree, state):
    schedule, path = another_schedule(state)
    return olrs.with_schedule(tree, schedule, path=path)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("key", [pytest.param(key, marks=[] if key in QUICK else pytest.mark.slow) for key in CASES])
def test_every_function(key, form, checkpoint):
    if key == "optax: named_chain" and form == "msgpack":
        with pytest.raises(TypeError, match="OrderedDict"):  # flax cannot save what optax.named_chain returns
            FORMS[form](key, checkpoint)
        return
    tx, fresh, state, _ = objects(key)
    tree, boxed = FORMS[form](key, checkpoint), form in BOXED
    whole = tree.opt_state if form == "nnx.Optimizer" else tree

    def has_meaning(function, call):
        cases, message = WITHOUT_MEANING[function]
        counted = function == "step_of" and form in OF_NNX  # an nnx.Optimizer counts its updates itself
        if not re.fullmatch(cases, key) or counted:
            return True
        with pytest.raises(ValueError, match=message):
            call()
        return False

    def same_as_object(function, call):
        """The result for the tree is that for the object; both are computed."""
        if has_meaning(function, lambda: call(tree)):
            jax.tree.map(np.testing.assert_array_equal, call(tree), call(state))

    if has_meaning("step_of", lambda: step_of(tree)):
        assert step_of(tree) == STEP
    if has_meaning("reset_schedule", lambda: reset_schedule(tree, step=7)):
        reset = reset_schedule(tree, step=7)
        assert type(reset) is type(tree) and jax.tree.structure(reset) == jax.tree.structure(tree)
        assert_same(leaves(reset, boxed), leaves(reset_schedule(state, step=7)), "reset_schedule")
    if has_meaning("with_schedule", lambda: olrs.with_schedule(whole, LR)):
        new = replaced(whole, state)
        assert type(new) is type(whole) and jax.tree.structure(new) == jax.tree.structure(whole)
        assert_same(leaves(new, boxed), leaves(replaced(state, state)), "with_schedule")
    same_as_object("learning_rates", rates)
    same_as_object("read_average", averages)
    same_as_object("Run.from_state", record)

    adopted = adopt(fresh, state)
    for name, found in {
        "adopt": adopt(fresh, tree),
        "migrate": migrate(tree, tx, params()),
    }.items():
        assert jax.tree.structure(found) == jax.tree.structure(fresh)
        assert_same(leaves(found), leaves(adopted), name)
    taken, mine, theirs = leaves(adopted), leaves(fresh), leaves(state)
    for path, leaf in taken.items():  # everything is the old state's, but what the new optimizer is built with
        setting = re.fullmatch(r"(.*/)?(schedules?|again|factors|hyperparams)(/.*)?", path)
        np.testing.assert_array_equal(leaf, (mine if setting and "refine" not in key else theirs)[path], err_msg=path)


# ── one state of a tree without its type, and other mistakes ──────────────────────────────────


def test_types_are_a_property_of_each_state():
    _, fresh, state, _ = objects("scale_by_live_schedule: adamw")
    raw = by_msgpack(state)
    for mixed in [
        (*state[:2], raw["2"]),
        [raw["0"], raw["1"], state[2]],
        {"0": raw["0"], "1": state[1], "2": raw["2"]},
    ]:
        assert step_of(mixed) == STEP and rates(mixed) == rates(state)
        assert_same(leaves(adopt(fresh, mixed)), leaves(adopt(fresh, state)), "adopt")
        assert_same(leaves(replaced(mixed, state)), leaves(replaced(state, state)), "with_schedule")


@pytest.mark.parametrize("key", ["optax: masked", "optax: everything"])
def test_a_fresh_state_without_types(key):
    tx, _, _, optimizer = objects(key)
    fresh = nnx.state(nnx.Optimizer(Model(), tx, wrt=nnx.Param))
    for tree in (optimizer, nnx.state(optimizer)):
        adopted = adopt(fresh, tree)
        assert jax.tree.structure(adopted) == jax.tree.structure(fresh)
        typed = adopt(nnx.Optimizer(Model(), tx, wrt=nnx.Param), tree)
        assert_same(leaves(adopted, boxed=True), leaves(typed, boxed=True), "adopt")


def test_a_replaced_schedule_of_an_nnx_state_reaches_the_optimizer():
    _, _, _, optimizer = objects("optax: everything")
    new = olrs.with_schedule(nnx.state(optimizer), LR.replace(peak=0.7), path="muon/learning_rate")
    nnx.update(optimizer, new)
    held = optimizer.opt_state[2].inner_states["muon"].inner_state.schedules["learning_rate"]
    assert float(held.peak[...]) == np.float32(0.7) and held.decay_steps == LR.decay_steps
    objects.cache_clear()


def test_a_schedule_of_another_class_does_not_fit_into_numbers():
    raw = by_msgpack(objects("scale_by_live_schedule: adamw")[2])
    with pytest.raises(ValueError, match=r"keeps only the numbers decay/p, end, peak, which are not those of Constant"):
        olrs.with_schedule(raw, olrs.Constant(value=0.1))


def test_the_labels_of_a_named_chain_are_not_fields():
    """A label that is the field of a state, in a tree that has its types."""
    tx = optax.named_chain(("count", adam_live()), ("mu", optax.trace(0.9)), ("nu", optax.scale_by_rms()))
    assert rates(tx.init(params())) == {"learning_rate": 0.0}
    assert step_of(tx.init(params())) == 0
