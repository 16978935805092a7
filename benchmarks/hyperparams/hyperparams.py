"""What live hyper-parameters cost in the compiled step, against optax.partition and its schedules.

    pip install 'jax[tpu]' optax        (without libtpu the TPU is left out)
    JAX_PLATFORMS=cpu python benchmarks/hyperparams/hyperparams.py [--quick] [--bars] [--out DIR]

Two groups, Adam and Lion or Muon, each with rate, decay and momentum on schedules. Nothing runs and
no parameter is allocated: the step is compiled from shapes, for one CPU, eight virtual ones (4 x
2), and ahead of time for a TPU v5p:2x2x1 with 2.0e9 parameters. Muon's step compiles every matrix
by itself, so it has few small ones: three of width 64, 1024 on the TPU, and four times as many. The
bars: no more collectives, HBM bytes at most 1.005 times, at most one more fusion for each live
hyper-parameter, and that not growing with the number of leaves.
"""

from __future__ import annotations

import functools
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / folder) for folder in ("", "schedules")]

import compiled_step
import jax
import jax.numpy as jnp
import optax
from jax.sharding import NamedSharding, PartitionSpec
from reporting import Bar, conclude, parser, print_table, progress, write_raw

import optax_lrs as olrs

LR = olrs.WSD(peak=3e-4, total_steps=100_000, warmup_steps=2_000, decay_steps=20_000)
DECAY = olrs.Cosine(peak=0.1, total_steps=100_000)
MOMENTUM = olrs.Tabulated(lrs=[0.85, 0.95], steps=[0, 300])
BYTES = 1.005
GROUPS = ("lion", "muon")
LEAVES = {"stacked": 1, "unrolled": 4}  # copies of the decoder's leaves
MUON_LEAVES = ("embedding", "query", "up", "down", "norm")  # few matrices: each takes long to compile
MUON_SIZES = {"cpu": (64, 1, 256), "tpu": (1024, 1, 4096)}  # width, layers, vocabulary
ADAM = ".*(embedding|head|norm).*"


def second(name: str, **constants: Any) -> Any:
    return functools.partial(optax.contrib.muon if name == "muon" else optax.lion, **constants)


def labels(params: Any) -> Any:
    """By name; through tree_map, as ``optax.tree.map_params`` asks with a placeholder."""
    is_adam = lambda key: any(word in str(key) for word in ("embedding", "head", "norm"))  # noqa: E731
    return jax.tree_util.tree_map_with_path(lambda key, _: "adam" if is_adam(key) else "second", params)


def by_hand(name: str) -> optax.GradientTransformation:
    """optax.partition with schedules where Optax takes them: rate and decay, not momentum."""
    groups = {
        "adam": optax.adamw(LR, b2=0.95, weight_decay=DECAY),
        "second": second(name)(learning_rate=LR, weight_decay=DECAY),
    }
    return optax.chain(optax.clip_by_global_norm(1.0), optax.partition(groups, labels))


def live(name: str, momentum: bool) -> tuple[optax.GradientTransformation, int]:
    """The same with live hyper-parameters, and how many more values are computed than above."""
    beta = "beta" if name == "muon" else "b1"
    adam = olrs.with_hyperparams(
        functools.partial(optax.adamw, b2=0.95),
        learning_rate=LR,
        weight_decay=DECAY,
        **({"b1": 0.9} if momentum else {}),
    )
    other = olrs.with_hyperparams(
        second(name), learning_rate=LR, weight_decay=DECAY, **({beta: MOMENTUM} if momentum else {})
    )
    groups = olrs.partition_by_path(adam=(ADAM, adam), second=(".*", other))
    return optax.chain(optax.clip_by_global_norm(1.0), groups), 6 if momentum else 4


