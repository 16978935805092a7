"""benchmarks/pods/pods.py counts correctly, on programs with known counts.

No compiler for TPUs is needed.
"""

import argparse
import functools
import math
import pathlib
import sys

import jax
import jax.numpy as jnp
import optax
import pytest
from jax.sharding import NamedSharding, PartitionSpec

import optax_lrs as olrs

ROOT = pathlib.Path(__file__).parents[2]
PATHS = [str(ROOT / "benchmarks" / "pods"), str(ROOT / "benchmarks")]
sys.path[:0] = PATHS
try:
    import hlo_facts
    import hlo_text
    import pods
    import steps as pod_steps
    import tpu_environment
    import variants as pod_variants
finally:
    del sys.path[: len(PATHS)]

KB = 4096  # bytes of f32[1024]
A, ON_CHIP = "f32[1024]{0:T(1024)}", "f32[1024]{0:T(1024)S(1)}"
TINY = pod_steps.Decoder(width=64, hidden=128, heads_width=16, layers=2, vocabulary=256)
HERE = pod_steps.Place("eight CPUs", "", (4, 2), TINY)


def tally(entry: str, others: str = "", header: str = "", arguments: str = "a: f32[1024], b: f32[1024]"):
    main = f"ENTRY %main ({arguments}) -> f32[1024] {{\n{entry}\n}}\n"
    text = f"HloModule test, is_scheduled=true{header}\n\n{others}\n{main}"
    return hlo_facts.tally(hlo_text.parse(text))


AB = f"  %a = {A} parameter(0)\n  %b = {A} parameter(1)\n"


@pytest.fixture(scope="module")
def mesh():
    return jax.make_mesh(HERE.mesh, pod_steps.AXES, axis_types=(jax.sharding.AxisType.Auto,) * 2)


# ── programs written for the test ─────────────────────────────────────────────────────────────────


def test_an_addition_reads_two_arrays_and_writes_one():
    assert tally(AB + f"  ROOT %c = {A} add(%a, %b)")["hbm"] == 3 * KB


def test_memory_on_the_chip_is_not_hbm():
    lines = f"  %c = {ON_CHIP} add(%a, %b)\n  ROOT %d = {A} multiply(%c, %b)"
    assert tally(AB + lines)["hbm"] == 2 * KB + 2 * KB


def test_an_asynchronous_copy_counts_once():
    lines = (
        f"  %s = ({ON_CHIP}, {A}, u32[]{{:S(2)}}) copy-start(%a)\n  %c = {ON_CHIP} copy-done(%s)\n"
        f"  ROOT %d = {A} add(%c, %b)"
    )
    assert tally(AB + lines)["hbm"] == KB + 2 * KB
    lines = (
        f"  %s = (({A}), f32[128]{{0}}, u32[]) slice-start(%a), slice={{[0:128]}}\n"
        f"  %c = f32[128]{{0}} slice-done(%s)\n"
        f"  ROOT %d = {A} copy(%b)"
    )
    assert tally(AB + lines)["hbm"] == 2 * 128 * 4 + 2 * KB


SLICES = """%fused (p: f32[1024], i: s32[], x: f32[1]) -> f32[1024] {
  %p = f32[1024]{0} parameter(0)
  %i = s32[] parameter(1)
  %x = f32[1]{0} parameter(2)
  %old = f32[1]{0} dynamic-slice(%p, %i), dynamic_slice_sizes={1}
  %new = f32[1]{0} add(%old, %x)
  ROOT %u = f32[1024]{0} dynamic-update-slice(%p, %new, %i)
}
"""
UPDATE = (
    "  %a = f32[1024]{0} parameter(0)\n  %i = s32[] parameter(1)\n  %x = f32[1]{0} parameter(2)\n"
    "  ROOT %u = f32[1024]{0} fusion(%a, %i, %x), kind=kLoop, calls=%fused"
)


