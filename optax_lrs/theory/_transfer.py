"""Transfer: what was tuned at one horizon and one cooldown, told for another."""

from __future__ import annotations

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
    r"""The factor by which to change WSD's tuned peak for another length of the run or of the cooldown.

    .. math:: \frac{\gamma^*(T', d')}{\gamma^*(T, d)}

    with the optimal rate :math:`\gamma^*` of the bound for equal norms. Longer cooldowns want higher rates, and the factor
    hardly depends on the horizon: from 20% of the run to 60% it is 1.38, from 20% to all of it 1.94. Longer runs want
    lower ones, nearly as :math:`1/\sqrt T`. In the paper's runs (124M parameters, 50k steps) the best of the rates 1e-3
    and 2e-3 moved to the higher one between cooldowns of 40% and of 60%.

    Unlike the paper, which fits a polynomial in the share to :math:`\ln \gamma^*`, this asks the bound itself.

    Args:
        total_steps: the length of the run that the peak was tuned at; warmup is left out of account.
        decay_steps: the length of its cooldown.
        new_total_steps: the length of the run that it is wanted for; the same by default.
        new_decay_steps: the length of that one's cooldown; the same share by default.
        decay: the profile of both cooldowns; linear by default. Another one costs O(steps) instead of O(1).

    Raises:
        ValueError: if there are no steps, a cooldown is longer than its run, or the profile needs an end.
        TypeError: if a count is no int, or ``decay`` no profile.

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
    r"""The cooldown of a longer WSD run for which the peak tuned on the shorter one is right.

    The :math:`d'` with :math:`\gamma^*(T', d') = \gamma^*(T, d)`, :math:`\gamma^*` being the optimal rate of the bound for equal
    norms: a longer run wants a lower rate, a longer cooldown a higher one. It lets a run go on with its rate unchanged, as
    the cooldown begins only later. From 20% of the run: 45% of 1.5 times the run, 63% of twice, 88% of three times. In the
    paper's runs (124M parameters, from 50k to 100k steps, cooldown of 60%): 2.8878, against 2.9037 with 20% and the same
    rate.

    From about 3.8 times the run on (of 20%) no cooldown is long enough: then it is the whole run, and
    :func:`two_stage_factor` the better answer.

    Args:
        total_steps: the length of the run that the peak was tuned at; warmup is left out of account.
        decay_steps: the length of its cooldown.
        new_total_steps: the length of the longer run.
        decay: the profile of both cooldowns; linear by default. Another one costs O(steps · log steps): two seconds for a
            million steps.

    Returns:
        The length of the longer run's cooldown in steps, the last with an optimal rate not above the peak;
        ``new_total_steps`` if that is not enough.

    Raises:
        ValueError: if the new run is shorter, the cooldown is longer than its run, or the profile needs an end.
        TypeError: if a count is no int, or ``decay`` no profile.

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
    low, high = 1, new_total_steps + 1  # the optimal rate rises with the cooldown: at most `rate` at low, above at high
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
    r"""The factor :math:`\rho` on the peak for the rest of a WSD run that is extended when its cooldown was due.

    The run keeps its rate up to step ``total_steps - decay_steps``, goes on with :math:`\rho` times the rate, and cools
    down at the end of ``new_total_steps``. :math:`\rho` is such that the optimal rate of the whole is that of the first
    run: the rate already used is the right one in hindsight. From 20% of the run: 0.64 for 1.5 times the run, 0.53 for
    twice, 0.38 for four times. In the paper's runs (124M parameters, 50k steps; ramps over 1000 steps to 0.525 and 0.375
    of the rate): 2.8975 against 2.9037 with the same rate at 100k steps, 2.8552 against 2.8608 at 200k.
    :func:`adapted_cooldown` was better still at 100k (2.8878).

    Unlike the paper, which takes the nearest of 33 values (hence 0.525 and 0.375), this is the root; of two, the larger.

    Args:
        total_steps: the length of the run that the peak was tuned at; warmup is left out of account.
        decay_steps: the length of its cooldown.
        new_total_steps: the length of the extended run.
        new_decay_steps: the length of its cooldown; the same share by default.
        decay: the profile of both cooldowns; linear by default. Another one costs O(steps), once.

    Raises:
        ValueError: if the new run is shorter, its cooldown starts before the first one would have, a cooldown is longer
            than its run, or the profile needs an end; or if no factor above 1e-9 does it.
        TypeError: if a count is no int, or ``decay`` no profile.

    Example:
        >>> for new_total_steps in (100_000, 200_000):
        ...     print(f"{two_stage_factor(total_steps=50_000, decay_steps=10_000, new_total_steps=new_total_steps):.3f}")
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
        raise ValueError(
            f"{owner}: new_decay_steps={new_decay_steps} must leave the first {first} of {new_total_steps} steps as they were"
        )
    rate = wsd(owner, total_steps, decay_steps, decay).terms.optimal_rate
    if new_total_steps == first:  # nothing is left to change
        return 1.0
    second = wsd(owner, new_total_steps - first, new_decay_steps, decay)

    def excess(factor: float) -> float:
        return second.scaled(factor).after_plateau(first).terms.optimal_rate / rate - 1.0

    high = 1.0
    if excess(high) >= 0.0:  # nothing was extended
        return high
    while excess(low := 0.8 * high) < 0.0:
        if low < 1e-9:
            raise ValueError(f"{owner}: no factor keeps the rate right for new_total_steps={new_total_steps}")
        high = low
    return float(brentq(excess, low, high, xtol=1e-14))


def _new_run(
    owner: str, total_steps: int, decay_steps: int, new_total_steps: int, new_decay_steps: int | None
) -> tuple:
    """The other run's length and cooldown, checked; the share of the cooldown is kept if none is given."""
    if new_decay_steps is None:
        new_decay_steps = decay_steps * whole(owner, "new_total_steps", new_total_steps) // total_steps
    return run_of(owner, new_total_steps, new_decay_steps, ("new_total_steps", "new_decay_steps"))


def _longer_run(
    owner: str, total_steps: int, decay_steps: int, new_total_steps: int, new_decay_steps: int | None
) -> tuple:
    new = _new_run(owner, total_steps, decay_steps, new_total_steps, new_decay_steps)
    if new[0] < total_steps:
        raise ValueError(f"{owner}: new_total_steps must be at least total_steps, got {new[0]} and {total_steps}")
    return new
