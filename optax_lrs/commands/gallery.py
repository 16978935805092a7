"""``python -m optax_lrs gallery``: draws every schedule and profile in one picture."""

from __future__ import annotations

import argparse
from typing import Any

from optax_lrs.commands._figures import save_figure
from optax_lrs.pictures import gallery


def add(commands: argparse._SubParsersAction[Any]) -> None:
    """Adds the command and its arguments."""
    parser = commands.add_parser("gallery", help="draw every schedule and profile in one picture")
    parser.add_argument("--scale", default="linear", help="the axis of the rates: linear (the default) or log")
    parser.add_argument(
        "-o", "--output", default="gallery.png", help="the picture: .png, .svg or .pdf; gallery.png by default"
    )
    parser.set_defaults(run=_gallery)


def _gallery(args: argparse.Namespace) -> int:
    save_figure(lambda: gallery(scale=args.scale), args.output)
    return 0