def test_a_buffer_updated_in_place_costs_its_slice_and_one_not_donated_a_copy():
    arguments = "a: f32[1024], i: s32[], x: f32[1]"
    donated = tally(UPDATE, SLICES, ", input_output_alias={ {}: (0, {}, may-alias) }", arguments)
    assert donated["hbm"] == 4 + 4 + 4 + 4  # reads slice, index and addend; writes the slice
    assert tally(UPDATE, SLICES, "", arguments)["hbm"] == KB + 4 + 4 + KB


LOOP = f"""%body (s: (s32[], f32[1024])) -> (s32[], f32[1024]) {{
  %s = (s32[]{{:T(128)}}, {A}) parameter(0)
  %i = s32[]{{:T(128)}} get-tuple-element(%s), index=0
  %copied = s32[]{{:T(128)S(6)}} copy(%i)
  %by = s32[] constant(3)
  %next = s32[]{{:T(128)S(6)}} add(%copied, %by)
  %x = {A} get-tuple-element(%s), index=1
  %y = {A} negate(%x)
  ROOT %t = (s32[]{{:T(128)}}, {A}) tuple(%next, %y)
}}

%condition (s: (s32[], f32[1024])) -> pred[] {{
  %s = (s32[]{{:T(128)}}, {A}) parameter(0)
  %i = s32[]{{:T(128)S(6)}} get-tuple-element(%s), index=0
  %most = s32[] constant(LIMIT)
  ROOT %less = pred[]{{:T(512)S(6)}} compare(%i, %most), direction=DIRECTION
}}
"""
EACH = 2 * KB + 3 * 4  # the negation; the counter, its step and its limit
RUN = (
    f"  %zero = s32[] constant(START)\n  %t = (s32[], {A}) tuple(%zero, %a)\n"
    f"  %w = (s32[], {A}) while(%t), condition=%condition, body=%bodyNOTE\n"
    f"  ROOT %r = {A} get-tuple-element(%w), index=1"
)


@pytest.mark.parametrize(
    "start, limit, direction, times", [(0, 24, "LT", 8), (0, 24, "LE", 9), (4, 5, "LT", 1), (9, 9, "LT", 0)]
)
def test_a_loop_counts_as_often_as_it_runs(start, limit, direction, times):
    loop = LOOP.replace("LIMIT", str(limit)).replace("DIRECTION", direction)
    found = tally(AB + RUN.replace("START", str(start)).replace("NOTE", ""), loop)
    assert found["hbm"] == times * EACH
    assert found["unread loop"] == 0


def test_a_loop_whose_count_is_noted_or_unknown():
    loop = LOOP.replace("LIMIT", "24").replace("DIRECTION", "NE")
    noted = ', backend_config={"known_trip_count":{"n":"5"}}'
    assert tally(AB + RUN.replace("START", "0").replace("NOTE", noted), loop)["hbm"] == 5 * EACH
    found = tally(AB + RUN.replace("START", "0").replace("NOTE", ""), loop)
    assert found["unread loop"] == 1 and found["hbm"] == EACH


BRANCHES = f"""%expensive (d: f32[1024]) -> f32[1024] {{
  %d = {A} parameter(0)
  %e = {A} negate(%d)
  %r = {A} all-reduce(%e), channel_id=1, to_apply=%sum
  ROOT %f = {A} negate(%r)
}}

%cheap (d: f32[1024]) -> f32[1024] {{
  %d = {A} parameter(0)
  ROOT %e = {A} negate(%d)
}}
"""


def test_of_two_branches_the_more_expensive_counts():
    lines = "  %which = s32[]{:S(6)} constant(0)\n"
    lines += f"  ROOT %c = {A} conditional(%which, %a, %b), branch_computations={{%cheap, %expensive}}"
    found = tally(AB + lines, BRANCHES)
    assert (found["hbm"], found["conditional"], found["all-reduce"], found["payload"]) == (6 * KB, 1, 1, KB)


def test_collectives_and_their_payload():
    lines = (
        f"  %g = f32[4096]{{0}} all-gather(%a), dimensions={{0}}\n"
        f"  %s = ({A}, {A}) all-reduce-start(%a, /*index=1*/%b), to_apply=%sum\n"
        f"  %e = ({A}, {A}) all-reduce-done(%s)\n  ROOT %r = {A} get-tuple-element(%e), index=0"
    )
    found = tally(AB + lines)
    assert (found["all-gather"], found["all-reduce"], found["payload"]) == (1, 1, 3 * KB)
    assert found["hbm"] == (1 + 4) * KB + (2 + 2) * KB


