"""A killed and resumed run ends with the same bits as an undisturbed one, wherever it was killed.

This covers every schedule of the package (in an optimizer, and live in the state), compositions of
them, and every case of the transforms' matrices, for 200 steps. All states are written to one Orbax
checkpoint, read back into the abstract template of ``init``, and from *each* of them the next step
is taken. If state k leads to state k + 1 bit for bit, for every k, then by induction every resumed
run ends with the same bits. A few are also run to their end.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optax_lrs as olrs
from matrices import schedule_cases as cases
from matrices import transform_cases, transform_rules

STEPS = 200
COMPOSITIONS = {
    "join of a switch": olrs.join(
        olrs.schedules.Switched(**olrs.schedules.Switched.example), olrs.Cosine(peak=1.0, total_steps=90), at=99
    ),
    "cycled tokens": olrs.cycled(
        olrs.on_tokens(olrs.Cosine(peak=1.0, total_steps=900), tokens_per_step=20), period_steps=45
    ),
    "a cooled table": olrs.with_cooldown(olrs.Tabulated(lrs=[0.0, 1.0, 0.5], steps=[0, 50, 150]), at=120, steps=60),
    "re-warmed twice": olrs.rewarm(
        olrs.InverseSqrt(peak=1.0, warmup_steps=9),
        at=(60, 130),
        peak=0.5,
        warmup_steps=5,
        decay_steps=(None, 40),
        start=None,
    ),
    "a branch": olrs.decay_from(olrs.WSD(peak=1.0, total_steps=900, warmup_steps=9, decay_steps=70), at=100),
    "stretched product": olrs.stretched(
        olrs.product(olrs.Linear(peak=1.0, total_steps=60), olrs.REX(peak=1.0, total_steps=60)), factor=2.7
    ),
}


@functools.cache
def rows():
    """Each transformation with a state by name, its parameters, and a step's extra arguments."""
    registry = {cls.__name__: cls(**cls.example) for cls in cases.package_schedules()}
    found = {
        f"adamw({name})": (optax.adamw(lr), {"w": jnp.linspace(-1.0, 1.0, 3)}, {}) for name, lr in COMPOSITIONS.items()
    }
    for name, schedule in registry.items():
        found[f"sgd({name})"] = (
            optax.sgd(schedule),
            jnp.float32(0.5),
            {},
        )  # of every schedule adamw keeps as much: a count
    for name, schedule in (registry | COMPOSITIONS).items():
        found[f"live({name})"] = olrs.scale_by_live_schedule(schedule), {}, {}
    for name, case in transform_cases.cases().items():
        found[name] = case.make(), transform_rules.params(), case.extra_args
    return found


def extra_args(known, k):
    """The extra arguments of step k, which vary with the step."""
    moving = {"value": 2.0 + jnp.sin(1.7 * k), "boundary": k % 37 == 20}
    return {key: moving.get(key, item) for key, item in known.items()}


