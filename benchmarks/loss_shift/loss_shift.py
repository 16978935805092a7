"""Measures the false alarms and the delays of LossShift, the detector of changes in a loss.

    python benchmarks/loss_shift/loss_shift.py [--quick] [--bars] [--out DIR]

False alarms are counted per 100,000 losses, on streams without a change: white noise, heavy tails,
autocorrelation, spikes, and a loss that falls as in training. Delays are counted in losses after a
jump of one, two and three standard deviations: their median, their 90% quantile, and the share
found within 1,000 losses. The default settings were chosen from this table, which also has their
neighbors.
"""

from __future__ import annotations

import pathlib
import sys
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # for what all benchmarks share

import jax
import jax.numpy as jnp
import numpy as np
from reporting import Bar, conclude, parse_args, print_table, progress, write_raw

import optax_lrs as olrs

LEVEL, SIGMA = 2.5, 0.05  # of the loss; the results depend on neither
BEFORE, WITHIN = 2_000, 1_000  # losses before a jump, and after it
DEFAULT = olrs.transforms.LossShift()
OTHERS = [
    *(DEFAULT.replace(threshold=threshold) for threshold in (20.0, 80.0)),
    *(DEFAULT.replace(drift=drift) for drift in (0.25, 1.0)),
    *(DEFAULT.replace(memory_steps=memory) for memory in (200, 2_000)),
    DEFAULT.replace(cap=1e6),
]


def autocorrelated(random: np.random.Generator, shape: tuple[int, int], phi: float) -> np.ndarray:
    """An autoregressive process of variance 1, started in its stationary state."""
    noise = random.standard_normal(shape) * np.sqrt(1 - phi**2)
    found = np.empty(shape)
    found[0] = random.standard_normal(shape[1])
    for step in range(1, shape[0]):
        found[step] = phi * found[step - 1] + noise[step]
    return found


def streams(random: np.random.Generator, steps: int, seeds: int) -> dict[str, np.ndarray]:
    """Losses without a change, in standard deviations, shape [steps, seeds]."""
    shape = (steps, seeds)
    white = random.standard_normal(shape)
    return {
        "white": white,
        "Student t, 3": random.standard_t(3, shape) / np.sqrt(3),
        "spikes": white + 20 * (random.random(shape) < 1e-3),
        "falling": white + 40 / np.sqrt(1 + np.arange(steps)[:, None] / 200),
        "AR 0.5": autocorrelated(random, shape, 0.5),
        "AR 0.9": autocorrelated(random, shape, 0.9),
        "AR 0.99": autocorrelated(random, shape, 0.99),
    }


def shifts(detector: olrs.transforms.LossShift, deviations: np.ndarray) -> np.ndarray:
    """Where the detector reports a change: bools like the losses, one detector for each column."""

    def step(state, values):
        changed, state = jax.vmap(detector.seen)(state, values)
        return state, changed

    start = jax.tree.map(lambda leaf: jnp.zeros(deviations.shape[1:], leaf.dtype), detector.begin())
    losses = jnp.asarray(LEVEL + SIGMA * deviations, jnp.float32)
    return np.asarray(jax.jit(lambda values: jax.lax.scan(step, start, values)[1])(losses))


def measured(
    detector: olrs.transforms.LossShift, quiet: dict[str, np.ndarray], jumps: dict[str, np.ndarray]
) -> dict[str, Any]:
    """One row: the false alarms on each stream and the delays after each jump."""
    fields = ("threshold", "drift", "memory_steps", "cap")
    row: dict[str, Any] = {name: getattr(detector, name) for name in fields}
    for name, deviations in quiet.items():
        row[f"{name}, per 1e5"] = float(np.sum(shifts(detector, deviations)) / deviations.size * 1e5)
    for name, deviations in jumps.items():
        for sigmas in (1, 2, 3):
            jumped = deviations + sigmas * (np.arange(len(deviations)) >= BEFORE)[:, None]
            after = shifts(detector, jumped)[BEFORE:]
            found = np.any(after, axis=0)
            delays = np.where(found, np.argmax(after, axis=0) + 1, np.inf)
            row[f"{name} +{sigmas}, median"] = float(np.median(delays))
            row[f"{name} +{sigmas}, 90%"] = float(np.quantile(delays, 0.9, method="higher"))
            row[f"{name} +{sigmas}, found"] = float(np.mean(found))
    return row


def bars(row: dict[str, Any]) -> list[Bar]:
    """The claims of the docstring of LossShift about its defaults."""
    quiet = [
        Bar(f"false alarms per 1e5, {name}", row[f"{name}, per 1e5"], 0.1)
        for name in ("white", "Student t, 3", "spikes", "falling", "AR 0.5")
    ]
    delays = [
        Bar(f"delay after {sigmas} sigma, nine in ten", row[f"white +{sigmas}, 90%"], limit)
        for sigmas, limit in ((2, 50.0), (3, 25.0))
    ]
    return [*quiet, *delays, Bar("missed after 2 sigma", 1.0 - row["white +2, found"], 0.0)]


def main(argv: list[str] | None = None) -> int:
    """Runs the benchmark."""
    args = parse_args(__doc__.split("\n")[0], argv)
    random = np.random.default_rng(0)
    quiet = streams(random, 20_000 if args.quick else 100_000, 8 if args.quick else 32)
    jumped = streams(random, BEFORE + WITHIN, 32 if args.quick else 256)
    jumps = {name: jumped[name] for name in ("white", "AR 0.5", "AR 0.9")}
    rows = [
        measured(detector, quiet, jumps)
        for detector in progress([DEFAULT, *OTHERS][: 2 if args.quick else None], "detectors")
    ]
    settings = list(rows[0])[:4]
    print_table(
        "False alarms per 100,000 losses",
        [{key: row[key] for key in [*settings, *(k for k in row if "1e5" in k)]} for row in rows],
    )
    for name in jumps:
        shown = [key for key in rows[0] if key.startswith(f"{name} +")]
        print_table(f"Delays in losses, {name}", [{key: row[key] for key in [*settings, *shown]} for row in rows])
    found = bars(rows[0])
    write_raw(args, found, detectors=rows)
    return conclude(
        args,
        found,
        f"{next(iter(quiet.values())).size:,} quiet losses a stream, {next(iter(jumps.values())).shape[1]} jumps each",
    )


if __name__ == "__main__":
    sys.exit(main())
