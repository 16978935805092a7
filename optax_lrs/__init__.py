"""Learning-rate schedules you can print, save and swap, and the transforms that go with them.

The public names are listed once, in ``__init__.pyi``, and imported when they are first used.
"""

from os import path as _path

import lazy_loader as _lazy_loader
import optax as _optax  # noqa: F401 - first, so that a profile of the import shows what Optax and this package cost

from optax_lrs._value import Value as _Value
from optax_lrs._value.module_names import no_attribute as _no_attribute

_public, __dir__, __all__ = _lazy_loader.attach_stub(__name__, __file__)

__version__ = "0.1.0"

# Where parse and from_json find classes that are not imported yet: schedules and profiles, and
# those listed here.
_Value.registry.reserve("optax_lrs.schedules")
_Value.registry.reserve("optax_lrs.transforms", "LossShift")
_Value.registry.reserve("optax_lrs.rules", "StepLawRule", "MiniCPMBatch", "CriticalBatch", "GammaRule")
_Value.registry.reserve(
    "optax_lrs.laws",
    "OnePower", "SublinearPower", "ContinualAnnealing", "MultiPower", "Annealing", "Ensemble", "FitReport",
)  # fmt: skip


def __getattr__(name: str) -> object:
    if name in __all__:
        return _public(name)
    raise _no_attribute(__name__, name, __all__, _path.dirname(__file__))
