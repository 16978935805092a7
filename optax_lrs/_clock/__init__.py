"""The clock: the one place where a step becomes a fraction."""

from optax_lrs._clock.clock import Clock as Clock
from optax_lrs._clock.phase import Phase as Phase
