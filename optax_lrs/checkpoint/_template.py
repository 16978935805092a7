"""The template of a restored state: which arrays it has, and where each of them goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from optax_lrs._paths import name
from optax_lrs._schedule import Schedule
from optax_lrs.checkpoint._error import MisfitError
from optax_lrs.checkpoint._fingerprint import schedules_in


def layout(tree: Any) -> dict[str, dict[str, Any]]:
    """Shape and dtype of each leaf by its path, as Orbax stores them: random keys as their data."""
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

    Shapes from ``jax.eval_shape`` may have none, or one on an abstract mesh. They get the current
    mesh (``jax.set_mesh``), and are replicated there unless their sharding says more. Without a
    mesh they get the first device."""
    mesh = jax.sharding.get_mesh()
    default = (
        jax.NamedSharding(mesh, jax.P()) if not mesh.empty else jax.sharding.SingleDeviceSharding(jax.devices()[0])
    )

    def place(key, leaf):
        if not isinstance(leaf, (jax.ShapeDtypeStruct, jax.Array)):
            return leaf  # a Python number or a NumPy array: restored as such
        sharding = leaf.sharding
        if sharding is None:
            sharding = default
        elif isinstance(sharding, jax.NamedSharding) and isinstance(sharding.mesh, jax.sharding.AbstractMesh):
            if mesh.empty or mesh.shape != sharding.mesh.shape:
                raise ValueError(
                    f"Checkpoints.restore: template has {name(key)} sharded over an abstract mesh of shape "
                    f"{dict(sharding.mesh.shape)}: restore inside jax.set_mesh(mesh), with a mesh of that shape"
                )
            sharding = jax.NamedSharding(mesh, sharding.spec)
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)

    return jax.tree_util.tree_map_with_path(place, template)


def as_saved(template: Any, leaves: Mapping[str, Mapping[str, Any]]) -> Any:
    """The template with the dtypes that were saved.

    Arrays are verified as they were written, and converted afterwards.

    Leaves stay on the device if it can hold their dtype. Without ``jax_enable_x64`` a saved int64
    or float64, such as a Python number, would lose half of its bits there. Those come to the host,
    as do Python numbers and NumPy arrays."""

    def change(key, leaf):
        device = isinstance(leaf, jax.ShapeDtypeStruct)
        if device and _is_key(leaf):
            return leaf
        saved = leaves[name(key)]
        dtype = np.dtype(saved["dtype"])
        if device and _on_device(dtype) == dtype:
            return jax.ShapeDtypeStruct(leaf.shape, dtype, sharding=leaf.sharding)
        return np.broadcast_to(np.zeros((), dtype), saved["shape"])

    return jax.tree_util.tree_map_with_path(change, template)


def converted(state: Any, template: Any, where: str) -> Any:
    """The state with the template's dtypes, shardings and types.

    Each leaf becomes a device array, a NumPy array or a Python number.

    Raises ``MisfitError`` if an integer of the template cannot hold what was saved. Floats are
    rounded."""

    def convert(key, wanted, leaf):
        if not isinstance(wanted, (jax.ShapeDtypeStruct, np.ndarray, np.generic)):
            return _number(type(wanted), leaf, f"{where} does not fit the template: {name(key)}")
        if _is_key(wanted):
            return leaf
        device = isinstance(wanted, jax.ShapeDtypeStruct)
        dtype = _on_device(wanted.dtype) if device else wanted.dtype
        found = leaf
        if leaf.dtype != dtype:
            with np.errstate(invalid="ignore"):
                found = leaf.astype(dtype)
                whole = jnp.issubdtype(dtype, np.integer) or dtype == np.bool_
                # Converted back, -1 as uint32 is -1 again, but its sign differs.
                same = not whole or ((found.astype(leaf.dtype) == leaf) & ((found < 0) == (leaf < 0))).all()
            if not same:
                raise MisfitError(
                    f"{where} does not fit the template: {name(key)} was saved as {leaf.dtype} with values "
                    f"that {dtype} cannot hold"
                )
        if device and not isinstance(leaf, jax.Array):
            return jax.make_array_from_callback(wanted.shape, wanted.sharding, lambda cut: found[cut])
        return found[()] if isinstance(wanted, np.generic) else found

    return jax.tree_util.tree_map_with_path(convert, template, state)


def _number(kind: type, leaf: np.ndarray, what: str) -> Any:
    """A saved scalar as a Python number."""
    value = leaf.item()
    found = None
    try:
        found = kind(value)
        same = not issubclass(kind, int) or found == value
    except (TypeError, ValueError, OverflowError):
        same = False
    if not same:
        raise MisfitError(f"{what} was saved as {value!r}, which is not a valid {kind.__name__}")
    return found


def _on_device(dtype: Any) -> np.dtype:
    """The dtype that a device array gets: without ``jax_enable_x64`` at most 32 bits."""
    return np.dtype(jax.dtypes.canonicalize_dtype(dtype))


def put_schedules(template: Any, schedules: Mapping[str, Schedule]) -> dict[str, Any]:
    """Host schedules with the shardings, dtypes and boxes of those in the template."""
    inside = schedules_in(template)
    return {path: _put(schedule, inside[path][0]) for path, schedule in schedules.items()}


def _put(schedule: Schedule, template: Any) -> Any:
    leaves, structure = jax.tree.flatten(template)
    return jax.tree.unflatten(structure, [put(value, leaf) for value, leaf in zip(jax.tree.leaves(schedule), leaves)])


def put(value: Any, leaf: Any) -> Any:
    """A number as an array with the dtype, shape and sharding of a leaf."""
    array = np.broadcast_to(np.asarray(value, leaf.dtype), leaf.shape)
    if not isinstance(leaf, (jax.ShapeDtypeStruct, jax.Array)):
        return array.copy()
    return jax.make_array_from_callback(leaf.shape, leaf.sharding, lambda cut: array[cut])


def require_fit(template: Any, leaves: Mapping[str, Mapping[str, Any]], where: str) -> None:
    """Raises unless the checkpoint has exactly the template's arrays."""
    wanted = layout(template)
    shapes = {key: (list(leaves[key]["shape"]), wanted[key]["shape"]) for key in wanted if key in leaves}
    rows = {
        "only in the checkpoint": [key for key in leaves if key not in wanted],
        "only in the template": [key for key in wanted if key not in leaves],
        "of another shape": [
            f"{key} ({there} there, {here} here)" for key, (there, here) in shapes.items() if there != here
        ],
    }
    wrong = [
        f"{len(keys)} {what}: {', '.join(keys[:3])}{', …' if len(keys) > 3 else ''}"
        for what, keys in rows.items()
        if keys
    ]
    if wrong:
        raise MisfitError(
            f"{where} does not fit the template: it may belong to another model or optimizer. The checkpoint has "
            f"{len(leaves)} arrays and the template {len(wanted)}: {'; '.join(wrong)}. Restore with the program that "
            "saved it; optax_lrs.migrate moves a state to another optimizer"
        )


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
