"""Fills a fresh state from a checkpoint, array by array; refuses what would be wrong or lost."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from optax_lrs._states.found import value_at
from optax_lrs._states.typeless import kind_of, type_of
from optax_lrs._value.arguments import is_concrete, is_traced
from optax_lrs.adoption._match import Pairs, paired, same
from optax_lrs.adoption._parts import Leaf, Part, Parts, types_of_both
from optax_lrs.adoption._place import filled, is_abstract, is_counter, is_zero, mismatch, placed
from optax_lrs.adoption._steps import found_step

_SHOWN = 6  # problems that a message lists

Wanted = dict[Part, dict[str, Leaf]]
"""For each state, the arrays that are looked for on the other side."""


@dataclasses.dataclass
class Filled:
    """The new arrays by their index, and where the array at each path came from."""

    values: dict[int, Any] = dataclasses.field(default_factory=dict)
    origins: set[int] = dataclasses.field(default_factory=set)  # the ids of the checkpoint's arrays that are in it
    taken: dict[str, str] = dataclasses.field(default_factory=dict)
    set_to_step: list[str] = dataclasses.field(default_factory=list)
    fresh: list[str] = dataclasses.field(default_factory=list)
    left: list[str] = dataclasses.field(default_factory=list)
    step: Any = None

    def state(self, parts: Parts) -> Any:
        """The fresh tree with the new arrays."""
        leaves = sorted(parts.leaves, key=lambda leaf: leaf.index)
        return jax.tree.unflatten(parts.tree, [self.values.get(leaf.index, leaf.value) for leaf in leaves])


def fill(
    mine: Parts,
    theirs: Parts,
    known: Leaf | None,
    *,
    rename: Mapping[str, str],
    drop: tuple[str, ...],
    new: tuple[str, ...],
    step: Any,
    only_loose: bool = False,
) -> Filled:
    """Does what :func:`adopt` documents; ``known`` is a step next to the old optimizer state."""
    _require_arrays(mine, theirs)
    _require_fresh(mine)
    if mine.raw or theirs.raw:
        _by_fields(mine, theirs)
    dropped, kept = _matched("drop", drop, theirs.leaves), _matched("new", new, mine.leaves)
    learned = all(any(part.learned_by() for part in parts.states) for parts in (mine, theirs))
    here = {part: _takes_part(part, kept, learned) for part in (*mine.states, mine.loose)}
    there = {part: _takes_part(part, dropped, learned) for part in (*theirs.states, theirs.loose)}
    pairs: Pairs = {}
    if not only_loose:
        new_parts, old_parts = _trimmed(mine, here), _trimmed(theirs, there)
        found = paired(list(new_parts), list(old_parts), rename)
        pairs = {new_parts[part]: [old_parts[other] for other in partners] for part, partners in found.items()}
        _require_one_structure(pairs)
    if here[mine.loose] or there[theirs.loose]:
        pairs[mine.loose] = [theirs.loose]
    result, used = Filled(), set()
    problems = _take_all(pairs, here, there, result, used)
    if only_loose:
        return _checked(result, problems)
    for part in (*theirs.states, theirs.loose):
        result.left += [leaf.path for leaf in part.leaves.values() if leaf.path not in used]
        problems += _lost(part, there[part], used)
    _checked(result, problems)
    _set_steps(mine, theirs, known, pairs, kept, step, result)
    problems += _unexplained(mine, kept, step, result)
    for leaf in mine.leaves:
        if leaf.path not in result.taken and leaf.path not in result.set_to_step:
            result.fresh.append(leaf.path)
            if is_abstract(leaf.value):
                problems.append(
                    f"{leaf.path} is not in the checkpoint, and fresh has no value for it: give tx.init(params)"
                )
    problems += _measured_elsewhere(mine, result)
    return _checked(result, problems)


def _take_all(pairs: Pairs, here: Wanted, there: Wanted, result: Filled, used: set[str]) -> list[str]:
    """Takes every array that the checkpoint has; returns the problems with the others."""
    problems = []
    for part, partners in pairs.items():
        for key, leaf in here[part].items():
            sources = [there[other][key] for other in partners if key in there[other]]
            used.update(source.path for source in sources)
            derived = part.has("derived", key)
            if sources and not (derived and mismatch(sources[0].value, leaf.value)):
                problems += _take(leaf, sources, result)
            elif partners and not derived:
                problems.append(
                    f"{leaf.path} is not in the checkpoint, while the rest of {part.kind or 'the tree'} is:"
                    f" to leave it unchanged, new={leaf.path!r}"
                )
    return problems


def _take(leaf: Leaf, sources: list[Leaf], result: Filled) -> list[str]:
    values = [source.value for source in sources]
    wrong = mismatch(values[0], leaf.value)
    if wrong:
        return [f"{sources[0].path} {wrong}, for {leaf.path}"]
    if not same(values):
        listed = ", ".join(f"{source.path}: {source.value}" for source in sources)
        return [f"{leaf.path} joins several that differ ({listed}): leave out all but one by drop="]
    value = placed(values[0], leaf.value)
    if id(values[0]) in result.origins:
        value = jnp.copy(value)  # one array twice in a state could not be donated
    result.origins.add(id(values[0]))
    result.values[leaf.index] = value
    result.taken[leaf.path] = sources[0].path
    return []


def _set_steps(
    mine: Parts, theirs: Parts, known: Leaf | None, pairs: Pairs, kept: set[str], step: Any, result: Filled
) -> None:
    """Sets the counts that were not taken to the step; with ``step=``, also those that were."""
    for part in mine.states:
        learner = part.learned_by()
        for key, leaf in part.leaves.items():
            reads, counts = part.steps(key), part.has("updates", key)
            again = reads and step is not None
            if leaf.path in kept or not (reads or counts) or (leaf.path in result.taken and not again):
                continue
            if reads and learner is not None and pairs.get(learner):
                raise ValueError(
                    f"adopt: {part.path!r} is inside a {learner.kind}, whose record is in step with it: leave step= out"
                )
            if result.step is None:
                result.step = step if step is not None else _known_step(theirs, known)
            if result.step is None and reads:
                raise ValueError(
                    f"adopt: the checkpoint counts no updates, and the schedule at {leaf.path!r} needs a step to"
                    " begin at: pass step="
                )
            if result.step is None:
                continue
            result.values[leaf.index] = filled(leaf.value, result.step)
            result.taken.pop(leaf.path, None)
            result.set_to_step.append(leaf.path)


def _known_step(theirs: Parts, known: Leaf | None) -> Any:
    """The step by the checkpoint's own counts, or the one next to them; None if nothing counts."""
    step = found_step(theirs, owner="adopt")
    if step is None and known is not None:
        loose = dataclasses.replace(theirs.loose, leaves={"step": known})
        step = found_step(dataclasses.replace(theirs, loose=loose, states=[]), owner="adopt")
    return step


