"""Draws and saves figures without a display."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_figure(draw: Callable[[], Figure], path: str | os.PathLike[str]) -> None:
    """Calls ``draw`` with a backend that needs no display, saves its figure, and prints the path."""
    import matplotlib

    matplotlib.use("Agg")
    draw().savefig(path, dpi=150)
    print(path)
