"""The optimizer step of a decoder, compiled ahead of time for an absent pod."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import hlo_facts
import hlo_text
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.experimental import topologies
from jax.sharding import Mesh, NamedSharding, PartitionSpec

AXES = ("fsdp", "tp")


@dataclasses.dataclass(frozen=True)
class Decoder:
    """A Llama: its weights are stacked over layers, as a scanned model has them."""

    width: int = 4096
    hidden: int = 14_336
    heads_width: int = 1024  # of keys and values: 8 heads of 128
    layers: int = 32
    vocabulary: int = 128_256

    def leaves(self) -> dict[str, Any]:
        """Shapes and shardings by path."""
        into, out, whole = PartitionSpec(None, *AXES), PartitionSpec(None, *reversed(AXES)), PartitionSpec()
        depth, width, kv, hidden = self.layers, self.width, self.heads_width, self.hidden
        block = {
            "attention": {
                "query": ((depth, width, width), into),
                "key": ((depth, width, kv), into),
                "value": ((depth, width, kv), into),
                "output": ((depth, width, width), out),
            },
            "mlp": {
                "gate": ((depth, width, hidden), into),
                "up": ((depth, width, hidden), into),
                "down": ((depth, hidden, width), out),
            },
            "attention_norm": ((depth, width), whole),
            "mlp_norm": ((depth, width), whole),
        }
        return {
            "embedding": ((self.vocabulary, width), PartitionSpec("tp", "fsdp")),
            "layers": block,
            "norm": ((width,), whole),
            "head": ((width, self.vocabulary), PartitionSpec("fsdp", "tp")),
        }


@dataclasses.dataclass(frozen=True)
class Place:
    """Chips, how they are arranged, and the model on them."""

    name: str
    topology: str
    mesh: tuple[int, int]  # over (fsdp, tp)
    model: Decoder


SMALL = Decoder(layers=8, vocabulary=32_768)  # 2.0e9 parameters: on four chips no large shard fits on-chip memory
PLACES = {
    place.name: place
    for place in (
        Place("v5p:2x2x1", "v5p:2x2x1", (2, 2), SMALL),
        Place("v5p:2x2x1 fsdp", "v5p:2x2x1", (4, 1), SMALL),
        Place("v5p:8x8x8", "v5p:8x8x8", (128, 4), Decoder()),
        Place("v5e:16x16", "v5e:16x16", (32, 8), Decoder()),
    )
}


@functools.cache
def mesh_of(place: Place) -> Mesh:
    """The place's chips, described to the compiler."""
    chips = topologies.get_topology_desc(place.topology, "tpu").devices
    return Mesh(np.asarray(chips).reshape(place.mesh), AXES)


def shapes_and_specs(model: Decoder) -> tuple[Any, Any]:
    """The parameters without their numbers, and their shardings."""
    is_leaf = lambda node: isinstance(node, tuple)  # noqa: E731
    leaves = model.leaves()
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf[0], jnp.float32), leaves, is_leaf=is_leaf)
    return shapes, jax.tree.map(lambda leaf: leaf[1], leaves, is_leaf=is_leaf)


def by_path(state: Any, params: Any, specs: Any) -> Any:
    """The shardings of the state.

    A leaf whose path ends in a parameter's path has the parameter's sharding; the others are
    replicated.
    """
    flat = jax.tree_util.tree_flatten_with_path(params)[0]
    # A PartitionSpec is one leaf.
    known = {key: (leaf.shape, spec) for (key, leaf), spec in zip(flat, jax.tree.leaves(specs), strict=True)}

    def spec(key: tuple[Any, ...], leaf: Any) -> PartitionSpec:
        shape, axes = next((known[key[start:]] for start in range(len(key)) if key[start:] in known), (None, ()))
        if leaf.shape == shape:
            return axes
        if leaf.shape[1:] == shape:  # several of the parameter
            return PartitionSpec(None, *axes)
        if shape is None or len(leaf.shape) != len(shape):
            return PartitionSpec()
        padded = (*axes, *[None] * (len(shape) - len(axes)))
        return PartitionSpec(
            *(axis if mine == theirs else None for mine, theirs, axis in zip(leaf.shape, shape, padded))
        )

    return jax.tree_util.tree_map_with_path(spec, state)


def compile_step(
    tx: optax.GradientTransformation,
    place: Place,
    mesh: Mesh,
    *,
    extra_args: dict[str, Any] | None = None,
    after: Callable[[Any, Any], tuple[Any, Any]] | None = None,
    shard_map: bool = False,
) -> tuple[Any, dict[str, float]]:
    """Compiles one optimizer step from shapes, donated, with results sharded as the arguments.

    Args:
        tx: the optimizer.
        place: defines the parameters' shapes and shardings.
        mesh: the devices.
        extra_args: scalars for the update, by name; replicated arguments of the step.
        after: a function of parameters and state that runs once the updates are applied.
        shard_map: whether the step is one body that each device runs on its shards, with its
            collectives written out.

    Returns:
        The compiled step, and the figures that are known only from its arguments.
    """
    shapes, specs = shapes_and_specs(place.model)
    state = jax.eval_shape(tx.init, shapes)
    states = by_path(state, shapes, specs)
    extra = jax.tree.map(lambda value: jax.ShapeDtypeStruct(np.shape(value), np.float32), extra_args or {})

    def step(params, state, grads, extra):
        updates, state = tx.update(grads, state, params, **extra)
        params = optax.apply_updates(params, updates)
        return after(params, state) if after else (params, state)

    whole = jax.tree.map(lambda _: PartitionSpec(), extra)
    into, out = (specs, states, specs, whole), (specs, states)
    if shard_map:
        step = jax.shard_map(step, mesh=mesh, in_specs=into, out_specs=out, check_vma=False)
    place_on = functools.partial(jax.tree.map, lambda spec: NamedSharding(mesh, spec))
    # Unused arguments stay, so that the program's parameters have the numbers of the leaves.
    jitted = jax.jit(
        step, in_shardings=place_on(into), out_shardings=place_on(out), donate_argnums=(0, 1), keep_unused=True
    )
    compiled = jitted.lower(shapes, state, shapes, extra).compile()
    donated = len(jax.tree.leaves((shapes, state)))
    return compiled, {
        "copy bytes": _bytes(shapes, place_on(specs)),
        "state bytes": _bytes(state, place_on(states)),
        "unaliased": len(hlo_facts.unaliased(hlo_text.parse(compiled.as_text()), range(donated))),
    }


def _bytes(tree: Any, shardings: Any) -> int:
    """The bytes of a tree on one chip."""
    pairs = zip(jax.tree.leaves(tree), jax.tree.leaves(shardings), strict=True)
    return sum(math.prod(sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize for leaf, sharding in pairs)


def distinct_shardings(model: Decoder) -> int:
    """The number of different orders of mesh axes in which matrices are sharded.

    One norm of each of them needs as many collectives.
    """
    specs = jax.tree.leaves(shapes_and_specs(model)[1])
    return len({tuple(axis for axis in spec if axis) for spec in specs} - {()})
