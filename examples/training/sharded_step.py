"""The three device programs (make a state, train one step, validate) and their shardings.

Letters in names are axes: T step of the run, N batches, B batch, L position.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from training.transformer import BYTES, Size, Transformer

import optax_lrs as olrs


class Record(NamedTuple):
    """What was observed at each step; nan where nothing was.

    It is part of the state: so a checkpoint always agrees with its history, and no step waits for
    the host.
    """

    losses_T: jax.Array
    lrs_T: jax.Array
    val_losses_T: jax.Array  # after the update of that step


class State(NamedTuple):
    params: Any
    opt_state: optax.OptState
    record: Record


def make_mesh(axes: dict[str, int]) -> Mesh:
    """A mesh of all devices, such as {"data": 4, "model": 2}.

    By default all devices are along `data`.
    """
    devices = jax.device_count()
    sizes = {"data": devices, "model": 1} if not axes else {"data": 1, "model": 1} | axes
    if sizes["data"] * sizes["model"] != devices:
        raise ValueError(
            f"--mesh data={sizes['data']},model={sizes['model']} takes {sizes['data'] * sizes['model']} devices, "
            f"there are {devices}"
        )
    return jax.make_mesh(tuple(sizes.values()), tuple(sizes), axis_types=(AxisType.Auto,) * len(sizes))


def check_fit(mesh: Mesh, size: Size, batch_size: int) -> None:
    for name, length, axis in [
        ("--batch-size", batch_size, "data"),
        ("--width", size.width, "data"),
        ("--heads", size.heads, "model"),
        ("the number of byte values,", BYTES, "model"),
    ]:
        if length % mesh.shape[axis]:
            raise ValueError(f"{name} {length} cannot be split over {axis}={mesh.shape[axis]} of the mesh")


def local_rows(mesh: Mesh, batch_size: int) -> np.ndarray:
    """The rows of a global batch that the devices of this process hold."""
    cuts = NamedSharding(mesh, P("data")).addressable_devices_indices_map((batch_size,)).values()
    return np.unique(np.concatenate([np.arange(batch_size)[cut] for cut in cuts]))


def put_batch(mesh: Mesh, rows_BxL: np.ndarray, batch_size: int) -> jax.Array:
    """The global batch, from each process's own rows."""
    sharding = NamedSharding(mesh, P("data"))
    return jax.make_array_from_process_local_data(sharding, rows_BxL, (batch_size, *rows_BxL.shape[1:]))


def put_validation(mesh: Mesh, bytes_NxBxL: np.ndarray) -> jax.Array:
    """All validation batches; every process has all of them."""
    sharding = NamedSharding(mesh, P(None, "data"))
    return jax.make_array_from_callback(bytes_NxBxL.shape, sharding, lambda cut: bytes_NxBxL[cut])


class Model:
    """Loss and validation of one size of transformer on one mesh.

    They are compiled once for all schedules.
    """

    def __init__(self, size: Size, mesh: Mesh, seed: int):
        self.mesh = mesh
        abstract = nnx.eval_shape(lambda: Transformer(size, nnx.Rngs(seed)))
        self.graph, shapes = nnx.split(abstract)
        specs = nnx.to_pure_dict(nnx.get_partition_spec(shapes))
        self.shardings = jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs)
        self.validate = jax.jit(self._validate, donate_argnums=1, out_shardings=NamedSharding(mesh, P()))
        self.make = lambda: nnx.to_pure_dict(nnx.state(Transformer(size, nnx.Rngs(seed))))

    def count(self) -> int:
        return sum(x.size for x in jax.tree.leaves(jax.eval_shape(self.make)))

    def loss(self, params, bytes_BxL):
        logits_BxLxV = nnx.merge(self.graph, params)(bytes_BxL[:, :-1])
        losses_BxL = optax.softmax_cross_entropy_with_integer_labels(logits_BxLxV, bytes_BxL[:, 1:].astype(jnp.int32))
        return jnp.mean(losses_BxL)

    def _validate(self, params, record: Record, step, bytes_NxBxL) -> tuple[Record, jax.Array]:
        loss = jnp.mean(jax.lax.map(lambda bytes_BxL: self.loss(params, bytes_BxL), bytes_NxBxL))
        return record._replace(val_losses_T=record.val_losses_T.at[step].set(loss)), loss


class Training(NamedTuple):
    """A model's training under one schedule."""

    init: Callable[[], State]
    step: Callable[..., tuple[State, jax.Array, jax.Array]]  # state, step, batch -> state, loss, rate
    shapes: State  # with shardings: the template of a checkpoint


def make_training(model: Model, schedule: optax.Schedule, steps: int) -> Training:
    tx = optax.chain(
        olrs.record_grad_norm(norms=("l1", "l2"), steps=steps),  # norms of the raw gradients, for refinement
        optax.clip_by_global_norm(1.0),
        optax.scale_by_adam(b1=0.9, b2=0.95),
        optax.add_decayed_weights(0.1, mask=lambda params: jax.tree.map(lambda p: p.ndim > 1, params)),
        olrs.scale_by_live_schedule(schedule),
    )

    def init() -> State:
        params = model.make()
        # Three separate arrays, because each one is donated.
        return State(params, tx.init(params), Record(*(jnp.full(steps, jnp.nan) for _ in range(3))))

    def train_step(state: State, step, bytes_BxL):
        loss, grads = jax.value_and_grad(model.loss)(state.params, bytes_BxL)
        updates, opt_state = tx.update(grads, state.opt_state, state.params)
        (lr,) = olrs.learning_rates(opt_state).values()  # the rate that scaled this update
        record = state.record._replace(
            losses_T=state.record.losses_T.at[step].set(loss), lrs_T=state.record.lrs_T.at[step].set(lr)
        )
        return State(optax.apply_updates(state.params, updates), opt_state, record), loss, lr

    shapes = jax.eval_shape(init)
    replicated = NamedSharding(model.mesh, P())
    # Adam's moments are sharded as their parameters; counts, rates and the schedule are replicated.
    opt_shardings = optax.tree_map_params(
        tx,
        lambda _, sharding: sharding,
        shapes.opt_state,
        model.shardings,
        transform_non_params=lambda _: replicated,
    )
    shardings = State(model.shardings, opt_shardings, Record(replicated, replicated, replicated))
    return Training(
        init=jax.jit(init, out_shardings=shardings),
        step=jax.jit(train_step, donate_argnums=0, out_shardings=(shardings, replicated, replicated)),
        shapes=jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), shapes, shardings),
    )
