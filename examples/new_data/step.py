"""The device programs for new data: a state from a pre-training run, a step, and validation.

Letters in names are axes: T updates done, one more than there are steps; N batches, B batch, L
position.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from training.sharded_step import Model

import optax_lrs as olrs


class Record(NamedTuple):
    """What was observed, by the number of updates, pre-training included; nan where nothing was.

    It is part of the state.
    """

    losses_T: jax.Array  # of the batch of the update; nan at 0
    lrs_T: jax.Array
    old_T: jax.Array  # validation loss on the old text after the update
    new_T: jax.Array


class State(NamedTuple):
    params: Any
    opt_state: optax.OptState
    record: Record


class Continuation:
    """The programs, compiled once for all arms.

    The arms' schedules are tables of one length in the optimizer state.
    """

    def __init__(self, model: Model, total_steps: int):
        self.model, self.total_steps = model, total_steps
        self.tx = optax.chain(
            optax.clip_by_global_norm(1.0),
            optax.scale_by_adam(b1=0.9, b2=0.95),
            optax.add_decayed_weights(0.1, mask=lambda params: jax.tree.map(lambda p: p.ndim > 1, params)),
            olrs.scale_by_live_schedule(olrs.Tabulated(lrs=np.zeros(total_steps + 1))),
        )
        replicated = NamedSharding(model.mesh, P())
        shapes = jax.eval_shape(lambda: self._fresh(self.model.make()))
        opt_shardings = optax.tree_map_params(
            self.tx,
            lambda _, sharding: sharding,
            shapes.opt_state,
            model.shardings,
            transform_non_params=lambda _: replicated,
        )
        shardings = State(model.shardings, opt_shardings, Record(*(replicated,) * 4))
        self.fresh = jax.jit(self._fresh, out_shardings=shardings)
        self.make = jax.jit(self.model.make, out_shardings=model.shardings)
        self.step = jax.jit(self._step, donate_argnums=0, out_shardings=(shardings, replicated, replicated))
        self.validate = jax.jit(
            self._validate, donate_argnums=1, out_shardings=(shardings.record, replicated, replicated)
        )
        self.losses = jax.jit(self._losses, out_shardings=replicated)
        self.shapes = jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), shapes, shardings)

    def _fresh(self, params: Any) -> State:
        record = Record(*(jnp.full(self.total_steps + 1, jnp.nan) for _ in range(4)))
        return State(params, self.tx.init(params), record)

    def begin(self, schedule: olrs.Schedule, found: Any = None, *, drop: str | tuple[str, ...] = ()) -> State:
        """The first state of an arm, from a pre-training run's last state `found` or from scratch.

        `drop` are the paths of states in `found` that this optimizer does not have.
        """
        state = self.fresh(self.make() if found is None else found.params)
        if found is not None:
            # Adam's moments and all counts are kept.
            state = state._replace(opt_state=olrs.adopt(state.opt_state, found.opt_state, drop=drop))
        table = olrs.Tabulated(lrs=schedule.at(np.arange(self.total_steps + 1)))
        state = state._replace(opt_state=olrs.with_schedule(state.opt_state, table))
        return jax.tree.map(jnp.copy, state)  # donated arrays must not be shared

    def _step(self, state: State, done, bytes_BxL):
        loss, grads = jax.value_and_grad(self.model.loss)(state.params, bytes_BxL)
        updates, opt_state = self.tx.update(grads, state.opt_state, state.params)
        (lr,) = olrs.learning_rates(opt_state).values()
        record = state.record._replace(
            losses_T=state.record.losses_T.at[done].set(loss), lrs_T=state.record.lrs_T.at[done].set(lr)
        )
        return State(optax.apply_updates(state.params, updates), opt_state, record), loss, lr

    def _losses(self, params, old_NxBxL, new_NxBxL):
        return tuple(
            jnp.mean(jax.lax.map(lambda bytes_BxL: self.model.loss(params, bytes_BxL), bytes_NxBxL))
            for bytes_NxBxL in (old_NxBxL, new_NxBxL)
        )

    def _validate(self, params, record: Record, done, old_NxBxL, new_NxBxL):
        old, new = self._losses(params, old_NxBxL, new_NxBxL)
        return record._replace(old_T=record.old_T.at[done].set(old), new_T=record.new_T.at[done].set(new)), old, new
