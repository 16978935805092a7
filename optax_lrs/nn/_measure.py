"""The measurements of an audit: two compiled programs, for any number of leaves.

Both take the floating leaves of the parameters as a list. ``directions`` runs a backward pass for
each random combination of the outputs. From the gradient :math:`G_i` of a leaf :math:`W_i` it keeps
three sums of :math:`E_i = W_i \\circ G_i`. By the chain rule, :math:`\\sum E_i` is the derivative
with respect to the logarithm of the leaf's scale. ``changes`` runs a forward pass for each scaling
and measures how much the outputs differ.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Directions(NamedTuple):
    """Sums of :math:`E_i`, weights times gradient, per probe and leaf; NumPy float64."""

    totals: np.ndarray  # (probes, leaves): the sum of all elements
    squares: np.ndarray  # (probes, leaves): the sum of the squared elements
    slices: np.ndarray  # (probes, leaves, rank): along each axis the sum of the squared sums of slices


class Scaling(NamedTuple):
    """One scaling of all leaves: leaf i by exp(exponents[i] * (log_factor + spread * sin(phase))).

    The phase depends on the indices along ``axes``.
    """

    exponents: np.ndarray  # (leaves,)
    axes: np.ndarray  # (rank,): 1 for the axes along which the factors differ
    log_factor: float = 0.0
    spread: float = 0.0


class Measure:
    """A function, its parameters moved to a general point, and a batch.

    The point matters: scaling a bias of zeros, or the kernel in front of a branch that starts at
    zero, changes nothing, whatever the function is. So noise is added to every leaf: a tenth of its
    root mean square. A leaf of zeros gets noise of size 0.3, or, if it is a matrix, the inverse
    square root of its number of inputs.
    """

    def __init__(self, apply: Callable[[Any, Any], Any], params: Any, batch: Any, seed: int):
        leaves, self.structure = jax.tree.flatten(params)
        self.floating = [jnp.issubdtype(jnp.result_type(leaf), jnp.floating) for leaf in leaves]
        self.rest = [leaf for leaf, floating in zip(leaves, self.floating, strict=True) if not floating]
        self.shapes = [jnp.shape(leaf) for leaf, floating in zip(leaves, self.floating, strict=True) if floating]
        self.rank = max([1, *map(len, self.shapes)])
        self.apply, self.batch = apply, batch
        self.key = jax.random.key(seed, impl="rbg")  # compiles ten times as fast as threefry, leaf by leaf
        given = [jnp.asarray(leaf) for leaf, floating in zip(leaves, self.floating, strict=True) if floating]
        shapes = jax.eval_shape(self._outputs, given, self.rest, batch)
        if not shapes:
            raise ValueError("scale_invariant_leaves: apply(params, batch) returned no floating array")
        self.epsilon = _coarsest(jax.make_jaxpr(self._outputs)(given, self.rest, batch).jaxpr)
        self.given, self.moved = given, jax.jit(_moved)
        longest = max([1, *(length for shape in self.shapes for length in shape)])
        self.phases = np.random.default_rng(seed).uniform(0, 64, (self.rank, longest)).astype(np.float32)
        self._changes, self._directions = jax.jit(self._map_changes), jax.jit(self._map_directions)

    def directions(self, probes: int, points: int = 3) -> Directions:
        """The sums for random combinations of the outputs, at several general points."""
        parts = []
        numbers = np.arange(-(-probes // points) * points)  # parts of one size compile once
        for keys in np.array_split(numbers, points):
            point = self.moved(self.given, jax.random.fold_in(self.key, int(keys[0])))
            found = self._directions(point, self.rest, self.batch, keys + 1000)
            parts.append([np.asarray(part, np.float64) for part in found])
        return Directions(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    def changes(self, scalings: list[Scaling]) -> np.ndarray:
        """The largest relative change of an output for each scaling, shape (scalings,)."""
        rows = [np.stack([np.asarray(part, np.float32) for part in column]) for column in zip(*scalings, strict=True)]
        missing = -len(rows[0]) % 64  # pad to a multiple of 64 rows, so that a second call does not compile
        rows = [np.pad(row, [(0, missing)] + [(0, 0)] * (row.ndim - 1)) for row in rows]
        point = self.moved(self.given, self.key)
        found = [
            self._changes(point, self.rest, self.batch, self.phases, tuple(row[start : start + 64] for row in rows))
            for start in range(0, len(rows[0]), 64)
        ]
        return np.concatenate([np.asarray(part, np.float64) for part in found])[: len(scalings)]

    def _outputs(self, leaves, rest, batch):
        leaves, rest = iter(leaves), iter(rest)
        params = self.structure.unflatten([next(leaves if floating else rest) for floating in self.floating])
        arrays = [jnp.asarray(leaf) for leaf in jax.tree.leaves(self.apply(params, batch))]
        wide = [leaf.astype(jnp.float32) for leaf in arrays if jnp.issubdtype(leaf.dtype, jnp.floating)]
        return [jnp.where(jnp.isfinite(leaf), leaf, 0.0) for leaf in wide]  # such as the -inf of a masked logit

    def _map_changes(self, leaves, rest, batch, phases, rows):
        before = self._outputs(leaves, rest, batch)

        def change(row):
            exponents, axes, log_factor, spread = row

            def scaled(leaf, exponent):
                angle = jnp.ones((1,) * leaf.ndim)
                for axis, length in enumerate(leaf.shape):
                    along = [length if other == axis else 1 for other in range(leaf.ndim)]
                    angle = angle + axes[axis] * phases[axis, :length].reshape(along)
                factor = jnp.exp(exponent * (log_factor + spread * jnp.sin(angle)))
                return (leaf.astype(jnp.float32) * factor).astype(leaf.dtype)

            after = self._outputs([scaled(leaf, exponents[i]) for i, leaf in enumerate(leaves)], rest, batch)
            return jnp.max(jnp.stack([_distance(new, old) for new, old in zip(after, before, strict=True)]))

        return jax.lax.map(change, rows)

    def _map_directions(self, leaves, rest, batch, numbers):
        def probe(number):
            outputs, backward = jax.vjp(lambda leaves: self._outputs(leaves, rest, batch), leaves)
            keys = jax.random.split(jax.random.fold_in(self.key, number), len(outputs))
            # Every output gets the same weight, whatever its size.
            (grads,) = backward(
                [
                    jax.random.normal(key, y.shape, y.dtype) / jnp.maximum(jnp.linalg.norm(y.ravel()), 1e-30)
                    for key, y in zip(keys, outputs, strict=True)
                ]
            )
            return tuple(map(jnp.stack, zip(*map(self._sums, leaves, grads), strict=True)))

        return jax.lax.map(probe, numbers)

    def _sums(self, leaf, grad):
        product = leaf.astype(jnp.float32) * grad.astype(jnp.float32)
        along = jnp.zeros(self.rank)
        for axis in range(product.ndim):
            others = tuple(other for other in range(product.ndim) if other != axis)
            along = along.at[axis].set(jnp.sum(jnp.square(jnp.sum(product, axis=others))))
        return jnp.sum(product), jnp.sum(jnp.square(product)), along


def _moved(leaves, key):
    def moved(leaf, key):
        wide = leaf.astype(jnp.float32)
        size = jnp.sqrt(jnp.mean(jnp.square(wide)))
        at_zero = 0.3 if leaf.ndim < 2 else float(np.prod(leaf.shape[:-1])) ** -0.5
        noise = jnp.where(size > 0, 0.1 * size, at_zero)
        return (wide + noise * jax.random.normal(key, leaf.shape)).astype(leaf.dtype)

    return [moved(leaf, jax.random.fold_in(key, i)) for i, leaf in enumerate(leaves)]


def _distance(new, old):
    size = jnp.linalg.norm(old.ravel())
    return jnp.linalg.norm((new - old).ravel()) / jnp.maximum(size, 1e-30)


def _coarsest(jaxpr) -> float:
    """The largest machine epsilon of the floating types that a computation uses."""
    found = 0.0
    atoms = [*jaxpr.invars, *(atom for eqn in jaxpr.eqns for atom in (*eqn.invars, *eqn.outvars))]
    for dtype in {getattr(atom.aval, "dtype", None) for atom in atoms}:
        if dtype is not None and jnp.issubdtype(dtype, jnp.floating):
            found = max(found, float(jnp.finfo(dtype).eps))
    for eqn in jaxpr.eqns:
        for value in eqn.params.values():
            for part in value if isinstance(value, (tuple, list)) else (value,):
                inner = getattr(part, "jaxpr", part)
                if hasattr(inner, "eqns"):
                    found = max(found, _coarsest(inner))
    return found
