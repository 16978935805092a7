"""One folder a run: its settings, its checkpoints, and at the end its record.

- `settings.json`: what decides the result; written first, compared when the run is resumed;
- `checkpoints/`: Orbax, asynchronous, the last two;
- `run.npz`: the record as an `optax_lrs.Run`; written last, so it also says that the run is finished.
"""

import json
import os
import pathlib
import shutil
from typing import Any

import jax
import orbax.checkpoint as ocp

import optax_lrs as olrs


def flat(settings: dict, prefix: str = "") -> dict[str, Any]:
    """{"model": {"width": 8}} as {"model.width": 8}."""
    leaves: dict[str, Any] = {}
    for key, value in settings.items():
        leaves |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return leaves


def short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 200 else text[:197] + "..."


class RunFolder:
    def __init__(self, path: pathlib.Path, settings: dict):
        self.path = path
        self.settings = settings
        self.record = path / "run.npz"
        self._settings_file = path / "settings.json"
        self._checkpoints = path / "checkpoints"
        self._manager: ocp.CheckpointManager | None = None

    def check(self, *, resume: bool, overwrite: bool) -> None:
        """Raises ValueError unless this run may be written here. Touches nothing."""
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(f"{self.path} is a file; choose another --out")
        if not self.path.exists() or not any(self.path.iterdir()):
            return
        if not self._settings_file.exists():
            raise ValueError(f"{self.path} holds something that is not a run; choose another --out")
        if overwrite:
            return
        if not resume:
            raise ValueError(
                f"{self.path} already holds a run: continue it with --resume or replace it with --overwrite"
            )
        try:
            there = flat(json.loads(self._settings_file.read_text()))
        except (json.JSONDecodeError, AttributeError):
            raise ValueError(f"{self._settings_file} is not readable as settings; choose another --out") from None
        here = flat(self.settings)
        differences = [
            f"{key} is {short(there.get(key))} there and {short(here.get(key))} here"
            for key in sorted(there | here)
            if there.get(key) != here.get(key)
        ]
        if differences:
            raise ValueError(f"{self.path} holds another run, cannot resume it: " + "; ".join(differences))

    def claim(self, *, overwrite: bool) -> None:
        """Makes the folder this run's. For one process alone, after every check has passed."""
        if self._settings_file.exists():
            if not overwrite:
                return  # a resumed run: its settings are these
            self.record.unlink(missing_ok=True)
            shutil.rmtree(self._checkpoints, ignore_errors=True)
        self.path.mkdir(parents=True, exist_ok=True)
        # Written beside and renamed: a kill at any moment leaves either no settings or all of them.
        draft = self.path / "settings.json.tmp"
        draft.write_text(json.dumps(self.settings, indent=2) + "\n")
        os.replace(draft, self._settings_file)

    def finished(self) -> bool:
        return self.record.exists()

    def manager(self) -> ocp.CheckpointManager:
        if self._manager is None:
            options = ocp.CheckpointManagerOptions(max_to_keep=2, enable_async_checkpointing=True)
            names = ("state", "position")
            self._manager = ocp.CheckpointManager(self._checkpoints.absolute(), options=options, item_names=names)
        return self._manager

    def save(self, step: int, state: Any, position: dict) -> None:
        """Starts writing; training goes on meanwhile."""
        items = ocp.args.Composite(state=ocp.args.StandardSave(state), position=ocp.args.JsonSave(position))
        self.manager().save(step, args=items)

    def restore(self, shapes: Any) -> tuple[int, Any, dict] | None:
        """Step, state and position of the last complete checkpoint, laid out as `shapes` says; None if there is none."""
        step = self.manager().latest_step()
        if step is None:
            return None
        items = ocp.args.Composite(state=ocp.args.StandardRestore(shapes), position=ocp.args.JsonRestore())
        found = self.manager().restore(step, args=items)
        return step, found["state"], found["position"]

    def finish(self, run: olrs.Run) -> None:
        """Waits for the checkpoints, then writes the record."""
        self.close()
        if jax.process_index() == 0:
            draft = self.path / "run.tmp.npz"
            run.write(draft)
            os.replace(draft, self.record)

    def close(self) -> None:
        if self._manager is not None:
            self._manager.close()  # waits until the last save is on disk
            self._manager = None