@pytest.mark.parametrize(
    "line",
    [
        "%t = (f32[1024]{0}, u32[], token[]) send(%a, %token), channel_id=1, is_host_transfer=true",
        '%t = () custom-call(%a), custom_call_target="xla_ffi_python_cpu_callback"',
        "%t = token[] outfeed(%a, %token), outfeed_config=x",
        "%t = f32[1024]{0:T(1024)S(5)} copy(%a)",
    ],
)
def test_what_goes_to_the_host_is_flagged(line):
    assert tally(f"{AB}  %token = token[] after-all()\n  {line}\n  ROOT %c = {A} add(%a, %b)")["host"] == 1
    assert tally(AB + f"  ROOT %c = {A} add(%a, %b)")["host"] == 0


def test_nothing_is_skipped_silently():
    with pytest.raises(ValueError, match="not an HLO instruction"):
        tally(AB + "  something else\n" + f"  ROOT %c = {A} add(%a, %b)")
    with pytest.raises(ValueError, match="no ENTRY"):
        hlo_text.parse("HloModule nothing\n")


@pytest.mark.parametrize(
    "text, size",
    [("f32[2,3]{1,0:T(8,128)}", 24), ("bf16[4]", 8), ("pred[]", 1), ("s4[3]", 2), ("token[]", 0), ("f8e4m3fn[5]", 5)],
)
def test_sizes(text, size):
    (array,) = hlo_text._arrays(text)
    assert array.bytes == size


# ── programs compiled here ────────────────────────────────────────────────────────────────────────


def module_of(function, *args, **options):
    return hlo_text.parse(jax.jit(function, **options).lower(*args).compile().as_text())


def test_a_compiled_addition_and_a_scan():
    x = jax.ShapeDtypeStruct((1000,), jnp.float32)
    assert hlo_facts.tally(module_of(lambda a, b: a + b, x, x))["hbm"] == 3 * 4000

    def scan(carry, xs):
        return jax.lax.scan(lambda c, row: (c + row, None), carry, xs)[0]

    found = hlo_facts.tally(module_of(scan, x, jax.ShapeDtypeStruct((50, 1000), jnp.float32)))
    assert found["unread loop"] == 0
    # Fifty times: read the carry and a row, write the carry. Also counters, and one copy of the
    # carry at the start.
    assert found["hbm"] == pytest.approx(50 * 3 * 4000, rel=0.05)


def test_aliases():
    x = jax.ShapeDtypeStruct((8,), jnp.float32)
    step = lambda a, b: (a + 1, b + 2)  # noqa: E731
    assert hlo_facts.unaliased(module_of(step, x, x, donate_argnums=(0, 1)), range(2)) == []
    assert hlo_facts.unaliased(module_of(step, x, x, donate_argnums=(0,)), range(2)) == [1]
    with pytest.raises(ValueError, match="2 parameters for 3"):
        hlo_facts.unaliased(module_of(step, x, x), range(3))


def test_a_gather_of_shards(mesh):
    sharded, whole = (NamedSharding(mesh, spec) for spec in (PartitionSpec("fsdp"), PartitionSpec()))
    x = jax.ShapeDtypeStruct((800,), jnp.float32)
    found = hlo_facts.tally(module_of(lambda a: a * 2, x, in_shardings=sharded, out_shardings=whole))
    assert (found["all-gather"], found["payload"]) == (1, 800)


def test_states_are_sharded_by_path():
    shapes, specs = pod_steps.shapes_and_specs(TINY)
    state = jax.eval_shape(optax.scale_by_adam().init, shapes)
    states = pod_steps.by_path(state, shapes, specs)
    assert states.mu == specs and states.nu["layers"]["attention"]["output"] == PartitionSpec(None, "tp", "fsdp")
    assert states.count == PartitionSpec()
    kept = {"head": jax.ShapeDtypeStruct((1, 256), jnp.float32), "norm": jax.ShapeDtypeStruct((), jnp.float32)}
    assert pod_steps.by_path(kept, shapes, specs) == {"head": PartitionSpec(None, "tp"), "norm": PartitionSpec()}
    assert pod_steps.distinct_shardings(TINY) == 2


