"""Learning-rate schedules as values, and the transforms that feel them, for JAX and Optax."""

import gc as _gc
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

import optax as _optax  # noqa: F401 - first, so that its import is as it always was

# What an import makes lives for ever. A collection that falls into ours walks all of JAX's objects (60 ms) and frees none.
_collecting = _gc.isenabled()
_gc.disable()
try:
    from optax_lrs import profiles as profiles
    from optax_lrs._clock import Clock as Clock
    from optax_lrs._horizon import Horizon as Horizon
    from optax_lrs._parse import parse as parse
    from optax_lrs._phase import Phase as Phase
    from optax_lrs._run import Run as Run
    from optax_lrs._schedule import Schedule as Schedule
    from optax_lrs.cite import cite as cite
    from optax_lrs.gallery import gallery as gallery
    from optax_lrs.plot import plot as plot
    from optax_lrs.schedules import REX as REX
    from optax_lrs.schedules import SGDR as SGDR
    from optax_lrs.schedules import UBA as UBA
    from optax_lrs.schedules import WSD as WSD
    from optax_lrs.schedules import WSDC as WSDC
    from optax_lrs.schedules import WSDS as WSDS
    from optax_lrs.schedules import Capped as Capped
    from optax_lrs.schedules import Constant as Constant
    from optax_lrs.schedules import Cosine as Cosine
    from optax_lrs.schedules import CosinePower as CosinePower
    from optax_lrs.schedules import Cycled as Cycled
    from optax_lrs.schedules import CyclicReflex as CyclicReflex
    from optax_lrs.schedules import DampedCosine as DampedCosine
    from optax_lrs.schedules import Exponential as Exponential
    from optax_lrs.schedules import ExponentialWarmup as ExponentialWarmup
    from optax_lrs.schedules import ExpRange as ExpRange
    from optax_lrs.schedules import Floored as Floored
    from optax_lrs.schedules import Infinite as Infinite
    from optax_lrs.schedules import InverseSqrt as InverseSqrt
    from optax_lrs.schedules import Joined as Joined
    from optax_lrs.schedules import Linear as Linear
    from optax_lrs.schedules import LinearWarmup as LinearWarmup
    from optax_lrs.schedules import OneCycle as OneCycle
    from optax_lrs.schedules import OnTokens as OnTokens
    from optax_lrs.schedules import PowerDecay as PowerDecay
    from optax_lrs.schedules import PowerLaw as PowerLaw
    from optax_lrs.schedules import Product as Product
    from optax_lrs.schedules import RangeTest as RangeTest
    from optax_lrs.schedules import RectifiedWarmup as RectifiedWarmup
    from optax_lrs.schedules import Sampled as Sampled
    from optax_lrs.schedules import SampledAt as SampledAt
    from optax_lrs.schedules import Scaled as Scaled
    from optax_lrs.schedules import Shifted as Shifted
    from optax_lrs.schedules import SlowStartFastDecay as SlowStartFastDecay
    from optax_lrs.schedules import Staircase as Staircase
    from optax_lrs.schedules import StepDecay as StepDecay
    from optax_lrs.schedules import Stretched as Stretched
    from optax_lrs.schedules import Summed as Summed
    from optax_lrs.schedules import Switched as Switched
    from optax_lrs.schedules import Tabulated as Tabulated
    from optax_lrs.schedules import Triangular as Triangular
    from optax_lrs.schedules import Triangular2 as Triangular2
    from optax_lrs.schedules import clipped as clipped
    from optax_lrs.schedules import cycled as cycled
    from optax_lrs.schedules import join as join
    from optax_lrs.schedules import on_tokens as on_tokens
    from optax_lrs.schedules import product as product
    from optax_lrs.schedules import sampled as sampled
    from optax_lrs.schedules import scaled as scaled
    from optax_lrs.schedules import shifted as shifted
    from optax_lrs.schedules import stretched as stretched
    from optax_lrs.schedules import summed as summed
    from optax_lrs.schedules import switch as switch
    from optax_lrs.transforms import DecayToInitState as DecayToInitState
    from optax_lrs.transforms import DecayWeightsState as DecayWeightsState
    from optax_lrs.transforms import EffectiveLearningRates as EffectiveLearningRates
    from optax_lrs.transforms import EffectiveLearningRateState as EffectiveLearningRateState
    from optax_lrs.transforms import GreedyState as GreedyState
    from optax_lrs.transforms import GroupRatesState as GroupRatesState
    from optax_lrs.transforms import Heads as Heads
    from optax_lrs.transforms import LiveScheduleState as LiveScheduleState
    from optax_lrs.transforms import PlateauState as PlateauState
    from optax_lrs.transforms import Projection as Projection
    from optax_lrs.transforms import ProjectWeightsState as ProjectWeightsState
    from optax_lrs.transforms import RecordGradNormState as RecordGradNormState
    from optax_lrs.transforms import ScaleByWeightNormState as ScaleByWeightNormState
    from optax_lrs.transforms import decay_to_init as decay_to_init
    from optax_lrs.transforms import decay_weights as decay_weights
    from optax_lrs.transforms import effective_learning_rate as effective_learning_rate
    from optax_lrs.transforms import layerwise_decay as layerwise_decay
    from optax_lrs.transforms import learning_rates as learning_rates
    from optax_lrs.transforms import project_weights as project_weights
    from optax_lrs.transforms import rates_by_path as rates_by_path
    from optax_lrs.transforms import record_effective_learning_rate as record_effective_learning_rate
    from optax_lrs.transforms import record_grad_norm as record_grad_norm
    from optax_lrs.transforms import scale_by_greedy as scale_by_greedy
    from optax_lrs.transforms import scale_by_live_schedule as scale_by_live_schedule
    from optax_lrs.transforms import scale_by_plateau as scale_by_plateau
    from optax_lrs.transforms import scale_by_weight_norm as scale_by_weight_norm
    from optax_lrs.transforms import sqrt_fan_in as sqrt_fan_in
    from optax_lrs.transforms import sqrt_fan_out as sqrt_fan_out
    from optax_lrs.transforms import with_schedule as with_schedule
finally:
    if _collecting:
        _gc.enable()

if _TYPE_CHECKING:
    from optax_lrs import checkpoint as checkpoint
    from optax_lrs import laws as laws
    from optax_lrs import nn as nn
    from optax_lrs import theory as theory
    from optax_lrs.refinement import PowerFit as PowerFit
    from optax_lrs.refinement import RefinedState as RefinedState
    from optax_lrs.refinement import fit_warmup_power as fit_warmup_power
    from optax_lrs.refinement import next_run as next_run
    from optax_lrs.refinement import observed_norms as observed_norms
    from optax_lrs.refinement import refine as refine
    from optax_lrs.refinement import refined as refined

# What not every program needs is imported when it is first named.
_ON_DEMAND = {
    "checkpoint": "checkpoint",
    "laws": "laws",
    "nn": "nn",
    "theory": "theory",
    "PowerFit": "refinement",
    "RefinedState": "refinement",
    "fit_warmup_power": "refinement",
    "next_run": "refinement",
    "observed_norms": "refinement",
    "refine": "refinement",
    "refined": "refinement",
}


def __getattr__(name: str) -> _Any:
    """The late parts; see PEP 562."""
    import importlib

    if name not in _ON_DEMAND:
        raise AttributeError(f"module 'optax_lrs' has no attribute {name!r}")
    part = importlib.import_module(f"optax_lrs.{_ON_DEMAND[name]}")
    globals()[name] = value = part if name == _ON_DEMAND[name] else getattr(part, name)
    return value


__version__ = "0.1.0"
