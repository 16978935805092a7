"""Profile: the shape of a decay on the unit interval."""

from __future__ import annotations

from typing import Any, ClassVar

from optax_lrs._clock.phase import Phase
from optax_lrs._value import Value

_PACKAGE = __name__.rpartition(".")[0]


class Profile(Value, abstract=True):
    """The shape of a decay. Subclasses define ``shape(phase)``, or ``rate`` where the shape depends on the rates."""

    _keyword_only: ClassVar[bool] = False
    needs_end: ClassVar[bool] = False
    """Whether the end rate must be positive."""
    reaches_end: ClassVar[bool] = True
    """Whether the rate is the end rate when the phase is over."""

    def shape(self, phase: Phase) -> Any:
        """The fraction of the way from the end rate to the peak, in [0, 1]."""
        raise NotImplementedError(f"{type(self).__name__} defines no shape(phase)")

    def rate(self, phase: Phase, peak: Any, end: Any) -> Any:
        """The rate: ``peak`` before the phase, ``end`` after it."""
        shape = self.shape(phase)
        return peak * shape + end * (1.0 - shape)  # exact at both ends, and no cancellation

    def __repr__(self) -> str:
        text = super().__repr__() if self._kinds else self._name
        return f"profiles.{text}" if type(self).__module__.startswith(_PACKAGE) else text
