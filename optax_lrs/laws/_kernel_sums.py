"""Sums over all changes of the rate before a step, in less than one operation per change."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator

import numpy as np

_NODES = 8  # interpolation nodes per block
_LEAF = 24  # blocks of at most this many sources are summed one by one
_SPAN = 1.0  # how much the logarithm of the rate may change within a block
_ROUGH = 1e-4  # the allowed interpolation error of it, and of the sums of rates relative to their span
_FAR = 0.5  # how far a block must be, in sums of rates, relative to its own
_CHUNK = 2048  # targets whose terms are computed together
_MOST = 4_000_000  # terms computed together, 160 MB
_NO_CHANGE = 1e-15  # of the highest rate: a change by rounding
LOWEST = 1e-10  # replaces a rate of zero, which has no negative power


@dataclasses.dataclass(frozen=True, eq=False)
class Terms:
    """A sum over sources for each of several targets, written as few terms.

    Attributes:
        targets: the target of each term, shape [m], from 0.
        nodes: the source where it is evaluated, as an index into ``log_lrs``.
        weights: its weight: a drop of the rate, or the interpolation weight of many drops.
        sums: the sum of rates from the node's step to the target's, both included.
        log_lrs: the logarithms of the rates at the sources.
        count: the number of targets.
    """

    targets: np.ndarray
    nodes: np.ndarray
    weights: np.ndarray
    sums: np.ndarray
    log_lrs: np.ndarray
    count: int


def plan_terms(lrs: np.ndarray, changes: np.ndarray, steps: np.ndarray) -> list[Terms]:
    r"""Plans sums over all drops with a smooth kernel, in O(log T) terms for a step.

    .. math:: \sum_{k \le t} g_k f\Big(\ln\eta_k, \sum_{\tau=k}^t \eta_\tau\Big)

    The direct sum takes O(T) for a step, O(T^2) for a curve. But on a step far enough after them, a
    block of changes acts through few numbers: f is interpolated in the block by polynomials at
    eight of its steps. Blocks are halved until they are far (the rates summed since the block are
    at least half those summed within it) and smooth (the rate changes by less than a factor e, and
    interpolation reproduces it to 1e-4: rates interpolated between the rows of a log have kinks),
    or have 24 changes left, which are summed one by one. That is O(log T) blocks for a step. The
    terms do not depend on the parameters of f.

    The error of the loss is below 1e-8 for all schedules and parameters tried, up to 72,000 steps;
    tests hold it to 3e-8.

    Args:
        lrs: the rates that are summed, shape [T].
        changes: the drops :math:`g_k` before each step, shape [T]; steps without a drop are not
            sources.
        steps: the steps t to compute, increasing.

    Returns:
        Terms for the steps, in one or several pieces, in order.
    """
    sums = np.cumsum(lrs)
    at = np.flatnonzero(np.abs(changes) > _NO_CHANGE * lrs.max())
    sources = _Sources(at, changes[at], np.log(np.maximum(lrs[at], LOWEST)), np.concatenate([[0.0], sums])[at])
    pieces = np.split(steps, range(_CHUNK, len(steps), _CHUNK))
    return [terms for piece in pieces for terms in _terms(sources, piece, sums[piece])]


@dataclasses.dataclass(frozen=True, eq=False)
class _Sources:
    at: np.ndarray  # the steps of the changes
    drops: np.ndarray
    log_lrs: np.ndarray
    before: np.ndarray  # the sum of the rates before each


def _terms(sources: _Sources, steps: np.ndarray, sums: np.ndarray) -> Iterator[Terms]:
    blocks = list(_blocks(sources, 0, len(sources.at), steps, sums, 0, len(steps)))
    if len(steps) > 1 and sum((high - low) * len(nodes) for low, high, nodes, _ in blocks) > _MOST:  # rough rates
        middle = len(steps) // 2
        yield from _terms(sources, steps[:middle], sums[:middle])
        yield from _terms(sources, steps[middle:], sums[middle:])
        return
    pieces = []
    for low, high, nodes, weights in blocks:
        target, node = np.repeat(np.arange(low, high), len(nodes)), np.tile(nodes, high - low)
        weight = np.tile(weights, high - low)
        if steps[low] < sources.at[nodes[-1]]:  # some of these sources come after some of the targets
            causal = sources.at[node] <= steps[target]
            target, node, weight = target[causal], node[causal], weight[causal]
        pieces.append((target, node, weight))
    none = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    target, node, weight = (np.concatenate(column) for column in zip(none, *pieces))
    yield Terms(target, node, weight, np.maximum(sums[target] - sources.before[node], 0.0), sources.log_lrs, len(steps))


def _blocks(
    sources: _Sources, first: int, last: int, steps: np.ndarray, sums: np.ndarray, low: int, high: int
) -> Iterator[tuple[int, int, np.ndarray, np.ndarray]]:
    """Ranges of targets, and for each the sources that represent a block, with their weights."""
    low = (
        max(low, int(np.searchsorted(steps, sources.at[first]))) if first < last else high
    )  # targets after the first source
    if low >= high:
        return
    if last - first <= _LEAF:
        yield low, high, np.arange(first, last), sources.drops[first:last]
        return
    span = sources.before[last - 1] - sources.before[first]
    far = int(np.searchsorted(sums, sources.before[last - 1] + _FAR * span))
    far = min(max(far, int(np.searchsorted(steps, sources.at[last - 1])), low), high)
    found = _interpolated(sources, first, last) if far < high else None
    if found is None:
        far = high
    else:
        yield far, high, *found
    middle = (first + last) // 2
    yield from _blocks(sources, first, middle, steps, sums, low, far)
    yield from _blocks(sources, middle, last, steps, sums, low, far)


def _interpolated(sources: _Sources, first: int, last: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Nodes and weights for a block of sources; None if its rates are not smooth enough."""
    log_lrs, before = sources.log_lrs[first:last], sources.before[first:last]
    if np.ptp(log_lrs) > _SPAN:
        return None
    nodes, lagrange = _lagrange(last - first)
    rough = np.abs(log_lrs[nodes] @ lagrange - log_lrs).max() > _ROUGH
    if rough or np.abs(before[nodes] @ lagrange - before).max() > _ROUGH * np.ptp(before):
        return None
    return first + nodes, lagrange @ sources.drops[first:last]


@functools.lru_cache(maxsize=64)
def _lagrange(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Chebyshev nodes among ``count`` even places, and their Lagrange polynomials there."""
    angles = np.pi * (np.arange(_NODES) + 0.5) / _NODES
    nodes = np.round((count - 1) * (1 - np.cos(angles)) / 2).astype(np.int64)
    places, at = np.linspace(-1, 1, count), np.linspace(-1, 1, count)[nodes]
    apart = at[:, None] - at[None, :] + np.eye(_NODES)
    polynomials = np.ones((_NODES, count))
    for node in range(_NODES):
        for other in range(_NODES):
            if other != node:
                polynomials[node] *= (places - at[other]) / apart[node, other]
    return nodes, polynomials
