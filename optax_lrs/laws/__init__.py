"""Loss-curve laws: predict the loss under any schedule from the losses of a few runs."""

from optax_lrs.laws._annealing import Annealing as Annealing
from optax_lrs.laws._choose import Choice as Choice
from optax_lrs.laws._choose import Difference as Difference
from optax_lrs.laws._choose import choose as choose
from optax_lrs.laws._continual import ContinualAnnealing as ContinualAnnealing
from optax_lrs.laws._ensemble import Ensemble as Ensemble
from optax_lrs.laws._ensemble import bootstrap as bootstrap
from optax_lrs.laws._fit import FitReport as FitReport
from optax_lrs.laws._law import Law as Law
from optax_lrs.laws._law import LawWarning as LawWarning
from optax_lrs.laws._lr_gradient import lr_gradient as lr_gradient
from optax_lrs.laws._multi_power import MultiPower as MultiPower
from optax_lrs.laws._observations import tidy as tidy
from optax_lrs.laws._one_power import OnePower as OnePower
from optax_lrs.laws._optimize import BestSchedule as BestSchedule
from optax_lrs.laws._optimize import optimize as optimize
from optax_lrs.laws._optimize import optimize_family as optimize_family
from optax_lrs.laws._plot import plot as plot
from optax_lrs.laws._score import Metrics as Metrics
from optax_lrs.laws._score import score as score
from optax_lrs.laws._sublinear import SublinearPower as SublinearPower
