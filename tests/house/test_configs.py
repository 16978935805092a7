"""examples/configs.py: schedules in YAML, ml_collections and draccus configs, if installed."""

import abc
import dataclasses
import importlib.util
import types
from pathlib import Path

import numpy as np
import optax
import pytest

import optax_lrs as olrs

PATH = Path(__file__).parents[2] / "examples" / "configs.py"
spec = importlib.util.spec_from_file_location("configs", PATH)
configs = importlib.util.module_from_spec(spec)
spec.loader.exec_module(configs)

WSD = olrs.WSD(peak=3e-4, total_steps=10_000, warmup_steps=500, decay_steps=2_000, decay=olrs.profiles.one_minus_sqrt)
COSINE = olrs.Cosine(peak=3e-4, total_steps=10_000, warmup_steps=500)


def library(name):
    return pytest.importorskip(name, reason=f'{name} is not installed: pip install -e ".[peers]"')


def test_yaml():
    library("yaml")
    assert configs.from_yaml(configs.LINE) == configs.from_yaml(configs.MAPPING) == WSD
    for schedule in (WSD, olrs.join(COSINE, WSD, at=5), olrs.Tabulated(lrs=[0.1 + 0.2, 1e-300], steps=[0, 10**12])):
        assert configs.from_yaml(configs.to_yaml(schedule)) == schedule
    with pytest.raises(TypeError, match="peak must be a number, got '3e-4'"):
        configs.from_yaml(configs.MAPPING.replace("3.0e-4", "3e-4"))


def test_ml_collections():
    library("ml_collections")
    config = configs.get_config()
    assert configs.from_config_dict(config) == COSINE
    config.schedule.peak = 1e-3
    assert configs.from_config_dict(config) == COSINE.replace(peak=1e-3)
    config.schedule = WSD.to_dict()
    assert configs.from_config_dict(config) == WSD
    with pytest.raises(ValueError, match="warmup_steps"):
        config.schedule.warmup_steps = 9_000
        configs.from_config_dict(config)


def test_draccus_reads_a_schedule_as_a_dataclass():
    draccus = library("draccus")
    config = draccus.parse(configs.TrainConfig, args=["--lr.peak", "1e-3", "--lr.total_steps", "20000"])
    assert config.lr == olrs.Cosine(peak=1e-3, total_steps=20_000)
    assert draccus.decode(configs.TrainConfig, draccus.encode(config)) == config
    with pytest.raises(draccus.utils.DraccusException) as caught:
        draccus.decode(olrs.Cosine, dict(peak=1e-3, total_steps=100, warmup_steps=200))
    assert "warmup_steps must be at most total_steps" in str(caught.value.__cause__ or caught.value.__context__)


@dataclasses.dataclass(frozen=True)
class Context:
    """What Levanter passes to one decay."""

    warmup_steps: int = 10
    decay_steps: int = 90
    learning_rate: float = 1e-3
    min_lr_ratio: float = 0.1
    min_lr: float = 1e-4


def test_registry_of_levanter():
    draccus = library("draccus")

    class LrSchedule(draccus.ChoiceRegistry, abc.ABC):
        @abc.abstractmethod
        def build(self, ctx): ...

    configs.register(LrSchedule)
    chosen = draccus.decode(LrSchedule, {"type": "cooldown", "profile": "linear"})
    decay = chosen.build(Context())
    laid_out = optax.join_schedules([optax.linear_schedule(0.0, 1e-3, 10), decay], [10])  # as Levanter does
    whole = olrs.Linear(peak=1e-3, total_steps=100, warmup_steps=10, end=1e-4)
    steps = np.arange(0, 150, 7)
    np.testing.assert_allclose([laid_out(int(s)) for s in steps], whole.at(steps), rtol=1e-6, atol=1e-12)

    line = draccus.decode(LrSchedule, {"type": "optax_lrs", "line": repr(WSD)})
    assert line.build(Context()) == WSD and draccus.decode(LrSchedule, draccus.encode(line, LrSchedule)) == line
    with pytest.raises(ValueError, match="unknown name 'sinus'"):
        draccus.decode(LrSchedule, {"type": "cooldown", "profile": "sinus"}).build(Context())


def test_the_mapping_needs_no_library():
    mapping = types.MappingProxyType({"type": "Cosine", "peak": 3e-4, "total_steps": 10_000, "warmup_steps": 500})
    assert configs.schedule_of(mapping) == configs.schedule_of(repr(COSINE)) == COSINE