def leaves_of(target: str, name: str, copies: int) -> dict[str, tuple[tuple[int, ...], PartitionSpec]]:
    """Shapes and shardings; ``copies`` of the leaves, each with a share of the layers."""
    width, layers, vocabulary = (MUON_SIZES if name == "muon" else compiled_step.SIZES)[target[:3]]
    once = compiled_step.parameters(width, max(layers // copies, 1), vocabulary)
    if name == "muon":  # matrices, not stacks: what optax.contrib.muon orthogonalizes by default
        once = {key: (once[key][0][-2:], PartitionSpec(*once[key][1][-2:])) for key in MUON_LEAVES}
    return once if copies == 1 else {f"{key}_{copy}": leaf for copy in range(copies) for key, leaf in once.items()}


def compiled(tx: optax.GradientTransformation, target: str, name: str, copies: int) -> dict[str, float]:
    """The facts of one step, donated and sharded, compiled from shapes alone."""
    leaves, mesh = leaves_of(target, name, copies), compiled_step.mesh_of(target)
    params = {key: jax.ShapeDtypeStruct(shape, jnp.float32) for key, (shape, _) in leaves.items()}
    state = jax.eval_shape(tx.init, params)

    def step(params, state, grads):
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    if mesh is None:
        return compiled_step.facts(jax.jit(step, donate_argnums=(0, 1)).lower(params, state, params).compile())
    specs = {key: NamedSharding(mesh, spec) for key, (_, spec) in leaves.items()}
    whole = NamedSharding(mesh, PartitionSpec())
    # Moments lie as the parameter in whose name their path ends; everything else is replicated.
    states = jax.tree_util.tree_map_with_path(
        lambda key, leaf: specs.get(getattr(key[-1], "key", None), whole) if leaf.ndim else whole, state
    )
    jitted = jax.jit(step, in_shardings=(specs, states, specs), out_shardings=(specs, states), donate_argnums=(0, 1))
    return compiled_step.facts(jitted.lower(params, state, params).compile())


def compare(target: str, groups: Sequence[str]) -> list[dict[str, Any]]:
    """The facts of each form, ours next to Optax's."""
    rows = []
    cases = [(name, leaves) for name in groups for leaves in LEAVES]
    for name, leaves in progress(cases, f"steps compiled for {target}"):
        theirs = compiled(by_hand(name), target, name, LEAVES[leaves])
        for momentum in (False, True):
            tx, count = live(name, momentum)
            ours = compiled(tx, target, name, LEAVES[leaves])
            both = {f"{key}{suffix}": row[key] for key in ours for suffix, row in (("", ours), (" Optax", theirs))}
            form = "rate, decay, momentum" if momentum else "rate, decay"
            rows.append(
                {"target": target, "groups": f"adam, {name}", "leaves": leaves, "live": form, "count": count, **both}
            )
    return rows


def bars_of(row: Mapping[str, Any]) -> list[Bar]:
    label = f"{row['target']}, {row['groups']}, {row['leaves']}, {row['live']}"
    return [
        Bar(f"{label}: collectives", row["collectives"], row["collectives Optax"]),
        Bar(f"{label}: bytes", row["bytes"] / row["bytes Optax"], BYTES),
        Bar(f"{label}: fusions more", row["fusions"] - row["fusions Optax"], row["count"]),
        Bar(f"{label}: branches", row["branches"], row["branches Optax"]),
        Bar(f"{label}: host transfers", row["host"], row["host Optax"]),
    ]


def growth(rows: list[dict[str, Any]]) -> list[Bar]:
    """How many more fusions than Optax four times the leaves cost, less what they cost once."""
    extra = {
        (row["target"], row["groups"], row["live"], row["leaves"]): row["fusions"] - row["fusions Optax"]
        for row in rows
    }
    return [
        Bar(
            f"{', '.join(key[:3])}: more fusions with four times the leaves", extra[(*key[:3], "unrolled")] - fusions, 0
        )
        for key, fusions in extra.items()
        if key[3] == "stacked"
    ]


def main() -> int:
    takes = parser(__doc__.splitlines()[0])
    takes.add_argument("--groups", nargs="+", choices=GROUPS, default=list(GROUPS), help="next to Adam (default: both)")
    args = takes.parse_args()
    targets = compiled_step.targets()
    rows = [
        row
        for target in (targets[:2] if args.quick else targets)
        for row in compiled_step.in_own_process(compare, target, args.groups[:1] if args.quick else args.groups)
    ]
    shown = ("target", "groups", "leaves", "live", "fusions", "fusions Optax", "collectives", "collectives Optax")
    print_table(
        "one optimizer step",
        [{key: row[key] for key in shown} | {"bytes x": row["bytes"] / row["bytes Optax"]} for row in rows],
    )
    bars = [bar for row in rows for bar in bars_of(row)] + growth(rows)
    write_raw(args, bars, step=rows)
    most = max(row["bytes"] / row["bytes Optax"] for row in rows)
    return conclude(args, bars, f"at most {most:.5f} times the bytes")


if __name__ == "__main__":
    sys.exit(main())
