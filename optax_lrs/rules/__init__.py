"""Rules: learning rate and batch size from the size of a model and the tokens it is trained on."""

from optax_lrs.rules._batch_rules import BatchTradeoff as BatchTradeoff
from optax_lrs.rules._batch_rules import CriticalBatch as CriticalBatch
from optax_lrs.rules._batch_rules import GradientNoise as GradientNoise
from optax_lrs.rules._batch_rules import MiniCPMBatch as MiniCPMBatch
from optax_lrs.rules._batch_rules import batch_tradeoff as batch_tradeoff
from optax_lrs.rules._gamma_rule import GammaRule as GammaRule
from optax_lrs.rules._gamma_rule import MupWidths as MupWidths
from optax_lrs.rules._gamma_rule import mup_widths as mup_widths
from optax_lrs.rules._rule import Rule as Rule
from optax_lrs.rules._rule import whole_sequences as whole_sequences
from optax_lrs.rules._step_law_rule import StepLawRule as StepLawRule
from optax_lrs.rules._suggest import Suggestion as Suggestion
from optax_lrs.rules._suggest import Suggestions as Suggestions
from optax_lrs.rules._suggest import suggest as suggest
