"""Schedules of other frameworks and ours, one framework a file."""

from peers import (
    axlearn,
    big_vision,
    keras,
    levanter,
    maxtext,
    megatron_lm,
    optax,
    pytorch,
    t5x,
    timm,
    torchtitan,
    transformers,
)

ROWS = [
    row
    for framework in (
        optax,
        pytorch,
        transformers,
        timm,
        keras,
        maxtext,
        levanter,
        axlearn,
        megatron_lm,
        torchtitan,
        big_vision,
        t5x,
    )
    for row in framework.ROWS
]
"""Every row, framework by framework."""
