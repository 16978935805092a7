"""Values: construction, mistakes, text, structure."""

import copy
import json
import pickle
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optax_lrs as olrs
from optax_lrs import profiles

GLOSSARY = {
    "peak", "end", "value", "lrs", "start", "floor", "plateau", "ceiling", "amplitude",  # rates
    "total_steps", "warmup_steps", "decay_steps", "cooldown_steps", "stable_steps", "anneal_steps",  # lengths
    "timescale_steps", "period_steps", "total_tokens", "warmup_tokens", "decay_tokens",
    "steps", "boundary", "boundaries", "by", "milestones",  # positions
    "tokens_per_step", "sequences_per_step", "cycles",  # counts of other things
    "schedule", "schedules", "decay", "cooldown", "rise",  # schedules and profiles
    "factor", "factors", "growth", "d", "phi", "p", "h", "q", "v", "alpha", "b", "gamma",  # shapes
    "source",  # a note
}  # fmt: skip
ARGS = dict(peak=1.0, total_steps=100)

MISTAKES = [
    (lambda: olrs.Linear(peak=1.0, total_steps=10, warmup_steps=11), ValueError, "warmup_steps=11, total_steps=10"),
    (lambda: olrs.WSD(**ARGS, warmup_steps=60, decay_steps=60), ValueError,
     "warmup_steps=60, decay_steps=60, total_steps=100"),
    (lambda: olrs.Cosine(peak=-1.0, total_steps=10), ValueError, "peak must not be negative, got peak=-1.0"),
    (lambda: olrs.Cosine(peak=3e-4, total_steps=10, end=0.1), ValueError, "end=0.1, peak=0.0003"),
    (lambda: olrs.Cosine(peak=float("nan"), total_steps=10), ValueError, "peak must be finite, got nan"),
    (lambda: olrs.Cosine(peak=float("inf"), total_steps=10), ValueError, "peak must be finite, got inf"),
    (lambda: olrs.Cosine(peak=1e39, total_steps=10), ValueError, "peak must be finite in float32, got 1e+39"),
    (lambda: olrs.stretched(olrs.Constant(value=1.0), factor=-1e39), ValueError, "factor must be"),
    (lambda: olrs.Cosine(peak="3e-4", total_steps=10), TypeError, "peak must be a number, got '3e-4'"),
    (lambda: olrs.Cosine(peak=None, total_steps=10), TypeError, "peak must be a number, got None"),
    (lambda: olrs.Cosine(peak=True, total_steps=10), TypeError, "peak must be a number, got True"),
    (lambda: olrs.Cosine(peak=[1.0], total_steps=10), TypeError, "peak must be a number"),
    (lambda: olrs.Cosine(peak=np.ones(2), total_steps=10), TypeError, "peak must be a number, got array([1., 1.])"),
    (lambda: olrs.Constant(value=np.ones(2)), TypeError, "value must be a number, got array([1., 1.])"),
    (lambda: olrs.Constant(value=np.datetime64("2020-01-01")), TypeError, "value must be a number"),
    (lambda: olrs.Constant(value=np.array("a")), TypeError, "value must be a number"),
    (lambda: olrs.Cosine(peak=1.0, total_steps=10.0), TypeError, "total_steps must be an int, got 10.0"),
    (lambda: olrs.Cosine(peak=1.0, total_steps=True), TypeError, "total_steps must be an int, got True"),
    (lambda: olrs.Cosine(peak=1.0, total_steps=-1), ValueError, "total_steps must be at least 0, got -1"),
    (lambda: olrs.Cosine(peak=1.0, total_steps=None), TypeError, "total_steps must be an int, got None"),
    (lambda: olrs.Cosine(peak=1.0), TypeError, "total_steps"),
    (lambda: olrs.Cosine(peak=1.0, total_steps=1, warmup=3), TypeError, "warmup"),
    (lambda: olrs.Cosine(1.0, 10), TypeError, "arguments are given by name, got 1.0"),
    (lambda: olrs.REX(**ARGS, d=1.0), ValueError, "d must be below 1, got d=1.0"),
    (lambda: olrs.UBA(**ARGS, phi=0.0), ValueError, "phi must be positive, got phi=0.0"),
    (lambda: olrs.CosinePower(**ARGS, p=0), ValueError, "p must be positive, got p=0.0"),
    (lambda: olrs.InverseSqrt(peak=1.0, timescale_steps=0), ValueError, "timescale_steps must be at least 1"),
    (lambda: olrs.WSD(**ARGS, decay_steps=5, decay=profiles.exponential), ValueError,
     "exponential needs a positive end"),
    (lambda: olrs.WSD(**ARGS, decay_steps=5, decay="linear"), TypeError, "decay must be a Profile, got 'linear'"),
    (lambda: olrs.WSD(**ARGS, decay_steps=5, decay=None), TypeError, "decay must be a Profile, got None"),
    (lambda: olrs.WSD(**ARGS, decay_steps=5, decay=profiles.power), TypeError, "decay must be a Profile"),
    (lambda: profiles.power(0.0), ValueError, "p must be positive, got p=0.0"),
    (lambda: profiles.rex(1.5), ValueError, "d must be below 1, got d=1.5"),
    (lambda: profiles.half_life(-1), ValueError, "h must be positive, got h=-1.0"),
    (lambda: olrs.Tabulated(lrs=[1.0], source=3), TypeError, "source must be a str, got 3"),
    (lambda: olrs.Tabulated(lrs=[]), ValueError, "lrs must be one or more finite numbers"),
    (lambda: olrs.Tabulated(lrs=[1.0, -1.0]), ValueError, "lrs must not be negative"),
    (lambda: olrs.Tabulated(lrs=[1.0, float("nan")]), ValueError, "lrs must be one or more finite"),
    (lambda: olrs.Tabulated(lrs=["a"]), TypeError, "lrs must be an array of numbers"),
    (lambda: olrs.Tabulated(lrs=1.0), TypeError, "lrs must be an array of numbers"),
    (lambda: olrs.Tabulated(lrs=[1.0, 2.0], steps=[0]), ValueError, "steps must be 2 steps, one per rate"),
    (lambda: olrs.Tabulated(lrs=[1.0, 2.0], steps=[5, 5]), ValueError, "steps must be increasing"),
    (lambda: olrs.Tabulated(lrs=[1.0, 2.0], steps=[-1, 5]), ValueError, "steps must be increasing"),
    (lambda: olrs.Tabulated(lrs=[1.0, 2.0], steps=[0.5, 5]), TypeError, "steps must be an int, got 0.5"),
    (lambda: olrs.join(olrs.Constant(value=1.0), at=[]), ValueError, "schedules"),
    (lambda: olrs.join(olrs.Constant(value=1.0), olrs.Constant(value=1.0), at=[3, 4]), ValueError, "boundaries=(3, 4)"),
    (lambda: olrs.switch(*[olrs.Constant(value=1.0)] * 3, at=[10, 5]), ValueError, "at must not decrease"),
    (lambda: olrs.join(olrs.Constant(value=1.0), olrs.Constant(value=1.0), at=-1), ValueError, "negative"),
    (lambda: olrs.join(olrs.Constant(value=1.0), lambda s: 1.0, at=5), TypeError, "schedules must be a Schedule"),
    (lambda: olrs.join(olrs.Constant(value=1.0), olrs.Constant(value=1.0), at=2.5), TypeError,
     "boundaries must be an int"),
    (lambda: olrs.scaled(olrs.Constant(value=1.0), factor=-1), ValueError, "factor must not be negative"),
    (lambda: olrs.stretched(olrs.Constant(value=1.0), factor=0), ValueError, "factor must be positive"),
    (lambda: olrs.stretched(0.1, factor=1.0), TypeError, "schedule must be a Schedule, got 0.1"),
    (lambda: olrs.shifted(olrs.Constant(value=1.0), by=1.5), TypeError, "by must be an int, got 1.5"),
    (lambda: olrs.Cosine(**ARGS).replace(warmup_steps=101), ValueError, "warmup_steps=101"),
    (lambda: olrs.Cosine(**ARGS).at("3"), TypeError, "steps must be ints or floats"),
    (lambda: olrs.Cosine(**ARGS).at([None]), TypeError, "steps must be ints or floats"),
    (lambda: olrs.Cosine(peak=10**400, total_steps=10), ValueError, "peak must be finite"),
    (lambda: olrs.Cosine(peak=1.0, total_steps=10**40), ValueError,
     "total_steps must be below 2**63, got an int of 133 bits"),
    (lambda: olrs.Cosine(peak=1.0, total_steps=10**400), ValueError,
     "total_steps must be below 2**63, got an int of 1329 bits"),
    (lambda: olrs.Tabulated(lrs=[1e300, 1.0]), ValueError, "lrs must be one or more finite numbers"),
    (lambda: olrs.Tabulated(lrs=["1", "2"]), TypeError, "lrs must be an array of numbers"),
    (lambda: olrs.Tabulated(lrs=[True, False]), TypeError, "lrs must be an array of numbers"),
    (lambda: olrs.Tabulated(lrs=[1, 10**400]), ValueError, "lrs must be finite"),
    (lambda: olrs.REX(**ARGS, d=1 - 1e-9), ValueError, "d must be below 1, got d=0.999999999"),
    (lambda: profiles.shifted_exponential(89.0), ValueError, "k must be from -80 to 80, got k=89.0"),
    (lambda: olrs.stretched(olrs.Constant(value=1.0), factor=1e12), ValueError, "at most 2**31"),
    (lambda: olrs.parse(None), TypeError, "text must be a str, got None"),
    (lambda: olrs.parse("Cosine(peak=1, total_steps=10, peak=2)"), ValueError, "an argument is given twice"),
    (lambda: olrs.parse("Constant(value=" + "-" * 900 + "1)"), ValueError, "not a schedule"),
    (lambda: olrs.Schedule.from_json("[" * 100_000), ValueError, "nested too deeply"),
    (lambda: olrs.Schedule.from_json('{"version": true, "type": "Constant", "value": 1}'), ValueError, "version=True"),
    (lambda: olrs.scale_by_live_schedule(0.1), TypeError, "schedule must be a Schedule"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "error", "text"), MISTAKES, ids=lambda x: x if isinstance(x, str) else "")
