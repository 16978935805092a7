"""Tests choose and optimize on rankings of real runs and on published optima."""

from __future__ import annotations

import pathlib
import time
import warnings
from collections.abc import Callable, Mapping, Sequence

import cooldown_runs
import numpy as np
from protocols import COMPARED, LAWS
from published_runs import PEAK, WARMUP
from reporting import Bar

import optax_lrs as olrs
from optax_lrs import laws, profiles

MEASURED_SHARE = 0.6  # the best share of a linear cooldown in 50,000 steps, of 0.1, 0.2, 0.4, 0.6, 0.8, 0.9
OPTIMIZED = {
    "25M": 3.14968,
    "100M": 2.79414,
    "400M": 2.53322,
}  # losses that Luo et al. predict for their optimized schedules
TAIL_STARTS = {
    "25M": 19375,
    "100M": 18950,
    "400M": 19056,
}  # where those schedules begin to fall, in steps after the warmup
SHARES = {  # the best share of the tail and its loss by the published annealing fit, by length and shape
    (20_000, "cosine"): (0.25, 2.772881),
    (20_000, "linear"): (0.25, 2.777497),
    (20_000, "one_minus_sqrt"): (0.2, 2.774692),
    (60_000, "cosine"): (0.2, 2.664329),
    (60_000, "linear"): (0.2, 2.668540),
    (60_000, "one_minus_sqrt"): (0.15, 2.666576),
}
_GRID = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0)


