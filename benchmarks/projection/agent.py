"""Adds a projection to a published agent: rejax's PPO on gymnax's CartPole, on changing tasks.

Each task permutes the four observations, changes their signs, and may exchange the two actions. The
agent keeps its networks and Adam's moments. There are three agents: as published; with the layers
of optax_lrs.nn; and with these and project_weights at the end of the optimizer. It needs the extra
``rl`` (rejax 0.1 cannot read what a step of gymnax 1 returns).
"""

from __future__ import annotations

import functools
import importlib.util
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from normalized_networks.linen_layers import NormDense
from reporting import Bar, progress
from tuned import interval

import optax_lrs as olrs
from optax_lrs.nn import LayerConfig

ARMS = ("as published", "LayerNorm", "NaP")
RATES = (1e-3, 3e-3, 1e-2)
SIZES = (64, 64)
HIDDEN = {"as published": r"params/.*Dense_[0-9]+/kernel", "LayerNorm": r"params/.*/dense/kernel"}
HIDDEN["NaP"] = HIDDEN["LayerNorm"]


def environment() -> Any:
    """CartPole with observations and actions that the environment's parameters permute."""
    from flax import struct
    from gymnax.environments.classic_control import cartpole

    @struct.dataclass
    class Params(cartpole.EnvParams):
        order: Any = None
        signs: Any = None
        exchanged: Any = None

    class Shuffled(cartpole.CartPole):
        @property
        def default_params(self):
            return Params(order=jnp.arange(4), signs=jnp.ones(4), exchanged=jnp.zeros((), bool))

        def drawn(self, key):
            order, signs, exchanged = jax.random.split(key, 3)
            return self.default_params.replace(
                order=jax.random.permutation(order, 4),
                signs=jax.random.rademacher(signs, (4,), jnp.float32),
                exchanged=jax.random.bernoulli(exchanged),
            )

        def step_env(self, key, state, action, params):
            action = jnp.where(params.exchanged, 1 - action, action)
            obs, state, reward, done, info = super().step_env(key, state, action, params)
            return params.signs * obs[params.order], state, reward, done, info

        def reset_env(self, key, params):
            obs, state = super().reset_env(key, params)
            return params.signs * obs[params.order], state

    return Shuffled()


def networks() -> tuple[Any, Any]:
    """The agent's policy and value function, with normalized layers instead of its own."""
    from flax import linen
    from rejax.networks import DiscretePolicy

    config = LayerConfig(activation=linen.swish)

    class Features(linen.Module):
        @linen.compact
        def __call__(self, x):
            for i, size in enumerate(SIZES):
                x = NormDense(size, config, name=f"layers_{i}")(x)
            return x

    class Policy(DiscretePolicy):
        def setup(self):
            self.features = Features()
            self.action_logits = linen.Dense(self.action_dim)

    class Value(linen.Module):
        @linen.compact
        def __call__(self, obs):
            return linen.Dense(1)(Features(name="features")(obs)).squeeze(1)

    return Policy(2, SIZES, linen.swish), Value()


def training(arm: str, tasks: int, steps: int) -> Any:
    """``train(rates [N], seeds [N])``: arrays [N, tasks]."""
    from flax.training.train_state import TrainState
    from rejax import PPO
    from rejax.evaluate import evaluate

    env = environment()

    def returns(algo, ts, key):
        return evaluate(algo.make_act(ts), key, env, algo.env_params, 16, 500)[1].mean()

    agent = PPO.create(
        env=env,
        total_timesteps=steps,
        eval_freq=steps // 4,
        skip_initial_evaluation=True,
        num_envs=32,
        num_steps=64,
        num_minibatches=8,
        num_epochs=4,
        max_grad_norm=0.5,
        agent_kwargs={"hidden_layer_sizes": SIZES},
    ).replace(eval_callback=returns)
    if arm != "as published":
        agent = agent.replace(**dict(zip(("actor", "critic"), networks())))

    def one(rate, seed):
        algo, key = agent.replace(learning_rate=rate), jax.random.key(seed)
        tx = [optax.clip(0.5), optax.adam(rate), *([olrs.project_weights(HIDDEN[arm])] if arm == "NaP" else [])]

        def own(ts):
            return TrainState.create(apply_fn=(), params=ts.params, tx=chain)

        def growth(params):
            how = dict(power=1, weights=HIDDEN[arm])
            pairs = (olrs.projection.effective_learning_rate(p, 1.0, **how) for p in (first, params))
            before, after = (jnp.stack(list(rates.values())) for rates in pairs)
            return jnp.exp(jnp.mean(jnp.log(before / after)))

        def task(carry, number):
            drawn = jax.random.fold_in(key, number)
            now = algo.replace(env_params=env.drawn(drawn))
            ts = now.init_state(drawn).replace(actor_ts=carry[0], critic_ts=carry[1])
            ts, found = now.train(train_state=ts)
            seen = {"return": found.mean(), "at the end": found[-1], "norm growth": growth(ts.actor_ts.params)}
            return (ts.actor_ts, ts.critic_ts), seen

        chain, start = optax.chain(*tx), algo.init_state(key)
        first = start.actor_ts.params
        return jax.lax.scan(task, (own(start.actor_ts), own(start.critic_ts)), 1 + jnp.arange(tasks))[1]

    return jax.jit(jax.vmap(one))


def suite(quick: bool) -> tuple[dict[str, list[dict[str, Any]]], list[Bar]]:
    """Runs each agent at the best of three rates by the mean return of two seeds.

    Six other seeds are reported. There are no bars.
    """
    missing = [name for name in ("rejax", "gymnax") if importlib.util.find_spec(name) is None]
    if missing:
        print(f"agent: skipped, {' and '.join(missing)} missing: pip install 'optax_lrs[rl]'", file=sys.stderr)
        return {}, []
    tasks, steps = (2, 2**13) if quick else (8, 2**15)
    rows, each, third = [], [], max(1, tasks // 3)
    rates = np.repeat(np.asarray(RATES, np.float32), 2)
    for arm in progress(ARMS[1:] if quick else ARMS, "agents"):
        train = functools.partial(_as_numpy, training(arm, tasks, steps))
        tried = train(rates, np.tile([0, 1], len(RATES)))["return"].mean(1).reshape(-1, 2).mean(1)
        best = int(tried.argmax())
        runs = train(np.full(len(rates), RATES[best], np.float32), 1000 + np.arange(len(rates)))
        early, late = runs["return"][:, :third].mean(1), runs["return"][:, -third:].mean(1)
        low, high = interval(late - early)
        rows.append(
            {
                "agent": arm,
                "rate": RATES[best],
                "at the edge": best in (0, len(RATES) - 1),
                "return, first third": early.mean(),
                "last third": late.mean(),
                "change": (late - early).mean(),
                "from": low,
                "to": high,
                "at the end of tasks": runs["at the end"].mean(),
                "norm growth": runs["norm growth"][:, -1].mean(),
            }
        )
        each += [
            {"agent": arm, "seed": seed, "task": task + 1} | {key: runs[key][seed, task] for key in runs}
            for seed in range(len(rates))
            for task in range(tasks)
        ]
    return {"agent": rows, "agent_tasks": each}, []


def _as_numpy(train: Any, rates: np.ndarray, seeds: np.ndarray) -> dict[str, np.ndarray]:
    return {key: np.asarray(value, np.float64) for key, value in train(rates, seeds).items()}
