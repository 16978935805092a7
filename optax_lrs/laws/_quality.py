"""How close a predicted curve is to the one observed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Quality(NamedTuple):
    r"""The measures that the papers on loss curves report, of one curve.

    Attributes:
        r2: :math:`1 - \sum (L - \hat L)^2 / \sum (L - \bar L)^2`; nan if all losses are equal.
        mae: the mean of :math:`|L - \hat L|`, in the unit of the loss.
        rmse: the root of the mean of :math:`(L - \hat L)^2`.
        pred_error: the mean of :math:`|L - \hat L| / L` ("PredE").
        worst_error: the largest of them ("WorstE").
    """

    r2: float
    mae: float
    rmse: float
    pred_error: float
    worst_error: float


def quality(losses: np.ndarray, predicted: np.ndarray) -> Quality:
    """The measures of a prediction of these losses, shape [n] both.

    Raises:
        ValueError: if the shapes differ or there is nothing to compare.

    Example:
        >>> quality([4.0, 3.0, 2.0], [4.0, 3.0, 2.5]).r2
        0.875
    """
    losses, predicted = np.asarray(losses, np.float64), np.asarray(predicted, np.float64)
    if losses.shape != predicted.shape or not losses.size:
        raise ValueError(f"losses and predicted must be as many, and some, got {losses.shape} and {predicted.shape}")
    errors = np.abs(predicted - losses)
    spread = float(np.sum((losses - losses.mean()) ** 2))
    relative = errors / losses
    return Quality(
        r2=1 - float(np.sum(errors**2)) / spread if spread else float("nan"), mae=float(errors.mean()),
        rmse=float(np.sqrt(np.mean(errors**2))), pred_error=float(relative.mean()), worst_error=float(relative.max()),
    )  # fmt: skip
