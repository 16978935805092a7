"""The transforms: one gradient transformation a file."""

from optax_lrs.transforms._live_schedule import LiveScheduleState as LiveScheduleState
from optax_lrs.transforms._live_schedule import learning_rates as learning_rates
from optax_lrs.transforms._live_schedule import scale_by_live_schedule as scale_by_live_schedule
from optax_lrs.transforms._live_schedule import with_schedule as with_schedule
