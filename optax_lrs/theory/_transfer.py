"""Transfer: what was tuned at one horizon and cooldown, converted to another."""

from __future__ import annotations

from typing import Any

from optax_lrs import profiles
from optax_lrs._value.arguments import whole
from optax_lrs.theory._closed_forms import run_of, wsd


def rate_transfer(
    *,
    total_steps: int,
    decay_steps: int,
    new_total_steps: int | None = None,
    new_decay_steps: int | None = None,
    decay: profiles.Profile = profiles.linear,
) -> float:
    r"""The factor on WSD's tuned peak for another length of the run or the cooldown.

    .. math:: \frac{\gamma^*(T', d')}{\gamma^*(T, d)}

    where :math:`\gamma^*` is the optimal rate of the bound for equal norms. Longer cooldowns need
    higher rates, and the factor hardly depends on the horizon: from 20% of the run to 60% it is
    1.38, from 20% to all of it 1.94. Longer runs need lower rates, nearly as :math:`1/\sqrt T`. In
    the paper's runs (124M parameters, 50k steps) the better of the rates 1e-3 and 2e-3 changed to
    the higher one between cooldowns of 40% and 60%.

    Unlike the paper, which fits a polynomial in the share to :math:`\ln \gamma^*`, this evaluates
    the bound itself.

    Args:
        total_steps: the length of the run at which the peak was tuned; warmup is not counted.
        decay_steps: the length of its cooldown.
        new_total_steps: the length of the new run; the same by default.
        new_decay_steps: the length of its cooldown; the same share by default.
        decay: the profile of both cooldowns; linear by default. Others cost O(steps) instead of
            O(1).

    Returns:
        The factor.

    Raises:
        ValueError: if there are no steps, a cooldown is longer than its run, or the profile needs
            an end.
        TypeError: if a count is not an int, or ``decay`` is not a profile.

    Example:
        >>> factor = rate_transfer(total_steps=50_000, decay_steps=10_000, new_decay_steps=30_000)
        >>> print(f"tuned 1e-3 with a cooldown of 20%: try {1e-3 * factor:.2e} with one of 60%")
        tuned 1e-3 with a cooldown of 20%: try 1.38e-03 with one of 60%

    References:
        Schaipp et al., arXiv:2501.18965.
    """
    owner = "rate_transfer"
    total_steps, decay_steps = run_of(owner, total_steps, decay_steps)
    new_total_steps = total_steps if new_total_steps is None else new_total_steps
    new = _new_run(owner, total_steps, decay_steps, new_total_steps, new_decay_steps)
    return float(
        wsd(owner, *new, decay).terms.optimal_rate / wsd(owner, total_steps, decay_steps, decay).terms.optimal_rate
    )


def adapted_cooldown(
    *, total_steps: int, decay_steps: int, new_total_steps: int, decay: profiles.Profile = profiles.linear
) -> int:
    r"""The cooldown of a longer WSD run at which the peak tuned on a shorter run is right.

    It is the :math:`d'` with :math:`\gamma^*(T', d') = \gamma^*(T, d)`, where :math:`\gamma^*` is
    the optimal rate of the bound for equal norms: a longer run needs a lower rate, a longer
    cooldown a higher one. So a run can continue with its rate unchanged, because only the start of
    the cooldown moves. From 20% of the run, the cooldown becomes 45% of 1.5 times the run, 63% of
    twice, 88% of three times. In the paper's runs (124M parameters, from 50k to 100k steps,
    cooldown of 60%) the loss was 2.8878, against 2.9037 with 20% and the same rate.

    From about 3.8 times the run on (starting from 20%) no cooldown is long enough. The result is
    then the whole run, and :func:`two_stage_factor` is the better answer.

    Args:
        total_steps: the length of the run at which the peak was tuned; warmup is not counted.
        decay_steps: the length of its cooldown.
        new_total_steps: the length of the longer run.
        decay: the profile of both cooldowns; linear by default. Others cost O(steps · log steps):
            two seconds for a million steps.

    Returns:
        The length of the longer run's cooldown in steps: the longest whose optimal rate is not
        above the peak, and ``new_total_steps`` if no cooldown is long enough.

    Raises:
        ValueError: if the new run is shorter, the cooldown is longer than its run, or the profile
            needs an end.
        TypeError: if a count is not an int, or ``decay`` is not a profile.

    Example:
        >>> adapted_cooldown(total_steps=50_000, decay_steps=10_000, new_total_steps=100_000)
        63430

    References:
        Schaipp et al., arXiv:2501.18965.
    """
    owner = "adapted_cooldown"
    total_steps, decay_steps = run_of(owner, total_steps, decay_steps)
    new_total_steps, _ = _longer_run(owner, total_steps, decay_steps, new_total_steps, None)
    rate = wsd(owner, total_steps, decay_steps, decay).terms.optimal_rate
    # The optimal rate rises with the cooldown: at most `rate` at low, above it at high.
    low, high = 1, new_total_steps + 1
    while high - low > 1:
        middle = (low + high) // 2
        if wsd(owner, new_total_steps, middle, decay).terms.optimal_rate <= rate:
            low = middle
        else:
            high = middle
    return low


