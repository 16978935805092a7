"""The roles of Optax's own states, by class name. Every other state declares its roles itself."""

from __future__ import annotations

Row = dict[str, str | tuple[str, ...]]

_MOMENTS: Row = dict(seen_updates="count")
_INNER: Row = dict(nested="inner_state")

OPTAX: dict[str, Row] = {
    # Schedules
    "ScaleByScheduleState": dict(rate_steps="count"),
    "WrappedScheduleState": dict(schedule_steps="count"),
    "InjectHyperparamsState": dict(
        rate_steps="count",
        settings="hyperparams",
        applied_rates=("hyperparams/learning_rate", "hyperparams/adam_learning_rate"),
        logged="hyperparams",
        nested="inner_state",
    ),
    "InjectStatefulHyperparamsState": dict(
        rate_steps="count",
        settings="hyperparams",
        applied_rates=("hyperparams/learning_rate", "hyperparams/adam_learning_rate"),
        logged="hyperparams",
        nested=("inner_state", "hyperparams_states"),
    ),
    "WeightDecaySchedule": dict(schedule_steps="count"),
    # Moments
    "AddNoiseState": _MOMENTS,
    "DAdaptAdamWState": _MOMENTS,
    "EmaState": _MOMENTS,
    "FactoredState": _MOMENTS,
    "MomoAdamState": _MOMENTS,
    "MomoState": _MOMENTS,
    "MuonState": _MOMENTS,
    "PerElementMeanAndVarianceEMAState": _MOMENTS,
    "ScaleByAdamState": _MOMENTS,
    "ScaleByAdanState": dict(seen_updates="t"),
    "ScaleByAdemamixState": dict(seen_updates=("count", "count_m2")),
    "ScaleByAmsgradState": _MOMENTS,
    "ScaleByBeliefState": _MOMENTS,
    "ScaleByLBFGSState": _MOMENTS,
    "ScaleByLionState": _MOMENTS,
    "ScaleByNovogradState": _MOMENTS,
    "ScaleByRStdDevWithCountState": _MOMENTS,
    "ScaleByRmsWithCountState": _MOMENTS,
    "ScaleBySimplifiedAdEMAMixState": dict(seen_updates="t"),
    # Moments, and the parameters that the run began with
    "COCOBState": dict(measured="init_particles"),
    "DoGState": dict(measured="init_params"),
    "DoWGState": dict(measured="init_params"),
    "MadgradState": dict(seen_updates="count", measured="x0"),
    "ProdigyState": dict(seen_updates="count", measured="params0"),
    "ScaleByDistanceOverGradientsState": dict(measured="init_params"),
    # Wrappers
    "ApplyIfFiniteState": dict(counts=("notfinite_count", "total_notfinite"), logged="total_notfinite", **_INNER),
    "ConditionallyMaskState": dict(updates="step", **_INNER),
    "ConditionallyTransformState": dict(updates="step", **_INNER),
    "GaLoreState": dict(seen_updates="count", nested="base_optimizer_state"),
    "LookaheadState": dict(counts="steps_since_sync", nested="fast_state"),
    "MaskedState": dict(parts="inner_state", **_INNER),
    "MechanicState": dict(seen_updates="count", measured="x0", nested="base_optimizer_state"),
    "MonitorState": dict(nested="measure_states"),
    "MultiStepsState": dict(updates="gradient_step", counts="mini_step", nested=("inner_opt_state", "skip_state")),
    "PartitionState": dict(nested="inner_states"),
    "SAMState": dict(counts="steps_since_sync", nested=("opt_state", "adv_state"), unapplied="adv_state"),
    "ScheduleFreeState": dict(counts="step_count", measured="z", given_rates="max_lr", nested="base_optimizer_state"),
    "SophiaState": dict(seen_updates="count", nested="hessian_fn_state"),
    "SplitRealAndImaginaryState": _INNER,
    # Scales, and counts of something else than updates
    "ApplyEvery": dict(counts="count"),
    "AccumulateAvgUpdatesState": dict(counts="micro_step"),
    "PerElementMeanAndSumSqDiffGradsState": dict(counts="micro_step"),
    "ReduceLROnPlateauState": dict(counts=("plateau_count", "cooldown_count", "count"), scales="scale"),
    "ScaleByBacktrackingLinesearchState": dict(counts="info/num_linesearch_steps", applied_rates="learning_rate"),
    "ScaleByZoomLinesearchState": dict(counts="info/num_linesearch_steps", applied_rates="learning_rate"),
}

RENAMED = {"InjectHyperparamsState": "InjectStatefulHyperparamsState", "MultiTransformState": "PartitionState"}
"""Classes that Optax has renamed: checkpoints written with either are of one kind."""

COMMONEST = ("ScaleByAdamState", "ScaleByScheduleState")
"""Several of Optax's states have the same fields. In a tree without types, these are meant."""

WITHIN = {"hyperparams_states": "WrappedScheduleState"}
"""Fields with states of one class, by label, whose fields another class has too."""
