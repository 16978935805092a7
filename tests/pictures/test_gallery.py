"""The gallery: a panel for every schedule, at a readable size."""

import re
import subprocess
import sys

import matplotlib.image
import pytest

import optax_lrs as olrs

# In a separate process: other tests register schedules, some of them wrong on purpose.
DRAW = """
import matplotlib; matplotlib.use("Agg")
import optax_lrs as olrs
from optax_lrs._value import Value

class Sawtooth(olrs.Schedule):
    example = dict(total_steps=100)
    total_steps: int

    def rate(self, clock):
        return clock.left(0, self.total_steps)

class ThirtyMore(olrs.Schedule):
    factor: float

    def rate(self, clock):
        return self.factor * 1.0

figure = olrs.pictures.gallery(scale={scale!r})
figure.savefig({file!r}, dpi=60)
shown = [ax.get_title(loc="left") for ax in figure.axes if ax.axison]
known = [cls._name for cls in Value.registry.values() if getattr(cls, "example", None)]
assert sorted(filter(None, shown)) == sorted(known) and "Sawtooth" in shown, shown
profiles = [cls._name for cls in Value.registry.values() if issubclass(cls, olrs.profiles.Profile)]
named = [text.get_text().partition("(")[0] for text in figure.axes[-1].get_legend().get_texts()]
assert sorted(named) == sorted(profiles)
for ax in figure.axes[:-1]:
    if ax.axison:
        low, high = ax.get_ylim()
        rates = ax.lines[0].get_ydata()
        assert rates.max() <= high <= 2 * rates.max()
print(len(known))
"""


@pytest.mark.slow
@pytest.mark.parametrize("scale", ["linear", "log"])
def test_everything_has_a_panel(scale, tmp_path):
    file = str(tmp_path / "gallery.png")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", DRAW.format(scale=scale, file=file)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    height, width = matplotlib.image.imread(file).shape[:2]
    rows = 1 + int(done.stdout) // 6  # at least the full rows
    assert width == 840 and height > 60 * 1.35 * rows


@pytest.mark.slow
def test_the_command(tmp_path):
    file = tmp_path / "gallery.png"
    done = subprocess.run(
        [sys.executable, "-m", "optax_lrs", "gallery", "-o", str(file)], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout.strip()) == (0, str(file)) and file.stat().st_size > 50_000


def test_an_unknown_scale_is_refused():
    with pytest.raises(ValueError, match=re.escape("scale must be one of 'linear', 'log', got 'square'")):
        olrs.pictures.gallery(scale="square")
