"""Slow references of the stability-gap measures (arXiv:2205.13452), in plain loops.

``table[i][n - 1]`` is the score of task i after n updates.
"""

import math


def current(ends, t):
    """k, from 1: the first task whose end has not passed."""
    return next((k for k, end in enumerate(ends, 1) if t <= end), len(ends))


def at(row, ends, t):
    """The newest score known at t since the current task began."""
    begin = ([0, *ends])[current(ends, t) - 1]
    known = [row[n - 1] for n in range(begin + 1, t + 1) if not math.isnan(row[n - 1])]
    return known[-1] if known else math.nan


def mean(values):
    return sum(values) / len(values) if values else math.nan


def acc(table, ends, t):
    return mean([at(row, ends, t) for row in table[: current(ends, t)]])


def min_acc(table, ends, t):
    lowest = []
    for row, end in list(zip(table, ends))[: current(ends, t) - 1]:
        known = [row[n - 1] for n in range(end + 1, t + 1) if not math.isnan(row[n - 1])]
        lowest.append(min(known) if known else math.nan)
    return mean(lowest)


def wc_acc(table, ends, t):
    k = current(ends, t)
    learned = at(table[k - 1], ends, t)
    return learned if k == 1 else learned / k + (1 - 1 / k) * min_acc(table, ends, t)


def forg(table, ends, t, best=False):
    k = current(ends, t)
    lost = []
    for i, row in enumerate(table[: k - 1]):
        learned = [at(row, ends, end) for end in ends[: k - 1]] if best else [at(row, ends, ends[i])]
        learned = [score for score in learned if not math.isnan(score)]
        lost.append((max(learned) if learned else math.nan) - at(row, ends, t))
    return mean(lost)


def windowed(table, window, t, sign):
    """WF (sign 1) or WP (sign -1) of each task, over every pair of evaluations in every window."""
    values = []
    for row in table:
        row = [score for score in row[:t] if not math.isnan(score)]
        pairs = [(i, j) for j in range(len(row)) for i in range(max(0, j - window + 1), j + 1)]
        values.append(max(sign * (row[i] - row[j]) for i, j in pairs) if pairs else math.nan)
    return values
