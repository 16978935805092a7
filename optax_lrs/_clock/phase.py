"""Phase: a stretch of steps, read as fractions."""

from __future__ import annotations

from typing import Any


class Phase:
    """A stretch of steps ``[start, end]``, read as fractions: 0 before it, 1 after it, a jump if it is empty."""

    __slots__ = ("_clock", "_end", "_start")

    def __init__(self, clock: Any, start: int, end: int):
        self._clock, self._start, self._end = clock, start, end

    @property
    def xp(self) -> Any:
        """The array namespace to compute in."""
        return self._clock.xp

    @property
    def done(self) -> Any:
        """The fraction that is over, exact near the start."""
        return self._clock.done(self._start, self._end)

    @property
    def left(self) -> Any:
        """The fraction that is to come, exact near the end."""
        return self._clock.left(self._start, self._end)

    @property
    def backwards(self) -> Phase:
        """The same phase run from its end to its start: a decay read on it is a rise, exact at both ends."""
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
