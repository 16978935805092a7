"""The folder of a run: its settings, its checkpoints, and at the end its record.

- `settings.json`: all settings that affect the result; written first, compared when the run is
  resumed
- `checkpoints/`: the last two, written in the background, with the schedule and checksums
- `run.npz`: the record as an `optax_lrs.Run`; written last, so it also marks the run as finished
"""

import json
import os
import pathlib
import shutil
from typing import Any

import jax

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
    """The folder of one run.

    `schedule` is stored with each checkpoint. With `fallback`, a run resumes from an earlier
    checkpoint if the last one is damaged.
    """

    def __init__(
        self, path: pathlib.Path, settings: dict, *, schedule: olrs.Schedule | None = None, fallback: bool = False
    ):
        self.path = path
        self.settings = settings
        self.record = path / "run.npz"
        self._settings_file = path / "settings.json"
        self._fallback = fallback
        self.checkpoints = olrs.checkpoint.Checkpoints(path / "checkpoints", schedule=schedule, keep=2)

    def check(self, *, resume: bool, overwrite: bool) -> None:
        """Raises ValueError if this run must not be written here. Changes nothing."""
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
        """Takes the folder for this run. Call it in one process only, after all checks."""
        if self._settings_file.exists():
            if not overwrite:
                return  # a resumed run has these settings
            self.record.unlink(missing_ok=True)
            shutil.rmtree(self.checkpoints.folder, ignore_errors=True)
        self.path.mkdir(parents=True, exist_ok=True)
        # Written to a draft and renamed: a kill at any moment leaves either no settings or all.
        draft = self.path / "settings.json.tmp"
        draft.write_text(json.dumps(self.settings, indent=2) + "\n")
        os.replace(draft, self._settings_file)

    def finished(self) -> bool:
        return self.record.exists()

    def save(self, step: int, state: Any, position: dict) -> None:
        """Starts writing in the background."""
        self.checkpoints.save(step, state, position=position)

    def restore(self, shapes: Any) -> tuple[int, Any, dict] | None:
        """Step, state (laid out as `shapes`) and position of the last checkpoint.

        None if there is none.
        """
        if self.checkpoints.latest is None:
            return None
        # Without a schedule nothing is left to compare: `check` has compared the settings.
        on_mismatch = "error" if self.checkpoints.schedule else "keep"
        found = self.checkpoints.restore(shapes, on_mismatch=on_mismatch, fallback=self._fallback)
        return found.step, found.state, found.extra["position"]

    def finish(self, run: olrs.Run) -> None:
        """Waits for the checkpoints, then writes the record."""
        self.close()
        if jax.process_index() == 0:
            draft = self.path / "run.tmp.npz"
            run.write(draft)
            os.replace(draft, self.record)

    def close(self) -> None:
        self.checkpoints.close()  # waits until the last save is on disk
