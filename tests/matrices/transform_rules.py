"""The rules for every gradient transformation of the package: one function a rule, on a Case.

test_transforms.py tests the rules themselves, on transformations that are wrong on purpose.
"""

import dataclasses
import functools
from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

QUICK = {"xla_backend_optimization_level": 0}  # for programs whose numbers are not compared


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    make: Callable[[], optax.GradientTransformation]
    extra_args: dict = dataclasses.field(default_factory=dict)
    optax_limits: tuple[str, ...] = ()  # what Optax's part of it cannot do: "explicit mesh", "float32 scalars"

    def __str__(self):
        return self.name


def params(dtype=jnp.float32):
    return {"layer": {"kernel": jnp.ones((8, 4), dtype), "bias": jnp.zeros(8, dtype)}}


def grads(dtype=jnp.float32, scale=0.5):
    return jax.tree.map(lambda p: jnp.full(p.shape, scale, dtype), params())


def described(state):
    """Tree, shape, type, weakness and sharding of a state: what must never change."""
    avals = jax.tree.map(lambda x: (jax.typeof(x), getattr(x, "weak_type", False)), state)
    return jax.tree.structure(state), jax.tree.leaves(avals, is_leaf=lambda x: isinstance(x, tuple))


def takes_unexpected_extra_args(case):
    tx = case.make()
    tx.update(grads(), tx.init(params()), params(), **case.extra_args, an_argument_of_somebody_else=1)


def compiles_once(case):
    tx = case.make()
    chex.clear_trace_counter()

    @jax.jit
    @chex.assert_max_traces(1)
    def step(state, params, extra):
        return tx.update(grads(), state, params, **extra)

    state = tx.init(params())
    for _ in range(3):
        _, state = step(state, params(), case.extra_args)


def keeps_its_state_stable(case):
    """init, jit(init), eval_shape(init) and update give one tree, for each type of parameter."""
    tx, dtypes = case.make(), (jnp.float32, jnp.bfloat16)
    states = [tx.init(params(dtype)) for dtype in dtypes]

    @functools.partial(jax.jit, compiler_options=QUICK)  # one program for both types
    def compiled(grads, states, params, extra):
        each = zip(grads, states, params)
        return [(tx.init(p), tx.update(g, state, p, **extra)[1]) for g, state, p in each]

    from_jit = compiled(list(map(grads, dtypes)), states, list(map(params, dtypes)), case.extra_args)
    for dtype, state, (begun, jitted) in zip(dtypes, states, from_jit, strict=True):
        for leaf in jax.tree.leaves(state):
            assert isinstance(leaf, jax.Array), leaf
            if "float32 scalars" not in case.optax_limits:
                assert leaf.ndim or leaf.dtype in (jnp.int32, jnp.float32), leaf
        expected = described(state)
        shapes = jax.eval_shape(tx.init, params(dtype))
        assert [(s.shape, s.dtype) for s in jax.tree.leaves(shapes)] == [
            (s.shape, s.dtype) for s in jax.tree.leaves(state)
        ]
        abstract = jax.eval_shape(tx.init, jax.eval_shape(functools.partial(params, dtype)))
        assert jax.tree.structure(abstract) == jax.tree.structure(state)
        _, after = tx.update(grads(dtype), state, params(dtype), **case.extra_args)
        assert described(begun) == described(jitted) == described(after) == expected


def keeps_the_type_of_updates(case):
    tx = case.make()
    for dtype in (jnp.float32, jnp.bfloat16, jnp.float16):
        updates, _ = tx.update(grads(dtype), tx.init(params(dtype)), params(dtype), **case.extra_args)
        assert all(leaf.dtype == dtype for leaf in jax.tree.leaves(updates))
        assert jax.tree.structure(updates) == jax.tree.structure(params())


def placed(mesh, tree):
    specs = {"layer": {"kernel": PartitionSpec("data", "model"), "bias": PartitionSpec("data")}}
    return jax.tree.map(lambda x, spec: jax.device_put(x, NamedSharding(mesh, spec)), tree, specs)


