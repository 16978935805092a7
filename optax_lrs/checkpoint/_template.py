"""The template of a restored state: which arrays it wants, and where they are to lie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from optax_lrs._paths import name
from optax_lrs._schedule import Schedule
from optax_lrs.checkpoint._error import CheckpointError
from optax_lrs.checkpoint._fingerprint import schedules_in


def layout(tree: Any) -> dict[str, dict[str, Any]]:
    """Shape and dtype of each leaf by its path, as Orbax stores them: keys of random numbers as their data."""
    found = {}
    for key, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        if not hasattr(leaf, "dtype"):
            leaf = np.asarray(leaf)
        elif _is_key(leaf):
            leaf = jax.eval_shape(jax.random.key_data, jax.ShapeDtypeStruct(leaf.shape, leaf.dtype))
        found[name(key)] = {"dtype": str(leaf.dtype), "shape": list(leaf.shape)}
    return found


def placed(template: Any) -> Any:
    """The template with a sharding for every device array.

    Shapes from ``jax.eval_shape`` may have none, or one on an abstract mesh. They get the mesh in force
    (``jax.set_mesh``), where they are replicated unless they say more; without one, the first device.
    """
    mesh = jax.sharding.get_mesh()
    default = (
        jax.NamedSharding(mesh, jax.P()) if not mesh.empty else jax.sharding.SingleDeviceSharding(jax.devices()[0])
    )

    def place(key, leaf):
        if not isinstance(leaf, (jax.ShapeDtypeStruct, jax.Array)):
            return leaf  # a number or an array of NumPy: restored as such
        sharding = leaf.sharding
        if sharding is None:
            sharding = default
        elif isinstance(sharding, jax.NamedSharding) and isinstance(sharding.mesh, jax.sharding.AbstractMesh):
            if mesh.empty or mesh.shape != sharding.mesh.shape:
                raise ValueError(
                    f"restore: {name(key)} of the template is sharded over an abstract mesh, {sharding.mesh.shape}: "
                    "restore inside jax.set_mesh(mesh), with the mesh that it stands for"
                )
            sharding = jax.NamedSharding(mesh, sharding.spec)
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)

    return jax.tree_util.tree_map_with_path(place, template)


def as_saved(template: Any, leaves: Mapping[str, Mapping[str, Any]]) -> Any:
    """The template with the dtypes that were saved: what is compared is what was written, and conversion comes after."""

    def change(key, leaf):
        if not isinstance(leaf, jax.ShapeDtypeStruct) or _is_key(leaf):
            return leaf
        return jax.ShapeDtypeStruct(leaf.shape, np.dtype(leaves[name(key)]["dtype"]), sharding=leaf.sharding)

    return jax.tree_util.tree_map_with_path(change, template)


def converted(state: Any, template: Any) -> Any:
    """The state in the template's dtypes."""
    return jax.tree.map(
        lambda leaf, wanted: leaf if getattr(leaf, "dtype", None) == getattr(wanted, "dtype", None)
        or not isinstance(leaf, jax.Array) else leaf.astype(wanted.dtype), state, template
    )  # fmt: skip


def put_schedules(template: Any, schedules: Mapping[str, Schedule]) -> dict[str, Any]:
    """Schedules of the host in the places, types and boxes of those in the template at the same paths."""
    inside = schedules_in(template)
    return {path: _put(schedule, inside[path][0]) for path, schedule in schedules.items()}


def _put(schedule: Schedule, template: Any) -> Any:
    leaves, structure = jax.tree.flatten(template)
    return jax.tree.unflatten(structure, [put(value, leaf) for value, leaf in zip(jax.tree.leaves(schedule), leaves)])


def put(value: Any, leaf: Any) -> Any:
    """A number of the host as an array with the type and the place of a leaf."""
    array = np.broadcast_to(np.asarray(value, leaf.dtype), leaf.shape)
    if not isinstance(leaf, (jax.ShapeDtypeStruct, jax.Array)):
        return array.copy()
    return jax.make_array_from_callback(leaf.shape, leaf.sharding, lambda cut: array[cut])


def require_fit(template: Any, leaves: Mapping[str, Mapping[str, Any]], where: str) -> None:
    """Raises unless the checkpoint has exactly the template's arrays."""
    wanted = layout(template)
    rows = [
        ("only in the checkpoint", [key for key in leaves if key not in wanted]),
        ("only in the template", [key for key in wanted if key not in leaves]),
        ("of another shape", [
            f"{key} ({leaves[key]['shape']} there, {wanted[key]['shape']} here)" for key in wanted
            if key in leaves and list(leaves[key]["shape"]) != wanted[key]["shape"]
        ]),
    ]  # fmt: skip
    wrong = [
        f"{len(keys)} {what}: {', '.join(keys[:3])}{', …' if len(keys) > 3 else ''}" for what, keys in rows if keys
    ]
    if wrong:
        raise CheckpointError(
            f"{where} does not fit the template, it may be of another model or optimizer. Of its {len(leaves)} arrays and "
            f"the template's {len(wanted)} are {'; '.join(wrong)}. Restore with the program that saved it; "
            "optax_lrs.checkpoint.migrate brings a state to another optimizer"
        )


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