def test_mistakes_name_the_argument_the_value_and_the_rule(make, error, text):
    with pytest.raises(error) as caught:
        make()
    assert type(caught.value) is error and text in str(caught.value) and "\n" not in str(caught.value)


def test_every_field_is_in_the_glossary():
    for cls in olrs.Schedule.registry.values():
        if cls.__module__.startswith("optax_lrs.schedules"):
            assert set(cls._kinds) <= GLOSSARY, cls
            assert not {"init", "update"} & set(dir(cls)), "inject_hyperparams would treat it as a stateful schedule"


def test_counts_are_structure_and_rates_are_leaves():
    lr = olrs.WSD(peak=1, total_steps=np.int64(100), decay_steps=20, decay=profiles.power(2))
    assert jax.tree.leaves(lr) == [1.0, 0.0, 2.0] and all(type(leaf) is float for leaf in jax.tree.leaves(lr))
    assert type(lr.total_steps) is int
    keys = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in jax.tree.leaves_with_path(lr)]
    assert keys == ["peak", "end", "decay/p"]
    assert (
        jax.tree.structure(lr)
        == jax.tree.structure(lr.replace(peak=0.5))
        != jax.tree.structure(lr.replace(total_steps=99))
    )


def test_frozen_and_final():
    lr = olrs.Constant(value=1.0)
    with pytest.raises(AttributeError):
        lr.value = 2.0
    with pytest.raises(TypeError, match="final"):
        type("Child", (olrs.Cosine,), {})
    with pytest.raises(TypeError, match="taken"):
        type("Cosine", (olrs.Schedule,), {"__module__": "optax_lrs.elsewhere"})
    table = np.array([1.0, 0.5])
    tabulated = olrs.Tabulated(lrs=table)
    table[0] = 7.0
    assert tabulated.at(0) == 1.0 and not tabulated.lrs.flags.writeable