def _unexplained(mine: Parts, kept: set[str], step: Any, result: Filled) -> list[str]:
    """Integers without a role that are not in the checkpoint, or that ``step=`` may have to set."""
    return [
        f"{leaf.path} is an integer, and {part.kind} declares no role for it, so it is not known whether it must"
        f" begin at the run's step: declare it, {part.kind}.roles = optax_lrs.transforms.Roles(...), or keep it"
        f" unchanged, new={leaf.path!r}"
        for part in mine.states
        for leaf in part.unexplained()
        if leaf.path not in kept and (leaf.path not in result.taken or step is not None)
    ]


def _takes_part(part: Part, without: set[str], learned: bool) -> dict[str, Leaf]:
    """The leaves to look for on the other side: no settings, nothing that the caller named."""
    own = learned and part.learned_by() is not None
    return {
        key: leaf
        for key, leaf in part.leaves.items()
        if (own or not part.has("settings", key)) and leaf.path not in without
    }


def _trimmed(parts: Parts, leaves: Wanted) -> dict[Part, Part]:
    """The states that still have arrays, with these arrays."""
    return {dataclasses.replace(part, leaves=leaves[part]): part for part in parts.states if leaves[part]}


def _is_little(part: Part, key: str, leaf: Leaf) -> bool:
    """Whether nothing is lost with an array: it is a count or zero, or every update computes it."""
    return part.has("derived", key) or is_counter(leaf.value) or is_zero(leaf.value)


