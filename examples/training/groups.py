"""Muon for matrices and Adam for the rest, with every hyper-parameter on a schedule.

Letters in names are axes: B batch, L position.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from optax.contrib import MuonDimensionNumbers
from training.sharded_step import Model

import optax_lrs as olrs

ADAM = ".*(embed|head|scale)_.*"  # byte embedding, output layer and the scales of the norms


class GroupedState(NamedTuple):
    params: Any
    opt_state: optax.OptState


class GroupedTraining(NamedTuple):
    init: Callable[[], GroupedState]
    step: Callable[..., tuple[GroupedState, jax.Array]]  # state, batch -> state, loss
    shapes: GroupedState  # with shardings: the template of a checkpoint


def schedules(steps: int) -> dict[str, dict[str, olrs.Schedule]]:
    """By group and hyper-parameter."""
    phases = dict(total_steps=steps, warmup_steps=steps // 20, decay_steps=steps // 2)
    return {
        "muon": {
            "learning_rate": olrs.WSD(peak=2e-2, **phases),
            "beta": olrs.Tabulated(lrs=[0.85, 0.95], steps=[0, steps // 3]),
            "weight_decay": olrs.Cosine(peak=0.1, total_steps=steps),
        },
        "adam": {
            "learning_rate": olrs.WSD(peak=3e-3, **phases),
            "weight_decay": olrs.Constant(value=0.01),
        },
    }


def matrices(params: Any) -> Any:
    """Which axes of a weight are rows and columns for Muon; in attention, width against heads."""

    def axes(key: Any, leaf: Any) -> MuonDimensionNumbers:
        name = jax.tree_util.keystr(key)
        if "qkv" in name:  # [D, 3, H, K]: one matrix each for queries, keys and values
            return MuonDimensionNumbers(reduction_axis=0, output_axis=(2, 3))
        return MuonDimensionNumbers(reduction_axis=(0, 1), output_axis=2) if leaf.ndim == 3 else MuonDimensionNumbers()

    return jax.tree_util.tree_map_with_path(axes, params)


def make_optimizer(groups: dict[str, dict[str, olrs.Schedule]]) -> optax.GradientTransformation:
    muon = olrs.with_hyperparams(optax.contrib.muon, muon_weight_dimension_numbers=matrices, **groups["muon"])
    adam = olrs.with_hyperparams(optax.adamw, b2=0.95, **groups["adam"])
    return optax.chain(
        optax.clip_by_global_norm(1.0),  # over both groups
        olrs.partition_by_path(adam=(ADAM, adam), muon=(".*", muon)),
    )


def make_grouped_training(model: Model, groups: dict[str, dict[str, olrs.Schedule]]) -> GroupedTraining:
    tx = make_optimizer(groups)

    def init() -> GroupedState:
        params = model.make()
        return GroupedState(params, tx.init(params))

    def train_step(state: GroupedState, bytes_BxL):
        loss, grads = jax.value_and_grad(model.loss)(state.params, bytes_BxL)
        updates, opt_state = tx.update(grads, state.opt_state, state.params)
        return GroupedState(optax.apply_updates(state.params, updates), opt_state), loss

    shapes = jax.eval_shape(init)
    replicated = NamedSharding(model.mesh, P())
    by_path = dict(jax.tree_util.tree_flatten_with_path(model.shardings)[0])

    def sharding(key, leaf):
        """Moments are sharded as the parameter whose path ends theirs; the rest is replicated."""
        found = (by_path.get(key[start:]) for start in range(len(key)))
        return next((each for each in found if each is not None), replicated) if leaf.ndim else replicated

    shardings = GroupedState(model.shardings, jax.tree_util.tree_map_with_path(sharding, shapes.opt_state))
    return GroupedTraining(
        init=jax.jit(init, out_shardings=shardings),
        step=jax.jit(train_step, donate_argnums=0, out_shardings=(shardings, replicated)),
        shapes=jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), shapes, shardings),
    )