def test_equality_is_over_numbers_and_structure():
    a = olrs.Cosine(peak=1.0, total_steps=10)
    assert a == olrs.Cosine(peak=jnp.float32(1.0), total_steps=10) and hash(a) == hash(a.replace(peak=0.5))
    assert a != a.replace(peak=0.5) and a != a.replace(total_steps=11) and a != olrs.Linear(peak=1.0, total_steps=10)
    assert olrs.Tabulated(lrs=[1, 2]) == olrs.Tabulated(lrs=[1, 2]) != olrs.Tabulated(lrs=[1, 2, 3])
    assert {a: 1}[a.replace()] == 1


def test_leaves_of_any_type_pass_through():
    lr = olrs.WSD(peak=1.0, total_steps=10, decay_steps=5)
    specs = jax.tree.map(lambda _: jax.sharding.PartitionSpec(), lr)
    assert isinstance(specs.peak, jax.sharding.PartitionSpec)
    assert jax.eval_shape(lambda s: s, lr).peak.dtype == jnp.float32
    assert jax.tree.map(lambda _: None, lr).peak is None
    assert jax.tree.map(lambda x: 2 * x, lr) == lr.replace(peak=2.0)
    restored = jax.tree.map(jnp.asarray, lr)
    assert restored == lr and restored.at(3) == lr.at(3) and olrs.Schedule.from_json(restored.to_json()) == lr
    assert repr(restored) == repr(lr)