def shards(case):
    """Eight devices, on an explicit and an automatic mesh, give the same values and shardings."""
    tx = case.make()
    update = jax.jit(tx.update)

    def run(state, grads, params, steps=3):
        for _ in range(steps):
            updates, state = update(grads, state, params, **case.extra_args)
        return updates, state

    alone, _ = run(tx.init(params()), grads(), params())
    for kind in (AxisType.Explicit, AxisType.Auto)["explicit mesh" in case.optax_limits :]:
        mesh = jax.make_mesh((4, 2), ("data", "model"), axis_types=(kind, kind))
        with jax.set_mesh(mesh):
            my_grads, my_params = placed(mesh, grads()), placed(mesh, params())
            state = tx.init(my_params)
            jitted = described(jax.jit(tx.init)(my_params))
            _, first = run(state, my_grads, my_params, steps=1)
            sharded, last = run(state, my_grads, my_params)
            assert described(state) == jitted == described(first) == described(last)
        chex.assert_trees_all_close(jax.device_get(sharded), jax.device_get(alone), rtol=1e-6, atol=0)


def lives_inside_others(case):
    tx = case.make()
    mask = {"layer": {"kernel": True, "bias": False}}
    labels = {"layer": {"kernel": "a", "bias": "b"}}
    wrapped = [optax.with_extra_args_support(outer) for outer in (
        optax.chain(optax.scale(2.0), tx),
        optax.masked(tx, mask),
        optax.partition({"a": tx, "b": optax.set_to_zero()}, labels),
        optax.MultiSteps(tx, every_k_schedule=2).gradient_transformation(),
        optax.apply_if_finite(tx, 3),
    )]  # fmt: skip

    @functools.partial(jax.jit, compiler_options=QUICK)  # one program: five take twice as long
    def step(grads, states):
        return tuple(
            zip(*[outer.update(grads, state, params(), **case.extra_args) for outer, state in zip(wrapped, states)])
        )

    states = [outer.init(params()) for outer in wrapped]
    for _ in range(3):
        updates, states = step(grads(), states)
    chex.assert_tree_all_finite([each["layer"]["kernel"] for each in updates])


def scans(case):
    tx = case.make()

    def step(carry, _):
        p, state = carry
        updates, state = tx.update(grads(), state, p, **case.extra_args)
        return (optax.apply_updates(p, updates), state), None

    (scanned, _), _ = jax.jit(lambda c: jax.lax.scan(step, c, length=4))((params(), tx.init(params())))
    carry = (params(), tx.init(params()))
    for _ in range(4):
        carry, _ = step(carry, None)
    np.testing.assert_allclose(scanned["layer"]["kernel"], carry[0]["layer"]["kernel"], rtol=1e-6)


def can_be_adopted(case):
    """By another chain, from a checkpoint with its types or without, whole."""
    from flax import serialization

    from optax_lrs.adoption import adopt

    tx = case.make()
    _, state = tx.update(grads(), tx.init(params()), params(), **case.extra_args)
    fresh = optax.chain(optax.clip(1.0), tx).init(params())
    for old in (state, serialization.to_state_dict(state)):
        adopted = adopt(fresh, old)
        assert described(adopted) == described(fresh)
        for a, b in zip(jax.tree.leaves(adopted[1]), jax.tree.leaves(state), strict=True):
            np.testing.assert_array_equal(a, b)


def takes_an_empty_tree(case):
    tx = case.make()
    updates, state = tx.update({}, tx.init({}), {}, **case.extra_args)
    assert updates == {} and described(state) == described(tx.init({}))


def can_be_donated(case):
    """State, parameters and gradients can be donated: nothing kept aliases a donated array."""
    tx = case.make()

    @functools.partial(jax.jit, donate_argnums=(0, 1, 2), compiler_options=QUICK)
    def step(grads, state, params):
        updates, state = tx.update(grads, state, params, **case.extra_args)
        return updates, state, optax.apply_updates(params, updates)  # as much comes out as goes in

    mine = params()
    state = tx.init(mine)
    kept = {leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(state)}
    assert not kept & {leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(mine)}, (
        "the state is the parameters' memory"
    )
    for _ in range(3):
        updates, state, mine = step(grads(), state, mine)
    jax.block_until_ready((updates, state))


RULES = [
    takes_unexpected_extra_args,
    compiles_once,
    keeps_its_state_stable,
    keeps_the_type_of_updates,
    shards,
    lives_inside_others,
    scans,
    can_be_adopted,
    takes_an_empty_tree,
    can_be_donated,
]
