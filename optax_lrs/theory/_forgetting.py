"""Forgetting and plasticity in a run over several tasks: the measures of the stability gap."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from optax_lrs._value.arguments import whole


class _Record(NamedTuple):
    """A checked record of the scores of tasks, where higher is better."""

    scores: np.ndarray  # float64 [tasks, evaluations]; nan: not evaluated
    ends: np.ndarray  # int64 [tasks]
    steps: np.ndarray  # int64 [evaluations]
    at: int
    sign: float  # 1, or -1 for losses, which were negated

    @property
    def task(self) -> int:
        """The index of the task being learned after ``at`` updates, or of the last task."""
        return min(int(np.sum(self.ends < self.at)), len(self.ends) - 1)

    def begin(self, task: int) -> int:
        """The number of updates before the task."""
        return int(self.ends[task - 1]) if task else 0

    def newest(self, task: int, after: int, until: int) -> float:
        """The newest score of a task in the updates after ``after`` to ``until``, or nan."""
        row = self.scores[task, (self.steps > after) & (self.steps <= until)]
        row = row[~np.isnan(row)]
        return float(row[-1]) if row.size else np.nan

    def now(self, task: int) -> float:
        """The score after ``at`` updates: the newest since the current task began."""
        return self.newest(task, self.begin(self.task), self.at)


def average_accuracy(
    scores: Any, ends: Any, *, steps: Any = None, at: int | None = None, higher_is_better: bool = True
) -> float:
    r"""The average accuracy over the tasks so far (ACC), which is usually reported.

    .. math:: \text{ACC}_t = \frac1k \sum_{i \le k} A_i(t)

    where :math:`A_i(t)` is the score of task i after t updates, and k the task being learned then.
    It does not see what happens between the ends of the tasks; :func:`worst_case_accuracy` and
    :func:`windowed_forgetting` do.

    All functions of this module take the same record: **accuracies or losses by task and
    evaluation**. Evaluations may be every few updates (``steps``), with nan where a task was not
    evaluated. "At t" means the newest evaluation up to t since the current task began; the result
    is nan if there is none.

    Args:
        scores: shape [tasks, evaluations], with tasks in the order of learning; nan where a task
            was not evaluated.
        ends: shape [tasks]: the number of updates made when each task ended, increasing. The last
            may lie beyond the record.
        steps: shape [evaluations]: the number of updates made at each evaluation, increasing. None
            (the default) for 1, 2, 3, …
        at: t, in updates. None (the default) for the last evaluation.
        higher_is_better: False for losses. Then the worst score is the highest, and forgetting is a
            rise.

    Returns:
        The average, in the unit of the scores.

    Raises:
        ValueError, TypeError: if the shapes do not fit, ``ends`` or ``steps`` do not increase, or a
            score is infinite.

    Example:
        >>> accuracy = [[0.6, 0.9, 0.2, 0.7],
        ...             [0.0, 0.0, 0.5, 0.8]]
        >>> average_accuracy(accuracy, [2, 4])
        0.75

    References:
        De Lange, van de Ven, Tuytelaars, Continual evaluation for lifelong learning: Identifying
        the stability gap, arXiv:2205.13452. The measures follow a copy of the authors' code; the
        text was not available.
    """
    record = _record("average_accuracy", scores, ends, steps, at, higher_is_better)
    return record.sign * float(np.mean([record.now(task) for task in range(record.task + 1)]))


def min_accuracy(
    scores: Any,
    ends: Any,
    *,
    steps: Any = None,
    at: int | None = None,
    higher_is_better: bool = True,
    per_task: bool = False,
) -> Any:
    r"""The worst score of each earlier task since its end, averaged over the tasks (min-ACC).

    .. math:: \text{min-ACC}_t = \frac{1}{k-1} \sum_{i<k} \; \min_{e_i < n \le t} A_i(n)

    where :math:`e_i` is the end of task i, not included in the range, and k the task being learned
    after t updates. For losses it is the highest. It is nan if there is no earlier task, or one was
    not evaluated since its end.

    Args:
        scores, ends, steps, at, higher_is_better: as for :func:`average_accuracy`.
        per_task: return the values of the earlier tasks, shape [k - 1], instead of their mean.

    Returns:
        The mean, or with ``per_task`` an array.

    Example:
        >>> min_accuracy([[0.6, 0.9, 0.2, 0.7], [0.0, 0.0, 0.5, 0.8]], [2, 4])
        0.2

    References:
        De Lange et al., arXiv:2205.13452.
    """
    record = _record("min_accuracy", scores, ends, steps, at, higher_is_better)
    lowest = []
    for task in range(record.task):
        row = record.scores[task, (record.steps > record.ends[task]) & (record.steps <= record.at)]
        lowest.append(np.min(row[~np.isnan(row)], initial=np.inf))
    values = record.sign * np.where(np.isinf(lowest), np.nan, lowest)
    return values if per_task else _mean(values)


def worst_case_accuracy(
    scores: Any, ends: Any, *, steps: Any = None, at: int | None = None, higher_is_better: bool = True
) -> float:
    r"""The accuracy you can rely on at any time: the worst case of each earlier task (WC-ACC).

    .. math:: \text{WC-ACC}_t = \frac1k A_k(t) + \Big(1 - \frac1k\Big)\,\text{min-ACC}_t

    It is at most :func:`average_accuracy`, and equal to it for the first task. The difference of
    the two is the stability gap: replay on Split-MiniImageNet has an ACC of 32.9 and a WC-ACC of
    4.1 (the authors; from notes).

    Args:
        scores, ends, steps, at, higher_is_better: as for :func:`average_accuracy`.

    Returns:
        The accuracy, in the unit of the scores.

    Example:
        >>> worst_case_accuracy([[0.6, 0.9, 0.2, 0.7], [0.0, 0.0, 0.5, 0.8]], [2, 4])  # (0.8 + 0.2) / 2
        0.5

    References:
        De Lange et al., arXiv:2205.13452.
    """
    record = _record("worst_case_accuracy", scores, ends, steps, at, higher_is_better)
    learned = record.now(record.task)
    if record.task == 0:
        return record.sign * learned
    share = 1.0 / (record.task + 1)
    lowest = min_accuracy(scores, ends, steps=steps, at=at, higher_is_better=higher_is_better)
    return share * record.sign * learned + (1.0 - share) * lowest


def average_forgetting(
    scores: Any,
    ends: Any,
    *,
    steps: Any = None,
    at: int | None = None,
    higher_is_better: bool = True,
    best: bool = False,
    per_task: bool = False,
) -> Any:
    r"""What the earlier tasks have lost since their ends, averaged (FORG).

    .. math:: \text{FORG}_t = \frac{1}{k-1} \sum_{i<k} \big( A_i(e_i) - A_i(t) \big)

    It is negative for tasks that have improved since. For losses it is the rise. It is nan for the
    first task.

    Args:
        scores, ends, steps, at, higher_is_better: as for :func:`average_accuracy`.
        best: measure from the best score at the end of any earlier task,
            :math:`\max_{l<k} A_i(e_l)`, instead of the score at the task's own end; Chaudhry et
            al.'s variant (recalled, not verified).
        per_task: return the values of the earlier tasks, shape [k - 1], instead of their mean.

    Returns:
        The mean, or with ``per_task`` an array.

    Example:
        >>> print(round(average_forgetting([[0.6, 0.9, 0.2, 0.7], [0.0, 0.0, 0.5, 0.8]], [2, 4]), 12))
        0.2

    References:
        De Lange et al., arXiv:2205.13452.
        Chaudhry et al., Riemannian Walk for Incremental Learning, arXiv:1801.10112 (recalled, not
        verified).
    """
    record = _record("average_forgetting", scores, ends, steps, at, higher_is_better)
    learned = np.full((record.task, record.task), np.nan)  # score of task i at the end of task j
    for task in range(record.task):
        for end in range(record.task) if best else [task]:
            learned[task, end] = record.newest(task, record.begin(end), int(record.ends[end]))
    first = np.where(np.isnan(learned), -np.inf, learned).max(axis=1, initial=-np.inf)
    values = np.where(np.isinf(first), np.nan, first) - [record.now(task) for task in range(record.task)]
    return values if per_task else _mean(values)


def windowed_forgetting(
    scores: Any,
    *,
    window: int,
    steps: Any = None,
    at: int | None = None,
    higher_is_better: bool = True,
    per_task: bool = False,
) -> Any:
    r"""The deepest fall of each task within ``window`` consecutive evaluations, averaged (WF).

    .. math::

        \text{WF}^w_t = \frac1K \sum_{i \le K} \;
          \max_{\substack{m \le n \le t \\ n - m < w}} \big( A_i(m) - A_i(n) \big)

    over all K tasks of the record, learned already or not. It is never negative, and 0 for
    ``window=1``. The paper uses windows of 10 and 100 evaluations. A window holds consecutive
    evaluations *of that task*: nan entries are not counted. For losses it is the steepest rise. The
    time is proportional to the size of the record, whatever the window.

    Args:
        scores, steps, at, higher_is_better: as for :func:`average_accuracy`.
        window: w, in evaluations, at least 1.
        per_task: return the values of the tasks, shape [tasks], instead of their mean. A task that
            was never evaluated has nan, and so has the mean then.

    Returns:
        The mean, or with ``per_task`` an array.

    Example:
        >>> accuracy = [[0.6, 0.9, 0.2, 0.7], [0.0, 0.0, 0.5, 0.8]]
        >>> print(windowed_forgetting(accuracy, window=2), windowed_forgetting(accuracy, window=2, per_task=True))
        0.35 [0.7 0. ]

    References:
        De Lange et al., arXiv:2205.13452.
    """
    return _windowed("windowed_forgetting", scores, window, steps, at, higher_is_better, per_task, rises=False)


def windowed_plasticity(
    scores: Any,
    *,
    window: int,
    steps: Any = None,
    at: int | None = None,
    higher_is_better: bool = True,
    per_task: bool = False,
) -> Any:
    r"""The steepest rise of each task within ``window`` consecutive evaluations, averaged (WP).

    .. math::

        \text{WP}^w_t = \frac1K \sum_{i \le K} \;
          \max_{\substack{m \le n \le t \\ n - m < w}} \big( A_i(n) - A_i(m) \big)

    This is :func:`windowed_forgetting` backwards in time. For losses it is the steepest fall.

    Args:
        scores, window, steps, at, higher_is_better, per_task: as for :func:`windowed_forgetting`.

    Returns:
        The mean, or with ``per_task`` an array.

    Example:
        >>> print(windowed_plasticity([[0.6, 0.9, 0.2, 0.7], [0.0, 0.0, 0.5, 0.8]], window=2))
        0.5

    References:
        De Lange et al., arXiv:2205.13452.
    """
    return _windowed("windowed_plasticity", scores, window, steps, at, higher_is_better, per_task, rises=True)


def _windowed(
    owner: str,
    scores: Any,
    window: int,
    steps: Any,
    at: int | None,
    higher_is_better: bool,
    per_task: bool,
    *,
    rises: bool,
) -> Any:
    window = whole(owner, "window", window, low=1)
    record = _record(owner, scores, None, steps, at, higher_is_better)
    values = []
    for row in record.scores[:, record.steps <= record.at]:
        row = row[~np.isnan(row)] * (-1.0 if rises else 1.0)
        if not row.size:
            values.append(np.nan)
            continue
        values.append(np.max(_highest(row, min(window, row.size)) - row))
    values = np.array(values)
    return values if per_task else _mean(values)


def _highest(row: np.ndarray, window: int) -> np.ndarray:
    """The highest of the ``window`` values that end at each entry, in O(n) (van Herk's blocks)."""
    before = window - 1
    padded = np.pad(row, (before, -(before + row.size) % window), constant_values=-np.inf)
    blocks = padded.reshape(-1, window)
    since = np.maximum.accumulate(blocks[:, ::-1], axis=1)[:, ::-1].ravel()
    until = np.maximum.accumulate(blocks, axis=1).ravel()
    return np.maximum(since[: row.size], until[before : before + row.size])


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if values.size else np.nan


def _record(owner: str, scores: Any, ends: Any, steps: Any, at: Any, higher_is_better: bool) -> _Record:
    table = np.asarray(scores)
    if table.dtype.kind not in "iuf":
        raise TypeError(f"{owner}: scores must be real numbers, got {scores!r:.60}")
    table = table.astype(np.float64)
    if table.ndim != 2 or not table.size:
        raise ValueError(f"{owner}: scores must be of shape [tasks, evaluations], got {table.shape}")
    if np.isinf(table).any():
        raise ValueError(f"{owner}: scores must be finite, or nan where a task was not evaluated")
    tasks, evaluations = table.shape
    steps = np.arange(1, evaluations + 1) if steps is None else _increasing(owner, "steps", steps, evaluations, 0)
    ends = np.arange(1, tasks + 1) if ends is None else _increasing(owner, "ends", ends, tasks, 1)
    at = int(steps[-1]) if at is None else whole(owner, "at", at)
    if at < steps[0]:
        raise ValueError(f"{owner}: at must be at least {steps[0]}, the updates before the first evaluation, got {at}")
    sign = 1.0 if higher_is_better else -1.0
    return _Record(sign * table, ends, steps, at, sign)


def _increasing(owner: str, name: str, values: Any, size: int, low: int) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{owner}: {name} must be ints, got {values!r:.60}")
    if array.shape != (size,) or array[0] < low or np.any(np.diff(array.astype(np.int64)) <= 0):
        raise ValueError(f"{owner}: {name} must be {size} increasing ints of at least {low}, got {values!r:.60}")
    return array.astype(np.int64)