def test_building_inside_jit():
    @jax.jit
    def rate(peak, step):
        return olrs.Cosine(peak=peak, total_steps=100, warmup_steps=10)(step)

    assert float(rate(2.0, 10)) == 2.0
    assert float(jax.grad(rate)(2.0, 10)) == 1.0
    np.testing.assert_allclose(jax.vmap(rate, (0, None))(jnp.arange(1.0, 4.0), 10), [1, 2, 3])


def test_json():
    lr = olrs.join(
        olrs.Constant(value=0.1), olrs.WSD(peak=0.2, total_steps=9, decay_steps=3, decay=profiles.power(1.5)), at=5
    )
    tree = json.loads(lr.to_json())
    assert tree["version"] == 1 and tree["type"] == "Joined" and tree["boundaries"] == [5]
    assert tree["schedules"][1]["decay"] == {"type": "power", "p": 1.5}
    assert olrs.Schedule.from_json(lr.to_json(indent=2)) == lr
    awkward = olrs.Constant(value=0.1 + 0.2)
    assert olrs.Schedule.from_json(awkward.to_json()).value == 0.1 + 0.2


def test_dicts():
    lr = olrs.join(
        olrs.Constant(value=0.1), olrs.WSD(peak=0.2, total_steps=9, decay_steps=3, decay=profiles.power(1.5)), at=5
    )
    tree = lr.to_dict()
    assert tree == {key: item for key, item in json.loads(lr.to_json()).items() if key != "version"}
    assert olrs.Schedule.from_dict(tree) == olrs.Schedule.from_dict(types.MappingProxyType(tree)) == lr
    assert olrs.profiles.Profile.from_dict({"type": "power", "p": 1.5}) == profiles.power(1.5)
    table = olrs.Tabulated(lrs=[1.0, 0.5], steps=[0, 10])
    assert table.to_dict() == {"type": "Tabulated", "lrs": [1.0, 0.5], "steps": [0, 10]}
    assert olrs.Schedule.from_dict({"type": "Tabulated", "lrs": (1.0, 0.5), "steps": (0, 10)}) == table
    assert tree == lr.to_dict()  # from_dict did not change its argument


@pytest.mark.parametrize(
    ("tree", "error", "message"),
    [
        ("Constant(value=1)", ValueError, "expected a Schedule"),
        ({"value": 1}, ValueError, "tree must have a 'type'"),
        ({"type": "Sinus"}, ValueError, "unknown name 'Sinus'"),
        ({"type": "linear"}, ValueError, "expected a Schedule"),
        ({"type": "Constant", "value": "3e-4"}, TypeError, "value must be a number, got '3e-4'"),
        ({"type": "Scaled", "factor": 2, "schedule": {"value": 1}}, ValueError, "tree must have a 'type'"),
    ],
)
def test_bad_dicts(tree, error, message):
    with pytest.raises(error, match=message):
        olrs.Schedule.from_dict(tree)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("3", "expected an object with 'version' and 'type'"),
        ('{"type": "Constant", "value": 1}', "expected an object with 'version' and 'type'"),
        ('{"version": 2, "type": "Constant", "value": 1}', "version=2"),
        ('{"version": 1, "value": 1}', "tree must have a 'type'"),
        ('{"version": 1, "type": "Sinus", "value": 1}', "unknown name 'Sinus'"),
        ('{"version": 1, "type": "Constant", "value": 1, "extra": 2}', "unknown argument 'extra'"),
        ('{"version": 1, "type": "Constant"}', "missing argument 'value'"),
        ('{"version": 1, "type": "linear"}', "expected a Schedule"),
        (
            '{"version": 1, "type": "WSD", "peak": 1, "total_steps": 5, "decay_steps": 2, "decay": "linear"}',
            "decay must be",
        ),
    ],
)
def test_bad_json(text, message):
    with pytest.raises((ValueError, TypeError), match=message):
        olrs.Schedule.from_json(text)


def test_parse_reads_common_spellings():
    lr = olrs.parse("WSD(peak=3e-4, total_steps=10_000, decay_steps=10_000 // 5)".replace("//", "-"))
    assert lr == olrs.WSD(peak=3e-4, total_steps=10_000, decay_steps=9_995)
    assert olrs.parse(" olrs.Linear(peak=2**-10, total_steps=3*5) ") == olrs.Linear(peak=2**-10, total_steps=15)
    for decay in ("profiles.power(1.5)", "power(p=1.5)", "olrs.profiles.power(p=3/2)"):
        assert olrs.parse(f"WSD(peak=1, total_steps=9, decay_steps=3, decay={decay})").decay == profiles.power(1.5)
    assert olrs.parse("Tabulated(lrs=[1.0, 0.5], steps=(0, 10))") == olrs.Tabulated(lrs=[1.0, 0.5], steps=[0, 10])


