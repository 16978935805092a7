"""Several budgets from one stable run: which checkpoints to keep, and what each branch costs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from optax_lrs._schedule import Schedule
from optax_lrs._value.arguments import whole
from optax_lrs.schedules._decay_from import decay_from


@dataclasses.dataclass(frozen=True)
class Branch:
    """A model for one budget: a checkpoint of the stable run, and the schedule that goes on from it."""

    total_steps: int  # the budget
    checkpoint: int  # the step of the checkpoint it starts from
    decay_at: int  # the step at which its decay begins: at the checkpoint or later
    schedule: Schedule  # of the whole branch; equal to the stable run's before decay_at

    @property
    def decay_steps(self) -> int:
        """The length of its decay."""
        return self.total_steps - self.decay_at

    @property
    def steps(self) -> int:
        """The updates that it costs beside the stable run."""
        return self.total_steps - self.checkpoint


@dataclasses.dataclass(frozen=True)
class BranchPlan:
    """One stable run and its branches, by budget: what :func:`plan_branches` returns. ``print`` shows it as a table."""

    schedule: Schedule  # of the stable run
    branches: tuple[Branch, ...]

    @property
    def checkpoints(self) -> tuple[int, ...]:
        """The steps of the checkpoints to keep; 0 is the beginning."""
        return tuple(sorted({branch.checkpoint for branch in self.branches}))

    @property
    def stable_steps(self) -> int:
        """The updates of the stable run: until the last checkpoint."""
        return max(self.checkpoints)

    @property
    def steps(self) -> int:
        """All updates: the stable run's and the branches'."""
        return self.stable_steps + sum(branch.steps for branch in self.branches)

    @property
    def separate_steps(self) -> int:
        """All updates, if each budget were a run of its own."""
        return sum(branch.total_steps for branch in self.branches)

    @property
    def wsds_steps(self) -> int | None:
        """All updates of one run that goes on from each decayed model (:class:`WSDS`); None if the decays do not fit."""
        ends = [branch.total_steps for branch in self.branches]
        fits = all(branch.decay_at >= before for before, branch in zip([0, *ends], self.branches))
        return ends[-1] if fits else None

    def __getitem__(self, total_steps: int) -> Branch:
        """The branch of a budget."""
        found = {branch.total_steps: branch for branch in self.branches}
        if total_steps not in found:
            raise KeyError(f"no branch of {total_steps} steps; there are {', '.join(map(str, found))}")
        return found[total_steps]

    def __str__(self) -> str:
        """The table."""
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
    r"""A decayed model for each of several budgets, from one run at a stable rate.

    For each budget :math:`b` with a decay of :math:`D_b` steps, the branch restores the last checkpoint at or before
    :math:`b - D_b`, goes on at the stable rate to :math:`b - D_b` exactly, and decays until :math:`b`: so every branch has
    the decay that was asked for, whatever the checkpoints' interval, and equals the run that was planned for :math:`b`
    from the start. It costs

    .. math:: \max_b c_b + \sum_b (b - c_b), \qquad c_b = \lfloor (b - D_b) / \text{every} \rfloor \cdot \text{every}

    steps, against :math:`\sum_b b` for separate runs, and :math:`\max_b b` for WSD-S, which goes on from each decayed
    model. For scaling laws and for runs whose length is open: with decays of 10–20%, budgets that double cost little
    more than the longest alone. (The paper's suite of Chinchilla models: 2.36e23 FLOPs with decays of 10%, against
    5.59e23.)

    Args:
        schedule: of the stable run: what :func:`decay_from` can branch, such as a WSD with ``decay_steps=0``.
        budgets: the lengths of the runs in steps, decays included.
        decay_fraction: the decays' share of each budget, above 0 and at most 1, rounded to steps.
        decay_steps: the decays' length. Exactly one of the two.
        every: the steps from one checkpoint to the next; None, the default: one wherever a decay begins.

    Raises:
        ValueError: if there is no budget or two that are equal, not exactly one of ``decay_fraction`` and ``decay_steps``
            is given or it is out of its range, ``every`` is below 1, or a decay would begin in the warmup or after that
            of the schedule.
        TypeError: if ``schedule`` has no plateau to branch from, or a count is no int.

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
        Hägele et al., Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations, arXiv:2405.18392.
    """
    budgets = sorted(whole("plan_branches", "budgets", budget) for budget in budgets)
    if not budgets or len(set(budgets)) < len(budgets):
        raise ValueError(f"plan_branches: budgets must be one or more different numbers of steps, got {budgets}")
    if (decay_fraction is None) == (decay_steps is None):
        text = f"got {decay_fraction=}, {decay_steps=}"
        raise ValueError(f"plan_branches: give exactly one of decay_fraction and decay_steps, {text}")
    if every is not None and (every := whole("plan_branches", "every", every)) < 1:
        raise ValueError(f"plan_branches: every must be at least 1, got {every}")
    if decay_fraction is not None and not 0 < decay_fraction <= 1:
        raise ValueError(f"plan_branches: decay_fraction must be above 0 and at most 1, got {decay_fraction!r}")
    found = []
    for budget in budgets:
        steps = (
            round(decay_fraction * budget)
            if decay_steps is None
            else whole("plan_branches", "decay_steps", decay_steps)
        )
        if not 1 <= steps <= budget:
            raise ValueError(f"plan_branches: a decay must be from 1 step to the budget's {budget}, got {steps}")
        at = budget - steps
        found.append(Branch(budget, at // (every or 1) * (every or 1), at, decay_from(schedule, at=at, steps=steps)))
    return BranchPlan(schedule, tuple(found))
