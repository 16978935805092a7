"""Compares a checkpoint's schedule with this program's, and decides which one continues."""

from __future__ import annotations

import json
import warnings
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from optax_lrs._schedule import Schedule
from optax_lrs._value import Value
from optax_lrs.checkpoint._fingerprint import (
    UNKNOWN,
    described,
    difference,
    parsed,
    same_structure,
    schedules_in,
    with_schedules,
)
from optax_lrs.checkpoint._unboxed import live_paths, rates_in

CHOICES = ("error", "override", "keep")
_UNSAID = (
    "{where} has {what}, and the template has only shapes, so they cannot be compared: say which schedule this program"
    " runs, schedule=..., or on_mismatch='keep' to continue with the checkpoint's"
)
_UNTOLD = (
    "{where} has a schedule at {path}, {there}, and the template has only its shapes, so they cannot be compared;"
    " schedule= applies to the live schedule only. Give a template with numbers (tx.init(params)), or"
    " on_mismatch='keep' to continue with the checkpoint's"
)
_SEVERAL = (
    "{where}: the template has only the shapes of {count} live schedules ({paths}), and schedule= cannot name all of"
    " them: give a template with numbers (tx.init(params)) and schedule=None, or on_mismatch='keep' and schedule=None"
    " to continue with the checkpoint's"
)


class Decision(NamedTuple):
    """What to restore, and which schedules to replace afterwards."""

    template: Any  # with the checkpoint's live schedules where their structure is another
    replaced: dict[str, Schedule]  # by path: this program's, which replaces the checkpoint's
    schedule: Schedule | None  # the one that continues, if it is known and there is only one


def decide(
    plain: Mapping[str, Any] | None,
    live: Mapping[str, Mapping[str, Any]] | None,
    template: Any,
    given: Any,
    wanted: Schedule | None,
    on_mismatch: str,
    where: str,
) -> Decision:
    """Compares every schedule that the checkpoint names with the template's and with ``wanted``.

    ``plain`` is the schedule that was given when saving, and ``live`` are those inside the state,
    by path; both are None where the checkpoint does not name them. ``given`` is the template before
    its leaves became shapes with a sharding.
    """
    inside, shapes = schedules_in(given), schedules_in(template)
    if not any(is_live for _, is_live in inside.values()):
        unboxed = bool(rates_in(template))
        if unboxed and wanted is None and on_mismatch != "keep":
            raise ValueError(_UNSAID.format(where=where, what=f"a live schedule at {', '.join(rates_in(template))}"))
        if len(rates_in(template)) > 1 and plain is None and wanted is not None:  # they differ, or were not named
            raise ValueError(
                f"{where} has several live schedules ({_short(', '.join(rates_in(template)))}) in a state without"
                " types, as nnx.split returns it, and schedule= cannot name all of them: pass on_mismatch='keep' and"
                " schedule=None to continue with the checkpoint's"
            )
        continues = [_plain(plain, wanted, on_mismatch, where, unboxed)]
    else:
        continues = []
        if on_mismatch != "keep":
            _require_one(live, inside, wanted, on_mismatch, where)
    changed, replaced = {}, {}
    for path, (node, is_live) in inside.items():
        new = _new(node, is_live, wanted, path)
        there = None if live is None else live.get(path)
        if there is None:
            if live is None and is_live:
                _unnamed(new, on_mismatch, path, where)
                continues.append(new if on_mismatch == "override" else None)
                if on_mismatch == "override":
                    replaced[path] = new
            continue  # a checkpoint that names others but not this one has other arrays, too, which is reported
        there, version = _split(there)
        if new is None and is_live and on_mismatch != "keep":
            raise ValueError(_UNSAID.format(where=where, what=f"a live schedule at {path}, {_text(there, version)}"))
        found = difference(there, described(node if new is None else new), float32=True)
        if found and on_mismatch == "error":
            raise _mismatch(found, _text(there, version), repr(new or node), where, path)
        if new is None and not found and on_mismatch != "keep":
            raise ValueError(_UNTOLD.format(where=where, path=path, there=_short(_text(there, version))))
        if found and on_mismatch == "override":
            if new is None:
                raise ValueError(
                    f"{where}: {found[0]} of the schedule at {path} is {found[1]!r} there and {found[2]!r} here, and"
                    " the template has only its shapes: to override it, give a template with numbers"
                )
            replaced[path] = new
        if not same_structure(there, described(node)):
            changed[path] = _abstract(_readable(there, version, where), shapes[path][0])
        if is_live:
            continues.append(
                _readable(there, version, where) if (found and on_mismatch == "keep") or new is None else new
            )
    schedule = continues[0] if continues and all(other == continues[0] for other in continues) else None
    return Decision(with_schedules(template, changed), replaced, schedule)


def kept(found: Schedule | None, given: Schedule | None, template: Any, where: str) -> Schedule | None:
    """The schedule after ``"keep"``; warns if it is another one that the state does not hold."""
    if given is None or found is None or found == given:
        return given
    if not any(is_live for _, is_live in schedules_in(template).values()) and not rates_in(template):
        warnings.warn(
            f"{where}: its schedule is kept, {_short(repr(found))}, but the state holds only counts: an optimizer that"
            f" is already built continues with its own, {_short(repr(given))}. Build it with `.schedule` of what"
            " restore returns",
            stacklevel=3,
        )
    return found


