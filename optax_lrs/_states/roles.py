"""Roles: what the fields of an optimizer state are, declared by the class of the state."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from optax_lrs._states.optax_states import OPTAX

Fields = str | tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Roles:
    """Declares what the fields of an optimizer state are, so that all functions treat it right.

    A state is a ``NamedTuple``. It declares its roles in a class attribute *without an annotation*,
    so that the attribute is not a field::

        class ScaleByMyScheduleState(NamedTuple):
            count: jax.Array  # int32, shape ()
            schedule: olrs.Schedule
            rate: jax.Array  # float32, shape ()
            inner_state: optax.OptState

            roles = olrs.transforms.Roles(
                rate_steps="count",
                live_schedules="schedule",
                settings="schedule",
                derived="rate",
                applied_rates="rate",
                nested="inner_state",
            )

    For a class that you cannot edit, assign the attribute::

        TheirState.roles = olrs.transforms.Roles(seen_updates="count")

    Without roles an integer scalar in a state is reported as an error wherever a function would
    have to guess what it counts.

    Each argument is the name of a field or a tuple of names. A name may go into a field:
    ``"live/learning_rate"``. A field may have several roles. Three more things a state declares by
    having a method:

    - ``observed(group)`` returns the columns of a :class:`Run` as a dict: ``Run.from_state`` reads
      them.
    - ``logged()`` returns scalars by name, such as the last norm: ``log_dict`` reports them.
    - ``averaged()`` returns a tree like the parameters, their average, and a bool array, whether
      there is one yet: ``read_average`` reads them.

    ================== ============================================= ======== ==================== ===============
    count              what it counts                                step_of  adopt, where new     reset_schedule
    ================== ============================================= ======== ==================== ===============
    ``rate_steps``     the next step of a learning-rate schedule     first    set to the step      sets it
    ``schedule_steps`` the next step of another hyper-parameter's    second   set to the step      sets it
    ``phase_steps``    the next step of a schedule that starts again –        set to the step      sets it
    ``seen_updates``   updates that the state's arrays have seen,    second   stays 0              leaves it
                       such as Adam's
    ``updates``        all updates of the run                        third    set to the step      leaves it
    ``counts``         anything else: rows, failures, micro-batches  –        stays as it is       leaves it
    ================== ============================================= ======== ==================== ===============

    Args:
        rate_steps: as in the table; so are the next five.
        schedule_steps: see the table.
        phase_steps: see the table.
        seen_updates: see the table.
        updates: see the table.
        counts: see the table.
        live_schedules: :class:`Schedule` values in the state that give its rate. ``with_schedule``
            replaces them, and a checkpoint compares them with ``schedule=``.
        other_schedules: schedules of other hyper-parameters. ``with_schedule`` replaces those that
            ``path`` names.
        phase_schedules: schedules of the rate that apply after a restart. ``with_schedule``
            replaces them too.
        applied_rates: the rate of the last update: a scalar, or a dict of scalars by label.
            ``learning_rates`` reads it. The rates of states nested in this one are then not read.
        scales: a scalar that multiplies the updates, and thereby the rate of every state in the
            same chain.
        given_rates: the rate that the optimizer was built with. ``learning_rates`` reads it where
            no state nested in this one reports a rate.
        logged: other scalars that the last update used, or dicts of scalars by name. ``log_dict``
            reports them.
        settings: what the optimizer was built with. ``adopt`` keeps the new optimizer's.
        derived: what the next update recomputes. It may be missing from a checkpoint.
        measured: what ``init`` takes from the parameters, so that it must be given the restored
            ones.
        learned: fields in which schedules were learned from a record in this state. ``adopt`` takes
            these schedules from the checkpoint; their step cannot be set alone.
        structure: fields without arrays. Those of a checkpoint must be equal to the new
            optimizer's.
        nested: fields that hold other states.
        parts: those of ``nested`` whose states act on a part of the parameters, as in a mask.
        unapplied: those of ``nested`` whose rates do not move the parameters, as in SAM's ascent.

    Raises:
        TypeError: if a role is neither a name nor a tuple of names.

    Example:
        >>> from typing import NamedTuple
        >>> import jax.numpy as jnp, optax
        >>> from optax_lrs.adoption import adopt
        >>> class MyState(NamedTuple):
        ...     count: Any
        ...     roles = Roles(rate_steps="count")
        >>> MyState._fields
        ('count',)
        >>> adam = optax.ScaleByAdamState(count=jnp.int32(7), mu=jnp.ones(()), nu=jnp.ones(()))
        >>> fresh = (optax.scale_by_adam().init(jnp.ones(())), MyState(jnp.int32(0)))
        >>> print(adopt(fresh, adam)[1].count)
        7
    """

    rate_steps: Fields = ()
    schedule_steps: Fields = ()
    phase_steps: Fields = ()
    seen_updates: Fields = ()
    updates: Fields = ()
    counts: Fields = ()
    live_schedules: Fields = ()
    other_schedules: Fields = ()
    phase_schedules: Fields = ()
    applied_rates: Fields = ()
    scales: Fields = ()
    given_rates: Fields = ()
    logged: Fields = ()
    settings: Fields = ()
    derived: Fields = ()
    measured: Fields = ()
    learned: Fields = ()
    structure: Fields = ()
    nested: Fields = ()
    parts: Fields = ()
    unapplied: Fields = ()

    def __post_init__(self) -> None:
        for role in dataclasses.fields(self):
            names = getattr(self, role.name)
            names = (names,) if isinstance(names, str) else names
            if not isinstance(names, tuple) or not all(isinstance(name, str) and name for name in names):
                raise TypeError(
                    f"Roles: {role.name} must be the name of a field or a tuple of names, got {names!r:.60}"
                )
            object.__setattr__(self, role.name, names)

    def has(self, role: str, path: str) -> bool:
        """Whether what is at a path in the state has this role, or is inside of what has it."""
        return any(path == name or path.startswith(f"{name}/") for name in getattr(self, role))

    def explains(self, path: str) -> bool:
        """Whether what is at a path in the state has any role other than ``nested``."""
        return any(self.has(role.name, path) for role in dataclasses.fields(self) if role.name != "nested")


def roles_of(kind: type) -> Roles | None:
    """The roles that a class of states declares, or for Optax's those of our table; or None.

    Raises:
        TypeError: if a role names a field that the class does not have.
    """
    declared = getattr(kind, "roles", None)
    if isinstance(declared, Roles):
        _require_fields(kind, declared)
        return declared
    return _of_optax().get(kind.__name__) if kind.__module__.split(".")[0] == "optax" else None


def is_state(node: Any) -> bool:
    """Whether a node in a place for states is one: a NamedTuple, or anything with roles."""
    return (isinstance(node, tuple) and bool(getattr(node, "_fields", ()))) or _declares(node)


def is_known_state(node: Any) -> bool:
    """Whether a node is a state in any place. Other NamedTuples may be parameters, or data."""
    return is_state(node) and (roles_of(type(node)) is not None or type(node).__name__.endswith("State"))


@functools.cache
def _of_optax() -> dict[str, Roles]:
    return {name: Roles(**fields) for name, fields in OPTAX.items()}


def _require_fields(kind: Any, roles: Roles) -> None:
    for role in dataclasses.fields(roles):
        for name in getattr(roles, role.name):
            if name.split("/")[0] not in kind._fields:
                raise TypeError(
                    f"{kind.__name__}.roles: {role.name} names {name!r}, which is not a field of the state. Fields:"
                    f" {', '.join(kind._fields)}"
                )


def _declares(node: Any) -> bool:
    return not isinstance(node, type) and isinstance(getattr(type(node), "roles", None), Roles)
