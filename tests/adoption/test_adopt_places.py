"""Adopting states in TrainStates, nnx optimizers and dicts, on meshes and inside jit."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from flax import nnx, serialization
from flax.training.train_state import TrainState
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import optax_lrs as olrs
from matrices import adoption_cases as cases
from matrices.adoption_cases import S, assert_identical, params, restored, saved, train
from matrices.transform_rules import described
from optax_lrs.adoption import adopt, adopt_with_report, migrate, step_of

OLD = optax.adamw(0.1)


def new():
    return optax.chain(olrs.record_grad_norm(steps=8), cases.adam_live(S))


def after(steps=2):
    return train(OLD, params(), OLD.init(params()), 0, steps)


# ── TrainState and dicts ──────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.parametrize("raw", [False, True], ids=["types", "raw"])
def test_train_state(raw, tmp_path):
    """Parameters, step and moments are adopted; a projection measures the restored parameters."""
    module = nn.Dense(3)
    begin = lambda seed: module.init(jax.random.key(seed), jnp.ones((1, 4)))["params"]  # noqa: E731
    old = TrainState.create(apply_fn=module.apply, params=begin(0), tx=OLD)
    old = old.apply_gradients(grads=old.params)
    template = (
        None if raw else jax.eval_shape(lambda: TrainState.create(apply_fn=module.apply, params=begin(0), tx=OLD))
    )
    checkpoint = restored(saved(old, tmp_path / "state"), template)
    projection = olrs.project_weights("kernel")
    tx = optax.chain(optax.adamw(S), projection)
    fresh = TrainState.create(apply_fn=module.apply, params=begin(1), tx=tx)
    state = adopt(fresh, checkpoint)
    assert isinstance(state, TrainState) and state.tx is tx and int(state.step) == 1
    assert_identical(state.params, old.params)
    assert_identical(state.opt_state[0][0], old.opt_state[0])
    assert int(state.opt_state[0][2].count) == 1
    np.testing.assert_allclose(state.opt_state[1].radii, np.linalg.norm(old.params["kernel"]), rtol=1e-6)
    assert step_of(state) == 1 and step_of(checkpoint) == 1
    state = state.apply_gradients(grads=state.params)
    np.testing.assert_allclose(
        jnp.linalg.norm(state.params["kernel"]), jnp.linalg.norm(old.params["kernel"]), rtol=1e-6
    )


def test_a_train_state_gives_a_step_where_its_optimizer_counts_none():
    old = TrainState.create(apply_fn=None, params=params(), tx=optax.sgd(0.1)).replace(step=jnp.int32(9))
    fresh = TrainState.create(apply_fn=None, params=params(), tx=optax.sgd(S))
    assert int(adopt(fresh, old).opt_state[1].count) == 9
    assert int(adopt(fresh.opt_state, old)[1].count) == 9


def test_dicts_and_what_is_beside(tmp_path):
    p, state = after()
    with ocp.CheckpointManager(tmp_path / "runs") as manager:
        tree = {"params": p, "opt_state": state, "step": jnp.int32(3), "data": {"seed": jnp.int32(5)}}
        manager.save(3, args=ocp.args.StandardSave(tree))
        manager.wait_until_finished()
        raw = manager.restore(3, args=ocp.args.StandardRestore())
    tx = new()
    expected = adopt(tx.init(p), state)
    assert_identical(migrate(raw, tx, p), expected)  # the optimizer's state alone is looked at
    whole = adopt(
        {"params": params(), "opt_state": tx.init(params()), "step": jnp.int32(0), "data": {"seed": jnp.int32(0)}}, raw
    )
    assert_identical(whole, {**tree, "opt_state": expected})
    with pytest.raises(ValueError, match=r"params/head/kernel has shape \(2, 4\), the checkpoint's \(4, 4\)"):
        migrate(raw, tx, {"head": {"kernel": jnp.ones((2, 4))}, "layer": p["layer"]})
    with pytest.raises(TypeError, match="tx must be a gradient transformation"):
        migrate(raw, p, tx)


def test_a_state_dict_of_flax():
    """msgpack checkpoints: tuples have become dicts with keys "0", "1", …"""
    p, state = after()
    tree = serialization.msgpack_restore(serialization.to_bytes({"params": p, "opt_state": state}))
    assert_identical(migrate(tree, new(), p), adopt(new().init(p), state))
    chain = optax.chain(*[optax.identity()] * 9, optax.scale_by_adam(), optax.identity(), optax.scale_by_adam())
    two = train(chain, params(), chain.init(params()), 0, 2)[1]  # "9" and "11", which as text are the other way round
    assert_identical(migrate(serialization.to_state_dict(two), chain, p), two)
    shifted = optax.chain(optax.scale_by_adam(), optax.scale_by_adam())
    assert_identical(migrate(serialization.to_state_dict(two), shifted, p), (two[9], two[11]))

    named = optax.named_chain(("b", optax.scale_by_adam()), ("a", optax.scale_by_adam()))
    state = train(named, params(), named.init(params()), 0, 2)[1]
    in_order = {name: serialization.to_state_dict(state[name]) for name in "ab"}  # as Orbax gives it back
    assert_identical(migrate(in_order, named, p), state)


# ── flax.nnx ──────────────────────────────────────────────────────────────────────────────────


class Model(nnx.Module):
    def __init__(self):
        self.w = nnx.Param(jnp.linspace(-1.0, 1.0, 6).reshape(3, 2))
        self.b = nnx.Param(jnp.ones(2))


@nnx.jit
def nnx_step(model, optimizer):
    optimizer.update(model, nnx.grad(lambda m: jnp.sum(jnp.sin(m.w[...])) + jnp.sum(m.b[...] ** 2))(model))


def nnx_run(tx, model, optimizer=None, steps=3):
    optimizer = optimizer or nnx.Optimizer(model, tx, wrt=nnx.Param)
    for _ in range(steps):
        nnx_step(model, optimizer)
    return optimizer


@pytest.mark.slow
def test_nnx_optimizers(tmp_path):
    model, unchanged = Model(), Model()
    old = nnx_run(optax.adamw(S), model)
    nnx_run(optax.adamw(S), unchanged, steps=5)
    path = saved(nnx.state(old), tmp_path / "state")
    pure = saved(nnx.to_pure_dict(nnx.state(old)), tmp_path / "pure")
    template = jax.tree.map(
        ocp.utils.to_shape_dtype_struct, nnx.state(nnx.Optimizer(Model(), optax.adamw(S), wrt=nnx.Param))
    )
    ways = {
        "itself": old,
        "state": nnx.state(old),
        "typed": restored(path, template),
        "raw": restored(path),
        "pure": restored(pure),
    }
    fresh = lambda: nnx.Optimizer(model, new(), wrt=nnx.Param)  # noqa: E731
    optimizers = {name: adopt(fresh(), way) for name, way in ways.items()}
    assert all(type(optimizer) is nnx.Optimizer and int(optimizer.step[...]) == 3 for optimizer in optimizers.values())
    for name, optimizer in optimizers.items():
        assert_identical(nnx.state(optimizer), nnx.state(optimizers["itself"]))
        assert step_of(ways[name]) == step_of(optimizer) == 3
    adopted = optimizers["raw"]
    assert described(nnx.state(adopted)) == described(nnx.state(fresh()))
    assert int(adopted.opt_state[1][2].count[...]) == 3 and int(adopted.opt_state[1][0].count[...]) == 3
    into = adopt(nnx.state(fresh()), ways["raw"])  # the states of nnx.split, which have no types either
    assert isinstance(into, nnx.State)
    assert_identical(into, nnx.state(adopted))
    alone = adopt(fresh().opt_state, old.opt_state)
    assert_identical(alone, adopted.opt_state)
    plain = nnx_run(optax.sgd(0.1), Model(), steps=2)  # of which nnx.state has no opt_state at all
    assert int(adopt(fresh(), nnx.state(plain)).opt_state[1][2].count[...]) == 2
    nnx_run(None, model, adopted, steps=2)
    np.testing.assert_allclose(model.w[...], unchanged.w[...], rtol=1e-6)
    assert float(next(iter(olrs.learning_rates(adopted).values()))) == pytest.approx(S.at(4), rel=1e-6)


# ── meshes ────────────────────────────────────────────────────────────────────────────────────


def placed(mesh, tree):
    specs = {
        "layer": {"kernel": PartitionSpec("data", "model"), "bias": PartitionSpec("data")},
        "head": {"kernel": PartitionSpec(None, "data")},
    }
    return jax.tree.map(lambda x, spec: jax.device_put(x, NamedSharding(mesh, spec)), tree, specs)


def wide_new():
    return optax.chain(olrs.record_grad_norm(steps=8), cases.adam_live(S), olrs.project_weights(separate=0))


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "raw"), [(AxisType.Explicit, True), (AxisType.Auto, False)], ids=str)
def test_from_one_device_to_eight(kind, raw, tmp_path):
    p, state = train(OLD, params(), OLD.init(params()), 0, 3)
    checkpoint = restored(saved(state, tmp_path / "state"), None if raw else jax.eval_shape(OLD.init, p))
    alone = adopt(wide_new().init(p), checkpoint)
    expected, _ = jax.jit(wide_new().update)(p, alone, p)
    mesh = jax.make_mesh((4, 2), ("data", "model"), axis_types=(kind, kind))
    with jax.set_mesh(mesh):
        p8, tx = placed(mesh, p), wide_new()
        fresh = tx.init(p8)
        eight = adopt(fresh, checkpoint)
        assert described(eight) == described(fresh)
        assert jax.tree.map(lambda x: x.committed, eight) == jax.tree.map(lambda x: x.committed, fresh)
        for a, b in zip(jax.tree.leaves(eight), jax.tree.leaves(alone)):
            np.testing.assert_allclose(a, b, rtol=1e-6)
        step = jax.jit(lambda g, s, p: tx.update(g, s, p), donate_argnums=1)
        step(p8, tx.init(p8), p8)
        updates, later = step(p8, eight, p8)
        assert step._cache_size() == 1 and described(later) == described(tx.init(p8))
        for a, b in zip(jax.tree.leaves(updates), jax.tree.leaves(expected)):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-6 * np.abs(b).max())


def test_from_eight_devices_to_others():
    mesh = jax.make_mesh((4, 2), ("data", "model"), axis_types=(AxisType.Auto,) * 2)
    state = OLD.init(placed(mesh, params()))
    state = (state[0]._replace(mu=placed(mesh, params()), count=state[0].count + 5), *state[1:])
    other = jax.make_mesh((2, 4), ("data", "model"), axis_types=(AxisType.Auto,) * 2)
    tx = cases.adam_live(S)
    for p in (params(), placed(other, params()), jax.device_put(params(), jax.devices()[3])):
        fresh = tx.init(p)
        adopted = adopt(fresh, state)
        for a, b in zip(jax.tree.leaves(adopted), jax.tree.leaves(fresh)):
            assert a.sharding.is_equivalent_to(b.sharding, a.ndim)
        assert_identical(adopted[0].mu, params())
        assert step_of(adopted) == 5
        assert adopted[2].count.committed == fresh[2].count.committed
    committed = jax.device_put(OLD.init(params()), jax.devices()[0])
    assert not adopt(tx.init(params()), committed)[0].count.committed  # a scalar goes where the parameters will be


def test_adopted_arrays_can_be_donated():
    """No array is twice in a state, even where one count has gone to several."""
    p, state = train(optax.adamw(S), params(), optax.adamw(S).init(params()), 0, 2)
    p, state = jax.device_put((p, state), jax.devices()[1])  # committed, so that nothing need be copied to be there
    tx = cases.partition(lambda: optax.adamw(S))
    adopted = adopt(jax.device_put(tx.init(p), jax.devices()[1]), state)
    pointers = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(adopted)]
    assert len(set(pointers)) == len(pointers)
    step = jax.jit(lambda g, s, p: tx.update(g, s, p), donate_argnums=1)
    for _ in range(2):
        updates, adopted = step(p, adopted, p)
    jax.block_until_ready(updates)


def test_inside_jit():
    p, state = after()
    tx = optax.chain(cases.CLIP, optax.adamw(S))
    inside = jax.jit(lambda state: adopt(tx.init(p), state))(state)
    assert_identical(inside, adopt(tx.init(p), state))
    shapes = jax.eval_shape(lambda state: adopt(tx.init(p), state), state)
    assert [x.shape for x in jax.tree.leaves(shapes)] == [x.shape for x in jax.tree.leaves(inside)]
    with pytest.raises(ValueError, match=r"0/mu.* no place"):  # what may not be zero is not dropped either
        jax.jit(lambda state: adopt(optax.sgd(S).init(p), state))(OLD.init(p))


def test_a_fresh_state_of_shapes_alone():
    """Large models need no zeros next to the restored state, if the checkpoint has everything."""
    p, state = after()
    tx = optax.chain(cases.CLIP, optax.adamw(S))
    assert_identical(adopt(jax.eval_shape(tx.init, p), state), adopt(tx.init(p), state))
    with pytest.raises(ValueError, match=r"0/store/norms/l2 is not in the checkpoint, and fresh has no value"):
        adopt(jax.eval_shape(new().init, p), state)


# ── what a checkpoint does not have ────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("options", "sharded"),
    [({}, False), (dict(mode="deferred"), True), (dict(separate=0), True), (dict(separate=0, mode="deferred"), False)],
    ids=str,
)
def test_radii_are_those_of_the_restored_weights(options, sharded, tmp_path):
    """A projection that is new to a run keeps the norms that the weights have now."""
    p, state = train(OLD, params(), OLD.init(params()), 0, 3)
    saved({"params": p, "opt_state": state}, tmp_path / "state")
    mesh = jax.make_mesh((4, 2), ("data", "model"), axis_types=(AxisType.Auto,) * 2)
    place = functools.partial(placed, mesh) if sharded else lambda tree: tree
    template = jax.eval_shape(lambda: {"params": params(), "opt_state": OLD.init(params())})
    if sharded:
        template["params"] = jax.tree.map(ocp.utils.to_shape_dtype_struct, place(p))
    checkpoint = restored(tmp_path / "state", template)
    projection = olrs.project_weights("layer/kernel", **options)
    tx = optax.chain(optax.adamw(S), projection)
    q, opt_state = checkpoint["params"], adopt(jax.jit(tx.init)(checkpoint["params"]), checkpoint["opt_state"])
    axis = 1 if "separate" in options else None

    def norms(p):
        return np.atleast_1d(np.linalg.norm(np.asarray(p["layer"]["kernel"], np.float64), axis=axis))

    radii = norms(p)
    np.testing.assert_allclose(opt_state[1].radii, radii, rtol=1e-6)
    assert int(opt_state[1].count) == 3 and int(opt_state[0][2].count) == 3
    updates, opt_state = jax.jit(tx.update)(place(cases.grads(p, 3)), opt_state, q)
    q = jax.jit(optax.apply_updates)(q, updates)
    assert np.abs(norms(q) / radii - 1).max() < (1e-6 if "mode" not in options else 0.6)
    np.testing.assert_allclose(norms(jax.jit(projection.project)(q, opt_state)), radii, rtol=1e-6)


def test_radii_that_a_checkpoint_has_are_taken():
    tx = optax.chain(optax.adamw(S), olrs.project_weights("layer/kernel"))
    p, state = train(tx, params(), tx.init(params()), 0, 2)
    shrunk = jax.tree.map(lambda x: 0.5 * x, p)
    assert_identical(adopt(tx.init(shrunk), state), state)
    new_radii = adopt(tx.init(shrunk), state, drop="1/.*")[1].radii
    np.testing.assert_allclose(new_radii, 0.5 * state[1].radii, rtol=1e-6)
    rows = optax.chain(optax.adamw(S), olrs.project_weights("layer/kernel", separate=0))
    with pytest.raises(ValueError, match=r"1/radii has shape \(1,\), not \(4,\), for 1/radii"):
        adopt(rows.init(p), state)


OPTAX = [
    optax.adafactor,
    optax.adabelief,
    optax.adadelta,
    optax.adagrad,
    optax.adamax,
    optax.adan,
    optax.amsgrad,
    optax.lamb,
    optax.novograd,
    optax.radam,
    optax.rmsprop,
    optax.rprop,
    optax.sm3,
    optax.yogi,
    optax.contrib.ademamix,
    optax.contrib.dadapt_adamw,
    optax.contrib.momo_adam,
    optax.contrib.muon,
    optax.contrib.prodigy,
    optax.contrib.schedule_free_adamw,
    functools.partial(optax.lbfgs, linesearch=None),
    lambda rate: optax.contrib.mechanize(optax.sgd(rate)),
    lambda rate: optax.contrib.dog(),
]


@pytest.mark.parametrize("make", OPTAX, ids=lambda make: getattr(make, "__name__", "other"))
def test_states_of_optax(make):
    """Each goes whole into a chain with a clip and a recorder, with its types and without."""
    old = make(0.1)
    p, numbers = {"w": jnp.ones((2, 2))}, iter(range(1, 99))
    ones = jax.tree.map(lambda x: (x + next(numbers)).astype(x.dtype), old.init(p))
    tx = optax.chain(olrs.record_grad_norm(steps=3), cases.CLIP, old)
    adopted = adopt(tx.init(p), ones)
    assert_identical(adopted, (*tx.init(p)[:2], ones))
    assert_identical(migrate(serialization.to_state_dict(ones), tx, p), adopted)


def test_states_of_somebody_else():
    """A transform with a state that declares no roles, with its types and without."""
    from typing import NamedTuple

    class HistoryState(NamedTuple):
        seen: jax.Array
        inner_rest: optax.OptState

    def remembers(inner):
        def init(p):
            return HistoryState(jnp.zeros(3), inner.init(p))

        def update(u, state, p=None):
            u, inside = inner.update(u, state.inner_rest, p)
            return u, HistoryState(state.seen + 1, inside)

        return optax.GradientTransformation(init, update)

    tx = optax.chain(cases.CLIP, remembers(optax.adamw(S)))
    p, state = train(remembers(OLD), params(), remembers(OLD).init(params()), 0, 2)
    expected = HistoryState(
        state.seen, (state.inner_rest[0], optax.EmptyState(), optax.ScaleByScheduleState(jnp.int32(2)))
    )
    assert_identical(adopt(tx.init(p), state)[1], expected)
    assert_identical(migrate(serialization.to_state_dict(state), tx, p)[1], expected)
    with pytest.raises(ValueError, match=r"seen .*has no place"):
        adopt(optax.adamw(S).init(p), state)
    assert adopt_with_report(optax.adamw(S).init(p), state, drop="seen").left == ("seen",)
