"""Counts what an optimizer step compiles to, on CPU and for TPU.

Fusions, collectives, host transfers and bytes. The step is compiled from shapes: nothing runs and
no parameter is allocated. A TPU is not needed, only its compiler ``libtpu`` (``pip install
'jax[tpu]'``), which works ahead of time on any Linux machine.
"""

from __future__ import annotations

import collections
import concurrent.futures
import functools
import importlib.util
import multiprocessing
import os
import re
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax_equivalents as theirs
from jax.experimental import topologies
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from reporting import progress

import optax_lrs as olrs
from optax_lrs import profiles

TPU_TOPOLOGY = "v5p:2x2x1"  # with 2e9 parameters cost_analysis counts bytes to within 2%; with small shards it does not
PEAK, TOTAL, WARMUP, DECAY = 3e-4, 100_000, 2_000, 20_000
KNOTS = (0, 2_000, 30_000, 60_000, 90_000, 100_000)
DRAWN = (1e-6, 3e-4, 2e-4, 2e-4, 5e-5, 1e-6)

SIZES = {  # width, layers, vocabulary
    "cpu": (64, 2, 256),
    "tpu": (4096, 8, 32_768),
}
COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute", "collective-broadcast")
HOST = ("send", "recv", "infeed", "outfeed")
FREE = (
    "parameter",
    "constant",
    "tuple",
    "get-tuple-element",
    "bitcast",
    "partition-id",
)  # names for values; they do no work


