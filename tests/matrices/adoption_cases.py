"""Old → new optimizers: how a run continues with another optimizer, each state built by hand.

``expected(fresh, old)`` is the state that must result, written down leaf by leaf: ``fresh`` is
``new.init(params)`` and ``old`` what the old optimizer had after STEPS updates. ``same`` says that
old and new are the same mathematics, so that a run that changes from one to the other in the middle
equals one that never changed: bit for bit, but for ``inject_hyperparams``, whose b1, b2 and decay
are rounded to float32 before 1 is taken from them.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp

import optax_lrs as olrs

STEPS = 2
S = olrs.WSD(peak=0.1, total_steps=20, warmup_steps=3, decay_steps=10)
S2 = olrs.Cosine(peak=0.05, total_steps=30)
DECAY = olrs.Constant(value=1e-3)
LABELS = {"layer": {"kernel": "a", "bias": "b"}, "head": {"kernel": "b"}}
MASK = {"layer": {"kernel": True, "bias": True}, "head": {"kernel": True}}


def params():
    random = np.random.default_rng(0)
    shapes = {"layer": {"kernel": (4, 4), "bias": (4,)}, "head": {"kernel": (4, 4)}}
    draw = lambda shape: jnp.asarray(random.normal(size=shape), jnp.float32)  # noqa: E731
    return jax.tree.map(draw, shapes, is_leaf=lambda shape: type(shape) is tuple)


def grads(params, step):
    return jax.tree.map(lambda p: jnp.asarray(np.sin(np.asarray(p) * (step + 1)) + 0.1, jnp.float32), params)


def train(tx, params, state, start, steps):
    """Runs each operation alone, so that the same mathematics has the same bits in any program."""
    tx = optax.with_extra_args_support(tx)
    with jax.disable_jit():
        for step in range(start, start + steps):
            updates, state = tx.update(grads(params, step), state, params, value=jnp.float32(10.0 - step))
            params = optax.apply_updates(params, updates)
    return params, state


def adam_live(schedule, *first):
    return optax.chain(
        *first, optax.scale_by_adam(), optax.add_decayed_weights(1e-4), olrs.scale_by_live_schedule(schedule)
    )


def inject(schedule):
    return optax.inject_hyperparams(optax.adamw)(learning_rate=schedule)


def scheduled():
    return optax.adamw(S)


def constant():
    return optax.adamw(0.1)


def lived():
    return adam_live(S)


def multi(k, tx):
    return optax.MultiSteps(tx, k).gradient_transformation()


def partition(make):
    return optax.partition({"a": make(), "b": make()}, LABELS)


def with_refinement(first, schedule=S, steps=9):
    return olrs.with_refinement(
        lambda rate: optax.chain(first, optax.scale_by_adam(), rate), schedule, optimizer="adam", total_steps=steps
    )


PROJECT = lambda: olrs.project_weights("layer/kernel", mode="deferred")  # noqa: E731
RECORD = lambda: olrs.record_grad_norm(steps=12)  # noqa: E731
CLIP = optax.clip_by_global_norm(1e6)  # so high that it changes no bit


def assert_identical(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for (key, x), y in zip(jax.tree_util.tree_flatten_with_path(a)[0], jax.tree.leaves(b)):
        where = jax.tree_util.keystr(key)
        assert (np.shape(x), x.dtype) == (np.shape(y), y.dtype), where
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y), err_msg=where)


def saved(tree, path):
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(path, tree)
        checkpointer.wait_until_finished()
    return path


def restored(path, template=None):
    with ocp.StandardCheckpointer() as checkpointer:
        return checkpointer.restore(path, template)


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    old: Callable
    new: Callable
    expected: Callable
    same: bool = False
    options: dict = dataclasses.field(default_factory=dict)

    def __str__(self):
        return self.name


def n():
    return jnp.int32(STEPS)


def masked_part(old, label):
    """The old Adam's moments for the parameters of one label."""
    keep = lambda tree: jax.tree.map(lambda x, at: x if at == label else optax.MaskedNode(), tree, LABELS)  # noqa: E731
    return optax.ScaleByAdamState(old.count, keep(old.mu), keep(old.nu))


def joined(old):
    a, b = (old.inner_states[label].inner_state[0] for label in "ab")
    is_leaf = lambda x: isinstance(x, optax.MaskedNode)  # noqa: E731
    both = lambda x, y: jax.tree.map(lambda x, y: y if is_leaf(x) else x, x, y, is_leaf=is_leaf)  # noqa: E731
    return optax.ScaleByAdamState(a.count, both(a.mu, b.mu), both(a.nu, b.nu))


