"""Gradient transformations that act on the learning rate, or record what schedules are made from."""

from optax_lrs._states import Roles as Roles
from optax_lrs.transforms._average_params import AverageParamsState as AverageParamsState
from optax_lrs.transforms._average_params import average_params as average_params
from optax_lrs.transforms._decay_to_init import DecayToInitState as DecayToInitState
from optax_lrs.transforms._decay_to_init import decay_to_init as decay_to_init
from optax_lrs.transforms._decay_weights import DecayWeightsState as DecayWeightsState
from optax_lrs.transforms._decay_weights import decay_weights as decay_weights
from optax_lrs.transforms._greedy import GreedyState as GreedyState
from optax_lrs.transforms._greedy import scale_by_greedy as scale_by_greedy
from optax_lrs.transforms._learning_rates import learning_rates as learning_rates
from optax_lrs.transforms._live_schedule import GroupRatesState as GroupRatesState
from optax_lrs.transforms._live_schedule import LiveScheduleState as LiveScheduleState
from optax_lrs.transforms._live_schedule import RewarmingState as RewarmingState
from optax_lrs.transforms._live_schedule import scale_by_live_schedule as scale_by_live_schedule
from optax_lrs.transforms._loss_shift import LossShift as LossShift
from optax_lrs.transforms._loss_shift import LossShiftState as LossShiftState
from optax_lrs.transforms._plateau import PlateauState as PlateauState
from optax_lrs.transforms._plateau import scale_by_plateau as scale_by_plateau
from optax_lrs.transforms._rates_by_path import layerwise_decay as layerwise_decay
from optax_lrs.transforms._rates_by_path import with_rates_by_path as with_rates_by_path
from optax_lrs.transforms._read_average import read_average as read_average
from optax_lrs.transforms._record_grad_norm import RecordGradNormState as RecordGradNormState
from optax_lrs.transforms._record_grad_norm import record_grad_norm as record_grad_norm
from optax_lrs.transforms._rewarming_schedule import scale_by_rewarming_schedule as scale_by_rewarming_schedule
from optax_lrs.transforms._with_schedule import with_schedule as with_schedule
