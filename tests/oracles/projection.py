"""Slow references of Normalize-and-Project in float64, one block at a time, without JAX."""

import numpy as np


def norm(block):
    return np.sqrt(np.sum(np.asarray(block, np.float64) ** 2))


def project(block, radius):
    """W <- rho W / ||W||; what has no direction stays."""
    size = norm(block)
    return block * (radius / size) if 0 < size < np.inf and radius > 0 else np.array(block)


def blocks(shape, separate=(), heads=()):
    """The index of each block: slices along separate axes, equal runs along packed heads."""
    runs = [[slice(None)] for _ in shape]
    for axis in separate:
        runs[axis] = [slice(i, i + 1) for i in range(shape[axis])]
    for axis, count in heads:
        run = shape[axis] // count
        runs[axis] = [slice(i * run, (i + 1) * run) for i in range(count)]
    out = [()]
    for axis in runs:
        out = [(*index, each) for index in out for each in axis]
    return out


def project_blocks(weights, radii, separate=(), heads=()):
    out = np.array(weights, np.float64)
    for index, radius in zip(blocks(out.shape, separate, heads), radii, strict=True):
        out[index] = project(out[index], radius)
    return out


def block_norms(weights, separate=(), heads=()):
    weights = np.asarray(weights, np.float64)
    return [norm(weights[index]) for index in blocks(weights.shape, separate, heads)]


def project_joint(scale, offset):
    """(sigma, mu) <- (sigma, mu) sqrt(n) / ||(sigma, mu)||, n the width."""
    factor = np.sqrt(len(scale)) / np.sqrt(norm(scale) ** 2 + norm(offset) ** 2)
    return factor, scale * factor, offset * factor


def exact(weights, updates, radius, *, every=1):
    """The weights after each update, projected after every k-th."""
    out = []
    for t, update in enumerate(updates):
        weights = weights + update
        if (t + 1) % every == 0:
            weights = project(weights, radius if np.ndim(radius) == 0 else radius[t])
        out.append(weights)
    return out


def deferred(weights, updates, radius):
    """The weights after each update; what one leaves too long, the next one shortens."""
    out = []
    for update in updates:
        weights = project(weights, radius) + update
        out.append(weights)
    return out


def invariant_loss(theta, x, y):
    """f = mean((X theta / ||theta|| - y)^2) and its gradient, which is orthogonal to theta."""
    size = norm(theta)
    u = theta / size
    residual = x @ u - y
    slope = 2 * x.T @ residual / len(y)
    return np.mean(residual**2), (slope - u * (u @ slope)) / size


def effective_rate(rate, weights, power):
    return rate / norm(weights) ** power
