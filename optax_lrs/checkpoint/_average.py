"""The average of the parameters of several checkpoints."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from optax_lrs._paths import name as path_name
from optax_lrs._value import arguments
from optax_lrs.checkpoint import _contents, _orbax
from optax_lrs.checkpoint._checksum import checksums
from optax_lrs.checkpoint._error import CheckpointError
from optax_lrs.checkpoint._sources import tree_folders

_OWNER = "checkpoint.average"


def average(
    checkpoints: Any,
    params: Any,
    *,
    weights: Sequence[float] | np.ndarray,
    steps: Sequence[int] | None = None,
    path: str = "params",
    item: str | None = None,
    verify: bool = True,
) -> Any:
    r"""Averages the parameters of several Orbax checkpoints, with weights.

    .. math:: \sum_j c_j \theta_j

    Use it instead of a decay, or after a moderate one. :func:`optax_lrs.merge_weights`,
    ``sma_weights``, ``wma_weights`` and ``ema_weights`` give the weights. To average the latest
    ``len(weights)`` checkpoints in a folder that :class:`Checkpoints` or an
    ``ocp.CheckpointManager`` wrote::

        weights = olrs.merge_weights(12, decay=olrs.profiles.one_minus_sqrt)
        params = olrs.checkpoint.average(folder, params, weights=weights)

    Only the parameters are read and averaged: the average of an optimizer's moments and counts has
    no meaning. Continue training from an average with a fresh optimizer state, and recompute the
    statistics of batch normalization.

    Memory holds one checkpoint at a time, in the dtypes it was saved in, and one float32 copy of
    the parameters (float64 for float64), both sharded as ``params``. The sum is a running average,
    so that equal checkpoints give that checkpoint exactly. It is rounded once, to the dtypes of
    ``params``. Parameters that are not floating-point or complex come from the newest checkpoint.

    All checkpoints are checked before any is read, so that one that does not fit fails at once. If
    :class:`Checkpoints` wrote them, the parameters are compared with their checksums before any
    conversion. Checkpoints written by Orbax alone have no checksums, so a changed bit goes
    unnoticed. So it does in arrays that JAX reads in another dtype than they were saved in (float64
    and int64 without ``jax_enable_x64``).

    Args:
        checkpoints: a folder of steps as :class:`Checkpoints` or an ``ocp.CheckpointManager``
            writes them (also with prefixes, such as ``ckpt_100``), relative or absolute; or the
            :class:`Checkpoints` itself, in which case its running save is awaited; or the manager
            (wait until it is finished); or a list of folders of single checkpoints, oldest first.
        params: the parameters, or a tree of ``jax.ShapeDtypeStruct``: structure, shapes, dtypes and
            shardings of the result. Its values are not used. A leaf without a sharding goes to the
            first device.
        weights: one for each checkpoint, oldest first, non-negative, with sum 1.
        steps: the steps of the folder to average, oldest first. None: the latest ``len(weights)``,
            which must be evenly spaced, as the weights of a merge assume. If ``keep_every`` or
            ``keep_steps`` kept others, pass ``steps``.
        path: where the parameters are in the saved tree: keys and indices joined by slashes, such
            as ``"params"`` of a ``TrainState`` or ``"0"`` of ``(params, opt_state)``; ``""`` if
            only the parameters were saved.
        item: the name of the item, if a step has several that hold a tree
            (``ocp.args.Composite(state=..., ...)``). Checkpoints of :class:`Checkpoints` have one.
        verify: compare the checksums, if there are any.

    Returns:
        The average, a tree like ``params``.

    Raises:
        ValueError: if the weights are invalid or their number differs from that of the checkpoints,
            a step is missing (or not finished), the latest steps are not evenly spaced, or a
            checkpoint has other parameters or shapes. The message names the folder.
        CheckpointError: (a ``ValueError``) if parameters differ from what was saved. The message
            names the folder.
        TypeError: if ``checkpoints`` or ``weights`` have the wrong type.

    Example:
        >>> import pathlib, tempfile
        >>> import orbax.checkpoint as ocp
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> with ocp.CheckpointManager(folder) as manager:
        ...     for step in (10, 20, 30):
        ...         state = {"params": {"w": jnp.full(2, float(step))}, "count": step}
        ...         _ = manager.save(step, args=ocp.args.StandardSave(state))
        >>> print(average(folder, {"w": jnp.zeros(2)}, weights=[0.25, 0.75])["w"])
        [27.5 27.5]

    References:
        Tian et al., WSM: Decay-Free Learning Rate Schedule via Checkpoint Merging for LLM
        Pre-training, arXiv:2507.17634 (from notes: parameters only, in float32).
    """
    weights = _checked_weights(weights)
    folders = tree_folders(checkpoints, len(weights), steps, item)
    if len(folders) != len(weights):
        raise ValueError(
            f"{_OWNER}: weights must have one number for each checkpoint, got {len(weights)} for {len(folders)}: "
            f"{', '.join(map(str, folders))}"
        )
    leaves, structure = jax.tree.flatten_with_path(params)
    names = [path_name(key) for key, _ in leaves]
    likes = [_like(leaf) for _, leaf in leaves]
    saved = [_saved(folder, path, dict(zip(names, likes))) for folder in folders]
    sums = [_sums(folder, path) if verify else {} for folder in folders]

    inexact = [jnp.issubdtype(like.dtype, jnp.inexact) for like in likes]
    mean: list[Any] = [None] * len(likes)
    so_far = 0.0
    for number, (folder, weight) in enumerate(zip(folders, weights)):
        newest = number == len(folders) - 1
        if not weight and not (newest and not all(inexact)):
            continue
        restored = _restored(folder, path, saved[number], dict(zip(names, likes)))
        _verify(folder, restored, sums[number])
        so_far += weight
        for i, name in enumerate(names):
            value = restored.pop(name)
            if not inexact[i]:
                mean[i] = value.astype(likes[i].dtype)
            elif weight:
                mean[i] = _first(value) if mean[i] is None else _moved(mean[i], value, weight / so_far)
    done = [m if not f else m.astype(like.dtype) for m, f, like in zip(mean, inexact, likes)]
    return jax.tree.unflatten(structure, done)


@jax.jit
def _first(value: jax.Array) -> jax.Array:
    return value.astype(jnp.promote_types(value.dtype, jnp.float32))


@functools.partial(jax.jit, donate_argnums=0)
def _moved(mean: jax.Array, value: jax.Array, rate: float) -> jax.Array:
    """One step of a running average.

    A sum of products would not return equal checkpoints exactly.
    """
    wide = jnp.promote_types(mean.dtype, value.dtype)
    mean = mean.astype(wide)
    return mean + jnp.asarray(rate, wide) * (value.astype(wide) - mean)


def _checked_weights(weights: Any) -> np.ndarray:
    found = np.asarray(arguments.row(_OWNER, "weights", weights), np.float64)
    if not found.size or not np.all(found >= 0) or not abs(found.sum() - 1) <= 1e-6:
        raise ValueError(f"{_OWNER}: weights must be non-negative numbers with sum 1, got {weights!r:.80}")
    return found


def _like(leaf: Any) -> jax.ShapeDtypeStruct:
    sharding = getattr(leaf, "sharding", None) or jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    dtype = leaf.dtype if hasattr(leaf, "dtype") else jnp.result_type(leaf)
    return jax.ShapeDtypeStruct(np.shape(leaf), dtype, sharding=sharding)


# ── what the checkpoints hold ─────────────────────────────────────────────────────────────────


def _saved(folder: Any, path: str, likes: dict[str, Any]) -> Any:
    """The tree of shapes and dtypes that a checkpoint lists.

    Raises unless its parameters are those of ``params``.
    """
    try:
        tree = _orbax.saved_tree(folder)
    except Exception as error:  # Orbax, TensorStore and the JSON reader raise many types
        raise ValueError(f"{_OWNER}: cannot read the checkpoint {folder}: {error}") from error
    inside = tree
    for key in filter(None, path.split("/")):
        if isinstance(inside, (list, tuple)) and key.isdigit() and int(key) < len(inside):
            inside = inside[int(key)]
        elif isinstance(inside, dict) and key in inside:
            inside = inside[key]
        else:
            known = list(inside) if isinstance(inside, dict) else f"{len(inside)} entries" if inside else "nothing"
            raise ValueError(f"{_OWNER}: {folder} has no {path!r}: instead of {key!r} it has {known}")
    there = {path_name(key): leaf for key, leaf in jax.tree.flatten_with_path(inside)[0]}
    for name, like in likes.items():
        if name not in there:
            raise ValueError(f"{_OWNER}: {folder} has no parameter {name!r} at {path!r}; it has {_some(there)}")
        shape = getattr(there[name], "shape", None)
        if shape is not None and tuple(shape) != like.shape:
            raise ValueError(f"{_OWNER}: {folder} has {name!r} of shape {tuple(shape)}, and params has {like.shape}")
    more = [name for name, leaf in there.items() if name not in likes and getattr(leaf, "shape", None) is not None]
    if more:
        raise ValueError(f"{_OWNER}: {folder} has parameters at {path!r} that are not in params: {_some(more)}")
    return tree


def _restored(folder: Any, path: str, saved: Any, likes: dict[str, Any]) -> dict[str, jax.Array]:
    """The parameters by name, in the dtypes they were saved in, placed as ``likes``.

    Reads nothing else.
    """
    prefix = _prefix(path)

    def wanted(key, leaf):
        like = likes.get(path_name(key).removeprefix(prefix)) if path_name(key).startswith(prefix) else None
        return _orbax.SKIP if like is None else jax.ShapeDtypeStruct(like.shape, leaf.dtype, sharding=like.sharding)

    try:
        restored = _orbax.restore_part(folder, jax.tree_util.tree_map_with_path(wanted, saved))
    except Exception as error:
        raise ValueError(f"{_OWNER}: cannot read the checkpoint {folder}: {error}") from error
    keyed = jax.tree.flatten_with_path(restored)[0]
    return {path_name(key).removeprefix(prefix): leaf for key, leaf in keyed if isinstance(leaf, jax.Array)}


def _sums(folder: Any, path: str) -> dict[str, tuple[str, str]]:
    """Dtype and checksum of each parameter by name, as recorded when it was saved.

    Empty without checksums.
    """
    prefix = _prefix(path)
    leaves = _contents.leaves_of(folder.parent, f"{_OWNER}: {folder.parent}") if folder.name == _contents.STATE else {}
    return {
        key.removeprefix(prefix): (leaf["dtype"], leaf["checksum"])
        for key, leaf in leaves.items()
        if key.startswith(prefix)
    }


def _verify(folder: Any, restored: dict[str, jax.Array], sums: dict[str, tuple[str, str]]) -> None:
    # Without x64 JAX reads 64 bits as 32: the checksum does not apply to those leaves.
    asked = {name: value for name, value in restored.items() if name in sums and str(value.dtype) == sums[name][0]}
    found = checksums(asked)
    wrong = [name for name in asked if found[name] != sums[name][1]]
    if wrong:
        raise CheckpointError(
            f"{_OWNER}: {folder} is damaged: {len(wrong)} of {len(asked)} arrays differ from what was saved: "
            f"{_some(wrong)}"
        )


def _prefix(path: str) -> str:
    return f"{path.strip('/')}/" if path.strip("/") else ""


def _some(names: Any) -> str:
    names = list(names)
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
