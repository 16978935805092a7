"""Matches the states of a checkpoint with those of a fresh optimizer; never by a guess."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from optax_lrs._value.arguments import is_traced
from optax_lrs.adoption._parts import Part

Pairs = dict[Part, list[Part]]
"""For each fresh state those that it takes arrays from: none, one, or several that it joins."""


def paired(fresh: list[Part], old: list[Part], rename: Mapping[str, str]) -> Pairs:
    """Returns the pairs.

    States of one kind are paired if there is one on each side; else if they have the same paths;
    else, where each has separate parameters (a mask, a partition), if they have parameters in
    common; else in their order, if there are equally many.

    Raises:
        ValueError: if more than one way is left.
    """
    pairs: Pairs = {}
    taken = set()
    for part, partner in _renamed(fresh, old, rename):
        pairs[part] = [partner]
        taken.add(partner)
    by_kind: dict[str, tuple[list[Part], list[Part]]] = defaultdict(lambda: ([], []))
    for part in fresh:
        if part not in pairs:
            by_kind[part.kind][0].append(part)
    for part in old:
        if part not in taken:
            by_kind[part.kind][1].append(part)
    for kind, (mine, theirs) in by_kind.items():
        if mine and theirs:
            pairs.update(_of_one_kind(kind, mine, theirs))
    return pairs


def _of_one_kind(kind: str, fresh: list[Part], old: list[Part]) -> Pairs:
    theirs = {part.path: part for part in old}
    if len(fresh) == len(old) == 1:
        return {fresh[0]: old}
    if {part.path for part in fresh} == set(theirs):
        return {part: [theirs[part.path]] for part in fresh}
    if _disjoint(fresh) and _disjoint(old):
        shared = {part: [other for other in old if part.spread & other.spread] for part in fresh}
        if any(shared.values()):
            return shared
    if len(fresh) == len(old) and all(map(_fits, fresh, old)):
        return {part: [other] for part, other in zip(fresh, old)}
    few, many, turned = (fresh, old, False) if len(fresh) <= len(old) else (old, fresh, True)
    choices = {part: [other for other in many if _fits(part, other)] for part in few}
    chosen = [found[0] for found in choices.values() if len(found) == 1]
    if len(chosen) == len(few) == len(set(chosen)):
        return {(b if turned else a): [a if turned else b] for a, b in zip(few, chosen)}
    if all(part.steps(key) for part in (*fresh, *old) for key in part.leaves):
        return {}  # they hold only a schedule's step, which is known without them
    raise ValueError(
        f"adopt: the checkpoint's {kind} at {_paths(old)} could go to the new optimizer's at {_paths(fresh)} in"
        f" more than one way, or in none; choose by rename={{{old[0].path!r}: {fresh[0].path!r}}}, or leave one out"
        " by drop= or new="
    )


def _renamed(fresh: list[Part], old: list[Part], rename: Mapping[str, str]) -> list[tuple[Part, Part]]:
    mine = {part.path: part for part in fresh}
    found, paths = [], [part.path for part in old]
    for source, target in rename.items():
        below = [part for part in old if part.path == source or part.path.startswith(f"{source}/") or not source]
        pairs = [(mine.get((target + part.path[len(source) :]).strip("/")), part) for part in below]
        pairs = [(part, other) for part, other in pairs if part is not None]
        if not pairs:
            known = f"the checkpoint has states at {paths}, the new optimizer at {sorted(mine)}"
            raise ValueError(f"adopt: rename={{{source!r}: {target!r}}} names no pair of states; {known}")
        found += pairs
    if len({a for a, _ in found}) < len(found) or len({b for _, b in found}) < len(found):
        raise ValueError(f"adopt: rename gives one state to two, or two to one, got {dict(rename)!r}")
    return found


def _disjoint(parts: list[Part]) -> bool:
    """Whether no two of these states have parameters in common."""
    together = [key for part in parts for key in part.spread]
    return bool(together) and len(together) == len(set(together)) and all(part.spread for part in parts)


def _fits(a: Part, b: Part) -> bool:
    same = lambda key: np.shape(a.leaves[key].value) == np.shape(b.leaves[key].value)  # noqa: E731
    return a.leaves.keys() == b.leaves.keys() and all(map(same, a.leaves))


def _paths(parts: list[Part]) -> str:
    return " and ".join(repr(part.path) for part in parts)


def same(values: list) -> bool:
    """Whether scalars of several states are equal; traced ones are only if they are the same."""
    if is_traced(*values):
        return len({id(value) for value in values}) == 1
    return all(np.array_equal(np.asarray(values[0]), np.asarray(value)) for value in values[1:])
