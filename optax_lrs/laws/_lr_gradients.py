"""How the last loss changes with every rate: exact, in O(T), for those who look for the best schedule."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from optax_lrs.laws._annealing import Annealing
from optax_lrs.laws._kernel_sums import LOWEST
from optax_lrs.laws._law import Law
from optax_lrs.laws._multi_power import MultiPower
from optax_lrs.laws._observations import checked_lrs, treated, warmup_length
from optax_lrs.laws._one_power import OnePower
from optax_lrs.laws._recurrences import drops
from optax_lrs.laws._sublinear import SublinearPower, effective


def lr_gradient(law: Law, lrs: Sequence[float] | np.ndarray) -> np.ndarray:
    r"""The derivatives :math:`\partial L(T-1) / \partial \eta_s` of the last loss, for every step s.

    Rates at zero count as 1e-10, as in the law. With a warmup that the law does not count as it was, what its rates
    stand for is the rate at its end.

    Args:
        law: a :class:`OnePower`, :class:`Annealing`, :class:`MultiPower` or :class:`SublinearPower`; of the last the
            derivative at a rate of zero, which is infinite, is given as zero.
        lrs: the rate of every step, shape [T].

    Returns:
        The derivatives, float64, shape [T].

    Raises:
        TypeError: for other laws.
        ValueError: if the rates are negative, not finite, or all zero.

    Example:
        >>> law = Annealing.published()
        >>> lr_gradient(law, [2e-4] * 20_000)[[10_000, -1]].round(3).tolist()  # only at the end would less be better
        [-0.028, 0.383]
    """
    if not isinstance(law, (OnePower, Annealing, MultiPower, SublinearPower)):
        raise TypeError(
            f"lr_gradient: law must be a OnePower, Annealing, MultiPower or SublinearPower, got {type(law).__name__}"
        )
    lrs = checked_lrs(lrs)
    if not lrs.any():
        raise ValueError("lr_gradient: lrs are all zero, and the loss infinite")
    if isinstance(law, SublinearPower):
        powers = effective(lrs, law.lr_power)
        slope = np.divide(law.lr_power * powers, lrs, out=np.zeros(len(lrs)), where=lrs > LOWEST)
        return slope * lr_gradient(law.as_multi_power(), powers)
    summed, seen = treated(lrs, law.warmup)
    by_sum = np.full(len(lrs), -law.power_scale * law.power_exponent * summed.sum() ** (-law.power_exponent - 1))
    by_seen = np.zeros(len(lrs))
    if isinstance(law, Annealing):
        by_seen = -law.drop_scale * _by_drops(_reach(law.decay_factor, len(lrs)))
    elif isinstance(law, MultiPower):
        more_sum, more_seen = _loss_drop_gradient(law, summed, seen)
        by_sum, by_seen = by_sum - law.drop_scale * more_sum, -law.drop_scale * more_seen
    if law.warmup == "counted":
        return by_sum + by_seen
    by_seen = _at_the_end_of_the_warmup(by_seen, lrs)
    return by_seen + (_at_the_end_of_the_warmup(by_sum, lrs) if law.warmup == "as_peak" else by_sum)


def last_loss(law: MultiPower | SublinearPower, lrs: np.ndarray) -> float:
    """The last entry of the law's curve, by the sum over all drops: one step's is faster so than by blocks."""
    if isinstance(law, SublinearPower):
        return last_loss(law.as_multi_power(), effective(lrs, law.lr_power))
    summed, seen = treated(lrs, law.warmup)
    pace = law.drop_speed * np.maximum(seen, LOWEST) ** -law.lr_exponent
    done = -np.expm1(-law.drop_exponent * np.log1p(pace * np.cumsum(summed[::-1])[::-1]))
    gain = law.drop_scale * float(drops(seen) @ done)
    return float(law.irreducible + law.power_scale * summed.sum() ** -law.power_exponent - gain)


def _by_drops(weights: np.ndarray) -> np.ndarray:
    """The gradient of the sum over k of weight times drop: each rate ends one drop and starts the next; the first has none."""
    after = np.concatenate([weights[1:], [0.0]])
    return after - np.concatenate([[0.0], weights[1:]])


def _reach(factor: float, count: int) -> np.ndarray:
    """What a drop at each step adds to the area at the last: 1 + f + f^2 + … over the steps since, itself included."""
    return np.cumsum(factor ** np.arange(count))[::-1]


def _loss_drop_gradient(law: MultiPower, summed: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    since = np.cumsum(summed[::-1])[::-1]
    rates = np.maximum(seen, LOWEST)
    pace = law.drop_speed * rates**-law.lr_exponent
    logs = np.log1p(pace * since)
    done = -np.expm1(-law.drop_exponent * logs)
    steep = drops(seen) * law.drop_exponent * np.exp(-(law.drop_exponent + 1) * logs)  # drop times G'
    by_rate = np.where(seen > LOWEST, -law.lr_exponent * steep * pace * since / rates, 0.0)
    return np.cumsum(steep * pace), _by_drops(done) + by_rate


def _at_the_end_of_the_warmup(gradient: np.ndarray, lrs: np.ndarray) -> np.ndarray:
    length = warmup_length(lrs)
    gradient = gradient.copy()
    gradient[length] += gradient[:length].sum()
    gradient[:length] = 0.0
    return gradient
