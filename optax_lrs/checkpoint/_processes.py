"""What the processes of a job must agree on."""

from __future__ import annotations

import json
from typing import Any

import jax
import numpy as np


def agreed(value: Any) -> Any:
    """The value of process 0, for all.

    Processes see a folder differently while one of them writes there.
    """
    if jax.process_count() == 1:
        return value
    from jax.experimental import multihost_utils

    text = np.frombuffer(json.dumps(value).encode(), np.uint8)
    size = int(multihost_utils.broadcast_one_to_all(np.int32(text.size)))
    text = text if jax.process_index() == 0 else np.zeros(size, np.uint8)
    return json.loads(np.asarray(multihost_utils.broadcast_one_to_all(text)).tobytes())


def first_that_failed(failed: bool) -> int | None:
    """The first process in which something failed; None if it succeeded in all."""
    if jax.process_count() == 1:
        return 0 if failed else None
    from jax.experimental import multihost_utils

    everywhere = np.atleast_1d(multihost_utils.process_allgather(np.int32(failed)))
    return int(everywhere.argmax()) if everywhere.any() else None


def together(name: str) -> None:
    """Waits for all processes."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(f"optax_lrs.Checkpoints: {name}")
