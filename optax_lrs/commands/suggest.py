"""python -m optax_lrs suggest: rate, batch and schedule for a model and its tokens, by every rule there is."""

from __future__ import annotations

import argparse
from typing import Any

from optax_lrs.citations._cite import reference


def add(commands: Any) -> None:
    """The command and its arguments."""
    parser = commands.add_parser("suggest", help="rate, batch, warmup and schedule from parameters and tokens")
    parser.add_argument("--params", type=float, required=True, help="parameters without embeddings, such as 1e9")
    parser.add_argument("--tokens", type=float, required=True, help="tokens of the whole run, such as 100e9")
    parser.add_argument("--sequence-length", type=int, default=2048, help="tokens of a sequence; 2048 by default")
    parser.add_argument("--batch-tokens", type=float, help="tokens of an update; by default StepLawRule's")
    parser.add_argument(
        "--multiple", type=int, default=1, help="sequences of an update are a multiple of it; 1 by default"
    )
    parser.add_argument(
        "--width-ratio", type=float, help="under muP: the width by that of the model whose rates were tuned"
    )
    parser.add_argument("--loss", type=float, help="the final loss expected, nats per token: for batches from the loss")
    parser.add_argument("--noise-scale", type=float, help="the gradient's noise scale in tokens, if you measured it")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(run=_suggest)


def _suggest(args: argparse.Namespace) -> int:
    from optax_lrs.rules import suggest  # the other commands need no laws

    said = suggest(
        params=args.params, tokens=args.tokens, sequence_length=args.sequence_length, batch_tokens=args.batch_tokens,
        multiple=args.multiple, width_ratio=args.width_ratio, loss=args.loss, noise_scale_tokens=args.noise_scale,
    )  # fmt: skip
    if args.json:
        print(said.to_json(indent=2))
        return 0
    print(said)
    print()
    for paper in dict.fromkeys(row.paper for row in said.rows):
        print("paper", reference(paper))
    return 0