def cooldowns(runs: Mapping[str, olrs.Run], members: int) -> tuple[list[dict], list[dict], list[Bar]]:
    """124M, fitted to a stable run and a short cosine.

    Returns the errors, the rank correlations, the best share, and how many differences are called
    real.
    """
    fitted = [runs[name] for name in cooldown_runs.FITTED]
    rows, each = [], []
    for label in (*COMPARED, "ours"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", laws.LawWarning)
            law = LAWS[label](fitted)
            known = laws.bootstrap(law, fitted, n=members) if members else law
            others = {name: run for name, run in runs.items() if name not in cooldown_runs.FITTED}
            found = {name: law.score(run) for name, run in others.items()}
            means = dict(zip(laws.Metrics._fields, np.mean(list(found.values()), axis=0)))
            row = {"law": label, "mae": means["mae"], "pred_error": means["pred_error"]}
            each += [{"law": label, "curve": name, **one._asdict()} for name, one in found.items()]
            for total in (25_000, 50_000):
                candidates = {name: run for name, run in runs.items() if run.notes["total"] == total}
                choice = laws.choose(known, {name: run.schedule for name, run in candidates.items()}, steps=total)
                finals = {name: run.notes["final"] for name, run in candidates.items()}
                row |= {f"{key}, {total}": value for key, value in _ranking(choice, finals).items()}
            best = laws.optimize_family(law, _linear_tail, {"share": tuple(np.arange(1, 20) / 20)}, steps=50_000)
            row["best share"] = best.arguments["share"]
            tried = {round(point["share"], 2): point["loss"] for point in best.tried}
            true = {share: runs[f"wsd_linear_{share}_50000"].notes["final"] for share in (0.1, 0.2, 0.4, 0.6, 0.8, 0.9)}
            run_of_best = min(true, key=lambda share: tried[share])
            row["best of those run"], row["regret"] = run_of_best, true[run_of_best] - min(true.values())
        rows.append(row)
    ours = rows[-1]
    bars = [
        Bar("124M: mean relative error of ours, %", 100 * ours["pred_error"], 0.20),
        Bar("124M: the aim, %", 100 * ours["pred_error"], 0.15),
        Bar("124M: loss of the linear cooldown that ours calls best, above the best", ours["regret"], 0.002),
    ]
    for total in (25_000, 50_000):
        key = f"rank correlation, {total}"
        best = max(row[key] for row in rows[:-1])
        bars.append(Bar(f"124M: 1 - {key}: of ours, of that of the best other", (1 - ours[key]) / (1 - best), 1.0))
    return rows, each, bars


def _linear_tail(share: float) -> olrs.Schedule:
    return olrs.Tabulated(lrs=cooldown_runs.rates_of("wsd", "linear", 50_000, share))


def _ranking(choice: laws.Choice, finals: Mapping[str, float]) -> dict[str, float]:
    """Spearman's correlation with the measured losses.

    Also how many pairs are called real, and how many of these are in the right order.
    """
    from scipy.stats import spearmanr

    names = list(choice.losses)
    pairs = [pair for pair in choice.differences() if pair.is_real]
    right = [finals[pair.better] < finals[pair.worse] for pair in pairs]
    return {
        "rank correlation": float(spearmanr([choice.losses[n] for n in names], [finals[n] for n in names]).statistic),
        "pairs": len(choice.differences()),
        "called real": len(pairs),
        "of them right": sum(right),
    }


def optima(*, quick: bool) -> tuple[list[dict], list[Bar]]:
    """Compares with the published optima of the annealing and the multi-power law."""
    rows, bars = [], []
    annealing = laws.Annealing.published()
    for (total, shape), (share, loss) in SHARES.items():
        best = laws.optimize_family(annealing, _tails(total, shape), {"share": _GRID}, steps=total + 1)
        rows.append(
            {
                "law": "annealing",
                "what": f"{shape} tail of {total}",
                "found": best.arguments["share"],
                "published": share,
                "loss": best.loss,
                "published loss": loss,
            }
        )
        off = abs(best.loss - loss) + abs(best.arguments["share"] - share)
        bars.append(Bar(f"annealing, {shape} tail of {total}: share and loss off by", off, 1e-6))
    for size in list(OPTIMIZED)[: 1 if quick else None]:
        law = laws.MultiPower.published(size).replace(warmup="summed")
        start = time.perf_counter()
        schedule = laws.optimize(law, steps=24_000, peak=PEAK, warmup_steps=WARMUP, knots=400)
        seconds = time.perf_counter() - start
        loss, lrs = law.final_loss(schedule, steps=24_000), schedule.at(np.arange(24_000))
        falls = int(np.argmax(lrs[WARMUP:] < 0.999 * PEAK))
        powers = laws.optimize_family(
            law,
            _power_tail,
            {"power": (1.0, 1.25, 1.5, 1.75, 2.0), "share": tuple(range(2000, 6001, 500))},
            steps=24_000,
        )
        rows.append(
            {
                "law": f"multi-power {size}",
                "what": "optimized",
                "found": falls,
                "published": TAIL_STARTS[size],
                "loss": loss,
                "published loss": OPTIMIZED[size],
                "end": float(lrs[-1]),
                "best power tail": powers.loss,
                "its arguments": str(powers.arguments),
                "seconds": seconds,
            }
        )
        bars += [
            Bar(f"{size}: optimized loss above the published optimum", loss - OPTIMIZED[size], 1e-4),
            Bar(f"{size}: optimized loss above the best power tail's", loss - powers.loss, 0.0),
            Bar(f"{size}: its last rate, of the peak", float(lrs[-1]) / PEAK, 0.05),
            Bar(f"{size}: best power minus 1.5", abs(powers.arguments["power"] - 1.5), 0.0),
        ]
    keys = list(rows[-1])
    return [{key: row.get(key) for key in keys} for row in rows], bars


def _tails(total: int, shape: str) -> Callable[[float], olrs.Schedule]:
    return lambda share: olrs.WSD(
        peak=2e-4, total_steps=total, decay_steps=round(share * total), decay=getattr(profiles, shape)
    )


def _power_tail(power: float, share: int) -> olrs.Schedule:
    return olrs.WSD(peak=PEAK, total_steps=23_999, warmup_steps=WARMUP, decay_steps=share, decay=profiles.power(power))


def own_runs(folder: pathlib.Path) -> list[dict]:
    """Predicts runs of examples/pretrain.py from fits to the constant run and the cosine."""
    runs = []
    for path in sorted(folder.rglob("*.npz")):
        run = olrs.Run.read(path)
        kept = run.steps < run.schedule.ends_at
        runs.append(
            (str(run.schedule), olrs.Run(steps=run.steps[kept], val_losses=run.val_losses[kept], schedule=run.schedule))
        )
    ends = min(run.schedule.ends_at for _, run in runs)
    fitted = [run for _, run in runs if _is_fitted(run.schedule, ends)]
    others = [(name, run) for name, run in runs if not _is_fitted(run.schedule, ends)]
    rows = []
    for label in (*COMPARED, "ours"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", laws.LawWarning)
            law = LAWS[label](_without_first(fitted))
        for (name, _), run in zip(others, _without_first([run for _, run in others])):
            row = {"law": label, "schedule": name, **law.score(run)._asdict()}
            known = run.val_losses[np.isfinite(run.val_losses)]
            last = run.steps[np.isfinite(run.val_losses)][-1]
            row["final"], row["predicted"] = (
                float(known[-1]),
                float(law.curve(run.schedule.at(np.arange(last + 1)), [last])[0]),
            )
            rows.append(row)
    return rows


def _is_fitted(schedule: olrs.Schedule, ends: int) -> bool:
    constant = isinstance(schedule, olrs.WSD) and schedule.decay_steps == 0
    return constant or (isinstance(schedule, olrs.Cosine) and schedule.ends_at == ends)


def _without_first(runs: Sequence[olrs.Run], first_step: int = 100) -> list[olrs.Run]:
    """The runs without their first steps, in which no law holds."""
    return [
        olrs.Run(
            steps=r.steps[r.steps >= first_step], val_losses=r.val_losses[r.steps >= first_step], schedule=r.schedule
        )
        for r in runs
    ]