def named_schedule(
    plain: Mapping[str, Any] | None, inside: Mapping[str, Any] | None, leaves: Collection[str], where: str
) -> Schedule | None:
    """The schedule of a checkpoint: the live one in its state, or the one given when it was saved.

    Not all schedules ``inside`` the state are live ones, such as ``again`` of
    ``scale_by_rewarming_schedule``. The names of the ``leaves`` next to them decide.
    """
    inside = inside or {}
    live = [inside[path] for path in live_paths([*leaves, *inside]) if path in inside]
    named = live or ([plain] if plain else [])
    same = named and all(other == named[0] for other in named)
    return _readable(*_split(named[0]), where) if same else None


def _plain(
    plain: Mapping[str, Any] | None, wanted: Schedule | None, on_mismatch: str, where: str, unboxed: bool
) -> Schedule | None:
    if wanted is None:
        try:
            return None if plain is None else parsed(*_split(plain))
        except (ValueError, TypeError):
            return None  # the caller did not ask for it
    if on_mismatch == "override":
        return wanted
    if plain is None:
        raise ValueError(
            f"{where} does not say its schedule, so it cannot be compared with {wanted}: on_mismatch='override'"
            " continues with this one; without schedule= only the state is restored"
        )
    there, version = _split(plain)
    found = difference(there, described(wanted), float32=unboxed)
    if found is None:
        return wanted
    if on_mismatch != "keep":
        raise _mismatch(found, _text(there, version), repr(wanted), where, "")
    if unboxed and not same_structure(there, described(wanted)):
        raise ValueError(
            f"{where}: {found[0]} is {found[1]!r} there and {found[2]!r} here, and the template is a state without"
            " types, as nnx.split returns it, whose graph holds the step counts of its schedule: to keep the"
            " checkpoint's, build the optimizer with checkpoints.schedule_at()"
        )
    return _readable(there, version, where)


def _new(node: Schedule, is_live: bool, wanted: Schedule | None, path: str) -> Schedule | None:
    """This program's schedule at a path; None if there are only shapes."""
    here = described(node)
    if is_live and wanted is not None:
        found = difference(described(wanted), here, float32=True)
        if found:
            raise ValueError(
                f"restore: schedule= is not the live schedule of the template at {path}: {found[0]} is {found[1]!r} in "
                f"schedule= and {found[2]!r} in the template"
            )
        return wanted
    return None if _has_unknown(here) else node


def _require_one(
    live: Mapping[str, Any] | None,
    inside: Mapping[str, tuple[Schedule, bool]],
    wanted: Schedule | None,
    on_mismatch: str,
    where: str,
) -> None:
    """Raises if ``wanted`` would be compared with several live schedules, or replace them all."""
    several = [
        path
        for path, (node, is_live) in inside.items()
        if is_live and _has_unknown(described(node)) and (live is None or path in live)
    ]
    if len(several) < 2 or (live is None and on_mismatch == "error"):
        return
    if wanted is None or live is None:
        raise _several(several, where)
    here = described(wanted)
    if any(difference(_split(live[path])[0], here, float32=True) for path in several):
        raise _several(several, where)


def _several(paths: Collection[str], where: str) -> ValueError:
    return ValueError(_SEVERAL.format(where=where, count=len(paths), paths=_short(", ".join(paths))))


def _has_unknown(description: Any) -> bool:
    return f'"{UNKNOWN}"' in json.dumps(description)


def _unnamed(new: Schedule | None, on_mismatch: str, path: str, where: str) -> None:
    """Raises for a live schedule that the checkpoint does not name: Checkpoints did not save it."""
    if on_mismatch == "error" or (on_mismatch == "override" and new is None):
        raise ValueError(
            f"{where} does not say which schedule its arrays at {path} belong to: on_mismatch='override' replaces them"
            " by this program's (schedule=...), on_mismatch='keep' takes them as the rates of this program's"
        )


def _mismatch(found: tuple[str, Any, Any], there: str, here: str, where: str, path: str) -> ValueError:
    field, a, b = found[0], *(_short(repr(item)) for item in found[1:])
    there, here = _short(there), _short(here)
    at = f" (in the state, at {path})" if path else ""
    return ValueError(
        f"{where} was saved with another schedule{at}: {field} is {a} there and {b} here. There: {there}. Here: {here}."
        " Choose on_mismatch='keep' to continue with the checkpoint's, 'override' to continue with this program's;"
        " 'error', the default, changes nothing"
    )


def _short(text: str) -> str:
    return text if len(text) <= 300 else f"{text[:300]} …"


def _split(tree: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """A stored fingerprint without its version and digest, and the version."""
    return {key: item for key, item in tree.items() if key not in ("version", "digest")}, tree.get("version", 0)


def _readable(there: dict[str, Any], version: int, where: str) -> Schedule:
    try:
        return parsed(there, version)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{where}: this program cannot build the checkpoint's schedule, {str(there)[:200]}: {error}. If it is"
            " your own class, import its module first"
        ) from None


def _text(there: dict[str, Any], version: int) -> str:
    try:
        return repr(parsed(there, version))
    except (ValueError, TypeError):
        return json.dumps(there)[:300]


def _abstract(schedule: Schedule, like: Schedule) -> Schedule:
    """The shapes of a schedule, placed and boxed as those of another."""
    box = next(iter(jax.tree.leaves(like, is_leaf=lambda x: not isinstance(x, (Value, tuple)))), None)
    (old,) = jax.tree.leaves(box)

    def shape(leaf):
        size = np.shape(leaf)
        new = np.zeros(size, np.float32)
        if isinstance(old, jax.ShapeDtypeStruct):
            new = jax.ShapeDtypeStruct(size, np.float32, sharding=old.sharding)
        return jax.tree.map(lambda _: new, box)

    return jax.tree.map(shape, schedule)
