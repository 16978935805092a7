"""Everything of an optimizer state that belongs in a log, as Python floats."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from optax_lrs._states.found import Found, Key, optimizer_state, states_in, unboxed
from optax_lrs._value.arguments import is_traced
from optax_lrs.transforms._counted_rates import Given
from optax_lrs.transforms._learning_rates import rates_in
from optax_lrs.transforms._readable import readable, split_quantity

_NAMES = {"total_notfinite": "skipped_steps"}  # fields whose name says less to a reader of logs


def log_dict(opt_state: Any, schedule: Given | None = None) -> dict[str, float]:
    """Reads rates, decays, momenta, norms and skipped steps of the last update, ready to be logged.

    The names are those of the quantities, with the label of the group behind them where there are
    groups: ``learning_rate``, ``learning_rate/muon``, ``weight_decay/muon``, ``b1/adam``,
    ``grad_norm``, ``skipped_steps``. They stay the same in the run, so that a dashboard keeps its
    panels::

        values = {"loss": float(loss), **olrs.log_dict(opt_state)}
        wandb.log(values, step=step)                         # Weights & Biases
        clu_writer.write_scalars(step, values)               # clu.metric_writers
        for name, value in values.items():                   # TensorBoard
            summary_writer.add_scalar(name, value, step)

    - The rates are those of :func:`learning_rates`; none where the state holds none.
    - The hyper-parameters are those of :func:`with_hyperparams`, :func:`decay_weights` and
      ``optax.inject_hyperparams``, and what a state declares as ``logged``
      (:class:`optax_lrs.transforms.Roles`).
    - ``grad_norm`` and ``grad_norm_l1`` are those of :func:`record_grad_norm`, with the name of its
      groups behind them; nan for a skipped step. In its bins, after as many steps as there are
      bins, it is the geometric mean of the newest bin.
    - ``skipped_steps`` counts the steps that ``record_grad_norm`` left out and those that
      ``optax.apply_if_finite`` did not apply.

    **Cost**: one transfer for all values. It waits for the step that computes them, so call it as
    often as you log and not in every step.

    Args:
        opt_state: as for :func:`learning_rates`.
        schedule: as for :func:`learning_rates`.

    Returns:
        Python floats by name.

    Raises:
        ValueError: if a rate is in the state but cannot be known, as :func:`learning_rates`.
        TypeError: inside ``jit``, where nothing can be fetched: return ``learning_rates`` there.

    Example:
        >>> import jax.numpy as jnp, optax
        >>> import optax_lrs as olrs
        >>> tx = optax.chain(
        ...     olrs.record_grad_norm(),
        ...     olrs.with_hyperparams(optax.sgd, learning_rate=olrs.Constant(value=0.5), momentum=0.25),
        ... )
        >>> updates, state = tx.update({"w": jnp.array([3.0, 4.0])}, tx.init({"w": jnp.zeros(2)}))
        >>> for name, value in olrs.log_dict(state).items():
        ...     print(name, round(value, 4))
        learning_rate 0.5
        grad_norm 5.0
        skipped_steps 0.0
        momentum 0.25
    """
    found: dict[str, dict[Key, Any]] = {}  # by quantity and place
    for key, rate in rates_in(opt_state, schedule).items():
        place, quantity = split_quantity(key)
        found.setdefault(quantity, {})[place] = rate
    for state in states_in(optimizer_state(opt_state)):
        for quantity, value in _logged(state).items():
            found.setdefault(quantity, {})[state.key] = value
    flat = {
        "/".join(filter(None, (quantity, group))): value
        for quantity, places in found.items()
        for group, value in zip(readable(list(places)), places.values())
    }
    if is_traced(*flat.values()):
        raise TypeError("log_dict: the state is traced; inside jit return learning_rates(opt_state) with the loss")
    return dict(zip(flat, map(float, jax.device_get(list(flat.values())))))


def _logged(state: Found) -> dict[str, Any]:
    """What a state declares, without its rates."""
    declared: Any = getattr(state.node, "logged", None)
    found: dict[str, Any] = {} if declared is None else dict(declared())
    rates = {name for name, _ in state.values("applied_rates")}
    for name, value in state.values("logged"):
        values = value if isinstance(value, Mapping) else {name.rpartition("/")[2]: value}
        found |= {_NAMES.get(key, key): each for key, each in values.items() if f"{name}/{key}" not in rates}
    scalars = {name: unboxed(value) for name, value in found.items() if value is not None}
    return {name: value for name, value in scalars.items() if jnp.ndim(value) == 0}
