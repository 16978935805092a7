"""Weight projection (Normalize-and-Project) and effective learning rates."""

from optax_lrs.projection._blocks import OnBlocks as OnBlocks
from optax_lrs.projection._effective_learning_rate import EffectiveLearningRateState as EffectiveLearningRateState
from optax_lrs.projection._effective_learning_rate import EffectiveRateRecorder as EffectiveRateRecorder
from optax_lrs.projection._effective_learning_rate import ScaleByWeightNormState as ScaleByWeightNormState
from optax_lrs.projection._effective_learning_rate import effective_learning_rate as effective_learning_rate
from optax_lrs.projection._effective_learning_rate import (
    record_effective_learning_rate as record_effective_learning_rate,
)
from optax_lrs.projection._effective_learning_rate import scale_by_weight_norm as scale_by_weight_norm
from optax_lrs.projection._project_weights import project_weights as project_weights
from optax_lrs.projection._projection import Projection as Projection
from optax_lrs.projection._projection import ProjectWeightsState as ProjectWeightsState
from optax_lrs.projection._radii import sqrt_fan_in as sqrt_fan_in
from optax_lrs.projection._radii import sqrt_fan_out as sqrt_fan_out
from optax_lrs.projection._weight_blocks import Heads as Heads
