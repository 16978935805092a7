"""The two stores of :func:`record_grad_norm`: some steps exactly, or all steps in bins."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from optax_lrs._states.found import unboxed

ROWS = 32  # the most rows that a bin becomes in a Run; see `BinnedNorms.observed`
_TINY = float(np.finfo(np.float32).tiny)  # replaces a norm of zero, which has no logarithm


def bins_within(size: int, columns: int) -> int:
    """Returns how many bins fit in ``size`` bytes with this number of columns: a multiple of 8."""
    return (size - 64) // (4 + 16 * columns) // 8 * 8  # 64: the scalars of the state


def store_of(node: Any) -> ExactNorms | BinnedNorms:
    """Returns the store, also of a state that has lost its types, where it is a mapping."""
    if not isinstance(node, Mapping):
        return node
    fields: dict[str, Any] = {
        name: dict(child) if isinstance(child, Mapping) else child for name, child in node.items()
    }
    return (BinnedNorms if "bins" in fields else ExactNorms)(**fields)


class ExactNorms(NamedTuple):
    """Store of :func:`record_grad_norm` with ``steps``: every step's norm."""

    norms: dict[str, jax.Array]  # by column: float32, shape (steps,), replicated; nan where skipped or not yet written

    @classmethod
    def empty(cls, columns: list[str], steps: int) -> ExactNorms:
        """Returns an empty store."""
        return cls({column: jnp.full((steps,), jnp.nan, jnp.float32) for column in columns})

    def put(self, step: jax.Array, norms: dict[str, jax.Array], finite: jax.Array) -> ExactNorms:
        """Returns the store with one more step; a step beyond the end changes nothing."""

        def written(buffer, norm):
            # JAX clamps an index beyond the end to the last entry: write that entry again.
            size = buffer.shape[0]
            value = jnp.where(step < size, jnp.where(finite, norm, jnp.nan), buffer[-1])
            return jax.lax.dynamic_update_index_in_dim(buffer, value, jnp.minimum(step, size - 1), 0)

        return ExactNorms({column: written(self.norms[column], norm) for column, norm in norms.items()})

    def latest(self, count: jax.Array) -> dict[str, jax.Array]:
        """Returns the last step's norm by column; nan if skipped or not kept."""

        def last(buffer):
            buffer = unboxed(buffer)
            return jnp.where((count > 0) & (count <= buffer.size), buffer[jnp.maximum(count - 1, 0)], jnp.nan)

        return {column: last(buffer) for column, buffer in self.norms.items()}

    def observed(self, count: int) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, Any]]:
        """Returns steps, norms by column and notes of the first ``count`` steps, on the host."""
        norms = {column: _host(buffer) for column, buffer in self.norms.items()}
        length = len(next(iter(norms.values())))
        notes = {"unrecorded_steps": count - length} if count > length else {}
        steps = np.arange(min(count, length), dtype=np.int64)
        return steps, {column: buffer[: len(steps)] for column, buffer in norms.items()}, notes


