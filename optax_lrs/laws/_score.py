"""How close a predicted loss curve is to an observed one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Metrics(NamedTuple):
    r"""The errors of one predicted curve, as the papers on loss curves report them.

    Attributes:
        r2: :math:`1 - \sum (L - \hat L)^2 / \sum (L - \bar L)^2`; nan if all losses are equal.
        mae: the mean of :math:`|L - \hat L|`, in the unit of the loss.
        rmse: the root of the mean of :math:`(L - \hat L)^2`.
        pred_error: the mean of :math:`|L - \hat L| / L` ("PredE").
        worst_error: the largest :math:`|L - \hat L| / L` ("WorstE").
    """

    r2: float
    mae: float
    rmse: float
    pred_error: float
    worst_error: float


def score(losses: Sequence[float] | np.ndarray, predicted: Sequence[float] | np.ndarray) -> Metrics:
    """Compares predicted losses with observed ones.

    Args:
        losses: the observed losses, shape [n].
        predicted: the predictions for the same steps, shape [n].

    Raises:
        ValueError: if the shapes differ or the arrays are empty.

    Example:
        >>> score([4.0, 3.0, 2.0], [4.0, 3.0, 2.5]).r2
        0.875
    """
    losses, predicted = np.asarray(losses, np.float64), np.asarray(predicted, np.float64)
    if losses.shape != predicted.shape or not losses.size:
        shapes = f"{losses.shape} and {predicted.shape}"
        raise ValueError(f"score: losses and predicted must have the same shape and not be empty, got {shapes}")
    errors = np.abs(predicted - losses)
    spread = float(np.sum((losses - losses.mean()) ** 2))
    relative = errors / losses
    return Metrics(
        r2=1 - float(np.sum(errors**2)) / spread if spread else float("nan"),
        mae=float(errors.mean()),
        rmse=float(np.sqrt(np.mean(errors**2))),
        pred_error=float(relative.mean()),
        worst_error=float(relative.max()),
    )
