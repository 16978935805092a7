"""Prepares the gradient norms of a run for refinement: at even steps, finite, smooth, positive."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from optax_lrs._run import Run
from optax_lrs._value.arguments import instance, one_of, share

POWERS = {"sgd": 2, "adam": 1}
"""The power of the norm in the weight of a step, by optimizer."""

_NORMS = {"sgd": "l2", "adam": "l1"}
_COLUMNS = {"l2": "grad_norms", "l1": "grad_norms_l1"}
_MOST = 2**22  # norms: more do not improve the schedule


class ObservedNorms(NamedTuple):
    """The gradient norms of a run, at even steps; made by :func:`prepare_norms`."""

    steps: np.ndarray  # float64, [n]: of the norms
    raw: np.ndarray  # float64, [n]: as recorded; interpolated where one was not finite
    smooth: np.ndarray  # float64, [n]: their running median, clamped from below
    power: int  # of the norm, in the weight of a step
    norm: str  # "l1" or "l2"
    left_out: int  # the number of norms that were not finite

    @property
    def total_steps(self) -> int:
        """The number of updates that the norms cover."""
        return round(len(self.steps) * self.spacing)

    @property
    def spacing(self) -> float:
        """The number of updates that each norm covers."""
        return float(self.steps[1] - self.steps[0])

    @property
    def effective(self) -> np.ndarray:
        """The l2 norms for which SGD's refined schedule is that for ``smooth``."""
        return self.smooth ** (self.power / 2)


def prepare_norms(
    run: Run, *, optimizer: str, norm: str | None = None, smoothing: float = 0.1, clamp_fraction: float = 1e-3
) -> ObservedNorms:
    """Prepares the gradient norms of a run as :func:`refine` does, so that you can inspect them.

    Args:
        run, optimizer, norm, smoothing, clamp_fraction: as for :func:`refine`.

    Raises:
        ValueError, TypeError, ImportError: as :func:`refine`.

    Example:
        >>> run = Run(steps=range(6), grad_norms=[8.0, 2.0, float("nan"), 4.0, 3.0, 3.0])
        >>> norms = prepare_norms(run, optimizer="sgd", smoothing=0.0)
        >>> print(norms.smooth, norms.left_out)
        [8. 2. 3. 4. 3. 3.] 1
    """
    instance("refine", "run", run, Run, example="Run(steps=range(n), grad_norms=norms)")
    known_optimizer("refine", optimizer)
    smoothing = share("refine", "smoothing", smoothing)
    clamp_fraction = share("refine", "clamp_fraction", clamp_fraction, high=0.5)
    norm, column = _column(run, optimizer, norm)
    steps, raw, left_out = _at_even_steps(run.steps, column)
    smooth = running_median(raw, smoothing)
    middle = np.median(smooth)
    if not middle > 0:
        raise ValueError(
            f"refine: at least half of the {norm} norms must be positive, but most of the {norm} norms are zero"
        )
    smooth = np.maximum(smooth, max(clamp_fraction * middle, np.finfo(float).tiny))
    return ObservedNorms(steps, raw, smooth, POWERS[optimizer], norm, left_out)


def known_optimizer(owner: str, optimizer: str) -> str:
    """The optimizer, ``"sgd"`` or ``"adam"``."""
    if optimizer not in POWERS:
        adam = "'adam' (for AdamW and every other optimizer that works by coordinate)"
        raise ValueError(f"{owner}: optimizer must be 'sgd' or {adam}, got {optimizer!r}")
    return optimizer


def running_median(norms: np.ndarray, smoothing: float) -> np.ndarray:
    """The running median of the authors' code: end mirrored, first value repeated at the start.

    The window is odd, ``2 * (int(smoothing * n) // 2) + 1``; the end is padded with twice as many
    mirrored values.
    """
    width = 2 * (int(smoothing * len(norms)) // 2) + 1
    if width == 1:
        return norms.copy()
    try:
        import scipy
        from scipy.ndimage import median_filter
    except ImportError:
        raise ImportError(f"refine: smoothing={smoothing!r} needs scipy: pip install 'optax_lrs[refine]'") from None
    if tuple(map(int, scipy.__version__.split(".")[:2])) < (1, 15) and len(norms) * width > 10**8:
        # Older versions take time proportional to length times window: 100,000 norms took 12 s.
        raise ImportError(
            f"refine: {len(norms):,} norms need scipy 1.15 or newer, got {scipy.__version__}: "
            "pip install 'optax_lrs[refine]'"
        )
    padded = np.pad(norms, (0, 2 * width), mode="reflect")  # for short runs it mirrors the mirror image
    return median_filter(padded, size=width, mode="nearest")[: len(norms)]


def _column(run: Run, optimizer: str, norm: str | None) -> tuple[str, np.ndarray]:
    """The norm that the theory needs, or the caller chose, and its column."""
    wanted = _NORMS[optimizer] if norm is None else norm
    one_of("refine", "norm", wanted, tuple(_COLUMNS))
    if wanted == "l1" and optimizer == "sgd":
        raise ValueError("refine: norm must be 'l2' for optimizer='sgd', got 'l1': norm='l1' is for optimizer='adam'")
    column = getattr(run, _COLUMNS[wanted])
    if column is not None:
        return wanted, column
    if wanted == "l1" and run.grad_norms is not None:
        raise ValueError(
            "refine: optimizer='adam' needs l1 norms, run.grad_norms_l1, and this run has only l2 norms."
            " Record l1 norms with record_grad_norm; or pass norm='l2', which uses the l2 norm instead:"
            " valid as long as their ratio, sqrt(number of parameters) at most, stays about the same over the run"
        )
    raise ValueError(f"refine: optimizer={optimizer!r} needs {wanted} norms, but run.{_COLUMNS[wanted]} is None")


def _at_even_steps(steps: np.ndarray, norms: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """The finite norms, interpolated at even steps; and the number of those left out."""
    known = np.isfinite(norms)
    if np.count_nonzero(known) < 2:
        raise ValueError(
            f"refine: run must have at least two finite norms, got {np.count_nonzero(known)} among {len(norms)}"
        )
    if np.any(norms[known] < 0):
        at = np.flatnonzero(known & (norms < 0))[0]
        raise ValueError(f"refine: norms must not be negative, got {norms[at]!r} at step {steps[at]}")
    gaps = np.diff(steps)
    even = steps.astype(np.float64)
    if np.any(gaps[:-1] != gaps[0]) or gaps[-1] > gaps[0]:  # the last row of a binned recorder may span fewer steps
        usual = float(np.median(gaps))
        even = np.linspace(steps[0], steps[-1], min(round((steps[-1] - steps[0]) / usual) + 1, _MOST))
    # At a recorded step interpolation returns the recorded norm, to the last bit.
    return even, np.interp(even, steps[known], norms[known]), int(np.count_nonzero(~known))