class BinnedNorms(NamedTuple):
    r"""Store of :func:`record_grad_norm` without ``steps``: statistics of log norms, in bins.

    With :math:`B` bins, a bin spans :math:`2^k` steps for the smallest :math:`k` with which all
    steps fit. A new :math:`k` does not move all bins at once: that would read and write every
    buffer in one step, or put a conditional into the program. Instead, each new bin merges one old
    bin into that bin's neighbor and takes its place. Position :math:`j` in time is then slot
    :math:`2^k j \bmod (B-1)`, and the last position is always the last slot: a perfect shuffle at
    each doubling. So every step reads and writes two slots, whatever the length of the run.

    Means and squared deviations are updated as in Welford's algorithm and merged as by Chan, Golub
    and LeVeque: sums of squares of logarithms would suffer cancellation in float32.
    """

    counts: (
        jax.Array
    )  # float32, shape (bins,), replicated: the number of finite steps in each bin; exact, at most 2**21
    bins: dict[
        str, jax.Array
    ]  # by column: float32, shape (4 * bins,), replicated: mean, squares, low and high of each bin
    firsts: dict[str, jax.Array]  # by column: float32, shape (), replicated: the first finite norm; nan before it

    @classmethod
    def empty(cls, columns: list[str], bins: int) -> BinnedNorms:
        """Returns an empty store."""
        nothing = np.tile(np.array([0.0, 0.0, np.inf, -np.inf], np.float32), bins)
        return cls(
            counts=jnp.zeros((bins,), jnp.float32),
            bins={column: jnp.zeros((4 * bins,), jnp.float32) + nothing for column in columns},
            firsts={column: jnp.full((), jnp.nan, jnp.float32) for column in columns},
        )

    def latest(self, count: jax.Array) -> dict[str, jax.Array]:
        """Returns the geometric mean of the newest bin by column; nan if nothing is in it.

        It is the norm of the last step while there are as many bins as steps.
        """
        counts = unboxed(self.counts)
        slot, _, _, _ = _slot(jnp.maximum(count - 1, 0), counts.size)
        filled = (count > 0) & (counts[slot] > 0)
        bins = {column: unboxed(buffer) for column, buffer in self.bins.items()}
        return {column: jnp.where(filled, jnp.exp(buffer[4 * slot]), jnp.nan) for column, buffer in bins.items()}

    def put(self, step: jax.Array, norms: dict[str, jax.Array], finite: jax.Array) -> BinnedNorms:
        """Returns the store with one more step."""
        size = self.counts.shape[0]
        slot, doublings, position, scale = _slot(step, size)
        other = jnp.maximum(position - size // 2, 0) * scale % (size - 1)
        begins = (doublings > 0) & (position << doublings == step)

        read = lambda buffer, at, width: jax.lax.dynamic_slice(buffer, (at * width,), (width,))  # noqa: E731
        write = lambda buffer, new, at: jax.lax.dynamic_update_slice(buffer, new, (at * new.shape[0],))  # noqa: E731

        here, there = read(self.counts, slot, 1)[0], read(self.counts, other, 1)[0]
        moved, kept = jnp.where(begins, here, 0.0), jnp.where(begins, 0.0, here)
        added = finite.astype(jnp.float32)
        counts = write(self.counts, (there + moved)[None], other)
        counts = write(counts, (kept + added)[None], slot)

        nothing = jnp.array([0.0, 0.0, jnp.inf, -jnp.inf], jnp.float32)
        bins = {}
        for column, norm in norms.items():
            buffer = self.bins[column]
            mine, its = read(buffer, slot, 4), read(buffer, other, 4)
            log = jnp.log(jnp.maximum(jnp.where(finite, norm, 1.0), _TINY))
            alone = jnp.where(finite, jnp.stack([log, jnp.zeros_like(log), log, log]), nothing)
            buffer = write(buffer, _merged(its, there, jnp.where(begins, mine, nothing), moved), other)
            bins[column] = write(buffer, _merged(jnp.where(begins, nothing, mine), kept, alone, added), slot)

        unseen = {column: jnp.isnan(first) & finite for column, first in self.firsts.items()}
        firsts = {column: jnp.where(unseen[column], norms[column], first) for column, first in self.firsts.items()}
        return BinnedNorms(counts, bins, firsts)

    def observed(self, count: int) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, Any]]:
        """Returns steps, norms by column and notes of the first ``count`` steps, on the host.

        A bin becomes up to 32 rows: its lowest and highest norm and, between them, a lognormal
        distribution with the mean and the variance of the others. For a bin of at most four steps
        these are exactly its norms. The rows of a bin are spread over its steps in an arbitrary but
        fixed order, because the order within a bin is lost.
        """
        span, tables, counts = self.in_order(count)
        rows_per_bin = min(span, ROWS)
        spacing = span // rows_per_bin
        # Drop a last row that covers less than half of its steps, so that rows are evenly spaced.
        steps = np.arange((count + spacing // 2) // spacing, dtype=np.int64) * spacing + (spacing - 1) // 2
        norms = {}
        for column, table in tables.items():
            whole = _rows(table[:-1], counts[:-1], rows_per_bin)
            last = _rows(table[-1:], counts[-1:], steps.size - whole.size)
            rows = np.concatenate([whole.ravel(), last.ravel()])
            seen = np.flatnonzero(np.isfinite(rows))
            if seen.size:  # smoothing repeats the first row before the start: it matters more than any other
                rows[seen[0]] = _host(self.firsts[column])
            norms[column] = rows
        return steps, norms, {"bin_steps": span, "row_steps": spacing} if span > 1 else {}

    def in_order(self, count: int) -> tuple[int, dict[str, np.ndarray], np.ndarray]:
        """Returns the span of a bin, the bins by column and their counts, on the host.

        The bins of a column have shape [bins, 4], the counts [bins], both in order of time.
        """
        counts = _host(self.counts)
        size = len(counts)
        doublings = (max(count - 1, 0) // size).bit_length()
        span = 2**doublings
        used = -(-count // span)
        position = np.arange(size)
        slots = np.where(position == size - 1, size - 1, position * (span % (size - 1)) % (size - 1))
        counts = counts[slots]
        half = size // 2
        # After the last doubling, pairs whose place no new bin has taken yet are still two bins.
        pairs = np.arange(max(used - half, 0), half) if doublings else np.arange(0)
        tables = {}
        for column, buffer in self.bins.items():
            table = _host(buffer).reshape(size, 4)[slots]
            first, second = table[pairs].T, table[pairs + half].T
            table[pairs] = _merged(first, counts[pairs], second, counts[pairs + half], xp=np).T
            tables[column] = table[:used]
        counts[pairs] += counts[pairs + half]
        return span, tables, counts[:used]


def _merged(a: Any, count_a: Any, b: Any, count_b: Any, xp: Any = jnp) -> Any:
    """Merges two bins of mean, squares (the sum of squared deviations), low and high."""
    count = xp.maximum(count_a + count_b, 1.0)
    shift = b[0] - a[0]
    mean = xp.where(count_a > 0, a[0] + shift * (count_b / count), b[0])
    squares = a[1] + b[1] + xp.where((count_a > 0) & (count_b > 0), shift * shift * (count_a * count_b / count), 0.0)
    return xp.stack([mean, squares, xp.minimum(a[2], b[2]), xp.maximum(a[3], b[3])])


def _rows(bins: np.ndarray, counts: np.ndarray, rows: int) -> np.ndarray:
    """Returns norms distributed as in each bin, shape [bins, rows]; nan where a bin is empty."""
    mean, squares, low, high = np.where(counts > 0, bins.T, np.nan)
    inner = np.maximum(counts - 2, 1)
    a, b = low - mean, high - mean
    center = np.where(counts > 2, -(a + b) / inner, 0.0)
    variance = np.maximum(squares - a**2 - b**2, 0.0) / inner - center**2
    spread = np.sqrt(np.where(counts > 2, np.maximum(variance, 0.0), 0.0))
    logs = np.tile(mean[:, None], rows)
    if rows > 1:
        scores = np.array([statistics.NormalDist().inv_cdf((i + 0.5) / rows) for i in range(1, rows - 1)])
        scores = scores / np.sqrt(np.mean(scores**2)) if rows > 3 else scores
        logs[:, 1:-1] = (mean + center)[:, None] + spread[:, None] * scores
        logs[:, 0], logs[:, -1] = low, high
        logs = np.clip(logs, low[:, None], high[:, None])
        # Bit-reversed and shifted from bin to bin: each quarter of a bin, and of many bins, has
        # low and high rows.
        order = np.argsort([int(format(i, f"0{rows.bit_length()}b")[::-1], 2) for i in range(rows)])
        shifts = np.arange(len(bins))[:, None] * (rows // 2 + 1)
        logs = np.take_along_axis(logs, (order + shifts) % rows, 1)
    return np.where(logs <= np.log(_TINY) + 1e-3, 0.0, np.exp(logs))


def _slot(step: jax.Array, size: int) -> tuple[jax.Array, ...]:
    """Returns the slot of a step's bin, the number of doublings, its position and its stride."""
    doublings = 32 - jax.lax.clz(step // size)
    position = step >> doublings
    scale = (1 << doublings) % (size - 1)
    return jnp.where(position == size - 1, size - 1, position * scale % (size - 1)), doublings, position, scale


def _host(leaf: Any) -> np.ndarray:
    return np.array(unboxed(leaf), np.float64)
