"""Schedules in config files: YAML, ml_collections and draccus (Levanter).

There are three forms, from the shortest to the most structured:

- a line of text, as `print(schedule)` prints it: read it with `olrs.parse(line)`;
- a mapping, `{type: Cosine, peak: 3.0e-4, total_steps: 1000}`: read it with
  `olrs.Schedule.from_dict(mapping)`, write it with `.to_dict()`;
- a dataclass: every schedule is one, and so is a config class that builds one.

All three build registered classes only, check every field, and execute nothing.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import optax_lrs as olrs

# ── YAML ──────────────────────────────────────────────────────────────────────────────────────────

LINE = """
schedule: WSD(peak=3e-4, total_steps=10_000, warmup_steps=500, decay_steps=2_000, decay=one_minus_sqrt)
"""

MAPPING = """
schedule:
  type: WSD
  peak: 3.0e-4         # PyYAML reads 3e-4 as text, which is not accepted as a number
  total_steps: 10_000
  warmup_steps: 500
  decay_steps: 2_000
  decay: {type: one_minus_sqrt}
"""


def schedule_of(config: str | Mapping[str, Any]) -> olrs.Schedule:
    """Builds a schedule from a config entry: a line or a mapping."""
    return olrs.parse(config) if isinstance(config, str) else olrs.Schedule.from_dict(config)


def from_yaml(text: str) -> olrs.Schedule:
    import yaml

    return schedule_of(yaml.safe_load(text)["schedule"])


def to_yaml(schedule: olrs.Schedule) -> str:
    import yaml

    return yaml.safe_dump({"schedule": schedule.to_dict()}, sort_keys=False)


# ── ml_collections ────────────────────────────────────────────────────────────────────────────────


def get_config():
    """A ConfigDict for big_vision, scenic or nanodo.

    `--config.schedule.peak=1e-3` overrides a field.
    """
    import ml_collections

    config = ml_collections.ConfigDict()
    config.schedule = olrs.Cosine(peak=3e-4, total_steps=10_000, warmup_steps=500).to_dict()
    return config


def from_config_dict(config: Any) -> olrs.Schedule:
    return olrs.Schedule.from_dict(config.schedule.to_dict())


# ── draccus, and Levanter's registry ──────────────────────────────────────────────────────────────


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """A config with a schedule of a fixed kind, which needs no adapter.

    `draccus.parse(TrainConfig)` reads `--lr.peak 1e-3 --lr.total_steps 1000`.
    """

    lr: olrs.Cosine
    batch_size: int = 256


def register(registry: Any) -> None:
    """Registers our schedules with Levanter: `register(levanter.optim.config.LrSchedule)`.

    Levanter arranges the phases and passes the numbers of one decay: `ctx.learning_rate`,
    `ctx.min_lr` and `ctx.decay_steps`. So an entry is either a decay within its layout, or a whole
    schedule with `warmup: 0`.
    """

    @registry.register_subclass("cooldown")
    @dataclasses.dataclass(frozen=True)
    class Cooldown(registry):
        """Any of our profiles as Levanter's decay.

        `lr_schedule: {type: cooldown, profile: one_minus_sqrt}`
        """

        profile: str = "one_minus_sqrt"

        def build(self, ctx: Any) -> olrs.Schedule:
            profile = olrs.profiles.Profile.from_dict({"type": self.profile})
            steps = ctx.decay_steps
            return olrs.WSD(peak=ctx.learning_rate, end=ctx.min_lr, total_steps=steps, decay_steps=steps, decay=profile)

    @registry.register_subclass("optax_lrs")
    @dataclasses.dataclass(frozen=True)
    class Line(registry):
        """A whole schedule: `lr_schedule: {type: optax_lrs, line: "WSD(peak=3e-4, ...)"}`."""

        line: str

        def build(self, ctx: Any) -> olrs.Schedule:
            return olrs.parse(self.line)


if __name__ == "__main__":
    print(from_yaml(LINE))
    print(to_yaml(from_yaml(MAPPING)))
