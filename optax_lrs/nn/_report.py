"""The result of an audit: a table for people, a mask and patterns for ``project_weights``."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from optax_lrs import _paths

#: The verdicts on a leaf, and their explanations in the table.
VERDICTS = {
    "invariant": "no output depends on its scale: project it",
    "nearly": "its scale changes the outputs a little: an epsilon of a normalization that is not small enough?",
    "no": "its scale matters: projecting it would change the function",
    "no effect": "no change of it is seen above rounding errors: unused, or before a softmax or a mean",
    "not floating": "left out",
}


class Leaf(NamedTuple):
    """The findings about one parameter."""

    path: str  # as _paths.parameter_path writes it
    shape: tuple[int, ...]
    dtype: Any
    verdict: str  # a key of VERDICTS
    change: float  # the largest relative change of an output under a factor of 1/2, 2 or 10; nan if not floating
    effect: float  # the same for separate factors of the elements, from 1/2 to 2: what the leaf can do at all
    radial: float  # |<W, G>| against what random signs would give: 0 if the gradient is orthogonal to the weights
    free_axes: tuple[int, ...]  # slices along these may be scaled independently of each other, too


class Joint(NamedTuple):
    """Leaves that can be scaled together without a change of the outputs.

    Each is scaled by c to the power of its exponent, for any c > 0.
    """

    exponents: dict[str, float]  # path to exponent
    change: float  # the largest relative change of an output for c = 1/2, 2 and 10

    def __str__(self):
        powers = {1.0: "", 2.0: "²", 3.0: "³", -1.0: "⁻¹", -2.0: "⁻²", -3.0: "⁻³"}
        return " · ".join(f"{path}{powers.get(p, f'^{p:g}')}" for path, p in self.exponents.items())


@dataclasses.dataclass(frozen=True, repr=False)
class Audit:
    """The result of :func:`scale_invariant_leaves`; print it for a table."""

    leaves: tuple[Leaf, ...]
    #: Leaves that are not invariant alone but together, all by one factor: the norm over all of them may be projected.
    #: The pair of scale and offset of a normalization in front of a ReLU is one. Of several
    #: equivalent groups one is listed.
    groups: tuple[Joint, ...]
    #: The same with other exponents, mostly of both signs: one leaf may grow while another shrinks. Nothing to project;
    #: the norm of such a leaf says nothing on the effective rate unless the other is known.
    exchanges: tuple[Joint, ...]
    #: By how much the outputs change if all parameters are rounded differently: no change below it can be seen.
    floor: float
    structure: Any = dataclasses.field(compare=False)

    @property
    def mask(self) -> Any:
        """A tree of bools like the parameters: True for the leaves to project."""
        return self.structure.unflatten([leaf.verdict == "invariant" for leaf in self.leaves])

    @property
    def patterns(self) -> tuple[str, ...]:
        """Regular expressions for the paths of the invariant leaves, and of no other leaf.

        Pass them to ``project_weights(audit.patterns)``.

        Numbers become ``[0-9]+`` where that is still true: one pattern for all the blocks of a
        model.
        """
        return self._patterns([leaf.path for leaf in self.leaves if leaf.verdict == "invariant"])

    @property
    def separate(self) -> dict[str, tuple[int, ...]]:
        """The invariant leaves that are stacks of matrices: pattern to the stacked axis, 0.

        A stack has three axes or more and may be scaled along axis 0 index by index: layers of a
        scan, experts, heads.
        """
        return {pattern: (0,) for pattern in self._patterns([leaf.path for leaf in self.leaves if _is_stack(leaf)])}

    @property
    def joint(self) -> tuple[str, ...]:
        """Patterns of the pairs of scale and offset: ``project_weights(..., joint=audit.joint)``.

        They are the groups of leaves of one parent and one shape.
        """
        shapes = {leaf.path: leaf.shape for leaf in self.leaves}
        same = [
            group.exponents
            for group in self.groups
            if len({(path.rpartition("/")[0], shapes[path]) for path in group.exponents}) == 1
        ]
        return self._patterns([path for group in same for path in group])

    def _patterns(self, chosen: list[str]) -> tuple[str, ...]:
        others = [leaf.path for leaf in self.leaves if leaf.path not in chosen]
        found: list[str] = []
        for path in chosen:
            if any(re.fullmatch(pattern, path) for pattern in found):
                continue
            general = re.sub(r"[0-9]+", "[0-9]+", re.escape(path))
            found.append(re.escape(path) if any(re.fullmatch(general, other) for other in others) else general)
        return tuple(found)

    def mistakes(self, chosen: Any) -> dict[str, str]:
        """Lists what is wrong with projecting these leaves, each by itself: a reason by path.

        Args:
            chosen: a tree of bools like the parameters, patterns for whole paths, or a predicate of
                a path and a leaf (a ``jax.ShapeDtypeStruct``).

        Raises:
            ValueError: if a pattern matches no path, or the tree has another structure.
        """
        found = {}
        for leaf, projected in zip(self.leaves, self._chosen(chosen), strict=True):
            if projected and leaf.verdict in ("no", "nearly"):
                found[leaf.path] = f"projected, although its scale matters: outputs change by {_percent(leaf.change)}"
            elif projected and leaf.verdict != "invariant":
                found[leaf.path] = f"projected, although {leaf.verdict}: {VERDICTS[leaf.verdict]}"
            elif not projected and leaf.verdict == "invariant":
                found[leaf.path] = "not projected, although invariant: its effective rate falls as it grows"
        return found

    def paper_default(self) -> Any:
        """The paper's choice as a tree of bools: hidden matrices.

        It leaves out embeddings, the last layer, biases and normalizations.

        It goes by rank and by names, as one does who has not measured, and as ``project_weights``
        does by default.
        """
        shapes = [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in self.leaves]
        return self.structure.unflatten([_paths.is_hidden_matrix(x.path, s) for x, s in zip(self.leaves, shapes)])

    def _chosen(self, chosen: Any) -> list[bool]:
        if callable(chosen):
            return [bool(chosen(leaf.path, jax.ShapeDtypeStruct(leaf.shape, leaf.dtype))) for leaf in self.leaves]
        if isinstance(chosen, str) or (isinstance(chosen, Sequence) and all(isinstance(p, str) for p in chosen)):
            patterns = [
                _paths.checked_pattern(p, "mistakes") for p in ([chosen] if isinstance(chosen, str) else chosen)
            ]
            for pattern in patterns:
                if not any(re.fullmatch(pattern, leaf.path) for leaf in self.leaves):
                    raise ValueError(
                        f"mistakes: the pattern {pattern!r} matches no path: {[x.path for x in self.leaves]}"
                    )
            return [any(re.fullmatch(pattern, leaf.path) for pattern in patterns) for leaf in self.leaves]
        if jax.tree.structure(chosen) != self.structure:
            raise ValueError(f"mistakes: the tree of bools must be like the parameters, got {chosen!r:.200}")
        return [bool(x) for x in jax.tree.leaves(chosen)]

    def __str__(self):
        head = ("parameter", "shape", "invariant", "change", "project")
        rows = [
            (
                leaf.path,
                str(leaf.shape),
                leaf.verdict.replace("invariant", "yes"),
                _percent(leaf.change),
                granularity(leaf),
            )
            for leaf in self.leaves
        ]
        widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
        lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in [head, *rows]]
        lines.append(
            f"(change: of the outputs, at most, if scaled by 1/2, 2 or 10; {_percent(self.floor)} is rounding)"
        )
        verdicts = dict.fromkeys(leaf.verdict for leaf in self.leaves if leaf.verdict in ("nearly", "no effect"))
        lines += [f"{verdict}: {VERDICTS[verdict]}" for verdict in verdicts]
        lines += [f"invariant together: {group}" for group in self.groups]
        lines += [f"exchange: {exchange}" for exchange in self.exchanges[:8]]
        lines += [f"and {len(self.exchanges) - 8} exchanges more"] * (len(self.exchanges) > 8)
        wrong = self.mistakes(self.paper_default())
        lines += ["the paper's choice by shape and name would get wrong:"] * bool(wrong)
        lines += [f"  {path}: {why}" for path, why in wrong.items()]
        return "\n".join(lines)

    __repr__ = __str__


def granularity(leaf: Leaf) -> str:
    """The unit to project, in words: a whole matrix, or each matrix of a stack."""
    if leaf.verdict != "invariant":
        return "-"
    stacked = _is_stack(leaf)
    text = "each of axis 0" if stacked else "whole"
    others = [str(axis) for axis in leaf.free_axes if not (stacked and axis == 0)]
    return f"{text} (or each of axis {', '.join(others)})" if others else text


def _percent(change: float) -> str:
    return "-" if np.isnan(change) else f"{100 * change:.{0 if change > 0.1 else 1}{'f' if change > 1e-3 else 'e'}}%"


def _is_stack(leaf: Leaf) -> bool:
    return leaf.verdict == "invariant" and len(leaf.shape) > 2 and 0 in leaf.free_axes
