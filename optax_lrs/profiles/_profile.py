"""Profile: the shape of a decay on the unit interval."""

from __future__ import annotations

import typing
from typing import Any, ClassVar

from optax_lrs._clock.phase import Phase
from optax_lrs._value import Value

_PACKAGE = __name__.rpartition(".")[0]


@typing.dataclass_transform(frozen_default=True, kw_only_default=False, eq_default=False)
class Profile(Value, abstract=True):
    """The shape of a decay.

    To write your own, define ``shape(phase)``, or ``rate`` if the shape depends on the rates. Its
    fields may be given by position::

        class Steps(olrs.profiles.Profile):
            count: int

            def shape(self, phase):
                return phase.xp.floor(phase.left * self.count) / self.count
    """

    _keyword_only: ClassVar[bool] = False
    needs_end: ClassVar[bool] = False
    """Whether the end rate must be positive."""
    reaches_end: ClassVar[bool] = True
    """Whether the rate is the end rate when the phase is over."""

    def shape(self, phase: Phase) -> Any:
        """Returns the fraction of the way from the end rate to the peak, in [0, 1]; 1 at the start.

        Args:
            phase: the decay, with the fractions ``done`` and ``left``, and functions in
                ``phase.xp``.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define shape(phase)")

    def rate(self, phase: Phase, peak: Any, end: Any) -> Any:
        """Returns the rate: ``peak`` before the phase, ``end`` after it, elementwise in the
        step."""
        shape = self.shape(phase)
        return peak * shape + end * (1.0 - shape)  # exact at both ends, and no cancellation

    def __repr__(self) -> str:
        text = super().__repr__() if self._kinds else self.registry.shown(type(self), self._name)
        return f"profiles.{text}" if type(self).__module__.startswith(_PACKAGE) else text
