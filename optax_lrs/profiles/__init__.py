r"""Profiles: the shapes of a decay, shared by every schedule that decays.

A profile falls from 1 to 0 while :math:`x`, the share of the decay that is done, goes from 0 to 1.
The rate is

.. math:: \eta(x) = \text{peak} \cdot g(x) + \text{end} \cdot (1 - g(x)),

except for :data:`exponential` and :data:`inverse`, which interpolate the logarithm and the inverse
of the rate and therefore need ``end > 0``. Pass one to a schedule: ``WSD(...,
decay=profiles.one_minus_sqrt)``.

Wherever the rate goes to zero, the formula is written in :math:`z = 1 - x`, the share that is
*left*, so that float32 keeps its digits to the last step of any run."""

from optax_lrs._clock import Phase as Phase
from optax_lrs.profiles._fixed import cosine as cosine
from optax_lrs.profiles._fixed import exponential as exponential
from optax_lrs.profiles._fixed import inverse as inverse
from optax_lrs.profiles._fixed import linear as linear
from optax_lrs.profiles._fixed import mirror_cosine as mirror_cosine
from optax_lrs.profiles._fixed import one_minus_sqrt as one_minus_sqrt
from optax_lrs.profiles._fixed import one_minus_square as one_minus_square
from optax_lrs.profiles._profile import Profile as Profile
from optax_lrs.profiles._shaped import cosine_power as cosine_power
from optax_lrs.profiles._shaped import half_life as half_life
from optax_lrs.profiles._shaped import inverse_sqrt as inverse_sqrt
from optax_lrs.profiles._shaped import power as power
from optax_lrs.profiles._shaped import rex as rex
from optax_lrs.profiles._shaped import shifted_exponential as shifted_exponential
from optax_lrs.profiles._shaped import uba as uba
