"""Learning-rate schedules as values, and the transforms that feel them, for JAX and Optax."""

import gc as _gc

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
    from optax_lrs.schedules import UBA as UBA
    from optax_lrs.schedules import WSD as WSD
    from optax_lrs.schedules import Constant as Constant
    from optax_lrs.schedules import Cosine as Cosine
    from optax_lrs.schedules import CosinePower as CosinePower
    from optax_lrs.schedules import InverseSqrt as InverseSqrt
    from optax_lrs.schedules import Joined as Joined
    from optax_lrs.schedules import Linear as Linear
    from optax_lrs.schedules import Scaled as Scaled
    from optax_lrs.schedules import Shifted as Shifted
    from optax_lrs.schedules import Stretched as Stretched
    from optax_lrs.schedules import Switched as Switched
    from optax_lrs.schedules import Tabulated as Tabulated
    from optax_lrs.schedules import join as join
    from optax_lrs.schedules import scaled as scaled
    from optax_lrs.schedules import shifted as shifted
    from optax_lrs.schedules import stretched as stretched
    from optax_lrs.schedules import switch as switch
    from optax_lrs.transforms import LiveScheduleState as LiveScheduleState
    from optax_lrs.transforms import learning_rates as learning_rates
    from optax_lrs.transforms import scale_by_live_schedule as scale_by_live_schedule
    from optax_lrs.transforms import with_schedule as with_schedule
finally:
    if _collecting:
        _gc.enable()

__version__ = "0.1.0"