@pytest.fixture(scope="module")
def compared(mesh):
    """The facts of clip and SGD with and without a recorder. SGD compiles fast."""

    @functools.cache
    def facts(recorder):
        before = () if recorder is None else (recorder,)
        tx = optax.chain(*before, optax.clip_by_global_norm(1.0), optax.sgd(0.1))
        compiled, known = pod_steps.compile_step(tx, HERE, mesh)
        return known | hlo_facts.facts(compiled)

    return lambda recorder, name="": pods.row(pods.AT, name, "clip+sgd", facts(recorder), facts(None))


def short(entry, row, *others):
    return [bar.name.split(": ")[-1] for bar in pods.variant_bars(entry, row, [row, *others]) if not bar.holds(False)]


@pytest.mark.slow
@pytest.mark.parametrize("shard_map", [False, True])
def test_a_step_on_eight_devices(mesh, shard_map):
    tx = optax.chain(*pod_variants.unclipped())
    compiled, known = pod_steps.compile_step(tx, HERE, mesh, shard_map=shard_map)
    found = hlo_facts.facts(compiled)
    weights = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(pod_steps.shapes_and_specs(TINY)[0]))
    norms = 64 * (2 * TINY.layers + 1)  # replicated
    assert known["copy bytes"] == 4 * ((weights - norms) / 8 + norms)
    assert (
        known["state bytes"] == 2 * known["copy bytes"] + 4 + 4
    )  # moments, and the counts of Adam and of the schedule
    assert found["argument bytes"] == pytest.approx(2 * known["copy bytes"] + known["state bytes"], rel=0.01)
    assert (known["unaliased"], found["all-reduces"], found["other collectives"], found["host transfers"]) == (
        0,
        0,
        0,
        0,
    )
    assert found["hbm bytes"] >= 7 * known["copy bytes"]


@pytest.mark.slow
def test_the_recorder_holds_its_bars_on_eight_devices(compared):
    row = compared(olrs.record_grad_norm(norms=("l1", "l2")))
    binned = next(entry for entry in pod_variants.VARIANTS if entry.name == "recorder, binned, l1+l2")
    wanted = {
        "collectives more",
        "donated arguments not aliased",
        "gathers and the like more",
        "host transfers",
        "state bytes more",
        "loops whose count was not read",
    }
    assert {bar.name.split(": ")[-1] for bar in pods.variant_bars(binned, row, [row])} >= wanted
    assert not wanted & set(short(binned, row))
    assert row["all-reduces"] > 0 and row["state bytes more"] > 0


@pytest.mark.slow
def test_the_cost_of_the_exact_store_does_not_depend_on_its_length(compared):
    short, long = (compared(olrs.record_grad_norm(steps=steps)) for steps in (1_000, 1_000_000))
    assert short["hbm bytes"] == long["hbm bytes"]
    assert long["argument bytes"] - short["argument bytes"] == 4 * 999_000


@pytest.mark.slow
def test_what_is_wrong_on_purpose_is_caught(compared):
    right = compared(olrs.record_grad_norm(norms=("l1", "l2"), steps=10_000), "recorder, l1+l2, 10k steps")
    ways = {"io_callback": pod_variants.by_callback, "ravel_pytree": pod_variants.by_ravel}
    ways["where(arange == t)"] = pod_variants.by_mask
    caught = {}
    for entry, what in pod_variants.WRONG:
        found = short(entry, compared(pod_variants.misplaced(ways[entry.name.removeprefix("wrong: ")])), right)
        caught[entry.name] = [name for name in found if name.endswith(what)]
    assert all(caught.values()), caught
    assert not [name for name in short(pod_variants.WRONG[1][0], right, right) if name.endswith("10k steps")]


