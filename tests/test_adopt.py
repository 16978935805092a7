"""A checkpoint continued by another optimizer: what it takes, what it keeps, and what it refuses."""

import functools

import adoption_cases as cases
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from adoption_cases import CASES, STEPS, S, grads, params, train
from flax import nnx
from flax.training.train_state import TrainState
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from optax_lrs import checkpoint
from optax_lrs.checkpoint import adopt, adoption, migrate, reset_schedule, step_of


def assert_identical(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for (key, x), y in zip(jax.tree_util.tree_flatten_with_path(a)[0], jax.tree.leaves(b)):
        where = jax.tree_util.keystr(key)
        assert (np.shape(x), x.dtype) == (np.shape(y), y.dtype), where
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y), err_msg=where)


def saved(tree, path):
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(path, tree)
        checkpointer.wait_until_finished()
    return path


def restored(path, template=None):
    with ocp.StandardCheckpointer() as checkpointer:
        return checkpointer.restore(path, template)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Every case's old optimizer after STEPS updates, from one checkpoint: with its types, and without."""
    olds = list(dict.fromkeys(case.old for case in CASES))
    trained = [train(old(), params(), old().init(params()), 0, STEPS) for old in olds]
    path = saved([state for _, state in trained], tmp_path_factory.mktemp("runs") / "all")
    typed, raw = restored(path, jax.eval_shape(lambda: [old().init(params()) for old in olds])), restored(path)
    found = {old: (p, a, b) for old, (p, _), a, b in zip(olds, trained, typed, raw)}
    return {case.name: found[case.old] for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_old_to_new(case, runs):
    p, old, raw = runs[case.name]
    tx = case.new()
    fresh = tx.init(p)
    expected = case.expected(fresh, old)
    assert_identical(adopt(fresh, old, **case.options), expected)
    assert_identical(migrate(raw, tx, p, **case.options), expected)


@pytest.mark.parametrize("case", [case for case in CASES if case.same], ids=str)
def test_a_change_that_is_none_changes_no_bit(case, runs):
    p, old, _ = runs[case.name]
    tx = case.new()
    changed, _ = train(tx, p, adopt(tx.init(p), old, **case.options), STEPS, 2)
    unchanged, _ = train(case.old(), p, old, STEPS, 2)
    if "inject" not in case.name:
        return assert_identical(changed, unchanged)
    for a, b in zip(jax.tree.leaves(changed), jax.tree.leaves(unchanged)):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6 * np.abs(b).max())
