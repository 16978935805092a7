"""Loss-curve laws, from runs to the loss of any other schedule; and rules, from parameters and tokens to rate and batch."""

from optax_lrs.laws._annealing import Annealing as Annealing
from optax_lrs.laws._batch_rules import BatchTradeoff as BatchTradeoff
from optax_lrs.laws._batch_rules import CriticalBatch as CriticalBatch
from optax_lrs.laws._batch_rules import GradientNoise as GradientNoise
from optax_lrs.laws._batch_rules import MiniCPMBatch as MiniCPMBatch
from optax_lrs.laws._batch_rules import batch_tradeoff as batch_tradeoff
from optax_lrs.laws._continual import ContinualAnnealing as ContinualAnnealing
from optax_lrs.laws._ensemble import Ensemble as Ensemble
from optax_lrs.laws._fit import FitReport as FitReport
from optax_lrs.laws._gamma_law import GammaLaw as GammaLaw
from optax_lrs.laws._gamma_law import MupWidths as MupWidths
from optax_lrs.laws._gamma_law import mup_widths as mup_widths
from optax_lrs.laws._law import Law as Law
from optax_lrs.laws._law import LawWarning as LawWarning
from optax_lrs.laws._lr_gradients import lr_gradient as lr_gradient
from optax_lrs.laws._multi_power import MultiPower as MultiPower
from optax_lrs.laws._observations import tidy as tidy
from optax_lrs.laws._one_power import OnePower as OnePower
from optax_lrs.laws._quality import Quality as Quality
from optax_lrs.laws._quality import quality as quality
from optax_lrs.laws._rule import Rule as Rule
from optax_lrs.laws._rule import whole_sequences as whole_sequences
from optax_lrs.laws._step_law import StepLaw as StepLaw
from optax_lrs.laws._suggest import Suggestion as Suggestion
from optax_lrs.laws._suggest import Suggestions as Suggestions
from optax_lrs.laws._suggest import suggest as suggest