def two_stage_factor(
    *,
    total_steps: int,
    decay_steps: int,
    new_total_steps: int,
    new_decay_steps: int | None = None,
    decay: profiles.Profile = profiles.linear,
) -> float:
    r"""The factor on the peak for the rest of a WSD run, extended when its cooldown was due.

    The run keeps its rate up to step ``total_steps - decay_steps``, continues with :math:`\rho`
    times the rate, and cools down at the end of ``new_total_steps``. :math:`\rho` makes the optimal
    rate of the whole equal to that of the first run, so the rate already used is right in
    hindsight. From 20% of the run it is 0.64 for 1.5 times the run, 0.53 for twice, 0.38 for four
    times. In the paper's runs (124M parameters, 50k steps; ramps over 1000 steps to 0.525 and 0.375
    of the rate) the loss was 2.8975 against 2.9037 with the same rate at 100k steps, and 2.8552
    against 2.8608 at 200k. :func:`adapted_cooldown` was better still at 100k (2.8878).

    Unlike the paper, which takes the nearest of 33 values (hence 0.525 and 0.375), this is the
    exact root; of two, the larger.

    Args:
        total_steps: the length of the run at which the peak was tuned; warmup is not counted.
        decay_steps: the length of its cooldown.
        new_total_steps: the length of the extended run.
        new_decay_steps: the length of its cooldown; the same share by default.
        decay: the profile of both cooldowns; linear by default. Others cost O(steps), once.

    Returns:
        The factor :math:`\rho`.

    Raises:
        ValueError: if the new run is shorter, its cooldown starts before the first one was due, a
            cooldown is longer than its run, the profile needs an end, or no factor above 1e-9
            works.
        TypeError: if a count is not an int, or ``decay`` is not a profile.

    Example:
        >>> for longer in (100_000, 200_000):
        ...     factor = two_stage_factor(total_steps=50_000, decay_steps=10_000, new_total_steps=longer)
        ...     print(f"{factor:.3f}")
        0.532
        0.374

    References:
        Schaipp et al., arXiv:2501.18965.
    """
    from scipy.optimize import brentq

    owner = "two_stage_factor"
    total_steps, decay_steps = run_of(owner, total_steps, decay_steps)
    new_total_steps, new_decay_steps = _longer_run(owner, total_steps, decay_steps, new_total_steps, new_decay_steps)
    first = total_steps - decay_steps
    if new_total_steps - new_decay_steps < first:
        most = new_total_steps - first
        raise ValueError(
            f"{owner}: new_decay_steps must be at most {most}, to keep the first {first} steps, got {new_decay_steps}"
        )
    rate = wsd(owner, total_steps, decay_steps, decay).terms.optimal_rate
    if new_total_steps == first:  # no steps remain to change
        return 1.0
    second = wsd(owner, new_total_steps - first, new_decay_steps, decay)

    def excess(factor: float) -> float:
        return second.scaled(factor).after_plateau(first).terms.optimal_rate / rate - 1.0

    high = 1.0
    if excess(high) >= 0.0:  # nothing was extended
        return high
    while excess(low := 0.8 * high) < 0.0:
        if low < 1e-9:
            raise ValueError(
                f"{owner}: new_total_steps must be shorter: no factor keeps the rate right, got {new_total_steps}"
            )
        high = low
    root: Any = brentq(excess, low, high, xtol=1e-14)
    return float(root)


def _new_run(
    owner: str, total_steps: int, decay_steps: int, new_total_steps: int, new_decay_steps: int | None
) -> tuple[int, int]:
    """The lengths of the other run, checked; by default the cooldown keeps its share."""
    if new_decay_steps is None:
        new_decay_steps = decay_steps * whole(owner, "new_total_steps", new_total_steps) // total_steps
    return run_of(owner, new_total_steps, new_decay_steps, ("new_total_steps", "new_decay_steps"))


def _longer_run(
    owner: str, total_steps: int, decay_steps: int, new_total_steps: int, new_decay_steps: int | None
) -> tuple[int, int]:
    new = _new_run(owner, total_steps, decay_steps, new_total_steps, new_decay_steps)
    if new[0] < total_steps:
        raise ValueError(f"{owner}: new_total_steps must be at least total_steps, got {new[0]} and {total_steps}")
    return new
