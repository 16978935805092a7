"""Any numeric hyper-parameter of any optimizer as a live schedule in the optimizer state."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax

from optax_lrs._float32 import on_mesh
from optax_lrs._schedule import Schedule
from optax_lrs._states import Roles
from optax_lrs._states.count import next_step
from optax_lrs._value import build
from optax_lrs._value.arguments import did_you_mean, number
from optax_lrs.transforms._coupled import Coupled

_OWNER = "with_hyperparams"
_NEEDS_A_NUMBER = (  # what JAX raises where Python needs the number of a traced value
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
)
_AS_CONSTANT = "pass it as a constant: with_hyperparams(functools.partial(factory, {name}=...), ...)"


class HyperparamsState(NamedTuple):
    """State of :func:`with_hyperparams`."""

    count: jax.Array  # int32, shape (), replicated: the step that the next update is given
    schedules: dict[str, Schedule]  # by hyper-parameter; numbers float32, replicated
    values: dict[str, jax.Array]  # float32, shape (): what the last update used; 0 before the first
    inner_state: optax.OptState  # types, shapes and placement as the optimizer's init makes them

    roles = Roles(
        rate_steps="count",
        live_schedules="schedules/learning_rate",
        other_schedules="schedules",
        settings="schedules",
        derived="values",
        applied_rates=("values/learning_rate", "values/adam_learning_rate"),
        logged="values",
        nested="inner_state",
    )  # type: Roles

    @property
    def hyperparams(self) -> Mapping[str, Any]:
        """What the last update used, by name; assigning to it raises."""
        return types.MappingProxyType(self.values)


def with_hyperparams(
    factory: Callable[..., optax.GradientTransformation], /, **hyperparams: Any
) -> optax.GradientTransformationExtraArgs:
    r"""Makes hyper-parameters of an optimizer live: scheduled, saved, replaceable and readable.

    .. math:: u_t, s_{t+1} = \text{factory}(h_1(t), \ldots).\text{update}(g_t, s_t, \theta_t)

    The rate, weight decay, momentum or any other number that the factory of an optimizer takes::

        tx = olrs.with_hyperparams(
            optax.adamw,
            learning_rate=olrs.WSD(peak=3e-4, total_steps=10_000, decay_steps=2_000),
            b2=0.95,
            weight_decay=olrs.Cosine(peak=0.1, total_steps=10_000),
        )

    - A :class:`Schedule` or a float is live: it lies in the state as a schedule (a float as a
      :class:`Constant`) and is evaluated at the step of each update. :func:`with_schedule` replaces
      it in a running job: ``with_schedule(state, schedule, path="weight_decay")``. Checkpoints save
      and compare it.
    - A :class:`Coupled` is live and follows another hyper-parameter, as AdamC's weight decay does.
    - Everything else goes to the factory unchanged: ints, bools, None, strings, masks, functions,
      Optax's schedules, arrays. Give a float that shall not be live to ``functools.partial(factory,
      eps=1e-8)``.

    ``state.hyperparams`` holds the values that the last update used. :func:`learning_rates` reports
    the rate.

    Use it instead of ``optax.inject_hyperparams``. Unlike there, only the arguments given here
    are live, not all defaults; all values are float32, whatever the type of the parameters (a
    ``b2`` of 0.999 is 1.0 in bfloat16); a callable is not taken for a schedule; and the state keeps
    its types.

    **Precision.** With float32 parameters the operations are those of ``factory(...)`` with the
    same schedules, and so are the bits (unless the compiler fuses them otherwise: with
    ``rmsprop(momentum=...)`` on CPU one in four entries differs in the last bit). A live float may
    change the last bits, as the optimizer then computes ``1 - b2`` in float32 and not in Python: a
    relative difference of 1e-5 at 0.999. With bfloat16 parameters the products are computed in
    float32 and the update is rounded once, at the end, to the wider type of gradient and parameter;
    Optax rounds the rate first. Moments keep the type that the optimizer gave them in ``init``.

    Args:
        factory: a function that returns an optimizer, such as ``optax.adamw`` or
            ``optax.contrib.muon``, or your own. It is called once for each traced update, and must
            not branch on a live value in Python.
        **hyperparams: arguments of the factory, by name.

    Returns:
        A gradient transformation, to be used alone, in a chain or in a group of
        :func:`partition_by_path`. It passes extra arguments on.

    Raises:
        TypeError: if ``factory`` does not return a gradient transformation, lacks an argument, or
            does not take one; and here or from ``init``, if it needs the number of a live value
            when it is traced.
        ValueError: if a float is negative or not finite, or a :class:`Coupled` does not name a
            scheduled hyper-parameter.

    Example:
        >>> from optax_lrs import Linear
        >>> lr = Linear(peak=0.5, total_steps=4)
        >>> tx = with_hyperparams(optax.sgd, learning_rate=lr, momentum=0.5)
        >>> params = {"w": jnp.ones(2)}
        >>> updates, state = tx.update(params, tx.init(params), params)
        >>> print(updates["w"], {name: float(value) for name, value in state.hyperparams.items()})
        [-0.5 -0.5] {'learning_rate': 0.5, 'momentum': 0.5}
    """
    if not callable(factory):
        raise TypeError(f"{_OWNER}: factory must be a function that returns an optimizer, got {factory!r:.80}")
    _require_arguments(factory, hyperparams)
    coupled = {name: value for name, value in hyperparams.items() if isinstance(value, Coupled)}
    bases = {name: value.value if name in coupled else value for name, value in hyperparams.items()}
    live = {name: _schedule(name, value) for name, value in bases.items() if _is_live(value)}
    for name, value in coupled.items():
        if value.to not in live or value.to in coupled:
            known = [each for each in live if each not in coupled]
            raise ValueError(
                f"{_OWNER}: {name} is coupled to {value.to!r}, which is not a live hyper-parameter here; those are"
                f" {', '.join(known) or 'none'}"
            )
    peaks = {name: value.peak_of(live[value.to], name) for name, value in coupled.items()}
    fixed = {name: value for name, value in bases.items() if name not in live}

    def optimizer(values: Mapping[str, Any]) -> optax.GradientTransformationExtraArgs:
        made = factory(**fixed, **values)
        if not (hasattr(made, "init") and hasattr(made, "update")):
            raise TypeError(f"{_OWNER}: factory must return a gradient transformation, got {made!r:.80}")
        return optax.with_extra_args_support(made)

    def values_at(schedules: Mapping[str, Schedule], step: Any) -> dict[str, jax.Array]:
        values = {name: schedule(step) for name, schedule in schedules.items()}
        for name, value in coupled.items():
            values[name] = values[name] * (values[value.to] / peaks[name])
        return values

    _require_traceable(lambda values: _nothing(optimizer(values)), live, stage="when it is called")

    def init(params: Any) -> Any:
        schedules = {name: on_mesh_in_float32(schedule) for name, schedule in live.items()}
        count = jnp.zeros((), jnp.int32)
        with jax.numpy_dtype_promotion("standard"):
            inner_state = jax.tree.map(_strong, optimizer(values_at(schedules, count)).init(params))

            def probe(values):
                return _nothing(optimizer(values).update(params, inner_state, params))

            _require_traceable(probe, live, stage="in its update")
        return HyperparamsState(count, schedules, {name: jnp.zeros((), jnp.float32) for name in live}, inner_state)

    def update(updates: Any, state: Any, params: Any = None, **extra_args: Any) -> Any:
        values = values_at(state.schedules, state.count)
        # A product of float32 and bfloat16 is meant here, also in programs that forbid it.
        with jax.numpy_dtype_promotion("standard"):
            new, inner_state = optimizer(values).update(updates, state.inner_state, params, **extra_args)
        new = _like_gradients(new, updates, params)
        inner_state = jax.tree.map(_like, inner_state, state.inner_state)
        return new, HyperparamsState(next_step(state.count), state.schedules, values, inner_state)

    return optax.GradientTransformationExtraArgs(init, update)


def on_mesh_in_float32(schedule: Schedule) -> Schedule:
    """Returns a copy of a schedule as states hold it: float32 on the mesh in force."""
    return jax.tree.map(on_mesh, schedule)


def _is_live(value: Any) -> bool:
    return isinstance(value, (Schedule, float, np.floating))


def _schedule(name: str, value: Any) -> Schedule:
    if isinstance(value, Schedule):
        return value
    try:
        # By name: the schedules are a sibling of the transforms, which are imported without them.
        return cast(Schedule, build("Constant", value=number(_OWNER, name, value, low=0.0)))
    except ValueError as error:
        raise ValueError(f"{error}; for a live value. Otherwise {_AS_CONSTANT.format(name=name)}") from None


def _require_arguments(factory: Callable[..., Any], hyperparams: Mapping[str, Any]) -> None:
    """Raises if the factory lacks an argument or does not take one, if its signature is known."""
    try:
        parameters = inspect.signature(factory).parameters
    except (TypeError, ValueError):
        return
    kinds = inspect.Parameter
    named = [p for p in parameters.values() if p.kind in (kinds.POSITIONAL_OR_KEYWORD, kinds.KEYWORD_ONLY)]
    known = [p.name for p in named]
    called = getattr(factory, "__name__", None) or repr(factory)
    unknown = [name for name in hyperparams if name not in known]
    if unknown and not any(p.kind is kinds.VAR_KEYWORD for p in parameters.values()):
        hint = f"{did_you_mean(unknown[0], known)} Arguments: {', '.join(known)}".lstrip()
        raise TypeError(f"{_OWNER}: {called} has no argument {unknown[0]!r}. {hint}")
    missing = [p.name for p in named if p.default is kinds.empty and p.name not in hyperparams]
    if missing:
        raise TypeError(
            f"{_OWNER}: {called} needs the argument {missing[0]!r}: with_hyperparams(..., {missing[0]}=...)"
        )


def _require_traceable(use: Callable[[Mapping[str, Any]], Any], live: Mapping[str, Schedule], *, stage: str) -> None:
    """Raises if ``use`` fails for traced values only, and names the value that it must know."""
    numbers = dict.fromkeys(live, 0.5)
    scalar = jax.ShapeDtypeStruct((), jnp.float32)
    try:
        jax.eval_shape(use, dict.fromkeys(live, scalar))
    except Exception as error:  # whatever a factory raises for a number that is not known
        if not isinstance(error, _NEEDS_A_NUMBER):
            if stage != "when it is called":
                return  # the update needs more than is known here, such as an extra argument or an axis of a mesh
            optimizer_takes_numbers = _succeeds(lambda: use(numbers))
            if not optimizer_takes_numbers:
                raise
        needed = [name for name in live if not _succeeds(lambda name=name: _traced_alone(use, numbers, name))]
        if not needed:
            raise
        name = needed[0]
        raise TypeError(
            f"{_OWNER}: {name} cannot be live, because the optimizer needs its number {stage}"
            f" ({type(error).__name__}); {_AS_CONSTANT.format(name=name)}"
        ) from error


def _traced_alone(use: Callable[[Mapping[str, Any]], Any], numbers: Mapping[str, float], name: str) -> Any:
    return jax.eval_shape(lambda value: use({**numbers, name: value}), jax.ShapeDtypeStruct((), jnp.float32))


def _succeeds(use: Callable[[], Any]) -> bool:
    try:
        use()
    except Exception:
        return False
    return True


def _nothing(result: Any) -> None:
    del result


def _strong(leaf: Any) -> Any:
    """The array with a strong type: a step with a weakly typed state would compile twice."""
    return jax.lax.convert_element_type(leaf, leaf.dtype) if getattr(leaf, "weak_type", False) else leaf


def _like(new: Any, old: Any) -> Any:
    """A leaf of the new inner state in the type that the old one has."""
    if not (hasattr(new, "dtype") and hasattr(old, "dtype")):
        return new
    return _strong(new if new.dtype == old.dtype else new.astype(old.dtype))


def _like_gradients(new: Any, gradients: Any, params: Any) -> Any:
    """The updates in the wider type of gradient and parameter."""

    def of_type(u, g, p):
        dtype = p.dtype if p.dtype.itemsize > g.dtype.itemsize else g.dtype
        return u if u.dtype == dtype else u.astype(dtype)

    return jax.tree.map(of_type, new, gradients, gradients if params is None else params)
