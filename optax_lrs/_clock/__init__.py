"""The clock: converts steps to fractions of phases, exactly; the only place that does."""

from optax_lrs._clock.clock import Clock as Clock
from optax_lrs._clock.phase import Phase as Phase
