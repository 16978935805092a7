"""Measures which parameters of a network are scale-invariant."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from optax_lrs import _paths
from optax_lrs.nn._measure import Directions, Measure, Scaling
from optax_lrs.nn._report import Audit, Joint, Leaf
from optax_lrs.nn._symmetries import groups, null_exponents

FACTORS = (0.5, 2.0, 10.0)
NEARLY = 0.05


def scale_invariant_leaves(
    apply: Callable[[Any, Any], Any], params: Any, batch: Any, *, tolerance: float = 1e-3, seed: int = 0
) -> Audit:
    r"""Finds the scale-invariant parameters: those that may be projected.

    .. math:: f(c\,W) = f(W) \;\; \forall c > 0 \quad\Longleftrightarrow\quad
              \Big\langle W, \frac{\partial f}{\partial W} \Big\rangle = 0 \;\; \text{everywhere.}

    The audit measures both sides: the left one with c = 1/2, 2 and 10, the right one with gradients
    of random combinations of all outputs. It adds noise to the parameters first, because at a bias
    of zero, or in front of a branch that starts at zero, everything looks invariant. The result
    therefore describes the function, not its present weights. The change of the outputs is compared
    with the change that separate factors for the elements of the same leaf cause, so that a leaf of
    little influence is not mistaken for an invariant one. Besides whole leaves the audit finds

    * axes along which slices can be scaled independently: the layers of stacked leaves, heads,
      output neurons;
    * groups of leaves that are invariant only together, such as a kernel and its bias in front of a
      normalization, or the scale and offset of a normalization in front of a ReLU and another
      normalization;
    * exchanges, such as the two matrices around a ReLU: one may grow while the other shrinks.

    For n leaves it costs about 2n backward and 5n forward passes, all in two compiled programs, so
    use a small batch. For a flax nnx model::

        from optax_lrs import nn

        apply, params = nn.nnx.functional(model)
        audit = nn.scale_invariant_leaves(apply, params, batch)
        print(audit)

    Fix randomness (dropout) inside ``apply``. Use the training mode: a BatchNorm with running
    averages is linear. In bfloat16, rounding hides changes below a few percent; for a precise
    result, let the model compute in float32.

    Args:
        apply: a function from parameters and a batch to any tree of arrays. All its floating
            outputs are examined.
        params: a tree of arrays. Leaves that are not of a real floating type are left out.
        batch: the second argument of ``apply``; a tree of arrays. Use varied samples: a leaf that
            no sample reaches has "no effect".
        tolerance: a change smaller than this share of the leaf's largest possible effect counts as
            none. An epsilon in a normalization passes up to about ``tolerance`` times the variance
            of the activations.
        seed: the seed of the noise and of the random combinations.

    Returns:
        An :class:`Audit`; print it for a table. Pass ``audit.mask``, ``audit.patterns``,
        ``audit.separate`` and ``audit.joint`` to ``project_weights``. ``audit.mistakes(...)`` lists
        the errors of another choice.

    Raises:
        TypeError: if ``apply`` cannot be called.
        ValueError: if there is no floating parameter or output, or ``tolerance`` is not in (0,
            0.05).

    Example:
        >>> def apply(params, x):
        ...     x = x @ params["hidden"] + params["bias"]
        ...     x = x / jnp.linalg.norm(x, axis=-1, keepdims=True)
        ...     return jax.nn.relu(x) @ params["head"]
        >>> key = jax.random.key(0)
        >>> params = {"hidden": jax.random.normal(key, (3, 8)), "bias": jnp.zeros(8), "head": jnp.ones((8, 2))}
        >>> audit = scale_invariant_leaves(apply, params, jax.random.normal(key, (16, 3)))
        >>> audit.mask
        {'bias': False, 'head': False, 'hidden': False}
        >>> print(*audit.groups)
        bias · hidden

    References:
        Lyle et al., Normalization and effective learning rates in reinforcement learning,
        arXiv:2407.01800. The audit is ours.
    """
    if not callable(apply):
        raise TypeError(
            f"scale_invariant_leaves: apply must be a function of parameters and a batch, got {apply!r:.80}"
        )
    if not 0 < tolerance < NEARLY:
        raise ValueError(f"scale_invariant_leaves: tolerance must be above 0 and below {NEARLY}, got {tolerance!r}")
    keyed, structure = jax.tree_util.tree_flatten_with_path(params)
    floating = [i for i, (_, x) in enumerate(keyed) if jnp.issubdtype(jnp.result_type(x), jnp.floating)]
    if not floating:
        raise ValueError("scale_invariant_leaves: params has no leaf of a floating type")
    paths = [_paths.parameter_path(key) for key, _ in keyed]
    shapes = [tuple(map(int, jnp.shape(leaf))) for _, leaf in keyed]
    measure = Measure(apply, params, batch, seed)
    found = _Findings(measure, tolerance)
    dtypes = [jnp.result_type(leaf) for _, leaf in keyed]
    nan = math.nan
    leaves = [Leaf(*about, "not floating", nan, nan, nan, ()) for about in zip(paths, shapes, dtypes)]
    for row, i in enumerate(floating):
        change, effect, radial = found.change[row], found.effect[row], found.radial[row]
        measured = float(change), float(effect), float(radial)
        leaves[i] = Leaf(paths[i], shapes[i], dtypes[i], found.verdicts[row], *measured, found.free_axes[row])
    names = [paths[i] for i in floating]
    groups, exchanges = found.joint(names)
    return Audit(tuple(leaves), groups, exchanges, found.floor, structure)


class _Findings:
    """The measurements of all floating leaves, and their verdicts; rows are leaves."""

    def __init__(self, measure: Measure, tolerance: float):
        self.measure, self.count = measure, len(measure.shapes)
        found = measure.directions(2 * self.count + 16)
        self.sizes = np.sqrt(np.mean(found.squares, axis=0))
        safe = np.where(self.sizes > 0, self.sizes, 1.0)
        self.totals = found.totals
        self.radial = np.sqrt(np.mean(np.square(found.totals), axis=0)) / safe  # of order one, unless invariant
        nowhere, everywhere = np.zeros(measure.rank), np.ones(measure.rank)
        alone = np.eye(self.count)
        together = Scaling(np.ones(self.count), everywhere, spread=measure.epsilon)
        tests = [Scaling(row, nowhere, math.log(c)) for row in alone for c in FACTORS]
        tests += [Scaling(row, everywhere, spread=math.log(2)) for row in alone]
        results = measure.changes([*tests, together])
        self.floor = max(float(results[-1]), measure.epsilon)
        self.change = results[: len(FACTORS) * self.count].reshape(self.count, -1).max(axis=1)
        self.effect = results[len(FACTORS) * self.count : -1]
        # Rounding errors of a gradient's elements add up like random numbers, so the relative error
        # of the sum is that of one element.
        self.tolerance = max(tolerance, 10 * measure.epsilon)
        self.verdicts = [self._verdict(i) for i in range(self.count)]
        self.free_axes = self._free_axes(found)

    def _verdict(self, i: int) -> str:
        if self.effect[i] <= 5 * self.floor:
            return "no effect"
        for verdict, tolerance in (("invariant", self.tolerance), ("nearly", max(NEARLY, self.tolerance))):
            small = self.change[i] <= max(tolerance * self.effect[i], 5 * self.floor)
            if small and self.radial[i] <= tolerance:
                return verdict
        return "no"

    def _free_axes(self, found: Directions) -> list[tuple[int, ...]]:
        """The axes of each leaf whose slices are free: by gradients first, then by scaling."""
        radial = np.sqrt(np.mean(found.slices, axis=0)) / np.maximum(self.sizes, 1e-300)[:, None]
        wanted = {}
        for i, shape in enumerate(self.measure.shapes):
            axes = [a for a, length in enumerate(shape) if length > 1 and radial[i, a] <= self.tolerance]
            if self.verdicts[i] == "invariant" and axes:
                wanted[i] = [*([tuple(axes)] if len(axes) > 1 else []), *((axis,) for axis in axes)]
        tests = [(i, axes) for i, choices in wanted.items() for axes in choices]
        free: list[tuple[int, ...]] = [()] * self.count
        if tests:
            rows = [
                Scaling(np.eye(self.count)[i], np.isin(np.arange(self.measure.rank), axes) * 1.0, spread=math.log(2))
                for i, axes in tests
            ]
            for (i, axes), change in zip(tests, self.measure.changes(rows), strict=True):
                holds = change <= max(self.tolerance * self.effect[i], 5 * self.floor)
                if holds and not free[i]:  # all of them together come first
                    free[i] = axes
        return free

    def joint(self, names: list[str]) -> tuple[tuple[Joint, ...], tuple[Joint, ...]]:
        """Groups and exchanges among the leaves whose scale matters, all confirmed by scaling."""
        rows = [i for i, verdict in enumerate(self.verdicts) if verdict == "no"]
        basis = null_exponents(self.totals[:, rows], self.tolerance)
        basis = [exponents for exponents, _ in self._confirmed(basis, rows)]
        if not basis:
            return (), ()
        # Of two equivalent groups, prefer the one of matrices.
        costs = np.array([1.0 if len(self.measure.shapes[i]) > 1 else 1.01 for i in rows])
        together = groups(basis, costs)
        exchanges: list[np.ndarray] = []
        for exponents in sorted(basis, key=np.min):  # mixed signs first: most of the others are combinations of these
            if np.linalg.matrix_rank([*together, *exchanges, exponents]) > len(together) + len(exchanges):
                exchanges.append(exponents)

        def named(vectors):
            return tuple(
                Joint({names[rows[j]]: float(p) for j, p in enumerate(exponents) if p}, change)
                for exponents, change in self._confirmed(vectors, rows)
            )

        return named(together), named(exchanges)

    def _confirmed(self, vectors: list[np.ndarray], rows: list[int]) -> list[tuple[np.ndarray, float]]:
        if not vectors:
            return []
        tests = []
        for vector in vectors:
            exponents = np.zeros(self.count)
            exponents[rows] = vector / np.abs(vector).max()  # the largest power is c itself
            tests += [Scaling(exponents, np.zeros(self.measure.rank), math.log(c)) for c in FACTORS]
        changes = self.measure.changes(tests).reshape(len(vectors), -1).max(axis=1)
        limits = [
            max(self.tolerance * min(self.effect[rows[j]] for j in np.flatnonzero(v)), 5 * self.floor) for v in vectors
        ]
        return [(v, float(change)) for v, change, limit in zip(vectors, changes, limits) if change <= limit]
