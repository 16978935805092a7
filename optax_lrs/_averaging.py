r"""Weights for averages of checkpoints, instead of a decay or after a moderate one.

Each function returns the weights of ``count`` checkpoints, **oldest first**: a NumPy float64 array
of shape [count] whose entries are not negative and sum to 1. ``checkpoint.average`` applies them to
checkpoints on disk, ``average_params`` during training.

=====================  ==================================================================================
:func:`merge_weights`  the checkpoints of a constant rate, merged as if the rate had decayed (WSM)
:func:`sma_weights`    equal weights
:func:`wma_weights`    in proportion to the index, counted from 1
:func:`ema_weights`    an exponential moving average that starts from the oldest
=====================  ==================================================================================

**Curriculum.** If the quality of the data rises over the run, a decay to zero uses the best data at
the lowest rates. The recipe of arXiv:2511.18903 (from notes on the paper, not the paper itself):
decay *moderately*, to a third of the peak, with 1 - sqrt, and average the last six checkpoints with
:func:`ema_weights`::

    decay = olrs.profiles.one_minus_sqrt
    lr = olrs.WSD(peak=3e-3, total_steps=T, decay_steps=T // 5, end=1e-3, decay=decay)
    ...
    params = olrs.checkpoint.average(folder, params, weights=olrs.ema_weights(6))

"CMA" is the same with a constant rate. The notes give these benchmark means for 1.5B parameters and
30B tokens: 50.95 for a constant rate, averaged, with ascending quality; 50.56 for WSD in uniform
order; 50.34 for WSD with ascending quality."""

from __future__ import annotations

import numpy as np

from optax_lrs import profiles
from optax_lrs._clock import Clock
from optax_lrs._clock.phase import Phase
from optax_lrs._value.arguments import instance, number, share, whole
from optax_lrs.profiles import Profile


def merge_weights(count: int, *, decay: Profile = profiles.linear, end: float = 0.0) -> np.ndarray:
    r"""Weights that merge the checkpoints of a constant rate as if the rate had decayed (WSM).

    .. math:: \sum_{j=0}^{k} c_j \theta_j = \theta_0 + \sum_{i=1}^{k} w_i\,(\theta_i-\theta_{i-1}),
              \qquad w_i = e + (1 - e)\, g(i/N),

    .. math:: c_0 = 1 - w_1, \quad c_j = w_j - w_{j+1}, \quad c_k = w_k

    with :math:`N = k + 1` = ``count``, the profile :math:`g` and :math:`e` = ``end``. Train at a
    constant rate after the warmup, save checkpoints at equal intervals, and merge the last
    ``count``. The updates between them are then weighted as if the rate had decayed over that
    interval, which can be chosen, and changed, after training. The equivalence is exact for the
    updates that *were made*; at the lower rate the gradients would have been different.

    A linear decay is the uniform average. ``one_minus_sqrt`` gives the oldest checkpoint the
    largest weight, a cosine the middle one. The length of the interval matters more than the
    profile (the authors; from notes). ``end`` is the last rate of the decay as a share of the peak,
    as in WSD: the merge is then :math:`1 - e` times the merge to zero plus :math:`e` times the
    newest checkpoint.

    Args:
        count: the number of checkpoints. For 1 the weight is 1. (Megatron-LM's function returns
            0.)
        decay: the profile of the decay.
        end: the last rate as a share of the peak, in [0, 1]; 0 by default. It must be positive for
            profiles that need a positive end.

    Raises:
        ValueError: if ``count`` is below 1, ``end`` is not in [0, 1], ``end`` is 0 although the
            profile needs a positive one, or the profile rises, so that a weight would be negative.
        TypeError: if ``count`` is not an int, ``end`` is not a number, or ``decay`` is not a
            profile.

    Example:
        >>> print(merge_weights(5))
        [0.2 0.2 0.2 0.2 0.2]
        >>> print(merge_weights(5, decay=profiles.one_minus_sqrt).round(4))
        [0.4472 0.1852 0.1421 0.1198 0.1056]

    References:
        Tian et al., WSM: Decay-Free Learning Rate Schedule via Checkpoint Merging for LLM
        Pre-training, arXiv:2507.17634. From a summary of the paper and Megatron-LM's
        ``tools/checkpoint/weighted_merge.py``; the paper itself was not available.
    """
    count = whole("merge_weights", "count", count, low=1)
    decay = instance("merge_weights", "decay", decay, Profile, example="profiles.linear")
    end = share("merge_weights", "end", end)
    if decay.needs_end and end == 0:
        raise ValueError(f"merge_weights: end must be above 0 because decay is {decay!r}, got end={end!r}")
    phase = Phase(Clock(np, np.arange(1, count)), 0, count)
    # With w_0 = 1 and w_N = 0 around w_1 … w_k, every weight is a difference of neighbors.
    shares = np.concatenate([[1.0], np.broadcast_to(decay.rate(phase, 1.0, end), (count - 1,)), [0.0]])
    weights = shares[:-1] - shares[1:]
    if weights.min() < -1e-12:
        raise ValueError(
            f"merge_weights: decay must not rise, got {decay!r}, which gives a weight of {weights.min():.3g}"
        )
    return np.maximum(weights, 0.0)


