r"""The schedules: one class a file.

**Schedules of other things.** A schedule is a number over steps; that the number is a learning rate is nowhere assumed. One
way serves every other hyper-parameter: *call the schedule with the step, where the number is used*.

- Weight decay, decoupled from the rate: :func:`optax_lrs.decay_weights`, after the rate.
- Arguments of an optimizer (momentum, ``b2``): ``optax.inject_hyperparams(optax.sgd, hyperparam_dtype=jnp.float32)(
  learning_rate=lr, momentum=schedule)``. Say float32: where parameters are bfloat16 a ``b2`` of 0.999 would become 1.
- Numbers in the loss (label smoothing, a LoRA strength, a curriculum's share): ``schedule(step)`` in the loss function; it is
  jittable, and a change of its numbers compiles nothing.
- Numbers on the host (batch size, sequence length): ``int(schedule.at(step))``, without touching a device.

The classes fall from ``peak`` to ``end``; what rises is a table, a warmup, or a warmup on a constant::

    >>> from optax_lrs import Constant, Tabulated, WSD, summed
    >>> momentum = Tabulated(lrs=[0.85, 0.95], steps=[0, 300])
    >>> smoothing = WSD(peak=0.1, total_steps=1000, warmup_steps=500, decay_steps=0)
    >>> tokens = summed(Constant(value=64), WSD(peak=192, total_steps=1000, warmup_steps=500, decay_steps=0))
    >>> print(momentum.at([0, 150, 300]), smoothing.at(250), [int(tokens.at(s)) for s in (0, 250, 500)])
    [0.85 0.9  0.95] 0.05 [64, 160, 256]
"""

from optax_lrs.schedules._arithmetic import Capped as Capped
from optax_lrs.schedules._arithmetic import Floored as Floored
from optax_lrs.schedules._arithmetic import Product as Product
from optax_lrs.schedules._arithmetic import Summed as Summed
from optax_lrs.schedules._arithmetic import clipped as clipped
from optax_lrs.schedules._arithmetic import product as product
from optax_lrs.schedules._arithmetic import summed as summed
from optax_lrs.schedules._clocks import Cycled as Cycled
from optax_lrs.schedules._clocks import OnTokens as OnTokens
from optax_lrs.schedules._clocks import Sampled as Sampled
from optax_lrs.schedules._clocks import SampledAt as SampledAt
from optax_lrs.schedules._clocks import cycled as cycled
from optax_lrs.schedules._clocks import on_tokens as on_tokens
from optax_lrs.schedules._clocks import sampled as sampled
from optax_lrs.schedules._constant import Constant as Constant
from optax_lrs.schedules._cosine import Cosine as Cosine
from optax_lrs.schedules._cosine_power import CosinePower as CosinePower
from optax_lrs.schedules._cyclic_reflex import CyclicReflex as CyclicReflex
from optax_lrs.schedules._damped_cosine import DampedCosine as DampedCosine
from optax_lrs.schedules._exp_range import ExpRange as ExpRange
from optax_lrs.schedules._exponential import Exponential as Exponential
from optax_lrs.schedules._exponential_warmup import ExponentialWarmup as ExponentialWarmup
from optax_lrs.schedules._infinite import Infinite as Infinite
from optax_lrs.schedules._inverse_sqrt import InverseSqrt as InverseSqrt
from optax_lrs.schedules._linear import Linear as Linear
from optax_lrs.schedules._linear_warmup import LinearWarmup as LinearWarmup
from optax_lrs.schedules._one_cycle import OneCycle as OneCycle
from optax_lrs.schedules._power_decay import PowerDecay as PowerDecay
from optax_lrs.schedules._power_law import PowerLaw as PowerLaw
from optax_lrs.schedules._range_test import RangeTest as RangeTest
from optax_lrs.schedules._rectified_warmup import RectifiedWarmup as RectifiedWarmup
from optax_lrs.schedules._rex import REX as REX
from optax_lrs.schedules._sgdr import SGDR as SGDR
from optax_lrs.schedules._slow_start import SlowStartFastDecay as SlowStartFastDecay
from optax_lrs.schedules._staircase import Staircase as Staircase
from optax_lrs.schedules._step_decay import StepDecay as StepDecay
from optax_lrs.schedules._tabulated import Tabulated as Tabulated
from optax_lrs.schedules._triangular import Triangular as Triangular
from optax_lrs.schedules._triangular2 import Triangular2 as Triangular2
from optax_lrs.schedules._uba import UBA as UBA
from optax_lrs.schedules._wsd import WSD as WSD
from optax_lrs.schedules._wsdc import WSDC as WSDC
from optax_lrs.schedules._wsds import WSDS as WSDS
from optax_lrs.schedules.compose import Joined as Joined
from optax_lrs.schedules.compose import Scaled as Scaled
from optax_lrs.schedules.compose import Shifted as Shifted
from optax_lrs.schedules.compose import Stretched as Stretched
from optax_lrs.schedules.compose import Switched as Switched
from optax_lrs.schedules.compose import join as join
from optax_lrs.schedules.compose import scaled as scaled
from optax_lrs.schedules.compose import shifted as shifted
from optax_lrs.schedules.compose import stretched as stretched
from optax_lrs.schedules.compose import switch as switch
