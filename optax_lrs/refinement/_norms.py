"""The gradient norms of a run, made fit for refinement: at even steps, finite, smooth, positive."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from optax_lrs._run import Run

POWERS = {"sgd": 2, "adam": 1}
"""By optimizer: the power of the norm in the weight of a step."""

_NORMS = {"sgd": "l2", "adam": "l1"}
_COLUMNS = {"l2": "grad_norms", "l1": "grad_norms_l1"}
_MOST = 2**22  # norms: more make no better schedule


class ObservedNorms(NamedTuple):
    """The gradient norms of a run, at even steps."""

    steps: np.ndarray  # float64, [n]: where they stand
    raw: np.ndarray  # float64, [n]: as recorded; where one was not finite, between its neighbours
    smooth: np.ndarray  # float64, [n]: their running median, and nowhere far below its own median
    power: int  # of the norm, in the weight of a step
    norm: str  # "l1" or "l2"
    left_out: int  # how many were not finite

    @property
    def total_steps(self) -> int:
        """How many updates they stand for."""
        return round(len(self.steps) * self.spacing)

    @property
    def spacing(self) -> float:
        """How many updates each of them stands for."""
        return float(self.steps[1] - self.steps[0])

    @property
    def effective(self) -> np.ndarray:
        """What plays the part of the l2 norm in the bounds: the refined schedule of SGD for these is that of ``smooth``."""
        return self.smooth ** (self.power / 2)


def observed_norms(
    run: Run, *, optimizer: str, norm: str | None = None, smoothing: float = 0.1, clamp_fraction: float = 1e-3
) -> ObservedNorms:
    """The gradient norms of a run as :func:`refine` uses them, for a look at what it sees.

    Args:
        run, optimizer, norm, smoothing, clamp_fraction: as for :func:`refine`.

    Raises:
        ValueError, TypeError, ImportError: as :func:`refine`.

    Example:
        >>> run = Run(steps=range(6), grad_norms=[8.0, 2.0, float("nan"), 4.0, 3.0, 3.0])
        >>> norms = observed_norms(run, optimizer="sgd", smoothing=0.0)
        >>> print(norms.smooth, norms.left_out)
        [8. 2. 3. 4. 3. 3.] 1
    """
    if not isinstance(run, Run):
        raise TypeError(f"refine: run must be a Run, got {run!r:.60}; Run(steps=range(n), grad_norms=norms) makes one")
    if optimizer not in POWERS:
        raise ValueError(
            f"refine: optimizer must be 'sgd' or 'adam' (AdamW and whatever else works by coordinate), got {optimizer!r}"
        )
    smoothing = share_of("smoothing", smoothing, highest=1.0)
    clamp_fraction = share_of("clamp_fraction", clamp_fraction, highest=0.5)
    norm, column = _column(run, optimizer, norm)
    steps, raw, left_out = _at_even_steps(run.steps, column)
    smooth = running_median(raw, smoothing)
    middle = np.median(smooth)
    if not middle > 0:
        raise ValueError(f"refine: most of the {norm} norms are zero: there is nothing to refine by")
    smooth = np.maximum(smooth, max(clamp_fraction * middle, np.finfo(float).tiny))
    return ObservedNorms(steps, raw, smooth, POWERS[optimizer], norm, left_out)


def running_median(norms: np.ndarray, smoothing: float) -> np.ndarray:
    """The running median of the source: an odd window, a mirror at the end, the first value repeated at the start.

    The window is ``2 * (int(smoothing * n) // 2) + 1``; the end is padded with twice as many mirrored values.
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
        # Its time was proportional to the length times the window: 100,000 norms took 12 s.
        raise ImportError(
            f"refine: {len(norms):,} norms need scipy 1.15 or newer, got {scipy.__version__}: pip install 'optax_lrs[refine]'"
        )
    padded = np.pad(norms, (0, 2 * width), mode="reflect")  # of short runs it mirrors the mirror image
    return median_filter(padded, size=width, mode="nearest")[: len(norms)]


def _column(run: Run, optimizer: str, norm: str | None) -> tuple[str, np.ndarray]:
    """The norm that the optimizer's theory asks for; another only if that was said."""
    wanted = _NORMS[optimizer] if norm is None else norm
    if wanted not in _COLUMNS:
        raise ValueError(f"refine: norm must be 'l1' or 'l2', got {norm!r}")
    if wanted == "l1" and optimizer == "sgd":
        raise ValueError("refine: norm='l1' is for optimizer='adam'; SGD's theory has l2 norms")
    column = getattr(run, _COLUMNS[wanted])
    if column is not None:
        return wanted, column
    if wanted == "l1" and run.grad_norms is not None:
        raise ValueError(
            "refine: optimizer='adam' wants l1 norms, run.grad_norms_l1, and this run has l2 norms only. Record them with"
            " record_grad_norm; or give norm='l2', which takes the l2 norm in the place of the l1 norm: right as long as"
            " their ratio, sqrt(number of parameters) at most, stays about the same over the run"
        )
    raise ValueError(f"refine: optimizer={optimizer!r} wants {wanted} norms, and run.{_COLUMNS[wanted]} is None")


def _at_even_steps(steps: np.ndarray, norms: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Norms that are not finite left out, and lines between those that are, read at even steps."""
    known = np.isfinite(norms)
    if np.count_nonzero(known) < 2:
        raise ValueError(
            f"refine: two finite norms at least are needed, got {np.count_nonzero(known)} among {len(norms)}"
        )
    if np.any(norms[known] < 0):
        at = np.flatnonzero(known & (norms < 0))[0]
        raise ValueError(f"refine: a norm is not negative, got {norms[at]!r} at step {steps[at]}")
    gaps = np.diff(steps)
    even = steps.astype(np.float64)
    if np.any(gaps[:-1] != gaps[0]) or gaps[-1] > gaps[0]:  # the last row of a binned recorder may span fewer steps
        usual = float(np.median(gaps))
        even = np.linspace(steps[0], steps[-1], min(round((steps[-1] - steps[0]) / usual) + 1, _MOST))
    # Interpolation at a step that was recorded gives what was recorded, to the last bit.
    return even, np.interp(even, steps[known], norms[known]), int(np.count_nonzero(~known))


def share_of(key: str, value: Any, *, highest: float) -> float:
    """A number from 0 to the highest that makes sense."""
    try:
        share = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"refine: {key} must be a number, got {value!r:.60}") from None
    if not 0 <= share <= highest:
        raise ValueError(f"refine: {key} must be from 0 to {highest:g}, got {value!r}")
    return share
