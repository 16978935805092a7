"""The arms: pre-training runs to start from, and ways to continue from them on new data.

All schedules use the clock of the whole run: step 0 is the first of pre-training, `at` the first on
new data. Adam's moments are kept. Unlike here, the papers reset the optimizer's state;
benchmarks/continual/continual.py compares the two.
"""

import dataclasses

import optax_lrs as olrs


@dataclasses.dataclass(frozen=True)
class Arm:
    schedule: olrs.Schedule
    start: str | None = "annealed"  # the pre-training run; None: from scratch, on both texts
    replay: float = 0.0  # the share of old data
    merge_steps: int = 0  # instead of a decay: average the checkpoints of the last so many steps


def beginnings(peak: float, steps: int) -> dict[str, olrs.Schedule]:
    """The schedules of the pre-training runs that the arms start from, `steps` long."""
    warmup_steps = max(1, steps // 20)
    return {
        # Cosine to a tenth: a finished model, the usual case.
        "annealed": olrs.Cosine(peak=peak, total_steps=steps, warmup_steps=warmup_steps, end=peak / 10),
        # A constant rate: WSD before its decay.
        "stable": olrs.WSD(peak=peak, total_steps=steps, decay_steps=0, warmup_steps=warmup_steps),
        # The infinite schedule up to its plateau, at 55% of the peak as in the paper.
        "plateau": olrs.Infinite(
            peak=peak,
            plateau=0.55 * peak,
            cooldown_steps=max(1, round(0.55 * steps)),
            warmup_steps=warmup_steps,
            end=peak / 10,
        ),
    }


def rewarmed(annealed: olrs.Schedule, *, at: int, steps: int, peak: float, warmup: float = 0.01) -> olrs.Schedule:
    """A warmup to the peak in a share of the new steps, then a cosine to a tenth of it."""
    warmup_steps = round(warmup * steps)
    return olrs.rewarm(annealed, at=at, peak=peak, warmup_steps=warmup_steps, decay_steps=steps - warmup_steps)


def arms(begun: dict[str, olrs.Schedule], *, peak: float, at: int, steps: int) -> dict[str, Arm]:
    """The ways to continue, `steps` long.

    Those that start from a rate that is still high decay over the last half of the steps.
    """
    annealed, stable, plateau = (begun[name] for name in ("annealed", "stable", "plateau"))
    decay_steps = steps // 2
    end = at + steps
    once = rewarmed(annealed, at=at, steps=steps, peak=peak)
    half = steps // 2
    twice = olrs.rewarm(
        annealed,
        at=(at, at + half),
        peak=peak,
        warmup_steps=max(1, half // 100),
        decay_steps=half - max(1, half // 100),
    )
    # A finished schedule stays at its last rate; if that is zero, nothing would be learned.
    low = annealed if annealed.at(at) > 0 else olrs.join(annealed, olrs.Constant(value=peak / 10), at=at)
    return {
        "constant low rate": Arm(low),
        "repeated cosine": Arm(twice),
        "re-warm": Arm(once),
        "re-warm, 1% replay": Arm(once, replay=0.01),
        "re-warm, 5% replay": Arm(once, replay=0.05),
        "re-warm, 25% replay": Arm(once, replay=0.25),
        "infinite": Arm(olrs.decay_from(plateau, at=end - decay_steps, steps=decay_steps), "plateau"),
        "WSD branch": Arm(olrs.with_cooldown(stable, at=end - decay_steps, steps=decay_steps), "stable"),
        "merged": Arm(stable, "stable", merge_steps=decay_steps),
        "joint, from scratch": Arm(
            olrs.Cosine(peak=peak, total_steps=end, warmup_steps=max(1, end // 20), end=peak / 10),
            start=None,
            replay=at / end,
        ),
    }