def shapes() -> dict[str, tuple[olrs.Schedule, optax.Schedule]]:
    """Our schedule and Optax's for each shape."""
    warm = dict(peak=PEAK, total_steps=TOTAL, warmup_steps=WARMUP)
    pieces = [theirs.cosine(PEAK, TOTAL // 2, WARMUP, 1e-5), theirs.linear(2e-4, TOTAL // 2, WARMUP)]
    first = olrs.Cosine(peak=PEAK, total_steps=TOTAL // 2, warmup_steps=WARMUP, end=1e-5)
    second = olrs.Linear(peak=2e-4, total_steps=TOTAL // 2, warmup_steps=WARMUP)
    return {
        "constant": (olrs.Constant(value=PEAK), optax.constant_schedule(PEAK)),
        "linear": (olrs.Linear(**warm), theirs.linear(PEAK, TOTAL, WARMUP)),
        "cosine": (olrs.Cosine(**warm), theirs.cosine(PEAK, TOTAL, WARMUP)),
        "WSD": (olrs.WSD(**warm, decay_steps=DECAY), theirs.wsd_linear(PEAK, TOTAL, WARMUP, DECAY)),
        "power": (
            olrs.WSD(peak=PEAK, total_steps=TOTAL, decay_steps=TOTAL, decay=profiles.power(1.5)),
            optax.polynomial_schedule(PEAK, 0.0, 1.5, TOTAL),
        ),
        "exponential": (
            olrs.WSD(**warm, decay_steps=DECAY, end=1e-5, decay=profiles.exponential),
            theirs.wsd_exponential(PEAK, TOTAL, WARMUP, DECAY, 1e-5),
        ),
        "piecewise": (olrs.Tabulated(lrs=DRAWN, steps=KNOTS), theirs.table(DRAWN, KNOTS)),
        "join": (olrs.join(first, second, at=TOTAL // 2), optax.join_schedules(pieces, [TOTAL // 2])),
    }


def optimizers(ours: olrs.Schedule, other: optax.Schedule) -> dict[str, tuple[optax.GradientTransformation, ...]]:
    """Two uses of a schedule, each with ours and with Optax's.

    ``adamw`` passes the schedule to the optimizer; ``live`` keeps the applied rate in the state.
    """
    clip = optax.clip_by_global_norm(1.0)
    chain = functools.partial(optax.chain, clip, optax.scale_by_adam(), optax.add_decayed_weights(0.1))
    return {
        "adamw": (optax.chain(clip, optax.adamw(ours)), optax.chain(clip, optax.adamw(other))),
        "live": (
            chain(olrs.scale_by_live_schedule(ours)),
            chain(optax.inject_hyperparams(optax.scale_by_learning_rate)(learning_rate=other)),
        ),
    }


def parameters(width: int, layers: int, vocabulary: int) -> dict[str, tuple[tuple[int, ...], PartitionSpec]]:
    """The weights of a decoder, stacked over layers, and their shardings over (fsdp, tp)."""
    into, out, whole = PartitionSpec(None, "fsdp", "tp"), PartitionSpec(None, "tp", "fsdp"), PartitionSpec()
    square, wide, narrow = (layers, width, width), (layers, width, 4 * width), (layers, 4 * width, width)
    return {
        "embedding": ((vocabulary, width), PartitionSpec("tp", "fsdp")),
        "query": (square, into),
        "key": (square, into),
        "value": (square, into),
        "output": (square, out),
        "gate": (wide, into),
        "up": (wide, into),
        "down": (narrow, out),
        "attention_norm": ((layers, width), whole),
        "mlp_norm": ((layers, width), whole),
        "norm": ((width,), whole),
        "head": ((width, vocabulary), PartitionSpec("fsdp", "tp")),
    }


def compile_step(tx: optax.GradientTransformation, mesh: Mesh | None, size: str) -> Any:
    """Compiles one optimizer step, donated and sharded, from shapes alone."""
    leaves = parameters(*SIZES[size])
    params = {name: jax.ShapeDtypeStruct(shape, jnp.float32) for name, (shape, _) in leaves.items()}
    state = jax.eval_shape(tx.init, params)

    def step(params, state, grads):
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    if mesh is None:
        return jax.jit(step, donate_argnums=(0, 1)).lower(params, state, params).compile()
    whole = NamedSharding(mesh, PartitionSpec())
    specs = {name: NamedSharding(mesh, spec) for name, (_, spec) in leaves.items()}
    # By path, not by shape: "query" and "output" have equal shapes and transposed shardings.
    states = optax.tree.map_params(tx, lambda _, spec: spec, state, specs, transform_non_params=lambda _: whole)
    jitted = jax.jit(step, in_shardings=(specs, states, specs), out_shardings=(specs, states), donate_argnums=(0, 1))
    return jitted.lower(params, state, params).compile()


def opcodes(text: str) -> tuple[collections.Counter[str], collections.Counter[str]]:
    """Counts each operation in an HLO module, and in its entry computation alone."""
    everywhere, entry, inside = collections.Counter(), collections.Counter(), False
    for line in text.splitlines():
        if line.startswith("ENTRY"):
            inside = True
        elif line.startswith("}"):
            inside = False
        elif found := re.match(r"\s+(?:ROOT )?%?[\w.-]+ = (.*)", line):
            operation = re.match(r"([\w-]+)\(", _after_type(found[1]))
            if operation:
                everywhere[operation[1]] += 1
                entry[operation[1]] += inside
    return everywhere, entry


def _after_type(text: str) -> str:
    """The text after an instruction's type, which may be a tuple of types with layouts."""
    if not text.startswith("("):
        return text.partition(" ")[2]
    depth = 0
    for index, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if not depth:
            return text[index + 2 :]
    return ""


def facts(compiled: Any) -> dict[str, float]:
    """The figures of a compiled step.

    On a TPU, scalar arithmetic shows as instructions outside fusions, of a few cycles each.
    """
    text = compiled.as_text()
    everywhere, entry = opcodes(text)
    memory, cost = compiled.memory_analysis(), compiled.cost_analysis()
    started = {name: everywhere[name] + everywhere[f"{name}-start"] for name in COLLECTIVES}
    return {
        "fusions": everywhere["fusion"],
        "instructions": sum(count for name, count in entry.items() if name not in FREE and not name.endswith("-done")),
        "collectives": sum(started.values()),
        "branches": everywhere["conditional"] + everywhere["while"],
        "host": sum(everywhere[name] for name in HOST) + len(re.findall(r"callback|S\(5\)", text)),
        "bytes": cost["bytes accessed"],
        "temp bytes": memory.temp_size_in_bytes,
    }


def mesh_of(target: str) -> Mesh | None:
    """The devices to compile for.

    One CPU (no mesh), eight virtual CPUs, or the chips of an absent TPU.
    """
    if target == "cpu x1":
        return None
    if target == "cpu x8":
        return jax.make_mesh((4, 2), ("fsdp", "tp"), axis_types=(jax.sharding.AxisType.Auto,) * 2)
    chips = topologies.get_topology_desc(TPU_TOPOLOGY, "tpu").devices
    return Mesh(np.asarray(chips).reshape(2, -1), ("fsdp", "tp"))


def compare(target: str, names: list[str]) -> list[dict[str, Any]]:
    """The figures of each shape in both uses, ours next to Optax's."""
    mesh, rows = mesh_of(target), []
    for name in progress(names, f"steps compiled for {target}"):
        for form, pair in optimizers(*shapes()[name]).items():
            ours, other = (facts(compile_step(tx, mesh, target[:3])) for tx in pair)
            both = {f"{key}{suffix}": row[key] for key in ours for suffix, row in (("", ours), (" Optax", other))}
            rows.append({"target": target, "schedule": name, "form": form, **both})
    return rows


def in_own_process(work: Callable[..., Any], *args: Any) -> Any:
    """Runs ``work`` in a process with eight virtual CPU devices.

    In this process they would disturb the timings.
    """
    changes = {
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8",
        "JAX_PLATFORMS": "cpu",
        "TPU_SKIP_MDS_QUERY": "1",
        "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    }
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
            return pool.submit(work, *args).result()
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def targets() -> list[str]:
    """CPU, and TPU if its compiler is installed."""
    if importlib.util.find_spec("libtpu") is None:
        print("TPU skipped: its compiler is not installed (pip install 'jax[tpu]')", file=sys.stderr)
        return ["cpu x1", "cpu x8"]
    return ["cpu x1", "cpu x8", "tpu"]
