"""The result of an audit: a table to print, and the arguments of ``project_weights``."""

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
    "nearly": "its scale changes the outputs a little: is the epsilon of a normalization too large?",
    "no": "its scale matters: projecting it would change the function",
    "no effect": "its changes are lost in rounding errors: unused, or in front of a softmax or a mean",
    "not floating": "left out",
}


class Leaf(NamedTuple):
    """The findings about one parameter."""

    path: str  # as _paths.parameter_path writes it
    shape: tuple[int, ...]
    dtype: Any
    verdict: str  # a key of VERDICTS
    change: float  # the largest relative change of an output under a factor of 1/2, 2 or 10; nan if not floating
    effect: float  # the same for separate factors of the elements, from 1/2 to 2: the leaf's largest effect
    radial: float  # |<W, G>| relative to random signs: 0 if the gradient is orthogonal to the weights
    free_axes: tuple[int, ...]  # slices along these axes can also be scaled independently of each other


class Joint(NamedTuple):
    """Leaves that can be scaled together without changing the outputs.

    Each is scaled by c to the power of its exponent, for any c > 0.
    """

    exponents: dict[str, float]  # path to exponent
    change: float  # the largest relative change of an output for c = 1/2, 2 and 10

    def __str__(self) -> str:
        powers = {1.0: "", 2.0: "²", 3.0: "³", -1.0: "⁻¹", -2.0: "⁻²", -3.0: "⁻³"}
        return " · ".join(f"{path}{powers.get(p, f'^{p:g}')}" for path, p in self.exponents.items())


@dataclasses.dataclass(frozen=True, repr=False)
class Audit:
    """The result of :func:`scale_invariant_leaves`; print it for a table."""

    leaves: tuple[Leaf, ...]
    #: Leaves that are not invariant alone, but are together, under one common factor: their common
    #: norm may be projected. An example is the pair of scale and offset of a normalization in front
    #: of a ReLU. Of several equivalent groups one is listed.
    groups: tuple[Joint, ...]
    #: The same with other exponents, mostly of both signs: one leaf can grow while another shrinks.
    #: They cannot be projected. The norm of one such leaf does not determine its effective rate;
    #: the norm of the other is needed, too.
    exchanges: tuple[Joint, ...]
    #: The change of the outputs if all parameters are rounded differently. Smaller changes are not
    #: detectable.
    floor: float
    structure: Any = dataclasses.field(compare=False)

    @property
    def mask(self) -> Any:
        """A tree of bools like the parameters: True for the leaves to project."""
        return self.structure.unflatten([leaf.verdict == "invariant" for leaf in self.leaves])

    @property
    def patterns(self) -> tuple[str, ...]:
        """Regular expressions for the paths of the invariant leaves, and of no other leaf.

        Pass them to ``project_weights(audit.patterns)``. Numbers become ``[0-9]+`` where the
        pattern then still matches invariant leaves only: one pattern for all blocks of a model.
        """
        return self._patterns([leaf.path for leaf in self.leaves if leaf.verdict == "invariant"])

    @property
    def separate(self) -> dict[str, tuple[int, ...]]:
        """The invariant leaves that are stacks of matrices: a dict from pattern to stacked axis, 0.

        A stack has three axes or more, and its slices along axis 0 can be scaled independently:
        layers of a scan, experts, heads.
        """
        return {pattern: (0,) for pattern in self._patterns([leaf.path for leaf in self.leaves if _is_stack(leaf)])}

    @property
    def joint(self) -> tuple[str, ...]:
        """Patterns of the pairs of scale and offset: ``project_weights(..., joint=audit.joint)``.

        These are the groups whose leaves have the same parent and the same shape.
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
        """Returns what is wrong with projecting each of these leaves alone: reasons by path.

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

        It leaves out embeddings, the last layer, biases and normalizations. It decides by rank and
        name, without measuring, as ``project_weights`` does by default.
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
            raise ValueError(
                f"mistakes: the tree of bools must have the structure of the parameters, got {chosen!r:.200}"
            )
        return [bool(x) for x in jax.tree.leaves(chosen)]

    def __str__(self) -> str:
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
            f"(change: the largest change of an output under factors 1/2, 2 and 10; {_percent(self.floor)} is rounding)"
        )
        verdicts = dict.fromkeys(leaf.verdict for leaf in self.leaves if leaf.verdict in ("nearly", "no effect"))
        lines += [f"{verdict}: {VERDICTS[verdict]}" for verdict in verdicts]
        lines += [f"invariant together: {group}" for group in self.groups]
        lines += [f"exchange: {exchange}" for exchange in self.exchanges[:8]]
        lines += [f"and {len(self.exchanges) - 8} more exchanges"] * (len(self.exchanges) > 8)
        wrong = self.mistakes(self.paper_default())
        lines += ["mistakes of the paper's choice, by shape and name:"] * bool(wrong)
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