class Group:
    """A few rows in one compiled program, with their leaves concatenated by dtype.

    All rows in one program would take XLA twice as long. With a separate argument for each leaf, a
    step would take twenty times as long.
    """

    def __init__(self, names):
        self.names = names
        self.leaves, self.structure = jax.tree.flatten(jax.eval_shape(self.begin))
        self.dtypes = sorted({leaf.dtype.name for leaf in self.leaves})
        # 200 steps of a few numbers need no optimized code.
        self.advance = jax.jit(
            lambda rows, k: self.pack(self.step(self.unpack(rows), k), jnp),
            compiler_options={"xla_backend_optimization_level": 0},
        )

    def begin(self):
        """The parameters and the first state of each row."""
        return {name: (rows()[name][1], rows()[name][0].init(rows()[name][1])) for name in self.names}

    def step(self, states, k):
        """One update of each row."""
        after = {}
        for name, (params, state) in states.items():
            tx, _, known = rows()[name]
            grads = jax.tree.map(lambda p: 0.1 * jnp.cos(p + k), params)
            update = optax.with_extra_args_support(tx).update
            updates, state = update(grads, state, params, **extra_args(known, k))
            after[name] = optax.apply_updates(params, updates), state
        return after

    @functools.cached_property
    def states(self):
        """All states of the undisturbed run, stacked."""
        states = [self.pack(jax.device_get(self.begin()), np)]
        for k in range(STEPS):
            states.append(jax.device_get(self.advance(states[-1], np.int32(k))))
        return {kind: np.stack([rows[kind] for rows in states]) for kind in self.dtypes}

    def pack(self, tree, xp):
        """The leaves concatenated by dtype, with a leading axis of steps if they have one."""
        leaves = jax.tree.leaves(tree)
        lead = np.shape(leaves[0])[: np.ndim(leaves[0]) - len(self.leaves[0].shape)]
        flat = {kind: [] for kind in self.dtypes}
        for leaf, known in zip(leaves, self.leaves, strict=True):
            assert leaf.dtype == known.dtype and np.shape(leaf) == (*lead, *known.shape)
            flat[known.dtype.name].append(xp.reshape(leaf, (*lead, -1)))
        return {kind: xp.concatenate(rows, axis=-1) for kind, rows in flat.items()}

    def unpack(self, rows):
        """The inverse of ``pack``."""
        taken, found = dict.fromkeys(self.dtypes, 0), []
        for leaf in self.leaves:
            kind, start = leaf.dtype.name, taken[leaf.dtype.name]
            taken[kind] += int(np.prod(leaf.shape, dtype=int))
            part = rows[kind][..., start : taken[kind]]
            found.append(part.reshape((*part.shape[:-1], *leaf.shape)))
        return jax.tree.unflatten(self.structure, found)

    def differing(self, rows, expected):
        """The names of the rows that differ in any bit."""
        bits = [
            {kind: np.asarray(row).view(f"u{row.dtype.itemsize}") for kind, row in each.items()}
            for each in (rows, expected)
        ]
        got, want = map(self.unpack, bits)

        def same(name):
            return all(map(np.array_equal, jax.tree.leaves(got[name]), jax.tree.leaves(want[name])))

        return [name for name in self.names if not same(name)]


def at(rows, k):
    return {kind: row[k] for kind, row in rows.items()}


def after_a_visit_to_the_disk(groups, folder):
    """Every state of the run, restored from one checkpoint."""
    import orbax.checkpoint as ocp

    whole, template = {}, {}
    for group in groups:
        whole |= group.unpack(group.states)
        template |= jax.eval_shape(group.begin)
    template = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((STEPS + 1, *leaf.shape), leaf.dtype), template)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(folder, whole)
        checkpointer.wait_until_finished()
        tree = jax.device_get(checkpointer.restore(folder, template))
    assert jax.tree.structure(tree) == jax.tree.structure(whole)
    return [group.pack({name: tree[name] for name in group.names}, np) for group in groups]


def each_step_leads_to_the_next(group, saved):
    for k in range(STEPS):
        after, expected = jax.device_get(group.advance(at(saved, k), np.int32(k))), at(group.states, k + 1)
        if any(after[kind].tobytes() != expected[kind].tobytes() for kind in expected):
            raise AssertionError(f"resumed at step {k} these differ: {group.differing(after, expected)}")


def leads_to_the_end(group, saved, k):
    rows = at(saved, k)
    for later in range(k, STEPS):
        rows = group.advance(rows, np.int32(later))
    assert not group.differing(jax.device_get(rows), at(group.states, STEPS)), k


def is_worth_resuming(group):
    """Every row moves from each step to the next, and all parameters stay finite."""
    for k in range(0, 60, 9):  # later a plateau's rate has fallen to nothing
        assert group.differing(at(group.states, k), at(group.states, k + 1)) == group.names, k
    for name, (params, _) in group.unpack(group.states).items():
        assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(params)), name


def reveals_what_was_lost(group, saved, name):
    """One step too many in one count: the next step reveals it, by name."""
    rows = {kind: row[7].copy() for kind, row in saved.items()}
    group.unpack(rows)[name][1].count[...] += 1  # a view into the rows
    after = jax.device_get(group.advance(rows, np.int32(7)))
    assert group.differing(after, at(group.states, 8)) == [name]


@pytest.mark.slow
def test_resumed_at_every_step(tmp_path):
    """One test, because it is one run."""
    names = sorted(rows())
    assert len(names) >= 2 * len(cases.package_schedules()) + 2 * len(COMPOSITIONS) + 36
    groups = [Group(names[start : start + 12]) for start in range(0, len(names), 12)]
    for group, saved in zip(groups, after_a_visit_to_the_disk(groups, tmp_path / "states")):
        is_worth_resuming(group)
        each_step_leads_to_the_next(group, saved)
        for k in (1, 59, 133):
            leads_to_the_end(group, saved, k)
        if "live(Cosine)" in group.names:
            reveals_what_was_lost(group, saved, "live(Cosine)")
