"""Thirty-three optimizers of Optax, as functions of a rate: a number or a schedule."""

import jax.numpy as jnp
import optax
from optax import contrib

OPTIMIZERS = {
    "adabelief": optax.adabelief,
    "adadelta": optax.adadelta,
    "adafactor": lambda rate: optax.adafactor(rate, multiply_by_parameter_scale=False, clipping_threshold=None),
    "adagrad": optax.adagrad,
    "adam": optax.adam,
    "adamax": optax.adamax,
    "adamaxw": optax.adamaxw,
    "adamw": optax.adamw,
    "adan": optax.adan,
    "amsgrad": optax.amsgrad,
    "lamb": optax.lamb,
    "lion": optax.lion,
    "nadam": optax.nadam,
    "nadamw": optax.nadamw,
    "novograd": optax.novograd,
    "radam": optax.radam,
    "rmsprop": lambda rate: optax.rmsprop(rate, bias_correction=True),
    "sgd": optax.sgd,
    "sign_sgd": optax.sign_sgd,
    "adagrad with momentum": lambda rate: optax.chain(optax.trace(0.9), optax.adagrad(rate)),
    "yogi": optax.yogi,
    "ademamix": contrib.ademamix,
    "simplified_ademamix": contrib.simplified_ademamix,
    "adopt": contrib.adopt,
    "dadapt_adamw": contrib.dadapt_adamw,
    "dog": contrib.dog,
    "dowg": contrib.dowg,
    "galore": lambda rate: contrib.galore(rate, rank=1),
    "lbfgs": lambda rate: optax.lbfgs(rate, linesearch=None),
    "mechanize": lambda rate: contrib.mechanize(optax.sgd(rate), weight_decay=0.0),
    "muon": contrib.muon,
    "prodigy": contrib.prodigy,
    "schedule_free": lambda rate: contrib.schedule_free(optax.sgd(rate), rate),
}
