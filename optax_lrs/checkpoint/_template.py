"""The template of a restored state: which arrays it wants, and where they are to lie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from optax_lrs._paths import name
from optax_lrs._schedule import Schedule
from optax_lrs.checkpoint._error import MisfitError
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
    """The template with the dtypes that were saved: what is compared is what was written, and conversion comes after.

    On the device, where it can hold them: without ``jax_enable_x64`` a saved int64 or float64, as a number of Python is,
    would lose half of its bits there. Those come to the host, as do leaves that are numbers or arrays of NumPy.
    """

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
    """The state in the template's dtypes, places and kinds: of the device, of NumPy, or numbers of Python.

    ``MisfitError`` where an integer of the template cannot hold what was saved; floats are rounded.
    """

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
                whole = jax.dtypes.issubdtype(dtype, np.integer) or dtype == np.bool_
                # There and back: -1 as uint32 is still -1 when it comes back, but its sign differs.
                same = not whole or ((found.astype(leaf.dtype) == leaf) & ((found < 0) == (leaf < 0))).all()
            if not same:
                raise MisfitError(
                    f"{where} does not fit the template: {name(key)} was saved as {leaf.dtype} with values that {dtype} "
                    "cannot hold"
                )
        if device and not isinstance(leaf, jax.Array):
            return jax.make_array_from_callback(wanted.shape, wanted.sharding, lambda cut: found[cut])
        return found[()] if isinstance(wanted, np.generic) else found

    return jax.tree_util.tree_map_with_path(convert, template, state)


def _number(kind: type, leaf: np.ndarray, what: str) -> Any:
    """A saved scalar as a number of Python."""
    value = leaf.item()
    try:
        found = kind(value)
        same = not issubclass(kind, int) or found == value
    except (TypeError, ValueError, OverflowError):
        same = False
    if not same:
        raise MisfitError(f"{what} was saved as {value!r}, which is no {kind.__name__}")
    return found


def _on_device(dtype: Any) -> np.dtype:
    """The dtype that the device has in its place: without ``jax_enable_x64`` no more than 32 bits."""
    return np.dtype(jax.dtypes.canonicalize_dtype(dtype))


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
        raise MisfitError(
            f"{where} does not fit the template, it may be of another model or optimizer. Of its {len(leaves)} arrays and "
            f"the template's {len(wanted)} are {'; '.join(wrong)}. Restore with the program that saved it; "
            "optax_lrs.migrate brings a state to another optimizer"
        )


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
