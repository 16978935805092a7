"""The pre-training runs to continue from.

They are read from a folder of examples/pretrain.py; missing ones are trained here.
"""

import dataclasses
import json
import pathlib
from typing import Any

import numpy as np
from training.loop import Plan, Stop, train
from training.run_folder import RunFolder
from training.sharded_step import Model, make_training

import optax_lrs as olrs

SHARED = ("model", "steps", "batch_size", "seed", "text")  # settings that all runs of a comparison share


@dataclasses.dataclass(frozen=True)
class Beginning:
    schedule: olrs.Schedule
    folder: RunFolder

    @property
    def settings(self) -> dict[str, Any]:
        return self.folder.settings

    def state(self, model: Model) -> Any:
        """The last state of the run."""
        shapes = make_training(model, self.schedule, self.settings["steps"]).shapes
        restored = self.folder.restore(shapes)
        self.folder.close()
        if restored is None or restored[0] != self.settings["steps"]:
            raise olrs.checkpoint.CheckpointError(
                f"{self.folder.path} has no checkpoint of its last step, {self.settings['steps']}"
            )
        return restored[1]


def part(schedule: olrs.Schedule, steps: int) -> str | None:
    """The role of a run with this schedule: a key of `arms.beginnings`, or None."""
    lrs = schedule.at(np.arange(steps + 1))
    if isinstance(schedule, olrs.Infinite) and lrs[-1] == schedule.plateau < lrs.max():
        return "plateau"
    if lrs[-1] == lrs.max():
        return "stable"
    return "annealed" if lrs[-1] < 0.5 * lrs.max() else None


def found_in(place: pathlib.Path) -> dict[str, Beginning]:
    """The finished runs in the --out folder of examples/pretrain.py, by their role."""
    found: dict[str, Beginning] = {}
    for path in sorted(place.glob("*/settings.json")):
        try:
            settings = json.loads(path.read_text())
            schedule = olrs.parse(settings["schedule"])
            missing = [key for key in SHARED if key not in settings]
        except (ValueError, TypeError, KeyError):
            raise ValueError(f"{path} is not readable as settings of pretrain.py") from None
        if missing:
            raise ValueError(f"{path} has no {missing[0]}: these are not settings of pretrain.py")
        folder = RunFolder(path.parent, settings, schedule=schedule)
        kind = part(schedule, settings["steps"])
        if kind is None or kind in found or not folder.finished():
            continue
        for other in list(found.values())[:1]:
            apart = [key for key in SHARED if settings[key] != other.settings[key]]
            if apart:
                raise ValueError(f"{path.parent} and {other.folder.path} differ in {apart[0]} and cannot be compared")
        found[kind] = Beginning(schedule, folder)
    if not found:
        raise ValueError(f"--from {place} holds no finished run of pretrain.py")
    return found


def pretrain(plan: Plan, name: str, model: Model, validation_NxBxL: Any, stop: Stop) -> bool:
    """Trains a missing run as examples/pretrain.py does; False if it was stopped."""
    if plan.folders[name].finished():
        return True
    return train(plan, name, model, validation_NxBxL, stop) is not None