@pytest.mark.slow
def test_a_recorder_that_gathers_is_caught(mesh, compared):
    def by_gather(buffer, count, updates):
        whole = jax.lax.with_sharding_constraint(updates["head"], NamedSharding(mesh, PartitionSpec()))
        return buffer.at[count].set(jnp.linalg.norm(whole))

    row = compared(pod_variants.misplaced(by_gather, 1_000))
    found = short(pod_variants.Variant("gathers", pod_variants.adamw, bars=dict(payload=2.0, collectives=0)), row)
    assert found == ["gathers and the like more", "collectives more", "bytes into collectives, of the base's"]


def exchanging(steps):
    """A recorder whose two buffers swap places, so that neither can be updated in place."""

    def init(params):
        del params
        return jnp.zeros((steps,)), jnp.zeros((steps,))

    def update(updates, state, params=None):
        del params
        old, new = state
        return updates, (new, old.at[0].set(optax.tree.norm(updates)))

    return optax.GradientTransformation(init, update)


@pytest.mark.slow
def test_buffers_that_swap_places_cost_their_length(compared):
    short, long = (compared(exchanging(steps)) for steps in (1_000, 100_000))
    assert long["hbm bytes"] - short["hbm bytes"] >= 99_000 * 4


def test_every_variant_is_named_once_and_has_a_base():
    entries = [
        *pod_variants.VARIANTS,
        *pod_variants.literature(every=True),
        *(entry for entry, _ in pod_variants.WRONG),
    ]
    names = [entry.name for entry in entries]
    assert len(set(names)) == len(names)
    assert all(entry.base in pod_variants.BASES for entry in entries)
    known = {"hbm", "payload", "collectives", "conditionals", "temp", "arguments", "state", "hbm_beside"}
    assert all(set(entry.bars) <= known for entry in entries)
    schedules = [cls for cls in vars(olrs).values() if isinstance(cls, type) and issubclass(cls, olrs.Schedule)]
    assert {f"schedule, {cls.__name__}" for cls in schedules if cls is not olrs.Schedule} <= set(names)


def test_a_users_own_chain(tmp_path, monkeypatch):
    (tmp_path / "mine_for_pods.py").write_text("import optax\ndef chain():\n    return optax.sgd(0.1)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    entry = pod_variants.own("mine_for_pods:chain", "sgd")
    assert (entry.name, entry.base) == ("mine_for_pods:chain", "sgd") and entry.chain().init({}) is not None
    with pytest.raises(ValueError, match="module:function"):
        pod_variants.own("mine_for_pods", "sgd")


# ── the environment ───────────────────────────────────────────────────────────────────────────────


def environment(**options):
    return argparse.Namespace(**{"python": None, "cache": None} | options)


def test_without_a_compiler_it_prints_a_line_and_exits_with_its_own_status(tmp_path, capfd):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'ModuleNotFoundError: No module named libtpu' >&2\nexit 1\n")
    python.chmod(0o755)
    assert (
        tpu_environment.run_there(environment(python=python), pathlib.Path("pods.py"), [])
        == tpu_environment.NO_COMPILER
    )
    assert tpu_environment.run_there(environment(python=tmp_path / "none"), pathlib.Path("pods.py"), []) == 3
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 2 and all(line.startswith("pods.py: no TPU compiler: ") for line in lines)
    assert lines[0].endswith("No module named libtpu")


def test_an_environment_that_cannot_be_made(tmp_path, capfd):
    (tmp_path / "pods").write_text("a file where the folder should be")
    assert tpu_environment.run_there(environment(cache=tmp_path), pathlib.Path("pods.py"), []) == 3
    assert "venv" in capfd.readouterr().err.splitlines()[-1]


def test_it_runs_itself_there_with_the_settings(tmp_path, capfd):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\n[ "$1" = -c ] && exit 0\necho "$JAX_PLATFORMS $TPU_SKIP_MDS_QUERY $2"\nexit 7\n')
    python.chmod(0o755)
    assert tpu_environment.run_there(environment(python=python), pathlib.Path("pods.py"), ["--quick"]) == 7
    assert capfd.readouterr().out == "cpu 1 --quick\n"
