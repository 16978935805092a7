"""Phase: a stretch of steps, read as fractions."""

from __future__ import annotations

from typing import Any


class Phase:
    """The steps from ``start`` to ``end``, read as fractions; an empty phase is a jump."""

    __slots__ = ("_clock", "_end", "_start")

    def __init__(self, clock: Any, start: int, end: int) -> None:
        self._clock, self._start, self._end = clock, start, end

    @property
    def xp(self) -> Any:
        """The array namespace to compute in."""
        return self._clock.xp

    @property
    def done(self) -> Any:
        """The fraction that is over: 0 before the phase, 1 after it, exact near its start."""
        return self._clock.done(self._start, self._end)

    @property
    def left(self) -> Any:
        """The fraction that is left: 1 before the phase, 0 after it, exact near its end."""
        return self._clock.left(self._start, self._end)

    @property
    def backwards(self) -> Phase:
        """The same phase from its end to its start: a decay read on it rises, exact at both
        ends."""
        return _Backwards(self._clock, self._start, self._end)


class _Backwards(Phase):
    __slots__ = ()

    @property
    def done(self) -> Any:
        return self._clock.left(self._start, self._end)

    @property
    def left(self) -> Any:
        return self._clock.done(self._start, self._end)

    @property
    def backwards(self) -> Phase:
        return Phase(self._clock, self._start, self._end)
