"""Field types: every sensible way to write leaves and structure; clear errors for others."""

# ruff: noqa: UP006, UP007, UP045 - the old spellings are tested, too

import types
from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, List, Literal, NewType, Optional, Tuple, Union  # noqa: UP035

import chex
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import pytest

import optax_lrs as olrs
from optax_lrs import profiles
from optax_lrs._value import Note, Static

LR = NewType("LR", float)
NUMBERS = [
    float, "float", Optional[float], float | None, "float | None", "Optional[float]", Union[float, None],
    float | int, int | float, "float | int", Union[int, float, None], np.float32, np.floating, LR,
    Annotated[float, "per step"], jax.typing.ArrayLike, "jax.typing.ArrayLike", jax.typing.ArrayLike | None,
    float | jax.Array, float | np.ndarray | None, float | profiles.Profile,
]  # fmt: skip
ARRAYS = [
    jax.Array, "jax.Array", np.ndarray, npt.NDArray[np.float64], jax.Array | None, Optional[np.ndarray],
    jax.Array | np.ndarray, tuple[float, ...], tuple[float], Tuple[float, ...], List[float], Sequence[float],
    "tuple[float, ...]", tuple[float, ...] | None, tuple[float | None, ...], jax.typing.ArrayLike,
]  # fmt: skip
STRUCTURE = [
    (int, 3), ("int", 3), (int | None, None), (Optional[int], 3), (bool, True), (bool | None, None), (str, "a"),
    (str | None, None), (tuple[int, ...], (1, 2)), (tuple[int, str], (1, "a")),
    (tuple[tuple[int, ...], ...], ((1,), (2, 3))),
    (Literal["a", "b"], "b"), (Literal["a", 1] | None, 1), (int | str, "a"), (int | tuple[int, ...], (4,)),
    (Static[float], 0.5), (Static[tuple[float, ...]], (0.5, 1.0)), (Static[Any], "x"), (Static[int | None], None),
]  # fmt: skip
REFUSED = [
    object, Any, complex, dict, dict[str, float], set[int], Callable, Callable[[float], float], "Callable", "Missing",
    "no type", float | str, "Missing | None", olrs.Schedule | int, tuple[float, int], Union[int, jax.Array, str],
    type[olrs.Schedule], list, tuple, tuple[()], tuple[float, ...] | float, bytes, 3,
]  # fmt: skip


def scaled_by(kind):
    """A schedule with a field ``scale`` of this type."""

    def rate(self, clock):
        scale = self.scale if not isinstance(self.scale, tuple) else self.scale[0]
        scale = scale if not jnp.ndim(scale) else scale[0]
        return scale * clock.left(0, self.total_steps)

    def fill(namespace):
        namespace["__annotations__"] = {"scale": kind, "total_steps": "int"}
        namespace |= {"rate": rate, "__module__": __name__}

    return types.new_class("ScaledBy", (olrs.Schedule,), exec_body=fill)


@pytest.mark.parametrize("kind", NUMBERS, ids=str)
def test_numbers_are_leaves(kind):
    check_leaf(scaled_by(kind), lambda number: number)


@pytest.mark.parametrize("kind", ARRAYS, ids=str)
def test_arrays_are_leaves(kind):
    check_leaf(scaled_by(kind), lambda number: [number])


def check_leaf(cls, given):
    """Three numbers compile once; there is a gradient; text and JSON restore the value."""
    rate = jax.jit(chex.assert_max_traces(lambda lr, step: lr(step), n=1))
    chex.clear_trace_counter()
    for number in (0.5, 1.0, 3.0):
        lr = cls(scale=given(number), total_steps=10)
        assert jax.tree.leaves(lr) == [number] and float(rate(lr, 5)) == number / 2 == lr.at(5)
        assert olrs.Schedule.from_json(lr.to_json()) == lr == olrs.parse(repr(lr))
    (slope,) = jax.tree.leaves(jax.grad(lambda lr: lr(5))(lr))
    assert float(np.squeeze(slope)) == 0.5
    with pytest.raises(TypeError, match="scale must be"):
        cls(scale="a", total_steps=10)


@pytest.mark.parametrize(("kind", "value"), STRUCTURE, ids=str)
def test_structure(kind, value):
    cls = scaled_by(kind)
    lr = cls(scale=value, total_steps=10)
    assert jax.tree.leaves(lr) == [] and lr.scale == value and type(lr.scale) is type(value)
    assert olrs.Schedule.from_json(lr.to_json()) == lr == olrs.parse(repr(lr))
    if kind != Static[Any]:
        with pytest.raises((TypeError, ValueError), match="scale must"):
            cls(scale={}, total_steps=10)


@pytest.mark.parametrize("kind", REFUSED, ids=str)
def test_an_unknown_type_is_an_error_that_names_class_and_field(kind):
    with pytest.raises(
        TypeError, match=r"^ScaledBy: the type of the field 'scale', .* is not understood.* Use float, int"
    ) as caught:
        scaled_by(kind)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "kind",
    [olrs.Schedule, "olrs.Schedule", olrs.Schedule | None, Optional[olrs.Schedule], olrs.Cosine | olrs.WSD,
     tuple[olrs.Schedule, ...], tuple[olrs.Cosine | olrs.WSD, ...], Optional[tuple[olrs.Schedule, ...]]],
    ids=str,
)  # fmt: skip
def test_values_are_subtrees(kind):
    cosine = olrs.Cosine(peak=2.0, total_steps=10)
    many = "tuple" in str(kind)
    lr = scaled_by(kind)(scale=[cosine] if many else cosine, total_steps=10)
    assert jax.tree.leaves(lr) == [2.0, 0.0] and (lr.scale[0] if many else lr.scale) == cosine
    assert olrs.Schedule.from_json(lr.to_json()) == lr == olrs.parse(repr(lr))
    with pytest.raises(TypeError, match="scale must be a"):
        scaled_by(kind)(scale=[profiles.linear] if many else profiles.linear, total_steps=10)


def test_types_defined_in_a_function():
    class Bend(profiles.Profile):
        exponent: float

        def shape(self, phase):
            return phase.left**self.exponent

    class Bent(olrs.Schedule):
        kind: ClassVar[str] = "bent"
        peak: "Optional[float]"
        bend: "Bend | None"
        inner: "Bent | None" = None
        remark: "Note" = ""

        def rate(self, clock):
            return self.peak * self.bend.rate(clock.phase(0, 10), 1.0, 0.0)

    lr = Bent(peak=2.0, bend=Bend(2.0), inner=Bent(peak=1.0, bend=None), remark="two")
    assert jax.tree.leaves(lr) == [2.0, 2.0, 1.0] and lr.at(5) == 0.5
    assert olrs.Schedule.from_json(lr.to_json()) == lr == olrs.parse(repr(lr))


def test_static_marks_structure_of_any_hashable_type():
    class Mapped(olrs.Schedule):
        peak: float
        shape: Static[Callable[[float], float]]

        def rate(self, clock):
            return self.peak * self.shape(clock.left(0, 10))

    lr = Mapped(peak=1.0, shape=abs)
    assert jax.tree.leaves(lr) == [1.0] and lr.at(5) == 0.5 == float(lr(5))
    with pytest.raises(TypeError, match="Mapped: shape is structure and must be hashable"):
        Mapped(peak=1.0, shape=[])
    with pytest.raises(TypeError, match="cannot be written as JSON: <built-in function abs>"):
        lr.to_json()
