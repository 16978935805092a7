"""Schedule: a value that maps steps to learning rates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, overload

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from optax_lrs._clock import Clock
from optax_lrs._value import Value

RATES = ("peak", "end", "value", "lrs", "start", "floor", "plateau", "ceiling", "amplitude")
"""The fields that are learning rates: never negative, and a schedule is proportional to them."""

PHASES = ("warmup_steps", "decay_steps")
"""The fields that are lengths of phases. Their sum is at most ``total_steps``."""

_LAST = 2**31 - 1
_BLOCK = 1 << 14  # steps that `at` evaluates at once, so that intermediate results fit into the processor's cache


class Schedule(Value, abstract=True):
    """A learning rate for every step: an ``optax.Schedule`` that is also a value.

    Call a schedule with a step to get a float32 array of the step's shape. Pass it to any optimizer
    that takes an ``optax.Schedule``. Unlike a closure, it prints, compares, pickles, and converts
    to JSON and back. It can be stored in an optimizer state, ``vmap`` and ``grad`` work over its
    rates, and a training step does not recompile when a rate changes.

    Steps count from 0: ``schedule(0)`` is the rate of the first update. Every schedule is defined
    for all steps and constant after its end.

    To define your own schedule, write its fields and its formula. ``clock`` turns the step into
    fractions of phases::

        class Sawtooth(olrs.Schedule):
            peak: float
            total_steps: int

            def rate(self, clock):
                return self.peak * clock.left(0, self.total_steps)

    The formula must be elementwise in the step and must not branch on a ``float`` field with a
    Python ``if``. Take functions from ``clock.xp`` (``clock.xp.sin``), which is NumPy on the host
    and ``jax.numpy`` on the device."""

    paper: ClassVar[str] = ""
    """The source of the schedule: an arXiv number or a URL."""
    example: ClassVar[dict[str, Any]] = {}
    """The arguments of a small instance, used in tests, tables and galleries."""

    def check(self) -> None:
        """Raises ``ValueError`` if the fields contradict each other.

        For every schedule, including yours, it checks that rates are not negative, that ``end`` is
        at most ``peak``, and that the phases fit into ``total_steps``. An override calls
        ``super().check()`` and adds its rules with :meth:`require`."""
        given = {key: getattr(self, key) for key in self._kinds if getattr(self, key) is not None}
        for key in RATES:
            if key in given and self._kinds[key].holds == "leaves":
                self.require(np.all(np.asarray(given[key]) >= 0), f"{key} must not be negative", key)
        if "peak" in given and "end" in given:
            rule = "end is a rate, not a share of the peak, and at most peak"
            self.require(np.all(given["end"] <= given["peak"]), rule, "end", "peak")
        if "total_steps" in given:
            phases = [key for key in PHASES if key in given]
            fits = sum(given[key] for key in phases) <= given["total_steps"]
            self.require(fits, f"{' + '.join(phases)} must be at most total_steps", *phases, "total_steps")

    @property
    def ends_at(self) -> int | None:
        """The step from which the rate is constant; None if there is no such step."""
        known = "total_steps" in self._kinds or hasattr(type(self), "total_steps")
        return getattr(self, "total_steps") if known else None  # noqa: B009 - not every schedule has it

    @property
    def corners(self) -> tuple[int, ...]:
        """The steps at which a phase begins or ends, including the first and the last step."""
        length = {key: getattr(self, key) or 0 for key in (*PHASES, "total_steps") if key in self._kinds}
        total, warmup, decay = (length.get(key, 0) for key in ("total_steps", "warmup_steps", "decay_steps"))
        return tuple(sorted({0, warmup, max(total - decay, warmup), max(total, warmup)}))

    def decayed_from(self, at: int, steps: int | None = None) -> Schedule:
        """Returns this schedule with its decay moved to ``at``: see :func:`optax_lrs.decay_from`.

        Raises:
            TypeError: if the schedule does not have a plateau followed by a decay.
        """
        raise TypeError(
            f"decay_from: schedule must have a plateau and a decay to start at={at}, got a {self._name}; "
            "use with_cooldown(schedule, at=..., steps=...), which decays from any step"
        )

    def rate(self, clock: Clock) -> Any:
        """Returns the learning rate as a formula of the clock. Every subclass defines it.

        Args:
            clock: the step; it computes fractions of phases (``clock.done``, ``clock.left``) and
                gives access to functions (``clock.xp``).

        Returns:
            The rate, elementwise in the step.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define rate(clock)")

    def __call__(self, step: jax.typing.ArrayLike) -> jax.Array:
        """Returns the rate at ``step``, a number or an array, as float32 of the step's shape.

        The dtype is strong, not weak.
        """
        if isinstance(step, (list, tuple)):
            step = np.asarray(step)
        if _overflows_int32(step):
            return jnp.asarray(self.at(np.asarray(step)), jnp.float32)
        return _on_device(self, step)

    @overload
    def at(self, steps: float | np.integer[Any] | np.floating[Any]) -> np.float64: ...
    @overload
    def at(self, steps: Sequence[Any] | np.ndarray | jax.Array) -> NDArray[np.float64]: ...
    def at(self, steps: Any) -> Any:
        """Returns the rate at ``steps`` in float64, computed by NumPy on the host.

        No device is used, and a call takes a few microseconds.

        Args:
            steps: an int or float, or a sequence or array of them, of any size.

        Returns:
            A ``np.float64`` for a number, and a float64 array of the same shape for a sequence or
            an array.

        Raises:
            TypeError: if ``steps`` are not numbers.
        """
        formula = self if self._plain else jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), self)
        if type(steps) is int or type(steps) is float:
            try:
                return np.float64(formula.rate(Clock.of_host(steps)))
            except (ArithmeticError, ValueError):  # where math raises, NumPy returns an inf or a limit
                pass
        steps = np.asarray(steps)
        if steps.dtype == object or not (np.issubdtype(steps.dtype, np.number) and np.isrealobj(steps)):
            raise TypeError(f"steps must be ints or floats, got {steps!r:.60}")
        with np.errstate(all="ignore"):
            if steps.size <= _BLOCK:
                return _shaped(formula.rate(Clock.of_host(steps)), steps)
            rates = np.empty(steps.size)
            flat = steps.reshape(-1)
            for start in range(0, steps.size, _BLOCK):
                rates[start : start + _BLOCK] = formula.rate(Clock.of_host(flat[start : start + _BLOCK]))
            return rates.reshape(steps.shape)


@jax.jit
def _on_device(schedule: Schedule, step: jax.typing.ArrayLike) -> jax.Array:
    """Evaluates a schedule in a compiled program, one per structure.

    So an eager call has the bits of a compiled training step.
    """
    schedule = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), schedule)
    return jnp.broadcast_to(schedule.rate(Clock.of_device(step)), jnp.shape(step)).astype(jnp.float32)


def _overflows_int32(step: Any) -> bool:
    """Whether JAX would raise (for Python ints) or, worse, wrap around (for NumPy's)."""
    if isinstance(step, int):
        return not -_LAST <= step <= _LAST
    if not isinstance(step, (np.ndarray, np.generic)) or step.dtype.kind not in "iu" or step.dtype.itemsize < 8:
        return False
    steps: Any = np.asarray(step)
    return bool(np.any(steps > _LAST) or np.any(steps < -_LAST))


def _shaped(rates: Any, steps: np.ndarray) -> Any:
    rates = np.asarray(rates, np.float64)
    return rates[()] if rates.shape == steps.shape else np.array(np.broadcast_to(rates, steps.shape))[()]
