"""The rates of any schedule, evaluated on the host."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from optax_lrs._schedule import Schedule
from optax_lrs._value.arguments import whole


def rates(schedule: optax.Schedule, steps: int, owner: str = "predict") -> np.ndarray:
    """The rates of a schedule at the steps of a run of that length, float64, shape [steps]."""
    steps = whole(owner, "steps", steps, low=1)
    every = np.arange(steps)
    found: Any
    if isinstance(schedule, Schedule):
        return np.asarray(schedule.at(every), np.float64)
    if not callable(schedule):
        raise TypeError(f"{owner}: schedule must be a Schedule or an optax.Schedule, got {schedule!r:.60}")
    try:
        found = jax.vmap(schedule)(jnp.arange(steps))
    except jax.errors.ConcretizationTypeError:  # it branches on the step in Python
        found = [np.asarray(schedule(step), np.float64).item() for step in range(steps)]
    return np.broadcast_to(np.asarray(found, np.float64), (steps,))
