"""Averages during training: each kind against float64, nan, wrappers, shards and cost."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import optax_lrs as olrs
from optax_lrs import profiles

STEPS = 23


def path(dtype=jnp.float32, steps=STEPS):
    """Parameters by step, shape [steps + 1, 3]."""
    walk = np.cumsum(np.random.default_rng(0).normal(size=(steps + 1, 3)), axis=0)
    return jnp.asarray(walk, dtype)


def along(points, *kinds, **all_of_them):
    """Returns the averages of each kind by update, from one chain and scan, and the last states.

    The updates are zeros: what there is to average is what the parameters already are.
    """
    tx = optax.chain(*(olrs.average_params(**kind | all_of_them) for kind in kinds))

    def step(state, point):
        params = {"w": point}
        _, state = tx.update({"w": jnp.zeros_like(point)}, state, params)
        return state, [olrs.read_average(each, {"w": point.astype(jnp.float32)})["w"] for each in state]

    first = tx.init({"w": points[0]})
    states, averages = jax.jit(lambda points: jax.lax.scan(step, first, points))(points[1:])
    return [np.asarray(each, np.float64) for each in averages], states


def samples(every, start, until):
    return range(start, until + 1, every)


def mean_of(points):
    return np.mean(points, axis=0)


def ema_of(points, alpha):
    average = points[0]
    for point in points[1:]:
        average = average + alpha * (point - average)
    return average


def merge_of(points, weights):
    used = np.asarray(weights)[: len(points)]
    return used @ points[: len(used)] / used.sum()


MERGE = olrs.merge_weights(4, decay=profiles.one_minus_sqrt)
KINDS = {
    "all": ({}, mean_of),
    "alpha": (dict(alpha=0.3), lambda points: ema_of(points, 0.3)),
    "restart": (dict(restart=3), lambda points: mean_of(points[(len(points) - 1) // 3 * 3 :])),
    "weights": (dict(weights=MERGE), lambda points: merge_of(points, MERGE)),
    "latest": (dict(latest=3), lambda points: mean_of(points[-3:])),
}


@pytest.mark.parametrize(("every", "start"), [(1, None), (3, 5)])
def test_as_in_float64(every, start):
    points = path()
    averages, states = along(points, *(kwargs for kwargs, _ in KINDS.values()), every_steps=every, start=start)
    points = np.asarray(points, np.float64)
    for (kind, (_, expected)), found, state in zip(KINDS.items(), averages, states):
        for done in range(1, STEPS + 1):
            taken = list(samples(every, start or every, done))[: len(MERGE) if kind == "weights" else None]
            wanted = expected(points[taken]) if taken else points[done]
            np.testing.assert_allclose(
                found[done - 1], wanted, rtol=0, atol=3e-7 * np.abs(points).max() if taken else 0
            )
        assert (state.count, state.samples, state.skipped) == (STEPS, len(taken), 0)


def test_the_updates_pass_and_what_they_lead_to_is_averaged():
    params, updates = {"w": jnp.array([1.0, 2.0], jnp.bfloat16)}, {"w": jnp.array([0.01, 2.0], jnp.bfloat16)}
    tx = olrs.average_params()
    passed, state = tx.update(updates, tx.init(params), params)
    assert passed is updates
    np.testing.assert_array_equal(state.average["w"], optax.apply_updates(params, updates)["w"].astype(jnp.float32))


def test_merged_within_the_training_as_from_checkpoints(tmp_path):
    import orbax.checkpoint as ocp

    weights = olrs.merge_weights(5, decay=profiles.cosine)
    points = path()
    averages, _ = along(points, dict(every_steps=4, start=6, weights=weights))
    with ocp.CheckpointManager(tmp_path) as manager:
        for step in samples(4, 6, STEPS):
            manager.save(step, args=ocp.args.StandardSave({"params": {"w": points[step]}}))
    found = olrs.checkpoint.average(tmp_path, {"w": points[0]}, weights=weights)["w"]
    np.testing.assert_allclose(averages[0][-1], found, rtol=0, atol=2e-7 * np.abs(points).max())


def test_leading_weights_of_zero_follow_the_parameters():
    points = path()
    (found,), (state,) = along(points, dict(weights=[0, 0, 0.25, 0.75]))
    np.testing.assert_allclose(found[1], points[2], rtol=1e-6)
    np.testing.assert_allclose(found[-1], 0.25 * points[3] + 0.75 * points[4], rtol=0, atol=1e-6)
    assert state.mass == 1


def test_bfloat16_is_averaged_in_float32_and_equal_parameters_are_a_fixed_point():
    """Parameters of 256 and 258, where a bfloat16 average gets stuck, and one of 1/3."""
    points = np.where(np.arange(STEPS + 1)[:, None] % 3 > 0, 258, 256) * np.ones((1, 2))
    points[:, 1] = jnp.bfloat16(1 / 3)
    averages, states = along(jnp.asarray(points, jnp.bfloat16), *(kwargs for kwargs, _ in KINDS.values()))
    for (kind, (_, expected)), found, state in zip(KINDS.items(), averages, states):
        taken = points[1 : 1 + len(MERGE)] if kind == "weights" else points[1:]
        np.testing.assert_allclose(found[-1], expected(taken), rtol=3e-7)
        if kind != "latest":  # which is a sum and a division
            np.testing.assert_array_equal(found[:, 1], points[1:, 1])
        assert olrs.read_average(state, {"w": jnp.zeros(2, jnp.bfloat16)})["w"].dtype == jnp.bfloat16


# ── trouble ───────────────────────────────────────────────────────────────────────────────────


def test_parameters_that_are_not_finite_are_left_out():
    points = np.array(path())
    points[2, 1], points[6, 0] = np.nan, -np.inf  # one number of three, after the second and the sixth update
    averages, states = along(jnp.asarray(points), *(kwargs for kwargs, _ in KINDS.values()))
    good = points[[n for n in range(1, STEPS + 1) if n not in (2, 6)]].astype(np.float64)
    for (kind, (_, expected)), found, state in zip(KINDS.items(), averages, states):
        if kind == "weights":
            wanted = MERGE[[0, 2, 3]] @ points[[1, 3, 4]] / MERGE[[0, 2, 3]].sum()
        else:
            wanted = expected(good)
        np.testing.assert_allclose(found[-1], wanted, rtol=0, atol=3e-7 * np.abs(good).max())
        assert np.all(np.isfinite(found))
        assert (state.samples, state.skipped) == ((3, 1) if kind == "weights" else (STEPS - 2, 2))


@pytest.mark.parametrize("bad", [None, 59])
def test_a_window_that_is_entered_late_goes_on_with_the_weights_of_its_own_places(bad):
    """Samples at 50, 53, …, 65. The state begins after 54 updates: positions 2 to 5 are left."""
    weights = olrs.merge_weights(6, decay=profiles.one_minus_sqrt)
    points = np.array(path(steps=20))  # after 54, 55, … updates
    if bad:
        points[bad - 54] = np.nan
    tx = olrs.average_params(weights=weights, start=50, every_steps=3)
    state = tx.init({"w": jnp.zeros(3)})._replace(count=jnp.int32(54))
    step = jax.jit(tx.update)
    for point in points[1:]:
        _, state = step({"w": jnp.zeros(3)}, state, {"w": jnp.asarray(point)})
    places = np.array([n for n in range(2, 6) if 50 + 3 * n != bad])
    expected = weights[places] @ points[50 + 3 * places - 54].astype(np.float64) / weights[places].sum()
    found = olrs.read_average(state, {"w": jnp.zeros(3)})["w"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=3e-7 * np.nanmax(np.abs(points)))
    assert (state.samples, state.skipped) == (len(places), 4 - len(places))


def test_a_window_that_is_over_gives_the_parameters():
    tx = olrs.average_params(weights=[0.5, 0.5])
    old = optax.adam(0.1).init({"w": jnp.zeros(2)})
    adopted = olrs.adopt(tx.init({"w": jnp.zeros(2)}), (old[0]._replace(count=jnp.int32(50)), *old[1:]))
    now = {"w": jnp.array([3.0, 4.0])}
    _, state = jax.jit(tx.update)({"w": jnp.zeros(2)}, adopted, now)
    assert (state.count, state.samples) == (51, 0)
    np.testing.assert_array_equal(olrs.read_average(state, now)["w"], now["w"])


def test_before_the_first_good_sample_it_is_the_parameters():
    tx = olrs.average_params()
    now = {"w": jnp.array([jnp.nan, 1.0])}
    _, state = tx.update({"w": jnp.zeros(2)}, tx.init(now), now)
    np.testing.assert_array_equal(olrs.read_average(state, {"w": jnp.array([3.0, 4.0])})["w"], [3.0, 4.0])


@pytest.mark.parametrize(
    ("kwargs", "error", "says"),
    [
        (dict(every_steps=0), ValueError, "every_steps must be at least 1"),
        (dict(every_steps=2.0), TypeError, "every_steps must be an int"),
        (dict(start=0), ValueError, "start must be at least 1"),
        (dict(alpha=0.0), ValueError, "alpha must be above 0 and at most 1, got 0.0"),
        (dict(alpha=1.5), ValueError, "alpha must be above 0 and at most 1"),
        (dict(alpha="a"), TypeError, "alpha must be a number"),
        (dict(restart=0), ValueError, "restart must be at least 1"),
        (dict(latest=0), ValueError, "latest must be at least 1"),
        (dict(weights=[-1.0, 2.0]), ValueError, "every entry of weights must be at least 0"),
        (dict(weights=[0.0]), ValueError, "weights must not all be zero"),
        (dict(weights=[np.inf]), ValueError, "weights must be one or more finite numbers in a row"),
        (dict(weights="linear"), TypeError, "weights must be an array of numbers"),
        (dict(alpha=0.1, latest=3), ValueError, "pass only one of alpha and latest: they are different averages"),
        (dict(specs="data"), TypeError, "specs must hold jax.sharding.PartitionSpecs"),
    ],
)
def test_mistakes(kwargs, error, says):
    with pytest.raises(error, match=says):
        olrs.average_params(**kwargs)


def test_mistakes_when_it_is_read():
    params = {"w": jnp.zeros(2)}
    tx = olrs.average_params()
    with pytest.raises(ValueError, match="average_params: update needs the parameters"):
        tx.update(params, tx.init(params))
    state = tx.init(params)
    with pytest.raises(ValueError, match="holds no average; put average_params last"):
        olrs.read_average(optax.adam(0.1).init(params), params)
    with pytest.raises(ValueError, match="holds two averages of 'w'"):
        olrs.read_average((state, state), params)
    with pytest.raises(ValueError, match="params has no 'w', of which the state holds an average"):
        olrs.read_average(state, {"v": jnp.zeros(2)})
    with pytest.raises(ValueError, match=r"the average of 'w' has shape \(2,\), the parameter \(3,\)"):
        olrs.read_average(state, {"w": jnp.zeros(3)})


# ── inside others ─────────────────────────────────────────────────────────────────────────────


def trained(tx, params, steps, grads=None):
    """SGD with constant gradients: the parameters, the state and the parameters of every step."""
    tx = optax.with_extra_args_support(tx)
    state, way = tx.init(params), []
    step = jax.jit(tx.update)
    for _ in range(steps):
        updates, state = step(jax.tree.map(jnp.ones_like, params) if grads is None else grads, state, params)
        params = optax.apply_updates(params, updates)
        way.append(params)
    return params, state, way


def test_masks_groups_integers_and_nothing():
    params = {"a": jnp.zeros(2), "b": jnp.ones(3), "n": jnp.arange(2), "none": None}
    both = {"a": jnp.ones(2), "b": jnp.ones(3), "n": jnp.zeros(2, jnp.int32), "none": None}
    sgd = optax.scale(-1.0)
    tx = optax.chain(sgd, optax.masked(olrs.average_params(), {"a": True, "b": False, "n": True, "none": None}))
    now, state, _ = trained(tx, params, 3, both)
    found = olrs.read_average(state, now)
    assert found["a"].tolist() == [-2, -2] and found["b"].tolist() == now["b"].tolist() == [-2, -2, -2]
    assert found["n"].tolist() == [0, 1] and found["none"] is None
    groups = {"fast": optax.chain(sgd, olrs.average_params(alpha=1.0)), "slow": optax.chain(sgd, olrs.average_params())}
    labels = {"a": "fast", "b": "slow", "n": "slow", "none": None}
    now, state, _ = trained(optax.partition(groups, labels), params, 3, both)
    found = olrs.read_average(state, now)
    assert found["a"].tolist() == now["a"].tolist() and found["b"].tolist() == [-1, -1, -1]


def test_inside_and_outside_multi_steps():
    params = {"w": jnp.zeros(2)}
    inside = optax.MultiSteps(optax.chain(optax.sgd(1.0), olrs.average_params()), every_k_schedule=3)
    now, state, way = trained(inside.gradient_transformation(), params, 6)
    np.testing.assert_array_equal(olrs.read_average(state, now)["w"], (way[2]["w"] + way[5]["w"]) / 2)
    outside = optax.chain(optax.MultiSteps(optax.sgd(1.0), 3).gradient_transformation(), olrs.average_params())
    now, state, way = trained(outside, params, 6)
    np.testing.assert_allclose(olrs.read_average(state, now)["w"], sum(p["w"] for p in way) / 6, rtol=1e-6)


def test_a_rejected_update_is_no_sample():
    params, bad = {"w": jnp.zeros(2)}, {"w": jnp.array([jnp.nan, 1.0])}
    tx = optax.apply_if_finite(optax.chain(optax.sgd(1.0), olrs.average_params()), 5)
    state = tx.init(params)
    for grads in (params, bad, params):
        _, state = tx.update(grads, state, params)
    assert (state.inner_state[1].count, state.inner_state[1].samples) == (2, 2)


def test_nnx():
    model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.chain(optax.sgd(1.0), olrs.average_params(latest=2)), wrt=nnx.Param)
    seen = []
    for _ in range(2):
        optimizer.update(model, jax.tree.map(jnp.ones_like, nnx.state(model, nnx.Param)))
        seen.append(jax.tree.map(jnp.copy, nnx.state(model, nnx.Param)))
    found = olrs.read_average(optimizer, nnx.state(model, nnx.Param))
    assert jax.tree.structure(found) == jax.tree.structure(seen[-1])
    for a, first, second in zip(*map(jax.tree.leaves, (found, *seen))):
        np.testing.assert_allclose(a, (first + second) / 2, rtol=1e-6, atol=1e-7)


def test_vmap_over_runs():
    tx = optax.chain(optax.scale(-1.0), olrs.average_params(every_steps=2, alpha=0.5))

    def run(start):
        params = {"w": jnp.full(2, start)}

        def step(carry, _):
            params, state = carry
            updates, state = tx.update({"w": jnp.ones(2)}, state, params)
            return (optax.apply_updates(params, updates), state), None

        (params, state), _ = jax.lax.scan(step, (params, tx.init(params)), length=4)
        return olrs.read_average(state, params)["w"]

    np.testing.assert_array_equal(jax.vmap(run)(jnp.array([0.0, 10.0])), [[-3, -3], [7, 7]])


# ── shards, and what it costs ─────────────────────────────────────────────────────────────────

SPECS = {"w": P("data", "model"), "b": P("model")}


def placed(mesh, dtype=jnp.float32):
    tree = {"w": jnp.ones((16, 8), dtype), "b": jnp.ones(8, dtype)}
    return jax.tree.map(lambda x, spec: jax.device_put(x, NamedSharding(mesh, spec)), tree, SPECS)


@pytest.mark.parametrize("latest", [None, 3])
def test_the_state_is_sharded_as_the_parameters(latest):
    """On an automatic mesh, where types show no shardings; the matrix has the explicit mesh."""
    mesh = jax.make_mesh((4, 2), ("data", "model"), axis_types=(AxisType.Auto,) * 2)
    with jax.set_mesh(mesh):
        params = placed(mesh, jnp.bfloat16)
        tx = olrs.average_params(every_steps=2, latest=latest)
        for state in (
            tx.init(params),
            jax.jit(tx.init)(params),
            jax.jit(tx.update)(params, tx.init(params), params)[1],
        ):
            stored = state.latest if latest else state.average
            for key, spec in SPECS.items():
                assert stored[key].sharding.spec == (P(None, *spec) if latest else spec)
                assert stored[key].dtype == (jnp.bfloat16 if latest else jnp.float32)
        found = jax.jit(olrs.read_average)(state, params)
        assert {key: leaf.sharding.spec for key, leaf in found.items()} == SPECS


@pytest.mark.parametrize("latest", [None, 2])
def test_steps_in_between_touch_nothing_and_all_is_in_place(latest):
    """The branch of steps that do not sample is empty: no copy, no fusion, no collective."""
    mesh = jax.make_mesh((4, 2), ("data", "model"), axis_types=(AxisType.Auto,) * 2)
    with jax.set_mesh(mesh):
        params = placed(mesh)
        texts, aliased = [], []
        for extra in ([], [olrs.average_params(every_steps=10, latest=latest)]):
            tx = optax.chain(optax.adamw(0.1), *extra)

            @functools.partial(jax.jit, donate_argnums=(0, 1))
            def step(params, state, grads, tx=tx):
                updates, state = tx.update(grads, state, params)
                return optax.apply_updates(params, updates), state

            state = tx.init(params)
            text = step.lower(params, state, params).compile().as_text()
            texts.append(text)
            aliased.append(len(re.findall(r"may-alias|must-alias", text.split("entry_computation_layout")[0])))
    assert aliased[1] == aliased[0] + len(jax.tree.leaves(extra[0].init(params)))
    assert not re.search(r"all-gather|all-to-all|reduce-scatter|collective-permute", texts[1])
    bodies = dict(re.findall(r"^%([\w.\-]+) \(.*?\{\n(.*?)^\}", texts[1], re.M | re.S))
    calls = re.findall(r" conditional\(.*", texts[1])
    assert calls
    for call in calls:  # of the inner one, where there is, too: of parameters that are not finite
        targets = re.search(r"branch_computations=\{(.*?)\}", call) or re.search(r"(true_computation.*)", call)
        names = [name for name in re.findall(r"%([\w.\-]+)", targets[1]) if name in bodies]
        idle = [set(re.findall(r"= \w+\[\d[\d,]*\]\S* ([\w\-]+)\(", bodies[name])) for name in names]
        assert len(names) == 2 and any(ops <= {"parameter", "get-tuple-element"} for ops in idle), idle


def test_devices_agree_in_shard_map():
    """A nan on one shard makes all parameters not finite."""
    mesh = jax.make_mesh((4, 2), ("data", "model"), axis_types=(AxisType.Auto,) * 2)
    params = placed(mesh)
    bad = params | {"w": params["w"].at[15, 7].set(jnp.nan)}
    tx = olrs.average_params(alpha=0.5, specs=SPECS)
    state = tx.init(params)
    like = olrs.transforms.AverageParamsState(P(), P(), P(), P(), SPECS, None)
    step = jax.jit(
        jax.shard_map(
            lambda s, p: tx.update(jax.tree.map(jnp.zeros_like, p), s, p)[1],
            mesh=mesh,
            in_specs=(like, SPECS),
            out_specs=like,
        )
    )
    for now in (params, bad, jax.tree.map(lambda p: 3 * p, params)):
        state = step(state, now)
    assert (state.samples, state.skipped) == (2, 1)
    for leaf in jax.tree.leaves(olrs.read_average(state, params)):
        np.testing.assert_array_equal(leaf, 2.0)
