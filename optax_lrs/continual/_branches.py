"""Several budgets from one stable run: the checkpoints to keep, and each branch's cost."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from optax_lrs._schedule import Schedule
from optax_lrs._value.arguments import known_number, whole
from optax_lrs.schedules._decay_from import decay_from


@dataclasses.dataclass(frozen=True)
class Branch:
    """A model for one budget: a checkpoint of the stable run, and the schedule from there."""

    total_steps: int  # the budget, in updates
    checkpoint: int  # the step of the checkpoint it starts from
    decay_at: int  # the step at which the decay begins, at the checkpoint or later
    schedule: Schedule  # equal to the stable run's before decay_at

    @property
    def decay_steps(self) -> int:
        """The length of the branch's decay."""
        return self.total_steps - self.decay_at

    @property
    def steps(self) -> int:
        """The updates that the branch costs in addition to the stable run."""
        return self.total_steps - self.checkpoint


@dataclasses.dataclass(frozen=True)
class BranchPlan:
    """One stable run and its branches, by budget; ``print`` shows a table.

    Built by :func:`plan_branches`. ``plan[budget]`` is the branch of a budget.
    """

    schedule: Schedule  # the stable run's
    branches: tuple[Branch, ...]

    @property
    def checkpoints(self) -> tuple[int, ...]:
        """The steps of the checkpoints to keep; 0 is the start."""
        return tuple(sorted({branch.checkpoint for branch in self.branches}))

    @property
    def stable_steps(self) -> int:
        """The updates of the stable run, up to the last checkpoint."""
        return max(self.checkpoints)

    @property
    def steps(self) -> int:
        """All updates: those of the stable run and of the branches."""
        return self.stable_steps + sum(branch.steps for branch in self.branches)

    @property
    def separate_steps(self) -> int:
        """All updates if each budget were a separate run."""
        return sum(branch.total_steps for branch in self.branches)

    @property
    def wsds_steps(self) -> int | None:
        """The updates of one :class:`WSDS` run, which continues from each decayed model.

        None if the decays do not fit into one run.
        """
        ends = [branch.total_steps for branch in self.branches]
        fits = all(branch.decay_at >= before for before, branch in zip([0, *ends], self.branches))
        return ends[-1] if fits else None

    def __getitem__(self, total_steps: int) -> Branch:
        found = {branch.total_steps: branch for branch in self.branches}
        if total_steps not in found:
            raise KeyError(f"no branch of {total_steps} steps, only of {', '.join(map(str, found))}")
        return found[total_steps]

    def __str__(self) -> str:
        rows = [("budget", "checkpoint", "decay at", "decay", "costs")]
        rows += [(b.total_steps, b.checkpoint, b.decay_at, b.decay_steps, b.steps) for b in self.branches]
        cells = [[f"{item:,}" if isinstance(item, int) else item for item in row] for row in rows]
        widths = [max(map(len, column)) for column in zip(*cells)]
        lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths)) for row in cells]
        saved = 1 - self.steps / self.separate_steps
        wsds = "does not fit" if self.wsds_steps is None else f"{self.wsds_steps:,}"
        total = f"{self.stable_steps:,} stable + branches = {self.steps:,} steps"
        return "\n".join([*lines, f"{total}; separate runs {self.separate_steps:,} ({saved:.0%} saved); WSD-S {wsds}"])


def plan_branches(
    schedule: Schedule,
    budgets: Iterable[int],
    *,
    decay_fraction: float | None = None,
    decay_steps: int | None = None,
    every: int | None = None,
) -> BranchPlan:
    r"""Plans a decayed model for each of several budgets, from one run at a stable rate.

    For a budget :math:`b` with a decay of :math:`D_b` steps, the branch restores the last
    checkpoint at or before :math:`b - D_b`, continues at the stable rate to exactly
    :math:`b - D_b`, and decays until :math:`b`. So every branch has the decay you ask for, whatever
    the interval of the checkpoints, and equals a run that was planned for :math:`b` from the start.
    The cost is

    .. math::

        \max_b c_b + \sum_b (b - c_b), \qquad c_b
          = \lfloor (b - D_b) / \text{every} \rfloor \cdot \text{every}

    steps, against :math:`\sum_b b` for separate runs, and :math:`\max_b b` for WSD-S, which
    continues from each decayed model. Use it for scaling laws and for runs whose length is open:
    with decays of 10–20%, budgets that double cost little more than the longest one alone. (The
    paper's suite of Chinchilla models: 2.36e23 FLOPs with decays of 10%, against 5.59e23.)

    Args:
        schedule: the schedule of the stable run, one that :func:`decay_from` can branch, such as a
            WSD with ``decay_steps=0``.
        budgets: the lengths of the runs in steps, decays included.
        decay_fraction: the share of each budget that is decay, above 0 and at most 1, rounded to
            steps.
        decay_steps: the length of the decays. Give exactly one of ``decay_fraction`` and
            ``decay_steps``.
        every: the steps between checkpoints. None (the default) for one wherever a decay begins.

    Returns:
        A :class:`BranchPlan`.

    Raises:
        ValueError: if there is no budget or two are equal, not exactly one of ``decay_fraction``
            and ``decay_steps`` is given or it is out of its range, ``every`` is below 1, or a decay
            would begin in the warmup or after the schedule's own.
        TypeError: if ``schedule`` has no plateau to branch from, or a count is not an int.

    Example:
        >>> from optax_lrs import WSD
        >>> stable = WSD(peak=1e-3, total_steps=80_000, warmup_steps=500, decay_steps=0)
        >>> plan = plan_branches(stable, [20_000, 40_000, 80_000], decay_fraction=0.2, every=5_000)
        >>> print(plan)
        budget  checkpoint  decay at   decay   costs
        20,000      15,000    16,000   4,000   5,000
        40,000      30,000    32,000   8,000  10,000
        80,000      60,000    64,000  16,000  20,000
        60,000 stable + branches = 95,000 steps; separate runs 140,000 (32% saved); WSD-S 80,000
        >>> plan.checkpoints, plan[40_000].schedule.total_steps
        ((15000, 30000, 60000), 40000)

    References:
        Hägele et al., Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations,
        arXiv:2405.18392.
    """
    budgets = sorted(whole("plan_branches", "budgets", budget) for budget in budgets)
    if not budgets or len(set(budgets)) < len(budgets):
        raise ValueError(f"plan_branches: budgets must be one or more distinct numbers of steps, got {budgets}")
    if (decay_fraction is None) == (decay_steps is None):
        text = f"got {decay_fraction=}, {decay_steps=}"
        raise ValueError(f"plan_branches: give exactly one of decay_fraction and decay_steps, {text}")
    every = 1 if every is None else whole("plan_branches", "every", every, low=1)
    if decay_steps is not None:
        decay_steps = whole("plan_branches", "decay_steps", decay_steps)
    share = known_number(
        "plan_branches", "decay_fraction", 1 if decay_fraction is None else decay_fraction, above=0, high=1
    )
    found = []
    for budget in budgets:
        steps = round(share * budget) if decay_steps is None else decay_steps
        if not 1 <= steps <= budget:
            raise ValueError(f"plan_branches: a decay must be from 1 to {budget} steps, its budget, got {steps}")
        at = budget - steps
        found.append(Branch(budget, at // every * every, at, decay_from(schedule, at=at, steps=steps)))
    return BranchPlan(schedule, tuple(found))
