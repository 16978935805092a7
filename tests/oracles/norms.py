"""Slow references of the recorder: norms of trees, bins of a trace, refinement by median."""

import numpy as np
from scipy.ndimage import median_filter


def norms(leaves):
    """The l1 and l2 norms of a list of arrays."""
    parts = [np.abs(np.asarray(leaf, np.complex128).ravel()) for leaf in leaves]
    flat = np.concatenate(parts) if parts else np.zeros(0)
    return {"l1": flat.sum(), "l2": np.sqrt((flat**2).sum())}


def bins(trace, count):
    """The span of a bin and, for each, statistics of the logarithms.

    These are the count, mean, sum of squared deviations, lowest and highest.
    """
    span = 1
    while span * count < len(trace):
        span *= 2
    table = []
    for start in range(0, len(trace), span):
        logs = np.log([norm for norm in trace[start : start + span] if np.isfinite(norm)])
        table.append(
            (len(logs), logs.mean(), ((logs - logs.mean()) ** 2).sum(), logs.min(), logs.max())
            if len(logs)
            else (0, np.nan, np.nan, np.nan, np.nan)
        )
    return span, np.array(table)


def refined(trace, power, share=0.1):
    """Defazio et al.'s refinement: a median over a share of the run, then the closed form.

    The end is padded by reflection.
    """
    width = 2 * (int(share * len(trace)) // 2) + 1
    padded = np.pad(trace, (0, 2 * width), mode="reflect")
    smooth = median_filter(padded, width, mode="nearest")[: len(trace)]
    weights = smooth**-power
    left = np.cumsum(weights[::-1])[::-1] - weights
    return weights * left / (weights * left).max()
