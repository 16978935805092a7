"""Writes down where each array of an adopted state came from."""

from __future__ import annotations

from typing import Any

from optax_lrs.adoption._parts import Part, Parts

_MOST = 8  # paths that a line lists


def account(parts: Parts, filled: Any) -> str:
    """One line for each state, where its arrays came from and which are new; then what is left."""
    lines = ["AdoptionReport" if filled.step is None else f"AdoptionReport at step {filled.step}"]
    for part in (*parts.states, parts.loose):
        if part.leaves:
            name = f"{part.path or '.'} {part.kind}" if part.kind else "outside of states"
            lines.append(f"  {name}: {_origin(part, filled)}")
    if filled.left:
        lines.append(f"  left: {_listed(filled.left)}")
    return "\n".join(lines)


def _origin(part: Part, filled: Any) -> str:
    sources, counted, fresh = {}, [], []
    for key, leaf in part.leaves.items():
        if leaf.path in filled.taken:
            source = filled.taken[leaf.path]
            sources[source[: len(source) - len(key)].rstrip("/") or "."] = None
        else:
            (counted if leaf.path in filled.set_to_step else fresh).append(key)
    several = len(part.leaves) > 1 and sum(map(bool, (sources, counted, fresh))) > 1
    said = [f"from {_listed(list(sources))}"] if sources and part.kind else ["taken"] if sources else []
    said += [f"{_listed(counted)} the step" if several else "the step"] if counted else []
    said += [f"{_listed(fresh)} fresh" if several else "fresh"] if fresh else []
    return "; ".join(said)


def _listed(paths: list[str]) -> str:
    return ", ".join(paths[:_MOST]) + (f" and {len(paths) - _MOST} more" if len(paths) > _MOST else "")
