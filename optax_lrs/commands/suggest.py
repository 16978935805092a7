"""``python -m optax_lrs suggest``: rate, batch and schedule from model size and tokens."""

from __future__ import annotations

import argparse
from typing import Any

from optax_lrs.citations import reference


def add(commands: argparse._SubParsersAction[Any]) -> None:
    """Adds the command and its arguments."""
    parser = commands.add_parser("suggest", help="suggest rate, batch, warmup and schedule from model size and tokens")
    parser.add_argument("--params", type=float, required=True, help="parameters without embeddings, such as 1e9")
    parser.add_argument("--tokens", type=float, required=True, help="tokens of the whole run, such as 100e9")
    parser.add_argument("--sequence-length", type=int, default=2048, help="tokens per sequence; 2048 by default")
    parser.add_argument("--batch-tokens", type=float, help="tokens per update; StepLawRule's batch by default")
    parser.add_argument(
        "--multiple", type=int, default=1, help="round sequences per update to a multiple of this; 1 by default"
    )
    parser.add_argument("--width-ratio", type=float, help="under muP: the model's width / the tuned model's width")
    parser.add_argument("--loss", type=float, help="the final loss you expect, in nats per token; for batch rules")
    parser.add_argument("--noise-scale", type=float, help="the gradient noise scale in tokens, if you measured it")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_suggest)


def _suggest(args: argparse.Namespace) -> int:
    from optax_lrs.rules import suggest  # the other commands do not need the rules

    suggestions = suggest(
        params=args.params,
        tokens=args.tokens,
        sequence_length=args.sequence_length,
        batch_tokens=args.batch_tokens,
        multiple=args.multiple,
        width_ratio=args.width_ratio,
        loss=args.loss,
        noise_scale_tokens=args.noise_scale,
    )
    if args.json:
        print(suggestions.to_json(indent=2))
        return 0
    print(suggestions)
    print()
    for paper in dict.fromkeys(row.paper for row in suggestions.rows):
        print("paper", reference(paper))
    return 0