def _lost(part: Part, wanted: dict[str, Leaf], used: set[str]) -> list[str]:
    """What would be lost of a state in the checkpoint, one line for each field."""
    fields: dict[str, list[str]] = {}
    for key, leaf in wanted.items():
        if leaf.path not in used and not _is_little(part, key, leaf):
            fields.setdefault(key.split("/")[0], []).append(leaf.path)
    problems = []
    for field, paths in fields.items():
        mine = [key for key in part.leaves if key.split("/")[0] == field]
        whole = len(paths) == len(mine) > 1
        pattern = "/".join(filter(None, (part.path, field, ".*"))) if whole else paths[0]
        problems.append(
            f"{pattern if whole else ', '.join(paths)} ({part.kind or 'in no known state'}) has no place in the new"
            f" state: to leave it out, drop={pattern!r}"
        )
    return problems


def _matched(name: str, patterns: tuple[str, ...], leaves: list[Leaf]) -> set[str]:
    found = {pattern: {leaf.path for leaf in leaves if re.fullmatch(pattern, leaf.path)} for pattern in patterns}
    for pattern, paths in found.items():
        if not paths:
            some = ", ".join(leaf.path for leaf in leaves[:8]) + (", …" if len(leaves) > 8 else "")
            raise ValueError(f"adopt: {name}={pattern!r} matches no path; the paths are {some}")
    return set().union(*found.values())


def _by_fields(mine: Parts, theirs: Parts) -> None:
    """Names the kinds of both sides' states by their fields, where one side has no types."""
    known = types_of_both(mine, theirs)
    for part in (*mine.states, *theirs.states):
        kind = type_of(part.present, known)
        part.kind = part.kind if kind is None else kind_of(kind)


def _require_arrays(mine: Parts, theirs: Parts) -> None:
    if not theirs.leaves and theirs.tree.num_nodes <= 1 and not theirs.states:
        raise ValueError("adopt: restored is empty: it holds neither arrays nor states")
    for leaf in theirs.leaves:
        if is_abstract(leaf.value):
            raise ValueError(f"adopt: restored holds shapes without values, the first at {leaf.path!r}")


def _require_fresh(mine: Parts) -> None:
    for part in mine.states:
        for key, leaf in part.leaves.items():
            if not (part.steps(key) or part.has("seen_updates", key)):
                continue
            if is_concrete(leaf.value) and not is_zero(leaf.value):
                raise ValueError(
                    f"adopt: the first state has counted {leaf.value} updates at {leaf.path!r}: pass a fresh"
                    " state first, tx.init(params), and the restored one second"
                )


def _require_one_structure(pairs: Pairs) -> None:
    for part, partners in pairs.items():
        for name in part.roles.structure if part.roles else ():
            for other in partners:
                mine, theirs = value_at(part.node, name), value_at(other.node, name)
                if part.typed and other.typed and mine != theirs:
                    raise ValueError(f"adopt: {name} of {part} is {mine}, and the checkpoint's is {theirs}")


def _measured_elsewhere(mine: Parts, result: Filled) -> list[str]:
    """States that measured other parameters than those that were taken."""
    stale = [
        part
        for part in mine.states
        if any(part.has("measured", key) for key in part.leaves)
        and not any(leaf.path in result.taken for leaf in part.leaves.values())
    ]
    for leaf in mine.loose.leaves.values():
        if not stale or leaf.path not in result.taken or not leaf.path.split("/")[0] == "params":
            continue
        if not _equal(leaf.value, result.values[leaf.index]):
            return [
                f"{stale[0].path} ({stale[0].kind}) was begun with other parameters than those of the checkpoint:"
                " build fresh with the restored ones, tx.init(params)"
            ]
    return []


def _equal(a: Any, b: Any) -> bool:
    if not is_concrete(a) or is_traced(b):
        return True
    return bool(jnp.array_equal(a, b))


def _checked(result: Filled, problems: list[str]) -> Filled:
    if problems:
        more = f"\n  and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        shown = "".join(f"\n  {problem}" for problem in problems[:_SHOWN])
        raise ValueError(f"adopt: the checkpoint does not fit into the new state:{shown}{more}")
    return result
