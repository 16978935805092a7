"""What is known of optimizer states by name: which fields are counts, settings, or made anew by each update."""

from __future__ import annotations

import functools
from typing import Any

import optax

import optax_lrs.transforms

RATE_CLOCKS = {
    ("ScaleByScheduleState", "count"),
    ("WrappedScheduleState", "count"),
    ("InjectStatefulHyperparamsState", "count"),
    ("LiveScheduleState", "count"),
}
"""The counts that learning-rate schedules read."""

CLOCKS = RATE_CLOCKS | {
    ("DecayWeightsState", "count"),
    ("DecayToInitState", "count"),
    ("ProjectWeightsState", "count"),
    ("EffectiveLearningRateState", "count"),
    ("RewarmingState", "since_count"),
}
"""The counts that schedules read, of the rate and of anything else."""

UPDATES = {("MultiStepsState", "gradient_step"), ("AverageParamsState", "count")}
"""The counts of updates that are no schedule's, but that must not begin at 0 where they are new."""

NO_UPDATES = {"RecordGradNormState", "LossShiftState", "ReduceLROnPlateauState", "ApplyEvery"}
"""States whose count is not that of the updates: of the rows they hold, of the values that they saw or that wait."""

SETTINGS = {
    "LiveScheduleState": {"schedule"},
    "GroupRatesState": {"factors"},
    "RewarmingState": {"again"},
    "InjectStatefulHyperparamsState": {"hyperparams"},
}
"""Fields that hold what the optimizer was built with: those of the new optimizer stay."""

DERIVED = {
    "LiveScheduleState": {"learning_rate"},
    "GroupRatesState": {"learning_rates"},
    "DecayWeightsState": {"weight_decay"},
    "EffectiveLearningRateState": {"norms", "rates"},
    "ProjectWeightsState": {"factor", "norms"},
    "ScaleByWeightNormState": {"norms"},
}
"""Fields that tell of the last update and may be missing: the next one makes them anew."""

MEASURED = {
    "ProjectWeightsState",
    "ScaleByWeightNormState",
    "DecayToInitState",
    "AverageParamsState",
    "ScheduleFreeState",
}
"""States that begin with what the parameters are when they are built."""

NESTED = {
    "inner_state",
    "inner_states",
    "inner_opt_state",
    "inner",
    "base_optimizer_state",
    "fast_state",
    "opt_state",
    "live",
    "detector",
    "record",
    "hyperparams_states",
}
"""Fields that hold other states."""

_LEAFLESS = {"skip_state", "hyperparams_states", "recipe", "inner_state", "inner_states", "inner_opt_state", "inner"}
_ALIASES = {
    "InjectHyperparamsState": "InjectStatefulHyperparamsState",
    "MultiTransformState": "PartitionState",
}
_REFINED = ("record", "inner", "finished_runs", "recipe")  # a sibling, which is not imported


def is_state(node: Any) -> bool:
    """Whether a node is an optimizer's state: a NamedTuple called ``…State``, as all of Optax's are but one."""
    named = isinstance(node, tuple) and hasattr(node, "_fields")
    return named and (type(node).__name__.endswith("State") or isinstance(node, optax.ApplyEvery))


def kind_of(node: Any) -> str:
    """The name of a state's kind; one name for what Optax has renamed."""
    return _ALIASES.get(type(node).__name__, type(node).__name__)


@functools.cache
def known_fields() -> dict[frozenset[str], str]:
    """The kind of each set of field names. Where several have the same, as Adam and AdaBelief, the commonest."""
    first = {"ScaleByAdamState": optax.ScaleByAdamState, "ScaleByScheduleState": optax.ScaleByScheduleState}
    types = [*first.items(), *(each for place in (optax, optax.contrib, optax_lrs.transforms)
                               for each in sorted(vars(place).items()))]  # fmt: skip
    found = {frozenset(_REFINED): "RefinementState"}
    for name, kind in types:
        if (name[0] != "_" and name.endswith("State")) or name == "ApplyEvery":
            fields = getattr(kind, "_fields", ())
            if fields:
                found.setdefault(frozenset(fields), _ALIASES.get(name, name))
    return found


def kind_of_fields(fields: frozenset[str], also: dict[frozenset[str], str]) -> str | None:
    """The kind of state that has these fields, of those known and those ``also``; None if there is none.

    What holds no array, such as an ``EmptyState``, may be missing: not every way to save a tree keeps it.
    """
    known = known_fields() | also
    if fields in known:
        return known[fields]
    for complete, kind in known.items():
        missing = complete - fields
        if len(fields) > 1 and fields < complete and missing <= _LEAFLESS and fields - _LEAFLESS:
            return kind
    return None
