"""Every state declares its roles, and every state of Optax that counts is in the table."""

import importlib
import inspect
import pkgutil
from pathlib import Path

import jax
import jax.numpy as jnp
import optax
import optax.contrib
import pytest

import optax_lrs
import optax_lrs as olrs
from optax_lrs._states.found import states_in
from optax_lrs._states.optax_states import COMMONEST, OPTAX, RENAMED
from optax_lrs._states.roles import Roles, roles_of
from optax_lrs.adoption._parts import parts_of

PARAMS = {"layer": {"kernel": jnp.ones((4, 4)), "bias": jnp.ones(4)}}
LR = olrs.Constant(value=0.1)
TRANSFORMS = {  # every public function of transforms, projection and refinement that makes one
    "average_params": lambda: olrs.average_params(),
    "decay_to_init": lambda: olrs.decay_to_init(LR, ".*/bias"),
    "decay_weights": lambda: olrs.decay_weights(LR),
    "partition_by_path": lambda: olrs.transforms.partition_by_path(all=(".*", optax.adam(LR))),
    "project_weights": lambda: olrs.project_weights(),
    "record_effective_learning_rate": lambda: olrs.projection.record_effective_learning_rate(LR, power=1),
    "record_grad_norm": lambda: olrs.record_grad_norm(),
    "scale_by_greedy": lambda: olrs.scale_by_greedy(min_scale=0.1, max_scale=2.0),
    "scale_by_live_schedule": lambda: olrs.scale_by_live_schedule(LR),
    "scale_by_plateau": lambda: olrs.scale_by_plateau(),
    "scale_by_rewarming_schedule": lambda: olrs.scale_by_rewarming_schedule(
        LR, again=LR, detector=olrs.transforms.LossShift()
    ),
    "scale_by_weight_norm": lambda: olrs.projection.scale_by_weight_norm(power=1),
    "with_hyperparams": lambda: olrs.transforms.with_hyperparams(optax.adamw, learning_rate=LR, weight_decay=LR),
    "with_rates_by_path": lambda: olrs.with_rates_by_path(optax.scale_by_adam(), LR, {".*/bias": 2.0}),
    "with_refinement": lambda: olrs.with_refinement(lambda rate: rate, LR, optimizer="sgd", total_steps=4),
}
OF_OPTAX = {
    "adafactor": lambda: optax.adafactor(0.1),
    "adam": lambda: optax.adam(LR),
    "adan": lambda: optax.adan(0.1),
    "ademamix": lambda: optax.contrib.ademamix(0.1),
    "adamw with a decay on a schedule": lambda: optax.chain(
        optax.scale_by_adam(), optax.add_decayed_weights(LR), optax.scale_by_learning_rate(LR)
    ),
    "apply_every": lambda: optax.apply_every(2),
    "apply_if_finite": lambda: optax.apply_if_finite(optax.adam(0.1), 3),
    "conditionally_mask": lambda: optax.conditionally_mask(optax.adam(0.1), lambda step: step > 2),
    "inject": lambda: optax.inject_hyperparams(optax.adamw)(learning_rate=LR),
    "lbfgs": lambda: optax.lbfgs(),
    "MultiSteps": lambda: optax.MultiSteps(optax.adam(0.1), 2).gradient_transformation(),
    "muon": lambda: optax.contrib.muon(0.1),
    "noise": lambda: optax.add_noise(0.1, 0.5, 0),
    "partition": lambda: optax.partition({"a": optax.adam(LR)}, "a"),
    "prodigy": lambda: optax.contrib.prodigy(0.1),
    "reduce_on_plateau": lambda: optax.contrib.reduce_on_plateau(),
    "schedule_free": lambda: optax.contrib.schedule_free_adamw(0.1),
}


def classes_of(package):
    """Every class that a package defines, in private modules, too."""
    root = Path(package.__file__).parent
    for module in sorted(root.rglob("*.py")):
        if module.stem.endswith("_test") or module.stem in ("conftest", "__main__"):
            continue
        name = ".".join((package.__name__, *module.relative_to(root).with_suffix("").parts)).removesuffix(".__init__")
        try:
            found = vars(importlib.import_module(name))
        except ImportError:
            continue  # it needs a package that is not installed
        yield from {kind for kind in found.values() if inspect.isclass(kind) and kind.__module__ == name}


def named_tuples(package):
    return {kind for kind in classes_of(package) if issubclass(kind, tuple) and getattr(kind, "_fields", ())}


def test_every_state_of_the_package_declares_its_roles():
    states = [kind for kind in named_tuples(optax_lrs) if kind.__name__.endswith("State")]
    assert len(states) >= 13
    for kind in states:
        assert isinstance(getattr(kind, "roles", None), Roles), (
            f"{kind.__module__}.{kind.__name__} declares no roles: add roles = Roles(...), see optax_lrs._states.Roles"
        )
        assert roles_of(kind) == kind.roles  # raises where a role names a field that does not exist
        assert "roles" not in kind._fields, f"{kind.__name__}.roles has an annotation and is a field"


@pytest.mark.parametrize("folder", [olrs.transforms, olrs.projection, olrs.refinement], ids=lambda f: f.__name__)
def test_every_transform_is_looked_at(folder):
    for name, make in vars(folder).items():
        returns = str(inspect.signature(make).return_annotation) if inspect.isfunction(make) else ""
        if any(
            kind in returns for kind in ("GradientTransformation", "OnBlocks", "EffectiveRateRecorder", "Projection")
        ):
            assert name in TRANSFORMS, f"{name} makes a gradient transformation: add it to TRANSFORMS in {__file__}"


@pytest.mark.parametrize("name", [*TRANSFORMS, *OF_OPTAX])
def test_every_integer_has_a_role(name):
    """Of our transforms, and of Optax's optimizers: nothing in a fresh state may be unknown."""
    state = jax.eval_shape({**TRANSFORMS, **OF_OPTAX}[name]().init, PARAMS)
    parts = parts_of(state)
    assert parts.states
    for part in parts.states:
        for leaf in part.unexplained():
            raise AssertionError(f"{leaf.path} of {part.kind} is an integer without a role: say what it counts")
    if name in TRANSFORMS:
        for found in states_in(state):
            assert found.roles is not None or type(found.node).__module__.startswith("optax."), found.path


def test_the_table_of_optax_is_complete():
    of_optax = {kind.__name__: kind for kind in named_tuples(optax)}
    assert set(OPTAX) <= set(of_optax) | set(RENAMED), set(OPTAX) - set(of_optax)
    inside = {"BacktrackingLineSearchState", "ZoomLinesearchState"}  # of the loops of a line search, never in a state
    for name, kind in of_optax.items():
        counts = [
            field for field in kind._fields if field in ("t", "step") or "count" in field or field.endswith("step")
        ]
        nested = [field for field in kind._fields if field.startswith("inner_") or field.endswith("_optimizer_state")]
        if (
            name.endswith("State")
            and name not in inside
            and (set(counts) - {"is_init_step", "is_initial_step"} or nested)
        ):
            assert name in OPTAX, (
                f"{name} has {', '.join(counts + nested)}: add it to optax_lrs/_states/optax_states.py"
            )
    for name in OPTAX:
        if name in of_optax:
            roles_of(of_optax[name])
    assert set(COMMONEST) <= set(OPTAX)


def test_no_module_is_passed_over():
    found = {kind.__module__ for kind in classes_of(optax_lrs)}
    walked = {module.name for module in pkgutil.walk_packages(optax_lrs.__path__, "optax_lrs.")}
    assert found <= walked | {"optax_lrs"}