def split(fresh, old):
    def part(label):
        own = fresh.inner_states[label]
        return own._replace(inner_state=(masked_part(old[0], label), *own.inner_state[1:2], old[2]))

    return optax.PartitionState({label: part(label) for label in "ab"})


def into_multi(f, o):
    return f._replace(gradient_step=n(), inner_opt_state=o)


def into_rates(f, o):
    masked = f["optimizer"].inner_states["others"]._replace(inner_state=o[0])
    optimizer = optax.PartitionState({**f["optimizer"].inner_states, "others": masked})
    live = f["rates"].live._replace(count=n(), learning_rate=o[2].learning_rate)
    return type(f)(optimizer=optimizer, rates=f["rates"]._replace(live=live))


def out_of_rates(f, o):
    live = o["rates"].live
    return (
        o["optimizer"].inner_states["others"].inner_state,
        f[1],
        f[2]._replace(count=live.count, learning_rate=live.learning_rate),
    )


def live(f, count, rate=0.0):
    return f._replace(count=count, learning_rate=jnp.float32(rate))


CASES = [
    Case("constant → schedule", constant, lambda: optax.adamw(S), lambda f, o: (o[0], f[1], f[2]._replace(count=n()))),
    Case(
        "constant → a schedule that is constant",
        constant,
        lambda: optax.adamw(olrs.Constant(value=0.1)),
        lambda f, o: (o[0], f[1], f[2]._replace(count=n())),
        same=True,
    ),
    Case("schedule → constant", scheduled, constant, lambda f, o: (o[0], *f[1:])),
    Case("schedule → another", scheduled, lambda: optax.adamw(S2), lambda f, o: o),
    Case("the same", scheduled, lambda: optax.adamw(S), lambda f, o: o, same=True),
    Case(
        "schedule → inject",
        scheduled,
        lambda: inject(S),
        lambda f, o: f._replace(
            count=n(),
            inner_state=(o[0], *f.inner_state[1:]),
            hyperparams_states={"learning_rate": f.hyperparams_states["learning_rate"]._replace(count=n())},
        ),
        same=True,
    ),
    Case(
        "constant → inject, constant",
        constant,
        lambda: inject(0.1),
        lambda f, o: f._replace(count=n(), inner_state=(o[0], *f.inner_state[1:])),
        same=True,
    ),
    Case(
        "inject → live",
        lambda: inject(S),
        lambda: adam_live(S),
        lambda f, o: (o.inner_state[0], f[1], live(f[2], n())),
        same=True,
    ),
    Case(
        "inject → inject, another rate",
        lambda: inject(S),
        lambda: inject(S2),
        lambda f, o: o._replace(hyperparams=f.hyperparams),
    ),
    Case("schedule → live", scheduled, lambda: adam_live(S), lambda f, o: (o[0], f[1], live(f[2], n())), same=True),
    Case(
        "live → schedule", lived, lambda: optax.adamw(S), lambda f, o: (o[0], f[1], f[2]._replace(count=n())), same=True
    ),
    Case(
        "live → another kind of schedule",
        lived,
        lambda: adam_live(S2),
        lambda f, o: (*o[:2], o[2]._replace(schedule=f[2].schedule)),
    ),
    Case(
        "+ clip, a chain in a chain",
        scheduled,
        lambda: optax.chain(CLIP, optax.adamw(S)),
        lambda f, o: (f[0], o),
        same=True,
    ),
    Case("- clip", lambda: optax.chain(CLIP, optax.adamw(S)), scheduled, lambda f, o: o[1], same=True),
    Case(
        "+ recorder, projection",
        scheduled,
        lambda: optax.chain(RECORD(), optax.adamw(S), PROJECT()),
        lambda f, o: (f[0], o, f[2]._replace(count=n())),
    ),
    Case(
        "recorder, projection: kept",
        lambda: optax.chain(RECORD(), optax.adamw(S), PROJECT()),
        lambda: optax.chain(CLIP, RECORD(), adam_live(S2), PROJECT()),
        lambda f, o: (f[0], o[0], (o[1][0], f[2][1], live(f[2][2], n())), o[2]),
    ),
    Case(
        "- recorder",
        lambda: optax.chain(RECORD(), optax.adamw(S)),
        scheduled,
        lambda f, o: o[1],
        same=True,
        options=dict(drop="0/.*"),
    ),
    Case("+ MultiSteps", scheduled, lambda: multi(2, optax.adamw(S)), into_multi),
    Case("- MultiSteps", lambda: multi(2, optax.adamw(S)), scheduled, lambda f, o: o.inner_opt_state),
    Case(
        "+ apply_if_finite",
        scheduled,
        lambda: optax.apply_if_finite(optax.adamw(S), 3),
        lambda f, o: f._replace(inner_state=o),
        same=True,
    ),
    Case(
        "- apply_if_finite",
        lambda: optax.apply_if_finite(optax.adamw(0.1), 3),
        lambda: optax.adamw(0.1),
        lambda f, o: o.inner_state,
        same=True,
    ),
    Case(
        "+ masked",
        scheduled,
        lambda: optax.masked(optax.adamw(S), MASK),
        lambda f, o: f._replace(inner_state=o),
        same=True,
    ),
    Case(
        "- masked",
        lambda: optax.masked(optax.adamw(0.1), MASK),
        lambda: optax.adamw(S),
        lambda f, o: (o.inner_state[0], f[1], f[2]._replace(count=n())),
    ),
    Case("one → partition", scheduled, lambda: partition(lambda: optax.adamw(S)), split, same=True),
    Case(
        "partition → one",
        lambda: partition(lambda: optax.adamw(S)),
        lambda: optax.adamw(S),
        lambda f, o: (joined(o), f[1], f[2]._replace(count=n())),
        same=True,
    ),
    Case(
        "live → with_rates_by_path",
        lived,
        lambda: olrs.with_rates_by_path(optax.scale_by_adam(), S2, {".*/bias": 2.0}),
        into_rates,
    ),
    Case(
        "with_rates_by_path → live",
        lambda: olrs.with_rates_by_path(optax.scale_by_adam(), S, {".*/bias": 2.0}),
        lambda: adam_live(S2),
        out_of_rates,
    ),
    Case(
        "a decay → a decay on a schedule",
        lambda: optax.chain(optax.scale_by_adam(), optax.add_decayed_weights(1e-4), optax.scale_by_learning_rate(S)),
        lambda: optax.chain(optax.scale_by_adam(), optax.add_decayed_weights(DECAY), optax.scale_by_learning_rate(S)),
        lambda f, o: (o[0], f[1]._replace(count=n()), o[2]),
    ),
    Case(
        "+ decay_weights",
        lambda: optax.adam(S),
        lambda: optax.chain(optax.adam(S), olrs.decay_weights(DECAY)),
        lambda f, o: (o, f[1]._replace(count=n())),
    ),
    Case(
        "+ plateau",
        scheduled,
        lambda: optax.chain(optax.adamw(S), olrs.scale_by_plateau()),
        lambda f, o: (o, f[1]),
        same=True,
    ),
    Case(
        "plateau: kept",
        lambda: optax.chain(optax.adamw(S), olrs.scale_by_plateau()),
        lambda: optax.chain(CLIP, adam_live(S), olrs.scale_by_plateau()),
        lambda f, o: (f[0], (o[0][0], f[1][1], live(f[1][2], n())), o[1]),
        same=True,
    ),
    Case(
        "+ effective rates",
        lambda: optax.adam(0.1),
        lambda: optax.chain(optax.adam(S), olrs.projection.record_effective_learning_rate(S, power=1)),
        lambda f, o: ((o[0], f[0][1]._replace(count=n())), f[1]._replace(count=n())),
    ),
    Case(
        "refined: its schedule is learned",
        lambda: with_refinement(optax.identity()),
        lambda: with_refinement(CLIP, S2),
        lambda f, o: o._replace(inner=(f.inner[0], *o.inner[1:])),
    ),
    Case(
        "into refined",
        lambda: optax.adam(S),
        lambda: with_refinement(CLIP),
        lambda f, o: f._replace(record=f.record._replace(count=n()), inner=(f.inner[0], o[0], live(f.inner[2], n()))),
    ),
    Case(
        "momentum → Adam",
        lambda: optax.sgd(S, momentum=0.9),
        lambda: optax.adam(S2),
        lambda f, o: (f[0], f[1]._replace(count=n())),
        options=dict(drop="0/trace/.*"),
    ),
    Case(
        "Adam → Lion",
        scheduled,
        lambda: optax.lion(S2),
        lambda f, o: (f[0], f[1], f[2]._replace(count=n())),
        options=dict(drop=["0/mu/.*", "0/nu/.*"]),
    ),
    Case("SGD → momentum", lambda: optax.sgd(S), lambda: optax.sgd(S, momentum=0.9), lambda f, o: (f[0], o[1])),
    Case(
        "a schedule that restarts",
        scheduled,
        lambda: adam_live(S2),
        lambda f, o: (o[0], f[1], f[2]),
        options=dict(step=0),
    ),
]