def sma_weights(count: int) -> np.ndarray:
    r"""Weights of a simple moving average: :math:`c_j = 1/N`.

    The weights of stochastic weight averaging and of "latest-k" averaging; the same as
    :func:`merge_weights` with a linear decay.

    Args:
        count: the number of checkpoints.

    Raises:
        ValueError, TypeError: if ``count`` is not an int of at least 1.

    Example:
        >>> print(sma_weights(4))
        [0.25 0.25 0.25 0.25]

    References:
        "SMA" of arXiv:2511.18903 (from notes on the paper, not the paper itself), with six
        checkpoints.
    """
    count = whole("sma_weights", "count", count, low=1)
    return np.full(count, 1.0 / count)


def wma_weights(count: int) -> np.ndarray:
    r"""Weights of a weighted moving average, which rise linearly.

    .. math:: c_j = \frac{2(j + 1)}{N (N + 1)}

    Args:
        count: the number of checkpoints.

    Raises:
        ValueError, TypeError: if ``count`` is not an int of at least 1.

    Example:
        >>> print(wma_weights(4))
        [0.1 0.2 0.3 0.4]

    References:
        "WMA" of arXiv:2511.18903 (from notes on the paper, not the paper itself), with six
        checkpoints.
    """
    count = whole("wma_weights", "count", count, low=1)
    return np.arange(1, count + 1) / (count * (count + 1) / 2)


def ema_weights(count: int, *, alpha: float = 0.2) -> np.ndarray:
    r"""Weights of an exponential moving average that starts from the oldest checkpoint.

    .. math:: c_0 = (1-\alpha)^{N-1}, \qquad c_j = \alpha (1-\alpha)^{N-1-j}

    That is :math:`M_0 = \theta_0,\; M_j = \alpha \theta_j + (1 - \alpha) M_{j-1}` over
    *checkpoints*, not over steps. With few checkpoints the oldest keeps much of the weight: 33%
    with the six checkpoints and the ``alpha`` of the paper.

    Args:
        count: the number of checkpoints.
        alpha: the weight of the newest, in (0, 1]; 0.2 by default, as in the paper. 1 keeps only
            the newest.

    Raises:
        ValueError, TypeError: if ``count`` is not an int of at least 1, or ``alpha`` not a number
            in (0, 1].

    Example:
        >>> print(ema_weights(6))
        [0.32768 0.08192 0.1024  0.128   0.16    0.2    ]

    References:
        "EMA" of arXiv:2511.18903 (from notes on the paper, not the paper itself), with six
        checkpoints.
    """
    count = whole("ema_weights", "count", count, low=1)
    alpha = number("ema_weights", "alpha", alpha, above=0, high=1)
    left = (1.0 - alpha) ** np.arange(count - 1, -1, -1)
    return left * np.where(np.arange(count) == 0, 1.0, alpha)