@pytest.mark.parametrize(
    "text",
    ["", "Cosine", "3", "linear", "Sinus(peak=1)", "Cosine(peak=1)", "Cosine(peak=1, total_steps=9, x=1)",
     "Cosine(peak=a, total_steps=9)", "Cosine(**{})", "__import__('os').system('true')",
     "(lambda: 1)()", "exit()", "f'{1}'",
     "Cosine(peak=1, total_steps=9).at(3)", "Cosine(peak=1, total_steps=9", "Cosine(peak=9**9**9, total_steps=9)",
     "Cosine(peak=1/0, total_steps=9)", "Cosine(peak='1', total_steps=9)", "Tabulated(lrs=[1.0, 2.0, ..., 3.0])",
     "(" * 500,
     "Constant(value=1)\nConstant(value=2)", "WSD(peak=1, total_steps=5, decay_steps=1, decay=Linear)"],
)  # fmt: skip
def test_bad_text(text):
    with pytest.raises((ValueError, TypeError)) as caught:
        olrs.parse(text)
    assert "\n" not in str(caught.value)[:200].replace("\\n", "")


def test_long_tables_print_abridged_and_save_in_full():
    lr = olrs.Tabulated(lrs=np.linspace(1, 0, 100_000))
    assert len(repr(lr)) < 200 and olrs.Schedule.from_json(lr.to_json()) == lr
    assert olrs.parse(repr(olrs.Tabulated(lrs=np.linspace(1, 0, 1000)))) == olrs.Tabulated(lrs=np.linspace(1, 0, 1000))


def test_a_note_is_printed_and_saved_and_has_no_other_effect():
    plain = olrs.Tabulated(lrs=[1.0, 0.5, 0.0])
    table = plain.replace(source="drawn 'by hand'")
    other = table.replace(source="from a log", lrs=[0.5, 0.25, 0.0])
    assert table == plain and hash(table) == hash(plain) == hash(other) and table != other
    assert jax.tree.structure(table) == jax.tree.structure(other) and "source" not in repr(plain) + plain.to_json()
    for back in (olrs.parse(repr(table)), olrs.Schedule.from_json(table.to_json()), pickle.loads(pickle.dumps(table)),
                 copy.deepcopy(table), table.replace(lrs=[0.0]), jax.tree.map(lambda x: 2 * x, table),
                 pickle.loads(pickle.dumps(jax.tree.map(jnp.asarray, table))),
                 olrs.join(olrs.Constant(value=0.1), table, at=3).schedules[1]):  # fmt: skip
        assert back.source == "drawn 'by hand'"
    same = jax.tree.map(lambda a, b: a + b, table, other)  # different notes do not make different structures
    assert same.lrs.tolist() == [1.5, 0.75, 0.0]


def test_a_note_does_not_recompile_and_no_wrong_note_is_returned():
    scaled = jax.jit(lambda lr, c: jax.tree.map(lambda x: c * x, lr))
    first, second = (olrs.Tabulated(lrs=[1.0, 0.5], source=text) for text in ("first", "second"))
    assert [scaled(lr, 2.0).source for lr in (first, second)] == ["", ""] and scaled._cache_size() == 1
    carry, _ = jax.lax.scan(lambda lr, _: (jax.tree.map(lambda x: 2 * x, lr), None), first, length=2)
    assert carry == first.replace(lrs=[4.0, 2.0])
    tx = olrs.scale_by_live_schedule(first)
    state, step = tx.init({}), jax.jit(lambda state: tx.update({"w": jnp.ones(1)}, state))
    assert state.schedule.source == "first"
    step(state)
    state = olrs.with_schedule(state, second.replace(lrs=[0.25, 0.0]))
    assert state.schedule.source == "second"
    updates, state = step(state)
    assert float(updates["w"][0]) == -0.25 and state.schedule.source == "" and step._cache_size() == 1


def test_a_users_schedule_has_every_feature():
    class Halving(olrs.Schedule):
        peak: float
        total_steps: int

        def rate(self, clock):
            return self.peak * (0.5 + 0.5 * clock.left(0, self.total_steps))

    lr = Halving(peak=2.0, total_steps=4)
    assert lr.at([0, 2, 4]).tolist() == np.asarray(lr(jnp.array([0, 2, 4]))).tolist() == [2.0, 1.5, 1.0]
    assert olrs.parse(repr(lr)) == olrs.Schedule.from_json(lr.to_json()) == lr and lr.ends_at == 4
    with pytest.raises(ValueError, match="peak must not be negative"):
        Halving(peak=-1.0, total_steps=4)
