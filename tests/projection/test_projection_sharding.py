"""Projected weights on many devices: the same norms, few collectives, and one in shard_map."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import optax_lrs as olrs

LAYOUTS = {
    "fsdp": P(None, "fsdp", None),
    "tp": P(None, "fsdp", "tp"),
    "transposed": P(None, "tp", "fsdp"),
    "whole": P(),
}
MODES = ["exact", "deferred"]


def mesh_of(kind=AxisType.Auto):
    return jax.make_mesh((4, 2), ("fsdp", "tp"), axis_types=(kind, kind))


def weights(names, seed=0):
    rng = np.random.default_rng(seed)
    return {name: jnp.asarray(rng.normal(size=(2, 8, 16)), jnp.float32) for name in names}


def collectives(compiled):
    found = re.findall(
        r"= \S.*? (all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)(?:-start)?\(", compiled.as_text()
    )
    return {name: found.count(name) for name in set(found)}


def step_of(tx, project=None):
    def step(params, state, updates):
        updates, state = tx.update(updates, state, params)
        params = optax.apply_updates(params, updates)
        return (project(params, state) if project else params), state

    return step


def compiled_step(projection, params, specs, mesh, project=None):
    shardings = {name: NamedSharding(mesh, spec) for name, spec in specs.items()}
    whole = NamedSharding(mesh, P())
    state = jax.eval_shape(projection.init, params)
    jitted = jax.jit(
        step_of(projection, project),
        in_shardings=(shardings, whole, shardings),
        out_shardings=(shardings, whole),
        donate_argnums=(0, 1),
    )
    return jitted.lower(params, state, params).compile()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["exact", "deferred", "manual"])
def test_collectives_do_not_grow_with_the_leaves(mode):
    """One all-reduce for each different sharding, and nothing is gathered.

    On a mesh of one axis it is one. Over two axes XLA's CPU backend reduces one axis after the
    other, a TPU's at once.
    """
    mesh = mesh_of()
    for layouts, most in [
        (["fsdp"], 1),
        (["tp"], 2),
        (["tp", "transposed"], 4),
        (["fsdp", "tp", "transposed", "whole"], 5),
    ]:
        counts = set()
        for number in (4, 8):
            params = weights([f"w{i}" for i in range(number)])
            specs = {name: LAYOUTS[layouts[i % len(layouts)]] for i, name in enumerate(params)}
            projection = olrs.project_weights(separate=0, mode=mode)
            project = projection.project if mode == "manual" else None
            found = collectives(compiled_step(projection, params, specs, mesh, project))
            assert found.keys() == {"all-reduce"} and found["all-reduce"] <= most, (mode, layouts, number, found)
            counts.add(found["all-reduce"])
        assert len(counts) == 1, (layouts, counts)


def test_the_count_is_of_collectives():
    """The test detects a projection that gathers."""
    params, mesh = weights(["w"]), mesh_of()

    def gathered(params, state):
        return jax.lax.with_sharding_constraint(params["w"], NamedSharding(mesh, P())) * params["w"][0, 0, 0], state

    jitted = jax.jit(gathered, in_shardings=({"w": NamedSharding(mesh, LAYOUTS["tp"])}, None))
    assert "all-gather" in collectives(jitted.lower(params, ()).compile())


@pytest.mark.slow
@pytest.mark.parametrize("kind", [AxisType.Explicit, AxisType.Auto], ids=str)
@pytest.mark.parametrize(
    "options", [dict(separate=0), dict(separate=(0, -1)), dict(separate=(0, olrs.projection.Heads(-1, 4)))], ids=str
)
def test_shards_have_the_norms_of_the_whole(kind, options):
    params, updates = weights(LAYOUTS), weights(LAYOUTS, seed=1)
    mesh = mesh_of(kind)
    with jax.set_mesh(mesh):

        def place(tree):
            return {name: jax.device_put(x, NamedSharding(mesh, LAYOUTS[name])) for name, x in tree.items()}

        for mode in MODES:
            projection = olrs.project_weights(mode=mode, **options)

            @jax.jit
            def moved_and_projected(params, state, updates, projection=projection):
                params, state = step_of(projection)(params, state, updates)
                return params, state, projection.project(params, state)

            there, state, exact = moved_and_projected(place(params), projection.init(place(params)), place(updates))
            alone = olrs.project_weights(mode=mode, **options)
            mine, own = step_of(alone)(params, alone.init(params), updates)
            for name in params:
                np.testing.assert_allclose(there[name], mine[name], rtol=1e-5, atol=1e-6)
                assert there[name].sharding.is_equivalent_to(NamedSharding(mesh, LAYOUTS[name]), 3)
                np.testing.assert_allclose(exact[name], alone.project(mine, own)[name], rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(state.norms, own.norms, rtol=1e-6)


GRIDS = [dict(separate=0), dict(separate=(0, -1)), dict(separate=(0, olrs.projection.Heads(-1, 4))), dict(separate=1)]


@pytest.mark.slow
@pytest.mark.parametrize(("options", "check_vma"), [(GRIDS[0], True), (GRIDS[2], True), (GRIDS[1], False)], ids=str)
def test_shard_map(options, check_vma):
    """Local shards and one psum equal whole arrays; a copy on several devices counts once."""
    params, updates = weights(LAYOUTS), weights(LAYOUTS, seed=1)
    mesh = mesh_of()
    whole = functools.partial(jax.device_put, device=NamedSharding(mesh, P()))
    placed = {name: jax.device_put(x, NamedSharding(mesh, LAYOUTS[name])) for name, x in params.items()}
    moves = {name: jax.device_put(x, NamedSharding(mesh, LAYOUTS[name])) for name, x in updates.items()}
    for mode in MODES:
        projection = olrs.project_weights(mode=mode, specs=LAYOUTS, **options)
        state = projection.init(params)  # outside: whole arrays
        mapped = functools.partial(jax.shard_map, mesh=mesh, check_vma=check_vma)
        init = jax.jit(mapped(projection.init, in_specs=(LAYOUTS,), out_specs=P()))
        np.testing.assert_allclose(init(params).radii, state.radii, rtol=1e-6)  # inside: shards
        step = jax.jit(mapped(step_of(projection), in_specs=(LAYOUTS, P(), LAYOUTS), out_specs=(LAYOUTS, P())))
        step = step.lower(placed, whole(state), moves).compile()  # compiled once, for its text and its calls
        alone = olrs.project_weights(mode=mode, **options)
        mine, own = params, state
        there, other = placed, whole(state)
        for _ in range(2):
            mine, own = step_of(alone)(mine, own, updates)
            there, other = step(there, other, moves)
        for name in params:
            np.testing.assert_allclose(there[name], mine[name], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(other.norms, own.norms, rtol=1e-6)
        assert collectives(step) == {"all-reduce": 1}
    project = (
        jax.jit(mapped(projection.project, in_specs=(LAYOUTS, P()), out_specs=LAYOUTS)).lower(there, other).compile()
    )
    assert collectives(project) == {"all-reduce": 1}
    projected = project(there, other)
    for name, expected in alone.project(mine, own).items():
        np.testing.assert_allclose(projected[name], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_shard_map_with_one_spec_for_all_and_joint_scales():
    mesh = mesh_of()
    params = {"layer": {"kernel": weights("w")["w"][0], "scale": jnp.full(8, 3.0), "bias": jnp.ones(8)}}
    projection = olrs.project_weights(joint=".*/(scale|bias)", specs=P("fsdp"))
    alone = olrs.project_weights(joint=".*/(scale|bias)")
    project = jax.jit(
        jax.shard_map(
            lambda p: projection.project(p, projection.init(p)), mesh=mesh, in_specs=P("fsdp"), out_specs=P("fsdp")
        )
    )
    expected = alone.project(params, alone.init(params))
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-6), project(params), expected)
    np.testing.assert_allclose(expected["layer"]["scale"] ** 2 + expected["layer"]["bias"] ** 2, 1.0, rtol=1e-6)


def test_heads_that_devices_cannot_share():
    mesh = jax.make_mesh((8,), ("tp",), axis_types=(AxisType.Auto,))
    projection = olrs.project_weights("w", separate=olrs.projection.Heads(-1, 4), specs=P(None, "tp"))
    with pytest.raises(ValueError, match="w has 4 blocks of 4 along an axis that 8 devices share"):
        jax.shard_map(projection.init, mesh=mesh, in_specs=P(None, "tp"), out_specs=P())({"w": jnp.ones((2, 16))})
