"""Learning-rate schedules you can print, save and swap, and the gradient transforms that go with them.

The public names are listed once, in ``__init__.pyi``, and imported when they are first used.
"""

import lazy_loader as _lazy_loader
import optax as _optax  # noqa: F401 - the cost of Optax's own import is not ours

from optax_lrs import schedules as _schedules  # noqa: F401 - so that parse and from_json know every schedule

__getattr__, __dir__, __all__ = _lazy_loader.attach_stub(__name__, __file__)

__version__ = "0.1.0"
