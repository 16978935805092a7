"""Rules: learning rate and batch size from the size of a model and its training tokens."""

from optax_lrs.rules._answers import PlannedRun as PlannedRun
from optax_lrs.rules._answers import RuleAnswer as RuleAnswer
from optax_lrs.rules._answers import RuleTable as RuleTable
from optax_lrs.rules._batch_rules import CriticalBatch as CriticalBatch
from optax_lrs.rules._batch_rules import GradientNoise as GradientNoise
from optax_lrs.rules._batch_rules import MiniCPMBatch as MiniCPMBatch
from optax_lrs.rules._batch_rules import RelativeCost as RelativeCost
from optax_lrs.rules._batch_rules import batch_tradeoff as batch_tradeoff
from optax_lrs.rules._gamma_rule import GammaRule as GammaRule
from optax_lrs.rules._gamma_rule import MupFactors as MupFactors
from optax_lrs.rules._gamma_rule import mup_widths as mup_widths
from optax_lrs.rules._rule import Rule as Rule
from optax_lrs.rules._rule import whole_sequences as whole_sequences
from optax_lrs.rules._step_law_rule import StepLawRule as StepLawRule
from optax_lrs.rules._suggest import suggest as suggest
